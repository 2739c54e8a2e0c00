"""What is on sale: kept up to date by every step of a listing, searched by everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, null, or_, select

from satchel.catalog.brands import Brands
from satchel.catalog.dialect import insert_or_replace
from satchel.catalog.tables import ProductRow, now
from satchel.market.listings.changes import as_listings
from satchel.market.listings.records import Listing, ListingEvent
from satchel.market.listings.states import PUBLIC, State, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.sale.colours import names_of_colour
from satchel.market.sale.tables import SaleItemRow
from satchel.records import Facet, FacetValue
from satchel.text import folded
from satchel.translations import translations

PAGE: Final = 48
MAX_WORDS: Final = 8
FACETS: Final = ("brand", "category", "grade", "colour")


_SHOWN: Final = [
    null().label("machine") if column.name == "machine" else column
    for column in ListingRow.__table__.columns
]
"""What is read of a listing: all but what identification said, many kilobytes for its seller."""


class Order(StrEnum):
    """How goods are sorted."""

    NEWEST = "newest"
    CHEAPEST = "cheapest"
    DEAREST = "dearest"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for. Values of one attribute are alternatives.

    Attributes:
        text: each of its words must be in a good's code, names, category, colour or text.
        from_krw, to_krw: price in won, both inclusive.
        sold: goods that are sold, in place of those on sale.
    """

    text: str = ""
    brand: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    grade: tuple[str, ...] = ()
    colour: tuple[str, ...] = ()
    from_krw: int | None = None
    to_krw: int | None = None
    codes: tuple[str, ...] = ()
    sold: bool = False


@dataclass(frozen=True, slots=True)
class Goods:
    """A page of what was found.

    Attributes:
        total: how many there are on all pages.
    """

    total: int
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True)
class NewGood:
    """A good that came on sale, in brief."""

    public_id: str
    title: str
    grade: str
    price_krw: int
    offered_at: datetime


@dataclass(frozen=True, slots=True)
class PriceHint:
    """What goods of a product were sold for, in won."""

    sold: int
    low_krw: int
    median_krw: int
    high_krw: int


