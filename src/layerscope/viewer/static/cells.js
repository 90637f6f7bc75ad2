// A small plane of numbers as coloured cells, the numbers written so short that no digit is cut off.

import { make } from "./elements.js";
import { number } from "../page/words.js";

const WRITTEN = 5; // up to so many columns the numbers are written into the cells
const ROOM = 16.5; // of a line of cells, in digits

/**
 * Numbers as they fit into cells: in a unit of their own, where most would need a point and zeros.
 * @param {(number | null)[]} values null is NaN or infinite
 * @param {number} columns
 * @returns {{times: number, words: string[]}} what the words are to be multiplied with
 */
export function short(values, columns) {
  const room = ROOM / columns;
  const plain = values.map((value) => (value === null ? "NaN" : number(value, 3)));
  if (plain.every((words) => widthOf(words) <= room)) return { times: 1, words: plain };
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  const power = most >= 1 && most < 100 ? 0 : Math.floor(Math.log10(most)) - 1;
  const words = values.map((value) => {
    if (value === null) return "NaN";
    if (value === 0) return "0";
    const scaled = value / 10 ** power;
    return [2, 1].map((digits) => scaled.toFixed(digits)).find((each) => widthOf(each) <= room) ?? scaled.toFixed(0);
  });
  return { times: 10 ** power, words };
}

/** @param {string} words @returns {number} in digits: a point and a sign are narrower */
function widthOf(words) {
  return [...words].reduce((sum, letter) => sum + (letter === "." || letter === "-" ? 0.55 : 1), 0);
}

/**
 * The plane; each cell tells its number in full.
 * @param {string} name
 * @param {number[][]} values
 * @param {boolean[][] | null} inside
 * @param {number[] | null} winner plane, row, column
 * @returns {HTMLElement}
 */
export function matrix(name, values, inside, winner) {
  const columns = values[0].length;
  const all = values.flat();
  const most = Math.max(...all.map((value) => Math.abs(value ?? 0))) || 1;
  const written = columns <= WRITTEN;
  const { times, words } = written ? short(all, columns) : { times: 1, words: [] };
  const box = make("div", written ? "matrix written" : "matrix");
  box.style.setProperty("--columns", String(columns));
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `${name}, ${values.length} by ${columns}, largest ${number(most, 3)}`);
  values.forEach((line, y) => line.forEach((value, x) => {
    const there = !inside || inside[y][x];
    const cell = make("i", there ? "" : "outside", (there && words[y * columns + x]) || "");
    if (there) {
      const share = Math.round((100 * Math.abs(value ?? 0)) / most);
      cell.style.setProperty("--share", `${share}%`);
      if (value < 0) cell.className = "negative";
      if (share > 60) cell.classList.add("strong");
      cell.title = `${name} ${y}, ${x}: ${number(value, 6)}`;
    }
    if (winner && winner[1] === y && winner[2] === x) cell.classList.add("winner");
    box.append(cell);
  }));
  const whole = make("div", "named");
  whole.append(make("small", "dim", times === 1 ? name : `${name} \u00d7${number(times, 1)}`), box);
  return whole;
}
