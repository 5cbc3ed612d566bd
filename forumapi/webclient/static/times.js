// Keeps times true while a page stays open: "4 minutes ago" goes on, and the full time in the reader's own zone is the
// title. Times that the server wrote in UTC are written in that zone, which they name.

const language = document.documentElement.lang;
const minute = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
const full = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", year: "numeric", ...minute });
const clock = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { day: "numeric", month: "short", year: "numeric", ...minute });
const day = new Intl.DateTimeFormat(language === "en" ? "en-US" : language, { day: "numeric", month: "short", year: "numeric" });
const ago = new Intl.RelativeTimeFormat(language, { numeric: "always" });

function said(then) {
  const seconds = Math.floor((Date.now() - then) / 1000);
  // The server's words stand.
  if (seconds < 60) return null;
  if (seconds < 3600) return ago.format(-Math.floor(seconds / 60), "minute");
  if (seconds < 86_400) return ago.format(-Math.floor(seconds / 3600), "hour");
  if (seconds < 7 * 86_400) return ago.format(-Math.floor(seconds / 86_400), "day");
  const parts = Object.fromEntries(day.formatToParts(then).map(({ type, value }) => [type, value]));
  return `${parts.day} ${parts.month} ${parts.year}`;
}

// What a clock of the reader shows, as "2047-06-13T09:30".
function local(then) {
  return new Date(then - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function update() {
  for (const time of document.querySelectorAll("time")) {
    const then = new Date(time.dateTime);
    if (!time.title) time.title = full.format(then);
    const { ago, clock: there } = time.dataset;
    if (there) time.hidden = local(then) === there;
    const text = there !== undefined ? clock.format(then) : ago !== undefined && said(then);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

update();
// A new event is where its author is, until they say another zone; a time in UTC beside the zone moves with it.
const zone = document.querySelector("[data-zone]");
if (zone && zone.value === zone.defaultValue) {
  zone.value = full.resolvedOptions().timeZone;
  const utc = document.querySelector("[data-utc]");
  if (utc?.value && utc.value === utc.defaultValue) utc.value = local(new Date(`${utc.value}Z`));
}
setInterval(() => document.hidden || update(), 30_000);
for (const name of ["comments", "visibilitychange"]) document.addEventListener(name, update);
