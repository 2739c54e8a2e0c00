"""Fill a workspace of the demo catalogue with a market: three accounts, twelve listings.

python examples/demo_market.py WORKSPACE

Switches the resale service on, prints how to log in, and lists a good of each product: some wait
for an expert, some are certified, on sale, reserved or sold. Photos are the demo's own, turned
and warmer, as if a seller had taken them.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image, ImageEnhance

from satchel import Identifier
from satchel.decoding.decoder import IN_PROCESS
from satchel.files import write_atomically
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.store import AccountStore
from satchel.market.desk.records import Reason
from satchel.market.goods import Goods
from satchel.market.listings.fields import Grade, ListingFields
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.states import Actor, State, StepName
from satchel.market.roles import Role
from satchel.web.schemas import Identification
from satchel.workspace import Workspace

PEOPLE: Final = {
    "seller@example.com": Role.SELLER,
    "buyer@example.com": Role.SELLER,
    "expert@example.com": Role.EXPERT,
    "admin@example.com": Role.ADMIN,
}
GOODS: Final = (
    ("MO1101", State.ON_SALE, Grade.A, 1_480_000),
    ("MO1102", State.ON_SALE, Grade.S, 1_690_000),
    ("MO2204", State.SUBMITTED, Grade.A_PLUS, 2_350_000),
    ("MO3310", State.ON_SALE, Grade.B_PLUS, 890_000),
    ("MO3522", State.SUBMITTED, Grade.B, 640_000),
    ("MA5101", State.DRAFT, Grade.A, 320_000),
    ("MW6102", State.ON_SALE, Grade.A_PLUS, 5_400_000),
)
"""Code, state to reach, condition and price in won; the other products follow in `REST`."""

REST: Final = (
    (State.SOLD, Grade.A, 980_000),
    (State.RESERVED, Grade.S, 1_250_000),
    (State.PHOTOS_ASKED, Grade.B, 450_000),
    (State.REJECTED, Grade.B_PLUS, 700_000),
    (State.CERTIFIED, Grade.A, 1_120_000),
)


class DemoMarket:
    """A market in a workspace, and the people who use it.

    Args:
        identify: whether every good is identified, which takes a second each.
    """

    def __init__(self, workspace: Workspace, *, identify: bool = True) -> None:
        self._identifier = Identifier.open(workspace) if identify else None
        catalogue, limits = workspace.catalogue, workspace.settings.photos.limits()
        self._catalogue = catalogue
        self._store = workspace.photos
        self._goods = Goods.of(catalogue.engine, catalogue.brands)
        photos = workspace.market_photos
        self._photos = ListingPhotos(catalogue.engine, photos, IN_PROCESS, limits)
        self._accounts = AccountStore(catalogue.engine)
        self._actors: dict[str, Actor] = {}

    def make_accounts(self) -> dict[str, str]:
        """Make the accounts; return each one's new password."""
        made = {}
        for email, role in PEOPLE.items():
            password = secrets.token_urlsafe(12)
            name = email.partition("@")[0].title()
            hashed = Passwords().hash(password)
            account = self._accounts.create(email, name=name, role=role, password_hash=hashed)
            self._actors[name.lower()] = Actor(account.id, role)
            made[email] = password
        return made

    def list_goods(self) -> int:
        """List a good of each product; return how many."""
        page = self._catalogue.products(limit=100)
        codes = [product.code for product, _ in page.products]
        given = {code for code, *_ in GOODS}
        others = [code for code in codes if code not in given]
        rest = [(code, *goal) for code, goal in zip(others, REST, strict=False)]
        chosen = [good for good in (*GOODS, *rest) if good[0] in codes]
        for number, (code, state, grade, price) in enumerate(chosen):
            self.list_good(number, code, state, grade, price)
        return len(chosen)

    def list_good(self, number: int, code: str, state: State, grade: Grade, price: int) -> None:
        """List one good and bring it into a state; what is taken of its photos varies by number."""
        seller = self._actors["seller"]
        listing = self._goods.listings.create(seller).public_id
        for place, photo in enumerate(self._catalogue.photos_of(code)[1:4]):
            taken = as_if_taken(self._store.read(photo.sha256), number + place)
            self._photos.add(listing, f"demo-{place:04d}", taken, seller)
        self._identify(listing, seller)
        fields = ListingFields(code=code, grade=grade, price_krw=price, consent_gallery=True)
        self._goods.listings.change(listing, fields, seller)
        if state is not State.DRAFT:
            self._goods.listings.step(listing, StepName.SUBMIT, seller)
            self._decide(listing, code, state)

    def _identify(self, public_id: str, seller: Actor) -> None:
        """Keep what identification says of the photos, as the page does."""
        if self._identifier is None:
            return
        listing = self._goods.listings.get(public_id)
        photos = [self._photos.read(photo.sha256) for photo in listing.photos]
        found = self._identifier.identify_item(photos)
        names = [photo.sha256[:12] for photo in listing.photos]
        answer = Identification.linked(names, found).model_dump(mode="json")
        kept = {**answer, "space": self._identifier.space.id}
        self._goods.listings.remember_answer(public_id, kept, seller, photos=listing.photos)

    def _decide(self, listing: str, code: str, state: State) -> None:
        if state is State.SUBMITTED:
            return
        expert, seller, buyer = (self._actors[name] for name in ("expert", "seller", "buyer"))
        decisions, reservations = self._goods.decisions, self._goods.reservations
        self._goods.queue.claim(listing, expert)
        if state is State.PHOTOS_ASKED:
            decisions.ask(listing, ["inside_tag", "corners"], expert, seconds=14)
            return
        if state is State.REJECTED:
            decisions.reject(listing, Reason.NOT_ENOUGH_SHOWN, expert, seconds=21)
            return
        decisions.certify(listing, code, expert, seconds=12)
        if state is not State.CERTIFIED:
            self._goods.listings.step(listing, StepName.OFFER, seller)
        if state in {State.RESERVED, State.SOLD}:
            reservations.reserve(listing, buyer)
        if state is State.SOLD:
            reservations.sell(listing, seller)


