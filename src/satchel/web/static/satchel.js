// What all pages do in the browser: keys, dialogs, copying.
(() => {
  "use strict";

  productDialog(document.getElementById("product-dialog"));
  document.addEventListener("click", copyOnClick);
  document.addEventListener("keydown", pressKey);
  document.addEventListener("htmx:after:swap", () => {
    if (document.getElementById("review")) {
      const asked = document.querySelector("#review h1");
      if (!document.activeElement || document.activeElement === document.body) asked.focus();
    }
  });

  // What has data-key is pressed by that key; a field is gone into. Never while someone types.
  function pressKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const typing = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
    const field = event.target.closest?.(typing);
    if (field) {
      if (event.key === "Escape") field.blur();
      else if (event.key === "Enter" && field.dataset.submit) {
        event.preventDefault();
        field.blur(); // htmx gives the focus back to what had it; the next key is for the next photo
        field.form.requestSubmit(field.form.querySelector(`[value="${field.dataset.submit}"]`));
      }
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const key = pressed(event);
    const named = [...document.querySelectorAll("[data-key]")].find(
      (one) => one.dataset.key === key || one.dataset.keyAlso === event.key,
    );
    if (!named) return;
    event.preventDefault();
    if (named.matches("input:not([type=checkbox])")) {
      named.focus();
      named.select();
    } else named.click();
  }

  // Letters by their place where the keyboard writes Hangul: ㅊ is on C.
  function pressed(event) {
    const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
    if (letter && !/^[a-z]$/i.test(event.key)) return letter.toLowerCase();
    return event.key.length === 1 ? event.key.toLowerCase() : event.key;
  }

  function productDialog(dialog) {
    const body = dialog.querySelector("#product-dialog-body");
    document.addEventListener("htmx:after:swap", (event) => {
      if (event.detail.ctx.target === body && !dialog.open) {
        dialog.showModal();
        dialog.scrollTop = 0;
      }
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => body.replaceChildren());
  }

  async function copyOnClick(event) {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const done = (await copied(button.dataset.copy)) || byHand(button);
    if (!done) return;
    button.classList.add("done");
    button.querySelector("[role=status]").textContent = button.dataset.done;
    setTimeout(() => {
      button.classList.remove("done");
      button.querySelector("[role=status]").textContent = "";
    }, 1600);
  }

  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false; // no clipboard without https, or not allowed
    }
  }

  // Select the code next to the button, and let the browser's older command copy it.
  function byHand(button) {
    const range = document.createRange();
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return document.execCommand("copy");
  }
})();
