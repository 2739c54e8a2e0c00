// Filters: every choice narrows the others, and an answer that is shown follows.
(() => {
  "use strict";

  const form = document.querySelector("#identify, #name-it");
  if (!form) return;
  let latest = 0;

  form.addEventListener("change", async (event) => {
    if (!event.target.closest("#filters")) return;
    const mine = ++latest;
    form.dispatchEvent(new CustomEvent("satchel:ask-again"));
    await narrow(mine);
  });

  async function narrow(mine) {
    const before = form.querySelector("#filters");
    const query = new URLSearchParams();
    for (const one of before.querySelectorAll("select")) if (one.value) query.append("where", one.value);
    const answer = await fetch(`/filters?${query}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!answer?.ok || mine !== latest) return; // the choices stay as they are
    const after = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#filters");
    const focused = before.contains(document.activeElement) ? document.activeElement : null;
    const open = before.querySelector("details")?.open;
    before.replaceWith(after);
    if (open && after.querySelector("details")) after.querySelector("details").open = true;
    if (focused?.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
  }
})();
