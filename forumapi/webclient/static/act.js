// Marks (reactions, bookmarks, following) without leaving the page: what the answer shows of the same thing takes its place.

const PARTS = '.actions, .acts';
// All others change more of the page than their own row.
const QUIET = /\/(react|bookmark|follow)\/$/;

function place(button) {
  const part = QUIET.test(button.getAttribute('formaction')) && button.closest(PARTS);
  if (!part) return null;
  const holder = part.closest('[id]');
  return part.classList.contains('acts') ? '#main .acts' : holder ? `#${holder.id} .actions` : null;
}

async function act(button, where) {
  const form = new FormData(button.form);
  form.append(button.name, button.value);
  const answer = await fetch(button.getAttribute('formaction'), { method: 'POST', body: new URLSearchParams(form) });
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const found = answer.ok && page.querySelector(where);
  const part = document.querySelector(where);
  if (!found || !part) { button.form.requestSubmit(button); return; }
  const index = [...part.querySelectorAll('a, button')].indexOf(button);
  part.replaceWith(found);
  const all = found.querySelectorAll('a, button');
  (all[index] || all[0])?.focus();
}

document.addEventListener('click', (event) => {
  const button = event.target.closest?.('button[form="act"]');
  const where = button && place(button);
  if (!where || button.dataset.again) return;
  event.preventDefault();
  button.dataset.again = '1'; // if this fails, the form is sent as without script
  act(button, where).catch(() => button.form.requestSubmit(button));
});
