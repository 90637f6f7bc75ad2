// The viewer: one place, and the panels that show it.

import { Camera } from "./camera.js";
import { Diagram } from "./diagram.js";
import { button, byId, press, say } from "./elements.js";
import { findBlob, firstBlob, lastWrite, middleOf, spotOf, unitTitle } from "./facts.js";
import { showGuesses } from "./guesses.js";
import { Inputs } from "./inputs.js";
import { KEYS } from "./keyboard.js";
import { List, showList } from "./list.js";
import { Moved } from "./moved.js";
import { readPlace, settle, writePlace, ZOOMS } from "./place.js";
import { Range } from "./range.js";
import { Stage } from "./stage.js";
import { UnitPanel } from "./unit.js";
import { Walk } from "./walk.js";
import { Why } from "./why.js";
import { keyTable, listenToKeys } from "../page/keys.js";
import { bytesOf } from "../page/packed.js";
import { CONTROLS, Settings } from "../page/settings.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Item} Item */
/** @typedef {import("./facts.js").Write} Write */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./place.js").Keeper} Keeper */
/** @typedef {import("./place.js").Place} Place */
/** @typedef {import("../page/settings.js").Choice} Choice */

const CAMERA = "camera";
const NOISE = "noise";
const WHY_AFTER = 150; // milliseconds that a unit has to stay selected before it is explained

class Viewer {
  /** @param {Facts} facts @param {Link} link @param {Keeper} keeper */
  constructor(facts, link, keeper) {
    this.facts = facts;
    this.link = link;
    this.keeper = keeper;
    this.place = readPlace(keeper.read());
    const palettes = { gray: bytesOf(facts.palettes.gray), heat: bytesOf(facts.palettes.heat), diverging: bytesOf(facts.palettes.diverging) };
    const scales = /** @type {[string, string][]} */ ([...CONTROLS.scale[1], ["fixed", "fixed range"]]);
    this.settings = new Settings({ ...CONTROLS, scale: [CONTROLS.scale[0], scales] });
    this.settings.build(byId("bar"));
    this.range = new Range(byId("bar"), (ends) => this.go(ends, false), () => this.zoom());
    this.list = new List(facts, this.settings, palettes, (item) => this.goItem(item, true), () => this.look());
    this.diagram = new Diagram((id) => this.goItem(facts.items[id], true));
    this.stage = new Stage(facts, this.settings, palettes, link, {
      blob: (write) => this.go({ blob: write.blob, param: "", first: 0 }, false),
      param: (param) => this.go({ param, first: 0 }, false),
      pick: (tile, y, x) => this.go({ tile, y, x }, false),
      channel: (channel, channels) => this.goChannel(channel, channels),
      page: (first) => this.go({ first }, false),
    });
    this.unit = new UnitPanel(this.settings, palettes, link, (y, x) => this.go({ y, x }, false));
    this.walk = new Walk(facts, this.stage, this.unit);
    this.moved = new Moved(facts, palettes, link, (change) => this.go(change, false));
    this.why = new Why((unit) => this.goUnit(unit));
    this.camera = facts.size ? new Camera(facts.size, (frame) => link.sendFrame(frame)) : null;
    this.inputs = new Inputs(link, facts.upload, (key) => this.goImage(key), (words) => this.fails(words));
    this.frame = 0;
    this.shownParam = this.explained = "";
    this.askedDiagram = this.lasting = false; // `lasting`: a fault that no frame mends, but the next step
    this.before = ""; // the image before the camera
    this.pictured = "";
    this.fed = "";
    /** @type {Record<string, number>} */
    this.times = {};
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.whyTimer = undefined;
    if (this.camera) this.camera.onend = () => {
      this.leaveCamera();
      this.fails("The camera has gone; the image of before is shown.");
    };
    this.settings.listeners.push(() => this.chosen());
    this.listen();
  }

  async start() {
    this.link.onframe = (frame) => this.draw(frame);
    this.link.onbreak = () => {
      this.camera?.reset();
      this.moved.reset();
    };
    this.link.onstate = (words) => (words || !this.lasting) && this.fault(words);
    const keys = await this.inputs.refresh();
    const { place } = this;
    if (place.image && ![...keys, CAMERA, NOISE].includes(place.image)) {
      this.fails("The image of this link is not here any more; another one is shown."); // as an upload of an earlier run
      place.image = "";
    }
    if (!place.image) place.image = keys[0] ?? NOISE;
    if (place.image === CAMERA) {
      place.image = keys[0] ?? NOISE;
      this.switchCamera();
    }
    if (!findBlob(this.facts, place.blob)) place.blob = firstBlob(this.facts);
    this.link.open();
    this.show();
  }

