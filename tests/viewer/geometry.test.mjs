// The shapes of marks. Right triangles, rectangles and circles, whose measures are known by hand.
import assert from "node:assert/strict";
import { test } from "node:test";

import * as geometry from "../../static/js/viewer/marks/geometry.js";
import { allNear, near } from "./support.mjs";

const { angleOf, areaOf, contains, distance, distanceTo, handlesOf, isWorth, moved, withHandle } = geometry;

const L_SHAPE = [[0, 0], [6, 0], [6, 2], [2, 2], [2, 6], [0, 6]];
const mark = (kind, ...points) => ({ id: "1", kind, points, text: "" });

test("a length is that of the hypotenuse", () => {
  assert.equal(distance([1, 1], [4, 5]), 5);
});

test("a length in mm takes width and height of a pixel apart", () => {
  near(distance([0, 0], [3, 4], [0.5, 0.25]), 1.8027756377319946); // sides of 1.5 and 1 mm
  assert.equal(distance([0, 0], [10, 0], [0.4, 0.8]), 4);
  assert.equal(distance([0, 0], [0, 10], [0.4, 0.8]), 8);
});

test("an angle is the one at its middle point, whatever the order, up to 180 degrees", () => {
  near(angleOf([[5, 0], [0, 0], [0, 5]]), 90);
  near(angleOf([[0, 5], [0, 0], [5, 0]]), 90);
  near(angleOf([[3, 3], [0, 0], [7, 0]]), 45);
  near(angleOf([[-4, 0], [0, 0], [7, 0]]), 180);
  near(angleOf([[4, 4], [0, 0], [1, 1]]), 0);
});

test("an angle is that of the body, not of the pixels", () => {
  near(angleOf([[1, 0], [0, 0], [1, 1]], [1, 2]), 63.43494882292201); // atan 2
  near(angleOf([[1, 1], [0, 0], [1, -1]], [0.5, 0.5]), 90);
});

test("areas in mm, with pixels that are no squares", () => {
  near(areaOf(mark("rectangle", [5, 4], [1, 1]), [0.5, 0.2]), 1.2); // 2 by 0.6 mm
  near(areaOf(mark("ellipse", [0, 0], [4, 2]), [0.5, 2]), Math.PI * 2); // half-axes of 1 and 2 mm
  near(areaOf(mark("freehand", [0, 0], [4, 0], [0, 3]), [0.5, 2]), 6);
});

test("the area of an outline is the same in both directions, and less by its notch", () => {
  assert.equal(areaOf(mark("freehand", ...L_SHAPE)), 20);
  assert.equal(areaOf(mark("freehand", ...L_SHAPE.toReversed())), 20);
});

test("inside is inside, also of a notch, an ellipse and a box drawn from any corner", () => {
  const shape = mark("freehand", ...L_SHAPE);
  assert.deepEqual([[1, 1], [5, 1], [1, 5]].map((point) => contains(shape, point)), [true, true, true]);
  assert.deepEqual([[4, 4], [7, 1], [-1, 1]].map((point) => contains(shape, point)), [false, false, false]);
  const box = mark("rectangle", [8, 6], [2, 2]);
  assert.deepEqual([[3, 3], [7, 5], [1, 3], [3, 7]].map((point) => contains(box, point)), [true, true, false, false]);
  const round = mark("ellipse", [0, 0], [20, 10]);
  assert.deepEqual([[10, 5], [1, 5], [10, 9], [2, 1]].map((point) => contains(round, point)), [true, true, true, false]);
});

test("a line has no inside", () => {
  for (const each of [mark("length", [0, 0], [9, 9]), mark("point", [1, 1]), mark("angle", [0, 0], [4, 0], [4, 4])]) {
    assert.equal(contains(each, [3, 1]), false);
  }
});

test("a hit is judged by the distance from the outline", () => {
  const line = mark("length", [0, 0], [10, 0]);
  assert.equal(distanceTo(line, [5, 3]), 3);
  assert.equal(distanceTo(line, [13, 4]), 5); // beyond its end: from the end
  assert.equal(distanceTo(line, [-3, -4]), 5);
  assert.equal(distanceTo(mark("point", [1, 1]), [4, 5]), 5);
  assert.equal(distanceTo(mark("rectangle", [0, 0], [10, 20]), [3, 10]), 3); // from within too
  near(distanceTo(mark("ellipse", [0, 0], [20, 20]), [25, 10]), 5);
  assert.equal(distanceTo(mark("angle", [0, 0], [0, 10], [10, 10]), [5, 5]), 5); // open: no side back to its start
  assert.equal(distanceTo(mark("freehand", [0, 0], [10, 0], [10, 10], [0, 10]), [-2, 5]), 2); // closed
});

test("a box has four handles, and moving one leaves the opposite corner", () => {
  const box = mark("rectangle", [2, 1], [8, 5]);
  assert.deepEqual(handlesOf(box), [[2, 1], [8, 1], [8, 5], [2, 5]]);
  const dragged = [[0, 0], [9, 0], [9, 7], [0, 7]].map((point, at) => geometry.boxOf(withHandle(box, at, point).points));
  assert.deepEqual(dragged, [
    { left: 0, top: 0, right: 8, bottom: 5 },
    { left: 2, top: 0, right: 9, bottom: 5 },
    { left: 2, top: 1, right: 9, bottom: 7 },
    { left: 0, top: 1, right: 8, bottom: 7 },
  ]);
});

test("moving a point of a line leaves the others, and the mark itself", () => {
  const line = mark("length", [0, 0], [10, 0]);
  assert.deepEqual(withHandle(line, 1, [5, 5]).points, [[0, 0], [5, 5]]);
  assert.deepEqual(line.points, [[0, 0], [10, 0]]);
});

test("a mark moves as a whole and stops at the image's edges", () => {
  const size = { width: 20, height: 10 };
  const line = mark("length", [2, 2], [6, 4]);
  assert.deepEqual(moved(line, 3, 1, size).points, [[5, 3], [9, 5]]);
  assert.deepEqual(moved(line, 99, 99, size).points, [[16, 8], [20, 10]]);
  assert.deepEqual(moved(line, -99, -99, size).points, [[0, 0], [4, 2]]);
});

test("a mark that says nothing is none", () => {
  const none = [
    mark("length", [1, 1], [1, 1]),
    mark("rectangle", [1, 1], [5, 1]),
    mark("ellipse", [1, 1], [1, 5]),
    mark("angle", [1, 1], [1, 1], [2, 2]),
    mark("freehand", [0, 0], [1, 1], [2, 2]),
    mark("length", [1, 1]),
  ];
  assert.deepEqual(none.filter(isWorth), []);
  const some = [mark("point", [1, 1]), mark("length", [1, 1], [1, 2]), mark("arrow", [1, 1], [2, 1]), mark("freehand", ...L_SHAPE)];
  assert.deepEqual(some.filter(isWorth), some);
});

test("points are kept to a hundredth and on the image", () => {
  assert.deepEqual(geometry.rounded([1.23456, 7.999]), [1.23, 8]);
  assert.deepEqual(geometry.onImage([-3, 12], { width: 20, height: 10 }), [0, 10]);
  assert.deepEqual(geometry.ellipseOf([[8, 6], [2, 2]]), { x: 5, y: 4, rx: 3, ry: 2 });
  const outline = geometry.outlineOf(mark("ellipse", [0, 0], [4, 2]), 4);
  allNear(outline.flat(), [4, 1, 2, 2, 0, 1, 2, 0]);
});
