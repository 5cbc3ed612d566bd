// Follows what happens on the site while a page is open: comments that come, who writes and reads, what is unread.
// The stream is the API's (docs/api/live.md); a member's ticket for it comes from the website.

const place = document.getElementById("live");
const { me = "" } = document.body.dataset;
const topic = place?.dataset.topic;
const topics = [...(topic ? [topic] : []), ...(me ? ["updates", "huddles"] : [])];
const numbers = new Intl.NumberFormat(document.documentElement.lang);
const FIRST_MS = 1500, HIDDEN_MS = 60_000, MOST_MS = 60_000, COUNTS_MS = 60_000, TYPING_MS = 3200, SHOWN_MS = 6000;

// ---------------------------------------------------------------- the stream

let link = null;            // WebSocket or EventSource
// Where the page begins, or the last that came since.
let cursor = document.querySelector("[data-cursor]")?.dataset.cursor ?? "";
let failures = 0, opening = false, stopped = !topics.length;
let retry = 0, dead = 0, sleep = 0;

async function open() {
  clearTimeout(retry);
  if (link || opening || stopped || document.hidden) return;
  opening = true;
  try {
    let ticket = "";
    if (me) {
      const answer = await fetch("/live-ticket/", { method: "POST" });
      // Signed out, or banned: nothing more comes here.
      if (answer.status === 401 || answer.status === 403) over();
      if (!answer.ok) throw new Error(answer.status);
      ({ ticket } = await answer.json());
    }
    // Networks that break WebSockets leave the other stream, which knows nothing of presence.
    (failures % 4 > 1 ? events : socket)(ticket);
  } catch {
    later();
  } finally {
    opening = false;
  }
}

// The session has ended, here or elsewhere: what is kept of it goes.
function over() {
  stopped = true;
  if (me) navigator.serviceWorker?.controller?.postMessage("drop");
}

