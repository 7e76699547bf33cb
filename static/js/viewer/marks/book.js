/**
 * The marks of one image, with undo and redo. Marks are replaced, never changed, so a state is a list of them.
 *
 * Events: `change` when the marks or the selection are others; `kept` when a change is final (not while dragging).
 */

const freshId = () => crypto.randomUUID?.() ?? unsafeId();

/** Without a secure context (a test server by its name) there is no randomUUID. */
function unsafeId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class MarkBook extends EventTarget {
  constructor() {
    super();
    this.marks = [];
    this.others = []; // {mark, author}: other people's, to look at
    this.selectedId = null;
    this.image = 0; // index of the shown image of a stack
    this.past = [];
    this.future = [];
    this.before = null;
  }

  get selected() {
    return this.marks.find(({ id }) => id === this.selectedId) ?? null;
  }

  /** The marks on the shown image. */
  get here() {
    return this.marks.filter(({ image }) => image === this.image);
  }

  get canUndo() {
    return this.past.length > 0;
  }

  get canRedo() {
    return this.future.length > 0;
  }

  /** Put these marks before what was made while they were on their way. To undo that takes none of them away. */
  load(marks) {
    const behind = (made) => [...marks, ...made];
    this.past = this.past.map(behind);
    this.future = this.future.map(behind);
    if (this.before) this.before = behind(this.before);
    this.marks = behind(this.marks);
    this.tell();
  }

  /** Add a mark and select it. */
  add({ kind, points, text = "" }) {
    const mark = Object.freeze({ id: freshId(), kind, points, text, image: this.image });
    this.keep([...this.marks, mark]);
    this.select(mark.id);
    return mark;
  }

  replace(mark) {
    this.keep(this.with(mark));
  }

  remove(id) {
    this.keep(this.marks.filter((mark) => mark.id !== id));
  }

  /** Show a mark as it would become; `settle` makes it so, `drop` takes it back. */
  preview(mark) {
    this.before ??= this.marks;
    this.marks = this.with(mark);
    this.tell();
  }

  settle() {
    if (!this.before) return;
    const [before, marks] = [this.before, this.marks];
    this.marks = before;
    this.before = null;
    this.keep(marks);
  }

  drop() {
    if (!this.before) return;
    this.marks = this.before;
    this.before = null;
    this.tell();
  }

  select(id) {
    if (this.selectedId === id) return;
    this.selectedId = id;
    this.tell();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    this.drop();
    if (from.length === 0) return;
    to.push(this.marks);
    this.marks = from.pop();
    this.tell("kept");
  }

  with(mark) {
    return this.marks.map((each) => (each.id === mark.id ? Object.freeze(mark) : each));
  }

  keep(marks) {
    this.drop();
    this.past.push(this.marks);
    this.future = [];
    this.marks = marks;
    this.tell("kept");
  }

  tell(more) {
    if (this.selectedId && !this.selected) this.selectedId = null;
    this.dispatchEvent(new Event("change"));
    if (more) this.dispatchEvent(new Event(more));
  }
}
