/**
 * A heat map over the image: fetched only when first asked for, drawn with an opacity.
 *
 * The server sends it coloured (inferno) over the frame of the whole image, as opaque as the influence is strong, so
 * that where nothing spoke nothing is veiled.
 */

export class Overlay {
  constructor(viewport, url) {
    this.viewport = viewport;
    this.url = url;
    this.opacity = 0.6;
    this.shown = false;
    this.map = null;
  }

  /** Fetch the map once. Rejects when it cannot be had. */
  async load() {
    const response = await fetch(this.url);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    this.map = await createImageBitmap(await response.blob());
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

  redraw() {
    const visible = this.shown && this.map;
    this.viewport.setLayer("heat map", visible ? (context, { image }) => this.paint(context, image) : null);
  }

  paint(context, image) {
    context.globalAlpha = this.opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(this.map, 0, 0, image.width, image.height);
  }
}
