// The address of a tab as the keeper of the place, so that a view is a link and the back button returns.

/** @typedef {import("./place.js").Keeper} Keeper */

/** @implements {Keeper} */
export class AddressBar {
  constructor() {
    this.steps = 0; // that were made here: behind them is another page
  }

  read() {
    return location.hash.slice(1);
  }

  /** @param {string} words @param {boolean} step */
  write(words, step) {
    if (words === this.read()) return;
    if (step) history.pushState(null, "", `#${words}`);
    else history.replaceState(null, "", `#${words}`);
    if (step) this.steps++;
  }

  back() {
    if (this.steps) history.back();
  }

  /** @param {() => void} moved */
  listen(moved) {
    addEventListener("popstate", () => {
      this.steps = Math.max(0, this.steps - 1);
      moved();
    });
  }
}
