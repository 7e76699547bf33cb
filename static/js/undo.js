/** What was just submitted can be undone for some seconds; then the button goes away. A blind read, until the reveal. */

export function bindUndo(keys) {
  const form = () => document.querySelector("[data-undo]:not([hidden])");
  const shown = form();
  if (shown) setTimeout(() => (shown.hidden = true), Number(shown.dataset.undo));
  // A blind read that is locked here is the last act, so the key is for it.
  const last = () => document.querySelector("[data-undo-blind]") ?? form();
  keys.add({
    name: "undo",
    keys: ["u"],
    when: () => last() !== null,
    run: ({ repeat }) => repeat || last().requestSubmit(),
  });
}
