// Search over the reference while one types, by the rules of apidocs/reference/search_index.py, and the way from an
// anchor of the former single page to where its subject is now. Without this script the form asks the server.
"use strict";
{
  const HOME = "/api/v1/docs", MOST = 40, PART = /[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])/g;
  const form = document.querySelector("form[role=search]"), input = form.elements.q;
  const list = document.getElementById("hits"), told = document.getElementById("told");
  let loading;

  const entry = (kind, name, text, title, note, address) => ({
    kind, name: name.toLowerCase(), text: text.toLowerCase(), title, note, address,
    parts: (name.match(PART) || []).map(part => part.toLowerCase()),
  });

  function entries({operations, errors, objects}) {
    const made = [];
    for (const [id, place, summary, page, parameters] of operations)
      made.push(entry(0, `${id} ${place}`, `${summary} ${parameters}`, place, summary, `${HOME}/${page}#${id}`));
    for (const [name, number, status, meaning] of errors)
      made.push(entry(0, `${name} ${number || ""} ${status}`, meaning, name, `${status}: ${meaning}`, `${HOME}/errors#error-${name}`));
    for (const [name, page, fields] of objects) {
      const address = `${HOME}/${page}#object-${name}`;
      made.push(entry(1, name, "", name, "object", address));
      for (const field of fields.split(" "))
        if (field) made.push(entry(2, field, name, field, `field of ${name}`, address));
    }
    return made;
  }

  const index = () => loading ??= fetch(`${HOME}/search.json`)
    .then(answer => answer.ok ? answer.json() : Promise.reject(answer.status))
    .then(entries)
    .catch(fault => { loading = undefined; throw fault; });

  function score({name, parts, text}, word) {
    if (parts.includes(word) || word === name) return 0;
    if (parts.some(part => part.startsWith(word))) return 1;
    if (name.includes(word)) return 2;
    return text.includes(word) ? 3 : NaN;
  }

  function find(all, query) {
    const words = query.slice(0, 100).toLowerCase().split(/\s+/).filter(Boolean).slice(0, 8);
    if (!words.length) return [];
    return all
      .map((one, place) => [4 * words.reduce((sum, word) => sum + score(one, word), 0) + one.kind, one.name.length, place])
      .filter(([total]) => total === total)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2])
      .slice(0, MOST)
      .map(([, , place]) => all[place]);
  }

  function show(found, query) {
    list.replaceChildren(...found.map(({title, note, address}) => {
      const row = document.createElement("li"), link = document.createElement("a"), code = document.createElement("code");
      link.href = address;
      code.textContent = title;
      link.append(code);
      row.append(link, ` ${note}`);
      return row;
    }));
    told.textContent = query.trim() ? found.length ? `${found.length === MOST ? "The best " : ""}${found.length} found` : "Nothing found" : "";
  }

  const search = () => index().then(all => show(find(all, input.value), input.value)).catch(() => {});
  input.addEventListener("focus", () => { index().catch(() => {}); });
  input.addEventListener("input", search);
  // Enter shows what is there already; without the index the server answers.
  form.addEventListener("submit", event => {
    const first = list.querySelector("a");
    if (loading && first) { event.preventDefault(); first.focus(); }
  });
  document.addEventListener("keydown", event => {
    if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable]")) { event.preventDefault(); input.focus(); }
  });

  // Anchors of the former single page: operations and subjects are marked here, other things are looked up.
  const old = location.pathname === HOME ? location.hash.slice(1) : "";
  const lead = address => location.replace(address);
  const marked = old && document.getElementById(old)?.querySelector("a[data-moved]");
  if (marked) lead(marked.href);
  else if (old.startsWith("error-")) lead(`${HOME}/errors#${old}`);
  else if (old.startsWith("object-"))
    index().then(all => {
      const there = all.find(one => one.kind === 1 && `object-${one.title}` === old);
      if (there) lead(there.address);
    }).catch(() => {});
}
