"""Take the pictures of pages that the guide shows, into docs/assets/pages/: `make pictures`.

Serves the demo catalogue with its market, opens each page in Chromium as the person who uses it, on
a desktop and on a phone, and writes what the window shows.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fastapi import FastAPI
from PIL import Image
from selenium.webdriver import Chrome

HERE: Final = Path(__file__).resolve().parents[1]
sys.path += [str(HERE), str(HERE / "tests")]
from conftest import put_in
from examples.demo_market import DemoMarket, switch_on
from satchel.collect.records import Found
from satchel.collect.store import CandidateStore
from satchel.market.listings.states import State
from satchel.web.app import create_app
from satchel.web.visitors import COOKIE
from satchel.workflows.index import index_catalogue
from satchel.workspace import Workspace
from support.browser import Reader, start_chrome
from web.conftest import running

OUT: Final = HERE / "docs" / "assets" / "pages"
DEMO: Final = HERE / "examples" / "maison"
SIZES: Final = {"desktop": (1280, 800), "phone": (390, 844)}
MOST_BYTES: Final = 60_000
CODE: Final = "MO1101"
WAITING: Final = "MO2204"
DOUBTED: Final = ("MO2204", "MO3310")
SETTLED: Final = """
if (!arguments[0]) for (const one of document.querySelectorAll("[lang=ko]:not(html)")) one.remove();
return [...document.images].every(one => one.complete || !one.checkVisibility()
  || one.getBoundingClientRect().top > innerHeight);
"""


@dataclass(frozen=True)
class Picture:
    """A page, who sees it, and what that person does there first.

    Attributes:
        path: with names of `named` in braces.
        show: CSS selector of what is scrolled to.
    """

    name: str
    who: str | None
    path: str
    act: Callable[[Reader], object] | None = None
    show: str = ""


def identify(reader: Reader) -> None:
    """Send a photo, and wait for the answer."""
    reader.send(DEMO / "queries" / "IMG_2041.jpg")
    reader.until(lambda: reader.all("#result .found"))


def choose(reader: Reader) -> None:
    """Tick two photos."""
    for one in reader.all(".sheet input")[1:3]:
        reader.chrome.execute_script("arguments[0].click()", one)


def writes_hangul() -> bool:
    """Whether a font can write the name of the other language; without one, it is left out."""
    fonts = shutil.which("fc-list")
    listed = (
        subprocess.run((fonts, ":lang=ko"), capture_output=True, check=False) if fonts else None
    )
    return bool(listed and listed.stdout)


def take(reader: Reader) -> None:
    """Take the case, unless it is taken."""
    if reader.all("form[action*='/claim'] button"):
        reader.chrome.execute_script("document.querySelector(`form[action*='/claim']`).submit()")
    reader.one("[data-claim]")


PICTURES: Final = (
    Picture("identify", None, "/", identify),
    Picture("products", None, "/products"),
    Picture("goods", None, "/goods"),
    Picture("good", None, "/goods/{on_sale}"),
    Picture("certificate", None, "/certificates/{number}"),
    Picture("login", None, "/login"),
    Picture("sell", "seller", "/sell"),
    Picture("listing", "seller", "/listings/{draft}"),
    Picture("candidates", "seller", "/listings/{draft}", show="#product"),
    Picture("account", "seller", "/account"),
    Picture("desk", "expert", "/desk"),
    Picture("case", "expert", "/desk/{waiting}", take),
    Picture("review", "expert", "/review/grid", choose),
    Picture("collections", "expert", "/collections/candidates?code={code}"),
    Picture("edit", "expert", "/catalogue/edit?code={code}"),
    Picture("figures", "admin", "/figures"),
    Picture("accounts", "admin", "/admin/accounts"),
    Picture("jobs", "admin", "/jobs"),
    Picture("webhooks", "admin", "/webhooks"),
)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[FastAPI, str]]:
    """Serve the demo with its market, made if it is not there; an application and its address."""
    if not folder.is_dir():
        made = Workspace.create(folder)
        put_in(made, DEMO / "catalogue.csv")
        index_catalogue(made)
        market = DemoMarket(switch_on(made))
        market.make_accounts()
        market.list_goods()
    workspace = Workspace.open(folder)
    crawl(workspace)
    app = create_app(workspace)
    with running(app) as url:
        yield app, url
    workspace.catalogue.close()


def crawl(workspace: Workspace) -> None:
    """Find photos of one product, and leave some of another in doubt."""
    catalogue = workspace.catalogue
    found = [
        (Found(CODE, f"https://{host}/{at}.jpg", query="maison tote", rank=at), host)
        for host in ("shop.example.com", "photos.example.net")
        for at in range(1, 4)
    ]
    CandidateStore(catalogue.engine).add(found, "google")
    reasons = [{"kind": kind} for kind in ("blurred", "too_dark", "collage", "watermark")]
    links = [one.link_id for code in DOUBTED for one in catalogue.review.of_product(code)]
    catalogue.curation.set_states(
        (link, "doubtful", [reasons[at % len(reasons)]]) for at, link in enumerate(links)
    )


def names_of(app: FastAPI) -> dict[str, str]:
    """What paths name: a listing in each state, a certificate, a product."""
    goods, seller = app.state.market.goods, account_of(app, "seller")
    _, listings = goods.listings.of_seller(seller)
    by_state = {one.state: one for one in listings}
    certificate = goods.decisions.certificate_of(by_state[State.ON_SALE])
    ids = {state.value: one.public_id for state, one in by_state.items()}
    (waiting,) = (one.public_id for one in listings if one.code == WAITING)
    return {**ids, "waiting": waiting, "number": certificate.public_id, "code": CODE}


def account_of(app: FastAPI, name: str) -> int:
    """The account of one of the demo's people."""
    return int(app.state.market.accounts.by_email(f"{name}@example.com").id)