function socket(ticket) {
  const made = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/live${ticket && `?ticket=${ticket}`}`, "forumapi.live.v1");
  link = made;
  made.onopen = () => made.send(JSON.stringify({ type: "subscribe", topics, cursor, presence: true }));
  made.onmessage = ({ data }) => link === made && receive(JSON.parse(data));
  made.onclose = () => { if (link === made) { link = null; later(); } };
}

function events(ticket) {
  const asked = new URLSearchParams([...topics.map((one) => ["topic", one]), ["cursor", cursor], ["ticket", ticket]].filter((one) => one[1]));
  const made = link = new EventSource(`/api/v1/live/events?${asked}`);
  for (const name of ["hello", "subscribed", "event", "gap", "resync", "heartbeat", "unsubscribed", "bye"]) {
    made.addEventListener(name, ({ data }) => link === made && receive(JSON.parse(data)));
  }
  made.onerror = () => { if (link === made && made.readyState === EventSource.CLOSED) { link = null; later(); } };
}

function close() {
  clearTimeout(dead);
  const old = link;
  link = null;
  people = 0;
  old?.close();
  say();
}

// Come back after a while that doubles, each browser at its own moment.
function later(ms = Math.min(MOST_MS, 1000 * 2 ** failures++) * (0.5 + Math.random())) {
  clearTimeout(dead);
  clearTimeout(retry);
  people = 0;
  say();
  if (!stopped) retry = setTimeout(open, ms);
}

let beat = 30;
function receive(frame) {
  clearTimeout(dead);
  dead = setTimeout(() => { close(); later(); }, beat * 2000);
  if (frame.cursor && frame.type !== "hello") cursor = frame.cursor;
  switch (frame.type) {
    case "hello": beat = frame.heartbeatSeconds; break;
    case "subscribed": failures = 0; break;
    case "event": happened(frame); break;
    case "gap": if (frame.topic === topic) missed(); else recount(); break;
    case "resync": missed(); recount(); break;
    case "presence": people = frame.people; say(); break;
    case "typing": writes(frame.profileIds); break;
    case "unsubscribed":
    case "error": stopped = frame.type === "error" || frame.topics.includes(topic); if (stopped) close(); break;
    case "bye": {
      close();
      const wait = frame.retryAfterMs;
      if (!wait) over();
      else later(wait.min + Math.random() * (wait.max - wait.min));
    }
  }
}

addEventListener("visibilitychange", () => {
  clearTimeout(sleep);
  if (document.hidden) sleep = setTimeout(close, HIDDEN_MS);
  else { open(); recount(); }
});
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());
addEventListener("online", open);
// Whoever only passes through needs no stream.
retry = setTimeout(open, FIRST_MS);

// ---------------------------------------------------------------- comments

const come = new Set();
const news = place?.querySelector(".news");
let some = false;

function happened({ kind, itemType, itemId, parentType, parentId }) {
  if (itemType === "comment" && `${parentType}/${parentId}` === topic) {
    const isNew = itemId > place.dataset.last && !document.getElementById(`comment${itemId}`);
    if (kind === "created" && isNew) come.add(itemId);
    if (kind === "deleted" || kind === "gone") come.delete(itemId);
    announce();
  }
  if (itemType === "update" || itemType === "huddle" || parentType === "huddle") recount();
}

function missed() {
  some = Boolean(place);
  announce();
}

function announce() {
  if (!come.size && !some) return news?.replaceChildren();
  const { path, new: forms, some: unknown } = place.dataset;
  const made = news.querySelector("a") ?? Object.assign(document.createElement("a"), { onclick: show, href: `${path}newest/` });
  made.textContent = some && !come.size ? unknown : counted(forms, come.size);
  if (!made.parentNode) news.append(made);
}

function counted(forms, number) {
  const [one, many = one] = forms.split("|");
  return number === 1 && many !== one ? one : many.replace("2", numbers.format(number));
}

// Fetch what has come and put it under the last comment. From a page that is not the last the link leads on by itself.
async function show(event) {
  if (!("end" in place.dataset) || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { path, last, offset } = place.dataset;
  const address = event.currentTarget.href;
  const answer = await fetch(`${path}after/${last}/?offset=${offset}`).catch(() => null);
  if (!answer?.ok) return location.assign(address);
  const box = document.createElement("template");
  box.innerHTML = await answer.text();
  for (const one of box.content.querySelectorAll(".comment")) if (document.getElementById(one.id)) one.remove();
  const fresh = [...box.content.querySelectorAll(".comment")];
  document.querySelector("#nothing")?.remove();
  place.before(box.content);
  come.clear();
  some = false;
  announce();
  place.dataset.last = Math.max(last, ...fresh.map((one) => one.id.slice(7)));
  fresh[0]?.setAttribute("tabindex", "-1");
  fresh[0]?.focus();
  document.dispatchEvent(new Event("comments"));
  recount();
}

// ---------------------------------------------------------------- who reads, who writes

const names = new Map();
let people = 0, writing = [], writingUntil = 0;

async function writes(ids) {
  writing = await Promise.all(ids.slice(0, 3).map(named));
  clearTimeout(writingUntil);
  writingUntil = setTimeout(() => { writing = []; say(); }, SHOWN_MS);
  say();
}

async function named(id) {
  if (!names.has(id)) {
    const shown = document.querySelector(`.comment header a[href="/profiles/${id}/"]`)?.textContent;
    const asked = shown ? null : await fetch(`/profiles/${id}/name/`).catch(() => null);
    names.set(id, shown || (asked?.ok ? (await asked.json()).name : place.dataset.somebody));
  }
  return names.get(id);
}

function say() {
  if (!place) return;
  const { typing, reading } = place.dataset;
  const [one, many] = typing.split("|");
  place.querySelector(".typing").textContent = writing.length
    ? (writing.length > 1 ? many : one).replace("{name}", writing.join(", "))
    : people > 1 ? reading.replace("2", numbers.format(people)) : "";
}

const field = document.querySelector("form.write textarea");
let said = 0;
if (me && topic) field?.addEventListener("input", () => {
  if (link?.readyState !== 1 || !link.send || Date.now() - said < TYPING_MS) return;
  said = Date.now();
  link.send(JSON.stringify({ type: "typing", topic }));
});

// ---------------------------------------------------------------- numbers in the bar

let counting = 0, known = {};
const store = `counts ${me}`;

function recount() {
  if (!me || counting) return;
  counting = setTimeout(count, 1000);
}

async function count() {
  counting = 0;
  if (document.hidden) return;
  const answer = await fetch("/counts/").catch(() => null);
  if (!answer?.ok) return;
  known = { ...await answer.json(), at: Date.now() };
  bar();
  sessionStorage.setItem(store, JSON.stringify(known));
}

function bar() {
  for (const entry of document.querySelectorAll("[data-count]")) {
    const number = known[entry.dataset.count];
    if (number === undefined) continue;
    let shown = entry.querySelector(".count");
    if (!number) { shown?.remove(); continue; }
    if (!shown) {
      shown = Object.assign(document.createElement("span"), { className: "count" });
      entry.append(" ", shown);
    }
    const unread = Object.assign(document.createElement("span"), { className: "hidden", textContent: ` ${entry.parentNode.dataset.unread}` });
    shown.replaceChildren(numbers.format(number), unread);
  }
}

if (me) {
  try { known = JSON.parse(sessionStorage.getItem(store)) || {}; } catch { /* Another shape: counted anew. */ }
  // Huddles were counted when the page was made.
  delete known.huddles;
  bar();
  if (!(Date.now() - known.at < COUNTS_MS)) recount();
  setInterval(() => { if (!document.hidden && !(Date.now() - known.at < COUNTS_MS)) recount(); }, COUNTS_MS / 4);
}
