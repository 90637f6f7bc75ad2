// The middle: the selected blob as a grid or as bars, or a param; with how its numbers are spread.

import { button, byId, make, press, say, sayName, sparing, terms } from "./elements.js";
import { Bars } from "../page/bars.js";
import { Grid, tileWords } from "../page/grid.js";
import { Histogram } from "../page/histogram.js";
import { bytesOf, unpack } from "../page/packed.js";
import { number } from "../page/words.js";

/** @typedef {import("./facts.js").Facts} Facts */
/** @typedef {import("./facts.js").Item} Item */
/** @typedef {import("./facts.js").Write} Write */
/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./frames.js").Part} Part */
/** @typedef {import("./frames.js").Spread} Spread */
/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("../page/settings.js").Settings} Settings */
/** @typedef {import("../page/tiles.js").Palettes} Palettes */
/** @typedef {import("../page/tiles.js").Extent} Extent */
/** @typedef {{blob: (write: Write) => void, param: (words: string) => void, pick: (tile: number, y: number, x: number) => void,
 *   channel: (channel: number, channels: number) => void, page: (first: number) => void}} Hooks */

const REGION = 32;
const SPREAD_PAUSE = 200; // milliseconds; a camera gives more than can be read
const PHONE_TALL = 520; // where the page scrolls as a whole, and what is below is not seen
const MOST_LINES = 4; // of layers over a blob that have their place before they are shown

/** The middle of the page. */
export class Stage {
  /** @param {Facts} facts @param {Settings} settings @param {Palettes} palettes @param {Link} link @param {Hooks} hooks */
  constructor(facts, settings, palettes, link, hooks) {
    this.facts = facts;
    this.settings = settings;
    this.palettes = palettes;
    this.link = link;
    this.hooks = hooks;
    this.box = byId("stage");
    this.readout = byId("readout");
    /** @type {Grid | Bars | null} */
    this.view = null;
    /** @type {Frame | null} */
    this.last = null; // what is shown again when a param has been looked at
    this.form = ""; // of what the view shows: another form needs another view
    this.blob = "";
    this.first = 0;
    this.frame = 0;
    this.tile = -1;
    this.zoom = 1;
    /** @type {Extent | null} */
    this.range = null;
    /** @type {{key: string, width: number, values: Float32Array} | null} */
    this.region = null;
    this.asking = "";
    this.turned = ""; // the button that led to another part
    const shown = sparing((/** @type {[string, Spread]} */ [form, spread]) => {
      if (form === this.form) this.drawSpread(spread); // something else may be shown by now
    }, SPREAD_PAUSE);
    /** @type {(spread: Spread) => void} */
    this.spread = (spread) => shown([this.form, spread]);
    const lines = Math.max(2, ...facts.items.map((item) => Math.min(MOST_LINES, item.layers.length)));
    byId("summaries").style.setProperty("--lines", String(lines)); // so that nothing moves from layer to layer
    new ResizeObserver(() => this.fit()).observe(this.box);
    this.dragToPan();
  }

  /** @param {Item} item @param {Write | null} write @param {string} param "layer.number" or "" */
  head(item, write, param) {
    sayName(byId("title"), item.title);
    const rows = item.layers.map((layer) => {
      const row = make("li");
      row.append(make("b", "", layer.name), ` ${layer.type}${layer.summary ? `, ${layer.summary}` : ""}`);
      return row;
    });
    if (item.reason) rows.push(make("li", "reason", item.reason));
    byId("summaries").replaceChildren(...rows);
    const tabs = item.writes.map((each, i) => {
      const words = item.writes.length > 1 ? `${i ? "after" : "before"} ${item.layers[i ? item.layers.length - 1 : 1]?.type ?? ""}` : "blob";
      const tab = button(item.writes.length > 2 && i && i < item.writes.length - 1 ? `after ${each.after}` : words, () => this.hooks.blob(each));
      tab.title = `${each.name}: after ${each.after}`;
      press(tab, !param && each === write);
      return tab;
    });
    for (const layer of item.layers) {
      for (const each of layer.params) {
        const words = `${layer.key}.${each.number}`;
        const tab = button(`${each.name} ${each.shape}`, () => this.hooks.param(words));
        press(tab, param === words);
        tabs.push(tab);
      }
    }
    const box = byId("writes");
    // The buttons are new: the one that was pressed goes on being the one that has the keys.
    const held = [...box.children].findIndex((each) => each === document.activeElement);
    box.replaceChildren(...tabs);
    tabs[held]?.focus({ preventScroll: true });
  }

  /** @param {string} blob the one whose frames are wanted; "" for none */
  watch(blob) {
    if (this.blob === blob && this.form) return;
    this.blob = blob;
    this.clear();
    if (blob && this.last) this.update(this.last);
  }

  clear() {
    this.form = "";
    this.view = null;
    this.region = null;
    this.box.replaceChildren();
    say(this.readout, "");
    say(byId("count"), "");
    byId("spread").replaceChildren();
    byId("numbers").replaceChildren();
  }

