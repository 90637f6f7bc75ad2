// Why a number is what it is: patch, kernel, products and their sum, step by step.

import { matrix } from "./cells.js";
import { button, byId, make, terms } from "./elements.js";
import { number } from "../page/words.js";

/** @typedef {{label: string, plane: number, sum: number, values: number[][], parts: number[][], weights: number[][] | null, inside: boolean[][]}} Plane */
/** @typedef {{rows: string, columns: string, total: number, cells: number, winner: number[] | null, planes: Plane[]}} Window */
/** @typedef {{role: string, place: string, value: number, weight: number | null, part: number, learned: string}} Operand */
/** @typedef {{label: string, equation: string, kind: string, result: number, engine: number | null, outside: string,
 *   counts: Record<string, number>, window: Window | null, operands: Operand[]}} Step */

const OPERANDS = 8;

/** The explanation panel. */
export class Why {
  /** @param {(unit: string) => void} follow goes on to the unit that this one owes most to */
  constructor(follow) {
    this.box = byId("why");
    this.box.tabIndex = -1;
    this.follow = follow;
  }

  clear() {
    this.box.removeAttribute("aria-busy");
    this.box.replaceChildren();
  }

  /** What is shown is of another unit or frame; it stays until the next one is there. */
  wait() {
    this.box.setAttribute("aria-busy", "true");
  }

  /** @param {() => void} action what explains this frame */
  offer(action) {
    this.box.removeAttribute("aria-busy");
    this.box.replaceChildren(make("h3", "", "Why this number"), button("Freeze and explain", action));
  }

  /** @param {import("./link.js").Answer} found */
  show(found) {
    const steps = this.box.contains(document.activeElement);
    this.fill(found);
    if (!steps) return;
    // The one who stepped back by key goes on from there.
    const back = this.box.querySelector("button") ?? this.box;
    back.focus({ preventScroll: true });
  }

  /** @param {import("./link.js").Answer} found */
  fill(found) {
    this.box.removeAttribute("aria-busy");
    this.box.replaceChildren(make("h3", "", "Why this number"));
    if (found.fault) return this.box.append(make("p", "reason", found.fault));
    for (const layer of found.layers) this.box.append(make("p", "dim", layer));
    if (found.pixel_words) this.box.append(make("p", "", found.pixel_words));
    if (found.fed) this.box.append(make("p", "dim", found.fed));
    if (found.reason) this.box.append(make("p", "reason", found.reason), ...found.bottoms.map((/** @type {string} */ b) => make("p", "dim", b)));
    found.steps.forEach((/** @type {Step} */ step) => this.box.append(stepBox(step)));
    if (found.steps_total > found.steps.length) {
      this.box.append(make("p", "dim", `${found.steps.length} of ${found.steps_total} steps shown`));
    }
    if (found.recomputed !== null && found.steps.length) {
      const check = make("dl", "numbers check");
      check.append(...terms([
        ["engine (float32)", number(found.value, 9)], ["recomputed (float64)", number(found.recomputed, 9)],
        ["difference", number(found.difference, 3)],
      ]));
      this.box.append(check);
    }
    if (!found.strongest) return;
    const back = button(`Step back to ${found.strongest}`, () => this.follow(found.strongest));
    back.className = "back";
    back.title = "the number that this one owes most to";
    this.box.append(back);
  }
}

/** @param {Step} step @returns {HTMLElement} */
function stepBox(step) {
  const box = make("div", "step");
  box.append(make("h4", "", step.label), make("p", "equation", `= ${step.equation}`));
  const { window: found } = step;
  if (found) {
    const outside = step.outside ? `; ${step.outside}` : "";
    const reads = found.rows ? `rows ${found.rows}, columns ${found.columns}` : "nothing";
    box.append(make("p", "dim", `reads ${reads}${outside}`));
    if (found.planes.length && !found.winner) {
      box.append(make("p", "dim", `${found.planes.length} of ${found.total} channels shown, largest sums first`));
    }
    for (const plane of found.planes) box.append(planeBox(plane, found.winner));
  }
  const shown = step.operands.filter((each) => each.role === step.operands[0]?.role).slice(0, OPERANDS);
  const total = step.counts[step.operands[0]?.role ?? ""] ?? 0;
  if (total > 1 && shown.length) {
    const noun = shown[0].weight === null ? "numbers" : "products";
    box.append(make("p", "dim", `${shown.length} of ${total.toLocaleString("en")} ${noun} shown, largest first`), operandTable(shown));
  }
  return box;
}

/** @param {Operand[]} operands @returns {HTMLElement} */
function operandTable(operands) {
  const most = Math.max(...operands.map((each) => Math.abs(each.part ?? 0))) || 1;
  const box = make("div", "scroll");
  const table = make("table", "operands");
  for (const each of operands) {
    const row = table.insertRow();
    row.insertCell().textContent = each.place;
    const sum = each.weight === null ? number(each.value) : `${number(each.value)} \u00d7 ${number(each.weight)} = ${number(each.part)}`;
    row.insertCell().textContent = sum;
    row.cells[1].title = each.learned;
    const bar = make("span", each.part < 0 ? "part negative" : "part");
    bar.style.width = `${(30 * Math.abs(each.part ?? 0)) / most}px`;
    row.insertCell().append(bar);
  }
  box.append(table);
  return box;
}

/** @param {Plane} plane @param {number[] | null} winner @returns {HTMLElement} patch, kernel and products */
function planeBox(plane, winner) {
  const box = make("figure", "plane");
  const shown = plane.weights ? `: adds ${number(plane.sum)}` : "";
  box.append(make("figcaption", "", `${plane.label}${shown}`));
  const row = make("div", "matrices");
  /** @type {[string, number[][]][]} */
  const matrices = [["patch", plane.values]];
  if (plane.weights) matrices.push(["kernel", plane.weights], ["products", plane.parts]);
  matrices.forEach(([name, values], i) => {
    if (i) row.append(make("span", "sign", i === 1 ? "\u00d7" : "="));
    const kernel = name === "kernel";
    row.append(matrix(name, values, kernel ? null : plane.inside, winner && winner[0] === plane.plane ? winner : null));
  });
  box.append(row);
  return box;
}
