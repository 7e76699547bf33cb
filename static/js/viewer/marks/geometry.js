/**
 * The shapes of marks: plain geometry, no drawing.
 *
 * Points are [x, y] in image pixels, counted from the outer corner of the image's first pixel: the middle of that
 * pixel is [0.5, 0.5]. A mark is `{id, kind, points, text}` and is never changed, only replaced.
 */

/** How many points each kind takes; `freehand` takes three or more. */
export const KINDS = {
  length: 2,
  angle: 3,
  ellipse: 2,
  rectangle: 2,
  freehand: Infinity,
  point: 1,
  arrow: 2,
};

export const REGIONS = new Set(["ellipse", "rectangle", "freehand"]);

const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const between = (low, value, high) => Math.min(high, Math.max(low, value));

/** To a hundredth of a pixel: finer than a hand, and short to store. */
export const rounded = ([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100];

/** The point, or the nearest one on the image. */
export const onImage = ([x, y], { width, height }) => [between(0, x, width), between(0, y, height)];

/** {left, top, right, bottom} of some points. */
export function boxOf(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** The middle and half-axes of the ellipse that fills the box of two corners. */
export function ellipseOf(points) {
  const { left, top, right, bottom } = boxOf(points);
  return { x: (left + right) / 2, y: (top + bottom) / 2, rx: (right - left) / 2, ry: (bottom - top) / 2 };
}

/** Distance of two points with pixels `dx` by `dy` in size. */
export function distance(a, b, [dx, dy] = [1, 1]) {
  const [x, y] = minus(b, a);
  return Math.hypot(x * dx, y * dy);
}

/** The angle at the middle one of three points, 0 to 180 degrees. */
export function angleOf([a, corner, b], [dx, dy] = [1, 1]) {
  const [[ax, ay], [bx, by]] = [minus(a, corner), minus(b, corner)].map(([x, y]) => [x * dx, y * dy]);
  return (Math.abs(Math.atan2(ax * by - ay * bx, ax * bx + ay * by)) * 180) / Math.PI;
}

/** Area of a region's outline with pixels `dx` by `dy` in size. */
export function areaOf({ kind, points }, [dx, dy] = [1, 1]) {
  if (kind === "freehand") {
    const twice = points.reduce((sum, [x, y], at) => {
      const [nextX, nextY] = points[(at + 1) % points.length];
      return sum + x * nextY - nextX * y;
    }, 0);
    return (Math.abs(twice) / 2) * dx * dy;
  }
  const { left, top, right, bottom } = boxOf(points);
  return (right - left) * (bottom - top) * dx * dy * (kind === "ellipse" ? Math.PI / 4 : 1);
}

/** The outline as a closed or open list of points, an ellipse in `steps` of them. */
export function outlineOf({ kind, points }, steps = 72) {
  if (kind === "rectangle") {
    const { left, top, right, bottom } = boxOf(points);
    return [[left, top], [right, top], [right, bottom], [left, bottom]];
  }
  if (kind !== "ellipse") return points;
  const { x, y, rx, ry } = ellipseOf(points);
  return Array.from({ length: steps }, (_, at) => {
    const turn = (2 * Math.PI * at) / steps;
    return [x + rx * Math.cos(turn), y + ry * Math.sin(turn)];
  });
}

/** How far a point lies from the segment a to b. */
function fromSegment(point, a, b) {
  const [x, y] = minus(b, a);
  const [px, py] = minus(point, a);
  const share = between(0, (px * x + py * y) / (x * x + y * y || 1), 1);
  return Math.hypot(px - share * x, py - share * y);
}

/** How far a point lies from a mark's outline, in image pixels. */
export function distanceTo(mark, point) {
  const outline = outlineOf(mark);
  if (outline.length === 1) return distance(outline[0], point);
  const last = REGIONS.has(mark.kind) ? outline.length : outline.length - 1;
  let nearest = Infinity;
  for (let at = 0; at < last; at += 1) {
    nearest = Math.min(nearest, fromSegment(point, outline[at], outline[(at + 1) % outline.length]));
  }
  return nearest;
}

/** Whether a point lies inside a region; never for a mark that has no inside. */
export function contains(mark, [x, y]) {
  if (!REGIONS.has(mark.kind)) return false;
  const outline = outlineOf(mark);
  return outline.reduce((inside, [ax, ay], at) => {
    const [bx, by] = outline[(at + 1) % outline.length];
    return ay <= y !== by <= y && x >= ax + ((y - ay) * (bx - ax)) / (by - ay) ? !inside : inside;
  }, false);
}

/** The points by which a mark is changed: a region in a box has all four corners. */
export function handlesOf({ kind, points }) {
  if (kind !== "ellipse" && kind !== "rectangle") return points;
  const [[ax, ay], [bx, by]] = points;
  return [[ax, ay], [bx, ay], [bx, by], [ax, by]];
}

/** The mark with one handle moved to a point. */
export function withHandle(mark, handle, [x, y]) {
  if (mark.kind !== "ellipse" && mark.kind !== "rectangle") {
    return { ...mark, points: mark.points.map((point, at) => (at === handle ? [x, y] : point)) };
  }
  const [[ax, ay], [bx, by]] = mark.points;
  const left = handle === 0 || handle === 3 ? [x, bx] : [ax, x];
  const upper = handle === 0 || handle === 1 ? [y, by] : [ay, y];
  return { ...mark, points: [[left[0], upper[0]], [left[1], upper[1]]] };
}

/** The mark moved as a whole, as far as the image reaches. */
export function moved(mark, dx, dy, { width, height }) {
  const { left, top, right, bottom } = boxOf(mark.points);
  const [x, y] = [between(-left, dx, width - right), between(-top, dy, height - bottom)];
  return { ...mark, points: mark.points.map((point) => [point[0] + x, point[1] + y]) };
}

/** Whether a mark says anything: two points in one place do not. */
export function isWorth({ kind, points }) {
  if (kind === "point") return points.length === 1;
  if (kind === "freehand") return points.length >= 3 && areaOf({ kind, points }) > 0;
  if (kind === "angle") return points.length === 3 && distance(points[0], points[1]) > 0 && distance(points[1], points[2]) > 0;
  const { left, top, right, bottom } = boxOf(points);
  const [width, height] = [right - left, bottom - top];
  return points.length === 2 && (REGIONS.has(kind) ? width > 0 && height > 0 : width > 0 || height > 0);
}
