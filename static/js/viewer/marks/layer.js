/** Draws marks as SVG over the canvas, so that lines stay sharp at every zoom. Nothing of it is stored. */

import { handlesOf, outlineOf, REGIONS } from "./geometry.js";

const SVG = "http://www.w3.org/2000/svg";
const LINE_HEIGHT = 15; // CSS pixels
const BASELINE = 12; // from the upper edge of a line
const AWAY = 10;
const CHARACTER = 7.8; // about, to keep a label inside the stage
const ARROW_HEAD = 11;
const HANDLES_SHOWN = 40; // more would cover a freehand outline

function made(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const path = (points, closed) =>
  points.map(([x, y], at) => `${at ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") + (closed ? "Z" : "");

function cross([x, y], size) {
  return `M${x - size} ${y}h${2 * size}M${x} ${y - size}v${2 * size}`;
}

/** An arrow from its text to its tip, the second point. */
function arrow([tail, tip]) {
  const turn = Math.atan2(tip[1] - tail[1], tip[0] - tail[0]);
  const wing = (side) => [
    tip[0] - ARROW_HEAD * Math.cos(turn + side * 0.45),
    tip[1] - ARROW_HEAD * Math.sin(turn + side * 0.45),
  ];
  return path([tail, tip]) + path([wing(1), tip, wing(-1)]);
}

/** A length's ends as short strokes across it. */
function ruler([a, b]) {
  const turn = Math.atan2(b[1] - a[1], b[0] - a[0]) + Math.PI / 2;
  const end = ([x, y]) => path([
    [x - 5 * Math.cos(turn), y - 5 * Math.sin(turn)],
    [x + 5 * Math.cos(turn), y + 5 * Math.sin(turn)],
  ]);
  return path([a, b]) + end(a) + end(b);
}

function drawn(mark, toScreen) {
  const points = outlineOf(mark).map(toScreen);
  if (mark.kind === "point") return cross(points[0], 7);
  if (points.length === 1) return cross(points[0], 4);
  if (mark.kind === "arrow") return arrow(points);
  if (mark.kind === "length") return ruler(points);
  return path(points, REGIONS.has(mark.kind));
}

/** Where a text may stand, the best place first: [left, top] right of the mark, left of it, below, above. */
function placesBeside(mark, points, { width, height }) {
  const fixed = { arrow: points[0], angle: points[1] }[mark.kind];
  const farthest = (axis, sign) =>
    fixed ?? points.reduce((far, point) => (sign * point[axis] > sign * far[axis] ? point : far));
  const [right, left, low, high] = [farthest(0, 1), farthest(0, -1), farthest(1, 1), farthest(1, -1)];
  return [
    [right[0] + AWAY, right[1] - BASELINE],
    [left[0] - AWAY - width, left[1] - BASELINE],
    [low[0] - width / 2, low[1] + AWAY],
    [high[0] - width / 2, high[1] - AWAY - height],
  ];
}

const overlap = (one, other) =>
  one.left < other.left + other.width &&
  other.left < one.left + one.width &&
  one.top < other.top + other.height &&
  other.top < one.top + one.height;

export class MarkLayer {
  constructor(viewport, svg) {
    this.viewport = viewport;
    this.svg = svg;
  }

  /** Image point to CSS pixels of the viewport. */
  toScreen([x, y]) {
    const { placement, pixelRatio } = this.viewport;
    return placement.toScreen(x, y, pixelRatio);
  }

  /**
   * Draw. `marks` is a list of `{mark, lines, selected?, handle?, foreign?, draft?}`; `cursor` the keyboard's place.
   */
  draw(marks, cursor = null) {
    const toScreen = (point) => this.toScreen(point);
    this.taken = [];
    const groups = marks.map((each) => this.group(each, toScreen));
    if (cursor) groups.push(made("g", { class: "mark mark--cursor" }, ...this.strokes(cross(toScreen(cursor), 11))));
    this.svg.replaceChildren(...groups);
  }

  strokes(d) {
    // A dark line below a bright one is seen on every grey.
    return [made("path", { class: "mark__under", d }), made("path", { class: "mark__line", d })];
  }

  group({ mark, lines, selected, handle, foreign, draft }, toScreen) {
    const names = ["mark", `mark--${mark.kind}`];
    if (selected) names.push("is-selected");
    if (foreign) names.push("is-foreign");
    if (draft) names.push("is-draft");
    const group = made("g", { class: names.join(" "), "data-mark": mark.id ?? "" });
    group.append(...this.strokes(drawn(mark, toScreen)));
    if (selected) {
      handlesOf(mark).slice(0, HANDLES_SHOWN).forEach((point, at) => {
        const [x, y] = toScreen(point);
        group.append(made("rect", {
          class: `mark__handle${at === handle ? " is-picked" : ""}`, x: x - 4, y: y - 4, width: 8, height: 8,
        }));
      });
    }
    if (lines.length) group.append(this.label(mark, lines, toScreen));
    return group;
  }

  /** Text right of the mark, or wherever the stage has room for it and no other text stands. */
  label(mark, lines, toScreen) {
    const points = outlineOf(mark).map(toScreen);
    const width = Math.max(...lines.map((line) => line.length)) * CHARACTER;
    const size = { width, height: LINE_HEIGHT * lines.length };
    const places = placesBeside(mark, points, size).map(([left, top]) => this.within(left, top, size));
    const free = places.find((place) => this.taken.every((other) => !overlap(place, other))) ?? places[0];
    this.taken.push(free);
    const [x, y] = [free.left, free.top + BASELINE];
    const spans = lines.map((line, at) => {
      const span = made("tspan", { x: x.toFixed(1), y: (y + at * LINE_HEIGHT).toFixed(1) });
      span.textContent = line;
      return span;
    });
    return made("text", { class: "mark__label" }, ...spans);
  }

  /** The box, moved so far that it lies on the stage. */
  within(left, top, { width, height }) {
    const { viewWidth, viewHeight } = this.viewport.placement;
    return {
      left: Math.max(4, Math.min(left, viewWidth - width - 4)),
      top: Math.max(0, Math.min(top, viewHeight - height)),
      width,
      height,
    };
  }
}
