"""After an edit of the catalogue: the index follows, and what is purged is erased everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from satchel.catalog.purge import Purge
from satchel.errors import IndexMissing
from satchel.search.indexing import build_index
from satchel.served import served_space
from satchel.workspace import Workspace


def refresh_index(workspace: Workspace) -> int:
    """Build the index from what is embedded; without anything embedded, remove it.

    No model is loaded and nothing is embedded: photos that are new are left to `satchel index`.

    Returns:
        how many photos are searched.
    """
    try:
        index = build_index(
            workspace.catalogue,
            served_space(workspace),
            workspace.index_path,
            workspace.settings.search,
        )
    except IndexMissing:
        workspace.index_path.unlink(missing_ok=True)
        return 0
    return len(index)


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """Result of a purge.

    Attributes:
        purge: what was erased.
        files: photo files deleted, those included that a killed run had left.
        reports: reports of curation with pictures of these photos, deleted.
        journal_emptied: False where another program reads the database, whose journal may still
            hold what was erased.
    """

    purge: Purge
    files: int
    reports: tuple[Path, ...]
    journal_emptied: bool


def purge_deleted(
    workspace: Workspace, until: datetime, *, by: str | None = None, why: str | None = None
) -> PurgeResult:
    """Erase what was deleted until then (UTC, without a time zone), which cannot be undone then."""
    return _purge(workspace, workspace.catalogue.purges.due(until).decisions, (), by, why)


def purge_photos(
    workspace: Workspace,
    photos: Sequence[str],
    *,
    by: str | None = None,
    why: str | None = None,
) -> PurgeResult:
    """Take photos, by SHA-256, out of every product and erase them.

    Raises:
        CatalogueError: there is no such photo; nothing is erased then.
    """
    found = workspace.catalogue.purges.holding(photos)
    return _purge(workspace, (), tuple(found), by, why)


def _purge(
    workspace: Workspace,
    decisions: Sequence[int],
    photos: Sequence[str],
    by: str | None,
    why: str | None,
) -> PurgeResult:
    """Rows first: a file without a row is deleted by the next purge, a row without is a fault."""
    store, purge, emptied = workspace.catalogue.purges, Purge((), ()), True
    if decisions or photos:
        purge, emptied = store.erase(decisions, photos, by=by, why=why)
    files = sum(workspace.photos.remove(name) for name in store.erased())
    if not purge.photos:
        return PurgeResult(purge, files, (), emptied)
    if workspace.index_path.exists():
        refresh_index(workspace)
    return PurgeResult(purge, files, tuple(_delete_reports(workspace, purge.photos)), emptied)


def _delete_reports(workspace: Workspace, photos: Sequence[str]) -> list[Path]:
    """Delete the reports of curation that show one of these photos."""
    deleted = []
    for figures in sorted(workspace.reports.glob("curate-*.json")):
        text = figures.read_text(encoding="utf-8", errors="replace")
        if any(photo in text for photo in photos):
            page = figures.with_suffix(".html")
            page.unlink(missing_ok=True)
            figures.unlink()
            deleted.append(page)
    return deleted
