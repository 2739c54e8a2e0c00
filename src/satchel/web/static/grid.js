// Choosing several photos of a grid: Shift and click for a row, arrow keys to move, Escape for none.
(() => {
  "use strict";

  const boxes = () => [...document.querySelectorAll(".sheet input")];
  let anchor = null; // the photo that a row begins at

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-all]")) return all();
    const label = event.target.closest(".sheet label");
    if (label && event.shiftKey && event.target.tagName !== "INPUT") event.preventDefault(); // no text is marked
    const box = label?.querySelector("input");
    if (!box) return;
    if (event.shiftKey && anchor?.isConnected) {
      if (event.target !== box) box.checked = !box.checked;
      row(anchor, box);
      box.focus();
    } else if (event.target === box) anchor = box;
  });
  document.addEventListener("change", (event) => event.target.closest(".sheet") && count());
  document.addEventListener("htmx:after:swap", count);
  document.addEventListener("keydown", (event) => {
    const box = event.target.closest?.(".sheet input");
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) set(boxes(), false);
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbour(box, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.closest("li").scrollIntoView({ block: "nearest" });
    if (event.shiftKey) {
      if (!anchor?.isConnected) anchor = box;
      anchor.checked = true;
      row(anchor, next);
    }
  });
  count();

  function row(from, to) {
    const list = boxes();
    const [first, last] = [list.indexOf(from), list.indexOf(to)].sort((a, b) => a - b);
    set(list.slice(first, last + 1), from.checked);
  }

  function all() {
    const list = boxes();
    set(list, !list.every((box) => box.checked));
  }

  function set(list, checked) {
    for (const box of list) box.checked = checked;
    count();
  }

  // Rows are as many photos wide as the window has room for.
  function neighbour(box, key) {
    const list = boxes();
    const top = (one) => one.closest("li").offsetTop;
    const across = list.filter((one) => top(one) === top(list[0])).length;
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
    return by && list[list.indexOf(box) + by];
  }

  function count() {
    const form = document.getElementById("many");
    if (!form) return;
    const chosen = boxes().filter((box) => box.checked).length;
    form.querySelector("#chosen").textContent = chosen;
    for (const button of form.querySelectorAll("[name=choice]")) button.disabled = !chosen;
  }
})();
