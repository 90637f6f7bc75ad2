// The way to a server: the token of the link, requests, and a WebSocket that comes back by itself.

/** @typedef {import("./link.js").Ends} Ends */
/** @typedef {import("./link.js").Way} Way */

const KEPT = "layerscope token";
const NEEDS_LINK = "This page needs its link: open the one that layerscope printed.";
const REFUSED = 4401;
const AGAIN = 1500; // milliseconds

/**
 * The token of the link, which leaves the address at once; or that of the last visit.
 * @returns {string}
 */
export function takeToken() {
  const words = new URLSearchParams(location.hash.slice(1));
  const given = words.get("token");
  if (given) {
    localStorage.setItem(KEPT, given);
    words.delete("token");
    history.replaceState(null, "", words.size ? `#${words}` : location.pathname);
  }
  return given ?? localStorage.getItem(KEPT) ?? "";
}

/** @implements {Way} */
export class Http {
  /** @param {string} token */
  constructor(token) {
    this.token = token;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Ends | null} */
    this.ends = null;
  }

  /** @param {Ends} ends */
  listen(ends) {
    this.ends = ends;
  }

  /** @param {string} path @returns {Promise<any>} */
  async get(path) {
    const found = await fetch(path, { headers: { "x-layerscope-token": this.token } });
    if (found.status === 403) throw new Error(NEEDS_LINK);
    return found.json();
  }

  /** @param {Blob} file @returns {Promise<import("./link.js").Answer>} */
  async upload(file) {
    try {
      const found = await fetch("/api/images", { method: "POST", body: file, headers: { "x-layerscope-token": this.token } });
      return await found.json();
    } catch {
      return { fault: "the upload broke off" };
    }
  }

  open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.addEventListener("open", () => {
      socket.send(JSON.stringify({ token: this.token }));
      this.ends?.opened();
    });
    socket.addEventListener("message", ({ data }) => this.ends?.heard(data));
    socket.addEventListener("close", ({ code }) => {
      this.ends?.closed();
      if (code === REFUSED) return this.ends?.state(NEEDS_LINK);
      this.ends?.state("layerscope does not answer; trying again");
      setTimeout(() => this.open(), AGAIN);
    });
  }

  /** @param {object | ArrayBuffer} message */
  send(message) {
    this.socket?.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  get queued() {
    return this.socket?.bufferedAmount ?? 0;
  }
}
