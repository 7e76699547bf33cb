/**
 * The bar of a stack: slider, steps, cine, the place in millimetres, and after the reveal the course of the AI result.
 *
 * The bar (`[data-stack]`) is on the page only where the scan has several images.
 */

import { Stack } from "./stack.js";
import { Wheel } from "./wheel.js";

const PAGE = 10; // images that Page Up and Page Down pass
const SAY_AFTER_MS = 400;
const PROFILE_HEIGHT = 100;

/** Bind the bar to the viewport; the stack, or null where the scan has one image. */
export function bindStack(section, viewport, keys, tools, other = () => null) {
  const bar = section.querySelector("[data-stack]");
  if (!bar) return null;
  const { positions, ...said } = JSON.parse(bar.dataset.stack);
  const stack = new Stack(viewport, {
    ...said,
    address: (index) => said.pixels.replace("/0/", `/${index}/`),
    small: (index) => said.preview.replace("/0/", `/${index}/`),
  });
  viewport.stack = stack;
  stack.told = { positions, ...said };
  viewport.dispatchEvent(new Event("stack"));
  const cine = new Cine(stack, bar);
  bindSlider(bar, stack, positions, viewport, cine);
  new Wheel(viewport, stack, undefined, () => cine.stop());
  bindProfile(bar, stack, cine);
  if (keys) bindStackKeys(keys, stack, tools, viewport, cine, other);
  return stack;
}

/** Shows one image after another, from the first again after the last. */
class Cine {
  constructor(stack, bar) {
    this.stack = stack;
    this.button = bar.querySelector("[data-stack-cine]");
    this.speed = bar.querySelector("[data-stack-speed]");
    this.timer = 0;
    this.button.addEventListener("click", () => this.toggle());
    this.speed.addEventListener("change", () => this.timer && this.start());
  }

  toggle() {
    if (this.timer) this.stop();
    else this.start();
  }

  start() {
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      // Never ahead of what is there: a film with gaps would hide what lies in them.
      if (this.stack.ready) this.stack.go((this.stack.index + 1) % this.stack.count);
    }, 1000 / Number(this.speed.value));
    this.button.setAttribute("aria-pressed", "true");
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.button.setAttribute("aria-pressed", "false");
  }
}

function bindSlider(bar, stack, positions, viewport, cine) {
  const [slider, place, said] = ["slider", "place", "said"].map((name) => bar.querySelector(`[data-stack-${name}]`));
  let timer = 0;
  const tell = () => {
    slider.value = stack.index + 1;
    const mm = positions[stack.index];
    const words = mm === null ? place.dataset.words : place.dataset.wordsMm.replace("{mm}", mm.toFixed(1).replace("-", "−"));
    place.textContent = words.replace("{n}", stack.index + 1).replace("{count}", stack.count);
    slider.setAttribute("aria-valuetext", place.textContent);
    viewport.canvas.dataset.index = stack.index;
    clearTimeout(timer);
    // Spoken when scrolling has come to rest; the slider speaks for itself.
    if (document.activeElement !== slider && !cine.timer) {
      timer = setTimeout(() => (said.textContent = place.textContent), SAY_AFTER_MS);
    }
  };
  slider.addEventListener("input", () => {
    cine.stop();
    stack.go(slider.value - 1);
  });
  for (const button of bar.querySelectorAll("[data-stack-step]")) {
    button.addEventListener("click", () => {
      cine.stop();
      stack.by(Number(button.dataset.stackStep));
    });
  }
  stack.addEventListener("go", tell);
  tell();
}

