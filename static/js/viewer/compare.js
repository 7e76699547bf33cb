/**
 * A second image beside the first: another scan of the same patient, chosen from the film strip.
 *
 * Linked, both lie at one scale and in one place. Where both files give their pixel spacing, that scale is in
 * millimetres; else it is in widths of the image, so that one head fills as much as the other.
 */

import { StackBeside } from "./beside.js";
import { fetchContainer } from "./container.js";
import { bindOrientation } from "./orientation.js";
import { Tools } from "./tools.js";
import { Viewport } from "./view.js";

const NEAR_ENOUGH = 1e-6;

/** How large a pixel of each image is, in the unit that both have. */
export function pixelUnits(one, other) {
  if (one.spacing && other.spacing) return [one.spacing.column, other.spacing.column];
  return [1 / one.width, 1 / other.width];
}

/** Lay `other` as `one` lies; true where that changed anything. `units` are their pixels' sizes. */
export function follow(one, other, [unit, otherUnit]) {
  const scale = (one.scale / unit) * otherUnit;
  const x = one.x - one.viewWidth / 2 + other.viewWidth / 2;
  const y = one.y - one.viewHeight / 2 + other.viewHeight / 2;
  const near = (a, b) => Math.abs(a - b) <= NEAR_ENOUGH * Math.max(1, Math.abs(b));
  const same = near(other.scale, scale) && near(other.x, x) && near(other.y, y);
  if (same && other.turn.every((part, at) => part === one.turn[at])) return false;
  Object.assign(other, { scale, x, y, turn: one.turn, fitted: false });
  return true;
}

/** How an image lies, seen from the middle of its viewport: a new size of that is no movement. */
const lies = ({ scale, x, y, viewWidth, viewHeight, turn }) =>
  [scale, x - viewWidth / 2, y - viewHeight / 2, ...turn].map((part) => part.toFixed(6)).join();

export class Comparison {
  /** @param {HTMLElement} section the viewer, with `[data-views]`, `[data-prior]` and `[data-film]` */
  constructor(section, viewport, tools, stack = null) {
    Object.assign(this, { section, viewport, stack, linked: true, shown: null, beside: null });
    const part = (name) => section.querySelector(`[data-${name}]`);
    this.stage = part("prior");
    this.views = part("views");
    this.link = part("link");
    this.films = [...section.querySelectorAll("[data-film]")];
    this.other = new Viewport(part("prior-canvas"));
    this.otherTools = new Tools(this.other);
    bindOrientation(this.stage, this.other);
    tools.addEventListener("use", () => this.followTool(tools.active));
    /** viewport -> how it was laid to follow the other one */
    this.laid = new Map();
    viewport.addEventListener("change", () => this.moved(this.viewport, this.other));
    this.other.addEventListener("change", () => this.moved(this.other, this.viewport));
    for (const film of this.films) film.addEventListener("click", () => this.toggle(film));
    this.link.addEventListener("click", () => this.setLinked(!this.linked));
    part("prior-close").addEventListener("click", () => {
      const film = this.shown;
      this.close();
      film?.focus();
    });
  }

  /** The other viewport while it has the focus, else null. */
  get focused() {
    return this.shown && this.other.image && document.activeElement === this.other.canvas ? this.other : null;
  }

  /** The other stack while it has the focus, else null. */
  get focusedStack() {
    return this.focused ? (this.beside?.stack ?? null) : null;
  }

  /** Marks belong to the case's own image: on the other one their tools change its window. */
  followTool(name) {
    this.otherTools.use(["window", "pan", "zoom"].includes(name) ? name : "window");
  }

  toggle(film = this.shown ?? this.films[0]) {
    if (this.shown === film) this.close();
    else this.open(film);
  }

  async open(film) {
    this.shown = film;
    this.beside?.close();
    this.beside = null;
    this.show(true);
    const said = this.section.querySelector("[data-prior-caption]");
    said.textContent = film.dataset.caption;
    this.other.canvas.setAttribute("aria-label", film.dataset.caption);
    const waiting = this.section.querySelector("[data-prior-loading]");
    waiting.textContent = waiting.dataset.words;
    waiting.hidden = false;
    try {
      if (film.dataset.filmStack) await this.openStack(film);
      else await this.openImage(film);
      if (this.shown !== film) return; // another one was chosen meanwhile
      waiting.hidden = true;
      this.sync(this.viewport, this.other);
    } catch (error) {
      if (this.shown === film) waiting.textContent = `${waiting.dataset.broken} (${error.message})`;
    }
  }

  async openImage(film) {
    const image = await fetchContainer(film.dataset.film);
    if (this.shown === film) this.other.setImage(image);
  }

  async openStack(film) {
    const answer = await fetch(film.dataset.filmStack);
    if (!answer.ok) throw new Error(answer.status);
    const told = await answer.json();
    if (this.shown !== film) return;
    this.beside = new StackBeside(this.section, this.stack, this.stack?.told, this.other, told);
    this.beside.setLinked(this.linked);
    await this.beside.stack.begin();
  }

  close() {
    this.shown = null;
    this.beside?.close();
    this.beside = null;
    this.show(false);
  }

  show(visible) {
    this.stage.hidden = !visible;
    this.link.hidden = !visible;
    this.views.classList.toggle("is-comparing", visible);
    for (const film of this.films) film.setAttribute("aria-pressed", String(film === this.shown));
  }

  setLinked(linked) {
    this.linked = linked;
    this.link.setAttribute("aria-pressed", String(linked));
    this.beside?.setLinked(linked);
    this.sync(this.viewport, this.other);
  }

  /** One was drawn. Where it only followed, the other may have moved on since: it must not be pulled back. */
  moved(from, to) {
    if (from.placement && this.laid.get(from) !== lies(from.placement)) this.sync(from, to);
  }

  sync(from, to) {
    if (!this.shown || !this.linked || !from.image || !to.image) return;
    if (!follow(from.placement, to.placement, pixelUnits(from.image, to.image))) return;
    this.laid.set(to, lies(to.placement));
    this.laid.delete(from);
    to.draw();
  }
}
