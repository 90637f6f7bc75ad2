// The keys of the viewer: those that users of the Deep Visualization Toolbox know.

/** @typedef {{move: (right: number, down: number) => void, layer: (by: number) => void, enter: () => void, freeze: () => void,
 *   camera: () => void, method: () => void, zoom: () => void, next: (name: "scale" | "color" | "sort") => void, before: () => void, back: () => void,
 *   help: () => void, reset: () => void}} Actions */

/** @type {import("../page/keys.js").Key<Actions>[]} */
export const KEYS = [
  [["ArrowUp", "i"], "the unit above; in its map: the value above", (a) => a.move(0, -1)],
  [["ArrowDown", "k"], "below", (a) => a.move(0, 1)],
  [["ArrowLeft", "j"], "to the left", (a) => a.move(-1, 0)],
  [["ArrowRight", "l"], "to the right", (a) => a.move(1, 0)],
  [["Enter"], "from the grid into the map of the unit, and back", (a) => a.enter()],
  [["u"], "previous layer", (a) => a.layer(-1)],
  [["o"], "next layer", (a) => a.layer(1)],
  [["b"], "before or after what works in place (ReLU)", (a) => a.before()],
  [["Backspace"], "back to where the last step was made", (a) => a.back()],
  [["f"], "freeze the camera, and go on", (a) => a.freeze()],
  [["c"], "camera on or off", (a) => a.camera()],
  [["g"], "next method of what moved the unit", (a) => a.method()],
  [["z"], "zoom: 1, 2, 4, 8 times", (a) => a.zoom()],
  [["s"], "next scaling", (a) => a.next("scale")],
  [["m"], "next colours", (a) => a.next("color")],
  [["a"], "next order (by activity)", (a) => a.next("sort")],
  [["h", "?"], "this help", (a) => a.help()],
  [["Escape"], "close, and set everything back", (a) => a.reset()],
];
