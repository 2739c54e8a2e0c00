"""Listings in the database: made, filled, submitted, moved from state to state, listed.

A step and whatever belongs to it happen in one transaction: see `satchel.market.listings.changes`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, exists, func, insert, select, update

from satchel.catalog.database import inserted_id, writing
from satchel.catalog.tables import ProductRow, now
from satchel.errors import CatalogueError, Forbidden, StateConflict, UsageError
from satchel.market.accounts.consents import About, agree
from satchel.market.desk.tables import HOLDS, CertificateRow
from satchel.market.listings.changes import (
    Outbox,
    as_listings,
    events_of,
    read_listing,
    take,
    write,
)
from satchel.market.listings.fields import ListingFields
from satchel.market.listings.records import Listing, ListingEvent, ListingPhoto
from satchel.market.listings.states import EDITABLE, Actor, State, StepName
from satchel.market.listings.tables import ListingEventRow, ListingRow

ID_BYTES: Final = 9
MAX_DRAFTS: Final = 50
"""Drafts of one seller, at most: each holds photos."""

PAGE: Final = 48

CONSENT: Final = "consent_gallery"
AGREE: Final = "agree"
"""Kind of the event by which a seller lets the gallery have photos, or no longer."""


class ListingStore:
    """Reads and writes listings.

    Args:
        outbox: receives every event within its transaction; an attribute too.
        consent: version of what sellers agree to who let the gallery have photos.
    """

    def __init__(self, engine: Engine, outbox: Outbox | None = None, *, consent: str = "1") -> None:
        self._engine = engine
        self._consent = consent
        self.outbox = outbox

    def create(self, actor: Actor, *, reuse: bool = False) -> Listing:
        """Make an empty draft of this seller.

        Args:
            reuse: take the seller's newest draft that nothing was done with yet, if there is one: a
                button that is pressed twice makes one draft.

        Raises:
            UsageError: the seller has too many drafts.
        """
        assert actor.account is not None
        mine = (ListingRow.seller_id == actor.account) & (ListingRow.state == State.DRAFT.value)
        untouched = select(ListingRow.public_id).where(mine, ListingRow.version == 1)
        public_id = secrets.token_urlsafe(ID_BYTES)
        with writing(self._engine) as connection, connection.begin():
            there = connection.scalar(untouched.order_by(ListingRow.id.desc()).limit(1))
            if reuse and there is not None:
                return read_listing(connection, there)
            if (connection.scalar(select(func.count()).where(mine)) or 0) >= MAX_DRAFTS:
                raise UsageError(
                    f"expected at most {MAX_DRAFTS} drafts of one seller; submit or withdraw some"
                )
            row = {"public_id": public_id, "seller_id": actor.account}
            number = inserted_id(connection, insert(ListingRow).values(**row))
            event = {"listing_id": number, "actor_id": actor.account, "kind": "create"}
            state = {"from_state": None, "to_state": State.DRAFT.value}
            connection.execute(insert(ListingEventRow).values(**event, **state, details={}))
            return read_listing(connection, public_id)

    def get(self, public_id: str) -> Listing:
        """Return a listing.

        Raises:
            UnknownListing: there is none.
        """
        with self._engine.connect() as connection:
            return read_listing(connection, public_id)

    def own(self, public_id: str, actor: Actor) -> Listing:
        """Return a listing that this actor may change now.

        Raises:
            UnknownListing, Forbidden, StateConflict: see `editable`.
        """
        with self._engine.connect() as connection:
            return editable(connection, public_id, actor)

    def events(self, public_id: str) -> list[ListingEvent]:
        """Return what happened to a listing, the first event first.

        Raises:
            UnknownListing: there is none.
        """
        with self._engine.connect() as connection:
            return events_of(connection, read_listing(connection, public_id))

    def change(
        self,
        public_id: str,
        fields: ListingFields,
        actor: Actor,
        *,
        version: int | None = None,
    ) -> Listing:
        """Change what the seller says of the good.

        Args:
            version: that the change was made to; default, the newest.

        Raises:
            UnknownListing: there is none.
            Forbidden: it is another seller's.
            StateConflict: it can no longer be changed, or is not of that version any more.
            CatalogueError: no product has the code.
        """
        values = fields.changes()
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor, version)
            if values.get("code"):
                _require_code(connection, str(values["code"]))
            if not values:
                return listing
            changed = {"fields": sorted(_differing(listing, values))}
            self._agree(connection, listing, bool(values.get(CONSENT, listing.consent_gallery)))
            return write(connection, listing, values, actor, kind="change", details=changed)

    def agree(self, public_id: str, given: bool, actor: Actor) -> Listing:
        """Let the gallery have the photos once the good is certified, or no longer; at any time.

        Raises:
            UnknownListing: there is none.
            Forbidden: it is another seller's.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            _require_own(listing, actor)
            if given == listing.consent_gallery:
                return listing
            self._agree(connection, listing, given)
            values, details = {CONSENT: given}, {"given": given}
            return write(
                connection, listing, values, actor,
                kind=AGREE, details=details, outbox=self.outbox,
            )  # fmt: skip

    def remember_answer(
        self,
        public_id: str,
        answer: Mapping[str, Any],
        actor: Actor,
        *,
        photos: Collection[ListingPhoto],
    ) -> Listing:
        """Keep what identification said of these photos, in any order, with their boxes.

        Raises:
            StateConflict: photos or boxes changed meanwhile.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = editable(connection, public_id, actor)
            if set(listing.photos) != set(photos):
                raise StateConflict(
                    "the photos of this listing were changed while they were identified; try again",
                    state=listing.state.value,
                )
            return write(connection, listing, {"machine": dict(answer)}, actor, kind="identify")

    def step(
        self,
        public_id: str,
        name: StepName,
        actor: Actor,
        *,
        details: Mapping[str, Any] | None = None,
    ) -> Listing:
        """Take a step that needs nothing but its actor.

        Raises:
            UnknownListing: there is none.
            StateConflict: see `satchel.market.listings.changes.take`.
            UsageError: the listing is not complete enough for it.
        """
        with writing(self._engine) as connection, connection.begin():
            listing = read_listing(connection, public_id)
            values: dict[str, Any] = {}
            if name is StepName.SUBMIT:
                require_complete(listing)
                if listing.state is State.PHOTOS_ASKED:
                    _require_answer(listing, events_of(connection, listing))
                values["submitted_at"] = listing.submitted_at or now()  # keeps its place in line
            elif name is StepName.REVISE:
                values.update(round=listing.round + 1, submitted_at=None)
            elif name is StepName.OFFER and listing.price_krw is None:
                raise UsageError("expected a price before the good goes on sale; set price_krw")
            after = take(
                connection,
                listing,
                name,
                actor,
                values=values,
                details=details,
                outbox=self.outbox,
            )
            own = CertificateRow.listing_id == listing.id
            if name is StepName.REVISE:  # photos may be of another good from now on
                superseded = update(CertificateRow).where(own, HOLDS)
                connection.execute(superseded.values(superseded_at=now()))
            elif name is StepName.OFFER and not connection.scalar(
                select(exists().where(own, HOLDS))
            ):
                raise StateConflict(
                    "the certificate of this listing no longer holds; withdraw, revise and submit "
                    "it to have it certified again",
                    state=listing.state.value,
                )
            return after

    def _agree(self, connection: Connection, listing: Listing, given: bool) -> None:
        """Record a consent that changes."""
        if given != listing.consent_gallery:
            subject = f"listing:{listing.public_id}"
            agree(
                connection, listing.seller, About.GALLERY, self._consent, now(),
                given=given, subject=subject,
            )  # fmt: skip

    def of_seller(
        self, account: int, *, states: Collection[State] = (), page: int = 1
    ) -> tuple[int, list[Listing]]:
        """Return how many listings a seller has, and a page of them, the last changed first."""
        chosen = select(ListingRow.__table__).where(ListingRow.seller_id == account)
        if states:
            chosen = chosen.where(ListingRow.state.in_([state.value for state in states]))
        latest = chosen.order_by(ListingRow.changed_at.desc(), ListingRow.id.desc())
        with self._engine.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            rows: Sequence[Any] = connection.execute(
                latest.limit(PAGE).offset(PAGE * (page - 1))
            ).all()
            return total, as_listings(connection, rows)

    def count_by_state(self, account: int) -> dict[State, int]:
        """Return how many listings a seller has in each state that occurs."""
        chosen = (
            select(ListingRow.state, func.count())
            .where(ListingRow.seller_id == account)
            .group_by(ListingRow.state)
        )
        with self._engine.connect() as connection:
            counts = {State(state): count for state, count in connection.execute(chosen)}
        return {state: counts[state] for state in State if state in counts}


def editable(
    connection: Connection, public_id: str, actor: Actor, version: int | None = None
) -> Listing:
    """Return a listing that this actor may change now.

    Raises:
        UnknownListing: there is none.
        Forbidden: it is another seller's.
        StateConflict: its state does not allow it, or it is not of that version any more.
    """
    listing = read_listing(connection, public_id)
    _require_own(listing, actor)
    if listing.state not in EDITABLE:
        words = listing.state.value.replace("_", " ")
        raise StateConflict(
            f"a listing can be changed as a draft, or when photos were asked for; this one is "
            f"{words}",
            state=listing.state.value,
        )
    if version is not None and version != listing.version:
        raise StateConflict(
            f"this listing was changed since version {version} (it is at {listing.version}); "
            "reload it and try again",
            state=listing.state.value,
        )
    return listing


def _require_own(listing: Listing, actor: Actor) -> None:
    if listing.seller != actor.account:
        raise Forbidden("this listing is another seller's; only its seller may change it")


def require_complete(listing: Listing) -> None:
    """Check that an expert can work with a listing.

    Raises:
        UsageError: what is missing.
    """
    missing = [
        name
        for name, there in (
            ("a photo", listing.photos),
            ("a style code, or a description of a missing product", listing.code
             or listing.proposed),
            ("a condition grade", listing.grade),
        )
        if not there
    ]  # fmt: skip
    if missing:
        raise UsageError(f"expected {', '.join(missing)} before the listing is submitted")


def _differing(listing: Listing, values: Mapping[str, object]) -> list[str]:
    """Names of the values that a listing does not have yet: forms send all that they show."""
    return [name for name, value in values.items() if value != getattr(listing, name)]


def _require_answer(listing: Listing, events: Sequence[ListingEvent]) -> None:
    """Check that a seller answers an expert who asked for photos: with a photo, or in words.

    Raises:
        UsageError: neither was added since.
    """
    last = max(at for at, event in enumerate(events) if event.step is StepName.ASK_PHOTOS)
    shown = {photo.sha256 for photo in listing.photos}
    for event in events[last:]:
        said = set(event.details.get("fields", ())) & {"text", "defects"}
        if event.details.get("sha256") in shown or any(getattr(listing, name) for name in said):
            return
    names = ", ".join(name.replace("_", " ") for name in events[last].details["photos"])
    raise UsageError(
        f"expected the photos that the expert asked for before the listing is submitted again: "
        f"{names}; add one, or say in the description or the defects why it cannot be shown"
    )


def _require_code(connection: Connection, code: str) -> None:
    if connection.scalar(select(ProductRow.id).where(ProductRow.code == code)) is None:
        raise CatalogueError(
            f"no product has the code {code!r}; search the catalogue, or describe the product"
        )
