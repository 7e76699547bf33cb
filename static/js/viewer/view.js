/**
 * One viewport: a canvas that shows one image through a window and a placement, with layers drawn over it.
 *
 * Events: `change` when window, placement or layers changed (after drawing), `image` when an image was set.
 */

import { GreyPainter, Percentiles, isWhole, presetsOf } from "./window.js";
import { Placement } from "./transform.js";

// From this many device pixels a pixel on, its square is shown; below, its neighbours are blended.
const SHOW_SQUARES_FROM = 16;

export class Viewport extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.image = null;
    this.inverted = false;
    /** Drawn over the image in image coordinates, in this order: name -> (context, viewport) => void. */
    this.layers = new Map();
    this.pending = 0;
    /** A picture that stands for an image of a stack that is not here yet. */
    this.small = null;
    /** While a pointer drags, pixels are blended quickly; once it rests, well. */
    this.moving = false;
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  get pixelRatio() {
    return window.devicePixelRatio || 1;
  }

  /** Show an image: its first window, upright, fitted. */
  setImage(image) {
    this.image = image;
    this.painter = new GreyPainter(image);
    this.percentiles = new Percentiles(image);
    this.presets = presetsOf(image, this.percentiles);
    this.grey = document.createElement("canvas");
    this.grey.width = image.width;
    this.grey.height = image.height;
    this.greyContext = this.grey.getContext("2d");
    this.greyData = this.greyContext.createImageData(image.width, image.height);
    this.greyWords = new Uint32Array(this.greyData.data.buffer);
    this.placement = new Placement(image.width, image.height, image.aspect);
    this.window = { ...this.presets.named[this.presets.first] };
    this.stale = true;
    this.resized();
    this.dispatchEvent(new Event("image"));
  }

  /** Show another image of the same stack: window, inversion and placement stay as they are. */
  swapImage(image) {
    if (!this.image || image.width !== this.image.width || image.height !== this.image.height) {
      this.setImage(image);
      return;
    }
    this.image = image;
    image.painter ??= new GreyPainter(image);
    this.painter = image.painter;
    this.percentiles = new Percentiles(image);
    this.small = null;
    this.repaint();
  }

  /** Show a small picture in the image's place until its pixels are there. */
  showSmall(picture) {
    this.small = picture;
    this.draw();
  }

  resized() {
    const box = this.canvas.getBoundingClientRect();
    const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * this.pixelRatio)));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.placement?.resize(width / this.pixelRatio, height / this.pixelRatio);
    this.draw();
  }

  /** Set the window in rescaled units; whole-numbered images get whole numbers. */
  setWindow(centre, width, voi = this.window.voi === "TABLE" ? "LINEAR" : this.window.voi) {
    const narrowest = voi === "LINEAR" ? 1 : Number.EPSILON + this.span / 10000;
    const whole = isWhole(this.image);
    const rounded = (value) => (whole ? Math.round(value * 2) / 2 : value);
    this.window = { centre: rounded(centre), width: Math.max(narrowest, whole ? Math.round(width) : width), voi };
    this.repaint();
  }

  /** Set one of the offered windows; false where this image has none of that name. */
  setPreset(name) {
    const preset = this.presets.named[name];
    if (!preset) return false;
    this.window = { ...preset };
    this.repaint();
    return true;
  }

  /** The breadth of the image's values without its outliers: the measure of a drag. */
  get span() {
    const [low, high] = this.percentiles.between(0.005, 0.995);
    return high - low;
  }

  toggleInverted() {
    this.inverted = !this.inverted;
    this.repaint();
  }

  /** Window, inversion and placement as at the beginning: only ever on request. */
  reset() {
    this.inverted = false;
    this.window = { ...this.presets.named[this.presets.first] };
    this.placement.reset();
    this.repaint();
  }

  /** One image pixel on one pixel of the screen. */
  actualSize() {
    this.place((placement) => placement.scaleTo(1 / this.pixelRatio));
  }

  /** Change the placement and draw. */
  place(change) {
    change(this.placement);
    this.draw();
  }

  setLayer(name, draw) {
    if (draw) this.layers.set(name, draw);
    else this.layers.delete(name);
    this.draw();
  }

  /** The pixel under a point of the screen, or null outside the image. */
  pixelAt(clientX, clientY) {
    if (!this.image) return null;
    const box = this.canvas.getBoundingClientRect();
    const point = this.placement.toImage(clientX - box.left, clientY - box.top, this.pixelRatio);
    const [x, y] = point.map(Math.floor);
    const { width, height, pixels, slope, intercept } = this.image;
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    return { x, y, value: pixels[y * width + x] * slope + intercept };
  }

  repaint() {
    this.stale = true;
    this.draw();
  }

  /** Draw at the next frame, however many changes come before it. */
  draw() {
    if (this.image && !this.pending) {
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        this.drawNow();
      });
    }
  }

  drawNow() {
    const { context, canvas, image } = this;
    if (this.stale) {
      this.painter.paint(this.greyWords, this.window, this.inverted !== image.inverted);
      this.greyContext.putImageData(this.greyData, 0, 0);
      this.stale = false;
    }
    const matrix = this.placement.matrix(this.pixelRatio);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = this.placement.scale * this.pixelRatio < SHOW_SQUARES_FROM;
    context.imageSmoothingQuality = this.moving ? "low" : "high";
    context.setTransform(...matrix);
    if (this.small) context.drawImage(this.small, 0, 0, image.width, image.height);
    else context.drawImage(this.grey, 0, 0);
    for (const layer of this.layers.values()) {
      context.save();
      layer(context, this);
      context.restore();
    }
    this.dispatchEvent(new Event("change"));
  }
}
