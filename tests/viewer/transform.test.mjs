// Where an image lies on the screen.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Placement } from "../../static/js/viewer/transform.js";
import { allNear, near } from "./support.mjs";

/** An image of 200 by 100 pixels in a square viewport of 400. */
function placed(aspect = 1, [width, height] = [200, 100]) {
  const placement = new Placement(width, height, aspect);
  placement.resize(400, 400);
  return placement;
}

const corners = (placement) => [placement.toScreen(0, 0, 1), placement.toScreen(placement.imageWidth, placement.imageHeight, 1)];

test("a fitted image is as large as fits, in the middle", () => {
  assert.deepEqual(corners(placed()), [[0, 100], [400, 300]]);
});

test("pixels that are no squares are shown in their true shape", () => {
  assert.deepEqual(corners(placed(2, [100, 100])), [[100, 0], [300, 400]]);
});

test("mirrored left and right, the first pixel is at the right", () => {
  const placement = placed();
  placement.flipH();
  assert.deepEqual(corners(placement), [[400, 100], [0, 300]]);
});

test("mirrored top and bottom, the first pixel is at the bottom", () => {
  const placement = placed();
  placement.flipV();
  assert.deepEqual(corners(placement), [[0, 300], [400, 100]]);
});

test("turned a quarter to the right, the first pixel is at the upper right and the image fits again", () => {
  const placement = placed();
  placement.rotate();
  assert.deepEqual(corners(placement), [[300, 0], [100, 400]]);
});

test("a turn of an image with tall pixels keeps their shape", () => {
  const placement = placed(2, [100, 100]);
  placement.rotate();
  assert.deepEqual(corners(placement), [[400, 100], [0, 300]]);
});

test("mirroring is as seen on the screen, also after a turn", () => {
  const placement = placed();
  placement.rotate();
  placement.flipH();
  assert.deepEqual(corners(placement), [[100, 0], [300, 400]]);
});

test("four turns, or the same mirroring twice, change nothing", () => {
  for (const acts of [["rotate", "rotate", "rotate", "rotate"], ["flipH", "flipH"], ["flipV", "flipV"]]) {
    const placement = placed();
    placement.scaleTo(3, 50, 60);
    placement.panBy(13, -7);
    const before = { ...placement };
    for (const act of acts) placement[act]();
    assert.deepEqual({ ...placement }, before);
  }
});

test("both mirrorings are half a turn", () => {
  const [mirrored, turned] = [placed(), placed()];
  mirrored.flipH();
  mirrored.flipV();
  turned.rotate();
  turned.rotate();
  assert.deepEqual(mirrored.turn, turned.turn);
});

test("screen and image are each other's inverse in all eight orientations, at any zoom and pixel ratio", () => {
  for (const aspect of [1, 0.5, 3]) {
    for (const mirror of [false, true]) {
      const placement = placed(aspect);
      if (mirror) placement.flipH();
      for (let turns = 0; turns < 4; turns += 1) {
        placement.rotate();
        placement.zoomBy(1.7, 31, 12);
        placement.panBy(5, -40);
        for (const ratio of [1, 1.5, 2]) {
          allNear(placement.toImage(...placement.toScreen(12.25, 77.5, ratio), ratio), [12.25, 77.5]);
        }
      }
    }
  }
});

test("zooming keeps the image point under the pointer, to half a device pixel", () => {
  const placement = placed();
  const before = placement.toImage(130, 210, 2);
  placement.zoomBy(2.5, 130, 210);
  near(placement.scale, 5);
  allNear(placement.toScreen(...before, 2), [130, 210], 0.25 + 1e-9);
});

test("zooming has ends", () => {
  const placement = placed();
  placement.scaleTo(1e9);
  assert.equal(placement.scale, 64);
  placement.scaleTo(0);
  assert.equal(placement.scale, 0.02);
});

test("panning moves the image by what it says", () => {
  const placement = placed();
  placement.panBy(30, -20);
  assert.deepEqual(corners(placement), [[30, 80], [430, 280]]);
});

test("a turn is around the middle of the viewport, also when panned", () => {
  const placement = placed();
  placement.panBy(60, 20);
  const middle = placement.toImage(200, 200, 1);
  placement.rotate();
  allNear(placement.toImage(200, 200, 1), middle);
});

test("only a fitted image fits again when the viewport changes; any other keeps its scale and its middle", () => {
  const fitted = placed();
  fitted.resize(800, 400);
  assert.deepEqual(corners(fitted), [[0, 0], [800, 400]]);
  const zoomed = placed();
  zoomed.scaleTo(1);
  const middle = zoomed.toImage(200, 200, 1);
  zoomed.resize(600, 500);
  assert.equal(zoomed.scale, 1);
  allNear(zoomed.toImage(300, 250, 1), middle);
});

test("reset is upright and fitted again", () => {
  const placement = placed();
  placement.rotate();
  placement.flipV();
  placement.scaleTo(9);
  placement.reset();
  assert.deepEqual(corners(placement), [[0, 100], [400, 300]]);
});

test("at 1:1 image pixels lie on whole device pixels", () => {
  const placement = new Placement(101, 77);
  placement.resize(400, 333);
  placement.scaleTo(1);
  placement.panBy(0.3, 0.4);
  const [, , , , e, f] = placement.matrix(1);
  assert.deepEqual([e % 1, f % 1], [0, 0]);
});
