"""What a source found becomes candidates; products that are not known yet are made by their code.

People's edits stand: codes that were renamed or merged are followed, deleted products stay out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import httpx2

from satchel.catalog.rows import RowProblem
from satchel.catalog.standing_edits import StandingEdits
from satchel.catalog.store import Catalogue
from satchel.collect.records import Found
from satchel.collect.store import CandidateStore
from satchel.errors import AddressRefused
from satchel.fetch.addresses import checked_url
from satchel.fetch.rules import FetchRules
from satchel.parallel import batched
from satchel.progress import SILENT, Progress

BATCH: Final = 500


@dataclass(slots=True)
class Recorded:
    """What became of a list, in URLs; `hosts` counts the new ones."""

    new: int = 0
    known: int = 0
    problems: int = 0
    new_products: int = 0
    hosts: Counter[str] = field(default_factory=Counter)


def record(
    found: Iterable[Found | RowProblem],
    source: str,
    catalogue: Catalogue,
    candidates: CandidateStore,
    *,
    rules: FetchRules,
    on_problem: Callable[[RowProblem], None],
    on_candidate: Callable[[Found], object] = bool,
    number: int = 1,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Recorded:
    """Make candidates of what was found, a batch at a time.

    Args:
        source: what found it.
        rules: what may be requested; other URLs are problems.
        on_candidate: receives what is a candidate now, new or known, as it is recorded.
        number: of the round of searches.
        dry_run: count what is new, and write nothing.

    Raises:
        StorageError, WorkspaceError: the database cannot be written.
    """
    done, standing = Recorded(), catalogue.edits.standing()
    for batch in batched(found, BATCH):
        usable: list[tuple[Found, str]] = []
        for named in batch:
            checked = (
                named
                if isinstance(named, RowProblem)
                else _check(named, rules, standing, catalogue)
            )
            if isinstance(checked, RowProblem):
                done.problems += 1
                on_problem(checked)
            else:
                usable.append(checked)
        known = candidates.known([found for found, _ in usable])
        taken: dict[tuple[str, str], tuple[Found, str]] = {}
        for one, host in usable:
            key = (one.code, one.url)
            if key in taken or key in known:
                done.known += 1
            else:
                taken[key] = (one, host)
        done.hosts.update(host for _, host in taken.values())
        done.new += len(taken)
        products = [one for one, _ in taken.values()]
        done.new_products += (
            _count_new(products, catalogue) if dry_run else _add(products, catalogue)
        )
        if not dry_run:
            candidates.add(taken.values(), source, number)
            for one, _ in usable:
                on_candidate(one)
        progress.advance(len(batch))
    return done


def _check(
    found: Found, rules: FetchRules, standing: StandingEdits, catalogue: Catalogue
) -> tuple[Found, str] | RowProblem:
    """Return the candidate to be, under the code of today, and its host."""
    code, merged = standing.current(found.code, catalogue.has_product)
    if code in standing.deleted and not catalogue.has_product(code):
        decision = standing.deleted[code]
        reason = (
            f"was deleted by decision {decision}; to have it again, "
            f"`satchel catalog undo {decision}`"
        )
        return RowProblem.of(found.line, "code", code, reason, code=code)
    try:
        url = checked_url(found.url, rules).copy_with(fragment=None)
    except AddressRefused as error:
        return RowProblem.of(found.line, "photo", found.url[:200], str(error), code=code)
    product = {} if merged else found.product
    thumbnail = _usable(found.thumbnail, rules)
    return (
        replace(found, code=code, url=str(url), thumbnail=thumbnail, product=product),
        host_of(url),
    )


def _usable(thumbnail: str | None, rules: FetchRules) -> str | None:
    """Return a thumbnail's URL if it may be requested; a photo can do without."""
    try:
        return thumbnail and str(checked_url(thumbnail, rules))
    except AddressRefused:
        return None


def host_of(url: httpx2.URL) -> str:
    """Return a URL's host, with its port where that is not the scheme's."""
    return url.host if url.port is None else f"{url.host}:{url.port}"


def _count_new(found: Sequence[Found], catalogue: Catalogue) -> int:
    return sum(not catalogue.has_product(code) for code in {one.code for one in found})


def _add(found: Sequence[Found], catalogue: Catalogue) -> int:
    """Add the products that are not known, with the values of their first URLs; return how many."""
    first: dict[str, Found] = {}
    for one in found:
        first.setdefault(one.code, one)
    added = 0
    with catalogue.writing() as writer:
        for one in first.values():
            if writer.product(one.code) is None:
                writer.add_product(one.code, one.product)
                added += 1
    return added
