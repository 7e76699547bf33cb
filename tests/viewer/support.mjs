// What the tests of the viewer's modules share.
import assert from "node:assert/strict";

/** Equal but for the rounding of floating-point numbers. */
export function near(actual, expected, tolerance = 1e-9) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected}`);
}

/** Two lists of numbers, equal but for rounding. */
export function allNear(actual, expected, tolerance = 1e-9) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, at) => near(value, expected[at], tolerance));
}

/** An image as the container brings it: one row of pixels where nothing else is said. */
export const image = (pixels, more = {}) => ({
  pixels,
  width: pixels.length,
  height: 1,
  slope: 1,
  intercept: 0,
  ownWindow: null,
  windows: [],
  table: null,
  spacing: null,
  aspect: 1,
  inverted: false,
  voi: "LINEAR",
  ...more,
});
