// Which way the patient lies, however the image is turned.
import assert from "node:assert/strict";
import { test } from "node:test";

import { edgesOf, isMirrored } from "../../static/js/viewer/orientation.js";
import { Placement } from "../../static/js/viewer/transform.js";

/** Axial: along a row to the patient's left, down a column to the back. */
const axial = { row: "L", column: "P" };

function after(...acts) {
  const placement = new Placement(10, 10);
  placement.resize(100, 100);
  for (const act of acts) placement[act]();
  return placement.turn;
}

test("upright, the patient's left is at the right", () => {
  assert.deepEqual(edgesOf(axial, after()), { left: "R", right: "L", top: "A", bottom: "P" });
});

test("turned a quarter to the right, what was on top is at the right", () => {
  assert.deepEqual(edgesOf(axial, after("rotate")), { left: "P", right: "A", top: "R", bottom: "L" });
});

test("mirrored, left and right have changed places", () => {
  assert.deepEqual(edgesOf(axial, after("flipH")), { left: "L", right: "R", top: "A", bottom: "P" });
  assert.deepEqual(edgesOf(axial, after("flipV")), { left: "R", right: "L", top: "P", bottom: "A" });
});

test("oblique letters turn round one by one", () => {
  assert.deepEqual(edgesOf({ row: "LA", column: "F" }, after()), { left: "RP", right: "LA", top: "H", bottom: "F" });
});

test("a mirroring is told from a turn, and two are none", () => {
  assert.deepEqual([after(), after("rotate"), after("flipH", "flipV")].map(isMirrored), [false, false, false]);
  assert.deepEqual([after("flipH"), after("rotate", "flipV")].map(isMirrored), [true, true]);
});