class Shelf:
    """Goods on sale, for everybody.

    Args:
        brands: under all their names; a search finds each.
    """

    def __init__(self, engine: Engine, brands: Brands) -> None:
        self._engine = engine
        self._brands = brands

    def update(self, connection: Connection, listing: Listing, event: ListingEvent) -> None:
        """Follow a step of a listing, within its transaction: an `Outbox`."""
        if listing.state not in PUBLIC:
            gone = delete(SaleItemRow).where(SaleItemRow.listing_id == listing.id)
            connection.execute(gone)
        elif event.step is not None:
            values = self._row(connection, listing, event)
            connection.execute(insert_or_replace(SaleItemRow).values(**values))

    def find(self, wanted: Wanted, *, order: Order = Order.NEWEST, page: int = 1) -> Goods:
        """Return goods, a page at a time."""
        fit = self._conditions(wanted)
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count(SaleItemRow.listing_id)).where(*fit)) or 0
            rows = _rows(connection, fit, order, limit=PAGE, offset=PAGE * (page - 1))
            return Goods(total, tuple(as_listings(connection, rows)))

    def newest(self, wanted: Wanted, most: int) -> list[Listing]:
        """Return the goods that were offered last, at most so many."""
        with self._engine.connect() as connection:
            rows = _rows(connection, self._conditions(wanted), Order.NEWEST, limit=most)
            return as_listings(connection, rows)

    def products(self) -> dict[int, str]:
        """Return the products of which something is on sale: database id → code, ids ascending."""
        chosen = (
            select(ProductRow.id, ProductRow.code)
            .join(SaleItemRow, SaleItemRow.code == ProductRow.code)
            .where(SaleItemRow.state == State.ON_SALE.value)
            .distinct()
            .order_by(ProductRow.id)
        )
        with self._engine.connect() as connection:
            return {row.id: row.code for row in connection.execute(chosen)}

    def of_codes(self, codes: Sequence[str], *, each: int) -> list[Listing]:
        """Return goods on sale of some products, in the order of `codes`, the newest first.

        Args:
            codes: some hundreds at most.
            each: goods of one product, at most.
        """
        newest = func.row_number().over(
            partition_by=SaleItemRow.code,
            order_by=(SaleItemRow.offered_at.desc(), SaleItemRow.listing_id),
        )
        ranked = (
            select(SaleItemRow.listing_id, newest.label("place"))
            .where(SaleItemRow.state == State.ON_SALE.value, SaleItemRow.code.in_(codes))
            .subquery()
        )
        chosen = (
            select(ListingRow.__table__)
            .join(ranked, ranked.c.listing_id == ListingRow.id)
            .where(ranked.c.place <= each)
            .order_by(ranked.c.place)
        )
        with self._engine.connect() as connection:
            found = as_listings(connection, connection.execute(chosen).all())
        place = {code: at for at, code in enumerate(codes)}
        return sorted(found, key=lambda one: place[one.code or ""])

    def facets(self, wanted: Wanted) -> list[Facet]:
        """Count the goods of each value, under all filters but the attribute's own."""
        with self._engine.connect() as connection:
            return [self._facet(connection, wanted, name) for name in FACETS]

    def fits(self, connection: Connection, wanted: Wanted, listing: int) -> bool:
        """Whether the listing of this id is on sale and is what somebody looks for."""
        chosen = select(SaleItemRow.listing_id).where(
            SaleItemRow.listing_id == listing, *self._conditions(wanted)
        )
        return connection.scalar(chosen) is not None

    def offered_since(
        self, connection: Connection, wanted: Wanted, since: datetime, *, without: int
    ) -> list[NewGood]:
        """Return what somebody looks for and came on sale after a time, the newest first.

        Args:
            without: account whose own goods are left out.
        """
        chosen = (
            select(SaleItemRow.__table__, ListingRow.public_id)
            .join(ListingRow, ListingRow.id == SaleItemRow.listing_id)
            .where(SaleItemRow.offered_at > since, ListingRow.seller_id != without)
            .where(*self._conditions(wanted))
            .order_by(SaleItemRow.offered_at.desc(), SaleItemRow.listing_id)
        )
        return [
            NewGood(
                row.public_id,
                " ".join(filter(None, (row.brand, row.name))) or row.code,
                row.grade,
                row.price_krw,
                row.offered_at,
            )
            for row in connection.execute(chosen)
        ]

    def addresses(self, most: int) -> list[tuple[str, datetime]]:
        """Return ids of goods on sale, and since when (UTC), the newest first."""
        chosen = (
            select(ListingRow.public_id, SaleItemRow.offered_at)
            .join(ListingRow, ListingRow.id == SaleItemRow.listing_id)
            .where(SaleItemRow.state == State.ON_SALE.value)
            .order_by(SaleItemRow.offered_at.desc(), SaleItemRow.listing_id)
            .limit(most)
        )
        with self._engine.connect() as connection:
            return [(row.public_id, row.offered_at) for row in connection.execute(chosen)]

    def price_hint(self, code: str, *, fewest: int = 3) -> PriceHint | None:
        """Return what goods of a product were sold for; None where fewer than `fewest` were."""
        chosen = (
            select(SaleItemRow.price_krw)
            .where(SaleItemRow.code == code, SaleItemRow.state == State.SOLD.value)
            .order_by(SaleItemRow.price_krw)
        )
        with self._engine.connect() as connection:
            prices = connection.scalars(chosen).all()
        if len(prices) < fewest:
            return None
        quarter = len(prices) // 4
        return PriceHint(
            len(prices), prices[quarter], prices[len(prices) // 2], prices[-1 - quarter]
        )

    def _facet(self, connection: Connection, wanted: Wanted, name: str) -> Facet:
        column = getattr(SaleItemRow, name)
        counted = (
            select(column, func.count())
            .where(column.is_not(None), *self._conditions(wanted, without=name))
            .group_by(column)
            .order_by(func.count().desc(), column)
        )
        rows = connection.execute(counted).all()
        return Facet(name, tuple(FacetValue(value, count) for value, count in rows))

    def _conditions(self, wanted: Wanted, *, without: str = "") -> list[ColumnElement[bool]]:
        state = State.SOLD if wanted.sold else State.ON_SALE
        found: list[ColumnElement[bool]] = [SaleItemRow.state == state.value]
        for word in folded(wanted.text).split()[:MAX_WORDS]:
            colour = func.lower(SaleItemRow.colour)
            found.append(
                or_(
                    SaleItemRow.words.contains(word, autoescape=True),
                    *(colour.contains(name) for name in sorted(names_of_colour(word))),
                )
            )
        if wanted.brand and without != "brand":
            keys = [self._brands.key(brand) for brand in wanted.brand]
            found.append(SaleItemRow.brand_key.in_(keys))
        for name in ("category", "grade", "colour"):
            values = getattr(wanted, name)
            if values and without != name:
                found.append(getattr(SaleItemRow, name).in_(values))
        if wanted.from_krw is not None:
            found.append(SaleItemRow.price_krw >= wanted.from_krw)
        if wanted.to_krw is not None:
            found.append(SaleItemRow.price_krw <= wanted.to_krw)
        if wanted.codes:
            found.append(SaleItemRow.code.in_(wanted.codes))
        return found

    def _row(self, connection: Connection, listing: Listing, event: ListingEvent) -> dict[str, Any]:
        assert listing.code is not None
        assert listing.grade is not None
        assert listing.price_krw is not None
        chosen = select(ProductRow.__table__).where(ProductRow.code == listing.code)
        product = connection.execute(chosen).one_or_none()
        known = {
            name: None if product is None else getattr(product, name)
            for name in ("brand", "name", "category", "colour")
        }
        spellings = self._brands.spellings(known["brand"] or "")
        words = [listing.code, *spellings, *known.values(), listing.size, listing.text]
        if known["category"]:  # found as it is named on Korean pages, too
            words.append(translations("ko").gettext(known["category"].casefold()))
        before = connection.execute(
            select(SaleItemRow.offered_at).where(SaleItemRow.listing_id == listing.id)
        ).scalar()
        offered = now() if before is None or event.step is StepName.OFFER else before
        return {
            **known,
            "listing_id": listing.id,
            "state": listing.state.value,
            "code": listing.code,
            "brand_key": self._brands.key(known["brand"] or ""),
            "grade": listing.grade.value,
            "price_krw": listing.price_krw,
            "words": folded(" ".join(word for word in words if word)),
            "offered_at": offered,
            "sold_at": now() if listing.state is State.SOLD else None,
        }


def _rows(
    connection: Connection,
    fit: Sequence[ColumnElement[bool]],
    order: Order,
    *,
    limit: int,
    offset: int = 0,
) -> Sequence[Any]:
    by = {
        Order.NEWEST: SaleItemRow.offered_at.desc(),
        Order.CHEAPEST: SaleItemRow.price_krw,
        Order.DEAREST: SaleItemRow.price_krw.desc(),
    }[order]
    chosen = (
        select(*_SHOWN)
        .join(SaleItemRow, SaleItemRow.listing_id == ListingRow.id)
        .where(*fit)
        .order_by(by, SaleItemRow.listing_id)
    )
    return connection.execute(chosen.limit(limit).offset(offset)).all()