  /** @param {Frame} frame */
  update(frame) {
    this.last = frame;
    const part = frame.head.blob;
    if (!part || part.name !== this.blob) return;
    this.frame = frame.head.frame ?? 0;
    this.first = part.first ?? 0;
    const tiles = frame.tiles(part);
    const form = JSON.stringify([part.name, part.count, part.height, part.width, part.first]);
    if (form !== this.form) this.build(form, part, frame);
    if (tiles && this.view instanceof Grid) {
      if (this.range) tiles.range = this.range;
      this.view.update(tiles);
    } else if (this.view instanceof Bars) {
      this.view.update(frame.values(part));
    }
    if (frame.head.spread) this.spread(frame.head.spread);
  }

  /** @param {string} form @param {Part} part @param {Frame} frame */
  build(form, part, frame) {
    this.clear();
    this.form = form;
    const write = this.facts.items.flatMap((item) => item.writes).find((each) => each.blob === part.name);
    const title = `${write?.name ?? ""} ${write?.dims.join("x") ?? ""}`;
    if (part.codes === undefined) {
      const names = part.name === this.facts.probability ? this.facts.labels : [];
      this.bars(frame.values(part), title, names.slice(part.first), part.first ?? 0);
      this.counted(part.count, part.total, "values", part.first ?? 0, part.most ?? part.count, rowsOf(part));
      return;
    }
    const meta = {
      count: part.count, height: part.height ?? 1, width: part.width ?? 1, title,
      scale: /** @type {import("../page/tiles.js").Scale} */ ("all"),
      unit: write?.unit ?? "channel", depth: write?.depth ?? 1, first: part.first ?? 0,
    };
    const grid = this.grid(meta, () => /** @type {import("../page/tiles.js").Tiles} */ (frame.tiles(part)));
    grid.tells = (tile, y, x) => this.exact(tile, y, x);
    this.counted(part.count, part.total, `${meta.unit}s`, part.first ?? 0, part.most ?? part.count, `, ${meta.height}x${meta.width} each${rowsOf(part)}`);
    this.choose(this.tile);
  }

  /** @param {Float32Array} values @param {string} title @param {string[]} names
   * @param {number} first the number of the first one @param {Hooks["pick"]} [pick] */
  bars(values, title, names, first, pick = this.hooks.pick) {
    const bars = new Bars(this.box, this.readout, values, title, names, [], 220);
    bars.first = first;
    bars.picks = (place) => pick(first + place, 0, 0);
    this.view = bars;
    this.fit();
    bars.draw();
    this.choose(this.tile);
  }

  /** @param {import("../page/grid.js").GridMeta} meta @param {() => import("../page/tiles.js").Tiles} load @param {Hooks["pick"]} [pick] */
  grid(meta, load, pick = this.hooks.pick) {
    const grid = new Grid(this.box, this.readout, meta, load, this.settings, this.palettes,
      (_, tile, y, x) => pick(tile + (meta.first ?? 0), y, x));
    this.view = grid;
    grid.zoom = this.zoom;
    this.fit();
    grid.draw();
    return grid;
  }

  /** @param {number} count @param {number} total @param {string} noun @param {number} first @param {number} most @param {string} [more] */
  counted(count, total, noun, first, most, more = "") {
    const where = first ? `, from ${first.toLocaleString("en")} on` : "";
    this.paged(`${count.toLocaleString("en")} of ${total.toLocaleString("en")} ${noun} shown${where}${more}`, count, total, first, most);
  }

  /** @param {string} words @param {number} count @param {number} total @param {number} first @param {number} most */
  paged(words, count, total, first, most) {
    const box = byId("count");
    say(box, words);
    if (total <= count) return;
    /** @param {string} name @param {number} to */
    const turn = (name, to) => {
      const made = button(name, () => {
        this.turned = name;
        this.hooks.page(to);
      });
      made.disabled = to < 0 || to >= total;
      return made;
    };
    const [before, after] = [turn("previous", first ? Math.max(0, first - most) : -1), turn("next", first + count)];
    const pages = make("span", "pages");
    pages.append(before, " ", after);
    box.append(" ", pages);
    // The buttons are new: the one that was pressed goes on being the one that has the keys.
    if (this.turned) ((this.turned === "next") === !after.disabled ? after : before).focus({ preventScroll: true });
    this.turned = "";
  }

  /** @param {Spread} spread */
  drawSpread(spread) {
    const box = byId("spread");
    box.replaceChildren();
    new Histogram(box, spread.low, spread.high, spread.counts, "how the numbers of the blob are spread").draw();
    byId("numbers").replaceChildren(...spreadTerms(spread));
  }

  fit() {
    if (!this.view || !this.box.clientWidth) return;
    if (this.view instanceof Grid) {
      this.view.zoom = this.zoom;
      const tall = matchMedia("(max-width: 40rem)").matches ? PHONE_TALL : this.box.clientHeight - 12;
      this.view.fit(this.box.clientWidth - 4, Math.max(160, tall));
    } else {
      this.view.fit(this.box.clientWidth - 4);
      if (this.view.canvas.dataset.drawn === undefined) this.view.draw();
    }
  }

