/** Marking by keyboard. These bindings come before the viewer's own: while a mark is placed, arrows place it. */

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FAR = 10; // image pixels, with Shift
const TOOL_KEYS = {
  length: "l",
  angle: "c",
  ellipse: "e",
  rectangle: "x",
  freehand: "d",
  point: ".",
  arrow: "j",
};

export function bindMarkKeys(keys, viewport, tools, marking) {
  const { book } = marking;
  const shown = () => viewport.image !== null;
  const placing = () => shown() && marking.kind !== null;
  const changing = () => shown() && tools.active === "select" && book.selected !== null;
  const arrows = (name, when, act) =>
    Object.entries(DIRECTIONS).flatMap(([key, [dx, dy]]) => [
      { name, keys: [key], when, run: () => act(dx, dy, 1) },
      { name, keys: [`Shift+${key}`], when, run: () => act(dx, dy, FAR) },
    ]);
  keys.add(
    ...Object.entries(TOOL_KEYS).map(([kind, key]) => ({
      name: `mark-${kind}`, keys: [key], when: shown, run: () => tools.arm(kind),
    })),
    {
      name: "mark-select",
      keys: ["s"],
      when: shown,
      run: () => {
        if (tools.active !== "select") return tools.arm("select");
        viewport.canvas.focus({ preventScroll: true });
        return marking.chooseNext();
      },
    },
    ...arrows("mark-place", placing, (dx, dy, pixels) => marking.cursorBy(dx, dy, pixels)),
    { name: "mark-put", keys: ["Enter"], when: placing, run: () => marking.putHere() },
    { name: "mark-cancel", keys: ["Escape"], when: () => marking.draft !== null, run: () => marking.cancel() },
    ...arrows("mark-move", changing, (dx, dy, pixels) => marking.nudge(dx, dy, pixels)),
    { name: "mark-handle", keys: ["Enter"], when: changing, run: () => marking.nextHandle() },
    {
      name: "mark-delete",
      keys: ["Delete", "Backspace"],
      when: () => book.selected !== null,
      run: () => marking.removeSelected(),
    },
    { name: "mark-undo", keys: ["Ctrl+z"], when: () => book.canUndo, run: () => book.undo() },
    { name: "mark-redo", keys: ["Ctrl+Shift+z", "Ctrl+y"], when: () => book.canRedo, run: () => book.redo() },
  );
}
