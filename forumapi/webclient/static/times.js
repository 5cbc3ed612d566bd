// Keeps times true while a page stays open: "4 minutes ago" goes on, and the full time in the reader's own zone is the title.

const language = document.documentElement.lang;
const full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" });
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

function update() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const then = new Date(time.dateTime);
    if (!time.title) time.title = full.format(then);
    const text = said(then);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

update();
setInterval(() => document.hidden || update(), 30_000);
for (const name of ["comments", "visibilitychange"]) document.addEventListener(name, update);
