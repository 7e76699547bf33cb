/**
 * Upload: files are dropped or chosen, then sent one a request, three at a time, each with its own bar.
 * Without this script the same form sends all files at once and the page lists what became of each.
 */

import { signedInAgain } from "./session.js";
import { ZipError, canUnpack, filesIn, isZip } from "./zip.js";

const AT_ONCE = 3;

const found = document.querySelector("form[data-hand-in]");
if (found) bind(found);

/** @param {HTMLFormElement} form */
function bind(form) {
  const say = form.dataset;
  const input = form.querySelector("input[type=file]");
  const drop = form.querySelector("[data-drop]");
  const list = form.querySelector("[data-outcomes]");
  const line = form.querySelector("[data-summary-line]");
  const row = document.getElementById("outcome-row");
  const waiting = [];
  const tally = { stored: 0, known: 0, kept: 0, refused: 0, left: 0 };
  const series = new Map(); // by scan: the row that stands for all of its images, and how many there are
  const way = form.querySelector("[data-way]");
  const pause = form.querySelector("[data-pause]");
  let unfinished = new Set(); // scans whose series still wait for others
  let paused = false;
  let chosen = [];
  let choosing = Promise.resolve();
  let running = 0;

  form.classList.add("has-script");
  for (const part of form.querySelectorAll("[data-needs-script]")) part.hidden = false;

  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    await choose(files);
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("is-over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("is-over"));
  drop.addEventListener("drop", async (event) => { event.preventDefault(); await choose(await dropped(event.dataTransfer)); });
  const folder = form.querySelector("[data-folder]");
  folder.addEventListener("change", async () => {
    const files = shown([...folder.files]);
    folder.value = "";
    await choose(files);
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    next();
  });
  addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!form.reportValidity()) return;
    clearErrors();
    await choosing;
    if (!chosen.length) {
      line.textContent = say.none;
      input.focus();
      return;
    }
    const fields = new FormData(form);
    fields.delete("files");
    for (const one of chosen) waiting.push({ ...one, fields });
    tally.left += chosen.length;
    chosen = [];
    next();
  });

  /** New files join those that wait for the button; of a ZIP its files do. Until then the button waits for them. */
  function choose(files) {
    choosing = choosing.then(() => chooseNow(files));
    return choosing;
  }

  async function chooseNow(files) {
    for (const file of files) {
      if (canUnpack() && (await isZip(file))) await unpack(file);
      else add(file);
    }
    summary();
  }

  async function unpack(zip) {
    let files = [];
    try {
      files = await filesIn(zip);
    } catch (error) {
      if (!(error instanceof ZipError)) throw error;
      refuse({ file: zip, element: newRow(zip.name) }, say[`zip${error.code}`]);
      return;
    }
    // A name in a ZIP is a way through its folders; what systems put beside images is no image.
    const images = files.filter(({ name }) => !/(^|\/)__MACOSX\//.test(name)).map((each) => ({ ...each, name: each.name.split(/[\\/]/).pop() }));
    const inside = shown(images);
    if (!inside.length) refuse({ file: zip, element: newRow(zip.name) }, say.zipempty);
    for (const each of inside) add(each);
  }

  function newRow(name) {
    const element = row.content.firstElementChild.cloneNode(true);
    element.querySelector(".outcome__name").textContent = name;
    list.prepend(element);
    return element;
  }

  /** @param {File | {name: string, size: number, open: Function}} file of the disk, or of a ZIP */
  function add(file) {
    const one = { file, element: newRow(file.name) };
    if (file.size > Number(say.limit)) refuse(one, say.tooLarge);
    else if (file.size === 0) refuse(one, say.empty);
    else {
      state(one, say.waiting);
      chosen.push(one);
    }
  }

  function next() {
    const places = paused ? 0 : AT_ONCE;
    while (running < places && waiting.length) {
      running += 1;
      send(waiting.shift()).finally(() => { running -= 1; summary(); next(); });
    }
    summary();
    if (!running && !waiting.length) complete();
  }

  /** All that was chosen has been sent: no image of these series will follow. */
  async function complete() {
    if (!unfinished.size) return;
    const body = new FormData();
    body.append("csrfmiddlewaretoken", form.elements.namedItem("csrfmiddlewaretoken").value);
    body.append("scan", [...unfinished].join(","));
    unfinished = new Set();
    // Where this is lost, the series close by themselves after a while.
    await fetch(say.complete, { method: "POST", body }).catch(() => null);
  }

  /** @returns {Promise<void>} fulfilled when the file has its outcome, whatever it is */
  async function send(one) {
    let data = one.file;
    if (one.file.open) {
      try {
        data = await one.file.open(Number(say.limit));
      } catch (error) {
        tally.left -= 1;
        refuse(one, error instanceof ZipError ? say[`zip${error.code}`] : say.zipbroken);
        return;
      }
    }
    await sent(one, data);
  }

  function sent(one, data) {
    return new Promise((done) => {
      const request = new XMLHttpRequest();
      const body = new FormData();
      for (const [name, value] of one.fields) body.append(name, value);
      body.append("files", data, one.file.name);
      const bar = one.element.querySelector("progress");
      state(one, say.sending);
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
      });
      request.upload.addEventListener("load", () => { bar.removeAttribute("value"); state(one, say.checking); });
      request.addEventListener("load", () => { answered(one, request); done(); });
      for (const name of ["error", "timeout", "abort"]) {
        request.addEventListener(name, () => { lost(one, say.lost); done(); });
      }
      request.open("POST", form.action);
      request.setRequestHeader("Accept", "application/json");
      request.send(body);
    });
  }

  function answered(one, request) {
    const isJson = request.getResponseHeader("Content-Type")?.startsWith("application/json");
    if (!isJson || request.status === 401) {
      lost(one, request.status === 401 || request.status === 403 ? say.ended : say.broke);
      return;
    }
    const answer = JSON.parse(request.responseText);
    if (answer.errors) {
      showErrors(answer.errors);
      lost(one, Object.values(answer.errors).flat().join(" "));
      return;
    }
    tally[answer.outcome] += 1;
    tally.left -= 1;
    one.element.className = `outcome outcome--${answer.outcome}`;
    one.element.innerHTML = answer.html;
    if (answer.arriving) joined(one, answer.arriving);
  }

  /** Thousands of images in a list of thousands of rows help nobody: a series has one row that counts them. */
  function joined(one, scan) {
    unfinished.add(scan);
    const known = series.get(scan);
    if (known) {
      known.count += 1;
      known.element.querySelector(".outcome__name").textContent = say.images.replace("%n%", known.count);
      one.element.remove();
    } else {
      series.set(scan, { element: one.element, count: 1 });
    }
  }

  function refuse(one, sentence) {
    tally.refused += 1;
    one.element.className = "outcome outcome--refused";
    one.element.querySelector("progress").remove();
    one.element.querySelector("[data-refused]").hidden = false;
    state(one, sentence, "outcome__why");
  }

  /** The file did not get through; the button sends it again with what the fields say then. */
  function lost(one, sentence) {
    one.element.className = "outcome outcome--lost";
    state(one, sentence, "outcome__why");
    const bar = one.element.querySelector("progress");
    bar.hidden = true;
    const button = one.element.querySelector("[data-retry]");
    button.hidden = false;
    button.onclick = async () => {
      if (!form.reportValidity()) return;
      // Whoever had to sign in anew has another token since, and the old one is refused.
      await signedInAgain();
      clearErrors();
      button.hidden = true;
      bar.hidden = false;
      bar.value = 0;
      one.element.className = "outcome outcome--sending";
      const fields = new FormData(form);
      fields.delete("files");
      waiting.push({ ...one, fields });
      next();
    };
  }

  function state(one, text, className = "muted") {
    const element = one.element.querySelector(".outcome__state");
    element.textContent = text;
    element.className = `outcome__state small ${className}`;
  }

  function summary() {
    const started = tally.stored + tally.known + tally.refused + tally.left > 0;
    const done = tally.stored + tally.known + tally.kept + tally.refused;
    way.hidden = tally.left === 0;
    way.querySelector("[data-all]").value = done / Math.max(1, done + tally.left);
    line.textContent = started ? say.summary.replace(/%(\w+)%/g, (_, name) => tally[name]) : "";
  }

  function showErrors(errors) {
    for (const [name, sentences] of Object.entries(errors)) {
      const field = form.elements.namedItem(name);
      if (!(field instanceof HTMLElement)) continue;
      field.setAttribute("aria-invalid", "true");
      const place = document.createElement("div");
      place.className = "field__error";
      place.id = `${field.id}_said`;
      place.textContent = sentences.join(" ");
      field.setAttribute("aria-describedby", place.id);
      document.getElementById(place.id)?.remove();
      field.closest(".field").append(place);
      field.focus();
    }
  }

  function clearErrors() {
    for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    for (const place of form.querySelectorAll(".field__error")) place.remove();
  }
}

/** Files that may be images: not what systems put beside them. */
function shown(files) {
  return files.filter(({ name }) => !name.startsWith(".") && name !== "DICOMDIR" && name !== "Thumbs.db");
}

/** All files of what was dropped, those of folders too. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return shown((await Promise.all(entries.map(filesOf))).flat());
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    // A reader gives a hundred at a time.
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) break;
    inside.push(...some);
  }
  const files = [];
  for (const each of inside) files.push(...(await filesOf(each)));
  return files;
}
