// Ticks and the order take effect at once; without JavaScript there is a button.
(() => {
  "use strict";
  const form = document.querySelector("form.shop");
  form?.addEventListener("change", (event) => {
    if (event.target.matches("select, [type=checkbox]")) form.requestSubmit();
  });
  form?.addEventListener("submit", () => {
    for (const input of form.elements) if (input.name && !input.value) input.disabled = true; // short addresses
  });
})();
