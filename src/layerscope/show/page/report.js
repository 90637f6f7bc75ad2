// The report: finds the figures of the page, gives each its view, and listens to the reader.

import { Bars } from "./bars.js";
import { Grid } from "./grid.js";
import { Histogram } from "./histogram.js";
import { REPORT_KEYS, keyTable, listenToKeys } from "./keys.js";
import { Layers } from "./layers.js";
import { linkViews } from "./linked.js";
import { bytesOf, textOf, unpack } from "./packed.js";
import { AT_FIRST, CONTROLS, Settings } from "./settings.js";
import { Zoom } from "./zoom.js";

/** @typedef {import("./packed.js").Packed & import("./grid.js").GridMeta} PackedGrid */
/** @typedef {{group?: number, fixed?: Partial<import("./settings.js").Choice>, range?: number[]}} Together of a comparison */
/** @typedef {Together & ({kind: "tiles", tiles: PackedGrid} | {kind: "vector", data: string, title: string, names: string[]})} Panel */
/** @typedef {{low: number, high: number, counts: number[]}} Spread */
/** @typedef {{palettes: Record<"gray" | "heat" | "diverging", string>, panels: Panel[], spreads: Spread[]}} Index */

/** @typedef {Grid | Bars | Histogram} View */

/** @returns {void} */
function start() {
  /** @type {Index} */
  const index = JSON.parse(textOf("index"));
  const palettes = {
    gray: bytesOf(index.palettes.gray),
    heat: bytesOf(index.palettes.heat),
    diverging: bytesOf(index.palettes.diverging),
  };
  const settings = new Settings(CONTROLS);
  const zoom = new Zoom(document.body);
  /** @type {Map<Element, View>} */
  const views = new Map();
  /** @type {Map<number, (Grid | Bars)[]>} */
  const groups = new Map();
  for (const stage of queryAll("[data-panel]")) {
    const panel = index.panels[Number(stage.dataset.panel)];
    const readout = stage.parentElement?.querySelector(".readout");
    if (!(readout instanceof HTMLElement)) continue;
    const own = panel.fixed ? settings.fixed(panel.fixed) : settings;
    const view = panel.kind === "tiles"
      ? new Grid(stage, readout, panel.tiles, () => unpack(panel.tiles), own, palettes, (grid, tile) => zoom.show(grid, tile))
      : new Bars(stage, readout, new Float32Array(bytesOf(panel.data).buffer), panel.title, panel.names, panel.range);
    views.set(stage, view);
    if (panel.group !== undefined) groups.set(panel.group, [...(groups.get(panel.group) ?? []), view]);
  }
  for (const together of groups.values()) linkViews(together);
  for (const box of queryAll("[data-spread]")) {
    const { low, high, counts } = index.spreads[Number(box.dataset.spread)];
    views.set(box, new Histogram(box, low, high, counts, box.dataset.title ?? ""));
  }
  fit(views);
  const layers = new Layers(queryAll("section.layer"), document.querySelectorAll(".contents a"));
  const help = helpDialog();
  buildBar(settings, help);
  watch(views, settings, zoom);
  whenWhole(() => steer(views, settings, zoom, help, layers));
  for (const box of queryAll("nav.drawing")) box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
  // The boxes have their sizes only now, so a page that was opened at a layer goes there again.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  layers.follow();
}

/** @param {string} selector @returns {HTMLElement[]} */
function queryAll(selector) {
  return [...document.querySelectorAll(selector)].filter((found) => found instanceof HTMLElement);
}

/** @param {Settings} settings @param {HTMLDialogElement} help */
function buildBar(settings, help) {
  const bar = /** @type {HTMLElement} */ (document.querySelector(".bar"));
  settings.build(bar);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "keys";
  button.addEventListener("click", () => help.showModal());
  bar.append(button);
}

/** @returns {HTMLDialogElement} */
function helpDialog() {
  const dialog = document.createElement("dialog");
  dialog.className = "help";
  const title = document.createElement("h3");
  title.textContent = "Keys";
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(title, keyTable(REPORT_KEYS), close);
  document.body.append(dialog);
  return dialog;
}

/** @param {Map<Element, View>} views all measured first: a box that is sized moves the others */
function fit(views) {
  const rooms = [...views.keys()].map((stage) => stage.clientWidth);
  [...views.values()].forEach((view, i) => view.fit(rooms[i]));
}

/** @param {() => void} action for when the numbers, which are behind the script, have been read */
function whenWhole(action) {
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", action);
  else action();
}

/**
 * Draw what comes near the window, forget what is far from it, and follow changes.
 * @param {Map<Element, View>} views
 * @param {Settings} settings
 * @param {Zoom} zoom
 */
function watch(views, settings, zoom) {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const view = views.get(target);
      if (isIntersecting) view?.draw();
      else if (view && !(zoom.isOpen && zoom.grid === view)) view.release();
    }
  }, { rootMargin: "600px" });
  const observe = () => {
    for (const stage of views.keys()) observer.observe(stage);
  };
  whenWhole(observe);
  const refresh = () => {
    fit(views);
    if (zoom.isOpen) zoom.draw();
  };
  settings.listeners.push(refresh);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width !== innerWidth) refresh();
    width = innerWidth;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  addEventListener("beforeprint", () => {
    observer.disconnect(); // what is out of sight is printed too
    for (const view of views.values()) view.draw();
  });
  addEventListener("afterprint", observe);
}

/**
 * @param {Map<Element, View>} views
 * @param {Settings} settings
 * @param {Zoom} zoom
 * @param {HTMLDialogElement} help
 * @param {Layers} layers
 */
function steer(views, settings, zoom, help, layers) {
  /** @returns {View | undefined} the view that has the focus, or the first of the current layer */
  const current = () => {
    const active = document.activeElement;
    const focused = [...views.values()].find((view) => view.canvas !== null && view.canvas === active);
    if (focused) return focused;
    const section = layers.sections[layers.current];
    const stage = section?.querySelector("[data-panel]");
    return stage ? views.get(stage) : undefined;
  };
  listenToKeys(REPORT_KEYS, {
    layer: (by) => {
      zoom.dialog.close();
      layers.go(by);
    },
    move: (right, down) => {
      if (zoom.isOpen) return zoom.move(right, down);
      const view = current();
      if (!view || view instanceof Histogram) return;
      view.canvas.focus({ preventScroll: true });
      view.move(right, down);
    },
    enter: () => {
      const view = current();
      if (view instanceof Grid) view.enter();
    },
    next: (name) => settings.next(name),
    help: () => (help.open ? help.close() : help.showModal()),
    reset: () => {
      if (zoom.isOpen || help.open) {
        zoom.dialog.close();
        help.close();
        return;
      }
      settings.set(AT_FIRST);
      for (const view of views.values()) if (view instanceof Grid) view.markPlace(-1);
    },
  }, () => zoom.isOpen || document.activeElement?.tagName === "CANVAS" || document.activeElement?.tagName === "SECTION", help);
}

start();
document.documentElement.classList.add("ready");
