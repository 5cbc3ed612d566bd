// Offers whole searches that complete the last word, under each search field that has focus.
const wait = 150;

for (const field of document.querySelectorAll('input[type="search"][name="q"]')) {
  const list = document.createElement("datalist");
  list.id = `suggestions-${field.id || "bar"}`;
  field.after(list);
  field.setAttribute("list", list.id);
  let timer = 0;
  let asked = "";
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const text = field.value;
      if (text === asked || text.trim().length < 2) return;
      asked = text;
      const answer = await fetch(`/search/suggestions/?q=${encodeURIComponent(text)}`).catch(() => null);
      if (!answer?.ok || text !== asked) return;
      list.replaceChildren(...(await answer.json()).map((one) => {
        const option = document.createElement("option");
        option.value = one;
        return option;
      }));
    }, wait);
  });
}
