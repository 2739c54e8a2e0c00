"""What `satchel worker` does: the table of jobs' kinds, and deleting old jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Final

from satchel.catalog.tables import now
from satchel.collect.crawl import Portion
from satchel.decoding.decoder import IN_PROCESS
from satchel.errors import AlreadyRunning
from satchel.extras import missing_module
from satchel.fetch.client import FetchClient
from satchel.jobs.records import Arguments, Handler, Handlers, Lease, Stopped
from satchel.market.accounts.mail import SmtpMailer, mailer_of
from satchel.market.accounts.outbox import JOB as MAIL
from satchel.market.accounts.outbox import MailHandler
from satchel.market.goods import Goods
from satchel.market.listings.photos import ListingPhotos
from satchel.market.listings.readings import READ_PHOTOS
from satchel.market.outbox import EXPIRE, PREPARE_PHOTOS, TAKE_PHOTOS
from satchel.market.privacy.public_photos import PublicPhotos
from satchel.market.privacy.retention import REMOVE_OLD, remove_old
from satchel.market.sale import search_mails
from satchel.market.sale.shelf import Shelf
from satchel.market.webhooks.publish import BACKOFF as WEBHOOK_BACKOFF
from satchel.market.webhooks.publish import KIND as WEBHOOK
from satchel.market.webhooks.sending import Sender
from satchel.market.webhooks.store import WebhookStore, prune_deliveries
from satchel.workflows.collect import collect_photos
from satchel.workflows.collections import FETCH
from satchel.workflows.index import index_catalogue
from satchel.workflows.learn import learn_photos
from satchel.workflows.read import ListingReader
from satchel.workspace import Workspace

COLLECTS_AGAIN: Final = timedelta(minutes=1)
"""Wait of the job that collects while another run holds the collection's lock."""

Run = Callable[[Workspace, Lease, Arguments], Arguments | None]


def handlers_of(workspace: Workspace) -> Handlers:
    """Return what a worker of this workspace can do: kind of job → its handler."""

    def bound(run: Run) -> Callable[[Lease, Arguments], Arguments | None]:
        return lambda lease, arguments: run(workspace, lease, arguments)

    webhooks = Sender(workspace.catalogue.engine, FetchClient(workspace.settings.fetch.rules()))
    market = workspace.settings.market
    letters = MailHandler(workspace.catalogue.engine, market.url, SmtpMailer(market.mail))
    searches = search_mails.SearchMails(
        workspace.catalogue.engine,
        Shelf(workspace.catalogue.engine, workspace.catalogue.brands),
        market.url,
        mailer_of(market.mail),
    )
    return {
        "index": Handler(bound(_index), deadline_s=24 * 60 * 60),
        MAIL: Handler(letters.run, deadline_s=120),
        TAKE_PHOTOS: Handler(bound(_take_photos), deadline_s=24 * 60 * 60),
        EXPIRE: Handler(bound(_expire)),
        PREPARE_PHOTOS: Handler(bound(_prepare_photos)),
        search_mails.MATCH: Handler(searches.match),
        search_mails.MAIL: Handler(searches.mail, deadline_s=120),
        REMOVE_OLD: Handler(bound(_remove_old)),
        READ_PHOTOS: Handler(partial(_read_photos, ListingReader(workspace))),
        FETCH: Handler(bound(_collect), deadline_s=24 * 60 * 60),
        WEBHOOK: Handler(webhooks.run, WEBHOOK_BACKOFF, deadline_s=120),
    }


def webhooks_of(workspace: Workspace) -> WebhookStore:
    """Return the workspace's webhooks."""
    client = FetchClient(workspace.settings.fetch.rules())
    return WebhookStore(workspace.catalogue.engine, client)


def begin_removing(workspace: Workspace) -> None:
    """Have the job that deletes what is over its time; it comes back every day by itself."""
    if workspace.settings.market.enabled:
        workspace.jobs.add(REMOVE_OLD, {}, unique_key=REMOVE_OLD)