/** `other` gives the stack that has the focus beside the case's own, or null. */
function bindStackKeys(keys, own, tools, viewport, cine, other) {
  const when = () => viewport.image !== null && !tools.measures;
  const step = (name, key, act) => ({
    name, keys: [key], when, run: () => {
      cine.stop();
      act(other() ?? own);
    },
  });
  keys.add(
    step("stack-back", "ArrowUp", (stack) => stack.by(-1)),
    step("stack-on", "ArrowDown", (stack) => stack.by(1)),
    step("stack-page-back", "PageUp", (stack) => stack.by(-PAGE)),
    step("stack-page-on", "PageDown", (stack) => stack.by(PAGE)),
    step("stack-first", "Home", (stack) => stack.go(0)),
    step("stack-last", "End", (stack) => stack.go(stack.count - 1)),
    { name: "cine", keys: ["Shift+8"], when: () => viewport.image !== null, run: () => cine.toggle() },
    {
      name: "peak",
      keys: ["Shift+9"],
      when: () => document.querySelector("[data-profile]") !== null,
      run: () => goToPeak(own, cine),
    },
    {
      name: "key-image",
      keys: ["Shift+0"],
      when: () => document.querySelector("[data-key-images]") !== null,
      run: () => toggleKeyImage(document.querySelector("[data-key-images]"), own.index + 1),
    },
  );
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-go-to-peak]")) goToPeak(own, cine);
    if (event.target.closest?.("[data-mark-key-image]")) {
      toggleKeyImage(document.querySelector("[data-key-images]"), own.index + 1);
    }
  });
}

function goToPeak(stack, cine) {
  cine.stop();
  stack.go(Number(document.querySelector("[data-profile]").dataset.peak));
}

/** The numbers in a text like "12, 14". */
export function numbersIn(text) {
  return text.split(/[,;\s]+/).map(Number).filter((number) => Number.isInteger(number) && number > 0);
}

/** A text of numbers with this one added, or taken away where it is there. */
export function withNumber(text, number) {
  const numbers = new Set(numbersIn(text));
  if (!numbers.delete(number)) numbers.add(number);
  return [...numbers].sort((a, b) => a - b).join(", ");
}

function toggleKeyImage(field, number) {
  field.value = withNumber(field.value, number);
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** An SVG path over `width` × `PROFILE_HEIGHT` for probabilities; a gap where an image has none. */
export function pathOf(profile, width) {
  const step = width / profile.length;
  let path = "";
  let drawing = false;
  profile.forEach((p, index) => {
    if (p === null) {
      drawing = false;
      return;
    }
    const x = ((index + 0.5) * step).toFixed(2);
    path += `${drawing ? "L" : "M"}${x} ${((1 - p) * PROFILE_HEIGHT).toFixed(2)}`;
    // A lone image would be a line without length.
    if (!drawing && (profile[index + 1] ?? null) === null) path += "h0.01";
    drawing = true;
  });
  return path;
}

/** The runs of images without a probability: [first, last] each. */
export function gapsOf(profile) {
  const gaps = [];
  profile.forEach((p, index) => {
    if (p !== null) return;
    const last = gaps.at(-1);
    if (last && last[1] === index - 1) last[1] = index;
    else gaps.push([index, index]);
  });
  return gaps;
}

/** The course of the AI result over the stack: on the page only once it may be known, drawn where it comes. */
function bindProfile(bar, stack, cine) {
  const plot = bar.querySelector("[data-stack-profile]");
  const draw = () => {
    const source = document.querySelector("[data-profile]");
    plot.toggleAttribute("hidden", source === null);
    if (!source) return;
    const profile = JSON.parse(source.dataset.profile);
    plot.setAttribute("viewBox", `0 0 ${profile.length} ${PROFILE_HEIGHT}`);
    plot.querySelector("path").setAttribute("d", pathOf(profile, profile.length));
    plot.querySelector("g").replaceChildren(
      ...gapsOf(profile).map(([first, last]) => {
        const gap = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        gap.setAttribute("x", first);
        gap.setAttribute("width", last - first + 1);
        gap.setAttribute("height", PROFILE_HEIGHT);
        return gap;
      }),
    );
  };
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    cine.stop();
    stack.go(Math.floor(((event.clientX - box.left) / box.width) * stack.count));
  });
  document.addEventListener("htmx:afterSwap", draw);
  draw();
}