def log_in(reader: Reader, app: FastAPI, name: str | None) -> None:
    """Open a session for one of the demo's people; None for nobody."""
    reader.chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    if name is not None:
        reader.go("/healthz")
        secret = app.state.market.sessions.begin(account_of(app, name), way="password")
        reader.chrome.add_cookie({"name": COOKIE, "value": secret, "path": "/"})


def taken(reader: Reader, app: FastAPI, picture: Picture, *, language: str) -> Image.Image:
    """Open a page as its person does, and take a picture of the window."""
    log_in(reader, app, picture.who)
    path = picture.path.format(**names_of(app))
    reader.go(f"{path}{'&' if '?' in path else '?'}lang={language}")
    if picture.act:
        picture.act(reader)
    if picture.show:
        script = "document.querySelector(arguments[0]).scrollIntoView()"
        reader.chrome.execute_script(script, picture.show)
    reader.until(lambda: reader.chrome.execute_script(SETTLED, writes_hangul()))
    return Image.open(BytesIO(reader.chrome.get_screenshot_as_png())).convert("RGB")


def screen(chrome: Chrome, width: int, height: int, *, phone: bool) -> None:
    """Let the window be a phone's, or a desktop's without scroll bars."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
    chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})


def write(picture: Image.Image, path: Path) -> None:
    """Write a WebP of `MOST_BYTES` at most."""
    for quality in range(88, 30, -8):
        picture.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return
    raise ValueError(f"{path} does not fit into {MOST_BYTES:,} bytes")


def main(out: Path, workspace: Path | None, names: list[str], *, language: str, dark: bool) -> None:
    """Take the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, demo(workspace or Path(folder) / "demo") as (app, url):
        chrome = start_chrome(Path(folder) / "chromium")
        try:
            reader = Reader(chrome, url)
            colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [colours]})
            for picture in PICTURES:
                for device, (width, height) in SIZES.items():
                    if names and picture.name not in names:
                        continue
                    screen(chrome, width, height, phone=device == "phone")
                    image = taken(reader, app, picture, language=language)
                    write(image, out / f"{picture.name}-{device}.webp")
        finally:
            chrome.quit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which; default, all")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--workspace", type=Path, help="of the demo, to be made or used again")
    parser.add_argument("--language", default="en")
    parser.add_argument("--dark", action="store_true")
    main(**vars(parser.parse_args()))
