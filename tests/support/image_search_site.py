"""Image-search sites of ours, in the ways of four real ones, and all the ways in which they fail.

Results are loaded as the page is scrolled, or when a button is pressed; a consent wall hides them
at first; small copies are base64 data; the photo's URL is where each site has it: in a link once a
result was pressed, in JSON, in the small copy's URL once it is seen, or in a panel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from support.photo_site import PhotoSite, SiteHandler, photo_site

PAGE_RESULTS: Final = 12
PIXEL: Final = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

GOOGLE: Final = """
wall = `<div id=CXQnmb>Before you continue<button id=W0wltc>Reject all</button></div>`;
result = one => {
  const item = make(`<div data-lpage="${one.page}" class=tile><h3><a>bag</a></h3><a class=pic>
    <img src="${PIXEL}"></a></div>`);
  item.querySelector("h3 a").onclick = () => setTimeout(() => item.querySelector(".pic").href =
    `/imgres?imgurl=${encodeURIComponent(one.url)}&imgrefurl=${encodeURIComponent(one.page)}`, 20);
  return item;
};"""
BING: Final = """
wall = `<div id=bnp_container>Cookies<button id=bnp_btn_reject>Reject</button></div>`;
button = `<a class=btn_seemore href="#">See more</a>`;
result = one => {
  const item = make(`<a class="iusc tile"><img src="${PIXEL}"></a>`);
  item.setAttribute(attribute || "m", JSON.stringify({murl: one.url, purl: one.page, turl: "x"}));
  return item;
};"""
NAVER: Final = """
wall = "";
const seen = new IntersectionObserver(entries => entries.forEach(entry => {
  if (entry.isIntersecting) entry.target.src = entry.target.dataset.later; }));
result = one => {
  const item = make(`<div class="image_tile_bx tile"><div class=thumb>
    <a href="${one.page}"><img src="${PIXEL}"></a></div></div>`);
  const img = item.querySelector("img");
  img.dataset.later = `/small?${attribute || "src"}=${encodeURIComponent(one.url)}&type=b150`;
  seen.observe(img);
  return item;
};"""
DUCKDUCKGO: Final = """
wall = "";
document.body.append(make(`<aside></aside>`));
result = one => {
  const item = make(`<div class="tile--img tile"><div class=tile--img__img>bag</div>
    <a class=tile--img__sub href="${one.page}">page</a></div>`);
  item.querySelector(".tile--img__img").onclick = () => setTimeout(() =>
    document.querySelector("aside").innerHTML =
      `<a class=${attribute || "detail__media__img-link"} href="${one.url}">View file</a>`, 20);
  return item;
};"""
STYLES: Final = {"google": GOOGLE, "bing": BING, "naver": NAVER, "duckduckgo": DUCKDUCKGO}

PAGE: Final = """<!doctype html><meta charset=utf-8><title>bag</title>
<style>.tile {display: inline-block; width: 30%%; height: 600px} aside {position: fixed; top: 0}
.btn_seemore {display: block}</style><main></main><footer></footer>
<script>
const PIXEL = "%(pixel)s", attribute = "%(attribute)s", site = "%(site)s";
let wall = "", button = "", result, from = 0, loading = false, ended = false;
const main = document.querySelector("main"), footer = document.querySelector("footer");
const make = html => { const e = document.createElement("template"); e.innerHTML = html;
  return e.content.firstElementChild; };
