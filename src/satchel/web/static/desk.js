// A case on the expert's desk: the time spent on it is measured, and the case kept while its page
// is in view. Keys are data-key (satchel.js), candidates are shown by compare.js.
(() => {
  "use strict";

  const desk = document.querySelector("[data-desk]");
  if (!desk?.dataset.claim) return;
  const RENEWED_MS = 5 * 60 * 1000; // a sixth of the lease
  const clock = `desk:${desk.dataset.desk}:${desk.dataset.claim}`;
  const certify = document.getElementById("certify");
  const other = certify.querySelector("[data-other]");
  const word = other.querySelector("[name=other]");
  let spent = Number(sessionStorage.getItem(clock)) || 0;
  let since = document.hidden ? null : performance.now();
  let renewed = performance.now();
  let lost = false;

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) pause();
    else {
      since = performance.now();
      if (since - renewed > RENEWED_MS) renew();
    }
  });
  addEventListener("pagehide", pause);
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload(); // it may be decided, or somebody else's, by now
  });
  setInterval(() => document.hidden || renew(), RENEWED_MS);

  desk.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent || lost) return event.preventDefault();
    form.dataset.sent = "true";
    pause();
    const seconds = form.querySelector("[name=seconds]");
    if (seconds) seconds.value = (spent / 1000).toFixed(1);
  });

  desk.addEventListener("click", (event) => {
    const goes = event.target.closest("[data-goes]");
    if (goes) {
      event.preventDefault();
      document.getElementById(goes.dataset.goes).focus();
    }
    const opens = event.target.closest("[data-opens]");
    if (opens) document.getElementById(opens.dataset.opens).showModal();
  });
  for (const details of desk.querySelectorAll("[data-focuses]")) {
    details.addEventListener("toggle", () => details.open && details.querySelector("fieldset input").focus());
  }

  // What is certified is said on the button.
  const chosen = certify.querySelector("[data-chosen]");
  const say = () => (chosen.textContent = certify.elements.code.value || word.value.trim() || "…");
  certify.addEventListener("change", say);
  document.addEventListener("compare:shown", say);
  word.addEventListener("focus", () => (other.querySelector("[type=radio]").checked = true));
  word.addEventListener("input", say);
  word.addEventListener("change", showOther);
  say();

  // Another code that the catalogue has is compared as the candidates are.
  async function showOther() {
    const code = word.value.trim();
    const answer = code && (await fetch(`/api/v1/products/${encodeURIComponent(code)}`).catch(() => null));
    if (!answer?.ok || word.value.trim() !== code) return;
    const product = await answer.json();
    Object.assign(other.dataset, {
      candidate: code,
      photo: product.photos.find((one) => one.state === "kept")?.photo ?? "",
      title: [product.brand, product.name].filter(Boolean).join(" · "),
      share: "",
    });
    other.querySelector("[type=radio]").dispatchEvent(new Event("change", { bubbles: true }));
  }

  function pause() {
    if (since !== null) spent += performance.now() - since;
    since = null;
    sessionStorage.setItem(clock, String(spent));
  }

  async function renew() {
    renewed = performance.now();
    const headers = { "X-CSRF-Token": certify.elements.csrf.value };
    const answer = await fetch(`/desk/${desk.dataset.desk}/renew`, { method: "POST", headers }).catch(() => null);
    if (answer?.status !== 409 && answer?.status !== 403) return; // without a connection: later
    lost = true;
    desk.querySelector("[data-lost]").hidden = false;
  }
})();
