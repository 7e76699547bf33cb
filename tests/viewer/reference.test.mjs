// The same numbers as pydicom and numpy on larger images; tests/viewer/test_viewer_modules.py writes them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { areaOf } from "../../static/js/viewer/marks/geometry.js";
import { statisticsOf } from "../../static/js/viewer/marks/statistics.js";
import { GreyPainter, Percentiles } from "../../static/js/viewer/window.js";
import { image, near } from "./support.mjs";

const path = process.env.VIEWER_REFERENCE;
const skip = path ? false : "VIEWER_REFERENCE is not set: pytest tests/viewer writes it";
const reference = path ? JSON.parse(readFileSync(path, "utf8")) : { images: [] };
const arrays = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array };
const read = ({ dtype, pixels, ...more }) => image(arrays[dtype].from(pixels), more);

test("windows give pydicom's greys", { skip }, () => {
  for (const each of reference.images) {
    const shown = read(each);
    for (const { window, greys } of each.windows_of_pydicom) {
      const words = new Uint32Array(shown.pixels.length);
      new GreyPainter(shown).paint(words, window, false);
      // A grey on the border between two levels may be rounded either way.
      words.forEach((word, at) => near(word & 0xff, greys[at], 0.5 + 1e-6));
    }
  }
});

test("percentiles are numpy's", { skip }, () => {
  for (const each of reference.images) {
    const percentiles = new Percentiles(read(each));
    for (const [share, value] of each.percentiles) near(percentiles.at(share), value, 1e-4);
  }
});

test("statistics of regions are numpy's", { skip }, () => {
  for (const each of reference.images) {
    for (const { region, area, count, mean, sd, min, max } of each.regions) {
      const found = statisticsOf(region, read(each));
      assert.equal(found.count, count);
      near(found.mean, mean, 1e-4);
      near(found.sd, sd, 1e-4);
      near(found.min, min, 1e-4);
      near(found.max, max, 1e-4);
      near(areaOf(region, [0.7, 1.3]), area, 1e-6);
    }
  }
});
