// Passkeys: register one, log in by one. Without them, or without this script, nothing is shown.
"use strict";

(() => {
  const root = document.querySelector("[data-passkeys]");
  const known = window.PublicKeyCredential?.parseCreationOptionsFromJSON;
  if (!root || !known) return;
  const button = root.querySelector("button");
  const notice = root.querySelector("[role=alert]");
  const csrf = () => document.querySelector("input[name=csrf]")?.value ?? "";

  async function send(path, body) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }

  async function register() {
    const { token, options } = await send("/api/v1/passkeys/options", {});
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
    const credential = await navigator.credentials.create({ publicKey });
    const name = root.querySelector("input[name=name]").value;
    await send("/api/v1/passkeys", { token, name, credential: credential.toJSON() });
    location.hash = "passkeys";
    location.reload();
  }

  async function logIn() {
    const { token, options } = await send("/api/v1/session/passkey/options", {});
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = await navigator.credentials.get({ publicKey });
    await send("/api/v1/session/passkey", { token, credential: credential.toJSON() });
    location.assign(root.dataset.next);
  }

  root.hidden = false;
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    button.disabled = true;
    notice.hidden = true;
    try {
      await (root.dataset.passkeys === "register" ? register() : logIn());
    } catch {
      notice.hidden = false;
    }
    button.disabled = false;
  });
})();
