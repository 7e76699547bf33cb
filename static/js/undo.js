/** What was just submitted can be undone for some seconds; then the button goes away. */

export function bindUndo(keys) {
  const form = () => document.querySelector("[data-undo]:not([hidden])");
  const shown = form();
  if (shown) setTimeout(() => (shown.hidden = true), Number(shown.dataset.undo));
  keys.add({ name: "undo", keys: ["u"], when: () => form() !== null, run: () => form().requestSubmit() });
}
