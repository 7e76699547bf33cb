/** The lease on the case: renewed while somebody is at work on the page; when it is lost, the page says so. */

import { post } from "./session.js";

const RENEW_AFTER_MS = 60_000;

export function bindLease(now = Date.now) {
  const lease = () => document.querySelector("[data-lease]");
  let renewed = now();
  let lost = false;

  async function renew() {
    const form = lease();
    if (!form || lost || now() - renewed < RENEW_AFTER_MS) return;
    renewed = now();
    let response;
    try {
      response = await post(form.dataset.renew, new FormData(form));
    } catch {
      return; // no network for a moment: the next activity tries again
    }
    if (response.ok) {
      const answer = await response.json();
      form.querySelector("[data-until]").textContent = answer.until;
      const shown = document.querySelector("[data-scan-revision]");
      if (shown && Number(shown.value) !== answer.scan_revision) document.querySelector("[data-new-images]").hidden = false;
    } else if (response.status === 409) {
      lost = true;
      const banner = document.querySelector("[data-lease-lost]");
      banner.querySelector("[data-lease-sentence]").textContent = (await response.json()).sentence;
      banner.hidden = false;
    }
  }

  for (const activity of ["pointerdown", "pointermove", "keydown", "wheel"]) {
    document.addEventListener(activity, renew, { passive: true });
  }
}
