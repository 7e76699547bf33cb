/** Two stacks side by side: which image belongs beside which. */

import assert from "node:assert/strict";
import test from "node:test";

import { beside, linkOf, nearest, shiftBetween } from "../../static/js/viewer/linking.js";

const stack = (positions, more = {}) => ({ positions, count: positions.length, plane: "axial", space: "a", ...more });
const every = (step, count, from = 0) => Array.from({ length: count }, (_, n) => from + n * step);

test("the image nearest to a place is found, and none where none has one", () => {
  assert.equal(nearest([0, 5, 10], 6), 1);
  assert.equal(nearest([0, 5, 10], -40), 0);
  assert.equal(nearest([null, 5, null], 400), 1);
  assert.equal(nearest([null, null], 1), null);
});

test("stacks of one frame of reference show one place, whatever their spacing", () => {
  const [thick, thin] = [stack(every(5, 24)), stack(every(1, 150, -10))];
  assert.equal(linkOf(thick, thin), "same");
  for (const index of [0, 7, 23]) {
    const found = beside(thick, thin, index, "same");
    assert.ok(Math.abs(thin.positions[found] - thick.positions[index]) <= 0.5);
  }
});

test("stacks of other visits are linked by the distance from their middles", () => {
  const [now, before] = [stack(every(5, 21)), stack(every(4, 26, 300), { space: "b" })];
  assert.equal(linkOf(now, before), "shift");
  const shift = shiftBetween(now, before);
  assert.equal(shift, 300);
  assert.equal(before.positions[beside(now, before, 10, "shift", shift)], 348);
  assert.equal(now.positions[beside(before, now, 13, "shift", -shift)], 50);
});

test("without places the share of the way counts, and other planes are not linked", () => {
  const [one, other] = [stack([null, null, null], { space: "" }), stack(every(1, 11))];
  assert.equal(linkOf(one, other), "share");
  assert.deepEqual([0, 1, 2].map((index) => beside(one, other, index, "share")), [0, 5, 10]);
  const sagittal = stack(every(1, 5), { plane: "sagittal" });
  assert.equal(linkOf(other, sagittal), "none");
  assert.equal(beside(other, sagittal, 3, "none"), null);
  assert.equal(beside(stack([null]), other, 0, "share"), 0);
});
