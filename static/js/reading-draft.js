/**
 * Drafts save themselves a moment after the last change, and say so; a failure stays in sight until it is over.
 *
 * Each save names the revision that this page has seen. Where another tab has saved something else since, the page shows
 * both and lets its reader choose; until then nothing of either is overwritten.
 */

import { fillWith, showConflict } from "./reading-draft-conflict.js";
import { post } from "./session.js";

const WAIT_MS = 700;
const AGAIN_MS = 5_000;

/** A name of this page, so that its own saves are told from another tab's; no secret. */
const pageName = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Say what became of a save: kept, not kept and why, or overtaken by another tab. */
function tell(form, { ok, status, said, again }) {
  const failed = form.querySelector("[data-draft-failed]");
  const conflict = status === 409 && said.entries !== undefined;
  failed.hidden = ok || conflict;
  showConflict(form, conflict ? said : null);
  if (ok) {
    form.elements.namedItem("draft_revision").value = said.revision;
    form.querySelector("[data-draft-state]").textContent = said.said;
  } else if (!conflict) {
    form.querySelector("[data-draft-why]").textContent = again ? failed.dataset.again : (said.sentence ?? "");
  }
}

/** `unsaved`: the page came with entries that are no draft yet, such as a read that was refused or undone. */
export function bindDraft({ unsaved = false } = {}) {
  const tab = pageName();
  let nth = 0;
  let timer = 0;
  let waiting = null; // the form whose last change is not on its way yet
  let round = 0; // an answer to an older form or an older state says nothing

  async function save(form, leaving = false) {
    waiting = null;
    if (!form.isConnected) return false;
    const mine = ++round;
    const body = new FormData(form);
    body.set("tab", tab);
    body.set("nth", String((nth += 1)));
    const answer = await post(form.dataset.draft, body, { leaving }).catch(() => null);
    const said = answer && answer.status < 500 ? await answer.json().catch(() => ({})) : {};
    if (mine !== round || !form.isConnected) return false;
    // What the server refuses it would refuse again; a network or a server in trouble may recover.
    const again = answer === null || answer.status >= 500;
    if (again) later(form, AGAIN_MS);
    tell(form, { ok: answer?.ok === true, status: answer?.status, said, again });
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
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-conflict-use], [data-conflict-keep], [data-aside-use]");
    if (!button) return;
    const form = button.closest("[data-draft]");
    const { revision, entries } = form.querySelector("[data-draft-conflict]").dataset;
    if (revision && !button.matches("[data-aside-use]")) form.elements.namedItem("draft_revision").value = revision;
    if (button.matches("[data-conflict-use]")) fillWith(form, JSON.parse(entries));
    if (button.matches("[data-aside-use]")) {
      fillWith(form, JSON.parse(button.dataset.entries));
      button.closest("[data-draft-aside]").remove();
    }
    later(form, 0);
    form.querySelector("textarea, input:checked")?.focus();
  });
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
