"""What all requests to the resale service share."""

from __future__ import annotations

from datetime import timedelta
from threading import BoundedSemaphore
from typing import Annotated, Any

from fastapi import Depends, Request

from satchel.decoding.decoder import IN_PROCESS, Decoder
from satchel.fetch.client import FetchClient
from satchel.images import thumbnail
from satchel.market.accounts.audit import AuditLog
from satchel.market.accounts.entry import Entry
from satchel.market.accounts.identities import IdentityStore
from satchel.market.accounts.keys import KeyStore
from satchel.market.accounts.mail import ConsoleMailer, Mailer, Postbox
from satchel.market.accounts.outbox import Direct, Jobs
from satchel.market.accounts.passkeys import PasskeyStore
from satchel.market.accounts.passwords import Passwords
from satchel.market.accounts.providers import Flow, providers_of
from satchel.market.accounts.sessions import Lifetimes, SessionStore
from satchel.market.accounts.store import AccountStore
from satchel.market.desk.regions import RegionFinder
from satchel.market.goods import Goods
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.readings import PhotoReadings
from satchel.market.privacy.public_photos import PublicPhotos
from satchel.market.sale.searches import SavedSearches
from satchel.market.terms import Terms
from satchel.market.webhooks.records import By
from satchel.parallel import cores
from satchel.web.addresses import Networks
from satchel.web.kept import Kept
from satchel.web.market.rates import Rates
from satchel.web.visitors import Visitor, market_of
from satchel.workflows.jobs import webhooks_of
from satchel.workflows.read import CatalogueCodes
from satchel.workspace import Workspace


class MarketState:
    """The stores of the resale service, and what sends its e-mails. Thread-safe.

    Attributes:
        settings: `[market]`.
        models: folder of the encoders, where a proposed one is named.
        terms: that people accept.
        entry: registration, log-in, passwords.
        photos: of listings, as sellers and experts see them.
        regions: that photos of listings and of the catalogue have in common.
        searches: that accounts saved.
        readings: what is written on photos of listings.
        codes: of the catalogue, to be found in that.
        webhooks: programs that are informed of what happens.
        public_photos: of listings, as everybody sees them.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        decoder: Decoder = IN_PROCESS,
        mailer: Mailer | None = None,
    ) -> None:
        """Open the stores.

        Args:
            decoder: decodes sellers' photos.
            mailer: sends e-mails here; default, `satchel worker` does by SMTP, or they are printed.

        Raises:
            ModuleNotFoundError: the extra `market` is not installed.
            WorkspaceError: the terms cannot be read.
        """
        self.settings = workspace.settings.market
        self.terms = Terms.of(self.settings, workspace.folder)
        self.engine = engine = workspace.catalogue.engine
        self.models = workspace.models
        lifetimes = Lifetimes(
            timedelta(hours=self.settings.session_idle_hours),
            timedelta(days=self.settings.session_days),
        )
        self.accounts = AccountStore(engine)
        self.sessions = SessionStore(engine, lifetimes)
        self.keys = KeyStore(engine)
        self.audit = AuditLog(engine)
        self.searches = SavedSearches(engine)
        self.goods = Goods.of(
            engine,
            workspace.catalogue.brands,
            second_from_krw=self.settings.second_expert_from_krw or None,
            consent=self.settings.consent,
        )
        store, limits = workspace.market_photos, workspace.settings.photos.limits()
        self._decoder, self._limits = decoder, limits
        self._thumbnails = BoundedSemaphore(cores())
        self.photos = ListingPhotos(engine, store, decoder, limits)
        self.regions = RegionFinder(store, workspace.photos, decoder, limits)
        self.readings = PhotoReadings(engine)
        self.codes = CatalogueCodes(workspace)
        self.public_photos = PublicPhotos.of(workspace, decoder)
        self.webhooks = webhooks_of(workspace)
        self.rates = Rates(
            self.settings.requests_per_minute, Networks(workspace.settings.serve.proxies)
        )
        self.postbox = Postbox(mailer or ConsoleMailer())
        by_worker = mailer is None and self.settings.mail.by == "smtp"
        self.post = Jobs() if by_worker else Direct(self.settings.url, self.postbox)
        self.entry = Entry(engine, Passwords(), post=self.post)
        client = FetchClient(workspace.settings.fetch.rules())
        self.providers = providers_of(self.settings, client)
        self.identities = IdentityStore(engine, self.post)
        self.flows: Kept[Flow] = _kept()
        self.passkeys = PasskeyStore(engine, self.post, self.settings.url)
        self.challenges: Kept[bytes] = _kept()

    def small(self, data: bytes, side_px: int) -> bytes:
        """Return a small JPEG of a photo of a listing.

        Raises:
            PhotoError: it cannot be decoded.
        """
        with self._thumbnails:
            return thumbnail(data, side_px, self._limits, decoder=self._decoder)


def _kept() -> Kept[Any]:
    """What is kept for a browser while its person is away to log in."""
    return Kept(max_bytes=10_000, max_count=10_000, max_of_session=5, max_age_s=10 * 60)


async def _required(request: Request) -> MarketState:  # async: in no thread
    market = market_of(request)
    assert market is not None  # its routes are there only where it is
    return market


def by_of(visitor: Visitor) -> By:
    """Return who makes a request, for the audit log."""
    return By(visitor.account.id if visitor.account else None, visitor.address)


Market = Annotated[MarketState, Depends(_required)]
"""Dependency type: the `MarketState` of the endpoint's application."""
