// Keeps pages that were read: public ones, and those of the person who is signed in, of one person at a time. The network
// comes first. Nothing of signing in, of administration, of accounts and forms is kept. The website puts VERSION before
// this text, which is another one once the files or the look of the site are.
/* global VERSION */

const FILES = `files-${VERSION}`, PAGES = "pages-", OFFLINE = "/offline/";
const MOST_PAGES = 100;
const KEPT = /^\/(?:(?:(?:microcosms|conversations|events|polls|huddles|profiles)\/(?:\d+\/)?|(?:updates|trending)\/|legal\/(?:[a-z]+\/)?)(?:\?offset=\d+)?)?$/;
const FILE = /^\/(?:static\/|theme\.\w+\.css$)/;
// Whose page an answer of the website is: the id of their profile, 0 for a guest.
const PERSON = "Forumapi-Profile";

// Counts what was dropped: a page that was asked for before is not kept afterwards.
let dropped = 0;

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));

async function install() {
  const files = await caches.open(FILES);
  const answer = await fetch(OFFLINE, { cache: "reload" });
  if (!answer.ok) throw new Error(`${OFFLINE} answers ${answer.status}`);
  await files.put(OFFLINE, answer.clone());
  const named = (await answer.text()).matchAll(/(?:href|src)="(\/(?:static\/|theme\.)[^"]+)"/g);
  await files.addAll(new Set([...named].map((one) => one[1])));
  await skipWaiting();
}

async function activate() {
  const old = (await caches.keys()).filter((one) => one.startsWith("files-") && one !== FILES);
  await Promise.all(old.map((one) => caches.delete(one)));
  await clients.claim();
}

addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname, search } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.method !== "GET") {
    // Somebody goes, or another comes.
    if (/^\/(?:login|logout)\//.test(pathname)) event.waitUntil(Promise.all([drop(), unsettle(pathname.startsWith("/logout/"))]));
  } else if (FILE.test(pathname)) event.respondWith(file(event));
  else if (request.mode === "navigate") event.respondWith(page(event, origin + pathname + search));
});

addEventListener("message", (event) => event.data === "drop" && event.waitUntil(drop()));

async function file(event) {
  const { request } = event;
  const files = await caches.open(FILES);
  const found = await files.match(request, { ignoreVary: true });
  if (found) return found;
  const answer = await fetch(request);
  // A full storage takes no more.
  if (answer.ok) event.waitUntil(files.put(request, answer.clone()).catch(() => {}));
  return answer;
}

async function page(event, address) {
  const began = dropped;
  let answer;
  try {
    answer = await fetch(event.request);
  } catch {
    return (await copy(address)) ?? (await caches.match(OFFLINE, { ignoreVary: true })) ?? Response.error();
  }
  if (answer.status >= 502 && answer.status <= 504) return (await copy(address)) ?? answer;
  if (answer.headers.has(PERSON))
    event.waitUntil(Promise.all([keep(address, answer.clone(), began), settle(Number(answer.headers.get(PERSON)))]));
  return answer;
}

async function keep(address, answer, began) {
  const name = PAGES + answer.headers.get(PERSON);
  if (began !== dropped) return;
  if ((await caches.keys()).some((one) => one.startsWith(PAGES) && one !== name)) await drop(name);
  const { pathname, search } = new URL(address);
  if (!answer.ok || !KEPT.test(pathname + search)) return;
  const now = dropped;
  const pages = await caches.open(name);
  await pages.put(address, answer);
  const addresses = await pages.keys();
  // The first that were put in are the first to go.
  await Promise.all(addresses.slice(0, -MOST_PAGES).map((one) => pages.delete(one)));
  // It was dropped meanwhile.
  if (now !== dropped) await caches.delete(name);
}

async function copy(address) {
  for (const name of await caches.keys()) {
    if (!name.startsWith(PAGES)) continue;
    const found = await (await caches.open(name)).match(address, { ignoreVary: true });
    if (!found) continue;
    const headers = new Headers(found.headers);
    for (const one of ["Content-Length", "Content-Encoding", PERSON]) headers.delete(one);
    // The page says that it is a copy.
    return new Response((await found.text()).replace('id="copy" hidden', 'id="copy"'), { headers });
  }
  return null;
}

async function drop(except = "") {
  dropped++;
  const names = (await caches.keys()).filter((one) => one.startsWith(PAGES) && one !== except);
  await Promise.all(names.map((one) => caches.delete(one)));
}

// Notifications. The cache "push" has whose they are, with the words for them; it is of one person at a time.
const PUSH = "push", KNOWN = "/push", AGAIN = "/push/again", DEVICES = "/updates/settings/devices/";

async function known() {
  const found = await caches.match(KNOWN, { cacheName: PUSH });
  return found ? found.json() : null;
}

async function forget() {
  await caches.delete(PUSH);
  await (await registration.pushManager?.getSubscription())?.unsubscribe();
}

// The session that the subscription belongs to ends: by leaving for good, by a new sign-in until its person is seen again.
async function unsettle(leaves) {
  if (leaves) await forget();
  else if (await known()) await (await caches.open(PUSH)).put(AGAIN, new Response(""));
}

// Somebody has a page: the person whose notifications these are, another one, or a guest (0).
async function settle(person) {
  if (!person) return;
  const here = await known();
  if (!here) return;
  if (here.person !== person) return forget();
  const kept = await caches.open(PUSH);
  if (await kept.delete(AGAIN)) await subscribe(await registration.pushManager?.getSubscription());
}

async function subscribe(subscription) {
  if (!subscription) return;
  const { endpoint, keys } = subscription.toJSON();
  await fetch(DEVICES, { method: "POST", body: new URLSearchParams({ endpoint, ...keys }), redirect: "manual" });
}

addEventListener("push", (event) => event.waitUntil(show(event.data?.json() ?? {})));

async function show(message) {
  const { person, words, icon } = await known() ?? { words: {} };
  const isTheirs = person !== undefined && person === message.profileId;
  const { loud, quiet } = words[isTheirs ? message.updateType : ""] ?? words[""] ?? { quiet: message.siteTitle ?? "" };
  const filled = isTheirs && loud && message.title !== undefined
    ? loud.replace("{by}", () => message.by).replace("{title}", () => message.title) : quiet;
  await registration.showNotification(filled, {
    body: (isTheirs && message.text) || message.siteTitle || "",
    icon,
    // A later one about the same thing takes the place of this one.
    tag: isTheirs ? `${message.itemType} ${message.itemId}` : "new",
    data: isTheirs ? message.url : "/updates/",
  });
}

addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { pathname, search, hash } = new URL(event.notification.data ?? "/", location.href);
  event.waitUntil(visit(location.origin + pathname + search + hash));
});

async function visit(address) {
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const there = pages.find((one) => one.url === address);
  await (there ? there.focus() : clients.openWindow(address));
}

addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

async function renew({ newSubscription, oldSubscription }) {
  if (!await known()) return;
  await subscribe(newSubscription ?? (oldSubscription && await registration.pushManager.subscribe(oldSubscription.options)));
}
