/**
 * Keys of a page: bindings by name, off while typing, and a list that shows only what works at this moment.
 *
 * A binding is `{name, keys, run(event), when?()}`; `keys` are `KeyboardEvent.key` values, or "Shift+1" by
 * `KeyboardEvent.code` (what Shift makes of a digit differs between keyboards), or "Ctrl+z" (⌘ on a Mac is the same;
 * of keys with Ctrl only those that some binding names are taken). `run` may return false: not handled.
 *
 * The server says which keys this person has chosen (`data-keys` of the list of keys, by name); those count instead of
 * the ones that a binding brings.
 */

const TYPING = "input:not([type=radio]):not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]";
// Elements that use these keys themselves when they have the focus.
const USES_SPACE = "button, a, summary, input, select, textarea";
const USES_ENTER = "button, a, summary, input, select, textarea";
const USES_ARROWS = "input, select, textarea, [role=slider]";
const SWITCH = "overread-keys-off";

export class Keys {
  constructor(target = document) {
    this.bindings = [];
    /** Keys by the name of their binding, as this person has them; "" where one has none. */
    this.chosen = JSON.parse(document.querySelector("[data-keys-panel]")?.dataset.keys ?? "{}");
    target.addEventListener("keydown", (event) => this.pressed(event));
  }

  add(...bindings) {
    for (const binding of bindings) {
      const own = this.chosen[binding.name];
      this.bindings.push(own === undefined ? binding : { ...binding, keys: own === "" ? [] : [own] });
    }
  }

  get off() {
    return localStorage.getItem(SWITCH) === "1";
  }

  set off(value) {
    if (value) localStorage.setItem(SWITCH, "1");
    else localStorage.removeItem(SWITCH);
  }

  pressed(event) {
    if (event.defaultPrevented || event.altKey || event.isComposing) return;
    const name = nameOf(event);
    if (!heeds(event.target, event.key) || (this.off && name !== "Escape")) return;
    const binding = this.usable().find(({ keys }) => keys.includes(name));
    if (binding && binding.run(event) !== false) event.preventDefault();
  }

  /** The bindings that would do something now. */
  usable() {
    return this.bindings.filter(({ keys, when }) => keys.length > 0 && (!when || when()));
  }
}

/** A press as bindings name it. */
export function nameOf(event) {
  if (event.ctrlKey || event.metaKey) return `Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}`;
  // By place, not by sign: on a French keyboard the digits of the upper row need Shift.
  const digit = /^Digit(\d)$/.exec(event.code);
  if (digit) return event.shiftKey ? `Shift+${digit[1]}` : digit[1];
  if (event.shiftKey && event.key.startsWith("Arrow")) return `Shift+${event.key}`;
  if (event.key === " ") return "Space";
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Whether a press on this element may be a shortcut at all. */
function heeds(element, key) {
  if (!(element instanceof Element)) return true;
  if (key === "Escape") return true;
  if (element.matches(TYPING)) return false;
  if (key === " ") return !element.matches(USES_SPACE);
  if (key === "Enter") return !element.matches(USES_ENTER);
  if (key.startsWith("Arrow") || key === "Home" || key === "End") return !element.matches(USES_ARROWS);
  return true;
}

/**
 * The list of keys (`[data-keys-panel]`, rows `[data-binding="NAME …"]`), opened by "?" and by `[data-keys-open]`.
 * It is no modal: the page behind stays usable.
 */
export function bindKeysPanel(keys, root = document) {
  const panel = root.querySelector("[data-keys-panel]");
  if (!panel) return;
  let former = null;
  const refresh = () => {
    const usable = new Set(keys.usable().map(({ name }) => name));
    for (const row of panel.querySelectorAll("[data-binding]")) {
      const names = row.dataset.binding.split(" ");
      row.hidden = !names.some((name) => usable.has(name));
      for (const key of row.querySelectorAll("[data-key-of]")) key.hidden = !usable.has(key.dataset.keyOf);
    }
    for (const group of panel.querySelectorAll("[data-binding-group]")) {
      group.hidden = !group.querySelector("[data-binding]:not([hidden])");
    }
  };
  const close = () => {
    panel.hidden = true;
    former?.focus?.();
  };
  const toggle = () => {
    if (!panel.hidden) return close();
    refresh();
    former = document.activeElement;
    panel.hidden = false;
    panel.focus();
    return undefined;
  };
  for (const button of root.querySelectorAll("[data-keys-open]")) {
    button.hidden = false;
    button.addEventListener("click", toggle);
  }
  panel.querySelector("[data-keys-close]")?.addEventListener("click", close);
  const off = panel.querySelector("[data-keys-off]");
  if (off) {
    off.checked = keys.off;
    off.addEventListener("change", () => (keys.off = off.checked));
  }
  keys.add({ name: "help", keys: ["?", "Shift+?"], run: toggle });
  keys.add({ name: "close", keys: ["Escape"], run: close, when: () => !panel.hidden });
  // What the server offers to change and no script here does: a test wants this empty.
  const bound = new Set(keys.bindings.map(({ name }) => name));
  panel.dataset.unbound = Object.keys(keys.chosen).filter((name) => !bound.has(name)).join(" ");
}
