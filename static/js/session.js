/**
 * What a page sends by itself, and what becomes of it when the session has ended meanwhile or the server cannot be
 * reached: the page says so (`[data-signed-out]`, `[data-cut-off]`), keeps what was entered, and goes on by itself once
 * its person has signed in again in another tab, or the network is back.
 *
 * Event on the document: `overread:again` when the way is free again; what could not be saved is tried anew.
 */

const find = (name) => document.querySelector(`[data-${name}]`);
const tokens = () => document.querySelectorAll("input[name=csrfmiddlewaretoken]");
const token = () => tokens()[0]?.value ?? "";
let cutOff = false;

const isSignedOut = () => find("signed-out")?.hidden === false;
const isHeldUp = () => isSignedOut() || cutOff || !navigator.onLine;

function show(name, shown) {
  const banner = find(name);
  if (banner) banner.hidden = !shown;
}

/** `fetch` that remembers whether the server could be reached. */
async function reach(address, options) {
  try {
    const response = await fetch(address, options);
    cutOff = false;
    show("cut-off", false);
    return response;
  } catch (error) {
    cutOff = true;
    throw error;
  }
}

/**
 * POST and answer the response, whatever it says; rejects where the network does. `body` is FormData or text.
 * @param {{leaving?: boolean, type?: string}} how `leaving`: the page may be gone before the answer comes
 */
export async function post(address, body, { leaving = false, type = "" } = {}) {
  const send = () => {
    if (body instanceof FormData) body.set("csrfmiddlewaretoken", token());
    const headers = { Accept: "application/json", "X-CSRFToken": token() };
    if (type) headers["Content-Type"] = type;
    return reach(address, { method: "POST", headers, body, keepalive: leaving });
  };
  const response = await send();
  if (response.status === 401) show("signed-out", true);
  // Whoever signed in anew elsewhere has another token since.
  if (response.status === 403 && !leaving && (await signedInAgain())) return send();
  return response;
}

/** Whether the server answers and the session is there (again); the page's tokens are then those of it. */
export async function signedInAgain() {
  const { session, person: own } = document.body.dataset;
  const response = await reach(session, { headers: { Accept: "application/json" } }).catch(() => null);
  if (response?.status === 401) show("signed-out", true);
  if (!response?.ok) return false;
  const { person, csrf } = await response.json();
  // What stands on the page is its reader's: nothing of it goes out under another name.
  if (String(person) !== own) {
    show("signed-out", true);
    return false;
  }
  for (const input of tokens()) input.value = csrf;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": csrf }));
  show("signed-out", false);
  return true;
}

/** Look whether the way is free, and have done what waits for it. */
async function goOn() {
  if (await signedInAgain()) document.dispatchEvent(new Event("overread:again"));
}

/** Hold a form back that would lead to the door or into the void, with all that stands in it. */
async function holdBack(event) {
  if (!isHeldUp()) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const { target: form, submitter } = event;
  if (await signedInAgain()) return form.requestSubmit(submitter);
  show("cut-off", !isSignedOut());
  (isSignedOut() ? find("signed-out") : find("cut-off")).scrollIntoView({ block: "nearest" });
}

/** Watch over session and network on a page where something is entered. */
export function bindSession() {
  const lookAgain = () => !document.hidden && isHeldUp() && goOn();
  window.addEventListener("focus", lookAgain);
  window.addEventListener("online", goOn);
  document.addEventListener("visibilitychange", lookAgain);
  document.addEventListener("submit", holdBack, true);
  // What asks for news by itself is told to load the page anew when the session has ended; here that would lose entries.
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Refresh") !== "true") return;
    event.preventDefault();
    show("signed-out", true);
  });
}
