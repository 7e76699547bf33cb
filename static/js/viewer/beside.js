/**
 * Another stack beside the case's own: scrolled by wheel and keys while it has the focus, and together with the case's
 * own where the two are linked.
 */

import { beside, linkOf, shiftBetween } from "./linking.js";
import { Stack } from "./stack.js";
import { Wheel } from "./wheel.js";

export class StackBeside {
  /** @param {HTMLElement} section the viewer; `told` is what the server says of the other stack */
  constructor(section, own, ownTold, viewport, told) {
    const part = (name) => section.querySelector(`[data-prior-${name}]`);
    Object.assign(this, { own, ownTold, told, place: part("place"), said: part("link"), linked: true, leads: null });
    this.link = own ? linkOf(ownTold, told) : "none";
    this.shift = this.link === "shift" ? shiftBetween(ownTold, told) : 0;
    this.stack = new Stack(viewport, {
      ...told,
      start: this.partner() ?? told.start,
      address: (index) => told.pixels.replace("/0/", `/${index}/`),
      small: (index) => told.preview.replace("/0/", `/${index}/`),
    });
    this.ends = new AbortController();
    const { signal } = this.ends;
    own?.addEventListener("go", () => this.follow(), { signal });
    this.stack.addEventListener("go", () => this.went(), { signal });
    this.wheel = new Wheel(viewport, this.stack, signal);
    this.tell();
  }

  /** Which image of this stack belongs beside the shown one of the case. */
  partner() {
    return this.own ? beside(this.ownTold, this.told, this.own.index, this.link, this.shift) : null;
  }

  /** The case's own stack was scrolled. */
  follow() {
    if (!this.linked || this.leads) return;
    const wanted = this.partner();
    if (wanted === null) return;
    this.leads = "own";
    this.stack.go(wanted);
    this.leads = null;
  }

  /** This stack was scrolled, by itself or after the other. */
  went() {
    this.tell();
    if (!this.own || !this.linked || this.leads) return;
    const wanted = beside(this.told, this.ownTold, this.stack.index, this.link, -this.shift);
    if (wanted === null) return;
    this.leads = "beside";
    this.own.go(wanted);
    this.leads = null;
  }

  setLinked(linked) {
    this.linked = linked;
    this.tell();
    if (linked) this.follow();
  }

  tell() {
    const mm = this.told.positions[this.stack.index];
    const words = mm === null ? this.place.dataset.words : this.place.dataset.wordsMm.replace("{mm}", mm.toFixed(1).replace("-", "−"));
    this.place.textContent = words.replace("{n}", this.stack.index + 1).replace("{count}", this.told.count);
    this.said.textContent = this.own && this.linked ? (this.said.dataset[this.link] ?? "") : "";
  }

  close() {
    this.ends.abort();
    this.place.textContent = "";
    this.said.textContent = "";
  }
}
