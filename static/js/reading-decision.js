/**
 * The decision panel: keys choose, and what does not apply stays out of sight. Everything works without this file;
 * the server decides what is needed. The panel may be replaced by a fresh one, so nothing is looked up beforehand.
 */

const panel = () => document.querySelector("[data-panel]");
const find = (selector) => panel()?.querySelector(selector) ?? null;
const chosen = (name) => find(`[data-decision] input[name=${name}]:checked`);

/** Choose a radio button as a click would. */
function choose(input) {
  input.checked = true;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.closest(".option").scrollIntoView({ block: "nearest" });
}

const whole = new WeakMap(); // a list of reasons -> all of its options, as the server sent them

/** Offer the reasons that fit (codes); one that was chosen and does not fit any more is given up. */
function offer(select, fitting) {
  if (!whole.has(select)) whole.set(select, [...select.options]);
  const wanted = whole.get(select).filter(({ value }) => value === "" || fitting.includes(value));
  if (wanted.length === select.options.length && wanted.every((option, at) => option === select.options[at])) return;
  const before = select.value;
  select.replaceChildren(...wanted);
  select.value = wanted.some(({ value }) => value === before) ? before : "";
}

/** Show what the choice asks for: the list of labels for another one, the reasons that fit where it differs. */
function arrange() {
  const all = (selector) => [...(panel()?.querySelectorAll(selector) ?? [])];
  const shown = [arrangeOther(), ...all("[data-reason]").map(arrangeReason), ...all("[data-beside]").map(arrangeBeside)];
  // All that is to be answered, down to the last short answer, stays in sight together.
  const last = all("[data-decision] :is([data-certainties], [data-beside]:not([hidden]))").at(-1);
  if (shown.includes(true)) last?.scrollIntoView({ block: "nearest" });
}

/** Show the list of labels where another one is chosen; true where it was hidden until now. */
function arrangeOther() {
  const other = find("[data-other]");
  if (!other || !find("[data-choices]")) return false;
  const before = other.hidden;
  other.hidden = chosen("choice")?.value !== "other";
  return before && !other.hidden;
}

/** Show the reasons that fit the answer; true where they were hidden until now. */
function arrangeReason(reason) {
  const choice = chosen("choice");
  const label = reason.closest("form").querySelector("input[name=label]:checked");
  const final = find("[data-choices]") && choice?.value !== "other" ? choice : label;
  const fitting = final?.dataset.reasons?.split(" ") ?? [];
  const before = reason.hidden;
  reason.hidden = fitting.length === 0 && !reason.querySelector(".field__error");
  if (final) offer(reason.querySelector("select"), fitting);
  return before && !reason.hidden;
}

/** Show an answer that only some labels have; true where it was hidden until now. */
function arrangeBeside(field) {
  const choice = chosen("choice");
  const label = field.closest("form").querySelector("input[name=label]:checked");
  const final = find("[data-choices]") && choice?.value !== "other" ? choice?.dataset.label : label?.value;
  const before = field.hidden;
  field.hidden = !field.dataset.beside.split(" ").includes(final) && !field.querySelector(".field__error");
  return before && !field.hidden;
}

/** True once anything was entered, so that news from the server does not wipe it out. */
function touched() {
  const form = find("[data-decision]");
  return form !== null && form.dataset.touched === "1";
}

