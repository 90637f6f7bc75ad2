// What moved the selected unit: a method of attribution, drawn over the image that was fed.

import { button, byId, make, say } from "./elements.js";
import { SHADE } from "./place.js";
import { drawRamp, drawTinted, tinted } from "./tint.js";
import { number } from "../page/words.js";

/** @typedef {import("./facts.js").MethodFact} MethodFact */
/** @typedef {import("./link.js").Answer} Answer */
/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./place.js").Place} Place */
/** @typedef {import("../page/tiles.js").Palettes} Palettes */
/** @typedef {{blob: string, index: number[]}} Asked a unit */

const WIDE = 300; // pixels on the page
const QUICK = 150; // milliseconds that a method may take and follow the camera
const MISSES = 2; // so often in turn it may take longer: the first time it is made ready
const AGAIN = 300; // milliseconds between two looks at how far a long one is

/** The part of the right side. */
export class Moved {
  /** @param {import("./facts.js").Facts} facts @param {Palettes} palettes @param {Link} link @param {(change: Partial<Place>) => void} change */
  constructor({ methods, size }, palettes, link, change) {
    this.methods = methods;
    this.palettes = palettes;
    this.link = link;
    this.change = change;
    /** @type {MethodFact | undefined} */
    this.method = undefined;
    /** @type {Asked | null} */
    this.unit = null;
    this.at = "";
    this.opacity = 100;
    this.frame = 0;
    this.isLive = false;
    this.shown = this.asking = ""; // what, and of which frame
    this.misses = this.took = 0;
    /** @type {import("./tint.js").Tinted | null} */
    this.map = null;
    this.box = make("section", "moved");
    this.choice = make("select");
    this.places = make("select");
    this.shade = make("input");
    this.inside = make("div", "inside");
    this.canvas = make("canvas");
    this.ramp = make("canvas", "ramp");
    this.low = make("span");
    this.high = make("span");
    this.readout = make("p", "dim told");
    this.door = make("p", "door");
    this.words = make("p", "heading");
    this.notes = make("ul", "notes");
    this.build();
    if (size) this.fit(size[1], size[0]); // so that nothing moves when the first map comes
  }

  build() {
    const { choice, places, shade, canvas, inside } = this;
    choice.append(new Option("off", ""));
    for (const many of [false, true]) {
      const group = make("optgroup");
      group.label = many ? "many runs: by a button" : "one pass back";
      group.append(...this.methods.filter((each) => each.many === many).map((each) => new Option(each.title, each.name)));
      choice.append(group);
    }
    choice.title = "key g";
    choice.addEventListener("change", () => this.change({ method: choice.value }));
    places.addEventListener("change", () => this.change({ at: places.value }));
    Object.assign(shade, { type: "range", min: "0", max: "100", step: String(SHADE) });
    shade.addEventListener("input", () => this.paint(Number(shade.value)));
    shade.addEventListener("change", () => this.change({ opacity: Number(shade.value) }));
    canvas.setAttribute("role", "img");
    canvas.addEventListener("pointermove", (event) => this.tell(event));
    canvas.addEventListener("pointerleave", () => this.tell(null));
    this.ramp.setAttribute("aria-hidden", "true");
    const ends = make("div", "ends");
    ends.append(this.low, this.high);
    const settings = make("div", "choices");
    settings.append(labelled("at", places), labelled("opacity", shade));
    inside.append(settings, this.door, canvas, this.ramp, ends, this.readout, this.words, this.notes);
    const head = make("div", "choices");
    const title = make("h3", "", "What moved it");
    title.id = "movedtitle";
    choice.setAttribute("aria-labelledby", title.id);
    this.box.setAttribute("aria-labelledby", title.id);
    head.append(title, choice);
    this.box.append(head, inside);
    this.box.hidden = true;
    byId("moved").append(this.box);
  }

