// What the reader has chosen for all grids at once, and the row of controls that shows it.

/** @typedef {import("./tiles.js").Scale} Scale */
/** @typedef {import("./tiles.js").Color} Color */
/** @typedef {import("./tiles.js").Sort} Sort */
/** @typedef {{scale: "auto" | Scale, color: Color, sort: Sort}} Choice "auto" is what fits the array */

/** @typedef {Record<keyof Choice, [string, [string, string][]]>} Controls of each choice its title, values and words */

/** @type {Controls} */
export const CONTROLS = {
  scale: ["scaling", [["auto", "as it fits"], ["all", "over all"], ["tile", "each tile"], ["signed", "around zero"],
    ["tile-signed", "each around zero"]]],
  color: ["colours", [["auto", "as scaled"], ["gray", "gray"], ["heat", "heat"], ["diverging", "diverging"]]],
  sort: ["order", [["index", "as in the net"], ["mean", "by mean"], ["max", "by maximum"]]],
};

/** @type {Readonly<Choice>} */
export const AT_FIRST = { scale: "auto", color: "auto", sort: "index" };

/** The choice, and who wants to know when it changes. */
export class Settings {
  /** @param {Controls} controls what can be chosen */
  constructor(controls) {
    this.controls = controls;
    /** @type {Choice} */
    this.choice = { ...AT_FIRST };
    /** @type {(() => void)[]} */
    this.listeners = [];
    /** @type {Map<string, HTMLSelectElement>} */
    this.selects = new Map();
  }

  /** @param {Partial<Choice>} change */
  set(change) {
    Object.assign(this.choice, change);
    for (const [name, select] of this.selects) select.value = this.choice[/** @type {keyof Choice} */ (name)];
    for (const listener of this.listeners) listener();
  }

  /** @param {Partial<Choice>} choice what a grid keeps, whatever the reader chooses @returns {{choice: Choice}} */
  fixed(choice) {
    const settings = this;
    return {
      get choice() {
        return { ...settings.choice, ...choice };
      },
    };
  }

  /** @param {keyof Choice} name the one whose next value is wanted */
  next(name) {
    const values = this.controls[name][1].map(([value]) => value);
    const at = values.indexOf(this.choice[name]);
    this.set({ [name]: values[(at + 1) % values.length] });
  }

  /** @param {HTMLElement} bar where the controls go */
  build(bar) {
    for (const [name, [title, values]] of Object.entries(this.controls)) {
      const label = document.createElement("label");
      const select = document.createElement("select");
      select.name = name;
      for (const [value, words] of values) select.add(new Option(words, value));
      select.addEventListener("change", () => this.set({ [name]: select.value }));
      this.selects.set(name, select);
      label.append(title, select);
      bar.append(label);
    }
  }
}

/** @param {Scale} scale @returns {string} the words of a caption */
export function scaleWords(scale) {
  return {
    all: "over all", tile: "each by its own", signed: "around zero", "tile-signed": "each around zero",
    fixed: "between fixed ends",
  }[scale];
}