def as_if_taken(studio: bytes, number: int) -> bytes:
    """Make a studio photo look like another one of the same good."""
    with Image.open(BytesIO(studio)) as image:
        whole = image.convert("RGB")
    angle = (-7, 6, 9, -5)[number % 4]
    ground = whole.getpixel((2, 2))
    turned = whole.rotate(angle, Image.Resampling.BICUBIC, fillcolor=ground)
    width, height = turned.size
    left, top = width * (3 + number % 4) // 100, height * (2 + number % 5) // 100
    cut = turned.crop((left, top, width - left // 2, height - top // 3))
    red, green, blue = ImageEnhance.Brightness(cut).enhance(0.9).split()
    warm = Image.merge("RGB", (red, green, blue.point(lambda value: value * 9 // 10)))
    out = BytesIO()
    warm.save(out, "JPEG", quality=88)
    return out.getvalue()


def switch_on(workspace: Workspace) -> Workspace:
    """Set `[market] enabled = true` in the workspace's settings."""
    path = workspace.folder / "satchel.toml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(r"(?m)^(\[market\]\n(?:#.*\n)*?)#?enabled = \w+$", r"\1enabled = true", text)
    write_atomically(path, changed.encode())
    return Workspace.open(workspace.folder)


def main(workspace: Path) -> None:
    """Fill the workspace, unless it has accounts already."""
    opened = switch_on(Workspace.open(workspace))
    if AccountStore(opened.catalogue.engine).page()[0]:
        print("the market is there already; satchel admin list shows its accounts")
        return
    market = DemoMarket(opened)
    accounts = market.make_accounts()
    print(f"{market.list_goods()} goods listed; log in at /login:")
    for email, password in accounts.items():
        print(f"  {email:<20} {password}")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    main(**vars(parser.parse_args()))
