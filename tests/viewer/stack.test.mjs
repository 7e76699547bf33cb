/** A stack: what is fetched in which order, what is kept, and how its course is drawn. */

import assert from "node:assert/strict";
import test from "node:test";

import { gapsOf, numbersIn, pathOf, withNumber } from "../../static/js/viewer/stack-controls.js";
import { Kept, Stack, outwards } from "../../static/js/viewer/stack.js";

const image = (bytes) => ({ pixels: { byteLength: bytes } });

test("images are fetched from the shown one outwards", () => {
  assert.deepEqual(outwards(2, 6), [2, 3, 1, 4, 0, 5]);
  assert.deepEqual(outwards(0, 3), [0, 1, 2]);
  assert.deepEqual(outwards(4, 5), [4, 3, 2, 1, 0]);
  assert.equal(new Set(outwards(37, 300)).size, 300);
});

test("what lies farthest is forgotten first, and the bytes stay within their limit", () => {
  const kept = new Kept(100);
  for (const index of [5, 6, 4, 7]) assert.ok(kept.keep(index, image(25), 5));
  assert.equal(kept.bytes, 100);
  assert.ok(kept.keep(3, image(25), 4), "7 lies farther from 4");
  assert.ok(!kept.has(7));
  assert.equal(kept.bytes, 100);
  assert.ok(!kept.keep(40, image(25), 4), "an image farther than all that are kept is itself forgotten");
  assert.ok(!kept.has(40));
  assert.equal(kept.bytes, 100);
});

test("one image is kept however large it is", () => {
  const kept = new Kept(10);
  assert.ok(kept.keep(0, image(50), 0));
  assert.ok(kept.has(0));
});

test("the course is a line with a gap where an image has no probability", () => {
  assert.equal(pathOf([1, 0, null, 0.5], 4), "M0.50 0.00L1.50 100.00M3.50 50.00h0.01");
  assert.equal(pathOf([null, null], 2), "");
  assert.deepEqual(gapsOf([null, 0.1, null, null, 0.2, null]), [[0, 0], [2, 3], [5, 5]]);
  assert.deepEqual(gapsOf([0.3]), []);
});

test("the shown image joins the key images, and leaves them again", () => {
  assert.equal(withNumber("", 12), "12");
  assert.equal(withNumber("14, 12", 3), "3, 12, 14");
  assert.equal(withNumber("3, 12, 14", 12), "3, 14");
  assert.deepEqual(numbersIn("3; 4,x 0 -2 5"), [3, 4, 5]);
});

test("scrolling ends at the first and the last image, and says each time which one is asked for", () => {
  const viewport = { swapImage() {}, showSmall() {} };
  const stack = new Stack(viewport, { count: 5, start: 2, address: String, small: String });
  stack.show = () => {};
  stack.fill = () => {};
  const asked = [];
  stack.addEventListener("go", () => asked.push(stack.index));
  for (const steps of [1, 1, 1, -9, -1]) stack.by(steps);
  assert.deepEqual(asked, [3, 4, 0]);
});
