// Window and level. The worked examples are those of DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.
import assert from "node:assert/strict";
import { test } from "node:test";

import { GreyPainter, Percentiles, formatterOf, greyOf, presetsOf, windowBetween } from "../../static/js/viewer/window.js";
import { image, near } from "./support.mjs";

const grey = (value, centre, width, voi = "LINEAR") => greyOf(value, { centre, width, voi });

test("LINEAR, 4096 wide around 2048, is black up to 0 and white from 4095 on", () => {
  assert.equal(grey(-1, 2048, 4096), 0);
  assert.equal(grey(0, 2048, 4096), 0);
  near(grey(1, 2048, 4096), 1 / 4095);
  near(grey(2047.5, 2048, 4096), 0.5);
  near(grey(4094, 2048, 4096), 4094 / 4095);
  assert.equal(grey(4095, 2048, 4096), 1);
  assert.equal(grey(4096, 2048, 4096), 1);
});

test("LINEAR, 100 wide around 0, is black up to -50 and white above 49", () => {
  assert.equal(grey(-50, 0, 100), 0);
  near(grey(-49, 0, 100), 1 / 99);
  near(grey(0, 0, 100), 50 / 99);
  near(grey(48, 0, 100), 98 / 99);
  assert.equal(grey(49.1, 0, 100), 1);
});

test("LINEAR, one wide, is a threshold half a value below its centre", () => {
  assert.deepEqual([2047, 2047.5, 2047.6, 2048].map((value) => grey(value, 2048, 1)), [0, 0, 1, 1]);
  assert.deepEqual([-1, -0.5, 0].map((value) => grey(value, 0, 1)), [0, 0, 1]);
});

test("LINEAR_EXACT has its ends half a width from its centre", () => {
  assert.equal(grey(0, 2048, 4096, "LINEAR_EXACT"), 0);
  near(grey(1024, 2048, 4096, "LINEAR_EXACT"), 0.25);
  assert.equal(grey(4096, 2048, 4096, "LINEAR_EXACT"), 1);
  near(grey(25, 0, 100, "LINEAR_EXACT"), 0.75);
  assert.deepEqual([-50, -60, 50, 60].map((value) => grey(value, 0, 100, "LINEAR_EXACT")), [0, 0, 1, 1]);
});

test("SIGMOID is a half at its centre and symmetric about it", () => {
  near(grey(40, 40, 80, "SIGMOID"), 0.5);
  near(grey(60, 40, 80, "SIGMOID"), 0.7310585786300049); // 1 / (1 + 1/e)
  near(grey(20, 40, 80, "SIGMOID"), 0.2689414213699951);
});

test("a table gives its entries, and its ends beyond them", () => {
  const window = { voi: "TABLE", table: { first: 10, bits: 8, values: Uint16Array.of(0, 51, 255) } };
  assert.deepEqual([-5, 10, 12, 999].map((value) => greyOf(value, window)), [0, 0, 1, 1]);
  near(greyOf(11, window), 0.2);
});

const painted = (of, window, inverted = false) => {
  const words = new Uint32Array(of.pixels.length);
  new GreyPainter(of).paint(words, window, inverted);
  return [...words];
};

test("pixels are painted as opaque greys", () => {
  const window = { centre: 128, width: 256, voi: "LINEAR" };
  assert.deepEqual(painted(image(Uint8Array.of(0, 1, 128, 255)), window), [0xff000000, 0xff010101, 0xff808080, 0xffffffff]);
});

test("MONOCHROME1 and inverting turn black into white", () => {
  const window = { centre: 128, width: 256, voi: "LINEAR" };
  assert.deepEqual(painted(image(Uint8Array.of(0, 1, 255)), window, true), [0xffffffff, 0xfffefefe, 0xff000000]);
});

