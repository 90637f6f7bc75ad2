// The way to the kernel of a notebook: a port to the cell (widget.js), which hands everything on.

/** @typedef {import("./link.js").Ends} Ends */
/** @typedef {import("./link.js").Way} Way */
/** @typedef {import("./link.js").Answer} Answer */
/** @typedef {{ended?: string, number?: number, text?: string}} Content */

const PIECE = 1_000_000; // bytes: the server of a notebook cuts the line at a message that is too long
const PATIENCE = 3000; // milliseconds without an answer, until it is asked whether anybody is there
const SILENT = "The kernel does not answer: it is busy, or it has ended (then run the cell again).";

/** @implements {Way} */
export class Port {
  /** @param {MessagePort} port */
  constructor(port) {
    this.port = port;
    /** @type {Ends | null} */
    this.ends = null;
    this.isOpen = this.ended = this.silent = false;
    this.queued = 0; // the cell takes everything at once
    this.number = 0;
    /** @type {Map<number, (answer: Answer) => void>} */
    this.waiting = new Map();
    this.expecting = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    port.addEventListener("message", ({ data }) => this.hear(data.content, data.buffer));
    port.start();
    this.post({ do: "open" });
  }

  /** @param {Ends} ends */
  listen(ends) {
    this.ends = ends;
  }

  /** @param {string} path "/api/facts" @returns {Promise<any>} */
  async get(path) {
    const found = await this.answered({ do: "get", what: path.replace("/api/", "") });
    if (found.fault) throw new Error(found.fault);
    return found;
  }

  /** @param {Blob} file @returns {Promise<Answer>} */
  async upload(file) {
    for (let at = 0; at + PIECE < file.size; at += PIECE) {
      this.post({ do: "piece" }, await file.slice(at, at + PIECE).arrayBuffer());
    }
    const rest = Math.max(0, Math.ceil(file.size / PIECE) - 1) * PIECE;
    return this.answered({ do: "upload" }, await file.slice(rest).arrayBuffer());
  }

  open() {
    if (this.ended) return;
    this.isOpen = true;
    this.ends?.opened();
  }

  /** @param {object | ArrayBuffer} message */
  send(message) {
    if (message instanceof ArrayBuffer) this.post({ do: "say" }, message);
    else this.post({ do: "say", text: JSON.stringify(message) });
    if (!("drawn" in message)) this.expect();
  }

  /** @param {object} content @param {ArrayBuffer} [buffer] */
  post(content, buffer) {
    if (!this.ended) this.port.postMessage({ content, buffer }, buffer ? [buffer] : []);
  }

  /** @param {object} content @param {ArrayBuffer} [buffer] @returns {Promise<Answer>} */
  answered(content, buffer) {
    if (this.ended) return Promise.resolve({ fault: "layerscope does not answer" });
    const number = ++this.number;
    this.post({ ...content, number }, buffer);
    this.expect();
    return new Promise((resolve) => this.waiting.set(number, resolve));
  }

  /** @param {Content} content @param {ArrayBuffer} [buffer] */
  hear({ ended, number, text }, buffer) {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.silent) this.ends?.state("");
    this.silent = false;
    if (ended) return this.end(ended);
    if (text === undefined && !buffer) return this.expecting ? this.expect() : undefined; // it is there, and at work
    this.expecting = false;
    if (buffer) this.ends?.heard(buffer);
    else if (number === undefined) this.ends?.heard(text ?? "");
    else {
      this.waiting.get(number)?.(JSON.parse(text ?? "{}"));
      this.waiting.delete(number);
    }
  }

  /** @param {string} words why */
  end(words) {
    this.isOpen = false;
    this.ended = true;
    for (const answer of this.waiting.values()) answer({ fault: words });
    this.waiting.clear();
    this.ends?.closed();
    this.ends?.state(words);
  }

  /** Something has to come now; a run may take long, but whether the kernel is there it says at once. */
  expect() {
    this.expecting = true;
    this.timer ??= setTimeout(() => {
      this.post({ do: "ping" });
      this.timer = setTimeout(() => {
        this.silent = true;
        this.ends?.state(SILENT);
      }, PATIENCE);
    }, PATIENCE);
  }
}
