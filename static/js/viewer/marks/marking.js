/**
 * Placing, choosing and changing marks on one viewport, by pointer (`press` makes a gesture for the tools) and step
 * by step (`cursorBy`, `putHere`, `nudge`) for the keyboard.
 *
 * Events: `change` when what is to be drawn has changed, `placed` when a mark is new (`event.mark`), `cursor` when the
 * keyboard's place has moved.
 */

import { contains, distance, distanceTo, handlesOf, isWorth, KINDS, moved, onImage, rounded, withHandle } from "./geometry.js";
import { dragPan } from "../tools.js";

const NEAR = 7; // CSS pixels
const NEAR_FINGER = 18;
const DRAGGED = 3; // CSS pixels; less is a click
const FREEHAND_STEP = 2; // CSS pixels
const EDGE = 24; // CSS pixels that the keyboard's place keeps from the viewport's edge

export class Marking extends EventTarget {
  constructor(viewport, tools, book) {
    super();
    Object.assign(this, { viewport, tools, book });
    this.draft = null; // {kind, points that are fixed, moving}
    this.cursor = null;
    this.handle = null;
    for (const kind of Object.keys(KINDS)) {
      tools.register(kind, { begin: (_viewport, event) => this.press(kind, event) });
    }
    tools.register("select", { begin: (_viewport, event) => this.choose(event) });
    tools.addEventListener("use", () => this.leave());
    book.addEventListener("change", () => this.tell());
    viewport.canvas.addEventListener("pointermove", (event) => this.hover(event));
  }

  tell(name = "change", more = {}) {
    this.dispatchEvent(Object.assign(new Event(name), more));
  }

  /** The kind that the chosen tool draws, or null. */
  get kind() {
    return KINDS[this.tools.active] ? this.tools.active : null;
  }

  /** Image coordinates under a pointer, within the image. */
  at({ clientX, clientY }) {
    const { canvas, placement, pixelRatio, image } = this.viewport;
    const box = canvas.getBoundingClientRect();
    return onImage(placement.toImage(clientX - box.left, clientY - box.top, pixelRatio), image);
  }

  /** CSS pixels as image pixels. */
  reach(cssPixels) {
    return cssPixels / this.viewport.placement.scale;
  }

  // --- placing -------------------------------------------------------------------------------------------------------

  /** The mark as it would be if the moving point stayed where it is. */
  get drafted() {
    if (!this.draft) return null;
    const { kind, points, moving } = this.draft;
    return { kind, points: moving ? [...points, moving] : points, text: "" };
  }

  press(kind, event) {
    const grip = this.gripAt(event);
    if (grip !== null && !this.draft) return this.dragHandle(grip);
    this.cursor = null;
    const point = this.at(event);
    const begun = this.draft?.kind !== kind;
    if (begun) this.draft = { kind, points: kind === "point" ? [] : [rounded(point)], moving: point };
    else this.draft.moving = point;
    this.tell();
    const from = [event.clientX, event.clientY];
    let dragged = false;
    return {
      move: (now) => {
        if (!this.draft) return;
        dragged ||= distance(from, [now.clientX, now.clientY]) >= DRAGGED;
        this.follow(this.at(now), kind === "freehand");
      },
      end: () => {
        if (!this.draft) return;
        if (kind === "freehand") this.finish();
        else if (!begun || dragged || kind === "point") this.fix();
      },
      cancel: () => this.cancel(),
    };
  }

  /** The moving point goes on; a freehand line leaves a trace. */
  follow(point, tracing) {
    const { draft } = this;
    draft.moving = point;
    if (tracing && distance(draft.points.at(-1), point) >= this.reach(FREEHAND_STEP)) draft.points.push(rounded(point));
    this.tell();
  }

  hover(event) {
    if (this.draft && event.buttons === 0 && this.draft.kind !== "freehand" && event.pointerType !== "touch") {
      this.cursor = null;
      this.follow(this.at(event), false);
    }
  }

  /** The moving point becomes a point of the mark; the last one finishes it. */
  fix() {
    const { draft } = this;
    draft.points.push(rounded(draft.moving));
    if (draft.points.length === KINDS[draft.kind]) this.finish();
    else this.tell();
  }

  finish() {
    const { kind, points } = this.draft;
    this.draft = null;
    if (!isWorth({ kind, points })) return this.tell();
    const mark = this.book.add({ kind, points });
    return this.tell("placed", { mark });
  }

  cancel() {
    this.draft = null;
    this.book.drop();
    this.tell();
  }

  /** Another tool was chosen. */
  leave() {
    this.cursor = null;
    this.handle = null;
    this.cancel();
  }

  // --- choosing and changing -------------------------------------------------------------------------------------------

  near(event) {
    return this.reach(event.pointerType === "touch" ? NEAR_FINGER : NEAR);
  }

  /** The number of the chosen mark's handle under the pointer, or null. */
  gripAt(event) {
    if (!this.book.selected) return null;
    const [point, near] = [this.at(event), this.near(event)];
    const away = handlesOf(this.book.selected).map((handle) => distance(handle, point));
    const nearest = Math.min(...away);
    return nearest <= near ? away.indexOf(nearest) : null;
  }

