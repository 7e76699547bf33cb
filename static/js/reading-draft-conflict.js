/** Two tabs of one reader at one case: both texts beside each other, and a form filled with the one that is chosen. */

function list(words) {
  return words.map(({ name, words: said }) => {
    const row = document.createElement("div");
    const [term, value] = ["dt", "dd"].map((kind) => document.createElement(kind));
    term.textContent = name;
    value.textContent = said;
    row.append(term, value);
    return row;
  });
}

/** Show what the server answered (`{sentence, at, kept, yours, entries, revision}`), or with null that it is settled. */
export function showConflict(form, said) {
  const box = form.querySelector("[data-draft-conflict]");
  const appears = box.hidden && said !== null;
  box.hidden = said === null;
  if (said === null) {
    delete box.dataset.revision;
    return;
  }
  box.dataset.revision = said.revision;
  box.dataset.entries = JSON.stringify(said.entries);
  box.querySelector("[data-conflict-sentence]").textContent = said.sentence;
  box.querySelector("[data-conflict-at]").textContent = said.at;
  box.querySelector("[data-conflict-kept]").replaceChildren(...list(said.kept));
  box.querySelector("[data-conflict-yours]").replaceChildren(...list(said.yours));
  if (appears) box.scrollIntoView({ block: "nearest" });
}

/** Let a form say what the entries say, and nothing else. */
export function fillWith(form, entries) {
  // All that a form may hold: the other version may lack some of it.
  for (const name of form.querySelector("[data-draft-conflict]").dataset.fields.split(" ")) {
    const value = entries[name] ?? "";
    for (const field of form.querySelectorAll(`[name=${name}]`)) {
      if (field.type === "radio" || field.type === "checkbox") field.checked = field.value === value;
      else field.value = value;
    }
  }
  form.dispatchEvent(new Event("change", { bubbles: true }));
}
