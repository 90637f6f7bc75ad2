// The most likely classes, with their names and shares; a net that tells none has its input there.

import { button, byId, make, say } from "./elements.js";

/** @param {import("./frames.js").Guess[]} guesses @param {(index: number) => void} choose */
export function showGuesses(guesses, choose) {
  const box = byId("guesses");
  while (box.children.length > guesses.length) box.lastElementChild?.remove();
  guesses.forEach(({ index, value, label }, i) => {
    let row = box.children[i];
    if (!row) {
      row = make("li");
      row.append(button("", () => {}), make("span", "share"), make("output"));
      box.append(row);
    }
    const [name, share, told] = /** @type {HTMLElement[]} */ ([...row.children]);
    say(name, label || `class ${index}`);
    name.onclick = () => choose(index);
    share.style.setProperty("--share", `${(100 * Math.max(0, Math.min(1, value ?? 0))).toFixed(1)}%`);
    say(told, value === null ? "not finite" : `${(100 * value).toFixed(1)} %`);
  });
  say(byId("guesstitle"), guesses.length ? "Most likely" : "Before the net");
}
