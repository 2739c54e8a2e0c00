// Photos of a listing: each is made smaller, sent under a name of its own, and sent again after a
// lost connection; what arrived is shown at once. Boxes are shown, tapped and drawn on them as on
// the page that identifies. The model is named anew whenever photos, boxes or filters changed.
(() => {
  "use strict";
  const form = document.querySelector(".listing form.add");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector(".sending");
  const drop = form.querySelector(".drop");
  const naming = document.getElementById("name-it");
  const words = document.querySelector(".listing").dataset;
  const side = Number(form.dataset.side);
  const WAITS_S = [1, 3, 8, 20, 60];
  const EDGE_PX = 48; // of the window, where dragging scrolls
  let sending = 0;
  let saved = Promise.resolve();
  let shas = photoShas();

  input.addEventListener("change", () => take(input.files));
  for (const kind of ["dragenter", "dragover"])
    drop.addEventListener(kind, (event) => (event.preventDefault(), drop.classList.add("over")));
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files)));
  addEventListener("beforeunload", (event) => sending && event.preventDefault());
  naming.addEventListener("satchel:ask-again", () => document.querySelector(".photo") && name());
  document.addEventListener("htmx:after:swap", (event) => {
    const { id } = event.detail.ctx.target;
    if (id === "listing-photos") arranged();
    if (id === "candidates") frame();
  });
  frame();
  if (shas.length && !("named" in naming.dataset)) name(); // photos that were shared, or sent by a program

  function take(files) {
    const all = [...files].map(send);
    input.value = "";
    Promise.all(all).then((sent) => sent.some(Boolean) && name());
  }

  async function send(file) {
    const row = list.appendChild(document.createElement("li"));
    const said = row.appendChild(document.createElement("span"));
    const bar = row.appendChild(document.createElement("progress"));
    const upload = crypto.getRandomValues(new Uint32Array(4)).join("-").slice(0, 60);
    const body = fields({ upload });
    said.textContent = file.name;
    bar.setAttribute("aria-label", file.name);
    sending += 1;
    try {
      body.set("photo", await window.satchelSmall(file, side), file.name);
      const answer = await insist(form.action, body, (share) => (bar.value = share), (waits) => {
        said.textContent = waits ? `${file.name} · ${form.dataset.failed}` : file.name;
      });
      await show(answer, row);
      return answer.ok;
    } finally {
      sending -= 1;
    }
  }

  // The fields of the form, with others in place of the photos.
  function fields(more) {
    const body = new FormData(form);
    body.delete("photo");
    for (const [key, value] of Object.entries(more)) body.set(key, value);
    return body;
  }

  // Send until the server answers, and is not too busy.
  async function insist(address, body, on, waiting = () => {}) {
    const headers = { "HX-Request": "true", Accept: "text/html" };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await window.satchelUpload(address, { method: "POST", headers, body }, on);
        if (answer.status < 500 && answer.status !== 429) return answer;
      } catch {
        // no connection
      }
      waiting(true);
      await wait(WAITS_S[Math.min(attempt, WAITS_S.length - 1)]);
      waiting(false);
    }
  }

  async function show(answer, row) {
    const html = await answer.text();
    if (answer.ok) {
      row.remove();
      if (!replace(html)) return;
      shas = photoShas();
      frame();
      window.htmx.trigger("#readings", "changed");
    } else {
      row.innerHTML = html; // the server's own words, escaped there
    }
  }

  // Show the photos of an answer, unless it is older than what is shown: answers cross.
  function replace(html) {
    const shown = document.getElementById("listing-photos");
    const arrived = Object.assign(document.createElement("template"), { innerHTML: html }).content.firstElementChild;
    if (Number(arrived.dataset.count) < Number(shown.dataset.count)) return false;
    shown.replaceWith(arrived);
    window.htmx.process(arrived);
    return true;
  }

  // A photo follows the pointer by its grip, and a mark shows where it will go. The photos stay where
  // they are until the server has answered, so that the page always has the server's order.
  function grips() {
    for (const grip of document.querySelectorAll(".shots .grip[hidden]")) {
      grip.hidden = false;
      grip.addEventListener("pointerdown", (event) => event.button || drag(grip, event));
    }
  }

  function drag(grip, start) {
    const item = grip.closest("li");
    const others = [...item.parentElement.children].filter((other) => other !== item);
    const scrolled = scrollY;
    let goal = null;
    start.preventDefault();
    grip.setPointerCapture(start.pointerId);
    item.classList.add("dragged");

    const mark = (next) => {
      goal?.other.classList.remove("goes-before", "goes-after");
      goal = next;
      goal?.other.classList.add(goal.after ? "goes-after" : "goes-before");
    };
    const move = (event) => {
      if (event.clientY < EDGE_PX) scrollBy(0, -EDGE_PX / 4);
      if (event.clientY > innerHeight - EDGE_PX) scrollBy(0, EDGE_PX / 4);
      const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY + scrollY - scrolled];
      item.style.transform = `translate(${x}px, ${y}px)`;
      mark(under(others, event));
    };
    const end = (event) => {
      for (const kind of ["pointermove", "pointerup", "pointercancel"]) grip.removeEventListener(kind, kind === "pointermove" ? move : end);
      const chosen = event.type === "pointerup" && goal;
      mark(null);
      item.style.transform = "";
      item.classList.remove("dragged");
      if (chosen) put(item, others.indexOf(chosen.other) + Number(chosen.after));
    };
    grip.addEventListener("pointermove", move);
    grip.addEventListener("pointerup", end);
    grip.addEventListener("pointercancel", end);
  }

  // The photo under the pointer, and whether the pointer is on its second half.
  function under(items, { clientX, clientY }) {
    for (const other of items) {
      const area = other.getBoundingClientRect();
      const inside = clientX >= area.left && clientX <= area.right && clientY >= area.top && clientY <= area.bottom;
      if (inside) return { other, after: clientX > area.left + area.width / 2 };
    }
    return null;
  }

  // Sent again after a lost connection: to put a photo in its place twice changes nothing.
  async function put(item, place) {
    if ([...item.parentElement.children].indexOf(item) === place) return;
    const address = `${form.action}/${item.querySelector(".photo").dataset.sha}`;
    const answer = await insist(address, fields({ act: "place", place }), () => {}, (waits) => {
      document.getElementById("not-moved").hidden = !waits;
    });
    if (!answer.ok) location.reload(); // it may be moved no longer: the page says why
    else if (replace(await answer.text())) arranged();
  }

  // Photos were moved or removed: what was read has other numbers, and fewer photos another answer.
  function arranged() {
    const before = shas;
    shas = photoShas();
    frame();
    window.htmx.trigger("#readings", "changed");
    if (shas.length && shas.length < before.length) name();
  }

  // Show on each photo what was found there, or what the seller said.
  function frame() {
    grips();
    const located = JSON.parse(document.getElementById("candidates").dataset.located);
    for (const item of document.querySelectorAll(".listing .photo")) {
      item.frame ??= window.satchelBox(item, item.querySelector("img"), words, () => keep(item), JSON.parse(item.dataset.box));
      const found = located[item.dataset.sha];
      item.frame.show(found?.box ?? null, found?.others);
    }
  }

  // One box after another, so that the last one stays.
  function keep(item) {
    const box = item.frame.given()?.join(",") ?? "";
    saved = saved.then(() => insist(`${form.action}/${item.dataset.sha}`, fields({ act: "box", box }), () => {})).then(name);
  }

  function name() {
    window.htmx.trigger(naming, "identify");
  }

  function photoShas() {
    return [...document.querySelectorAll(".listing .photo")].map((item) => item.dataset.sha);
  }

  function wait(seconds) {
    return new Promise((done) => {
      const timer = setTimeout(done, seconds * 1000);
      addEventListener("online", () => (clearTimeout(timer), done()), { once: true });
    });
  }
})();
