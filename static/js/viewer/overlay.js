/**
 * A heat map over the image: fetched only when first asked for, drawn with an opacity and from a threshold on.
 *
 * The server sends it coloured (inferno) over the frame of the whole image, as opaque as the influence is strong, so
 * that where nothing spoke nothing is veiled.
 */

export class Overlay {
  constructor(viewport, url) {
    this.viewport = viewport;
    this.url = url;
    this.opacity = 0.6;
    this.threshold = 0;
    this.shown = false;
    this.map = null;
  }

  /** Fetch the map once. Rejects when it cannot be had. */
  async load() {
    const response = await fetch(this.url);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const bitmap = await createImageBitmap(await response.blob());
    this.map = new OffscreenCanvas(bitmap.width, bitmap.height);
    this.context = this.map.getContext("2d", { willReadFrequently: true });
    this.context.drawImage(bitmap, 0, 0);
    this.whole = this.context.getImageData(0, 0, bitmap.width, bitmap.height);
    this.strongest = this.whole.data.reduce((most, value, at) => (at % 4 === 3 ? Math.max(most, value) : most), 0);
    this.cut();
  }

  /** Leave out what influenced the answer less than the threshold. How opaque the map is, is the influence. */
  cut() {
    const kept = new ImageData(this.whole.data.slice(), this.whole.width, this.whole.height);
    const least = this.threshold * this.strongest;
    for (let at = 3; at < kept.data.length; at += 4) if (kept.data[at] < least) kept.data[at] = 0;
    this.context.putImageData(kept, 0, 0);
  }

  /** Whether the image that the map belongs to is shown: of a stack it is the peak. */
  get fits() {
    const { stack } = this.viewport;
    return !stack || stack.index === Number(document.querySelector("[data-profile]")?.dataset.peak);
  }

  /** Show it, fetching it first where needed. */
  async show() {
    this.shown = true;
    if (!this.map) {
      this.loading ??= this.load().finally(() => {
        this.loading = null;
      });
      await this.loading;
    }
    this.redraw();
  }

  hide() {
    this.shown = false;
    this.redraw();
  }

  /** @param {number} opacity between 0 and 1 */
  setOpacity(opacity) {
    this.opacity = opacity;
    this.redraw();
  }

  /** @param {number} threshold share of this map's strongest influence, 0 to 1, below which nothing is drawn */
  setThreshold(threshold) {
    this.threshold = threshold;
    if (this.map) this.cut();
    this.redraw();
  }

  redraw() {
    const visible = this.shown && this.map;
    this.viewport.setLayer("heat map", visible ? (context, { image }) => this.paint(context, image) : null);
  }

  paint(context, image) {
    if (!this.fits) return;
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.map, 0, 0, image.width, image.height);
  }
}
