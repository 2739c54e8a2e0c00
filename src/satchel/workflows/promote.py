"""`satchel promote`: another encoder is served, in one step, and can be taken back.

The gallery is embedded with it beside the vectors that are searched now, which stay: going back
costs nothing. Only when everything is there does the workspace point to the new one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from satchel.confidence.fit import FEWEST_QUERIES, Asked, ask, fit_confidence, outcomes_of
from satchel.encode.card import LITE, Confidence, EncoderCard, read_card
from satchel.encode.encoder import Encoder
from satchel.encode.registry import BUILTINS, CARD, serve_model, serving_card
from satchel.encode.registry import roll_back as serve_previous
from satchel.errors import EncoderError, IndexMissing, UsageError
from satchel.onnx_model import write_card
from satchel.parallel import small_products
from satchel.progress import Progress
from satchel.search.index import GalleryIndex
from satchel.search.indexing import build_index
from satchel.search.ranking import POOL, rank_products
from satchel.search.whitening import MAX_DEVIATIONS
from satchel.train.runs import Run
from satchel.train.splits import Named, Split
from satchel.workflows.index import embed_missing
from satchel.workspace import Workspace

if TYPE_CHECKING:
    from satchel.train.export import Kind


def promote_run(
    workspace: Workspace, run: Run, kind: Kind = "fp16", *, progress: Progress
) -> EncoderCard:
    """Serve a run's encoder.

    Args:
        kind: which of the exported files.

    Raises:
        UsageError: this file does not exist, or does not agree with the network.
        EncoderError: a photo could not be embedded; nothing was switched.
    """
    name = f"{run.name}-{kind}"
    path = workspace.models / name / CARD
    if not path.exists():
        from satchel.workflows.export import export_run  # noqa: PLC0415 - all else needs no torch

        export_run(workspace, run)
    if not path.exists():
        raise UsageError(
            f"the {kind} file of {run.name} is not made, or does not agree with the network it was "
            "made from; see `satchel export`, and promote another"
        )
    card = read_card(path)
    _embed_gallery(workspace, path, card, progress)
    card = card.model_copy(update={"confidence": _confidence(workspace, run, card)})
    write_card(path, card)
    _serve(workspace, name, card)
    return card


def promote_builtin(workspace: Workspace, name: str, *, progress: Progress) -> None:
    """Serve an encoder that Satchel carries; `name`: a key of `BUILTINS`.

    Raises:
        EncoderError: a photo could not be embedded; nothing was switched.
    """
    card = read_card(BUILTINS[name])
    _embed_gallery(workspace, BUILTINS[name], card, progress)
    _serve(workspace, name, card)


def roll_back(workspace: Workspace) -> tuple[str, int]:
    """Serve the encoder before this one again.

    Returns:
        Its name, and the number of photos that came since and that it has not embedded.

    Raises:
        UsageError: there is none before it.
    """
    name = serve_previous(workspace.models)
    card = read_card(serving_card(workspace.models))
    _rebuild_index(workspace, card)
    return name, workspace.catalogue.vectors.count_missing(card.sha256)


def _embed_gallery(workspace: Workspace, path: Path, card: EncoderCard, progress: Progress) -> None:
    """Embed the photos that this encoder has not embedded; without any, the model is not read."""
    if not workspace.catalogue.vectors.count_missing(card.sha256):
        return
    problems = embed_missing(workspace, Encoder.load(path, threads=1), progress=progress)
    if problems:
        raise EncoderError(
            f"{len(problems)} photos could not be embedded, the first: {problems[0]}"
        )


def _serve(workspace: Workspace, name: str, card: EncoderCard) -> None:
    """Serve an encoder that the gallery is embedded with."""
    serve_model(workspace.models, name)
    try:
        _rebuild_index(workspace, card)
    except IndexMissing:  # an empty catalogue: there is nothing to search yet
        return


def _rebuild_index(workspace: Workspace, card: EncoderCard) -> None:
    build_index(workspace.catalogue, card, workspace.index_path, workspace.settings.search)


# -- confidence ------------------------------------------------------------------------------------


def _confidence(workspace: Workspace, run: Run, card: EncoderCard) -> Confidence:
    """Fit the confidence on the validation part, searched in the training part.

    The index holds the training part alone: whitening must not be fitted on the queries. An adapted
    encoder keeps its card's confidence: synthetic photos are easier than people's, and no others
    are at hand (docs/decisions/0011-honest-answers.md).
    """
    record = run.read()
    if record.adapts:
        return card.confidence
    split = Split.load(workspace.split_path(record.split))
    gallery = workspace.catalogue.vectors.gallery(card.sha256, card.dimension)
    row_of = {photo.tobytes().hex(): row for row, photo in enumerate(gallery.photos)}

    def known(part: tuple[Named, ...]) -> tuple[list[int], list[str]]:
        found = [(row_of[sha256], code) for code, sha256 in part if sha256 in row_of]
        return [row for row, _ in found], [code for _, code in found]

    (train, train_codes), (val, val_codes) = known(split.train), known(split.val)
    products = sorted(set(train_codes))
    place = {code: at for at, code in enumerate(products)}
    val_rows = [row for row, code in zip(val, val_codes, strict=True) if code in place]
    if len(val_rows) < FEWEST_QUERIES or len(products) < 2:
        return card.confidence
    rights = [place[code] for code in val_codes if code in place]
    numbers = np.array([place[code] for code in train_codes])
    order = np.argsort(numbers, kind="stable")
    known_rows, numbers = np.array(train)[order], numbers[order]
    described = gallery.described()
    index = GalleryIndex.of(
        replace(gallery.rows(known_rows), products=numbers),
        card.sha256,
        workspace.catalogue.vectors.view_deviations(
            card.sha256, card.dimension, at_most=MAX_DEVIATIONS
        ),
        workspace.settings.search,
    )

    def asked(row: int, right: int) -> Asked:
        query = described[row][None]
        return ask(lambda without: rank_products(index, query, top=POOL, without=without), right)

    with small_products():
        found = [asked(row, right) for row, right in zip(val_rows, rights, strict=True)]
    measured_on = f"validation part of {record.split}"
    return fit_confidence(outcomes_of(index, found), read_card(LITE).confidence, measured_on)[0]