  /** @param {Partial<Place>} change @param {boolean} step whether the back button comes back here */
  go(change, step) {
    if (this.lasting) this.fault("");
    this.lasting = false;
    Object.assign(this.place, change);
    this.show();
    this.keeper.write(writePlace(this.place), step);
  }

  /** @param {Item} item @param {boolean} step */
  goItem(item, step) {
    const write = lastWrite(item);
    if (write) this.go({ blob: write.blob, param: "", at: "", tile: -1, y: 0, x: 0, first: 0 }, step);
    else {
      this.fails(item.reason || `${item.title} writes no blob`);
      this.list.mark(item.id);
    }
  }

  /** @param {string} words "blob:channel,y,x" */
  goUnit(words) {
    const at = findBlob(this.facts, words) ? -1 : words.lastIndexOf(":"); // a blob of one number has no index
    const [blob, places] = at < 0 ? [words, ""] : [words.slice(0, at), words.slice(at + 1)];
    const found = findBlob(this.facts, blob);
    if (!found) return this.fails(`${words} is not on this page`);
    const index = places ? places.split(",").map(Number) : [];
    const { dims } = found.write;
    if (index.length > dims.length) return this.fails(`${words} is not shown: of axis 0 the page has the first only`);
    this.go({ blob: found.write.blob, param: "", at: "", first: 0, ...spotOf(found.write, index) }, true);
  }

  /** A filter, or a number of a bias, was chosen: its channel is the unit. @param {number} channel @param {number} channels */
  goChannel(channel, channels) {
    const write = findBlob(this.facts, this.place.blob)?.write;
    if (!write || write.dims[0] !== channels || (write.maps && write.dims.length < 3)) return;
    this.go({ tile: channel * write.depth, ...(this.place.tile < 0 ? middleOf(write) : {}) }, false);
  }

  /** @param {string} image */
  goImage(image) {
    this.camera?.stop();
    this.go({ image }, false);
  }

  /** Show the place: everything that does not need numbers. */
  show() {
    const { place, facts } = this;
    const found = findBlob(facts, place.blob);
    if (!found) return;
    settle(place, found, facts);
    const { item, write } = found;
    this.settings.choice = { scale: /** @type {Choice["scale"]} */ (place.scale), color: /** @type {Choice["color"]} */ (place.color), sort: /** @type {Choice["sort"]} */ (place.sort) };
    for (const [name, select] of this.settings.selects) select.value = this.settings.choice[/** @type {keyof Choice} */ (name)];
    this.stage.range = this.range.show(place);
    this.stage.zoom = place.zoom;
    const diagram = place.layers === "diagram";
    showList(!diagram);
    this.list.mark(item.id);
    this.diagram.mark(item.id);
    this.stage.head(item, write, place.param);
    const param = place.param && JSON.stringify([place.param, place.first]);
    if (!param) this.stage.watch(write.blob);
    else if (this.shownParam !== param) this.stage.param(place.param, place.first);
    this.shownParam = param;
    this.stage.fit();
    this.stage.redraw();
    this.stage.choose(place.param ? -1 : place.tile);
    const selected = place.tile >= 0 ? { tile: place.tile, y: place.y, x: place.x } : null;
    this.unit.select(write, selected, unitTitle(write, place));
    this.unit.drawMap();
    this.moved.select(place, selected && { blob: write.blob, index: this.unit.index() }, this.isLive);
    this.inputs.mark(place.image);
    if (diagram) this.needDiagram();
    this.cameraState();
    this.look();
    this.explainSoon();
  }

  /** Tell the server what is on the screen. */
  look() {
    const { place } = this;
    if (!place.image) return;
    const blob = place.param && place.tile < 0 ? "" : place.blob;
    this.link.see({ image: place.image, thumbs: this.list.wanted(), blob, first: place.param ? 0 : place.first, tile: place.tile });
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { head } = frame;
    const begun = performance.now();
    const picture = this.camera?.back(head.seen, head.dropped);
    if (head.kind === "fault") return this.fault(head.fault ?? "the run failed");
    if (head.waiting) return;
    if (!this.lasting) this.fault("");
    this.frame = head.frame ?? 0;
    this.times = head.times ?? {};
    this.fed = head.fed ?? "";
    this.list.update(frame);
    this.stage.update(frame);
    this.unit.update(frame, head.blob?.first ?? 0);
    this.moved.update(this.frame, this.isLive);
    showGuesses(head.guesses ?? [], (index) => this.goUnit(`${this.facts.probability}:${index}`));
    say(byId("fed"), this.fed);
    this.takePicture(head.image ?? "", picture);
    this.times.draw = performance.now() - begun;
    this.status();
    if (!this.isLive && this.explained !== this.whyKey()) this.explainSoon();
    document.body.dataset.frame = String(this.frame);
  }