def prune_jobs(workspace: Workspace) -> int:
    """Delete jobs that finished longer ago than the settings keep them; return how many.

    What webhooks were sent is kept as long as failed jobs are.
    """
    settings, at = workspace.settings.jobs, now()
    prune_deliveries(
        workspace.catalogue.engine, before=at - timedelta(days=settings.keep_failed_days)
    )
    return workspace.jobs.prune(
        done_before=at - timedelta(days=settings.keep_done_days),
        failed_before=at - timedelta(days=settings.keep_failed_days),
    )


def _remove_old(workspace: Workspace, _lease: Lease, _arguments: Arguments) -> Arguments:
    """Delete what is over its time, files last, and come back tomorrow."""
    catalogue, settings = workspace.catalogue, workspace.settings
    outbox = Goods.of(catalogue.engine, catalogue.brands).listings.outbox
    removed = remove_old(catalogue.engine, settings.market.keep, now(), outbox=outbox)
    photos, public = _photos(workspace), PublicPhotos.of(workspace)
    for sha256 in photos.sweep():
        public.forget(sha256)
    workspace.jobs.add(REMOVE_OLD, {}, unique_key=REMOVE_OLD, delay=timedelta(days=1))
    return {**asdict(removed), "photos": len(removed.photos)}


def _photos(workspace: Workspace) -> ListingPhotos:
    limits = workspace.settings.photos.limits()
    return ListingPhotos(workspace.catalogue.engine, workspace.market_photos, IN_PROCESS, limits)


def _index(workspace: Workspace, _lease: Lease, _arguments: Arguments) -> Arguments:
    """Embed the photos that are new, and write the index, as `satchel index` does."""
    result = index_catalogue(workspace)
    return {
        "embedded": result.embedded,
        "indexed": result.indexed,
        "problems": [str(problem) for problem in result.problems[:100]],
    }


def _take_photos(workspace: Workspace, _lease: Lease, _arguments: Arguments) -> Arguments:
    """Let the gallery have what was certified, and no longer what was revoked."""
    taken = learn_photos(workspace)
    return {"listings": taken.listings, "added": taken.added, "removed": taken.removed}


def _expire(workspace: Workspace, _lease: Lease, _arguments: Arguments) -> Arguments:
    """Put goods back on sale whose reservation has expired."""
    catalogue = workspace.catalogue
    return {"expired": Goods.of(catalogue.engine, catalogue.brands).reservations.expire()}


def _prepare_photos(workspace: Workspace, _lease: Lease, arguments: Arguments) -> Arguments:
    """Make the photos of a listing that everybody sees."""
    catalogue, public = workspace.catalogue, PublicPhotos.of(workspace)
    listing = Goods.of(catalogue.engine, catalogue.brands).listings.get(str(arguments["listing"]))
    for photo in listing.photos:
        public.prepare(photo.sha256)
    if listing.photos:
        public.preview(listing.photos[0].sha256)
    return {"photos": len(listing.photos)}


def _collect(workspace: Workspace, lease: Lease, _arguments: Arguments) -> Arguments:
    """Fetch what people chose on the page of collections, once no other run collects."""
    try:
        done = collect_photos(workspace, portion=Portion(chosen=True, stopping=lease.lost))
    except AlreadyRunning:
        raise Stopped(COLLECTS_AGAIN) from None
    if lease.lost():
        raise Stopped
    return {"finished": done.finished, "stopped": done.stopped, "ended": done.ended}


def _read_photos(reader: ListingReader, lease: Lease, arguments: Arguments) -> Arguments:
    """Read what is written on the photos of a listing; nothing where the extra is not installed."""
    if missing_module("ocr") is not None:
        return {"photos": 0, "missing": "the extra ocr"}
    return {"photos": reader.read(str(arguments["listing"]), stopping=lease.lost)}
