/**
 * What a mark measures, in numbers and in words. Millimetres only where the image brings its pixel spacing; without
 * it lengths are in pixels, and the list says that they are not calibrated.
 */

import { angleOf, areaOf, distance, REGIONS } from "./geometry.js";
import { statisticsOf, valueAt } from "./statistics.js";

/** [width, height] of a pixel in mm, or null. */
export const pixelSize = ({ spacing }) => (spacing ? [spacing.column, spacing.row] : null);

/** The numbers of a mark: `{unit, length | angle | area + statistics | value}`; `unit` is "mm" or "px". */
export function measured(mark, image) {
  const size = pixelSize(image);
  // Without millimetres in widths of a pixel: the image is shown in its true shape, and angles are as they look.
  const [unit, scale] = [size ? "mm" : "px", size ?? [1, image.aspect]];
  if (mark.kind === "length") return { unit, length: distance(...mark.points, scale) };
  if (mark.kind === "angle") return { unit, angle: angleOf(mark.points, scale) };
  if (mark.kind === "point") return { unit, value: valueAt(mark.points[0], image) };
  if (REGIONS.has(mark.kind)) return { unit, area: areaOf(mark, scale), statistics: statisticsOf(mark, image) };
  return { unit };
}

/** Measures marks, each only once: a mark never changes. */
export class Measurer {
  constructor(image, shown, words) {
    this.image = image;
    this.shown = shown; // a value of the image as text
    this.words = words;
    this.known = new WeakMap();
  }

  of(mark) {
    if (!this.known.has(mark)) this.known.set(mark, measured(mark, this.image));
    return this.known.get(mark);
  }

  /** Short lines to stand beside the mark on the image. */
  lines(mark) {
    const { unit, length, angle, area, value, statistics } = this.of(mark);
    const said = mark.text ? [mark.text] : [];
    if (length !== undefined) return [...said, `${length.toFixed(1)} ${unit}`];
    if (angle !== undefined) return [...said, `${angle.toFixed(1)}°`];
    if (value !== undefined) return [...said, this.shown(value)];
    if (area === undefined) return said;
    const size = `${area.toFixed(area < 100 ? 1 : 0)} ${unit}²`;
    if (!statistics) return [...said, size, this.words.empty];
    const { mean, sd, min, max } = statistics;
    return [
      ...said,
      size,
      `${this.words.mean} ${this.fine(mean)} ± ${this.fine(sd)}`,
      `${this.shown(min)} … ${this.shown(max)}`,
    ];
  }

  /** The same in full for the list, with what each number is. */
  sentence(mark) {
    const { unit, length, angle, area, value, statistics } = this.of(mark);
    const { words } = this;
    const units = unit === "px" ? `px (${words.uncalibrated})` : unit;
    if (length !== undefined) return `${length.toFixed(1)} ${units}`;
    if (angle !== undefined) return `${angle.toFixed(1)}°`;
    if (value !== undefined) return `${words.value} ${this.shown(value)}`;
    if (area === undefined) return "";
    const size = `${words.area} ${area.toFixed(area < 100 ? 1 : 0)} ${unit}²${unit === "px" ? ` (${words.uncalibrated})` : ""}`;
    if (!statistics) return `${size}, ${words.empty}`;
    const { count, mean, sd, min, max } = statistics;
    return [
      size,
      `${words.mean} ${this.fine(mean)}`,
      `${words.sd} ${this.fine(sd)}`,
      `${words.min} ${this.shown(min)}`,
      `${words.max} ${this.shown(max)}`,
      `${count} ${words.pixels}`,
    ].join(", ");
  }

  /** One decimal more than the values themselves have. */
  fine(value) {
    const decimals = (this.shown(0.5).split(".")[1] ?? "").length + 1;
    return value.toFixed(decimals);
  }
}