  /** @param {string} image @param {Uint8Array | undefined} picture of the camera */
  async takePicture(image, picture) {
    const { size } = this.facts;
    if (image === CAMERA) {
      this.pictured = "";
      if (picture && size && this.place.tile >= 0) this.unit.setPicture(size[1], size[0], picture);
      return;
    }
    if (this.pictured === image) return;
    this.pictured = image;
    const found = await this.link.ask({ ask: "picture", most: 0 });
    if (!found.fault && this.pictured === image) this.unit.setPicture(found.width, found.height, bytesOf(found.rgb));
  }

  get isLive() {
    return Boolean(this.camera?.isOn && !this.camera.frozen && this.place.image === CAMERA);
  }

  whyKey() {
    const { blob, tile, y, x } = this.place;
    return tile < 0 ? "" : JSON.stringify([blob, tile, y, x, this.frame]);
  }

  /** Explain the unit when it has been selected for a moment. */
  explainSoon() {
    clearTimeout(this.whyTimer);
    if (this.place.tile < 0) return this.why.clear();
    if (this.isLive) return this.why.offer(() => this.freeze());
    if (this.explained !== this.whyKey()) this.why.wait();
    this.whyTimer = setTimeout(() => this.explain(), WHY_AFTER);
  }

  async explain() {
    const key = this.whyKey();
    if (!this.frame || !key || this.explained === key) return;
    this.explained = key;
    const found = await this.link.ask({ ask: "why", blob: this.place.blob, index: this.unit.index() });
    if (this.explained === key && !this.isLive) this.why.show(found);
  }

  async switchCamera() {
    const { camera } = this;
    if (!camera) return this.fails("This net takes no images.");
    if (camera.isOn) return this.leaveCamera();
    if (camera.wanted) return camera.stop(); // the browser is asking the person still
    const fault = await camera.start();
    if (fault) return this.fails(fault);
    if (!camera.isOn) return;
    if (this.place.image !== CAMERA) this.before = this.place.image;
    this.go({ image: CAMERA }, false);
  }

  /** The image of before the camera. */
  leaveCamera() {
    this.camera?.stop();
    const first = this.inputs.buttons.keys().next().value;
    this.go({ image: (this.before || first) ?? NOISE }, false);
  }

  freeze() {
    if (!this.camera?.isOn) return;
    this.camera.freeze();
    this.cameraState();
    this.explained = "";
    this.explainSoon();
    this.moved.update(this.frame, this.isLive);
    this.status();
  }

  cameraState() {
    const on = Boolean(this.camera?.isOn);
    press(byId("camera"), on);
    const freeze = /** @type {HTMLButtonElement} */ (byId("freeze"));
    freeze.disabled = !on;
    press(freeze, Boolean(this.camera?.frozen));
    byId("camera").toggleAttribute("disabled", !this.camera);
  }

  status() {
    const { prepare = 0, run = 0, pack = 0, draw = 0 } = this.times;
    const parts = [`prepare ${prepare.toFixed(1)} ms, run ${run.toFixed(1)} ms, pack ${pack.toFixed(1)} ms, draw ${draw.toFixed(1)} ms`];
    const { camera } = this;
    if (camera?.isOn) {
      const state = camera.frozen ? "frozen" : `${camera.rate.toFixed(1)} frames a second, ${camera.behind.toFixed(0)} ms behind`;
      parts.unshift(`camera: ${state}, ${camera.shown} shown, ${camera.skipped + camera.dropped} dropped`);
      document.body.dataset.rate = camera.rate.toFixed(2);
    }
    say(byId("status"), parts.join(" \u00b7 "));
  }

  /** @param {string} words "" for none */
  fault(words) {
    say(byId("fault"), words);
  }

  /** @param {string} words a fault that stays until the next step */
  fails(words) {
    this.lasting = true;
    this.fault(words);
  }

