/** What every page does beyond HTML: theme without reloading, dismissing messages, copying, confirming, filters, faults. */

import { bindTheme } from "./theme.js";

/** Show what needs a script; without one these buttons stay hidden. */
function reveal(root) {
  for (const button of root.querySelectorAll("[data-dismiss], [data-copy]")) button.hidden = false;
}

document.addEventListener("click", (event) => {
  const dismiss = event.target.closest("[data-dismiss]");
  if (dismiss) {
    dismiss.closest(".message, .banner")?.remove();
    document.getElementById("main")?.focus({ preventScroll: true });
    return;
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) copyFrom(copy);
});

/** @param {HTMLElement} button whose data-copy selects what to copy */
async function copyFrom(button) {
  const source = document.querySelector(button.dataset.copy);
  const text = source?.value ?? source?.textContent ?? "";
  const label = button.querySelector("[data-copy-label]") ?? button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(text.trim());
    label.textContent = button.dataset.copied ?? "Copied";
  } catch {
    // No clipboard without a secure context: select, so that the next key can be Ctrl-C.
    if (source instanceof HTMLInputElement) source.select();
    else if (source) getSelection()?.selectAllChildren(source);
    label.textContent = button.dataset.copyFailed ?? "Press Ctrl-C";
  }
  setTimeout(() => { label.textContent = before; }, 2500);
}

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset?.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A second press before the answer is there would do the act a second time, or meet its own first as a conflict.
let sent = false;
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent) event.preventDefault();
  sent = true;
});
window.addEventListener("pageshow", () => (sent = false));

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-autosubmit]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
});

document.addEventListener("htmx:load", (event) => reveal(event.target));
reveal(document);
bindTheme();

// A form that came back refused: to the first field at fault, which may stand far below.
const fault = document.querySelector('main [aria-invalid="true"]');
if (fault && document.activeElement === document.body) fault.focus();
