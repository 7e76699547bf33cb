/**
 * The pixel container: true values of one scan as the server sends them (see portal/reading/files.py).
 *
 * Little-endian: magic "OVRD", u16 version, u16 dtype, u32 width, u32 height, f32 slope, intercept, window centre,
 * window width, row spacing, column spacing, u16 flags, u16 reserved, u32 bytes that follow the pixels; then the pixels
 * row by row. From version 2 on it may go on with what else the file says: where a row and a column lead (three letters each), u16
 * number of further windows, u16 bits of a grey table, i32 its first value, u32 its length; the windows; the table.
 * In version 3 row and column spacing are no millimetres, only the shape of a pixel.
 */

import { signedInAgain } from "../session.js";

const HEADER_BYTES = 48;
const VERSIONS = [1, 2, 3];
const SHAPE_ONLY = 3;
const BEYOND_BYTES = 18;
const ARRAYS = { 1: Uint8Array, 2: Uint16Array, 3: Int16Array, 4: Float32Array };
const FLAG_INVERTED = 1;
const FLAG_SIGMOID = 2;
const FLAG_LINEAR_EXACT = 4;

/** The bytes are not a container that this version can show. */
export class Unreadable extends Error {}

/** Which version this is, and the array that its pixels are. */
function decodeKind(view) {
  if (view.byteLength < HEADER_BYTES || view.getUint32(0, false) !== 0x4f565244) {
    throw new Unreadable("not a pixel container");
  }
  const Pixels = ARRAYS[view.getUint16(6, true)];
  const version = view.getUint16(4, true);
  if (!VERSIONS.includes(version) || !Pixels) {
    throw new Unreadable("unknown version or type of the pixel container");
  }
  return { version, Pixels };
}

/** Turn the container's bytes into an image: pixels, size, rescale, the file's own window, spacing. */
export function decodeContainer(buffer) {
  const view = new DataView(buffer);
  const { version, Pixels } = decodeKind(view);
  const width = view.getUint32(8, true);
  const height = view.getUint32(12, true);
  const bytes = width * height * Pixels.BYTES_PER_ELEMENT;
  const following = view.getUint32(44, true);
  if (bytes === 0 || buffer.byteLength !== HEADER_BYTES + bytes + following) {
    throw new Unreadable("the pixel container is cut off");
  }
  const float = (offset) => view.getFloat32(offset, true);
  const flags = view.getUint16(40, true);
  const [centre, windowWidth] = [float(24), float(28)];
  const [rowSpacing, columnSpacing] = [float(32), float(36)];
  return {
    // Every platform that runs a browser today is little-endian, so the bytes are the array.
    pixels: new Pixels(buffer, HEADER_BYTES, width * height),
    width,
    height,
    slope: float(16),
    intercept: float(20),
    ownWindow: Number.isNaN(centre) || Number.isNaN(windowWidth) ? null : { centre, width: windowWidth },
    spacing: Number.isNaN(rowSpacing) || version === SHAPE_ONLY ? null : { row: rowSpacing, column: columnSpacing },
    aspect: Number.isNaN(rowSpacing) ? 1 : rowSpacing / columnSpacing, // height of a pixel by its width
    ...decodeBeyond(view, HEADER_BYTES + bytes, following),
    inverted: (flags & FLAG_INVERTED) !== 0,
    voi: flags & FLAG_SIGMOID ? "SIGMOID" : flags & FLAG_LINEAR_EXACT ? "LINEAR_EXACT" : "LINEAR",
  };
}

/** What follows the pixels: `{orientation, windows, table}`. */
function decodeBeyond(view, start, length) {
  if (length === 0) return { orientation: null, windows: [], table: null };
  const letters = (at) => String.fromCharCode(...[0, 1, 2].map((i) => view.getUint8(start + at + i))).trim();
  const [row, column] = [letters(0), letters(3)];
  const [count, bits] = [view.getUint16(start + 6, true), view.getUint16(start + 8, true)];
  const [first, entries] = [view.getInt32(start + 10, true), view.getUint32(start + 14, true)];
  const tableAt = start + BEYOND_BYTES + 8 * count;
  if (length !== BEYOND_BYTES + 8 * count + 2 * entries) throw new Unreadable("the pixel container is cut off");
  const float = (at) => view.getFloat32(at, true);
  return {
    orientation: row && column ? { row, column } : null,
    windows: Array.from({ length: count }, (_, i) => {
      const at = start + BEYOND_BYTES + 8 * i;
      return { centre: float(at), width: float(at + 4) };
    }),
    table: entries
      ? { first, bits, values: Uint16Array.from({ length: entries }, (_, i) => view.getUint16(tableAt + 2 * i, true)) }
      : null,
  };
}

/** Fetch and decode. Rejects with `Unreadable`, or an `Error` whose `status` is the server's answer. */
export async function fetchContainer(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "application/octet-stream" } });
  if (response.status === 401) signedInAgain(); // where a page can say so, it says that one is signed out
  if (!response.ok) {
    throw Object.assign(new Error(`the server answered ${response.status}`), { status: response.status });
  }
  return decodeContainer(await response.arrayBuffer());
}
