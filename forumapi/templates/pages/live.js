"use strict";
// Follows one conversation of a site, as docs/api/live.md says: subscribe, read, then put in what was pushed meanwhile.
const form = document.getElementById("choose");
const siteField = document.getElementById("site");
const conversationField = document.getElementById("conversation");
const list = document.getElementById("comments");
const log = list.parentElement;
const { scheme, host } = form.dataset;
const here = new URLSearchParams(location.search);

// Grows with each choice; what belongs to an earlier one is dropped.
let turn = 0;
let socket = null;

function say(text) {
  document.getElementById("state").textContent = text;
}

function origin(kind = scheme) {
  return `${kind}://${siteField.value}.${host}`;
}

// Titles and names come HTML-escaped, texts as HTML: both are shown as the text they stand for.
function plain(html) {
  return new DOMParser().parseFromString(html, "text/html").body.textContent.trim();
}

// What guests read may be kept for minutes; what was pushed since would be missing from it.
async function read(address) {
  const answer = await fetch(address, { cache: "no-cache" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.[0] ?? answer.statusText);
  return body.data;
}

// What the address asks for may be beyond the first page of a list; it becomes part of addresses, so its form is checked.
function fill(field, choices, wanted, form) {
  const isListed = choices.some(([value]) => value === wanted);
  const all = !isListed && form.test(wanted ?? "") ? [[wanted, wanted], ...choices] : choices;
  field.replaceChildren(...all.map(([value, text]) => new Option(text, value)));
  if (isListed || all !== choices) field.value = wanted;
}

// ---------------------------------------------------------------- what is said

function remove(id) {
  document.getElementById(`comment-${id}`)?.remove();
}

function show(comment) {
  const known = document.getElementById(`comment-${comment.id}`);
  if (known && Number(known.dataset.revisions) > comment.revisions) return;
  const entry = document.createElement("li");
  entry.id = `comment-${comment.id}`;
  entry.value = comment.id;
  entry.dataset.revisions = comment.revisions;
  const by = document.createElement("p");
  by.className = "quiet";
  const name = document.createElement("strong");
  name.textContent = plain(comment.meta.createdBy.profileName);
  const time = document.createElement("time");
  time.dateTime = comment.meta.created;
  time.textContent = new Date(comment.meta.created).toLocaleString();
  by.append(name, ", ", time);
  const text = document.createElement("p");
  text.textContent = plain(comment.html);
  entry.append(by, text);
  if (known) {
    known.replaceWith(entry);
    return;
  }
  // The newest stands first: it appears where one looks.
  const earlier = [...list.children].find((other) => other.value < comment.id);
  list.insertBefore(entry, earlier ?? null);
}

function take(event) {
  if (event.itemType !== "comment") return;
  if (event.kind === "deleted" || event.kind === "gone") remove(event.itemId);
  else if (event.document) show(event.document);
}

// ---------------------------------------------------------------- the connection

function follow(mine, id, cursor, isReading) {
  const topic = `conversation/${id}`;
  const waiting = [];
  let wait = { min: 500, max: 2000 };
  let last = cursor;
  socket = new WebSocket(`${origin(scheme === "https" ? "wss" : "ws")}/api/v1/live`, "forumapi.live.v1");
  socket.onmessage = async ({ data }) => {
    if (mine !== turn) return;
    const frame = JSON.parse(data);
    // That of "hello" is further on than what was told here.
    if (frame.cursor && frame.type !== "hello") last = frame.cursor;
    if (frame.type === "hello") {
      const message = { type: "subscribe", topics: [topic], documents: true };
      if (cursor) message.cursor = cursor;
      socket.send(JSON.stringify(message));
    } else if (frame.type === "subscribed") {
      if (isReading) await snapshot(mine, id);
      if (mine !== turn) return;
      isReading = false;
      waiting.splice(0).forEach(take);
      say("Connected: what is written now appears below.");
    } else if (frame.type === "event") {
      if (isReading) waiting.push(frame);
      else take(frame);
    } else if (frame.type === "gap" || frame.type === "resync") {
      await snapshot(mine, id);
    } else if (frame.type === "unsubscribed") {
      say("This conversation can't be read any more.");
    } else if (frame.type === "error") {
      say(`Refused: ${frame.text}`);
    } else if (frame.type === "bye") {
      wait = frame.retryAfterMs;
    }
  };
  socket.onclose = () => {
    if (mine !== turn) return;
    if (!wait) {
      say("The connection was ended.");
      return;
    }
    say("The connection was cut; connecting again…");
    const delay = wait.min + Math.random() * (wait.max - wait.min);
    setTimeout(() => mine === turn && follow(mine, id, isReading ? "" : last, isReading), delay);
  };
}

async function snapshot(mine, id) {
  const address = `${origin()}/api/v1/conversations/${id}`;
  let { comments } = await read(`${address}?limit=25`);
  if (comments.maxOffset > 0) {
    ({ comments } = await read(`${address}?limit=25&offset=${comments.maxOffset}`));
  }
  if (mine !== turn) return;
  log.ariaBusy = "true";
  const stays = new Set(comments.items.map((comment) => `comment-${comment.id}`));
  [...list.children].forEach((entry) => stays.has(entry.id) || entry.remove());
  comments.items.forEach(show);
  log.ariaBusy = "false";
}

// ---------------------------------------------------------------- choosing

function choose() {
  turn += 1;
  socket?.close();
  list.replaceChildren();
  const id = conversationField.value;
  const curl = document.getElementById("curl");
  if (!id) {
    curl.textContent = "";
    say("There is no conversation here that everybody may read.");
    return;
  }
  const api = `${origin()}/api/v1`;
  curl.textContent = `curl -sS -o /dev/null ${api}/comments \\
  -H "Authorization: Bearer $(curl -sS '${api}/auth?disableBoiler=1' \\
      -d method=development -d email=member@${siteField.value}.test | tr -d '"')" \\
  -d itemType=conversation -d itemId=${id} -d "markdown=Hello, it is $(date +%T)"`;
  history.replaceState(null, "", `?site=${siteField.value}&conversation=${id}`);
  say("Connecting…");
  follow(turn, id, "", true);
}

async function choices() {
  turn += 1;
  socket?.close();
  const { conversations } = await read(`${origin()}/api/v1/conversations?limit=50`);
  const found = conversations.items.map((entry) => [String(entry.id), plain(entry.title)]);
  fill(conversationField, found, here.get("conversation"), /^[0-9]{1,18}$/);
  choose();
}

async function begin() {
  const { sites } = await read("/api/v1/sites?limit=50");
  const found = sites.items.map((one) => [one.subdomainKey, plain(one.title)]);
  fill(siteField, found, here.get("site"), /^[0-9a-z]{1,50}$/);
  if (siteField.value) await choices();
  else say("There is no site yet.");
}

const failed = (error) => say(`That did not work: ${error.message}`);
siteField.addEventListener("change", () => choices().catch(failed));
conversationField.addEventListener("change", choose);
form.addEventListener("submit", (event) => event.preventDefault());
begin().catch(failed);
