/** ZIP files in the browser: the list, each file when it is asked for, and what cannot be read. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";

import { ZipError, filesIn, isZip } from "../../static/js/zip.js";

const MOST = 1_000_000;

/** A ZIP that Python has made of some lines of its own. */
function zip(lines) {
  const script = `import io, sys, zipfile\nmade = io.BytesIO()\n${lines}\nsys.stdout.buffer.write(made.getvalue())`;
  const { stdout, stderr, status } = spawnSync("python3", ["-c", script], { maxBuffer: 1e9 });
  assert.equal(status, 0, String(stderr));
  return new Blob([stdout]);
}

const plain = (method = "zipfile.ZIP_DEFLATED") =>
  zip(`archive = zipfile.ZipFile(made, "w", ${method})\narchive.writestr("a/one.dcm", b"1" * 5000)\narchive.writestr("a/Sch\\u00e4del.dcm", b"two")\narchive.writestr("a/", b"")\narchive.close()`);

const code = async (promise) => {
  try {
    await promise;
    return "read";
  } catch (error) {
    assert.ok(error instanceof ZipError, error.stack);
    return error.code;
  }
};

for (const method of ["zipfile.ZIP_DEFLATED", "zipfile.ZIP_STORED"]) {
  test(`files come out as they went in (${method})`, async () => {
    const made = plain(method);
    assert.ok(await isZip(made));
    const files = await filesIn(made);
    assert.deepEqual(files.map(({ name, size }) => [name, size]), [["a/one.dcm", 5000], ["a/Schädel.dcm", 3]]);
    assert.equal(await (await files[0].open(MOST)).text(), "1".repeat(5000));
    assert.equal(await (await files[1].open(MOST)).text(), "two");
  });
}

test("numbers of a large ZIP are read from where they stand", async () => {
  const made = zip('archive = zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED)\nwith archive.open("a", "w", force_zip64=True) as out: out.write(b"x" * 70)\narchive.close()');
  const [file] = await filesIn(made);
  assert.equal(await (await file.open(MOST)).text(), "x".repeat(70));
});

test("a file ends where it becomes larger than it may be, whatever the list says", async () => {
  const lines = [
    'archive = zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED)', 'archive.writestr("a", bytes(3000000))', "archive.close()",
    "import struct", "data = bytearray(made.getvalue())", 'at = data.rindex(b"PK\\x01\\x02")',
    'data[at + 24 : at + 28] = struct.pack("<L", 10)', "made = io.BytesIO(bytes(data))",
  ];
  const [file] = await filesIn(zip(lines.join("\n")));
  assert.equal(file.size, 10);
  assert.equal(await code(file.open(MOST)), "large");
});

test("what is encrypted, packed otherwise or damaged says so", async () => {
  const [lzma] = await filesIn(plain("zipfile.ZIP_LZMA"));
  assert.equal(await code(lzma.open(MOST)), "method");
  const bytes = new Uint8Array(await plain().arrayBuffer());
  const locked = bytes.slice();
  const list = bytes.findIndex((_, at) => bytes[at] === 0x50 && bytes[at + 1] === 0x4b && bytes[at + 2] === 1);
  locked[list + 8] |= 1;
  const [secret] = await filesIn(new Blob([locked]));
  assert.equal(await code(secret.open(MOST)), "encrypted");
  const damaged = bytes.slice();
  damaged.fill(0xff, 40, 60);
  const [first] = await filesIn(new Blob([damaged]));
  assert.equal(await code(first.open(MOST)), "broken");
});

test("no ZIP, and one that is cut off, are broken", async () => {
  assert.equal(await isZip(new Blob(["%PDF-1.7"])), false);
  assert.equal(await code(filesIn(new Blob(["PK\u0003\u0004 and nothing else"]))), "broken");
  const made = plain();
  assert.equal(await code(filesIn(made.slice(0, made.size - 40))), "broken");
});
