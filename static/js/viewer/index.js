/**
 * One image on a page: binds a `[data-viewer]` section to a viewport, its tools, buttons, status line and keys.
 */

import { Comparison } from "./compare.js";
import { fetchContainer } from "./container.js";
import { mountMarks } from "./marks/index.js";
import { bindOrientation } from "./orientation.js";
import { bindStack } from "./stack-controls.js";
import { Tools } from "./tools.js";
import { Viewport } from "./view.js";
import { formatterOf, isWhole } from "./window.js";

const PRESET_KEYS = { file: "1", wide: "2", narrow: "3", full: "4", table: "5" };
const ZOOM_STEP = 1.25;
const PAN_STEP = 40; // CSS pixels
const WINDOW_STEP = 0.02; // of the breadth of the image's values
const SAY_AFTER_MS = 700;

/** The acts of buttons and keys, by the name in `data-act`. */
const ACTS = {
  fit: (viewport) => viewport.place((placement) => placement.fit()),
  actual: (viewport) => viewport.actualSize(),
  invert: (viewport) => viewport.toggleInverted(),
  "flip-h": (viewport) => viewport.place((placement) => placement.flipH()),
  "flip-v": (viewport) => viewport.place((placement) => placement.flipV()),
  rotate: (viewport) => viewport.place((placement) => placement.rotate()),
  reset: (viewport) => viewport.reset(),
  "zoom-in": (viewport) => viewport.place((placement) => placement.zoomBy(ZOOM_STEP)),
  "zoom-out": (viewport) => viewport.place((placement) => placement.zoomBy(1 / ZOOM_STEP)),
};

/**
 * Make a viewer of the section; the viewport and its tools come back at once, the image when it is there.
 * `marks` is the list of marks (`[data-marks]`) on pages that have one.
 */
export function mountViewer(section, keys, marks = null) {
  const viewport = new Viewport(section.querySelector("[data-canvas]"));
  const tools = new Tools(viewport);
  bindTools(section, tools);
  bindActs(section, viewport);
  bindPresets(section, viewport);
  bindStatus(section, viewport);
  const marked = marks && mountMarks(section, marks, viewport, tools, keys);
  bindOrientation(section.querySelector("[data-canvas]").parentElement, viewport);
  let comparison = null;
  const stack = bindStack(section, viewport, keys, tools, () => comparison?.focusedStack ?? null);
  comparison = section.querySelector("[data-film]") ? new Comparison(section, viewport, tools, stack) : null;
  if (keys) bindKeys(keys, () => comparison?.focused ?? viewport, tools);
  if (keys && comparison) {
    keys.add(
      { name: "compare", keys: ["q"], run: () => comparison.toggle() },
      { name: "link", keys: [","], when: () => comparison.shown !== null, run: () => comparison.setLinked(!comparison.linked) },
    );
  }
  const loaded = load(section, viewport, stack);
  fetchAhead(section, loaded);
  return { viewport, tools, marked, loaded, stack };
}

/** Fetch and show; a failure says so and offers to try again. */
async function load(section, viewport, stack) {
  const waiting = section.querySelector("[data-loading]");
  const broken = section.querySelector("[data-broken]");
  const again = section.querySelector("[data-reload]");
  waiting.hidden = false;
  broken.hidden = true;
  try {
    if (stack) await stack.begin();
    else viewport.setImage(await fetchContainer(section.dataset.pixels));
    section.dataset.state = "ready";
  } catch (error) {
    section.dataset.state = "broken";
    section.querySelector("[data-broken-why]").textContent = `(${error.message})`;
    broken.hidden = false;
    again.addEventListener("click", () => load(section, viewport, stack), { once: true });
  }
  waiting.hidden = true;
}

/** Bring the next case's pixels into the browser's cache while nothing else is to be done. */
async function fetchAhead(section, loaded) {
  const { ahead } = section.dataset;
  await loaded;
  if (!ahead || section.dataset.state !== "ready" || navigator.connection?.saveData) return;
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 500));
  idle(async () => {
    // It may be gone or claimed by then; all that is lost is a head start.
    const response = await fetch(ahead, { priority: "low" }).catch(() => null);
    await response?.arrayBuffer().catch(() => null);
    section.dataset.fetchedAhead = response?.ok ? "1" : "0";
  });
}

function bindTools(section, tools) {
  const buttons = section.querySelectorAll("[data-tool]");
  for (const button of buttons) button.addEventListener("click", () => tools.arm(button.dataset.tool));
  const show = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.tool === tools.active));
    section.dataset.using = tools.active;
  };
  tools.addEventListener("use", show);
  show();
}

function bindActs(section, viewport) {
  for (const button of section.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => viewport.image && ACTS[button.dataset.act](viewport));
  }
}

