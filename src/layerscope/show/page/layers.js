// The layers of the page and the way from one to the next; the current one is marked in the list.

/** Which layer is current. */
export class Layers {
  /** @param {HTMLElement[]} sections @param {Iterable<Element>} links to them: of a list, of a diagram */
  constructor(sections, links) {
    this.sections = sections;
    this.current = -1;
    /** @type {Map<string, Element[]>} */
    this.links = new Map();
    for (const link of links) {
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
      keepInSight(link);
    }
  }

  /** @param {number} index @returns {Element[]} the links to a layer, or to the block that it is drawn in */
  of(index) {
    const section = this.sections[index];
    if (!section) return [];
    const inList = this.links.get(`#${section.id}`) ?? [];
    const drawn = this.links.get(`#${section.dataset.block}`) ?? [];
    return [...new Set([...inList, ...drawn.filter((link) => link.closest("svg"))])];
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

/** @param {Element} link its box is scrolled so that it is seen; the page is not */
function keepInSight(link) {
  const box = link.closest("nav");
  if (!box) return;
  const [inner, outer] = [link.getBoundingClientRect(), box.getBoundingClientRect()];
  const middle = (outer.top + outer.bottom) / 2;
  const beside = (outer.left + outer.right) / 2;
  if (inner.top < outer.top + 40 || inner.bottom > outer.bottom - 40) {
    box.scrollTop += (inner.top + inner.bottom) / 2 - middle;
  }
  if (inner.left < outer.left || inner.right > outer.right) {
    box.scrollLeft += (inner.left + inner.right) / 2 - beside;
  }
}
