// What a notebook runs for a cell (anywidget): a frame with the page, and a port between it and the kernel.

/**
 * The model of a widget, as anywidget gives it.
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: unknown) => void} set
 * @property {() => void} save_changes
 * @property {(content: object, callbacks?: unknown, buffers?: ArrayBuffer[]) => void} send
 * @property {(event: string, heard: (...given: any[]) => void) => void} on
 * @property {(event: string, heard: (...given: any[]) => void) => void} off
 */

const ENDED = "The kernel has ended, or the widget was closed; run the cell again.";

/** One view of a widget. */
class Cell {
  /** @param {Model} model @param {HTMLElement} el */
  constructor(model, el) {
    this.model = model;
    this.page = ""; // the name of the page in the frame: a model may have several views, in several windows
    /** @type {MessagePort | null} */
    this.port = null;
    this.frame = document.createElement("iframe");
    this.frame.title = "layerscope";
    this.frame.allow = "camera";
    this.frame.style.cssText = "display: block; width: 100%; height: 100%; border: 0;";
    this.frame.addEventListener("load", () => this.connect());
    this.frame.srcdoc = model.get("page");
    this.box = document.createElement("div");
    this.box.style.cssText = "resize: vertical; overflow: hidden; min-height: 12rem; border: 1px solid #8886; border-radius: 6px;";
    this.box.style.height = `${model.get("height")}px`;
    this.box.append(this.frame);
    el.append(this.box);
    requestAnimationFrame(() => this.suit());
  }

  /** A page has come; one that was moved in the notebook comes anew, to where it was. */
  connect() {
    this.leave();
    this.page = [...crypto.getRandomValues(new Uint8Array(12))].map((each) => each.toString(16).padStart(2, "0")).join("");
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    port1.addEventListener("message", ({ data }) => this.pass(data));
    port1.start();
    this.frame.contentWindow?.postMessage({ place: this.model.get("place") }, "*", [port2]);
  }

  /** @param {{place?: string, content?: object, buffer?: ArrayBuffer}} data from the page to the kernel */
  pass({ place, content, buffer }) {
    if (place !== undefined) {
      this.model.set("place", place);
      this.model.save_changes();
    } else this.send({ page: this.page, ...content }, buffer);
  }

  /** @param {object} content @param {ArrayBuffer} [buffer] */
  send(content, buffer) {
    try {
      this.model.send(content, undefined, buffer ? [buffer] : []);
    } catch {
      this.port?.postMessage({ content: { ended: ENDED } });
    }
  }

  /** @param {{page?: string}} content @param {(DataView | ArrayBuffer)[]} [buffers] from the kernel to the page */
  hear(content, [raw] = []) {
    if (!this.page || content?.page !== this.page) return;
    // A view may begin anywhere in what came over the line; floats have to begin at a multiple of four.
    const buffer = raw && (raw instanceof ArrayBuffer ? raw.slice(0) : raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
    this.port?.postMessage({ content, buffer }, buffer ? [buffer] : []);
  }

  /** The page goes: the kernel forgets what it had for it. */
  leave() {
    if (this.page) this.send({ page: this.page, do: "close" });
    this.port?.close();
    this.page = "";
    this.port = null;
  }

  /** Light or dark as the notebook is, whatever the machine is. */
  suit() {
    for (let at = /** @type {Element | null} */ (this.box); at; at = at.parentElement) {
      const [red, green, blue, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? []).map(Number);
      if (!alpha || blue === undefined) continue;
      this.frame.style.colorScheme = 0.3 * red + 0.6 * green + 0.1 * blue < 128 ? "dark" : "light";
      return;
    }
  }
}

/** @param {{model: Model, el: HTMLElement}} given */
function render({ model, el }) {
  const cell = new Cell(model, el);
  /** @param {{page?: string}} content @param {DataView[]} buffers */
  const heard = (content, buffers) => cell.hear(content, buffers);
  const leave = () => cell.leave();
  model.on("msg:custom", heard);
  addEventListener("pagehide", leave);
  return () => {
    model.off("msg:custom", heard);
    removeEventListener("pagehide", leave);
    cell.leave();
  };
}

export default { render };
