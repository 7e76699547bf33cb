/** Ticks before cases that are dealt out: they outlive the list's own refreshing, and are counted. */

const ticks = () => [...document.querySelectorAll("[data-tick]")];
const ticked = new Set();

/** Tick or untick the case of a row. */
export function tick(row) {
  const box = row?.querySelector("[data-tick]");
  if (!box) return false;
  box.click();
  return true;
}

function tell() {
  const here = ticks().filter((box) => box.checked).length;
  const said = document.querySelector("[data-ticked]");
  said.textContent = here ? said.dataset.words.replace("{n}", here) : "";
  const all = document.querySelector("[data-tick-all]");
  all.checked = here > 0 && here === ticks().length;
  all.indeterminate = here > 0 && here < ticks().length;
}

export function bindTicks() {
  const form = document.querySelector("[data-deal]");
  if (!form) return;
  form.querySelector("[data-tick-all-line]").hidden = false;
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tick-all]")) {
      for (const box of ticks()) box.checked = event.target.checked;
    } else if (!event.target.matches("[data-tick]")) return;
    for (const { checked, value } of ticks()) {
      if (checked) ticked.add(value);
      else ticked.delete(value);
    }
    tell();
  });
  // The list draws itself anew every few seconds; what was ticked stays so as long as the case is there.
  document.addEventListener("htmx:afterSwap", () => {
    for (const box of ticks()) box.checked = ticked.has(box.value);
    tell();
  });
  tell();
}
