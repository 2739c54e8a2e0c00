// Photos of a listing: each is made smaller, sent under a name of its own, and sent again after a
// lost connection; what arrived is shown at once, and the model is named anew from all of them.
(() => {
  "use strict";
  const form = document.querySelector(".listing form.add");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector(".sending");
  const drop = form.querySelector(".drop");
  const side = Number(form.dataset.side);
  const WAITS_S = [1, 3, 8, 20, 60];
  let sending = 0;

  input.addEventListener("change", () => take(input.files));
  for (const kind of ["dragenter", "dragover"])
    drop.addEventListener(kind, (event) => (event.preventDefault(), drop.classList.add("over")));
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files)));
  // What was read is of the photos that are shown.
  const changed = () => window.htmx.trigger("#readings", "changed");
  document.addEventListener("htmx:after:swap", (event) => event.detail.ctx.target.id === "listing-photos" && changed());
  addEventListener("beforeunload", (event) => sending && event.preventDefault());

  function take(files) {
    const all = [...files].map(send);
    input.value = "";
    Promise.all(all).then((sent) => sent.some(Boolean) && window.htmx.trigger("#name-it", "identify"));
  }

  async function send(file) {
    const row = list.appendChild(document.createElement("li"));
    const name = row.appendChild(document.createElement("span"));
    const bar = row.appendChild(document.createElement("progress"));
    name.textContent = file.name;
    const upload = crypto.getRandomValues(new Uint32Array(4)).join("-").slice(0, 60);
    sending += 1;
    try {
      const photo = await window.satchelSmall(file, side);
      for (let attempt = 0; ; attempt += 1) {
        const answer = await post(photo, file.name, upload, (share) => (bar.value = share));
        if (answer && answer.status < 500 && answer.status !== 429) {
          await show(answer, row);
          return answer.ok;
        }
        name.textContent = `${file.name} · ${form.dataset.failed}`;
        await wait(WAITS_S[Math.min(attempt, WAITS_S.length - 1)]);
        name.textContent = file.name;
      }
    } finally {
      sending -= 1;
    }
  }

  async function post(photo, name, upload, on) {
    const body = new FormData(form);
    body.delete("photo");
    body.set("upload", upload);
    body.set("photo", photo, name);
    const headers = { "HX-Request": "true", Accept: "text/html" };
    try {
      return await window.satchelUpload(form.action, { method: "POST", headers, body }, on);
    } catch {
      return null; // no connection
    }
  }

  async function show(answer, row) {
    const html = await answer.text();
    if (answer.ok) {
      row.remove();
      const shown = document.getElementById("listing-photos");
      const arrived = Object.assign(document.createElement("template"), { innerHTML: html }).content.firstElementChild;
      if (Number(arrived.dataset.count) < Number(shown.dataset.count)) return; // answers cross
      shown.replaceWith(arrived);
      window.htmx.process(arrived);
      changed();
    } else {
      row.innerHTML = html; // the server's own words, escaped there
    }
  }

  function wait(seconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, seconds * 1000);
      addEventListener("online", () => (clearTimeout(timer), done()), { once: true });
    });
  }
})();