  /** The next method, and after the last one none. */
  next() {
    const names = ["", ...[...this.methods].sort((a, b) => Number(a.many) - Number(b.many)).map((each) => each.name)];
    this.change({ method: names[(names.indexOf(this.method?.name ?? "") + 1) % names.length] });
  }

  /** @param {Place} place @param {Asked | null} unit @param {boolean} isLive whether the camera's images go by */
  select(place, unit, isLive) {
    const before = this.what();
    this.box.hidden = !unit || !this.methods.length;
    this.method = this.methods.find((each) => each.name === place.method);
    this.unit = unit;
    this.at = this.method?.at === "layer" ? place.at : "";
    this.isLive = isLive;
    this.choice.value = this.method?.name ?? "";
    this.places.disabled = this.method?.at !== "layer";
    if (this.places.disabled) this.offerPlaces([], "the input");
    this.inside.hidden = !this.method;
    this.shade.value = String(place.opacity);
    if (place.opacity !== this.opacity) this.paint(place.opacity);
    if (before !== this.what()) this.turn();
    this.follow();
  }

  /** @param {number} frame what is before the net now @param {boolean} isLive */
  update(frame, isLive) {
    this.frame = frame;
    this.isLive = isLive;
    this.follow();
  }

  /** The connection broke: what comes counts frames anew. */
  reset() {
    this.shown = this.asking = "";
    this.frame = 0;
  }

  what() {
    return this.method && this.unit ? JSON.stringify([this.method.name, this.at, this.unit]) : "";
  }

  key() {
    return this.what() && this.frame ? `${this.what()} ${this.frame}` : "";
  }

  /** Something else is wanted: what is shown stays until that is there, and nobody waits for the rest. */
  turn() {
    this.misses = 0;
    if (this.asking) this.link.ask({ ask: "moved", method: "" });
    this.asking = this.shown = "";
    if (this.method) this.box.setAttribute("aria-busy", "true");
    this.door.replaceChildren();
  }

  /** Ask, where what is shown is of something else; long ones only by their button. */
  follow() {
    this.words.setAttribute("aria-live", this.isLive ? "off" : "polite");
    const key = this.key();
    if (!key || key === this.shown || this.asking || !this.method) return;
    this.box.setAttribute("aria-busy", String(!this.isLive || !this.shown));
    if (this.method.many) return this.offer("Compute it for this image");
    if (this.isLive && this.misses >= MISSES) return this.offer(`Show it for this frame (the last took ${this.took.toFixed(0)} ms)`);
    this.ask();
  }

  /** @param {string} words */
  offer(words) {
    const there = this.door.querySelector("button");
    if (there) say(there, words);
    else this.door.replaceChildren(button(words, () => this.ask()));
  }

  async ask() {
    const [key, what] = [this.key(), this.what()];
    if (!key || !this.method) return;
    this.asking = key;
    if (this.method.many) this.wait(key);
    const found = await this.link.ask({ ask: "moved", method: this.method.name, at: this.at, ...this.unit });
    if (this.asking !== key || what !== this.what()) return;
    this.asking = "";
    this.took = found.ms ?? 0;
    this.door.replaceChildren();
    if (found.cancelled) return this.follow();
    if (!found.fault) this.door.textContent = `took ${this.took.toFixed(0)} ms${this.isLive && !this.method.many ? ", follows the camera" : ""}`;
    // A frame of the camera that came meanwhile is asked for next.
    this.shown = found.fault ? key : `${what} ${found.frame}`;
    this.misses = found.fault || found.ms > QUICK ? this.misses + 1 : 0;
    if (found.fault) this.fail(found.fault);
    else this.show(found);
    this.follow();
  }

