"""An expert decides: certify, reject, ask for photos; and certificates are issued and revoked.

Above a price two experts must agree. Where they do not, an admin decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, insert, select, update

from satchel.catalog.database import writing
from satchel.catalog.tables import ProductRow, now
from satchel.errors import CatalogueError, Forbidden, StateConflict, UnknownListing, UsageError
from satchel.market.desk.opinions import record, standing_of
from satchel.market.desk.queue import require_claim
from satchel.market.desk.records import (
    MAX_ASKED,
    MAX_ASKED_CHARS,
    Certificate,
    OpinionKind,
    Reason,
)
from satchel.market.desk.tables import HOLDS, CertificateRow
from satchel.market.listings.changes import Outbox, read_listing, take, write
from satchel.market.listings.fields import Grade
from satchel.market.listings.records import Listing
from satchel.market.listings.states import STEPS, Actor, State, StepName
from satchel.market.listings.tables import ListingRow
from satchel.market.roles import Role
from satchel.market.sale.reservations import Outcome, end
from satchel.records import PRODUCT_FIELDS

ID_BYTES: Final = 12
MAX_TEXT_CHARS: Final = 2_000
MAX_SECONDS: Final = 24 * 60 * 60.0
REVOKED: Final = "revoke_certificate"
"""Kind of the event by which a certificate is revoked whose listing stays where it is."""

NOBODY: Final = {"claimed_by": None, "claimed_until": None}


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decides on listings that an expert has claimed.

    Attributes:
        second_from_krw: price in won from which two experts must agree; None for never.
    """

    engine: Engine
    second_from_krw: int | None = None
    outbox: Outbox | None = None

    def certify(
        self,
        public_id: str,
        code: str,
        actor: Actor,
        *,
        seconds: float,
        grade: Grade | None = None,
        text: str = "",
    ) -> Listing:
        """Certify that a listing shows the product of this code, which need not be the seller's.

        Args:
            grade: as the expert sees it; default, the seller's.
            seconds: of the expert's time, in [0, 86400].

        Returns:
            The listing: certified, or, where a second opinion is needed, waiting for it.

        Raises:
            UnknownListing, StateConflict: there is none, or this expert has not claimed it.
            CatalogueError: no product has the code.
            UsageError: text or seconds are out of range, or there is no grade.
        """
        with writing(self.engine) as connection, connection.begin():
            listing = self._claimed(connection, public_id, actor, text, seconds)
            product = _product(connection, code)
            final = grade or listing.grade
            if final is None:
                raise UsageError("expected a condition grade; the seller gave none")
            self._record(
                connection, listing, actor, OpinionKind.CERTIFY, seconds, code=code, text=text
            )
            if self._waits(connection, listing, actor):
                return self._second_opinion(connection, listing, actor)
            values = {"code": code, "proposed": None, "grade": final.value, **NOBODY}
            details = {"code": code, "corrected": code != listing.code}
            certificate = _issue(connection, listing, product, final)
            return take(
                connection,
                listing,
                StepName.CERTIFY,
                actor,
                values=values,
                details={**details, "certificate": certificate},
                outbox=self.outbox,
            )

    def reject(
        self, public_id: str, reason: Reason, actor: Actor, *, seconds: float, text: str = ""
    ) -> Listing:
        """Reject a listing, saying why.

        Raises:
            UnknownListing, StateConflict: there is none, or this expert has not claimed it.
            UsageError: text or seconds are out of range, or `OTHER` comes without a text.
        """
        if reason is Reason.OTHER and not text.strip():
            raise UsageError("expected a text that says why, for a reason that is not on the list")
        with writing(self.engine) as connection, connection.begin():
            listing = self._claimed(connection, public_id, actor, text, seconds)
            self._record(
                connection, listing, actor, OpinionKind.REJECT, seconds, reason=reason, text=text
            )
            if standing_of(connection, listing).disputed and actor.role is not Role.ADMIN:
                return self._second_opinion(connection, listing, actor)
            details = {"reason": reason.value, "text": text}
            return take(
                connection,
                listing,
                StepName.REJECT,
                actor,
                values=NOBODY,
                details=details,
                outbox=self.outbox,
            )

    def ask(
        self, public_id: str, photos: Sequence[str], actor: Actor, *, seconds: float, text: str = ""
    ) -> Listing:
        """Ask the seller for photos, by name or in words.

        Raises:
            UnknownListing, StateConflict: there is none, or this expert has not claimed it.
            UsageError: there are none, too many, or their names are too long.
        """
        wanted = [name.strip() for name in photos if name.strip()]
        if not 1 <= len(wanted) <= MAX_ASKED or any(len(one) > MAX_ASKED_CHARS for one in wanted):
            raise UsageError(
                f"expected 1 to {MAX_ASKED} photos to ask for, of {MAX_ASKED_CHARS} characters at "
                "most each"
            )
        with writing(self.engine) as connection, connection.begin():
            listing = self._claimed(connection, public_id, actor, text, seconds)
            self._record(
                connection,
                listing,
                actor,
                OpinionKind.ASK_PHOTOS,
                seconds,
                text=text,
                photos_asked=wanted,
            )
            return take(
                connection,
                listing,
                StepName.ASK_PHOTOS,
                actor,
                values=NOBODY,
                details={"photos": wanted, "text": text},
                outbox=self.outbox,
            )

    def revoke(self, certificate: str, actor: Actor, why: str) -> Listing:
        """Revoke a certificate, whatever became of its listing.

        A good that is for sale under it goes back to its seller as rejected; a reservation of it is
        cancelled. One that is sold or withdrawn, or was certified anew, stays where it is.

        Raises:
            UsageError: it does not say why.
            UnknownListing: there is no such certificate.
            StateConflict: it was revoked before.
            Forbidden: the actor is no admin.
        """
        if actor.role is not Role.ADMIN:
            raise Forbidden("certificates are revoked by an admin")
        if not why.strip() or len(why) > MAX_TEXT_CHARS:
            raise UsageError(f"expected why, in at most {MAX_TEXT_CHARS:,} characters")
        with writing(self.engine) as connection, connection.begin():
            found = _certificate(connection, certificate)
            listing = read_listing(connection, found.listing)
            values = {"revoked_at": now(), "revoked_by": actor.account, "revoked_why": why}
            still = (CertificateRow.public_id == certificate) & CertificateRow.revoked_at.is_(None)
            if not connection.execute(update(CertificateRow).where(still).values(values)).rowcount:
                raise StateConflict(
                    "this certificate was revoked before", state=listing.state.value
                )
            details = {"certificate": certificate, "why": why}
            if found.holds and listing.state is State.RESERVED:
                listing = end(connection, listing, Outcome.CANCELLED, actor, self.outbox)
            if not found.holds or listing.state not in STEPS[StepName.REVOKE].sources:
                return write(
                    connection, listing, {}, actor,
                    kind=REVOKED, details=details, outbox=self.outbox,
                )  # fmt: skip
            return take(
                connection, listing, StepName.REVOKE, actor, details=details, outbox=self.outbox
            )

    def certificate(self, public_id: str) -> Certificate:
        """Return a certificate.

        Raises:
            UnknownListing: there is none.
        """
        with self.engine.connect() as connection:
            return _certificate(connection, public_id)

    def certificate_of(self, listing: Listing) -> Certificate | None:
        """Return the certificate of a listing that holds, if there is one."""
        chosen = (
            select(CertificateRow.public_id)
            .where(CertificateRow.listing_id == listing.id, HOLDS)
            .order_by(CertificateRow.id.desc())
            .limit(1)
        )
        with self.engine.connect() as connection:
            found = connection.scalar(chosen)
            return None if found is None else _certificate(connection, found)

    def _claimed(
        self, connection: Connection, public_id: str, actor: Actor, text: str, seconds: float
    ) -> Listing:
        if not 0 <= seconds <= MAX_SECONDS:
            raise UsageError(f"expected 0 to {MAX_SECONDS:,.0f} seconds, got {seconds}")
        if len(text) > MAX_TEXT_CHARS:
            raise UsageError(f"expected at most {MAX_TEXT_CHARS:,} characters, got {len(text):,}")
        listing = read_listing(connection, public_id)
        require_claim(listing, actor)
        return listing

    def _record(
        self,
        connection: Connection,
        listing: Listing,
        actor: Actor,
        kind: OpinionKind,
        seconds: float,
        **said: Any,
    ) -> None:
        assert actor.account is not None
        record(connection, listing, actor.account, kind, seconds=seconds, **said)

    def _waits(self, connection: Connection, listing: Listing, actor: Actor) -> bool:
        """Whether another opinion is needed, now that this actor certified."""
        standing = standing_of(connection, listing)
        if standing.disputed:
            return actor.role is not Role.ADMIN
        dear = (
            self.second_from_krw is not None
            and listing.price_krw is not None
            and listing.price_krw >= self.second_from_krw
        )
        return dear and len(standing.opinions) < 2

    def _second_opinion(self, connection: Connection, listing: Listing, actor: Actor) -> Listing:
        return take(
            connection, listing, StepName.SECOND_OPINION, actor, values=NOBODY, outbox=self.outbox
        )


