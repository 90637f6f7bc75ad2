// A vector as bars from the line of zero; hover and arrow keys tell each value.

import { number } from "./words.js";

const BARS_TALL = 96;

/** The view of one vector. */
export class Bars {
  /**
   * @param {HTMLElement} stage the box to fill
   * @param {HTMLElement} readout the line below it
   * @param {Float32Array} values
   * @param {string} title
   * @param {string[]} names of the values, where they have any
   * @param {number[]} [range] that the bars are drawn in; their own where it is left out
   * @param {number} [tall] pixels from top to bottom
   */
  constructor(stage, readout, values, title, names, range = [], tall = BARS_TALL) {
    this.tall = tall;
    this.range = range;
    this.stage = stage;
    this.readout = readout;
    this.values = values;
    this.names = names;
    this.place = -1;
    this.first = 0; // the number of the first value, where others are before it
    this.low = this.high = 0;
    this.chosen = -1; // the value that keeps the mark when nothing else has it
    /** @type {(place: number) => void} what else is to follow the pointer */
    this.follow = () => {};
    /** @type {(place: number) => void} hears which value is clicked */
    this.picks = () => {};
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `${title}; arrow keys tell each value`);
    this.frame = document.createElement("div");
    this.frame.className = "frame bars";
    this.frame.style.height = `${this.tall}px`;
    this.mark = document.createElement("span");
    this.mark.className = "mark";
    this.mark.hidden = true;
    this.frame.append(this.canvas, this.mark);
    stage.append(this.frame);
    this.columns = this.wide = 1;
    /** @param {PointerEvent | MouseEvent} event */
    const under = (event) => {
      const x = event.clientX - this.canvas.getBoundingClientRect().left;
      return Math.floor((Math.floor(x / this.wide) * this.values.length) / this.columns);
    };
    this.canvas.addEventListener("pointermove", (event) => this.point(under(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(this.chosen));
    this.canvas.addEventListener("click", (event) => this.picks(under(event)));
    this.measure();
  }

  measure() {
    const ends = this.range.length ? this.range : [...this.values.filter(Number.isFinite)];
    this.low = ends.reduce((a, b) => Math.min(a, b), 0);
    this.high = ends.reduce((a, b) => Math.max(a, b), 0);
  }

  /** @param {Float32Array} values the next ones, as many as before */
  update(values) {
    const place = this.place;
    this.values = values;
    this.measure();
    this.draw();
    this.tell(place);
  }

  /** @param {number} available pixels from left to right */
  fit(available) {
    const room = Math.max(60, Math.min(900, available - 6));
    this.columns = Math.min(this.values.length, Math.floor(room));
    this.wide = Math.max(1, Math.min(24, Math.floor(room / this.columns)));
    this.frame.style.width = `${this.columns * this.wide}px`;
    if (this.canvas.dataset.drawn) this.draw();
  }

  draw() {
    const { values, columns, wide, canvas, tall } = this;
    canvas.width = columns * wide;
    canvas.height = tall;
    const pen = canvas.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(this.stage);
    const ink = style.getPropertyValue("--mark");
    const span = this.high - this.low || 1;
    /** @param {number} value */
    const level = (value) => Math.round(((this.high - value) / span) * (tall - 2)) + 1;
    for (let column = 0; column < columns; column++) {
      const start = Math.floor((column * values.length) / columns);
      const end = Math.max(start + 1, Math.floor(((column + 1) * values.length) / columns));
      const part = values.subarray(start, end);
      const whole = part.every(Number.isFinite);
      const [up, down] = [level(Math.max(0, ...part)), level(Math.min(0, ...part))];
      pen.fillStyle = whole ? ink : "#ff00ff";
      const width = wide > 2 ? wide - 1 : wide;
      if (whole) pen.fillRect(column * wide, up, width, Math.max(part.some((v) => v !== 0) ? 1 : 0, down - up));
      else pen.fillRect(column * wide, 0, width, tall);
    }
    pen.fillStyle = style.getPropertyValue("--dim");
    pen.fillRect(0, Math.min(tall - 1, level(0)), canvas.width, 1);
    canvas.dataset.drawn = "bars";
    this.tell(-1);
  }

  release() {
    this.canvas.width = this.canvas.height = 0;
    delete this.canvas.dataset.drawn;
  }

  /** @param {number} place the value to tell here and in what follows; -1 for none */
  point(place) {
    this.tell(place);
    this.follow(this.place);
  }

  /** @param {number} place the value to tell; -1 for none */
  tell(place) {
    const { values, columns, wide, names } = this;
    this.place = Math.max(-1, Math.min(place, values.length - 1));
    this.mark.hidden = this.place < 0;
    if (this.place < 0) {
      const shared = columns < values.length ? `, ${number(values.length / columns, 3)} to a column` : "";
      const ends = values.length ? `, drawn from ${number(this.low, 3)} to ${number(this.high, 3)}` : "";
      this.readout.textContent = `${values.length.toLocaleString("en")} values${shared}${ends}`;
      return;
    }
    this.mark.style.left = `${Math.floor((this.place * columns) / values.length) * wide}px`;
    this.mark.style.top = "0";
    this.mark.style.width = `${Math.max(2, wide - 1)}px`;
    this.mark.style.height = `${this.tall}px`;
    const name = names[this.place] ? ` (${names[this.place]})` : "";
    this.readout.textContent = `${this.first + this.place}${name}: ${number(values[this.place], 6)}`;
  }

  /** @param {number} right @param {number} down */
  move(right, down) {
    this.point(Math.max(0, this.place + right + 10 * down));
  }
}
