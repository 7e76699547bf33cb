/** Drafts save themselves a moment after the last change, and say so; a failure stays in sight until it is over. */

const WAIT_MS = 700;
const AGAIN_MS = 5_000;

export function bindDraft() {
  let timer = 0;
  let round = 0; // an answer to an older form or an older state says nothing

  async function save(form) {
    if (!form.isConnected) return;
    const mine = ++round;
    const state = form.querySelector("[data-draft-state]");
    const failed = form.querySelector("[data-draft-failed]");
    let answer;
    try {
      answer = await fetch(form.dataset.draft, { method: "POST", body: new FormData(form) });
    } catch {
      answer = null; // no network for a moment
    }
    if (mine !== round || !form.isConnected) return;
    failed.hidden = answer?.ok === true;
    if (answer?.ok) state.textContent = (await answer.json()).said;
    else if (answer === null || answer.status >= 500) later(form, AGAIN_MS);
  }

  function later(form, pause) {
    clearTimeout(timer);
    timer = setTimeout(() => save(form), pause);
  }

  const changed = (event) => {
    const form = event.target.closest("[data-draft]");
    if (form) later(form, WAIT_MS);
  };
  document.addEventListener("input", changed);
  document.addEventListener("change", changed);
  document.addEventListener("submit", () => {
    clearTimeout(timer); // the read itself goes out; a draft after it would come back
    round += 1;
  });
}
