// Elements of the page: found by id, or made with words that are only ever text.

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [style] its class
 * @param {string} [words]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, style = "", words = "") {
  const element = document.createElement(tag);
  if (style) element.className = style;
  if (words) element.textContent = words;
  return element;
}

/**
 * A name that may be broken behind what parts it, and so not in the middle of a word.
 * @param {HTMLElement} element
 * @param {string} name
 */
export function sayName(element, name) {
  const parts = name.split(/(?<=[/_.:@])/);
  element.replaceChildren(...parts.flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part])));
}

/** @param {string} words @param {() => void} action @returns {HTMLButtonElement} */
export function button(words, action) {
  const made = make("button", "", words);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

/** @param {HTMLElement} element @param {string} words changes the page only where they differ */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** @param {Element} element @param {boolean} pressed */
export function press(element, pressed) {
  element.setAttribute("aria-pressed", String(pressed));
}

/**
 * What is done at once, but not again before some time is over; the last call is always done.
 * @template T
 * @param {(given: T) => void} action
 * @param {number} pause milliseconds
 * @returns {(given: T) => void}
 */
export function sparing(action, pause) {
  let last = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (given) => {
    clearTimeout(timer);
    const act = () => {
      last = performance.now();
      action(given);
    };
    const wait = last + pause - performance.now();
    if (wait <= 0) act();
    else timer = setTimeout(act, wait);
  };
}

/** @param {[string, string][]} rows @returns {HTMLElement[]} the rows of a list of terms */
export function terms(rows) {
  return rows.map(([name, words]) => {
    const row = make("div");
    row.append(make("dt", "", name), make("dd", "", words));
    return row;
  });
}

/**
 * Pixels without an alpha channel onto a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {Uint8Array} rgb
 */
export function drawPixels(canvas, width, height, rgb) {
  canvas.width = width;
  canvas.height = height;
  const pixels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    pixels[to] = rgb[from];
    pixels[to + 1] = rgb[from + 1];
    pixels[to + 2] = rgb[from + 2];
  }
  if (width && height) canvas.getContext("2d")?.putImageData(new ImageData(pixels, width), 0, 0);
}