function bindPresets(section, viewport) {
  const select = section.querySelector("[data-presets]");
  viewport.addEventListener("image", () => {
    const extra = select.querySelector("[data-file-window]");
    viewport.image.windows.forEach((_window, at) => {
      const option = extra.cloneNode(true);
      option.value = `file${at + 2}`;
      option.textContent = extra.dataset.words.replace("{n}", at + 2);
      extra.before(option);
    });
    extra.remove();
    for (const option of select.options) {
      option.hidden = option.disabled = option.value !== "" && !viewport.presets.named[option.value];
    }
  });
  select.addEventListener("change", () => viewport.image && viewport.setPreset(select.value));
  viewport.addEventListener("change", () => {
    const { centre, width, voi } = viewport.window;
    const same = (preset) => preset && preset.centre === centre && preset.width === width && preset.voi === voi;
    const name = Object.keys(viewport.presets.named).find((key) => same(viewport.presets.named[key])) ?? "";
    if (select.value !== name) select.value = name;
  });
}

function bindStatus(section, viewport) {
  const part = (name) => section.querySelector(`[data-${name}]`);
  const [x, y, value, centre, width, zoom, spacing, said] = [
    "x", "y", "value", "centre", "width", "zoom", "spacing", "said",
  ].map(part);
  const invert = section.querySelector("[data-act=invert]");
  let shown = String;
  let timer = 0;
  viewport.addEventListener("image", () => {
    shown = formatterOf(viewport.image, viewport.span);
    const mm = viewport.image.spacing;
    spacing.textContent = mm
      ? `${Number(mm.row.toFixed(3))}${mm.row === mm.column ? "" : ` × ${Number(mm.column.toFixed(3))}`} mm`
      : spacing.dataset.uncalibrated;
  });
  viewport.addEventListener("change", () => {
    const half = isWhole(viewport.image) && !Number.isInteger(viewport.window.centre);
    centre.textContent = half ? viewport.window.centre.toFixed(1) : shown(viewport.window.centre);
    width.textContent = shown(viewport.window.width);
    zoom.textContent = (viewport.placement.scale * viewport.pixelRatio).toFixed(2);
    invert.setAttribute("aria-pressed", String(viewport.inverted));
    clearTimeout(timer);
    // Spoken when a change has come to rest, not sixty times a second.
    timer = setTimeout(() => {
      said.textContent = said.dataset.words
        .replace("{c}", centre.textContent)
        .replace("{w}", width.textContent)
        .replace("{z}", zoom.textContent);
    }, SAY_AFTER_MS);
  });
  const probe = (event) => {
    const pixel = viewport.pixelAt(event.clientX, event.clientY);
    x.textContent = pixel ? pixel.x : "–";
    y.textContent = pixel ? pixel.y : "–";
    value.textContent = pixel ? shown(pixel.value) : "–";
  };
  viewport.canvas.addEventListener("pointermove", probe);
  viewport.canvas.addEventListener("pointerleave", probe);
}

/** `target` gives the viewport that the keys are for: the one with the focus, else the case's own. */
function bindKeys(keys, target, tools) {
  const when = () => target().image !== null;
  const act = (name, ...pressed) => ({ name, keys: pressed, when, run: () => ACTS[name](target()) });
  const pan = (name, key, dx, dy) => ({
    name, keys: [key], when, run: () => target().place((placement) => placement.panBy(dx * PAN_STEP, dy * PAN_STEP)),
  });
  const change = (name, key, centre, width) => ({
    name, keys: [key], when, run: () => stepWindow(target(), centre, width),
  });
  keys.add(
    ...["window", "pan", "zoom"].map((tool) => ({
      name: `tool-${tool}`, keys: [tool[0]], when, run: () => armFor(target(), tools, tool),
    })),
    act("zoom-in", "+"), act("zoom-out", "-"), act("fit", "="), act("actual", "o"), act("invert", "i"),
    act("flip-h", "h"), act("flip-v", "v"), act("rotate", "r"), act("reset", "Space"),
    pan("pan-left", "ArrowLeft", -1, 0), pan("pan-right", "ArrowRight", 1, 0),
    pan("pan-up", "ArrowUp", 0, -1), pan("pan-down", "ArrowDown", 0, 1),
    change("window-narrower", "Shift+ArrowLeft", 0, -1), change("window-wider", "Shift+ArrowRight", 0, 1),
    change("window-lower", "Shift+ArrowUp", -1, 0), change("window-higher", "Shift+ArrowDown", 1, 0),
    ...Object.entries(PRESET_KEYS).map(([preset, digit]) => ({
      name: `preset-${preset}`,
      keys: [`Shift+${digit}`],
      when: () => Boolean(target().presets?.named[preset]),
      run: () => target().setPreset(preset),
    })),
  );
}

/** Arm a tool of every viewport; the focus goes to the case's own image, unless it is on the other one already. */
function armFor(target, tools, tool) {
  tools.use(tool);
  target.canvas.focus({ preventScroll: true });
}

function stepWindow(viewport, centreSteps, widthSteps) {
  const step = Math.max(viewport.span * WINDOW_STEP, isWhole(viewport.image) ? 1 : 0);
  const { centre, width } = viewport.window;
  viewport.setWindow(centre + centreSteps * step, width + widthSteps * step);
}
