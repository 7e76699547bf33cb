/**
 * The pixel container: true values of one scan as the server sends them (see portal/reading/files.py).
 *
 * Little-endian: magic "OVRD", u16 version, u16 dtype, u32 width, u32 height, f32 slope, intercept, window centre,
 * window width, row spacing, column spacing, u16 flags, u16 and u32 reserved; then the pixels row by row.
 */

const HEADER_BYTES = 48;
const VERSION = 1;
const ARRAYS = { 1: Uint8Array, 2: Uint16Array, 3: Int16Array, 4: Float32Array };
const FLAG_INVERTED = 1;
const FLAG_SIGMOID = 2;
const FLAG_LINEAR_EXACT = 4;

/** The bytes are not a container that this version can show. */
export class Unreadable extends Error {}

/** Turn the container's bytes into an image: pixels, size, rescale, the file's own window, spacing. */
export function decodeContainer(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getUint32(0, false) !== 0x4f565244) {
    throw new Unreadable("not a pixel container");
  }
  const Pixels = ARRAYS[view.getUint16(6, true)];
  if (view.getUint16(4, true) !== VERSION || !Pixels) {
    throw new Unreadable("unknown version or type of the pixel container");
  }
  const width = view.getUint32(8, true);
  const height = view.getUint32(12, true);
  const bytes = width * height * Pixels.BYTES_PER_ELEMENT;
  if (bytes === 0 || buffer.byteLength !== HEADER_BYTES + bytes) {
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
    spacing: Number.isNaN(rowSpacing) ? null : { row: rowSpacing, column: columnSpacing },
    inverted: (flags & FLAG_INVERTED) !== 0,
    voi: flags & FLAG_SIGMOID ? "SIGMOID" : flags & FLAG_LINEAR_EXACT ? "LINEAR_EXACT" : "LINEAR",
  };
}

/** Fetch and decode. Rejects with `Unreadable`, or an `Error` whose `status` is the server's answer. */
export async function fetchContainer(url, signal) {
  const response = await fetch(url, { signal, headers: { Accept: "application/octet-stream" } });
  if (!response.ok) {
    throw Object.assign(new Error(`the server answered ${response.status}`), { status: response.status });
  }
  return decodeContainer(await response.arrayBuffer());
}
