// What can be put before the net: the images of the gallery, files, what is dropped or pasted.

import { button, byId, drawPixels, make, press } from "./elements.js";
import { bytesOf } from "../page/packed.js";

/** @typedef {import("./link.js").Link} Link */

/** The gallery and the ways into it. */
export class Inputs {
  /** @param {Link} link @param {number} most bytes of an upload @param {(key: string) => void} choose @param {(words: string) => void} fault */
  constructor(link, most, choose, fault) {
    this.link = link;
    this.most = most;
    this.choose = choose;
    this.fault = fault;
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        this.observer.unobserve(target);
        if (target instanceof HTMLElement) this.small(target);
      }
    });
    this.listen();
  }

  async refresh() {
    const found = await this.link.get("/api/images");
    const box = byId("gallery");
    const keys = new Set(found.images.map((/** @type {{key: string}} */ each) => each.key));
    for (const [key, old] of this.buttons) {
      if (keys.has(key)) continue;
      old.remove();
      this.buttons.delete(key);
    }
    for (const { key, title } of found.images) {
      if (this.buttons.has(key)) continue;
      const made = button("", () => this.choose(key));
      made.title = title;
      made.dataset.key = key;
      const canvas = make("canvas");
      canvas.setAttribute("aria-hidden", "true");
      [canvas.width, canvas.height] = [1, 1];
      made.append(canvas, make("span", "", title));
      this.buttons.set(key, made);
      box.append(made);
      this.observer.observe(made);
    }
    box.querySelector(".more")?.remove();
    const words = [found.left_out && `${found.left_out} more files are not shown`, found.forgotten && `${found.forgotten} older uploads forgotten`];
    if (words.some(Boolean)) box.append(make("span", "more dim", words.filter(Boolean).join("; ")));
    return /** @type {{key: string}[]} */ (found.images).map((each) => each.key);
  }

  /** @param {HTMLElement} made draw its picture */
  async small(made) {
    const found = await this.link.ask({ ask: "picture", image: made.dataset.key, most: 48 });
    const canvas = made.querySelector("canvas");
    if (!canvas || found.fault || !found.width) return;
    drawPixels(canvas, found.width, found.height, bytesOf(found.rgb));
  }

  /** @param {string} key of the image that is shown */
  mark(key) {
    for (const [each, made] of this.buttons) press(made, each === key);
  }

  /** Take all of them; the last good one is shown, and what is wrong with others is told. @param {Iterable<Blob>} given */
  async take(given) {
    const [files, faults, keys] = [[...given], [""], [""]];
    for (const [i, file] of files.entries()) {
      const found = file.size > this.most
        ? { fault: `the file is larger than ${Math.round(this.most / 1e6)} megabytes` }
        : await this.link.upload(file);
      if (found.fault) faults.push(files.length > 1 ? `file ${i + 1} of ${files.length}: ${found.fault}` : found.fault);
      else keys.push(found.key);
    }
    if (keys.length > 1) {
      await this.refresh();
      this.choose(keys[keys.length - 1]);
    }
    const [, first, ...more] = faults;
    if (first) this.fault(`${first}${more.length ? `, and ${more.length} more` : ""}`);
  }

  listen() {
    const file = /** @type {HTMLInputElement} */ (byId("file"));
    byId("upload").addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      await this.take(file.files ?? []);
      file.value = "";
    });
    addEventListener("paste", (event) => this.take(event.clipboardData?.files ?? []));
    const drop = byId("drop");
    addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.hidden = true;
    });
    addEventListener("drop", (event) => {
      event.preventDefault();
      drop.hidden = true;
      this.take(event.dataTransfer?.files ?? []);
    });
  }
}
