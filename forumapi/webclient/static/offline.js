// Lists the pages that were kept, on the page that stands in for one that was not.
const list = document.getElementById("kept");

for (const name of await caches.keys()) {
  if (!name.startsWith("pages-")) continue;
  const cache = await caches.open(name);
  for (const request of (await cache.keys()).reverse()) {
    const page = new DOMParser().parseFromString(await (await cache.match(request, { ignoreVary: true })).text(), "text/html");
    const link = Object.assign(document.createElement("a"), { href: request.url, textContent: page.title });
    const title = Object.assign(document.createElement("div"), { className: "title" });
    const row = document.createElement("li");
    title.append(link);
    row.append(title);
    list.append(row);
  }
}
if (list.childElementCount) document.getElementById("none").remove();
