"""`satchel calibrate`: how sure answers are, measured on photos whose products are known.

Photos as people send them, each with its code, go the way that an identification goes; a code
that the catalogue does not have stands for an item that is not in it. What comes out counts from
then on, in this workspace, for this encoder.

Why only real photos: docs/decisions/0011-honest-answers.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from satchel.catalog.importers import CatalogueRow, RowSource
from satchel.encode.calibration import Calibration
from satchel.encode.encoder import Encoder
from satchel.errors import PhotoError, RowError, UsageError
from satchel.evaluate.calibration import (
    FEWEST_QUERIES,
    NOT_THERE,
    Asked,
    Measured,
    ask,
    fit_confidence,
    outcomes_of,
)
from satchel.identify import Identifier
from satchel.images import read_photo
from satchel.parallel import cores, map_in_order
from satchel.search.build import open_index
from satchel.search.ranking import POOL
from satchel.workspace import Workspace


def calibrate(
    workspace: Workspace,
    encoder: Encoder,
    photos: RowSource,
    source: str,
    *,
    on_progress: Callable[[int], None],
    on_problem: Callable[[str, object], None],
) -> tuple[Calibration, Measured]:
    """Fit how sure answers are on photos whose codes are known.

    Args:
        encoder: the one that is served, with one thread, for several photos are under way at once.
        photos: a row for each photo, of one item each; rows that are faulty are told and left out.
        source: what to call these photos.
        on_problem: told the name and the fault of a photo that cannot be used.

    Raises:
        UsageError: there are fewer than `FEWEST_QUERIES` usable photos of products in the index,
            or fewer than two products.
        IndexMissing: there is nothing to search.
    """
    index = open_index(
        workspace.catalogue, encoder, workspace.index_path, workspace.settings.search
    )
    identifier = Identifier.of(workspace, encoder, index)
    ids = workspace.catalogue.ids_of_codes()
    limits = workspace.settings.photos.limits()
    indexed = set(np.unique(index.gallery.products).tolist())
    asked: list[Asked] = []

    def look(row: CatalogueRow | RowError) -> tuple[str, Asked | Exception]:
        if isinstance(row, RowError):
            return f"line {row.line}", row
        try:
            seen = identifier.look_at([read_photo(row.photo, limits)])
        except PhotoError as error:
            return str(row.photo), error
        right = ids.get(row.code, NOT_THERE)
        return row.code, ask(
            lambda without: identifier.rank(seen, top=POOL, without=without),
            right if right in indexed else NOT_THERE,
        )

    for name, found in map_in_order(look, photos.rows(), workers=cores()):
        if isinstance(found, Exception):
            on_problem(name, found)
        else:
            asked.append(found)
        on_progress(1)
    known = sum(one.right != NOT_THERE for one in asked)
    if known < FEWEST_QUERIES or len(indexed) < 2:
        raise UsageError(
            f"expected {FEWEST_QUERIES} or more photos of products in the index, and two or more "
            f"products; got {known:,} and {len(indexed):,}. Nothing was changed"
        )
    wishes = workspace.settings.identify
    confidence, measured = fit_confidence(
        outcomes_of(index, asked, absent_share=wishes.absent),
        encoder.card.confidence,
        source,
        absent_share=wishes.absent,
        precision=wishes.precision,
        coverage=wishes.coverage,
    )
    figures = {name: value for name, value in asdict(measured).items() if name != "bins"}
    made_at = datetime.now(UTC).replace(microsecond=0)
    return (
        Calibration(
            encoder=encoder.id,
            made_at=made_at,
            source=source,
            products=len(indexed),
            confidence=confidence,
            figures=figures,
        ),
        measured,
    )
