// Forms in which people write: drafts saved while typing, previews, files by button, paste and drag, replies and quotes
// without loading the page. Everything here works without script too.

const form = document.querySelector('form.write[enctype]');
const text = form?.querySelector('textarea');
const JSON_ONLY = { Accept: 'application/json' };

function send(address, data) {
  return fetch(address, { method: 'POST', body: data, headers: JSON_ONLY });
}

// Fields of the form, without files: these are sent on their own.
function fields(more = {}) {
  const data = new FormData(form);
  data.delete('files');
  for (const [name, value] of Object.entries(more)) data.set(name, value);
  return data;
}

// ---------------------------------------------------------------- drafts

function drafts() {
  const status = form.querySelector('[data-saved]');
  const version = form.elements.draft;
  if (!form.dataset.draft || !status) return;
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: 'auto' });
  let at = status.dataset.at ? new Date(status.dataset.at) : null;
  let waiting = 0, busy = false, dirty = false, stopped = false;

  function tell() {
    if (!at || dirty && stopped) return;
    const seconds = Math.max(0, Math.round((Date.now() - at) / 1000));
    const [value, unit] = seconds < 60 ? [0, 'second'] : seconds < 3600 ? [Math.floor(seconds / 60), 'minute']
      : seconds < 86400 ? [Math.floor(seconds / 3600), 'hour'] : [Math.floor(seconds / 86400), 'day'];
    const said = status.dataset.saved.replace('{when}', relative.format(-value, unit));
    if (status.textContent !== said) status.textContent = said;
  }

  async function save() {
    if (busy || stopped) return;
    busy = true;
    dirty = false;
    try {
      const answer = await send(form.dataset.draft, fields());
      const found = answer.status === 401 ? { problem: status.dataset.signedOut } : await answer.json();
      if (answer.ok) {
        version.value = found.version;
        at = found.version ? new Date() : null;
        if (at) tell(); else status.textContent = '';
      } else {
        // Another version stands: whoever saves by the button sees both.
        stopped = answer.status === 409 || answer.status === 401;
        status.textContent = found.problem || status.dataset.failed;
      }
    } catch {
      status.textContent = status.dataset.failed;
    }
    busy = false;
    if (dirty) later();
  }

  function later() {
    dirty = true;
    clearTimeout(waiting);
    waiting = setTimeout(save, 1500);
  }

  form.addEventListener('input', (event) => { if (event.target.type !== 'file') later(); });
  form.addEventListener('attached', later);
  form.addEventListener('submit', (event) => { if (!event.defaultPrevented) { clearTimeout(waiting); stopped = true; } });
  // Back to a page that the browser kept: it may save again.
  addEventListener('pageshow', (event) => { if (event.persisted) stopped = false; });
  addEventListener('visibilitychange', () => { if (document.hidden && dirty) { clearTimeout(waiting); save(); } });
  setInterval(tell, 10000);
}

// ---------------------------------------------------------------- previews

async function preview() {
  const place = form.querySelector('.preview');
  const answer = await send(form.action, fields({ do: 'preview' }));
  const found = await answer.json();
  place.hidden = false;
  place.firstElementChild.replaceChildren();
  if (answer.ok) place.firstElementChild.innerHTML = found.html;
  else place.firstElementChild.textContent = found.problem;
  place.scrollIntoView({ block: 'nearest' });
}

form?.addEventListener('submit', (event) => {
  const button = event.submitter;
  const input = form.querySelector('#files');
  if (button?.value === 'preview' && !input?.files.length) {
    event.preventDefault();
    preview().catch(() => { button.name = 'do'; form.append(hidden('do', 'preview')); form.submit(); });
  } else if (button?.name === 'unreply') {
    event.preventDefault();
    reply(0);
  }
});

function hidden(name, value) {
  const made = document.createElement('input');
  Object.assign(made, { type: 'hidden', name, value });
  return made;
}

// ---------------------------------------------------------------- files

function files() {
  const input = form.querySelector('#files');
  const list = form.querySelector('ul.files');
  if (!input || !list) return;

  function row(name) {
    const made = document.createElement('li');
    const bar = document.createElement('progress');
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute('aria-label', input.dataset.busy.replace('{name}', name));
    made.append(bar, ` ${name}`);
    list.append(made);
    return [made, bar];
  }

  function upload(file) {
    const [line, bar] = row(file.name);
    const data = new FormData();
    data.set('proof', form.elements.proof.value);
    data.set('file', file, file.name);
    const request = new XMLHttpRequest();
    request.open('POST', '/files/upload/');
    request.setRequestHeader('Accept', 'application/json');
    request.responseType = 'json';
    request.upload.addEventListener('progress', (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; });
    request.addEventListener('loadend', () => {
      const found = request.response;
      line.replaceChildren();
      if (request.status === 200 && found) {
        const label = document.createElement('label');
        const box = document.createElement('input');
        Object.assign(box, { type: 'checkbox', name: 'file', value: found.value, checked: true });
        label.append(box, ` ${found.name}`);
        line.append(label);
        form.dispatchEvent(new Event('attached'));
      } else {
        line.setAttribute('role', 'alert');
        line.textContent = found?.problem || input.dataset.failed.replace('{name}', file.name);
      }
    });
    request.send(data);
  }

  input.addEventListener('change', () => { [...input.files].forEach(upload); input.value = ''; });
  text.addEventListener('paste', (event) => {
    const pasted = [...event.clipboardData.files];
    if (pasted.length) { event.preventDefault(); pasted.forEach(upload); }
  });
  form.addEventListener('dragover', (event) => {
    if (event.dataTransfer.types.includes('Files')) { event.preventDefault(); form.classList.add('drop'); }
  });
  form.addEventListener('dragleave', () => form.classList.remove('drop'));
  form.addEventListener('drop', (event) => {
    form.classList.remove('drop');
    if (event.dataTransfer.files.length) { event.preventDefault(); [...event.dataTransfer.files].forEach(upload); }
  });
}

// ---------------------------------------------------------------- replies and quotes

function reply(comment) {
  const said = form.querySelector('.reply');
  form.elements.inReplyTo.value = comment;
  said.hidden = !comment;
  const link = said.querySelector('a');
  if (comment) { link.href = `#comment${comment}`; link.hidden = false; }
  text.focus();
}

document.addEventListener('click', async (event) => {
  const link = event.target.closest?.('a[data-reply], a[data-quote]');
  if (!link || !form?.elements.inReplyTo || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const { reply: answered, quote } = link.dataset;
  if (quote) {
    const found = await fetch(`/comments/${quote}/quote/`, { headers: JSON_ONLY }).then((answer) => answer.json()).catch(() => null);
    if (!found) { location.assign(link.href); return; }
    text.value = text.value.trim() ? `${text.value.trimEnd()}\n\n${found.markdown}` : found.markdown;
    text.dispatchEvent(new Event('input', { bubbles: true }));
  }
  reply(Number(answered || quote));
  text.setSelectionRange(text.value.length, text.value.length);
  form.scrollIntoView({ block: 'nearest' });
});

if (form && text) {
  drafts();
  files();
  // Whoever edits goes on where the text ends.
  if (text.autofocus && !text.selectionEnd) text.setSelectionRange(text.value.length, text.value.length);
}