  /** Say how far a long one is, until its answer is there. @param {string} key */
  async wait(key) {
    const words = make("span", "", "computing ");
    const bar = make("progress");
    bar.setAttribute("aria-label", "how far it is");
    const stop = button("Cancel", () => {
      this.link.ask({ ask: "moved", method: "" });
      say(words, "it ends after the images that are run now ");
      bar.hidden = stop.disabled = true;
    });
    this.door.replaceChildren(words, bar, stop);
    stop.focus({ preventScroll: true });
    while (this.asking === key) {
      const { done, total } = await this.link.ask({ ask: "progress" });
      if (this.asking !== key) return;
      if (total && !stop.disabled) {
        bar.max = total;
        bar.value = done;
        say(words, `${done.toLocaleString("en")} of ${total.toLocaleString("en")} `);
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }

  /** @param {string} fault */
  fail(fault) {
    this.box.removeAttribute("aria-busy");
    this.map = null;
    this.canvas.hidden = this.ramp.hidden = true;
    for (const each of [this.low, this.high, this.readout]) say(each, "");
    this.notes.replaceChildren();
    this.words.className = "heading reason";
    say(this.words, fault);
    if (!this.places.disabled) this.offerPlaces(this.at ? [[this.at, this.at]] : [], "last map");
  }

  /** @param {Answer} found */
  show(found) {
    this.box.removeAttribute("aria-busy");
    if (!this.places.disabled) this.offerPlaces(found.layers, `last map${this.at ? "" : ` (${found.at})`}`);
    this.map = found.map && tinted(found.map);
    this.canvas.hidden = this.ramp.hidden = !this.map;
    if (this.map) this.dress(this.map.meta);
    this.paint(this.opacity);
    this.canvas.setAttribute("aria-label", `${found.heading}, over the image; ${found.lines[0]}`);
    this.words.className = "heading";
    say(this.words, found.heading);
    const lines = [found.map?.reading, ...found.lines, found.map?.over, found.map?.words, found.paper].filter(Boolean);
    if (lines.join() !== [...this.notes.children].map((each) => each.textContent).join()) this.notes.replaceChildren(...lines.map((line) => make("li", "", line)));
    this.tell(null);
    this.canvas.dataset.frame = String(found.frame);
    this.canvas.dataset.method = found.method;
  }

  /** @param {import("./tint.js").MapAnswer} meta */
  dress(meta) {
    this.fit(meta.width, meta.height);
    drawRamp(this.ramp, meta, this.palettes);
    this.ramp.hidden = meta.empty;
    say(this.low, meta.empty ? "0 everywhere" : meta.ends[0]);
    say(this.high, meta.empty ? "" : meta.ends[1]);
  }

  /** @param {number} width @param {number} height */
  fit(width, height) {
    const room = Math.min(WIDE, Math.max(160, byId("unit").clientWidth - 34));
    const times = room / Math.max(width, height);
    const whole = times > 2 ? Math.floor(times) : times;
    this.canvas.style.width = `${width * whole}px`;
    this.canvas.style.height = `${height * whole}px`;
  }

  /** @param {number} opacity percent */
  paint(opacity) {
    this.opacity = opacity;
    if (this.map) drawTinted(this.canvas, this.map, this.palettes, opacity / 100);
  }

  /** @param {[string, string][]} layers @param {string} first */
  offerPlaces(layers, first) {
    const words = JSON.stringify([layers, first]);
    if (this.places.dataset.words !== words) {
      this.places.replaceChildren(new Option(first, ""), ...layers.map(([key, name]) => new Option(name, key)));
      this.places.dataset.words = words;
    }
    this.places.value = this.at;
  }

  /** @param {PointerEvent | null} event null for nothing pointed at */
  tell(event) {
    if (!this.map) return;
    const { meta, values } = this.map;
    if (!event) return say(this.readout, "point at the map for its numbers");
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * meta.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * meta.height);
    if (x < 0 || y < 0 || x >= meta.width || y >= meta.height) return;
    say(this.readout, `x ${x * meta.step}, y ${y * meta.step}: ${number(values[y * meta.width + x], 6)}`);
  }
}

/** @param {string} words @param {HTMLElement} control */
function labelled(words, control) {
  const label = make("label");
  label.append(make("span", "", words), control);
  return label;
}