/** Send along what was entered for the read: a question beside it must not wipe it out. */
function carry(form) {
  const decision = find("[data-decision]");
  if (!decision) return;
  for (const [name, value] of new FormData(decision)) {
    if (form.elements.namedItem(name) || name === "csrfmiddlewaretoken") continue;
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
}

/** The radio button of a label or a certainty in the form of this step, by its place (1 is the first). */
const inputOf = (field, place) => panel()?.querySelectorAll(`[data-decision] input[name=${field}]`)[place - 1] ?? null;

function chooseAt(field, place) {
  const other = find("[data-choices] input[value=other]");
  if (field === "label" && other && !other.checked) choose(other);
  choose(inputOf(field, place));
}

/** One binding for each label or certainty that the server gives a key. */
function placeBindings(keys, field) {
  const names = Object.keys(keys.chosen).filter((name) => name.startsWith(`${field}-`));
  return names.map((name) => {
    const place = Number(name.slice(field.length + 1));
    return { name, keys: [], when: () => inputOf(field, place) !== null, run: () => chooseAt(field, place) };
  });
}

function focusOn(selector) {
  const element = find(selector);
  element?.focus();
  element?.scrollIntoView({ block: "nearest" });
}

/** After a refusal: bring what is missing into view, with the focus on it. */
function showFirstFault() {
  const fault = find(".field__error:not([hidden]), [data-refusal]");
  if (!fault) return;
  const field = fault.closest(".field, .options, form");
  field?.querySelector("select, textarea, input:checked, input:not([type=hidden])")?.focus({ preventScroll: true });
  (field ?? fault).scrollIntoView({ block: "nearest" });
  fault.scrollIntoView({ block: "nearest" });
}

function bindKeys(keys) {
  const has = (selector) => () => find(selector) !== null;
  const pick = (name, key, which) => {
    const input = `[data-choices] input:is(${which})`;
    return { name, keys: [key], when: has(input), run: () => choose(find(input)) };
  };
  keys.add(
    ...placeBindings(keys, "label"),
    ...placeBindings(keys, "certainty"),
    pick("keep", "k", "[value=keep]"),
    pick("adopt", "a", "[value=adopt], [data-agrees]"), // where both say the same there is one answer to confirm
    {
      name: "reason",
      keys: ["y"],
      when: () => find("[data-decision] [data-reason]:not([hidden])") !== null,
      run: () => focusOn("[data-decision] [data-reason] select"),
    },
    { name: "comment", keys: ["m"], when: has("[data-decision] textarea"), run: () => focusOn("[data-decision] textarea") },
    {
      name: "train",
      keys: ["t"],
      when: has("[data-decision] [data-may-train]"),
      run: () => find("[data-decision] [data-may-train]").click(),
    },
    {
      name: "second-opinion",
      keys: ["f"],
      when: has("[data-second-opinion]"),
      run: () => {
        find("[data-second-opinion]").open = true;
        focusOn("[data-second-opinion] textarea");
      },
    },
    // A key that is held down is one press: it must not run on into the next step.
    { name: "submit", keys: ["n"], when: has("[data-submit]"), run: ({ repeat }) => repeat || find("[data-submit]").click() },
    { name: "previous-series", keys: ["<"], when: () => series(-1) !== null, run: () => series(-1).click() },
    { name: "next-series", keys: [">"], when: () => series(1) !== null, run: () => series(1).click() },
    { name: "back", keys: ["b"], when: has("[data-back]"), run: () => find("[data-back]").click() },
    {
      name: "leave",
      keys: ["Escape"],
      when: () => document.activeElement?.matches(":is(textarea, select, input):not([data-keys-panel] *)") ?? false,
      run: () => document.activeElement.blur(),
    },
  );
}

/** The link to the series of the study before or after the one that is shown; null at either end. */
function series(step) {
  const links = [...document.querySelectorAll("[data-series] li a")];
  const at = links.findIndex((link) => link.matches("[aria-current]"));
  return (at >= 0 && links[at + step]) || null;
}

/** Enter in an answer sends no form, in any browser: a read is given by its key or its button. */
function holdEnter(event) {
  if (event.key === "Enter" && event.target.matches("[data-panel] input:is([type=radio], [type=checkbox])")) {
    event.preventDefault();
  }
}

export function bindDecision(keys) {
  document.addEventListener("keydown", holdEnter);
  document.addEventListener("change", (event) => {
    const form = event.target.closest("[data-decision]");
    if (!form) return arrange();
    form.dataset.touched = "1";
    const other = form.querySelector("[data-choices] input[value=other]");
    if (event.target.name === "label" && other && !other.checked) other.checked = true;
    arrange();
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest("[data-decision]");
    if (form) form.dataset.touched = "1";
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-carry]")) carry(event.target);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target.id !== "panel" || !touched()) return;
    // The opinion has landed while something was being entered: say so, and let the server show it on submitting.
    event.detail.shouldSwap = false;
    const waiting = find("[data-pending]");
    waiting.querySelector("[data-landed]").hidden = false;
    waiting.removeAttribute("hx-get");
    window.htmx.process(waiting);
  });
  document.addEventListener("htmx:afterSwap", arrange);
  bindKeys(keys);
  arrange();
  showFirstFault();
}
