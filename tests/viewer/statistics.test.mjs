// What lies inside a region, and what a mark measures. Small images, counted by hand.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Measurer, measured } from "../../static/js/viewer/marks/measure.js";
import { statisticsOf, valueAt } from "../../static/js/viewer/marks/statistics.js";
import { image, near } from "./support.mjs";

/** 4 by 3 pixels, with the values 0 to 11 row by row. */
const small = (more = {}) => image(Uint16Array.from({ length: 12 }, (_, i) => i), { width: 4, height: 3, ...more });
const mark = (kind, ...points) => ({ id: "1", kind, points, text: "" });

test("a rectangle counts the pixels whose middle it holds", () => {
  const { count, mean, sd, min, max } = statisticsOf(mark("rectangle", [1, 1], [3, 3]), small()); // 5 6 9 10
  assert.deepEqual([count, mean, min, max], [4, 7.5, 5, 10]);
  near(sd, 2.0615528128088303); // the square root of 4.25
});

test("values are rescaled, also by a negative slope", () => {
  const found = statisticsOf(mark("rectangle", [1, 1], [3, 3]), small({ slope: -2, intercept: 100 }));
  assert.deepEqual([found.mean, found.min, found.max], [85, 80, 90]);
  near(found.sd, 4.123105625617661);
});

test("a middle on the left or upper edge is inside, on the right or lower edge outside", () => {
  for (const region of [
    mark("rectangle", [0.5, 0.5], [1.5, 1.5]),
    mark("freehand", [0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5]),
  ]) {
    const { count, mean } = statisticsOf(region, small());
    assert.deepEqual([count, mean], [1, 0]); // the first pixel, of those whose middles are the corners
  }
});

test("regions side by side share no pixel and leave none out", () => {
  for (const at of [1, 1.5, 2.2]) {
    const [left, right] = [mark("rectangle", [0, 0], [at, 3]), mark("rectangle", [at, 0], [4, 3])];
    assert.equal(statisticsOf(left, small()).count + statisticsOf(right, small()).count, 12);
  }
});

test("an ellipse holds its edge: a circle of radius 1 on a pixel's middle has five pixels", () => {
  const found = statisticsOf(mark("ellipse", [0.5, 0.5], [2.5, 2.5]), small()); // 1 4 5 6 9
  assert.deepEqual([found.count, found.mean, found.min, found.max], [5, 5, 1, 9]);
});

test("a notch counts for nothing", () => {
  const shape = mark("freehand", [0, 0], [4, 0], [4, 1], [1, 1], [1, 3], [0, 3]); // 0 1 2 3, 4, 8
  const found = statisticsOf(shape, small());
  assert.deepEqual([found.count, found.mean, found.max], [6, 3, 8]);
});

test("an outline that crosses itself counts by the even-odd rule", () => {
  const twice = mark("freehand", [0, 0], [4, 0], [4, 3], [0, 3], [0, 0], [2, 0], [2, 3], [0, 3]);
  assert.equal(statisticsOf(twice, small()).count, 6); // the left half is enclosed twice
});

test("what reaches beyond the image is cut off, and what holds no middle measures nothing", () => {
  assert.equal(statisticsOf(mark("rectangle", [-5, -5], [50, 50]), small()).count, 12);
  assert.equal(statisticsOf(mark("rectangle", [1.1, 1.1], [1.4, 1.4]), small()), null);
  assert.equal(statisticsOf(mark("ellipse", [9, 9], [12, 12]), small()), null);
});

test("a small spread around a large mean keeps its digits", () => {
  const pixels = Float32Array.of(1e7, 1e7 + 1, 1e7, 1e7 + 1);
  assert.equal(statisticsOf(mark("rectangle", [0, 0], [4, 1]), image(pixels)).sd, 0.5);
});

test("a point has the value of its pixel; the far edge belongs to the last one", () => {
  assert.equal(valueAt([2.9, 1.1], small()), 6);
  assert.equal(valueAt([4, 3], small({ slope: 2, intercept: 1 })), 23);
});

const spacing = { row: 0.8, column: 0.4 }; // pixels twice as tall as wide

test("marks are measured in mm where the image says how large a pixel is", () => {
  const known = small({ spacing, aspect: 2 });
  const length = measured(mark("length", [0, 0], [3, 2]), known); // 1.2 by 1.6 mm
  assert.equal(length.unit, "mm");
  near(length.length, 2);
  near(measured(mark("angle", [1, 0], [0, 0], [1, 1]), known).angle, 63.43494882292201);
  near(measured(mark("rectangle", [0, 0], [2, 2]), known).area, 1.28);
});

test("without millimetres marks are measured in widths of a pixel, in its true shape", () => {
  const unknown = small({ aspect: 2 });
  const length = measured(mark("length", [0, 0], [3, 2]), unknown);
  assert.equal(length.unit, "px");
  near(length.length, 5);
  assert.equal(measured(mark("rectangle", [0, 0], [2, 2]), unknown).area, 8);
});

test("what is measured is said in numbers with their unit", () => {
  const words = { mean: "mean", sd: "SD", min: "min", max: "max", pixels: "pixels", area: "area", uncalibrated: "uncalibrated" };
  const said = new Measurer(small({ spacing, aspect: 2 }), (value) => value.toFixed(0), words);
  assert.deepEqual(said.lines({ ...mark("length", [0, 0], [3, 2]), text: "Rim" }), ["Rim", "2.0 mm"]);
  assert.deepEqual(said.lines(mark("rectangle", [1, 1], [3, 3])), ["1.3 mm²", "mean 7.5 ± 2.1", "5 … 10"]);
  const unknown = new Measurer(small(), (value) => value.toFixed(0), words);
  assert.equal(unknown.sentence(mark("length", [0, 0], [3, 0])), "3.0 px (uncalibrated)");
});
