// Ticks, the order and a photo take effect at once; without JavaScript there are buttons.
(() => {
  "use strict";
  const form = document.querySelector("form.shop");
  form?.addEventListener("change", (event) => {
    if (event.target.matches("select, [type=checkbox]")) form.requestSubmit();
  });
  form?.addEventListener("submit", () => {
    for (const input of form.elements) if (input.name && !input.value) input.disabled = true; // short addresses
  });
  const byPhoto = document.querySelector("form.by-photo");
  byPhoto?.addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    byPhoto.querySelector("[role=status]").hidden = false;
    const small = await window.satchelSmall(file, Number(byPhoto.dataset.side));
    const chosen = new DataTransfer();
    chosen.items.add(small instanceof File ? small : new File([small], file.name, { type: small.type }));
    target.files = chosen.files;
    byPhoto.submit();
  });
})();
