// The little that the pages do in the browser: choosing photos, drawing boxes, dialogs, copying.
(() => {
  "use strict";

  const form = document.getElementById("identify");
  if (form) identifyPage(form);
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
    const typing = "input:not([type=checkbox]), textarea, select, [contenteditable]";
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
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
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

  function identifyPage(form) {
    const input = form.querySelector("#photos");
    const camera = form.querySelector("#camera");
    const previews = form.querySelector("#previews");
    const notice = form.querySelector("#notice");
    const clear = form.querySelector("#clear");
    const result = document.getElementById("result");
    const advice = result.innerHTML;
    const words = form.dataset;
    const most = Number(words.most);
    let chosen = []; // [{file, item}], in the order of the previews
    let again = false; // whether the request replaces an answer that is shown
    let pending = false; // whether something changed while a request was under way
    let kept = []; // tokens of the chosen photos, once the server has them
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
    dropping();
    requests();
    if (input.files.length) add([...input.files]); // kept by the browser over a reload

    function add(files) {
      const known = new Set(chosen.map((photo) => key(photo.file)));
      const fresh = files.filter((file) => !known.has(key(file)));
      const other = fresh.find((file) => file.type && !file.type.startsWith("image/"));
      const images = fresh.filter((file) => !file.type || file.type.startsWith("image/"));
      const kept = images.slice(0, most - chosen.length);
      chosen.push(...kept.map(preview));
      changed();
      if (kept.length < images.length) tell(words.tooMany);
      else if (other) tell(words.notPhoto.replace("{name}", other.name));
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

    function preview(file) {
      const item = document.createElement("li");
      const image = document.createElement("img");
      const remove = document.createElement("button");
      const address = URL.createObjectURL(file);
      const photo = { file, item, image, remove, forget: () => URL.revokeObjectURL(address) };
      image.src = address;
      image.onerror = () => {
        item.classList.add("unshown");
        const name = document.createElement("span");
        name.textContent = file.name;
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
      kept = [];
      const transfer = new DataTransfer();
      chosen.forEach((photo) => transfer.items.add(photo.file));
      input.files = transfer.files;
      previews.replaceChildren(...chosen.map((photo) => photo.item));
      chosen.forEach((photo, at) => {
        const number = String(at + 1);
        photo.image.alt = words.photo.replace("{number}", number);
        photo.remove.setAttribute("aria-label", words.remove.replace("{number}", number));
      });
      form.classList.toggle("filled", chosen.length > 0);
      clear.hidden = chosen.length === 0;
      forgetAnswer();
      const large = chosen.find((photo) => photo.file.size > Number(words.maxBytes));
      large?.item.classList.add("faulty");
      tell(large ? words.tooLarge : "");
    }

    function forgetAnswer() {
      chosen.forEach((photo) => {
        photo.item.classList.remove("faulty");
        photo.box.show(null);
      });
      if (shown) result.innerHTML = advice;
      shown = 0;
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
        if (mine(event)) complete(event.detail.ctx.request.body);
      });
      form.addEventListener("htmx:before:request", (event) => {
        if (!mine(event)) return;
        if (form.classList.contains("working")) return event.preventDefault();
        tell("");
        form.classList.add("working");
        result.setAttribute("aria-busy", "true");
        if (!again) {
          forgetAnswer();
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
        result.innerHTML = advice;
        tell(words.failed);
      });
      document.addEventListener("htmx:after:swap", (event) => {
        const found = result.querySelector("[data-boxes]");
        const problem = result.querySelector(".problem");
        if (found && !found.dataset.drawn) {
          found.dataset.drawn = "yes";
          const others = JSON.parse(found.dataset.others ?? "[]");
          const refused = JSON.parse(found.dataset.refused);
          const used = chosen.filter((_, at) => !refused.includes(at + 1));
          refused.forEach((place) => chosen[place - 1]?.item.classList.add("faulty"));
          JSON.parse(found.dataset.boxes).forEach((box, at) => used[at]?.box.show(box, others[at]));
          kept = JSON.parse(found.dataset.kept);
        }
        if (problem?.dataset.slug === "upload-expired" && kept.length) {
          kept = []; // the photos themselves, then
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

    // Photos that the server has are not sent again; boxes go along in the order of the photos.
    function complete(body) {
      if (kept.length === chosen.length && kept.every(Boolean)) {
        body.delete("photos");
        kept.forEach((token) => body.append("kept", token));
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
