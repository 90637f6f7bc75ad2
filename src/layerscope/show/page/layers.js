// The layers of the page and the way from one to the next; the current one is marked in the list.

/** Which layer is current. */
export class Layers {
  /** @param {HTMLElement[]} sections @param {HTMLElement} map the box of links */
  constructor(sections, map) {
    this.sections = sections;
    this.map = map;
    this.current = -1;
    /** @type {Map<string, Element[]>} */
    this.links = new Map();
    for (const link of map.querySelectorAll("a")) {
      const target = link.getAttribute("href") ?? "";
      this.links.set(target, [...(this.links.get(target) ?? []), link]);
    }
    let asked = false;
    addEventListener("scroll", () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        this.follow();
      });
    }, { passive: true });
  }

  /** Mark the layer that is at the upper edge of the window. */
  follow() {
    const line = innerHeight * 0.35;
    let [from, to] = [0, this.sections.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.sections[middle].getBoundingClientRect().top <= line) from = middle + 1;
      else to = middle;
    }
    this.mark(from - 1);
  }

  /** @param {number} index */
  mark(index) {
    if (index === this.current) return;
    for (const link of this.of(this.current)) link.removeAttribute("aria-current");
    this.current = index;
    for (const link of this.of(index)) {
      link.setAttribute("aria-current", "true");
      keepInSight(link, this.map);
    }
  }

  /** @param {number} index @returns {Element[]} */
  of(index) {
    return this.links.get(`#${this.sections[index]?.id}`) ?? [];
  }

  /** @param {number} by go so many layers on, and give the section the focus */
  go(by) {
    const wanted = Math.max(0, Math.min(this.sections.length - 1, this.current + by));
    const section = this.sections[wanted];
    section.scrollIntoView({ block: "start" });
    section.focus({ preventScroll: true });
    this.mark(wanted);
  }
}

/** @param {Element} link @param {HTMLElement} box scrolled so that the link is seen; the page is not */
function keepInSight(link, box) {
  const [inner, outer] = [link.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.top < outer.top + 40) box.scrollTop -= outer.top + 40 - inner.top;
  if (inner.bottom > outer.bottom - 40) box.scrollTop += inner.bottom - outer.bottom + 40;
}
