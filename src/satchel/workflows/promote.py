"""`satchel promote RUN`: a trained model begins to answer, in one step, and can be taken back.

The gallery is embedded with it beside the old vectors; only when everything is there does the
workspace point to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from satchel.confidence.fit import (
    FEWEST_QUERIES,
    Asked,
    ask,
    fit_confidence,
    outcomes_of,
)
from satchel.encode.card import BUILTIN, LITE, Confidence, EncoderCard, read_card
from satchel.encode.encoder import Encoder
from satchel.encode.registry import CARD
from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.onnx_model import read_model, write_model
from satchel.parallel import small_products
from satchel.search.index import GalleryIndex
from satchel.search.ranking import POOL, rank_products
from satchel.search.whitening import MAX_DEVIATIONS
from satchel.train.backbones import Backbone
from satchel.train.export import Exported, Kind, export_encoder, export_head
from satchel.train.loaded import read_adapted_head, trained_backbone
from satchel.train.runs import ADAPT_HEAD, Run, RunRecord
from satchel.train.splits import Named, Split
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workflows.switch import embed_beside, switch
from satchel.workspace import Workspace

COMPARED_PHOTOS = 64
"""Photos that exports are held against the network by, at least: where the validation part has
fewer, those of training too."""


def export_run(workspace: Workspace, run: Run) -> list[Exported]:
    """Export a run's best weights and write each kind that agrees, with its card.

    Raises:
        UsageError: the run has no weights yet.
    """
    if not run.best.exists():
        raise UsageError(f"the run {run.name} has no weights yet: it is {run.state()}")
    record = run.read()
    split, photos = Split.load(workspace.split_path(record.split)), workspace_photos(workspace)
    compared = split.val if len(split.val) >= COMPARED_PHOTOS else (*split.val, *split.train)
    shown = part_photos(workspace, photos, compared, split.products())
    if record.kind == ADAPT_HEAD:
        card = read_card()
        head = read_adapted_head(run, card.sha256)
        found = [export_head(read_model(card, BUILTIN.parent), card, head, shown)]
        card = _head_card(card, record)
    else:
        backbone, side_px = trained_backbone(run)
        found = export_encoder(backbone, shown, side_px)
        card = _network_card(backbone, side_px, record)
    for exported in found:
        if exported.agrees:
            _write(workspace, run, card, exported)
    return found


def promote(
    workspace: Workspace,
    run: Run,
    kind: Kind = "fp16",
    *,
    on_total: Callable[[int], Callable[[int], None]],
) -> EncoderCard:
    """Serve with a run's encoder: embed the gallery with it, write the index, switch.

    Args:
        kind: which of the exported files.
        on_total: called with the number of photos to embed; gives what is told of each.

    Raises:
        UsageError: this kind does not exist, because it did not agree with the network.
        EncoderError: a photo could not be embedded; nothing was switched.
    """
    name = model_name(run, kind)
    path = workspace.models / name / CARD
    if not path.exists():
        export_run(workspace, run)
    if not path.exists():
        raise UsageError(
            f"the {kind} file of {run.name} is not made, or does not agree with the network it was "
            "made from; see `satchel export`, and promote another"
        )
    encoder = Encoder.load(path, threads=1)
    embed_beside(workspace, encoder, on_total)
    card = encoder.card.model_copy(update={"confidence": _confidence(workspace, run, encoder)})
    write_atomically(path, (card.model_dump_json(indent=2) + "\n").encode())
    switch(workspace, name, encoder)
    return card


def model_name(run: Run, kind: Kind) -> str:
    """Name of an exported model, that of its folder."""
    return f"{run.name}-{kind}"


def _write(workspace: Workspace, run: Run, card: EncoderCard, exported: Exported) -> None:
    folder = workspace.models / model_name(run, exported.kind)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "name": folder.name,
        "file": "model.onnx",
        "parts": (),
        "sha256": hashlib.sha256(exported.model).hexdigest(),
        "dimension": _dimension(exported.model),
        "parity": (
            f"{exported.kind}: cosine ≥ {exported.cosine:.4f} for 99 photos of 100, "
            f"{exported.overlap:.1%} of the nearest five"
        ),
    }
    write_model(folder / CARD, card.model_copy(update=about), exported.model)


def _network_card(backbone: Backbone, side_px: int, record: RunRecord) -> EncoderCard:
    """The card of a trained network; what is a file's own is still another's."""
    about = {
        "architecture": f"{backbone.name} without classifier, average-pooled",
        "weights": f"trained from {backbone.weights} on {_split_told(record)}",
        "licence": "that of the photos it was trained on",
        "input_side_px": side_px,
        "preprocessing": "inside the model",
        "recipe": _recipe(record),
    }
    return read_card(LITE).model_copy(update=about)


def _head_card(base: EncoderCard, record: RunRecord) -> EncoderCard:
    """The card of the built-in encoder with a head of a run beside its own."""
    about = {
        "architecture": f"{base.architecture}; beside its last layers a copy of them, adapted",
        "weights": f"{base.weights}; adapted on {_split_told(record)}",
        "licence": f"{base.licence}; that of the photos it was adapted to",
        "recipe": _recipe(record),
    }
    return base.model_copy(update=about)


def _split_told(record: RunRecord) -> str:
    return f"split {record.split} {record.split_hash[:12]}"


def _recipe(record: RunRecord) -> str:
    return f"satchel {record.command}, run {record.name}, Satchel {record.revision}"


def _dimension(model: bytes) -> int:
    import onnxruntime as ort  # noqa: PLC0415

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return int(session.get_outputs()[0].shape[1])


def _confidence(workspace: Workspace, run: Run, encoder: Encoder) -> Confidence:
    """How sure answers are, measured on the validation part searched in the training part.

    The index holds the training part alone: how photos of a product vary must not be learned from
    those that are asked. An adapted encoder keeps what its card says: compositions are easier than
    people's photos, and no others are at hand (docs/decisions/0011-honest-answers.md).
    """
    record = run.read()
    if record.adapts:
        return encoder.card.confidence
    split = Split.load(workspace.split_path(record.split))
    gallery = workspace.catalogue.vectors.gallery(encoder.id, encoder.card.dimension)
    row_of = {photo.tobytes().hex(): row for row, photo in enumerate(gallery.photos)}

    def known(part: tuple[Named, ...]) -> tuple[list[int], list[str]]:
        found = [(row_of[sha256], code) for code, sha256 in part if sha256 in row_of]
        return [row for row, _ in found], [code for _, code in found]

    (train, train_codes), (val, val_codes) = known(split.train), known(split.val)
    products = sorted(set(train_codes))
    place = {code: at for at, code in enumerate(products)}
    val_rows = [row for row, code in zip(val, val_codes, strict=True) if code in place]
    if len(val_rows) < FEWEST_QUERIES or len(products) < 2:
        return encoder.card.confidence
    rights = [place[code] for code in val_codes if code in place]
    numbers = np.array([place[code] for code in train_codes])
    order = np.argsort(numbers, kind="stable")
    known_rows, numbers = np.array(train)[order], numbers[order]
    described = gallery.described()
    index = GalleryIndex.of(
        replace(gallery.rows(known_rows), products=numbers),
        encoder.id,
        workspace.catalogue.vectors.view_deviations(
            encoder.id, encoder.card.dimension, at_most=MAX_DEVIATIONS
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
