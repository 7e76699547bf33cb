/**
 * Where an image lies on the screen: scale, quarter turns, mirrorings, position. Plain geometry, no canvas.
 *
 * A placement maps image pixels to CSS pixels of the viewport: screen = position + scale * M * (pixel - middle),
 * where M is one of the eight turns and mirrorings of a square, as [a, b, c, d] for [[a, c], [b, d]]. Pixels that are no
 * squares are shown with their true shape: `aspect` is how much taller than wide they are, and scale that of their width.
 */

const UPRIGHT = [1, 0, 0, 1];
const TURN_RIGHT = [0, 1, -1, 0];
const FLIP_H = [-1, 0, 0, 1];
const FLIP_V = [1, 0, 0, -1];
const MIN_SCALE = 0.02;
const MAX_SCALE = 64;

/** Matrix product: first `n`, then `m`. */
function times(m, n) {
  const product = [
    m[0] * n[0] + m[2] * n[1],
    m[1] * n[0] + m[3] * n[1],
    m[0] * n[2] + m[2] * n[3],
    m[1] * n[2] + m[3] * n[3],
  ];
  return product.map((value) => value + 0); // -0 becomes 0
}

const applied = (m, x, y) => [m[0] * x + m[2] * y, m[1] * x + m[3] * y];
const clampScale = (scale) => Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));

export class Placement {
  constructor(imageWidth, imageHeight, aspect = 1) {
    this.imageWidth = imageWidth;
    this.imageHeight = imageHeight;
    this.aspect = aspect;
    this.turn = UPRIGHT;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.viewWidth = 0;
    this.viewHeight = 0;
    /** While true the image keeps filling the viewport when that changes its size. */
    this.fitted = true;
  }

  /** The viewport has a new size: a fitted image fits again, any other keeps its scale and its middle. */
  resize(viewWidth, viewHeight) {
    this.x += (viewWidth - this.viewWidth) / 2;
    this.y += (viewHeight - this.viewHeight) / 2;
    this.viewWidth = viewWidth;
    this.viewHeight = viewHeight;
    if (this.fitted) this.fit();
  }

  /** Show the whole image, as large as possible, in the middle. */
  fit() {
    const [width, height] = applied(this.turn, this.imageWidth, this.imageHeight * this.aspect).map(Math.abs);
    if (this.viewWidth > 0 && this.viewHeight > 0) {
      this.scale = clampScale(Math.min(this.viewWidth / width, this.viewHeight / height));
    }
    this.x = this.viewWidth / 2;
    this.y = this.viewHeight / 2;
    this.fitted = true;
  }

  /** Upright, unmirrored and fitted. */
  reset() {
    this.turn = UPRIGHT;
    this.fit();
  }

  /** Set the scale; the image point under (x, y) stays where it is. */
  scaleTo(scale, x = this.viewWidth / 2, y = this.viewHeight / 2) {
    const next = clampScale(scale);
    const factor = next / this.scale;
    this.x = x + (this.x - x) * factor;
    this.y = y + (this.y - y) * factor;
    this.scale = next;
    this.fitted = false;
  }

  /** Zoom by a factor around (x, y). */
  zoomBy(factor, x, y) {
    this.scaleTo(this.scale * factor, x, y);
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
  }

  /** Turn a quarter to the right around the middle of the viewport. */
  rotate() {
    this.orient(TURN_RIGHT);
  }

  /** Mirror left and right as seen on the screen. */
  flipH() {
    this.orient(FLIP_H);
  }

  /** Mirror top and bottom as seen on the screen. */
  flipV() {
    this.orient(FLIP_V);
  }

  orient(matrix) {
    const [x, y] = applied(matrix, this.x - this.viewWidth / 2, this.y - this.viewHeight / 2);
    this.turn = times(matrix, this.turn);
    this.x = x + this.viewWidth / 2;
    this.y = y + this.viewHeight / 2;
    if (this.fitted) this.fit();
  }

  /** [a, b, c, d, e, f] from image pixels to device pixels, the image's corner on a whole device pixel. */
  matrix(pixelRatio) {
    const factor = this.scale * pixelRatio;
    const [a, b] = [this.turn[0] * factor, this.turn[1] * factor];
    const [c, d] = [this.turn[2] * factor * this.aspect, this.turn[3] * factor * this.aspect];
    const e = this.x * pixelRatio - (a * this.imageWidth + c * this.imageHeight) / 2;
    const f = this.y * pixelRatio - (b * this.imageWidth + d * this.imageHeight) / 2;
    // Without this a 1:1 image could lie half a pixel off and would be blurred.
    return [a, b, c, d, Math.round(e), Math.round(f)];
  }

  /** The point of the viewport, in CSS pixels, at which image coordinates are shown. */
  toScreen(x, y, pixelRatio) {
    const [a, b, c, d, e, f] = this.matrix(pixelRatio);
    return [(a * x + c * y + e) / pixelRatio, (b * x + d * y + f) / pixelRatio];
  }

  /** Image coordinates (fractional) of a point of the viewport in CSS pixels. */
  toImage(x, y, pixelRatio) {
    const [a, b, c, d, e, f] = this.matrix(pixelRatio);
    const [u, v] = [x * pixelRatio - e, y * pixelRatio - f];
    const determinant = a * d - b * c;
    return [(d * u - c * v) / determinant, (a * v - b * u) / determinant];
  }
}
