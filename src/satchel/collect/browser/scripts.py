"""What a search runs in its page, in JavaScript; a profile's selectors are the arguments."""

from __future__ import annotations

from typing import Final

_VISIBLE: Final = "const visible = e => e.getClientRects().length > 0;"
_VALUES: Final = """
const value = (base, way) => {
  const found = way.element ? base.querySelector(way.element) : base;
  return found && found.getAttribute ? (found.getAttribute(way.attribute) || "") : "";
};
const short = text => text.slice(0, 20000);
const values = (item, ways, page) => [
  ways.map(way => short(value(way.page ? document : item, way))),
  page ? short(value(item, page)) : ""];
const in_view = e => e.getBoundingClientRect().top < innerHeight;
"""

COUNT: Final = "return document.querySelectorAll(arguments[0]).length"
HEIGHT: Final = "return document.documentElement.scrollHeight"
TEXT: Final = 'return (document.body?.innerText || "").slice(0, arguments[0]).toLowerCase()'
SCROLL: Final = """
const before = scrollY;
scrollBy({top: 0.8 * innerHeight, behavior: "instant"});
return scrollY > before"""
FIRST_VISIBLE: Final = f"""{_VISIBLE}
for (const selector of arguments[0])
  for (const found of document.querySelectorAll(selector))
    if (visible(found)) {{ if (arguments[1]) found.click(); return selector; }}
return "";"""
READ: Final = f"""{_VALUES}
const [selector, ways, page, most] = arguments;
return [...document.querySelectorAll(selector)].slice(0, most).filter(in_view)
  .map(item => values(item, ways, page))"""
READ_ONE: Final = f"{_VALUES} return values(...arguments)"
NEXT_TO_PRESS: Final = f"""{_VALUES}
const [selector, press, most] = arguments;
for (const item of [...document.querySelectorAll(selector)].slice(0, most))
  if (!item.dataset.satchel && in_view(item)) {{
    item.dataset.satchel = "pressed";
    const target = item.querySelector(press) || item;
    return [item, target];
  }}
return null;"""
