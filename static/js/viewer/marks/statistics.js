/**
 * What lies inside a region: the true values of the pixels whose middle is inside its outline.
 *
 * A middle that lies exactly on the left or upper edge of a rectangle or freehand outline is inside, on the right or
 * lower edge outside, so that two regions side by side share no pixel. An outline that crosses itself counts by the
 * even-odd rule. An ellipse includes its edge.
 */

import { boxOf, ellipseOf } from "./geometry.js";

/** Calls `visit(from, to, row)` for each run of pixels inside, `to` excluded. */
export function runsInside({ kind, points }, { width, height }, visit) {
  const { left, top, right, bottom } = boxOf(points);
  const rows = [Math.max(0, Math.floor(top)), Math.min(height, Math.ceil(bottom) + 1)];
  const columns = [Math.max(0, Math.floor(left)), Math.min(width, Math.ceil(right) + 1)];
  const inside = { ellipse: ellipseRow, rectangle: rectangleRow, freehand: polygonRow }[kind](points);
  for (let row = rows[0]; row < rows[1]; row += 1) {
    const has = inside(row + 0.5);
    let from = -1;
    for (let column = columns[0]; column < columns[1]; column += 1) {
      if (has && has(column + 0.5)) {
        if (from < 0) from = column;
      } else if (from >= 0) {
        visit(from, column, row);
        from = -1;
      }
    }
    if (from >= 0) visit(from, columns[1], row);
  }
}

function rectangleRow(points) {
  const { left, top, right, bottom } = boxOf(points);
  return (y) => (y >= top && y < bottom ? (x) => x >= left && x < right : null);
}

function ellipseRow(points) {
  const { x: middle, y: centre, rx, ry } = ellipseOf(points);
  return (y) => {
    const upright = ((y - centre) / ry) ** 2;
    return upright <= 1 ? (x) => ((x - middle) / rx) ** 2 + upright <= 1 : null;
  };
}

function polygonRow(points) {
  return (y) => {
    const crossings = [];
    points.forEach(([ax, ay], at) => {
      const [bx, by] = points[(at + 1) % points.length];
      if (ay <= y !== by <= y) crossings.push(ax + ((y - ay) * (bx - ax)) / (by - ay));
    });
    crossings.sort((a, b) => a - b);
    if (crossings.length === 0) return null;
    return (x) => {
      let passed = 0;
      while (passed < crossings.length && crossings[passed] <= x) passed += 1;
      return passed % 2 === 1;
    };
  };
}

/**
 * `{count, mean, sd, min, max}` of the rescaled values inside a region; null where no pixel's middle is inside.
 * `sd` is that of the pixels themselves (divided by their number, as `numpy.std`).
 */
export function statisticsOf(region, image) {
  const { pixels, width, slope, intercept } = image;
  let [count, sum, low, high] = [0, 0, Infinity, -Infinity];
  const runs = [];
  runsInside(region, image, (from, to, row) => {
    runs.push([row * width + from, row * width + to]);
    for (let at = row * width + from; at < row * width + to; at += 1) {
      const value = pixels[at];
      sum += value;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    count += to - from;
  });
  if (count === 0) return null;
  const mean = sum / count;
  // In a second pass: the difference of two large sums of squares would lose the digits that matter.
  let squares = 0;
  for (const [from, to] of runs) for (let at = from; at < to; at += 1) squares += (pixels[at] - mean) ** 2;
  const ends = [low * slope + intercept, high * slope + intercept];
  return {
    count,
    mean: mean * slope + intercept,
    sd: Math.sqrt(squares / count) * Math.abs(slope),
    min: Math.min(...ends),
    max: Math.max(...ends),
  };
}

/** The rescaled value of the pixel under a point. */
export function valueAt([x, y], { pixels, width, height, slope, intercept }) {
  // A point on the far edge belongs to the last pixel.
  const [column, row] = [Math.min(width - 1, Math.floor(x)), Math.min(height - 1, Math.floor(y))];
  return pixels[row * width + column] * slope + intercept;
}
