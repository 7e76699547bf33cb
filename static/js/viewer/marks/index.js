/** Marks on a viewer: tools, drawing, list, keys, undo and redo, and what is told to a screen reader. */

import { formatterOf } from "../window.js";
import { MarkBook } from "./book.js";
import { handlesOf, KINDS } from "./geometry.js";
import { bindMarkKeys } from "./keys.js";
import { MarkLayer } from "./layer.js";
import { MarkList } from "./list.js";
import { Marking } from "./marking.js";
import { Measurer } from "./measure.js";
import { MarkSaver } from "./saving.js";
import { valueAt } from "./statistics.js";

const SAY_AFTER_MS = 400;

/**
 * Let people mark the image of a viewer. `root` is `[data-marks]`, the list outside of the viewport.
 * @returns {{book: MarkBook, marking: Marking}}
 */
export function mountMarks(section, root, viewport, tools, keys) {
  const words = wordsOf(root);
  const book = new MarkBook();
  const marking = new Marking(viewport, tools, book);
  const layer = new MarkLayer(viewport, section.querySelector("[data-mark-layer]"));
  const measurer = new Measurer(null, String, words);
  const list = new MarkList(root, book, measurer, {
    select: (id) => {
      if (tools.active !== "select") tools.use("select");
      book.select(id);
    },
    leave: () => viewport.canvas.focus({ preventScroll: true }),
  });
  viewport.addEventListener("image", () => {
    measurer.image = viewport.image;
    measurer.shown = formatterOf(viewport.image, viewport.span);
    book.tell();
  });
  bindImages(viewport, book, measurer);
  const saver = root.dataset.address ? new MarkSaver(root, book) : null;
  if (saver) viewport.addEventListener("image", () => saver.load(), { once: true });
  bindDrawing(viewport, book, marking, layer, measurer);
  bindButtons(section, viewport, tools, book, marking);
  bindTelling(root, viewport, tools, book, marking, measurer);
  marking.addEventListener("placed", ({ mark }) => mark.kind === "arrow" && list.writeText(mark.id));
  if (keys) bindMarkKeys(keys, viewport, tools, marking);
  return { book, marking };
}

/** The page's words for the scripts: `data-word-mean="mean"` and so on. */
function wordsOf({ dataset }) {
  const names = Object.keys(dataset).filter((name) => name.startsWith("word"));
  return Object.fromEntries(names.map((name) => [name.slice(4).toLowerCase(), dataset[name]]));
}

function bindDrawing(viewport, book, marking, layer, measurer) {
  const draw = () => {
    if (!viewport.image) return;
    const drawings = book.here.map((mark) => ({
      mark,
      lines: measurer.lines(mark),
      selected: mark.id === book.selectedId,
      handle: marking.handle,
    }));
    for (const { mark, author } of book.others.filter((each) => each.mark.image === book.image)) {
      drawings.push({ mark, lines: [author, ...measurer.lines(mark)], foreign: true });
    }
    const mark = marking.drafted;
    if (mark) {
      const whole = mark.points.length === KINDS[mark.kind];
      drawings.push({ mark, lines: whole ? measurer.lines(mark) : [], draft: true });
    }
    layer.draw(drawings, marking.cursor);
  };
  let pending = 0;
  const soon = () => {
    pending ||= requestAnimationFrame(() => {
      pending = 0;
      draw();
    });
  };
  viewport.addEventListener("change", draw); // with the image, or the two would part while dragging
  marking.addEventListener("change", soon);
}

/** Of a stack: which image is shown, and that a chosen mark brings its own. */
function bindImages(viewport, book, measurer) {
  viewport.addEventListener("stack", () => {
    const { stack } = viewport;
    book.image = stack.index;
    stack.addEventListener("go", () => {
      book.image = stack.index;
      if (book.selected && book.selected.image !== stack.index) book.select(null);
      book.tell();
    });
    stack.addEventListener("shown", () => {
      measurer.image = viewport.image;
      book.tell();
    });
    book.addEventListener("change", () => {
      if (book.selected && book.selected.image !== stack.index) stack.go(book.selected.image);
    });
  });
}

function bindButtons(section, viewport, tools, book, marking) {
  const button = (name) => section.querySelector(`[data-mark-act=${name}]`);
  const [undo, redo, remove] = ["undo", "redo", "delete"].map(button);
  // Not `disabled`: a button that takes its focus away when it has done its work would leave nowhere to go on from.
  const acts = [
    [undo, () => book.canUndo, () => book.undo()],
    [redo, () => book.canRedo, () => book.redo()],
    [remove, () => book.selected !== null, () => marking.removeSelected()],
  ];
  const refresh = () => {
    for (const [element, possible] of acts) element.setAttribute("aria-disabled", String(!possible()));
  };
  for (const [element, possible, act] of acts) {
    element.addEventListener("click", () => possible() && act());
  }
  book.addEventListener("change", refresh);
  refresh();
}

function bindTelling(root, viewport, tools, book, marking, measurer) {
  const told = root.parentElement.querySelector("[data-mark-told]");
  const { words } = measurer;
  let timer = 0;
  const say = (sentence) => {
    clearTimeout(timer);
    timer = setTimeout(() => (told.textContent = sentence()), SAY_AFTER_MS);
  };
  const name = (mark) => `${words[mark.kind]} ${book.marks.indexOf(mark) + 1}`;
  const place = ([x, y]) =>
    `x ${Math.floor(x)}, y ${Math.floor(y)}, ${words.value} ${measurer.shown(valueAt([x, y], viewport.image))}`;
  marking.addEventListener("placed", ({ mark }) => say(() => `${name(mark)}: ${measurer.sentence(mark)}`));
  marking.addEventListener("cursor", () =>
    say(() => {
      if (marking.cursor) return place(marking.cursor);
      const mark = book.selected;
      if (!mark) return "";
      const handle = marking.handle === null ? "" : `, ${words.handle} ${marking.handle + 1}, ${place(handlesOf(mark)[marking.handle])}`;
      return `${name(mark)}: ${measurer.sentence(mark)}${handle}`;
    }),
  );
  tools.addEventListener("use", () => marking.kind && say(() => `${words[marking.kind]}. ${words.how}`));
}