def _product(connection: Connection, code: str) -> dict[str, str | None]:
    chosen = select(ProductRow.__table__).where(ProductRow.code == code)
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise CatalogueError(f"no product has the code {code!r}; search the catalogue")
    return {"code": row.code, **{name: getattr(row, name) for name in PRODUCT_FIELDS}}


def _issue(
    connection: Connection, listing: Listing, product: dict[str, str | None], grade: Grade
) -> str:
    public_id = secrets.token_urlsafe(ID_BYTES)
    connection.execute(
        insert(CertificateRow).values(
            public_id=public_id,
            listing_id=listing.id,
            code=product["code"],
            product={name: product[name] for name in PRODUCT_FIELDS},
            grade=grade.value,
            photos=[photo.sha256 for photo in listing.photos],
            experts=[
                one.expert
                for one in standing_of(connection, listing).opinions
                if one.kind is OpinionKind.CERTIFY and one.code == product["code"]
            ],
        )
    )
    return public_id


def _certificate(connection: Connection, public_id: str) -> Certificate:
    chosen = (
        select(CertificateRow.__table__, ListingRow.public_id.label("listing"))
        .join(ListingRow, ListingRow.id == CertificateRow.listing_id)
        .where(CertificateRow.public_id == public_id)
    )
    row = connection.execute(chosen).one_or_none()
    if row is None:
        raise UnknownListing(
            f"there is no certificate {public_id!r}; scan its code, or type its number"
        )
    return Certificate(
        public_id=row.public_id,
        listing=row.listing,
        code=row.code,
        product=row.product,
        grade=Grade(row.grade),
        photos=tuple(row.photos),
        experts=tuple(row.experts),
        issued_at=row.issued_at,
        revoked_at=row.revoked_at,
        revoked_why=row.revoked_why,
        superseded_at=row.superseded_at,
    )