  /** The mark under the pointer: the nearest outline, else the innermost region. */
  markAt(event) {
    const [point, near] = [this.at(event), this.near(event)];
    const ranked = this.book.here
      .map((mark) => ({ mark, away: distanceTo(mark, point) }))
      .sort((a, b) => a.away - b.away);
    return (ranked.find(({ away }) => away <= near) ?? ranked.find(({ mark }) => contains(mark, point)))?.mark ?? null;
  }

  choose(event) {
    this.cursor = null;
    const grip = this.gripAt(event);
    if (grip !== null) return this.dragHandle(grip);
    const mark = this.markAt(event);
    this.handle = null;
    this.book.select(mark?.id ?? null);
    if (!mark) return dragPan.begin(this.viewport, event);
    const from = this.at(event);
    return this.change(mark, ([x, y]) => moved(mark, x - from[0], y - from[1], this.viewport.image));
  }

  dragHandle(grip) {
    const mark = this.book.selected;
    return this.change(mark, (point) => withHandle(mark, grip, point));
  }

  /** A gesture that shows a mark as it becomes and keeps it when the pointer is lifted. */
  change(mark, become) {
    return {
      move: (event) => this.book.preview(this.tidy(become(this.at(event)))),
      end: () => {
        const after = this.book.selected;
        if (after && isWorth(after)) this.book.settle();
        else this.book.drop();
      },
      cancel: () => this.book.drop(),
    };
  }

  tidy(mark) {
    return { ...mark, points: mark.points.map(rounded) };
  }

  // --- by keyboard -----------------------------------------------------------------------------------------------------

  /** One step on the screen as a step on the image. */
  step(dx, dy) {
    const [a, b, c, d] = this.viewport.placement.turn;
    // The inverse of a turn or mirroring is its transpose.
    return [a * dx + b * dy, c * dx + d * dy];
  }

  /** Put the keyboard's place in the middle of what is seen, on the middle of a pixel. */
  startCursor() {
    const { placement, pixelRatio, image } = this.viewport;
    const middle = placement.toImage(placement.viewWidth / 2, placement.viewHeight / 2, pixelRatio);
    this.cursor = onImage(middle, image).map((value, axis) => {
      const last = (axis === 0 ? image.width : image.height) - 1;
      return Math.min(last, Math.floor(value)) + 0.5;
    });
  }

  cursorBy(dx, dy, pixels) {
    if (!this.cursor) this.startCursor();
    else {
      const [x, y] = this.step(dx, dy).map((part) => part * pixels);
      const { width, height } = this.viewport.image;
      this.cursor = [
        Math.min(width - 0.5, Math.max(0.5, this.cursor[0] + x)),
        Math.min(height - 0.5, Math.max(0.5, this.cursor[1] + y)),
      ];
    }
    if (this.draft) this.draft.moving = this.cursor;
    this.show(this.cursor);
    this.tell("cursor");
    this.tell();
  }

  /** Move the image where a point would be out of sight. */
  show(point) {
    const { placement, pixelRatio } = this.viewport;
    const [x, y] = placement.toScreen(...point, pixelRatio);
    const out = (value, size) => Math.max(0, EDGE - value) - Math.max(0, value - (size - EDGE));
    const [dx, dy] = [out(x, placement.viewWidth), out(y, placement.viewHeight)];
    if (dx || dy) this.viewport.place((place) => place.panBy(dx, dy));
  }

  /** Set a point where the keyboard's place is; a freehand outline is closed by setting its last point twice. */
  putHere() {
    if (!this.cursor) {
      this.startCursor();
      this.tell("cursor");
      return this.tell();
    }
    const { kind } = this;
    if (this.draft?.kind !== kind) {
      this.draft = { kind, points: [], moving: this.cursor };
    } else if (kind === "freehand" && distance(this.draft.points.at(-1), this.cursor) < 0.5) {
      return this.finish();
    }
    this.draft.moving = this.cursor;
    return this.fix();
  }

  /** Move the chosen mark, or its picked handle. */
  nudge(dx, dy, pixels) {
    const mark = this.book.selected;
    const [x, y] = this.step(dx, dy).map((part) => part * pixels);
    const { image } = this.viewport;
    const handle = this.handle === null ? null : handlesOf(mark)[this.handle];
    const next = handle
      ? withHandle(mark, this.handle, onImage([handle[0] + x, handle[1] + y], image))
      : moved(mark, x, y, image);
    if (isWorth(next)) this.book.replace(this.tidy(next));
    this.tell("cursor");
  }

  /** Pick the mark's next handle; after the last one the whole mark again. */
  nextHandle() {
    const count = handlesOf(this.book.selected).length;
    const next = this.handle === null ? 0 : this.handle + 1;
    this.handle = next < count ? next : null;
    this.tell("cursor");
    this.tell();
  }

  /** Choose the mark after the chosen one. */
  chooseNext() {
    const { marks, selectedId } = this.book;
    if (marks.length === 0) return;
    const at = marks.findIndex(({ id }) => id === selectedId);
    this.handle = null;
    this.book.select(marks[(at + 1) % marks.length].id);
    this.tell("cursor");
  }

  removeSelected() {
    if (this.book.selectedId) this.book.remove(this.book.selectedId);
  }
}
