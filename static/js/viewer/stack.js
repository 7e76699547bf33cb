/**
 * A stack of images in one viewport: which one is shown, and which are fetched when.
 *
 * The shown image comes first, then its neighbours outwards, so that scrolling seldom waits. Where an image is not there
 * yet, its small picture is shown in its place. What lies farthest from the shown image is forgotten first once the
 * images take more than `MOST_BYTES`.
 *
 * Events: `go` when another image was asked for, `shown` when its true pixels are on the screen.
 */

import { fetchContainer } from "./container.js";

const MOST_BYTES = 256 * 1024 * 1024;
const AT_ONCE = 4;

/** The indices from `middle` outwards: itself, the next, the one before, and so on. */
export function outwards(middle, count) {
  const found = [middle];
  for (let step = 1; step < count; step += 1) {
    if (middle + step < count) found.push(middle + step);
    if (middle - step >= 0) found.push(middle - step);
  }
  return found;
}

/** What is kept of a stack, by index, within a number of bytes. */
export class Kept {
  constructor(mostBytes = MOST_BYTES) {
    this.mostBytes = mostBytes;
    this.bytes = 0;
    this.images = new Map();
  }

  get(index) {
    return this.images.get(index) ?? null;
  }

  has(index) {
    return this.images.has(index);
  }

  /** Keep an image, and forget those farthest from `middle` until the rest fits; false where it is itself forgotten. */
  keep(index, image, middle) {
    this.images.set(index, image);
    this.bytes += image.pixels.byteLength;
    while (this.bytes > this.mostBytes && this.images.size > 1) {
      const farthest = [...this.images.keys()].reduce((a, b) => (Math.abs(b - middle) > Math.abs(a - middle) ? b : a));
      this.bytes -= this.images.get(farthest).pixels.byteLength;
      this.images.delete(farthest);
      if (farthest === index) return false;
    }
    return true;
  }
}

export class Stack extends EventTarget {
  /** `count` images at `address(index)`, beginning with `start`; `small(index)` is the address of the small picture. */
  constructor(viewport, { count, start, address, small }) {
    super();
    Object.assign(this, { viewport, count, address, small, index: start });
    this.kept = new Kept();
    this.underway = new Map();
    this.failed = new Map();
    this.full = false;
  }

  /** Fetch the first image; the others follow by themselves. */
  async begin() {
    await this.fetched(this.index);
    this.fill();
  }

  /** Show the image of this index, or the nearest that there is. */
  go(index) {
    const wanted = Math.min(this.count - 1, Math.max(0, Math.round(index)));
    if (wanted === this.index) return;
    this.index = wanted;
    this.full = false;
    this.dispatchEvent(new Event("go"));
    this.show();
    this.fill();
  }

  by(steps) {
    this.go(this.index + steps);
  }

  /** Whether the true pixels of the asked image are shown. */
  get ready() {
    return this.kept.has(this.index);
  }

  show() {
    const image = this.kept.get(this.index);
    if (image) {
      this.viewport.swapImage(image);
      this.dispatchEvent(new Event("shown"));
    } else {
      this.showSmall(this.index);
    }
  }

  async showSmall(index) {
    const picture = new Image();
    picture.src = this.small(index);
    try {
      await picture.decode();
    } catch {
      return; // the true pixels are on their way
    }
    if (index === this.index && !this.kept.has(index)) this.viewport.showSmall(picture);
  }

  /** Fetch what is missing, the nearest to the shown image first. */
  fill() {
    for (const index of outwards(this.index, this.count)) {
      if (this.underway.size >= AT_ONCE || this.full) return;
      const given = this.failed.get(index) ?? 0;
      if (!this.kept.has(index) && !this.underway.has(index) && given < 2) {
        this.fetched(index).catch(() => null).finally(() => this.fill());
      }
    }
  }

  async fetched(index) {
    const fetching = fetchContainer(this.address(index));
    this.underway.set(index, fetching);
    try {
      const image = await fetching;
      this.failed.delete(index);
      if (!this.kept.keep(index, image, this.index)) this.full = true;
      if (index === this.index) this.show();
    } catch (error) {
      this.failed.set(index, (this.failed.get(index) ?? 0) + 1);
      throw error;
    } finally {
      this.underway.delete(index);
    }
  }
}
