/** One's own keys: pressing a key in a field enters it, and two actions with one key are told before the server does. */

import { nameOf } from "./viewer/keys.js";

// These move along the form as everywhere; Backspace and Delete empty the field.
const PASS = ["Tab", "Enter", "Escape", "Shift", "Control", "Alt", "Meta", "CapsLock"];
const EMPTY = ["Backspace", "Delete"];

function bind(form) {
  const fields = [...form.querySelectorAll("[data-own-key]")];
  const said = (field) => field.parentElement.querySelector("[data-own-key-said]");
  const words = (field) => field.parentElement.querySelector("label").textContent;

  /** Say which actions share a key; what the server said beside a field goes when that field changes. */
  function judge(changed) {
    for (const field of fields) {
      const key = field.value.trim().toLowerCase();
      const others = key ? fields.filter((other) => other !== field && other.value.trim().toLowerCase() === key) : [];
      const told = field.dataset.told === "1";
      if (others.length) {
        field.dataset.told = "1";
        field.setAttribute("aria-invalid", "true");
        said(field).textContent = form.dataset.words.replace("{others}", others.map(words).join(", "));
      } else if (told || field === changed) {
        delete field.dataset.told;
        field.removeAttribute("aria-invalid");
        said(field).textContent = "";
      }
    }
  }

  for (const field of fields) {
    field.addEventListener("keydown", (event) => {
      if (PASS.includes(event.key) || event.key.startsWith("Arrow") || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (EMPTY.includes(event.key)) field.value = "";
      else if (event.key.length === 1) field.value = nameOf(event);
      judge(field);
    });
    field.addEventListener("input", () => judge(field));
    field.addEventListener("focus", () => field.select());
  }
}

for (const form of document.querySelectorAll("[data-own-keys]")) bind(form);
