// Comparing: the person's photo next to a candidate's, both zoomed and moved together.
//
// Candidates are elements with data-candidate (the code), data-photo, data-title and data-share;
// the person's photos are the images in [data-own-photos]. Wheel, pinch, double click and + - 0
// zoom; dragging and the arrow keys move what is enlarged, and else go from candidate to candidate.
// B blinks: one photo over the other, in turn. On a page where #compare is no dialog it is always
// open, its keys are the page's, and the candidate that is shown is the one chosen by its radio button.
(() => {
  "use strict";

  const dialog = document.getElementById("compare");
  if (!dialog) return;
  const MOST = 12; // times, that a photo is enlarged
  const SWIPE_PX = 60;
  const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const words = dialog.dataset;
  const together = dialog.querySelector("[name=together]");
  const sides = ["own", "reference"].map((name) => side(dialog.querySelector(`[data-side=${name}]`)));
  const [own, reference] = sides;
  const inline = !(dialog instanceof HTMLDialogElement);
  let candidates = [];
  let at = 0;

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-compare]");
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(opener.closest("[data-candidate]"));
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target === dialog || button?.matches("[data-close]")) dialog.close();
    else if (button?.dataset.step) step(Number(button.dataset.step));
    else if (button?.dataset.zoom) zoom(reference, Number(button.dataset.zoom) || 1 / reference.view.scale, [0, 0]);
    else if (button?.matches("[data-blink]")) blink();
    else if (button?.matches("[data-choose]")) choose();
  });
  dialog.addEventListener("keydown", pressed);
  together.addEventListener("change", () => {
    if (together.checked) turn(own, reference.view);
  });

  if (inline) {
    fillOwn();
    const one = (selector) => document.querySelector(`[data-candidate]${selector}`);
    const chosen = () => one(":has(:checked)") ?? one("");
    document.addEventListener("change", (event) => {
      if (event.target.matches("[data-candidate] [type=radio]")) find(chosen());
    });
    if (chosen()) find(chosen());
  }

  function open(chosen) {
    if (!inline) {
      fillOwn();
      dialog.showModal();
    }
    find(chosen);
    reference.pane.focus({ preventScroll: true });
  }

  function fillOwn() {
    const images = [...document.querySelectorAll("[data-own-photos] img")];
    const named = (_, number) => images[number - 1].dataset.named ?? words.own.replace("{number}", number);
    own.fill(images.map((image) => image.dataset.full ?? image.src), named);
    dialog.classList.toggle("alone", !images.length);
  }

  function find(chosen) {
    candidates = [...document.querySelectorAll("[data-candidate]")];
    at = candidates.indexOf(chosen);
    show();
  }

  function step(by) {
    at = (at + by + candidates.length) % candidates.length;
    show();
  }

  async function show() {
    const { candidate: code, photo, title, share } = candidates[at].dataset;
    const button = candidates[at].querySelector("[type=radio]");
    if (button) button.checked = true;
    document.dispatchEvent(new Event("compare:shown"));
    const position = words.of.replace("{number}", at + 1).replace("{count}", candidates.length);
    dialog.querySelector(".code code").textContent = code;
    dialog.querySelector(".about").textContent = [position, share, title].filter(Boolean).join(" · ");
    if (!inline) dialog.querySelector("[data-choose]").hidden = !chooser(code);
    const named = (_, number) => words.reference.replace("{code}", code).replace("{number}", number);
    reference.fill(photo ? [photo] : [], named);
    turn(reference, { scale: 1, x: 0, y: 0 });
    const answer = await fetch(`/api/v1/products/${encodeURIComponent(code)}`).catch(() => null);
    if (!answer?.ok || candidates[at].dataset.candidate !== code) return;
    const others = (await answer.json()).photos.filter((one) => one.state === "kept").map((one) => one.photo);
    if (candidates[at].dataset.candidate === code) {
      const known = photo ? [photo] : [];
      reference.fill([...known, ...others.filter((one) => one !== photo)].slice(0, MOST), named);
    }
  }

  function blink() {
    const on = dialog.classList.toggle("blink");
    dialog.querySelector("[data-blink]").setAttribute("aria-pressed", String(on));
  }

  function chooser(code) {
    return document.querySelector(`button[name=code][value="${CSS.escape(code)}"]`);
  }

  function choose() {
    const button = chooser(candidates[at].dataset.candidate);
    dialog.close();
    button?.click();
  }

  // One of the two photos, with the others of its kind below it to choose from.
  function side(figure) {
    const pane = figure.querySelector(".pane");
    const image = pane.querySelector("img");
    const strip = figure.querySelector(".strip");
    const drawing = pane.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "svg"));
    drawing.setAttribute("aria-hidden", "true"); // what it shows is said in words
    const one = { pane, image, drawing, view: { scale: 1, x: 0, y: 0 }, named: "" };

    one.fill = (photos, name) => {
      const buttons = photos.map((photo, place) => {
        const button = document.createElement("button");
        const small = document.createElement("img");
        small.src = smaller(photo);
        small.alt = name(photo, place + 1);
        button.type = "button";
        button.append(small);
        button.addEventListener("click", () => pick(photo, button, small.alt));
        return [photo, button];
      });
      strip.replaceChildren(...(photos.length > 1 ? buttons.map(([, button]) => button) : []));
      const [photo, button] = buttons[0] ?? ["", null];
      if (photo) pick(photo, button, name(photo, 1));
      else image.removeAttribute("src");
    };

    function pick(photo, button, name) {
      image.src = photo;
      one.named = name;
      document.dispatchEvent(new Event("compare:pictured"));
      for (const other of strip.children) other.setAttribute("aria-pressed", String(other === button));
      describe(one);
    }

    moving(one);
    return one;
  }

  function smaller(photo) {
    return photo.includes("/api/") ? `${photo}?side=160` : photo.replace(/^\/photos\//, "/thumbnails/");
  }

  // -- zoom and pan: x and y are shares of the pane, by which the photo's middle is moved ---------

  function turn(one, { scale, x, y }) {
    const most = (scale - 1) / 2;
    const view = { scale, x: Math.min(most, Math.max(-most, x)), y: Math.min(most, Math.max(-most, y)) };
    for (const each of together.checked ? sides : [one]) {
      each.view = view;
      const moved = `translate(${100 * view.x}%, ${100 * view.y}%) scale(${scale})`;
      each.image.style.transform = each.drawing.style.transform = moved;
      each.pane.classList.toggle("enlarged", scale > 1);
      describe(each);
    }
    dialog.querySelector(".whole").textContent = `${Math.round(100 * scale)} %`;
  }

  function describe(one) {
    const zoomed = one.view.scale > 1 && words.zoomed.replace("{share}", Math.round(100 * one.view.scale));
    one.pane.setAttribute("aria-label", [one.named, zoomed].filter(Boolean).join(", "));
  }

  // What lies under the point stays under it.
  function zoom(one, by, [px, py]) {
    const { scale, x, y } = one.view;
    const next = Math.min(MOST, Math.max(1, scale * by));
    const rate = next / scale;
    turn(one, { scale: next, x: px - (px - x) * rate, y: py - (py - y) * rate });
  }

  function point(one, event) {
    const area = one.pane.getBoundingClientRect();
    return [(event.clientX - area.left) / area.width - 0.5, (event.clientY - area.top) / area.height - 0.5];
  }

  function moving(one) {
    const fingers = new Map();
    let start = null;
    const { pane } = one;

    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(one, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), point(one, event));
    }, { passive: false });
    pane.addEventListener("dblclick", (event) => zoom(one, one.view.scale > 1 ? 0 : 2.5, point(one, event)));
    pane.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      pane.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, point(one, event));
      start = fingers.size === 1 ? event : null;
    });
    pane.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = [...fingers.values()];
      fingers.set(event.pointerId, point(one, event));
      const after = [...fingers.values()];
      const { scale, x, y } = one.view;
      if (after.length === 1 && scale > 1) {
        turn(one, { scale, x: x + after[0][0] - before[0][0], y: y + after[0][1] - before[0][1] });
      } else if (after.length === 2) {
        zoom(one, apart(after) / Math.max(0.01, apart(before)), middle(after));
      }
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      pane.addEventListener(kind, (event) => {
        fingers.delete(event.pointerId);
        if (!start || kind === "pointercancel" || one.view.scale > 1) return;
        const [across, down] = [event.clientX - start.clientX, event.clientY - start.clientY];
        if (Math.abs(across) > SWIPE_PX && Math.abs(across) > 2 * Math.abs(down)) step(across < 0 ? 1 : -1);
        start = null;
      });
    }
  }

  function apart([[ax, ay], [bx, by]]) {
    return Math.hypot(ax - bx, ay - by);
  }

  function middle([[ax, ay], [bx, by]]) {
    return [(ax + bx) / 2, (ay + by) / 2];
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const one = own.pane === document.activeElement ? own : reference;
    const { scale, x, y } = one.view;
    const [across, down] = ARROWS[event.key] ?? [];
    if (across !== undefined && scale > 1) turn(one, { scale, x: x + across * 0.1, y: y + down * 0.1 });
    else if (across) step(-across);
    else if (inline) return;
    else if (event.key === "b") blink();
    else if (event.key === "PageDown" || event.key === "PageUp") step(event.key === "PageDown" ? 1 : -1);
    else if (event.key === "+" || event.key === "=") zoom(one, 1.5, [0, 0]);
    else if (event.key === "-") zoom(one, 1 / 1.5, [0, 0]);
    else if (event.key === "0") zoom(one, 0, [0, 0]);
    else return;
    event.preventDefault();
  }
})();
