// Adds this browser to the devices that are told of updates. The service worker shows what comes, in the words of the page.
const place = document.getElementById("push"), add = document.getElementById("push-add");
const state = document.getElementById("push-state");

// What the service worker needs to know: whose messages it shows, and how.
export async function remember() {
  const words = {};
  for (const one of document.querySelectorAll("#push-words [data-type]"))
    words[one.dataset.type] = { loud: one.textContent, quiet: one.dataset.quiet };
  const known = { person: Number(document.body.dataset.me), icon: document.querySelector("link[rel=icon]").href, words };
  const kept = await caches.open("push");
  await kept.put("/push", new Response(JSON.stringify(known)));
}

function bytes(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
}

async function subscribe(form) {
  if (await Notification.requestPermission() !== "granted") return place.dataset.denied;
  const { pushManager } = await navigator.serviceWorker.ready;
  // One that is left over may be of another person, or of another key.
  await (await pushManager.getSubscription())?.unsubscribe();
  const made = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(place.dataset.key) });
  const { endpoint, keys } = made.toJSON();
  form.elements.endpoint.value = endpoint;
  form.elements.p256dh.value = keys.p256dh;
  form.elements.auth.value = keys.auth;
  await remember();
  form.submit();
  return "";
}

if (add && navigator.serviceWorker && window.PushManager && window.Notification) {
  state.textContent = "";
  add.hidden = false;
  add.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    add.disabled = true;
    state.textContent = await subscribe(add.form).catch(() => place.dataset.failed);
    add.disabled = false;
  });
} else if (!add && window.caches) await remember();

document.querySelector("form[data-here]")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target, submitter } = event;
  target.append(Object.assign(document.createElement("input"), { type: "hidden", name: submitter.name, value: submitter.value }));
  const found = await (await navigator.serviceWorker?.getRegistration())?.pushManager?.getSubscription();
  await found?.unsubscribe().catch(() => { /* The server forgets it anyway. */ });
  await caches.delete("push");
  target.submit();
});
