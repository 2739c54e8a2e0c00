// The page that identifies: choosing photos, sending them, and following what is changed of them.
(() => {
  "use strict";

  const form = document.getElementById("identify");
  if (!form) return;
  const input = form.querySelector("#photos");
  const camera = form.querySelector("#camera");
  const previews = form.querySelector("#previews");
  const notice = form.querySelector("#notice");
  const clear = form.querySelector("#clear");
  const result = document.getElementById("result");
  const advice = document.getElementById("advice").content;
  const words = form.dataset;
  const most = Number(words.most);
  let chosen = []; // photos, in the order of the previews
  let again = false; // whether the request replaces an answer that is shown
  let pending = false; // whether something changed while a request was under way
  let shown = 0; // how many of the chosen photos the result speaks of

  input.addEventListener("change", () => add([...input.files]));
  camera.addEventListener("change", () => {
    add([...camera.files]);
    camera.value = "";
  });
  clear.addEventListener("click", () => {
    chosen.forEach((photo) => photo.forget());
    chosen = [];
    changed();
    input.focus();
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) add(files);
  });
  form.addEventListener("satchel:ask-again", askAgain);
  result.addEventListener("click", split);
  dropping();
  requests();
  if (result.querySelector(".found")) restore();
  else if (input.files.length) add([...input.files]); // kept by the browser over a reload

  // An answer that was given before, with the photos that the server has still.
  function restore() {
    const tokens = JSON.parse(result.querySelector(".found").dataset.kept);
    chosen = tokens.filter(Boolean).map((token) => preview({ token }));
    shown = chosen.length || 1;
    arrange();
    adopt(result.querySelector(".found"));
  }

  function add(files) {
    const known = new Set(chosen.map((photo) => photo.file && key(photo.file)));
    const fresh = files.filter((file) => !known.has(key(file)));
    const other = fresh.find((file) => file.type && !file.type.startsWith("image/"));
    const images = fresh.filter((file) => !file.type || file.type.startsWith("image/"));
    const taken = images.slice(0, most - chosen.length);
    chosen.push(...taken.map((file) => preview({ file })));
    changed();
    if (taken.length < images.length) tell(words.tooMany);
    else if (other) tell(words.notPhoto.replace("{name}", other.name));
  }

  // The photos of one item are identified alone; those that show another one are put aside.
  function split(event) {
    const button = event.target.closest("[data-only]");
    if (!button || form.classList.contains("working")) return;
    const refused = JSON.parse(result.querySelector(".found").dataset.refused);
    const used = chosen.filter((_, at) => !refused.includes(at + 1));
    const own = button.dataset.only.split(",").map((number) => used[Number(number) - 1]);
    chosen.filter((photo) => !own.includes(photo)).forEach((photo) => photo.forget());
    chosen = own;
    changed();
    form.requestSubmit();
  }

  // A box or a filter has changed: the answer that is shown follows.
  function askAgain() {
    if (!shown) return;
    pending = form.classList.contains("working");
    if (pending) return;
    again = true;
    form.requestSubmit();
  }

  function key(file) {
    return [file.name, file.size, file.lastModified].join("/");
  }

  // A photo of this device, or one that the server has under a token.
  function preview({ file = null, token = null }) {
    const item = document.createElement("li");
    const image = document.createElement("img");
    const remove = document.createElement("button");
    const address = file ? URL.createObjectURL(file) : `/uploads/${token}.jpg`;
    const forget = () => file && URL.revokeObjectURL(address);
    const photo = { file, token, item, image, remove, forget };
    photo.held = (given) => {
      photo.token = given;
      if (!given || !item.classList.contains("unshown")) return;
      item.classList.remove("unshown"); // the server can show what this browser cannot
      image.src = `/uploads/${given}.jpg`;
      item.querySelector("span.unread").replaceWith(image);
    };
    photo.small = file && satchelSmall(file, Number(words.sidePx));
    image.src = address;
    image.onerror = () => {
      item.classList.add("unshown");
      const name = document.createElement("span");
      name.textContent = file?.name ?? "";
      name.className = "unread";
      name.title = words.unshown;
      image.replaceWith(name);
    };
    remove.type = "button";
    remove.className = "remove";
    remove.innerHTML =
      '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 6l12 12M18 6L6 18"/></svg>';
    remove.addEventListener("click", () => {
      photo.forget();
      chosen = chosen.filter((other) => other !== photo);
      changed();
      (chosen.at(-1)?.remove ?? input).focus();
    });
    item.append(image, remove);
    photo.box = satchelBox(item, image, words, askAgain);
    return photo;
  }

  // Anything that was said of other photos is taken back: an answer must fit what is seen.
  function changed() {
    arrange();
    forgetAnswer();
    const large = chosen.find((photo) => photo.file?.size > Number(words.maxBytes));
    large?.item.classList.add("faulty");
    tell(large ? words.tooLarge : "");
  }

  function arrange() {
    const transfer = new DataTransfer();
    chosen.forEach((photo) => photo.file && transfer.items.add(photo.file));
    input.files = transfer.files;
    input.required = !chosen.length;
    previews.replaceChildren(...chosen.map((photo) => photo.item));
    chosen.forEach((photo, at) => {
      const number = String(at + 1);
      photo.image.alt = words.photo.replace("{number}", number);
      photo.remove.setAttribute("aria-label", words.remove.replace("{number}", number));
    });
    form.classList.toggle("filled", chosen.length > 0);
    clear.hidden = chosen.length === 0;
  }

  function forgetAnswer() {
    chosen.forEach((photo) => {
      photo.item.classList.remove("faulty");
      photo.box.show(null);
    });
    if (!shown) return;
    shown = 0;
    result.replaceChildren(advice.cloneNode(true));
    history.replaceState(null, "", "/");
  }

  function tell(text) {
    notice.textContent = text;
    notice.hidden = !text;
  }

  function dropping() {
    const drop = form.querySelector(".drop");
    const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
    for (const kind of ["dragenter", "dragover"]) {
      document.addEventListener(kind, (event) => {
        if (!holdsFiles(event)) return;
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      drop.classList.remove("over");
      add([...event.dataTransfer.files]);
    });
  }

  function requests() {
    const mine = (event) => event.detail.ctx.sourceElement === form;
    form.addEventListener("htmx:config:request", (event) => {
      if (mine(event)) event.detail.ctx.fetch = send;
    });
    form.addEventListener("htmx:before:request", (event) => {
      if (!mine(event)) return;
      if (form.classList.contains("working")) return event.preventDefault();
      tell("");
      form.classList.add("working");
      result.setAttribute("aria-busy", "true");
      if (!again) {
        chosen.forEach((photo) => photo.item.classList.remove("faulty"));
        result.replaceChildren(document.getElementById("waiting").content.cloneNode(true));
      }
      shown = chosen.length;
    });
    document.addEventListener("htmx:finally:request", (event) => {
      if (!mine(event)) return;
      form.classList.remove("working");
      result.removeAttribute("aria-busy");
      again = false;
      if (pending) askAgain();
    });
    form.addEventListener("htmx:error", () => {
      result.replaceChildren(advice.cloneNode(true));
      tell(words.failed);
    });
    document.addEventListener("htmx:after:swap", (event) => {
      const found = result.querySelector(".found");
      const problem = result.querySelector(".problem");
      if (found && !found.dataset.drawn) adopt(found);
      if (problem?.dataset.slug === "upload-expired" && chosen.some((photo) => photo.token && photo.file)) {
        chosen.forEach((photo) => (photo.token = null)); // the photos themselves, then
        if (mine(event)) pending = true;
        else askAgain();
        return;
      }
      if (event.detail.ctx.target.id === "said") event.detail.ctx.target.scrollIntoView({ block: "nearest" });
      if (problem?.dataset.photo) {
        chosen[Number(problem.dataset.photo) - 1]?.item.classList.add("faulty");
      }
      if ((found || problem) && !again && !result.contains(document.activeElement)) {
        lead(found || problem);
      }
    });
  }

  // The answer is drawn onto the photos, and gets an address.
  function adopt(found) {
    found.dataset.drawn = "yes";
    const others = JSON.parse(found.dataset.others ?? "[]");
    const refused = JSON.parse(found.dataset.refused);
    const tokens = JSON.parse(found.dataset.kept);
    const used = chosen.filter((_, at) => !refused.includes(at + 1));
    refused.forEach((place) => chosen[place - 1]?.item.classList.add("faulty"));
    JSON.parse(found.dataset.boxes).forEach((box, at) => {
      used[at]?.box.show(box, others[at]);
      if (used[at]) used[at].held(tokens[at] ?? null);
    });
    if (found.dataset.answer) history.replaceState(null, "", `/answers/${found.dataset.answer}`);
  }

  // In place of fetch, which cannot tell how much of a body is sent.
  async function send(address, request) {
    await complete(request.body);
    return satchelUpload(address, request, (share) => {
      const bar = form.querySelector("progress");
      bar.hidden = share >= 1;
      bar.value = share;
      form.classList.toggle("sending", share < 1);
    });
  }

  // Photos that the server has are not sent again; the tokens stand before the files, and the
  // boxes go along in the order of the photos.
  async function complete(body) {
    body.delete("photos");
    const held = chosen.findIndex((photo) => !photo.token);
    const kept = held < 0 ? chosen.length : held;
    for (const [at, photo] of chosen.entries()) {
      if (at < kept || !photo.file) body.append("kept", photo.token);
      else body.append("photos", form.querySelector("#original")?.checked ? photo.file : await photo.small, photo.file.name);
    }
    const boxes = chosen.map((photo) => photo.box.given()?.join(",") ?? "");
    if (boxes.some(Boolean)) boxes.forEach((box) => body.append("box", box));
  }

  // On a phone the answer lies below the photos: bring it into sight, and readers' focus to it.
  function lead(answer) {
    answer.querySelector("h2").focus({ preventScroll: true });
    if (answer.getBoundingClientRect().top > window.innerHeight * 0.6) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      result.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    }
  }
})();