  /** @param {number} tile counted over the whole blob */
  choose(tile) {
    this.tile = tile;
    if (this.view instanceof Grid) this.view.choose(tile - this.first);
    else if (this.view) {
      this.view.chosen = tile - this.first;
      this.view.tell(tile - this.first);
    }
  }

  /** @param {string} words "layer.number" @param {number} first of its tiles */
  async param(words, first) {
    this.watch("");
    this.clear();
    say(byId("count"), "\u2026"); // large ones take a second
    const at = words.lastIndexOf(".");
    const found = await this.link.ask({ ask: "param", layer: words.slice(0, at), number: Number(words.slice(at + 1)), first });
    if (this.blob) return; // something else was chosen meanwhile
    this.clear();
    if (found.fault) return say(byId("count"), found.fault);
    this.form = words;
    const { panel, data } = found;
    /** @type {Hooks["pick"]} */
    const pick = (tile, y) => {
      const { unit, depth = 1, first = 0 } = panel.tiles ?? {};
      this.hooks.channel(unit === "matrix" ? first + y : unit === "kernel" ? Math.floor(tile / depth) : tile, found.channels);
    };
    if (panel.kind === "tiles") this.grid(panel.tiles, () => this.ranged(unpack(panel.tiles, () => data)), pick);
    else if (panel.kind === "vector") this.bars(new Float32Array(bytesOf(data).buffer), panel.title, panel.names, found.first, pick);
    const told = `${found.title}: ${[found.statement, ...found.words].join("; ")}`;
    this.paged(told, found.count || found.total, found.total, found.first, found.most);
    this.spread(found.spread);
  }

  /** @template {import("../page/tiles.js").Tiles} T @param {T} tiles @returns {T} */
  ranged(tiles) {
    return this.range ? { ...tiles, range: this.range } : tiles;
  }

  redraw() {
    if (this.view instanceof Grid && this.view.tiles) {
      this.view.tiles.range = this.range ?? undefined;
      this.view.update(this.view.tiles);
    }
  }

  /**
   * Tell the value in full precision: its surroundings are fetched once.
   * @param {number} tile of those that are shown @param {number} y @param {number} x
   * @returns {Promise<void>}
   */
  async exact(tile, y, x) {
    const [top, left] = [y - (y % REGION), x - (x % REGION)];
    const key = JSON.stringify([this.blob, this.frame, tile + this.first, top, left]);
    if (this.region?.key !== key) {
      if (this.asking) return;
      this.asking = key;
      const found = await this.link.ask({ ask: "values", blob: this.blob, tile: tile + this.first, y: top, x: left, h: REGION, w: REGION });
      this.asking = "";
      if (found.fault || found.frame !== this.frame) return;
      this.region = { key, width: found.shape[1], values: new Float32Array(bytesOf(found.values).buffer) };
    }
    const view = this.view;
    if (!(view instanceof Grid) || !view.told) return;
    const [place, ny, nx] = [view.order[view.told.place], view.told.y, view.told.x];
    if (place !== tile || ny !== y || nx !== x) return this.exact(place, ny, nx);
    const value = this.region.values[(y - top) * this.region.width + x - left];
    say(this.readout, `${tileWords(view.meta, tile)}, y ${y}, x ${x}: ${number(value, 8)}`);
  }

  dragToPan() {
    /** @type {{x: number, y: number, left: number, top: number} | null} */
    let from = null;
    this.box.addEventListener("pointerdown", (event) => {
      if (this.zoom === 1 || event.pointerType !== "mouse") return;
      from = { x: event.clientX, y: event.clientY, left: this.box.scrollLeft, top: this.box.scrollTop };
    });
    addEventListener("pointermove", (event) => {
      if (!from) return;
      this.box.scrollLeft = from.left + from.x - event.clientX;
      this.box.scrollTop = from.top + from.y - event.clientY;
    });
    addEventListener("pointerup", (event) => {
      const moved = from && Math.hypot(event.clientX - from.x, event.clientY - from.y) > 4;
      from = null;
      // What ends a drag is no click on a unit.
      if (moved) this.box.addEventListener("click", (click) => click.stopPropagation(), { capture: true, once: true });
    });
  }
}

/** @param {Part} part @returns {string} what is left out of a blob whose first axis is no batch of one */
function rowsOf({ rows = 1 }) {
  return rows > 1 ? `; the first of ${rows.toLocaleString("en")} along axis 0` : "";
}

/** @param {Spread} spread @returns {HTMLElement[]} */
export function spreadTerms(spread) {
  if (spread.not_finite && spread.not_finite === spread.size) return terms([["NaN, infinite", "all of them"]]);
  /** @type {[string, string][]} */
  const rows = [["lowest", number(spread.low)], ["highest", number(spread.high)], ["mean", number(spread.mean)]];
  rows.push(["zeros", spread.size ? `${number((100 * spread.zeros) / spread.size, 3)} %` : "none"]);
  if (spread.channels > 1) rows.push(["dead maps", `${spread.dead} of ${spread.channels}`]);
  if (spread.not_finite) rows.push(["NaN, infinite", spread.not_finite.toLocaleString("en")]);
  return terms(rows);
}
