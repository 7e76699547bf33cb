/**
 * The files of a ZIP, read in the browser: the list first, each file when its turn comes. Nothing is unpacked at once,
 * so a ZIP of any size costs the memory of one file.
 */

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LONGEST_COMMENT = 0xffff;
const MOST_FILES = 20000;
const ENCRYPTED = 0x1;
const STORED = 0;
const DEFLATED = 8;
const LINK = 0xa000;

/** Why a ZIP, or a file of it, cannot be read; `code` is `broken`, `many`, `encrypted`, `method`, `large`. */
export class ZipError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** Whether this browser can unpack files. */
export const canUnpack = () => typeof DecompressionStream === "function";

/** Whether a file is a ZIP, by how it begins. */
export async function isZip(file) {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return head[0] === 0x50 && head[1] === 0x4b && (head[2] === 3 || head[2] === 5);
}

const viewOf = async (file, from, to) => new DataView(await file.slice(from, to).arrayBuffer());

/** Where the list of files lies, how long it is, and how many there are. */
async function directoryOf(file) {
  const from = Math.max(0, file.size - 22 - LONGEST_COMMENT);
  const tail = await viewOf(file, from, file.size);
  for (let at = tail.byteLength - 22; at >= 0; at -= 1) {
    if (tail.getUint32(at, true) !== END) continue;
    return { count: tail.getUint16(at + 10, true), length: tail.getUint32(at + 12, true), at: tail.getUint32(at + 16, true) };
  }
  throw new ZipError("broken");
}

/**
 * The files of a ZIP.
 * @param {Blob} file
 * @returns {Promise<{name: string, size: number, open: (most: number) => Promise<Blob>}[]>} `open` gives a file's
 *   bytes, and ends where they become more than `most`, whatever the list says of its size
 */
export async function filesIn(file) {
  const directory = await directoryOf(file);
  if (directory.count > MOST_FILES) throw new ZipError("many");
  const list = await viewOf(file, directory.at, directory.at + directory.length);
  const found = [];
  let at = 0;
  while (at + 46 <= list.byteLength && list.getUint32(at, true) === ENTRY) {
    const long = { name: list.getUint16(at + 28, true), extra: list.getUint16(at + 30, true), comment: list.getUint16(at + 32, true) };
    if (at + 46 + long.name > list.byteLength) throw new ZipError("broken");
    const name = new TextDecoder().decode(new Uint8Array(list.buffer, list.byteOffset + at + 46, long.name));
    const one = {
      flags: list.getUint16(at + 8, true),
      method: list.getUint16(at + 10, true),
      packed: list.getUint32(at + 20, true),
      size: list.getUint32(at + 24, true),
      link: ((list.getUint32(at + 38, true) >>> 16) & 0xf000) === LINK,
      from: list.getUint32(at + 42, true),
    };
    large(one, new DataView(list.buffer, list.byteOffset + at + 46 + long.name, Math.min(long.extra, list.byteLength - at - 46 - long.name)));
    if (!name.endsWith("/")) found.push({ name, size: one.size, open: (most) => opened(file, one, most) });
    at += 46 + long.name + long.extra + long.comment;
  }
  if (found.length === 0 && directory.count > 0) throw new ZipError("broken");
  return found;
}

/** Numbers that have no room in an entry stand in its extra field, in this order. */
function large(one, extra) {
  for (let at = 0; at + 4 <= extra.byteLength; at += 4 + extra.getUint16(at + 2, true)) {
    if (extra.getUint16(at, true) !== 1) continue;
    let from = at + 4;
    for (const part of ["size", "packed", "from"]) {
      if (one[part] !== 0xffffffff || from + 8 > extra.byteLength) continue;
      one[part] = Number(extra.getBigUint64(from, true));
      from += 8;
    }
  }
}

async function opened(file, one, most) {
  if (one.flags & ENCRYPTED) throw new ZipError("encrypted");
  if (one.link || (one.method !== STORED && one.method !== DEFLATED)) throw new ZipError("method");
  if (one.size > most) throw new ZipError("large");
  const head = await viewOf(file, one.from, one.from + 30);
  if (head.byteLength < 30) throw new ZipError("broken");
  const begin = one.from + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const packed = file.slice(begin, begin + one.packed);
  if (packed.size !== one.packed) throw new ZipError("broken");
  return one.method === STORED ? packed : inflated(packed, most);
}

async function inflated(packed, most) {
  const parts = [];
  let size = 0;
  const reader = packed.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(parts);
      size += value.byteLength;
      if (size > most) throw new ZipError("large");
      parts.push(value);
    }
  } catch (error) {
    throw error instanceof ZipError ? error : new ZipError("broken");
  } finally {
    reader.cancel().catch(() => null);
  }
}
