/**
 * Window and level: true values to grey, exactly as DICOM PS3.3 C.11.2.1 says.
 *
 * Centre and width are in rescaled units (stored * slope + intercept). Integer pixels go through a table with one
 * entry for each stored value, so a change of window costs one look-up per pixel.
 */

/** Grey between 0 and 1 for a rescaled value. */
export function greyOf(value, { centre, width, voi, table }) {
  let grey;
  if (voi === "TABLE") {
    const { first, bits, values } = table;
    return values[Math.min(values.length - 1, Math.max(0, Math.round(value) - first))] / (2 ** bits - 1);
  }
  if (voi === "SIGMOID") {
    return 1 / (1 + Math.exp((-4 * (value - centre)) / width));
  } else if (voi === "LINEAR_EXACT") {
    grey = (value - centre) / width + 0.5;
  } else if (width <= 1) {
    grey = value <= centre - 0.5 ? 0 : 1;
  } else {
    grey = (value - (centre - 0.5)) / (width - 1) + 0.5;
  }
  return grey < 0 ? 0 : grey > 1 ? 1 : grey;
}

const OPAQUE = 0xff000000;
const opaqueGrey = (level) => (OPAQUE | (level << 16) | (level << 8) | level) >>> 0;

/** Range of stored values that the array's type can hold; null where a table makes no sense. */
function tableRange(pixels) {
  if (pixels instanceof Uint8Array) return [0, 255];
  if (pixels instanceof Uint16Array) return [0, 65535];
  if (pixels instanceof Int16Array) return [-32768, 32767];
  return null;
}

/** Lowest and highest stored value. */
function endsOf(pixels) {
  let [low, high] = [pixels[0], pixels[0]];
  for (let i = 1; i < pixels.length; i += 1) {
    if (pixels[i] < low) low = pixels[i];
    else if (pixels[i] > high) high = pixels[i];
  }
  return [low, high];
}

/** Paints an image's grey levels into a buffer of RGBA words; keeps its table between calls. */
export class GreyPainter {
  constructor(image) {
    this.image = image;
    // Only the values that occur: of 12 bits in a file of 16, a sixteenth of the table for each move of the window.
    const range = tableRange(image.pixels) && endsOf(image.pixels);
    this.offset = range ? range[0] : 0;
    this.table = range ? new Uint32Array(range[1] - range[0] + 1) : null;
  }

  /** Fill `words` (Uint32Array over ImageData) for a window; `inverted` turns black into white. */
  paint(words, window, inverted) {
    const { pixels, slope, intercept } = this.image;
    const level = (stored) => {
      const grey = Math.round(255 * greyOf(stored * slope + intercept, window));
      return opaqueGrey(inverted ? 255 - grey : grey);
    };
    if (!this.table) {
      for (let i = 0; i < pixels.length; i += 1) words[i] = level(pixels[i]);
      return;
    }
    const { table, offset } = this;
    for (let i = 0; i < table.length; i += 1) table[i] = level(i + offset);
    for (let i = 0; i < pixels.length; i += 1) words[i] = table[pixels[i] - offset];
  }
}

/** A function that gives the stored value of a rank. Integers are counted: a tenth of what sorting a million takes. */
function ranksOf(pixels) {
  const range = tableRange(pixels);
  if (!range) {
    const sorted = pixels.slice().sort();
    return (rank) => sorted[rank];
  }
  const [lowest, highest] = range;
  const upTo = new Uint32Array(highest - lowest + 1);
  for (let i = 0; i < pixels.length; i += 1) upTo[pixels[i] - lowest] += 1;
  for (let i = 1; i < upTo.length; i += 1) upTo[i] += upTo[i - 1];
  return (rank) => {
    let [from, to] = [0, upTo.length - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (upTo[middle] > rank) to = middle;
      else from = middle + 1;
    }
    return from + lowest;
  };
}

/** Order statistics of an image's rescaled values, worked out once when first asked for. */
export class Percentiles {
  constructor(image) {
    this.image = image;
    this.ranked = null;
  }

  /** The value below which `share` (0 to 1) of the pixels lie. */
  at(share) {
    const { pixels, slope, intercept } = this.image;
    this.ranked ??= ranksOf(pixels);
    const rank = Math.round(share * (pixels.length - 1));
    return this.ranked(slope < 0 ? pixels.length - 1 - rank : rank) * slope + intercept;
  }

  /** Lowest and highest value between two shares, never the same. */
  between(low, high) {
    const [from, to] = [this.at(low), this.at(high)];
    return to > from ? [from, to] : [this.at(0), Math.max(this.at(1), this.at(0) + 1)];
  }
}

/** True where values are whole numbers, so that windows are best given in whole numbers too. */
export function isWhole(image) {
  return !(image.pixels instanceof Float32Array) && Number.isInteger(image.slope) && Number.isInteger(image.intercept);
}

/** Writes a value of the image with as many decimals as its values deserve; `span` is their breadth. */
export function formatterOf(image, span) {
  const decimals = isWhole(image) ? 0 : Math.max(0, Math.min(6, 3 - Math.floor(Math.log10(span || 1))));
  return (value) => value.toFixed(decimals);
}

/** The window that maps `low` to black and `high` to white, by the image's own function. */
export function windowBetween(low, high, voi) {
  if (voi === "LINEAR") return { centre: (low + high) / 2 + 0.5, width: high - low + 1, voi };
  return { centre: (low + high) / 2, width: high - low, voi };
}

/**
 * The windows on offer, by name: `file`, `file2` and so on, `table` (only where the file brings them), `wide`,
 * `narrow`, `full`.
 * `first` names the one to begin with.
 */
export function presetsOf(image, percentiles = new Percentiles(image)) {
  // A window one unit wide is the narrowest that LINEAR knows: too coarse for fractional values.
  const voi = image.ownWindow || isWhole(image) ? image.voi : "LINEAR_EXACT";
  // A sigmoid has no black and white ends; the offered windows are plain ones.
  const plain = voi === "SIGMOID" ? "LINEAR_EXACT" : voi;
  const eightBit = image.pixels instanceof Uint8Array;
  const full = eightBit ? [image.intercept, 255 * image.slope + image.intercept] : percentiles.between(0, 1);
  const named = {
    file: image.ownWindow ? { ...image.ownWindow, voi } : null,
    ...Object.fromEntries(image.windows.map((window, at) => [`file${at + 2}`, { ...window, voi }])),
    table: image.table ? ofTable(image.table) : null,
    wide: windowBetween(...percentiles.between(0.005, 0.995), plain),
    narrow: windowBetween(...percentiles.between(0.05, 0.95), plain),
    full: windowBetween(...(full[0] < full[1] ? full : [full[1], full[0]]), plain),
  };
  // Eight bits were windowed by whoever made the file: show them as they are.
  return { named, first: named.file ? "file" : named.table ? "table" : eightBit ? "full" : "wide" };
}

/** The file's own table as a window: its breadth is told, dragging goes on from there as a plain window. */
function ofTable(table) {
  const { centre, width } = windowBetween(table.first, table.first + table.values.length - 1, "LINEAR");
  return { centre, width, voi: "TABLE", table };
}
