/**
 * What pointers do on a viewport. A tool is `{begin(viewport, event) -> {move(event, dx, dy), end?(event), cancel?()}}`;
 * marking tools register here beside the three that every viewport has. Event: `use` when another tool was chosen.
 */

const WHEEL_SPEED = 0.0015;
const DRAG_ZOOM_SPEED = 0.01;
// A drag across this many CSS pixels changes the window by the breadth of the image's values.
const DRAG_FOR_SPAN = 400;

export const dragWindow = {
  begin(viewport) {
    const step = viewport.span / DRAG_FOR_SPAN;
    let { centre, width } = viewport.window;
    return {
      move(_event, dx, dy) {
        // Kept unrounded here: a slow drag would otherwise never leave its first whole number.
        width = Math.max(step, width + dx * step);
        centre += dy * step;
        viewport.setWindow(centre, width);
      },
    };
  },
};

export const dragPan = {
  begin(viewport) {
    return { move: (_event, dx, dy) => viewport.place((placement) => placement.panBy(dx, dy)) };
  },
};

export const dragZoom = {
  begin(viewport, event) {
    const [x, y] = inside(viewport, event);
    return {
      move: (_event, _dx, dy) =>
        viewport.place((placement) => placement.zoomBy(Math.exp(-dy * DRAG_ZOOM_SPEED), x, y)),
    };
  },
};

function inside(viewport, event) {
  const box = viewport.canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** Two fingers: zoom by their distance, pan by their middle. */
class Pinch {
  constructor(viewport, fingers) {
    this.viewport = viewport;
    this.last = this.measure(fingers);
  }

  measure(fingers) {
    const [first, second] = [...fingers.values()];
    const [ax, ay] = inside(this.viewport, first);
    const [bx, by] = inside(this.viewport, second);
    return { x: (ax + bx) / 2, y: (ay + by) / 2, distance: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  }

  move(fingers) {
    const now = this.measure(fingers);
    this.viewport.place((placement) => {
      placement.panBy(now.x - this.last.x, now.y - this.last.y);
      placement.zoomBy(now.distance / this.last.distance, now.x, now.y);
    });
    this.last = now;
  }
}

const DRAGGING = new Map([
  ["window", dragWindow],
  ["pan", dragPan],
  ["zoom", dragZoom],
]);

export class Tools extends EventTarget {
  constructor(viewport) {
    super();
    this.viewport = viewport;
    this.registered = new Map(DRAGGING);
    this.active = "window";
    this.pointers = new Map();
    this.gesture = null;
    const { canvas } = viewport;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.up(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    // The middle button would start the browser's own scrolling.
    canvas.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
  }

  register(name, tool) {
    this.registered.set(name, tool);
  }

  /** Whether the tool in use takes keys: each but the three that only drag. */
  get measures() {
    return !DRAGGING.has(this.active);
  }

  use(name) {
    this.active = name;
    this.dispatchEvent(new Event("use"));
  }

  /**
   * Use a tool from the keyboard or by its button: the next key belongs to the image. An answer that still had the
   * focus would take the arrows, and change what was chosen there.
   */
  arm(name) {
    this.use(name);
    this.viewport.canvas.focus({ preventScroll: true });
  }

  /** The tool of this press: middle, right and Shift always pan, so that the chosen tool stays chosen. */
  toolFor(event) {
    return event.button !== 0 || event.shiftKey ? dragPan : this.registered.get(this.active);
  }

  down(event) {
    if (!this.viewport.image) return;
    this.viewport.canvas.focus({ preventScroll: true });
    this.viewport.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.viewport.moving = true;
    if (this.pointers.size === 2) {
      // The first finger was the beginning of a pinch, not of a mark.
      if (this.gesture?.cancel) this.gesture.cancel();
      else this.gesture?.end?.(event);
      this.gesture = null;
      this.pinch = new Pinch(this.viewport, this.pointers);
    } else if (this.pointers.size === 1) {
      this.gesture = this.toolFor(event).begin(this.viewport, event);
    }
  }

  moved(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    this.pointers.set(event.pointerId, event);
    if (this.pinch) {
      if (this.pointers.size === 2) this.pinch.move(this.pointers);
    } else {
      this.gesture?.move(event, event.clientX - last.clientX, event.clientY - last.clientY);
    }
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointercancel" && this.gesture?.cancel) this.gesture.cancel();
    else this.gesture?.end?.(event);
    this.gesture = null;
    // The finger that stays after a pinch does nothing until it is lifted: no jump of the window.
    if (this.pointers.size > 0) return;
    this.pinch = null;
    this.viewport.moving = false;
    this.viewport.draw();
  }

  wheel(event) {
    if (!this.viewport.image) return;
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
    const [x, y] = inside(this.viewport, event);
    this.viewport.place((placement) => placement.zoomBy(Math.exp(-pixels * WHEEL_SPEED), x, y));
  }
}
