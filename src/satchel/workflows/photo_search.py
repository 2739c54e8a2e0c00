"""Photos of products at sources and in shops: what they name becomes candidates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from satchel.catalog.rows import RowProblem
from satchel.collect.codes import add_products, listed_products, read_codes
from satchel.collect.hosts import Patience
from satchel.collect.queries import Query, build_queries
from satchel.collect.searches import SearchStore
from satchel.collect.searching import Search, Searched, search
from satchel.collect.sources import FILES, open_source, opener
from satchel.collect.store import CandidateStore
from satchel.errors import AddressRefused, UsageError
from satchel.fetch.client import FetchClient
from satchel.progress import SILENT, Progress
from satchel.records import Product
from satchel.workflows.collecting import ANSWERS, collecting, fetch_rules, source_context
from satchel.workflows.refusals import Refusals
from satchel.workspace import Workspace

if TYPE_CHECKING:
    from satchel.collect.browser.check import PartCheck
    from satchel.collect.shops.reading import ShopRead


def wanted_products(
    workspace: Workspace,
    codes: Sequence[str] = (),
    path: Path | None = None,
    short_of: int | None = None,
    encoding: str | None = None,
    *,
    on_problem: Callable[[RowProblem], None] = lambda _: None,
    dry_run: bool = False,
) -> tuple[list[Product], int]:
    """Return the products to search photos for, and how many of them are new.

    Args:
        codes: of known products.
        path: a list of codes, whose unknown ones become products; with neither, all products.
        short_of: leave out products that have as many kept photos.
        on_problem: receives each row of the list whose code cannot be used.
        dry_run: write nothing.

    Raises:
        UsageError: a code is unknown, or the list cannot be read.
    """
    kept = workspace.catalogue.count_kept()
    if unknown := [code for code in codes if code not in kept]:
        closest = get_close_matches(unknown[0], kept, 1)
        hint = f"did you mean {closest[0]!r}? Name" if closest else "name"
        raise UsageError(
            f"expected a code of the catalogue, got {unknown[0]!r}; {hint} new ones in a file: "
            "--codes FILE"
        )
    chosen, listed, new = list(codes), list[Product](), list[Product]()
    if path is not None:
        read = read_codes(path, encoding, on_problem=on_problem)
        listed, new = listed_products(read, workspace.catalogue)
        if not dry_run:
            add_products(new, workspace.catalogue)
    elif not chosen:
        chosen = list(kept)
    known = workspace.catalogue.products_by_code(chosen)
    products = {code: known[code] for code in chosen if code in known}
    products |= {one.code: one for one in listed}
    return [
        product
        for code, product in products.items()
        if short_of is None or kept.get(code, 0) < short_of
    ], len(new)


def first_queries(workspace: Workspace, products: Sequence[Product]) -> list[list[Query]]:
    """Return the queries of products, as the settings' templates say.

    Raises:
        WorkspaceError: the workspace's list of brands is malformed.
    """
    rules, brands = workspace.settings.collect, workspace.catalogue.brands
    return [build_queries(one, rules.queries, rules.languages, brands) for one in products]


def search_photos(
    workspace: Workspace,
    sources: Sequence[str],
    queries: Sequence[Sequence[Query]],
    *,
    per_product: int | None = None,
    number: int = 1,
    deepest: Callable[[str], int | None] = lambda _: None,
    retry: bool = False,
    ignore_robots_of: Collection[str] = (),
    progress: Progress = SILENT,
) -> tuple[list[Searched], Refusals]:
    """Make queries at sources and record what they name; nothing is downloaded.

    Args:
        sources: their names.
        queries: of each product.
        per_product: candidates that one source names for one product, at most; default, as the
            settings say.
        number: of the round of searches.
        deepest: source → rank after which its photos are not worth recording; None for none.
        retry: make searches again that failed in earlier runs.
        ignore_robots_of: sources that are searched although their robots.txt does not allow it.

    Raises:
        UsageError: no contact is set, another process collects, or a source is unknown or cannot
            be used.
        StorageError, WorkspaceError: the database cannot be written.
    """
    for name in sources:
        opener(name, workspace.folder)
    rules, refusals, done = workspace.settings.collect, Refusals(), []
    with collecting(workspace) as headers, FetchClient(fetch_rules(workspace)) as client:
        if retry:
            SearchStore(workspace.catalogue.engine).forget_failed()
        context = source_context(workspace, client, headers, ignore_robots_of)
        into = _search_into(workspace, per_product or rules.per_product, number)
        for name in sources:
            progress.begin("search", len(queries))
            named = replace(into, deepest=deepest(name))
            with open_source(name, context) as source:
                done.append(
                    search(queries, source, name, named, on_problem=refusals.add, progress=progress)
                )
    return done, refusals


def read_shop_pages(
    workspace: Workspace,
    address: str,
    products: Sequence[Product],
    *,
    most_pages: int | None = None,
    retry: bool = False,
    again: bool = False,
    patience: Patience | None = None,
    progress: Progress = SILENT,
) -> tuple[ShopRead, Refusals]:
    """Read a shop's product pages and record the photos of products; nothing is downloaded.

    Args:
        address: of the shop, or of a sitemap of it.
        products: that photos are wanted of.
        most_pages: that are read, at most; default, as the settings say.
        retry: read pages again that failed in earlier runs.
        again: read all pages again.

    Raises:
        UsageError: no contact is set, another process collects, or the address cannot be used.
        StorageError, WorkspaceError: the database cannot be written.
    """
    from satchel.collect.shops.matching import Matcher  # noqa: PLC0415 - lxml takes a while
    from satchel.collect.shops.reading import read_shop  # noqa: PLC0415

    rules, refusals = workspace.settings.collect, Refusals()
    with collecting(workspace) as headers, FetchClient(fetch_rules(workspace)) as client:
        try:
            done = read_shop(
                address,
                Matcher(products, workspace.catalogue.brands),
                source_context(workspace, client, headers),
                _search_into(workspace, rules.per_product),
                most_pages=most_pages or rules.max_pages,
                patience=patience or Patience(),
                on_problem=refusals.add,
                retry=retry,
                again=again,
                progress=progress,
            )
        except AddressRefused as error:
            raise UsageError(f"{error} (a shop)") from None
    return done, refusals


def check_source(
    workspace: Workspace, name: str, ignore_robots_of: Collection[str] = ()
) -> tuple[list[PartCheck], Sequence[Path]]:
    """Make one search with known results at a source, and say which parts of it work.

    Returns:
        the parts, and, where one does not work, files with what the source answered.

    Raises:
        UsageError: no contact is set, another process collects, or the source is unknown or cannot
            be used.
    """
    from satchel.collect.browser import check  # noqa: PLC0415 - not needed to fetch
    from satchel.collect.browser.source import BrowserSource  # noqa: PLC0415

    with collecting(workspace) as headers, FetchClient(fetch_rules(workspace)) as client:
        context = source_context(workspace, client, headers, ignore_robots_of)
        with open_source(name, context) as source:
            if isinstance(source, BrowserSource):
                parts = check.check_source(source)
            else:
                parts = [check.check_api(source)]
            if all(one.works is not False for one in parts):
                return parts, ()
            answers = workspace.folder / FILES / ANSWERS
            answers.mkdir(exist_ok=True)
            return parts, source.save_answer(answers)


def _search_into(workspace: Workspace, per_product: int, number: int = 1) -> Search:
    engine = workspace.catalogue.engine
    return Search(
        workspace.catalogue,
        CandidateStore(engine),
        SearchStore(engine),
        fetch_rules(workspace),
        per_product,
        workspace.folder / FILES / ANSWERS,
        number,
    )
