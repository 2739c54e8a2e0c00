"""A market in a temporary database, with a few accounts and products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sqlalchemy import insert

from satchel.catalog.brands import Brands
from satchel.catalog.database import writing
from satchel.catalog.photos import PhotoStore
from satchel.catalog.tables import ProductRow
from satchel.decoding.decoder import IN_PROCESS
from satchel.images import encode_jpeg
from satchel.market.accounts.tables import AccountRow
from satchel.market.goods import Goods
from satchel.market.listings.fields import Grade, ListingFields
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.records import Listing
from satchel.market.listings.states import Actor, StepName
from satchel.market.roles import Role
from satchel.photo_header import PhotoLimits
from support.databases import new_catalogue
from support.pictures import rgb

ROLES = {
    "seller": Role.SELLER,
    "buyer": Role.SELLER,
    "rival": Role.SELLER,
    "expert": Role.EXPERT,
    "second": Role.EXPERT,
    "admin": Role.ADMIN,
}


@dataclass
class Market:
    """A market, and what tests need to use it."""

    goods: Goods
    photos: ListingPhotos
    actors: dict[str, Actor]

    @classmethod
    def make(cls, folder: Path, *, second_from_krw: int | None = None) -> Market:
        engine = new_catalogue(folder / "market.db")._engine
        with writing(engine) as connection, connection.begin():
            for number, (name, role) in enumerate(ROLES.items(), start=1):
                email = f"{name}@example.com"
                row = {"id": number, "email": email, "name": name, "role": role.value}
                connection.execute(insert(AccountRow).values(**row))
            for code, colour in (("M1", "black"), ("M2", "red")):
                row = {"code": code, "brand": "Dior", "name": "Lady", "colour": colour}
                connection.execute(insert(ProductRow).values(**row, category="bag"))
        actors = {name: Actor(at, ROLES[name]) for at, name in enumerate(ROLES, start=1)}
        photos = ListingPhotos(engine, PhotoStore(folder / "photos"), IN_PROCESS, PhotoLimits())
        goods = Goods.of(engine, Brands(), second_from_krw=second_from_krw)
        return cls(goods, photos, actors)

    def draft(self, *, price_krw: int = 1_000_000, seed: int = 0) -> Listing:
        """A draft that can be submitted."""
        seller = self.actors["seller"]
        listing = self.goods.listings.create(seller)
        self.photos.add(listing.public_id, f"upload-{seed}", jpeg(seed), seller)
        fields = ListingFields(code="M1", grade=Grade.A, price_krw=price_krw, text="가죽 상태 좋음")
        return self.goods.listings.change(listing.public_id, fields, seller)

    def submitted(self, *, price_krw: int = 1_000_000) -> Listing:
        draft = self.draft(price_krw=price_krw)
        return self.step(draft, StepName.SUBMIT, "seller")

    def certified(self) -> Listing:
        listing = self.submitted()
        expert = self.actors["expert"]
        self.goods.queue.claim(listing.public_id, expert)
        return self.goods.decisions.certify(listing.public_id, "M1", expert, seconds=9)

    def on_sale(self) -> Listing:
        return self.step(self.certified(), StepName.OFFER, "seller")

    def step(self, listing: Listing, name: StepName, who: str) -> Listing:
        return self.goods.listings.step(listing.public_id, name, self.actors[who])


def jpeg(seed: int) -> bytes:
    """A small photo of a few soft spots, another for each seed."""
    spots = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return encode_jpeg(rgb(cv2.resize(spots, (160, 120), interpolation=cv2.INTER_CUBIC)), 90)