  async needDiagram() {
    if (this.askedDiagram) return;
    this.askedDiagram = true;
    const found = await this.link.ask({ ask: "diagram" });
    if (!found.fault) return this.diagram.draw(/** @type {import("./diagram.js").Drawing} */ (/** @type {unknown} */ (found)));
    this.askedDiagram = false;
    this.diagram.fail(found.fault);
  }

  /** The choice of scaling, colours and order changed. */
  chosen() {
    const { scale, color, sort } = this.settings.choice;
    const { view } = this.stage;
    const tiles = view && "tiles" in view ? view.tiles : null;
    if (scale === "fixed" && this.place.low === null && tiles) Object.assign(this.place, { low: round(tiles.lowest), high: round(tiles.highest) });
    this.go({ scale, color, sort }, false);
    this.link.look = null; // the thumbnails are drawn anew
    this.look();
  }

  zoom() {
    this.go({ zoom: ZOOMS[(ZOOMS.indexOf(this.place.zoom) + 1) % ZOOMS.length] }, false);
  }

  /** @param {number} right @param {number} down */
  move(right, down) {
    this.go(this.walk.move(this.place, right, down), false);
  }

  /** @param {number} by */
  layer(by) {
    const next = this.walk.layer(this.place, by);
    if (next) this.goItem(next, false);
  }

  nextMethod() {
    if (this.place.tile < 0) this.move(0, 0);
    if (this.place.tile >= 0) this.moved.next();
  }

  listen() {
    byId("camera").addEventListener("click", () => this.switchCamera());
    byId("freeze").addEventListener("click", () => this.freeze());
    byId("aslist").addEventListener("click", () => this.go({ layers: "list" }, false));
    byId("asdiagram").addEventListener("click", () => this.go({ layers: "diagram" }, false));
    const help = /** @type {HTMLDialogElement} */ (byId("keys"));
    help.append(keyTable(KEYS), button("close", () => help.close()));
    byId("help").addEventListener("click", () => help.showModal());
    this.keeper.listen(() => {
      const image = this.place.image;
      this.place = readPlace(this.keeper.read());
      if (!this.place.image || this.place.image === CAMERA) this.place.image = image;
      if (!findBlob(this.facts, this.place.blob)) this.place.blob = firstBlob(this.facts);
      this.show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.chosen());
    listenToKeys(KEYS, {
      move: (right, down) => this.move(right, down),
      layer: (by) => this.layer(by),
      enter: () => this.enter(),
      freeze: () => this.freeze(),
      camera: () => this.switchCamera(),
      method: () => this.nextMethod(),
      zoom: () => this.zoom(),
      next: (name) => this.settings.next(name),
      before: () => this.go(this.walk.state(this.place), false),
      back: () => this.keeper.back(),
      help: () => (help.open ? help.close() : help.showModal()),
      reset: () => this.reset(help),
    }, steers, help);
  }

  enter() {
    const { view } = this.stage;
    if (document.activeElement === this.unit.canvas) view?.canvas.focus();
    else {
      if (this.place.tile < 0) this.move(0, 0);
      this.unit.canvas.focus();
    }
  }

  /** @param {HTMLDialogElement} help */
  reset(help) {
    if (help.open) return help.close();
    if (this.camera?.frozen) this.freeze();
    this.go({ param: "", tile: -1, y: 0, x: 0, first: 0, scale: "auto", color: "auto", sort: "index", low: null, high: null, zoom: 1, method: "", at: "", opacity: 100 }, false);
    this.link.look = null;
    this.look();
  }
}

/** @param {KeyboardEvent} event @returns {boolean} whether it is ours: Enter presses what has the focus, arrows always move the unit */
function steers({ key, target }) {
  return key !== "Enter" || (target instanceof Element && ["CANVAS", "BODY"].includes(target.tagName));
}

/** @param {number} value */
function round(value) {
  return Number(value.toPrecision(3));
}

/** @param {Link} link @param {Keeper} keeper */
export async function start(link, keeper) {
  link.onstate = (words) => say(byId("words"), words || "opening the net");
  try {
    /** @type {Facts} */
    const facts = await link.get("/api/facts");
    say(byId("name"), facts.name);
    byId("name").title = facts.name;
    say(byId("words"), facts.words);
    byId("words").title = facts.notes.join("\n");
    document.title = `${facts.name} \u2013 layerscope`;
    await new Viewer(facts, link, keeper).start();
  } catch (error) {
    say(byId("words"), "");
    say(byId("fault"), error instanceof Error ? error.message : String(error));
  }
  document.documentElement.classList.add("js", "ready");
}
