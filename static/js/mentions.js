/**
 * Colleagues to mention, offered below a `[data-mentions]` field while an `@name` is being typed.
 *
 * The attribute is the address that answers with people who may see this case. Without it, or without this script,
 * an `@name` typed by hand does the same.
 */

const TYPING = /(?:^|[^\w.@+-])@([\w.@+-]*)$/;
const WAIT_MS = 120;

class Mentions {
  constructor(field) {
    Object.assign(this, { field, people: [], at: 0, asked: 0, timer: 0 });
    this.list = document.createElement("ul");
    this.list.className = "mention__list";
    this.list.id = `${field.id}-people`;
    this.list.hidden = true;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", field.dataset.words);
    field.after(this.list);
    // A field of several lines may not be a combobox: it stays a text box that has a list to choose from.
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
    field.setAttribute("aria-controls", this.list.id);
    field.setAttribute("autocomplete", "off");
    field.addEventListener("input", () => this.look());
    field.addEventListener("keydown", (event) => this.key(event));
    field.addEventListener("blur", () => this.close());
    // Before the field loses its focus, so that the choice still knows where the text stands.
    this.list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const item = event.target.closest("[role=option]");
      if (item) this.choose([...this.list.children].indexOf(item));
    });
  }

  /** What has been typed of a name before the caret, or null. */
  get begun() {
    const { value, selectionStart, selectionEnd } = this.field;
    return selectionStart === selectionEnd ? TYPING.exec(value.slice(0, selectionStart))?.[1] ?? null : null;
  }

  look() {
    clearTimeout(this.timer);
    const begun = this.begun;
    if (begun === null) this.close();
    else this.timer = setTimeout(() => this.ask(begun), WAIT_MS);
  }

  async ask(begun) {
    const turn = ++this.asked;
    const response = await fetch(`${this.field.dataset.mentions}?q=${encodeURIComponent(begun)}`).catch(() => null);
    const people = response?.ok ? (await response.json()).people : [];
    if (turn !== this.asked || this.begun !== begun) return; // something else was typed meanwhile
    this.people = people;
    if (people.length) this.open();
    else this.close();
  }

  open() {
    this.list.replaceChildren(...this.people.map((person, index) => {
      const item = document.createElement("li");
      item.id = `${this.list.id}-${index}`;
      item.setAttribute("role", "option");
      const name = document.createElement("strong");
      name.textContent = `@${person.username}`;
      item.append(name);
      if (person.name !== person.username) item.append(` ${person.name}`);
      return item;
    }));
    this.list.hidden = false;
    this.point(0);
  }

  close() {
    clearTimeout(this.timer);
    this.asked += 1;
    this.list.hidden = true;
    this.field.removeAttribute("aria-activedescendant");
  }

  point(index) {
    this.at = (index + this.people.length) % this.people.length;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.at)));
    this.list.children[this.at].scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", `${this.list.id}-${this.at}`);
  }

  key(event) {
    if (this.list.hidden) return;
    const acts = {
      ArrowDown: () => this.point(this.at + 1),
      ArrowUp: () => this.point(this.at - 1),
      Enter: () => this.choose(this.at),
      Tab: () => this.choose(this.at),
      Escape: () => this.close(),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  choose(index) {
    const caret = this.field.selectionStart;
    const begun = this.begun ?? "";
    this.field.setRangeText(`${this.people[index].username} `, caret - begun.length, caret, "end");
    this.close();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function bind(root) {
  for (const field of root.querySelectorAll("[data-mentions]:not([aria-controls])")) new Mentions(field);
}

document.addEventListener("htmx:load", (event) => bind(event.target));
bind(document);
