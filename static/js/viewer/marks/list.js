/** The list of marks beside the image: what each measures in words, its text, its removal. Open to screen readers. */

export class MarkList {
  /** @param {HTMLElement} root `[data-marks]`, with a template for a row */
  constructor(root, book, measurer, { select, leave }) {
    Object.assign(this, { root, book, measurer, select, leave });
    this.rows = new Map();
    this.list = root.querySelector("[data-mark-rows]");
    this.template = root.querySelector("template");
    this.count = root.querySelector("[data-mark-count]");
    book.addEventListener("change", () => this.refresh());
    this.refresh();
  }

  refresh() {
    const { marks, others, selectedId } = this.book;
    this.root.hidden = marks.length + others.length === 0;
    this.count.textContent = marks.length + others.length;
    if (this.shownOthers !== others || this.shownImage !== this.book.image) this.showOthers(others);
    this.shownImage = this.book.image;
    const here = new Set(marks.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (here.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    marks.forEach((mark, at) => {
      const row = this.rows.get(mark.id) ?? this.made(mark);
      if (this.list.children[at] !== row) this.list.insertBefore(row, this.list.children[at] ?? null);
      this.fill(row, mark, at + 1, mark.id === selectedId);
    });
  }

  /** What a mark measures; of one on another image of the stack, on which: its pixels may not be here. */
  sentence(mark) {
    if (mark.image === this.book.image) return this.measurer.sentence(mark);
    return this.measurer.words.image.replace("{n}", mark.image + 1);
  }

  /** Other people's marks, as sentences. */
  showOthers(others) {
    this.shownOthers = others;
    const list = this.root.querySelector("[data-mark-others]");
    list.hidden = others.length === 0;
    list.replaceChildren(...others.map(({ mark, author }) => {
      const item = document.createElement("li");
      const said = [mark.text && `“${mark.text}”`, this.sentence(mark)].filter(Boolean).join(", ");
      item.textContent = `${author}: ${this.measurer.words[mark.kind]}${said ? `, ${said}` : ""}`;
      return item;
    }));
  }

  made({ id, kind }) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    this.rows.set(id, row);
    const name = this.measurer.words[kind];
    row.querySelector("[data-mark-kind]").textContent = name;
    row.querySelector("[data-mark-choose]").addEventListener("click", () => this.select(id));
    row.querySelector("[data-mark-remove]").addEventListener("click", () => {
      this.book.remove(id);
      this.leave();
    });
    const text = row.querySelector("[data-mark-text]");
    text.addEventListener("change", () => this.setText(id, text.value));
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      this.setText(id, text.value);
      this.leave();
    });
    return row;
  }

  setText(id, value) {
    const mark = this.book.marks.find((each) => each.id === id);
    if (mark && mark.text !== value.trim()) this.book.replace({ ...mark, text: value.trim() });
  }

  fill(row, mark, number, selected) {
    row.querySelector("[data-mark-number]").textContent = number;
    row.querySelector("[data-mark-said]").textContent = this.sentence(mark);
    row.querySelector("[data-mark-choose]").setAttribute("aria-pressed", String(selected));
    row.classList.toggle("is-selected", selected);
    const text = row.querySelector("[data-mark-text]");
    text.closest("[data-mark-note]").hidden = !selected && !mark.text && mark.kind !== "arrow";
    if (document.activeElement !== text) text.value = mark.text;
    for (const element of [row.querySelector("[data-mark-remove]"), text]) {
      element.setAttribute("aria-label", `${element.dataset.label} ${number}`);
    }
  }

  /** Where an arrow's text is written. */
  writeText(id) {
    this.root.open = true;
    const text = this.rows.get(id)?.querySelector("[data-mark-text]");
    text?.scrollIntoView({ block: "nearest" });
    text?.focus();
  }
}