test("windows are in rescaled units, for signed, negative and fractional pixels too", () => {
  const exact = { centre: 0, width: 100, voi: "LINEAR_EXACT" };
  assert.deepEqual(painted(image(Int16Array.of(-25, 0, 25), { slope: 2 }), exact), [0xff000000, 0xff808080, 0xffffffff]);
  assert.deepEqual(painted(image(Int16Array.of(-25, 25), { slope: -2 }), exact), [0xffffffff, 0xff000000]);
  assert.deepEqual(painted(image(Uint16Array.of(1000, 1100), { intercept: -1050 }), exact), [0xff000000, 0xffffffff]);
  assert.deepEqual(painted(image(Float32Array.of(-0.5, 0.5)), { ...exact, width: 1 }), [0xff000000, 0xffffffff]);
});

test("percentiles are ranks, whatever the order and the type", () => {
  const values = Array.from({ length: 101 }, (_, i) => (i * 37) % 101); // 0 to 100, shuffled
  for (const pixels of [Uint8Array.from(values), Uint16Array.from(values), Float32Array.from(values)]) {
    const percentiles = new Percentiles(image(pixels));
    assert.deepEqual([0, 0.05, 0.5, 0.95, 1].map((share) => percentiles.at(share)), [0, 5, 50, 95, 100]);
  }
  const signed = new Percentiles(image(Int16Array.from(values, (value) => value - 50)));
  assert.deepEqual([0, 0.25, 1].map((share) => signed.at(share)), [-50, -25, 50]);
});

test("percentiles follow the rescale, also where it turns the order round", () => {
  const pixels = Uint8Array.from({ length: 101 }, (_, i) => i);
  const percentiles = new Percentiles(image(pixels, { slope: -2, intercept: 10 }));
  assert.deepEqual([0, 0.05, 1].map((share) => percentiles.at(share)), [-190, -180, 10]);
});

test("an even image still has a range", () => {
  assert.deepEqual(new Percentiles(image(Uint16Array.of(7, 7, 7))).between(0.05, 0.95), [7, 8]);
});

test("a window between two values shows the lower black and the higher white, and nothing between clipped", () => {
  for (const voi of ["LINEAR", "LINEAR_EXACT"]) {
    const window = windowBetween(100, 300, voi);
    assert.equal(greyOf(100, window), 0);
    assert.equal(greyOf(300, window), 1);
    near(greyOf(200, window), 0.5);
    assert.ok(greyOf(101, window) > 0 && greyOf(299, window) < 1);
  }
});

test("an image begins with the file's window, else its table, else all of eight bits, else without outliers", () => {
  const deep = Uint16Array.from({ length: 1001 }, (_, i) => i);
  const ownWindow = { centre: 40, width: 80 };
  const windows = [{ centre: 300, width: 1500 }];
  const brought = presetsOf(image(deep, { ownWindow, windows }));
  assert.equal(brought.first, "file");
  assert.deepEqual(brought.named.file, { ...ownWindow, voi: "LINEAR" });
  assert.deepEqual(brought.named.file2, { ...windows[0], voi: "LINEAR" });
  const table = { first: 10, bits: 8, values: Uint16Array.of(0, 100, 255) };
  const tabled = presetsOf(image(deep, { table }));
  assert.equal(tabled.first, "table");
  assert.deepEqual([tabled.named.table.centre, tabled.named.table.width], [11.5, 3]);
  const shallow = presetsOf(image(Uint8Array.of(20, 30)));
  assert.equal(shallow.first, "full");
  assert.deepEqual(shallow.named.full, { centre: 128, width: 256, voi: "LINEAR" });
  const plain = presetsOf(image(deep));
  assert.equal(plain.first, "wide");
  assert.deepEqual(plain.named.wide, { centre: 500.5, width: 991, voi: "LINEAR" }); // 5 to 995
  assert.deepEqual(plain.named.narrow, { centre: 500.5, width: 901, voi: "LINEAR" }); // 50 to 950
});

test("values are written as finely as they are", () => {
  assert.equal(formatterOf(image(Uint16Array.of(1)), 4000)(12), "12");
  assert.equal(formatterOf(image(Float32Array.of(1)), 1)(0.12345), "0.123");
  assert.equal(formatterOf(image(Uint16Array.of(1), { slope: 0.5 }), 4000)(12.5), "13");
});
