// Details that both photos of the comparison show, drawn on both: asked for when they are wanted, and
// again for each other pair while they are switched on. compare.js moves the drawings with the photos.
(() => {
  "use strict";

  const button = document.querySelector("[data-regions]");
  if (!button) return;
  const SVG = "http://www.w3.org/2000/svg";
  const said = document.querySelector(".regions-said");
  const panes = ["own", "reference"].map((side) => document.querySelector(`[data-side=${side}] .pane`));
  const known = new Map(); // query → promise of its regions
  const isOn = () => button.getAttribute("aria-pressed") === "true";
  let wanted = "";

  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!isOn()));
    show();
  });
  document.addEventListener("compare:pictured", show);

  async function show() {
    for (const pane of panes) pane.querySelector("svg").replaceChildren();
    const [photo, reference] = panes.map((pane) => /[0-9a-f]{64}/.exec(pane.querySelector("img").src)?.[0]);
    wanted = isOn() && photo && reference ? String(new URLSearchParams({ photo, reference })) : "";
    said.textContent = wanted ? said.dataset.busy : "";
    if (!wanted) return;
    const query = wanted;
    const found = await regions(query);
    if (query !== wanted) return; // another pair is shown by now
    if (!found) said.textContent = said.dataset.failed;
    else if (!found.length) said.textContent = said.dataset.none;
    else said.textContent = said.dataset.found.replace("{count}", found.length);
    panes.forEach((pane, at) => draw(pane, (found ?? []).map((one) => [one.own, one.reference][at])));
  }

  function regions(query) {
    if (!known.has(query)) {
      const asked = fetch(`${button.dataset.regions}?${query}`)
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(answer)))
        .then((answer) => answer.regions)
        .catch(() => void known.delete(query)); // the next time may work
      known.set(query, asked);
    }
    return known.get(query);
  }

  // In the photo's own pixels, fitted into the pane as the photo is.
  async function draw(pane, boxes) {
    const image = pane.querySelector("img");
    const drawing = pane.querySelector("svg");
    const query = wanted;
    await image.decode().catch(() => {});
    if (query !== wanted) return;
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    const size = Math.max(width, height) / 28;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren(
      ...boxes.flatMap(([x0, y0, x1, y1], at) => {
        const box = { x: x0 * width, y: y0 * height, width: (x1 - x0) * width, height: (y1 - y0) * height };
        const label = made("text", { x: box.x + size * 0.6, y: Math.max(box.y, size) + size * 0.32, "font-size": size });
        label.textContent = at + 1;
        return [
          made("rect", { ...box, class: "under" }),
          made("rect", { ...box, class: "over" }),
          made("circle", { cx: box.x + size * 0.6, cy: Math.max(box.y, size), r: size * 0.75 }),
          label,
        ];
      }),
    );
  }

  function made(name, attributes) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }
})();
