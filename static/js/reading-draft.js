/** Drafts save themselves a moment after the last change, and say so; a failure stays in sight until it is over. */

import { post } from "./session.js";

const WAIT_MS = 700;
const AGAIN_MS = 5_000;

/** `unsaved`: the page came with entries that are no draft yet, such as a read that was refused or undone. */
export function bindDraft({ unsaved = false } = {}) {
  let timer = 0;
  let waiting = null; // the form whose last change is not on its way yet
  let round = 0; // an answer to an older form or an older state says nothing

  async function save(form, leaving = false) {
    waiting = null;
    if (!form.isConnected) return false;
    const mine = ++round;
    const answer = await post(form.dataset.draft, new FormData(form), { leaving }).catch(() => null);
    const said = answer && answer.status < 500 ? await answer.json().catch(() => ({})) : {};
    if (mine !== round || !form.isConnected) return false;
    const failed = form.querySelector("[data-draft-failed]");
    failed.hidden = answer?.ok === true;
    if (answer?.ok) form.querySelector("[data-draft-state]").textContent = said.said;
    else {
      // What the server refuses it would refuse again; a network or a server in trouble may recover.
      const again = answer === null || answer.status >= 500;
      form.querySelector("[data-draft-why]").textContent = again ? failed.dataset.again : (said.sentence ?? "");
      if (again) later(form, AGAIN_MS);
    }
    return answer?.ok === true;
  }

  function later(form, pause) {
    clearTimeout(timer);
    waiting = form;
    timer = setTimeout(() => save(form), pause);
  }

  const changed = (event) => {
    const form = event.target.closest("[data-draft]");
    if (form) later(form, WAIT_MS);
  };
  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
  document.addEventListener("overread:again", () => {
    const form = document.querySelector("[data-draft]");
    if (form?.querySelector("[data-draft-failed]").hidden === false) save(form);
  });
  document.addEventListener("submit", () => {
    clearTimeout(timer); // the read itself goes out; a draft after it would come back
    waiting = null;
    round += 1;
  });
  window.addEventListener("pagehide", () => waiting && save(waiting, true));
  const form = document.querySelector("[data-draft]");
  if (unsaved && form) later(form, 0);
}
