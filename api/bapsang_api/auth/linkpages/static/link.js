/* The script of the pages that one-time links in letters lead to. The token comes in the fragment, which browsers send to
   nobody; it is used only after a click: programs that look through mail open links, but press no buttons. */
"use strict";

const TOKEN = "#token=";
const PATIENCE_MS = 30_000;
const at = (id) => document.getElementById(id);
const form = at("link"), problem = at("problem"), result = at("result");
const password = at("password"), again = at("again"), show = at("show"); // of the page that sets a password
let token = "", busy = false;

/* Take the token out of the address, where it would stay in the history, and offer what it is for. */
function begin() {
  token = location.hash.slice(TOKEN.length);
  history.replaceState(null, "", location.pathname);
  result.replaceChildren();
  problem.replaceChildren();
  form.hidden = false;
}

/* Put the text `name` of the page into a live region; `wait` is how long to wait, where the text says so. */
function say(region, name, wait) {
  const text = at(name).content.cloneNode(true);
  const place = text.querySelector("[data-wait]");
  if (place && wait) place.textContent = wait;
  region.replaceChildren(text);
}

/* What is over for good replaces the form, and gets the focus that the form had. */
function end(region, name) {
  form.reset();
  reveal();
  form.hidden = true;
  token = "";
  say(region, name);
  region.focus();
}

function complain(field, text) {
  at(`${field.id}-problem`).textContent = text;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

function reveal() {
  for (const field of [password, again]) if (field) field.type = show.checked ? "text" : "password";
}

function time(seconds) {
  if (!(seconds > 0)) return "";
  return seconds < 60 ? `${seconds}초` : `${Math.ceil(seconds / 60)}분`;
}

async function send() {
  const answer = await fetch(form.dataset.endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(password ? { token, password: password.value } : { token }),
    credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.ok) return end(result, "done");
  const wrong = answer.status === 400 ? (await answer.json()).errors : [];
  const about = (name) => wrong.find((one) => one.field === name);
  if (about("token")) return end(problem, "over");
  if (password && about("password")) return complain(password, about("password").message);
  if (answer.status === 409 && at("taken")) return end(problem, "taken");
  if (answer.status === 429) return say(problem, "many", time(Number(answer.headers.get("Retry-After"))));
  say(problem, "unavailable");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (busy) return;
  problem.replaceChildren();
  for (const field of [password, again]) {
    if (!field) continue;
    at(`${field.id}-problem`).textContent = "";
    field.removeAttribute("aria-invalid");
  }
  if (again && again.value !== password.value) return complain(again, at("different").content.textContent);
  busy = true;
  form.setAttribute("aria-busy", "true");
  try {
    await send();
  } catch {
    say(problem, "unavailable");
  } finally {
    busy = false;
    form.removeAttribute("aria-busy");
  }
});
if (show) show.addEventListener("change", reveal);
/* Another link opened in the same tab changes nothing but the fragment. */
addEventListener("hashchange", () => location.hash.startsWith(TOKEN) && begin());
if (location.hash.startsWith(TOKEN)) begin();
else say(problem, "missing");
