/**
 * Keeps one's marks on the server, each change as a new revision, and brings those that may be seen.
 *
 * Saved a moment after the last change, and before any form of the page is sent, so that no mark comes after the read
 * that it belongs to. What cannot be saved is said and stays on the page.
 */

import { post } from "../../session.js";

const SAVE_AFTER_MS = 1200;
const TRY_AGAIN_MS = 6000;

export class MarkSaver {
  /** @param {HTMLElement} root `[data-marks]` with `data-address` */
  constructor(root, book) {
    this.book = book;
    this.address = root.dataset.address;
    this.kept = false;
    this.saved = new Map(); // id -> {revision, mark}; the mark is null once it is withdrawn
    this.timer = 0;
    this.running = null;
    this.letPass = false;
    this.status = root.parentElement.querySelector("[data-marks-saved]");
    this.banner = root.parentElement.querySelector("[data-marks-unsaved]");
    this.idle = root.querySelector("[data-marks-not-kept]");
    book.addEventListener("kept", () => this.soon());
    book.addEventListener("change", () => (this.idle.hidden = this.kept || book.marks.length === 0));
    document.addEventListener("submit", (event) => this.beforeSending(event), true);
    document.addEventListener("overread:again", () => this.save());
    window.addEventListener("pagehide", () => this.dirty && this.post(this.changes(), true));
  }

  /** Fetch the marks that stand. Those that were made in the meantime stay. */
  async load() {
    let answer;
    try {
      const response = await fetch(this.address, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      answer = await response.json();
    } catch {
      this.complain(this.banner.dataset.notLoaded);
      return;
    }
    this.kept = answer.kept;
    const frozen = ({ id, kind, points, text, image }) => Object.freeze({ id, kind, points, text, image });
    const [mine, others] = [true, false].map((own) => answer.marks.filter(({ mine: is }) => is === own));
    const marks = mine.map(frozen);
    marks.forEach((mark, at) => this.saved.set(mark.id, { revision: mine[at].revision, mark }));
    this.book.others = others.map((each) => ({ mark: frozen(each), author: each.author }));
    this.book.load(marks);
    if (this.dirty) this.soon();
  }

  /** What the server does not know yet. */
  changes() {
    if (!this.kept) return [];
    const here = new Set(this.book.marks.map(({ id }) => id));
    const changed = this.book.marks
      .filter((mark) => this.saved.get(mark.id)?.mark !== mark)
      .map((mark) => ({ ...mark, base: this.saved.get(mark.id)?.revision ?? 0 }));
    const gone = [...this.saved]
      .filter(([id, { mark }]) => mark && !here.has(id))
      .map(([id, { revision }]) => ({ id, base: revision, withdrawn: true }));
    return [...changed, ...gone];
  }

  get dirty() {
    return this.changes().length > 0;
  }

  soon(after = SAVE_AFTER_MS) {
    clearTimeout(this.timer);
    if (this.kept) this.timer = setTimeout(() => this.save(), after);
  }

  post(changes, leaving = false) {
    return post(this.address, JSON.stringify({ changes }), { leaving, type: "application/json" });
  }

  /** Save what has changed; true when nothing is left to save. One at a time. */
  async save() {
    clearTimeout(this.timer);
    while (this.running) await this.running;
    if (!this.dirty) return true;
    this.running = this.saveNow().finally(() => {
      this.running = null;
    });
    return this.running;
  }

  async saveNow() {
    const changes = this.changes();
    const sent = new Map(this.book.marks.map((mark) => [mark.id, mark]));
    let response;
    try {
      response = await this.post(changes);
    } catch {
      this.complain(this.banner.dataset.offline);
      this.soon(TRY_AGAIN_MS);
      return false;
    }
    if (!response.ok) {
      const said = response.status < 500 ? await response.json().catch(() => ({})) : {};
      this.complain(said.sentence ?? this.banner.dataset.offline);
      // What was refused would be refused again; a server in trouble may have recovered.
      if (response.status >= 500) this.soon(TRY_AGAIN_MS);
      return false;
    }
    const { revisions, at } = await response.json();
    for (const { id, withdrawn } of changes) {
      this.saved.set(id, { revision: revisions[id], mark: withdrawn ? null : sent.get(id) });
    }
    this.banner.hidden = true;
    this.letPass = false;
    this.status.textContent = this.status.dataset.words.replace("{at}", at);
    if (this.dirty) this.soon();
    return !this.dirty;
  }

  complain(sentence) {
    this.banner.querySelector("[data-marks-why]").textContent = sentence;
    this.banner.hidden = false;
  }

  /** A form waits until the marks are saved; where they cannot be, sending it once more goes on without them. */
  async beforeSending(event) {
    if (this.letPass || !(this.running || this.dirty)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const { target: form, submitter } = event;
    const saved = await this.save();
    this.letPass = true;
    if (saved) {
      form.requestSubmit(submitter);
      this.letPass = false;
    } else {
      this.banner.scrollIntoView({ block: "nearest" });
    }
  }
}
