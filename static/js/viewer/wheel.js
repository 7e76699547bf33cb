/** The wheel scrolls a stack; with Ctrl (and by a pinch on a touchpad) it zooms as it does over a single image. */

const WHEEL_STEP = 60; // pixels of wheel for one image
const LINE = 20; // pixels

export class Wheel {
  /** `signal` ends it; `before` is called before each step. */
  constructor(viewport, stack, signal = undefined, before = () => {}) {
    let rest = 0;
    viewport.canvas.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey || !viewport.image) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        before();
        rest += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE : event.deltaY;
        const steps = Math.trunc(rest / WHEEL_STEP);
        rest -= steps * WHEEL_STEP;
        if (steps) stack.by(steps);
      },
      { passive: false, capture: true, signal },
    );
  }
}
