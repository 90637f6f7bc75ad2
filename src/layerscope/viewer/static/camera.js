// The camera: its frames in the size of the net, as raw colours; the newest one wins.

import { byId } from "./elements.js";

const AHEAD = 2; // so many frames are on their way: one is computed while the next one travels
const HEAD = 8;
const TALL = [240, 480, 720, 1080]; // what cameras give, at four to three or sixteen to nine

/** The camera of this machine. */
export class Camera {
  /** @param {[number, number]} size height and width that the net takes @param {(frame: ArrayBuffer) => boolean} send */
  constructor([height, width], send) {
    this.video = /** @type {HTMLVideoElement} */ (byId("video"));
    this.canvas = new OffscreenCanvas(width, height);
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.send = send;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {object | null} */
    this.wanted = null; // it is on, or the browser is asked for it: this once
    this.onend = () => {}; // it was taken away
    this.frozen = false;
    this.sent = this.seen = this.skipped = this.dropped = this.shown = 0;
    /** @type {number[]} */
    this.times = [];
    this.presented = 0; // of the camera's own count, the frame that was looked at last
    this.waits = false; // for a frame
    this.behind = 0; // milliseconds from the camera to the screen
    /** @type {Map<number, {pixels: Uint8Array, taken: number}>} */
    this.pictures = new Map();
  }

  get isOn() {
    return this.stream !== null;
  }

  /** @returns {Promise<string>} what went wrong; "" when the camera is on, or nobody wants it any more */
  async start() {
    const mine = {};
    this.wanted = mine;
    const fault = await this.ask(mine);
    if (this.wanted !== mine) return "";
    if (fault) this.stop();
    return fault;
  }

  /** @param {object} mine @returns {Promise<string>} */
  async ask(mine) {
    if (!navigator.mediaDevices) return "The browser gives a camera only to pages of this machine, or over https.";
    if (isRefused()) return "No camera: the notebook around this page does not permit it.";
    const side = Math.max(this.canvas.width, this.canvas.height);
    const height = TALL.find((tall) => tall >= side) ?? TALL[TALL.length - 1]; // more would only be made smaller
    const video = { width: { ideal: (height * 4) / 3 }, height: { ideal: height }, frameRate: { ideal: 30 } };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (this.wanted !== mine) return end(stream);
      this.stream = stream;
      for (const track of stream.getTracks()) track.addEventListener("ended", () => stream === this.stream && this.onend());
      this.frozen = false;
      this.video.srcObject = stream;
      await this.video.play();
    } catch (error) {
      return `No camera: ${error instanceof Error ? error.message : error}`;
    }
    this.presented = 0;
    this.reset();
    return "";
  }

  stop() {
    end(this.stream);
    this.stream = null;
    this.wanted = null;
    this.video.srcObject = null;
    this.frozen = false;
    this.times = [];
  }

  freeze() {
    this.frozen = !this.frozen;
    this.presented = 0; // what passes meanwhile is not dropped
    this.next();
  }

  /** Wait for a frame, where one may be sent: each one that is waited for costs the browser a pass over the page. */
  next() {
    if (!this.stream || this.frozen || this.waits || this.sent - this.seen >= AHEAD) return;
    this.waits = true;
    this.video.requestVideoFrameCallback((_, { presentedFrames }) => {
      this.waits = false;
      if (this.stream && !this.frozen) this.take(presentedFrames);
      this.next();
    });
  }

  /** @param {number} presented how many frames the camera has given */
  take(presented) {
    if (!this.pen) return;
    const taken = performance.now();
    if (this.presented) this.skipped += Math.max(0, presented - this.presented - 1);
    this.presented = presented;
    const { width, height } = this.canvas;
    const { videoWidth, videoHeight } = this.video;
    const scale = Math.min(videoWidth / width, videoHeight / height);
    const [w, h] = [width * scale, height * scale];
    this.pen.drawImage(this.video, (videoWidth - w) / 2, (videoHeight - h) / 2, w, h, 0, 0, width, height);
    const { data } = this.pen.getImageData(0, 0, width, height);
    const buffer = new ArrayBuffer(HEAD + 3 * width * height);
    const pixels = new Uint8Array(buffer, HEAD);
    for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
      pixels[to] = data[from];
      pixels[to + 1] = data[from + 1];
      pixels[to + 2] = data[from + 2];
    }
    new DataView(buffer).setUint32(0, this.sent + 1, true);
    if (!this.send(buffer)) return;
    this.sent++;
    this.pictures.set(this.sent, { pixels, taken });
  }

  /**
   * A frame came back.
   * @param {number} seen its number @param {number} dropped how many the server did not look at
   * @returns {Uint8Array | undefined} what the net saw
   */
  back(seen, dropped) {
    const picture = this.pictures.get(seen);
    if (seen > this.seen) {
      this.shown++;
      const now = performance.now();
      this.behind = now - (picture?.taken ?? now);
      this.times = [...this.times.filter((time) => now - time < 2000), now];
    }
    this.seen = Math.max(this.seen, seen);
    this.dropped = dropped;
    for (const number of this.pictures.keys()) if (number <= seen) this.pictures.delete(number);
    this.next();
    return picture?.pixels;
  }

  /** The connection began anew: nothing is on its way. */
  reset() {
    this.seen = this.sent;
    this.pictures.clear();
    this.next();
  }

  /** @returns {number} frames a second, over the last two seconds */
  get rate() {
    const { times } = this;
    return times.length > 1 ? (1000 * (times.length - 1)) / (times[times.length - 1] - times[0]) : 0;
  }
}

/** @param {MediaStream | null} stream @returns {string} no fault */
function end(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  return "";
}

/** @returns {boolean} whether what is around this page keeps the camera from it; not every browser says */
function isRefused() {
  const { featurePolicy } = /** @type {{featurePolicy?: {allowsFeature(name: string): boolean}}} */ (/** @type {unknown} */ (document));
  return featurePolicy !== undefined && !featurePolicy.allowsFeature("camera");
}
