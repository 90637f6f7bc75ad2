// The keyboard: one table of keys, which is also the help.

/** @typedef {{layer: (by: number) => void, move: (right: number, down: number) => void, enter: () => void,
 *   next: (name: "scale" | "color" | "sort") => void, help: () => void, reset: () => void}} Actions */

/**
 * What a key does.
 * @template A
 * @typedef {[string[], string, (actions: A) => void]} Key
 */

/** @type {Key<Actions>[]} */
export const REPORT_KEYS = [
  [["u"], "previous layer", (a) => a.layer(-1)],
  [["o"], "next layer", (a) => a.layer(1)],
  [["ArrowUp", "i"], "up: a tile, or a unit of the enlarged tile", (a) => a.move(0, -1)],
  [["ArrowDown", "k"], "down", (a) => a.move(0, 1)],
  [["ArrowLeft", "j"], "left", (a) => a.move(-1, 0)],
  [["ArrowRight", "l"], "right", (a) => a.move(1, 0)],
  [["Enter"], "enlarge the tile", (a) => a.enter()],
  [["s"], "next scaling", (a) => a.next("scale")],
  [["c"], "next colours", (a) => a.next("color")],
  [["m"], "next order", (a) => a.next("sort")],
  [["h", "?"], "this help", (a) => a.help()],
  [["Escape"], "close, and set everything back", (a) => a.reset()],
];

const HELP = ["h", "?", "Escape"]; // what closes it

/**
 * @template A
 * @param {Key<A>[]} keys
 * @param {A} actions
 * @param {(event: KeyboardEvent) => boolean} moves whether arrow keys and Enter are ours just now
 * @param {HTMLDialogElement} help while it is open nothing behind it changes
 */
export function listenToKeys(keys, actions, moves, help) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target.tagName : "";
    if (target === "SELECT" || target === "INPUT" || target === "TEXTAREA") return;
    const found = keys.find(([names]) => names.includes(event.key));
    if (!found || (help.open && !HELP.includes(event.key))) return;
    const steers = event.key.startsWith("Arrow") || event.key === "Enter";
    if (steers && !moves(event)) return;
    event.preventDefault();
    found[2](actions);
  });
}

/**
 * @template A
 * @param {Key<A>[]} keys
 * @returns {HTMLTableElement} the keys and what they do
 */
export function keyTable(keys) {
  const table = document.createElement("table");
  for (const [names, words] of keys) {
    const row = table.insertRow();
    const cell = row.insertCell();
    for (const name of names) {
      const key = document.createElement("kbd");
      key.textContent = name.replace("Arrow", "").toLowerCase();
      cell.append(key, " ");
    }
    row.insertCell().textContent = words;
  }
  return table;
}