%(style)s
async function load() {
  if (loading || ended) return;
  loading = true;
  const answer = await fetch(`/${site}/results?from=${from}&q=%(query)s`);
  const found = await answer.json();
  from += found.length;
  ended = !found.length || %(stuck)s;
  main.append(...found.map(result));
  loading = false;
}
function begin() {
  load();
  if (button) {
    footer.append(make(button));
    footer.firstElementChild.onclick = event => { event.preventDefault(); load(); };
  } else
    addEventListener("scroll", () => {
      if (innerHeight + scrollY > document.documentElement.scrollHeight - 300) load(); });
}
if (wall && !document.cookie.includes("consent")) {
  const asked = make(wall);
  document.body.append(asked);
  asked.querySelector("button").onclick = () => { asked.remove(); document.cookie = "consent=1";
    begin(); };
  if (%(hard_wall)s) asked.querySelector("button").id = "renamed";
} else begin();
</script>"""


class SearchSite(PhotoSite):
    """What the search pages do.

    Attributes:
        mode: how they fail; "" where they do not.
        results: photos that a query finds; None for no end.
        shown: photo of each place among them.
        searches: queries that were made, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.robots = "User-agent: *\nDisallow: /private/\n"
        self.mode = ""
        self.results: int | None = 60
        self.searches: list[tuple[str, str]] = []

    def shown(self, query: str, place: int) -> str:
        return self.photo(f"{query.replace(' ', '-')}-{place}")


class _SearchHandler(SiteHandler):
    site: SearchSite

    def _answer(self, path: str) -> None:
        parts = path.split("/")[1:]
        if parts[0] not in STYLES:
            super()._answer(path)
            return
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if parts[1:] == ["results"]:
            self._results(asked["q"], int(asked["from"]))
        else:
            self._search_page(parts[0], asked["q"])

    def _results(self, query: str, first: int) -> None:
        site = self.site
        last = first + PAGE_RESULTS
        if site.results is not None:
            last = min(last, site.results)
        found = [
            {"url": site.shown(query, place), "page": f"{site.url}/page/{place}"}
            for place in range(first, last)
        ]
        self._send(200, json.dumps(found).encode(), "application/json")

    def _search_page(self, name: str, query: str) -> None:
        site = self.site
        with site.lock:
            site.searches.append((name, query))
            first = site.searches.count((name, query)) == 1
        match site.mode:
            case "forbidden":
                self._send(403, b"<p>no", "text/html")
            case "busy":
                self._send(429, b"<p>slowly", "text/html", **{"Retry-After": "7200"})
            case "busy-once" if first:
                self._send(429, b"<p>slowly", "text/html", **{"Retry-After": "2"})
            case "fault":
                self._send(500, b"<p>oh", "text/html")
            case "captcha":
                self._send(200, CAPTCHAS[name].encode(), "text/html; charset=utf-8")
            case "elsewhere":
                elsewhere = site.url.replace("127.0.0.1", "localhost")
                self._send(302, b"", "text/plain", Location=f"{elsewhere}/{name}?q=x")
            case "inside":
                self._send(302, b"", "text/plain", Location="http://169.254.169.254/")
            case "endless":
                self._endless_page()
            case mode:
                self._send(200, self._page(name, query, mode).encode(), "text/html")

    def _page(self, name: str, query: str, mode: str) -> str:
        page = PAGE % {
            "pixel": PIXEL,
            "site": name,
            "query": quote(query),
            "style": STYLES[name],
            "attribute": "renamed" if mode == "no-urls" else "",
            "stuck": json.dumps(mode == "stuck"),
            "hard_wall": json.dumps(mode == "wall"),
        }
        if mode == "changed":
            for mark in ("data-lpage", "iusc", "image_tile_bx", "tile--img "):
                page = page.replace(mark, "xyz ")
        if mode == "no-urls":
            page = page.replace("imgurl=", "renamed=")
        return page

    def _endless_page(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html>")
        while not self.site.closed.wait(0.05):
            self.wfile.write(b"<p>bag" * 100)
        self.close_connection = True


CAPTCHAS: Final = {
    "google": "<form id=captcha-form>Our systems have detected unusual traffic</form>",
    "bing": "<div class=captcha>One last step</div>",
    "naver": "<!doctype html><p>비정상적인 검색이 감지되었습니다",
    "duckduckgo": "<div class=anomaly-modal__modal>Select all squares containing a duck</div>",
}


@contextmanager
def search_site() -> Iterator[SearchSite]:
    """Run the sites on this machine, at /google, /bing, /naver and /duckduckgo."""
    with photo_site(SearchSite(), _SearchHandler) as site:
        assert isinstance(site, SearchSite)
        yield site
