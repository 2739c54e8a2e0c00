// The box around the item in one photo: shown, and moved, resized or drawn anew by mouse, finger
// or keys. A finger edits after a tap on the photo, so that the page can be scrolled over it.
//
//   const box = satchelBox(item, image, words, changed, given);   given: what was said before
//   box.show([x0, y0, x1, y1], others)   what an answer found, and [{box, name}] what else it found
//   box.show(null)                       forgets both
//   box.given()                          what the person has said: fractions, or null
window.satchelBox = (item, image, words, changed, before) => {
  "use strict";

  const LEAST = 0.03; // of the photo's side: a smaller box is a slip of the hand
  const STEP = 0.01;
  const KEYS_REST_MS = 500; // after the last key, before the answer follows
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const OPPOSITE = { nw: [2, 3], ne: [0, 3], sw: [2, 1], se: [0, 1] }; // corner that stays, in x0 y0 x1 y1

  const stage = make("div", "stage");
  const frame = make("div", "box");
  const reset = make("button", "reset");
  const others = make("div", "others");
  let found = null;
  let given = before ?? null;
  let timer = 0;

  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  frame.setAttribute("aria-roledescription", words.boxRole);
  frame.append(...Object.keys(OPPOSITE).map((corner) => make("span", `handle ${corner}`)));
  reset.type = "button";
  reset.title = words.boxReset;
  reset.setAttribute("aria-label", words.boxReset);
  reset.innerHTML =
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 5v6h6"/><path d="M5.5 11a7 7 0 1 1 1 5"/></svg>';
  stage.append(others, frame);
  item.append(stage, reset);
  image.addEventListener("load", fit);
  if (image.complete) fit();
  draw();

  stage.addEventListener("pointerdown", pointerDown);
  stage.addEventListener("click", (event) => {
    if (!event.target.closest(".other")) begin();
  });
  frame.addEventListener("keydown", keyDown);
  reset.addEventListener("click", () => {
    set(null);
    changed();
    frame.focus();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!item.contains(event.target)) item.classList.remove("editing");
  });

  return {
    show(box, detections) {
      found = box;
      // Where the person gave the box nothing was located: what was found before stays on offer.
      if (detections || !box) others.replaceChildren(...(detections ?? []).map(other));
      draw();
    },
    given: () => given,
  };

  // The stage covers the photo exactly, whatever its proportions are.
  function fit() {
    const { naturalWidth: width, naturalHeight: height } = image;
    if (!width || !height) return;
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.classList.toggle("tall", height > width);
    stage.classList.add("fits");
  }

  function draw() {
    const box = given ?? found;
    frame.hidden = !box;
    reset.hidden = !(given && found);
    item.classList.toggle("by-hand", Boolean(given));
    if (!box) return;
    place(frame, box);
    frame.setAttribute("aria-label", `${words.found} ${described(box)}`);
  }

  function place(element, [x0, y0, x1, y1]) {
    element.style.left = `${100 * x0}%`;
    element.style.top = `${100 * y0}%`;
    element.style.width = `${100 * (x1 - x0)}%`;
    element.style.height = `${100 * (y1 - y0)}%`;
  }

  function described([x0, y0, x1, y1]) {
    const shares = { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
    return words.boxAt.replace(/\{(\w+)\}/g, (_, name) => Math.round(100 * shares[name]));
  }

  function set(box) {
    given = box && box.map((one) => Number(one.toFixed(4)));
    draw();
  }

  function begin() {
    item.classList.add("editing");
    if (!frame.hidden) frame.focus({ preventScroll: true });
  }

  // Another thing that was located: a tap takes it in place of the one that was answered.
  function other({ box, name }) {
    const button = make("button", "other");
    button.type = "button";
    button.title = words.boxOther.replace("{name}", name ?? "").trim(); // which screen readers read as well
    place(button, box);
    button.addEventListener("click", () => {
      set(box);
      changed();
      frame.focus({ preventScroll: true });
    });
    return button;
  }

  function pointerDown(event) {
    const byFinger = event.pointerType === "touch";
    if (event.button || event.target.closest(".other")) return;
    if (byFinger && !item.classList.contains("editing")) return; // it may be scrolling
    event.preventDefault();
    begin();
    const [before, start] = [given, position(event)];
    const box = given ?? found;
    const corner = [...(event.target.closest(".handle")?.classList ?? [])].find((c) => c in OPPOSITE);
    const anchor = corner ? OPPOSITE[corner].map((side) => box[side]) : start;
    const moves = !corner && event.target.closest(".box");
    const drag = (move) => set(moves ? moved(box, start, position(move)) : spanned(anchor, position(move)));
    const end = (last) => {
      for (const kind of ["pointermove", "pointerup", "pointercancel"]) {
        stage.removeEventListener(kind, kind === "pointermove" ? drag : end);
      }
      const tooSmall = given && (given[2] - given[0] < LEAST || given[3] - given[1] < LEAST);
      if (last.type === "pointercancel" || tooSmall) set(before);
      else if (String(given) !== String(before)) changed();
    };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", drag);
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
  }

  function position(event) {
    const area = stage.getBoundingClientRect();
    return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
  }

  function moved([x0, y0, x1, y1], from, to) {
    const across = Math.min(1 - x1, Math.max(-x0, to[0] - from[0]));
    const down = Math.min(1 - y1, Math.max(-y0, to[1] - from[1]));
    return [x0 + across, y0 + down, x1 + across, y1 + down];
  }

  function spanned([ax, ay], [bx, by]) {
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  function keyDown(event) {
    if (event.key === "Escape") item.classList.remove("editing");
    const [across, down] = ARROWS[event.key] ?? [];
    if (across === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const box = given ?? found;
    if (event.shiftKey) {
      const [x0, y0, x1, y1] = box;
      const right = Math.max(x0 + LEAST, x1 + STEP * across);
      set([x0, y0, inside(right), inside(Math.max(y0 + LEAST, y1 + STEP * down))]);
    } else set(moved(box, [0, 0], [STEP * across, STEP * down]));
    clearTimeout(timer);
    timer = setTimeout(changed, KEYS_REST_MS);
  }

  function inside(share) {
    return Math.min(1, Math.max(0, share));
  }

  function make(name, className) {
    const made = document.createElement(name);
    made.className = className;
    return made;
  }
};
