// Keyboard shortcuts, which /shortcuts/ lists and switches off. Never in fields, never with a modifier.

const ROWS = "main .comment, main .rows > li";
const isOff = () => localStorage.getItem("shortcuts") === "off";
let before = "", at = 0;

function step(by) {
  const rows = [...document.querySelectorAll(ROWS)];
  const here = rows.indexOf(document.activeElement?.closest(ROWS));
  const next = here < 0 ? rows.find((one) => one.getBoundingClientRect().bottom > 0) : rows[here + by];
  if (!next) return;
  const link = next.querySelector(".title a");
  if (!link) next.tabIndex = -1;
  (link ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

function reply() {
  const link = document.activeElement?.closest(".comment")?.querySelector('a[href*="reply="]');
  if (link) link.click();
  else document.querySelector("form.write textarea")?.focus();
}

function search() {
  const field = [...document.querySelectorAll('input[type="search"]')].find((one) => one.checkVisibility());
  if (field) field.focus();
  else location.assign("/search/");
}

async function list() {
  const answer = await fetch("/shortcuts/").catch(() => null);
  if (!answer?.ok || document.querySelector("dialog[open]")) return;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  const dialog = document.createElement("dialog");
  dialog.append(...found.querySelector("main").children);
  dialog.setAttribute("aria-label", dialog.querySelector("h1").textContent);
  dialog.querySelector("form[method=dialog]").hidden = false;
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  choice(dialog);
  dialog.showModal();
}

// The box that switches shortcuts off.
function choice(within) {
  const box = within.querySelector("#shortcuts");
  if (!box) return;
  box.closest("[hidden]")?.removeAttribute("hidden");
  box.checked = !isOff();
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem("shortcuts");
    else localStorage.setItem("shortcuts", "off");
  });
}

const DO = { j: () => step(1), k: () => step(-1), r: reply, "/": search, "?": list, "g h": () => location.assign("/") };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented || isOff()) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
  const keys = before && event.timeStamp - at < 1500 ? `${before} ${event.key}` : event.key;
  before = event.key === "g" ? "g" : "";
  at = event.timeStamp;
  if (!DO[keys]) return;
  event.preventDefault();
  DO[keys]();
});

choice(document);
