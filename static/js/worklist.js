/** The worklist's keys: j and k move along the rows, Enter acts, o opens a study, n takes the next case, x ticks one, / looks for a patient, Escape leaves a field. */

import { bindTicks, tick } from "./worklist-ticks.js";
import { bindUndo } from "./undo.js";
import { Keys, bindKeysPanel } from "./viewer/keys.js";

const actions = () => [...document.querySelectorAll("[data-row-action]")];
const current = () => document.activeElement?.closest("[data-row]");

/** Move the focus by one row; from outside the list to its first or last. */
function move(step) {
  const all = actions();
  if (!all.length) return false;
  const at = all.findIndex((action) => action.closest("[data-row]") === current());
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  all[next].focus();
  all[next].scrollIntoView({ block: "nearest" });
  return true;
}

/** Out of a field, so that keys work again; out of the saved views also close them, back to where they were opened. */
function leave() {
  const views = document.activeElement.closest("[data-views]");
  if (!views) return document.activeElement.blur();
  views.open = false;
  return views.querySelector("summary").focus();
}

/** What somebody has opened stays open when the list draws itself anew. */
function bindStudies() {
  const open = new Set();
  document.addEventListener(
    "toggle",
    ({ target }) => {
      if (!target.matches("[data-study]")) return;
      if (target.open) open.add(target.dataset.study);
      else if (target.isConnected) open.delete(target.dataset.study);
    },
    true,
  );
  document.addEventListener("htmx:afterSwap", () => {
    for (const each of document.querySelectorAll("[data-study]")) each.open = open.has(each.dataset.study);
  });
}

const keys = new Keys();
keys.add(
  { name: "down", keys: ["j"], run: () => move(1), when: () => actions().length > 0 },
  { name: "up", keys: ["k"], run: () => move(-1), when: () => actions().length > 0 },
  // Buttons and links heed Enter themselves; this serves the rest of the row, and the list of keys.
  {
    name: "open",
    keys: ["Enter"],
    run: () => current()?.querySelector("[data-row-action]").click() ?? false,
    when: () => actions().length > 0,
  },
  {
    name: "series",
    keys: ["o"],
    run: () => current().querySelector("[data-study] summary").click(),
    when: () => (current()?.querySelector("[data-study]") ?? null) !== null,
  },
  {
    name: "next",
    keys: ["n"],
    run: () => document.querySelector("[data-read-next]").requestSubmit(),
    when: () => document.querySelector("[data-read-next]") !== null,
  },
  { name: "tick", keys: ["x"], run: () => tick(current()), when: () => document.querySelector("[data-tick]") !== null },
  { name: "search", keys: ["/"], run: () => document.querySelector("[data-search]").focus() },
  {
    name: "leave",
    keys: ["Escape"],
    when: () => document.activeElement?.matches(":is(input, select, [data-views][open] *):not([data-keys-panel] *)") ?? false,
    run: leave,
  },
);
bindUndo(keys);
bindKeysPanel(keys);
bindTicks();
bindStudies();

document.addEventListener("click", (event) => {
  const views = document.querySelector("[data-views][open]");
  if (views && !views.contains(event.target)) views.open = false;
});

// A list that nobody looks at need not ask for news.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.target.matches("[data-live]")) event.preventDefault();
});
