"""`satchel export`: a run's best weights as ONNX files, each with its card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

from satchel.convert.gate import KINDS as EXPORT_KINDS
from satchel.convert.gate import Exported, Kind
from satchel.encode.card import LITE, EncoderCard, read_card
from satchel.encode.encoder import Encoder
from satchel.encode.registry import CARD
from satchel.errors import UsageError
from satchel.onnx_model import open_session, write_model
from satchel.train.backbones import Backbone
from satchel.train.export import Exportable, to_onnx
from satchel.train.runs import Run
from satchel.train.splits import Split
from satchel.workflows.kinds import kind_of
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace

LEAST_COMPARED: Final = 64
"""Least number of photos on which exports are compared with the network; if the validation part
has fewer, training photos are added."""


def export_run(
    workspace: Workspace, run: Run, kinds: Sequence[Kind] = EXPORT_KINDS
) -> list[Exported]:
    """Export a run's best weights and write each file that agrees with the network, with its card.

    Raises:
        UsageError: the run has no weights yet.
    """
    if not run.best.exists():
        raise UsageError(f"the run {run.name} has no weights yet: it is {run.state()}")
    record = run.read()
    split, photos = Split.load(workspace.split_path(record.split)), workspace_photos(workspace)
    compared = split.val if len(split.val) >= LEAST_COMPARED else (*split.val, *split.train)
    to_compare = part_photos(workspace, photos, compared, split.products())
    export = kind_of(record).export
    assert export is not None  # the command line exports locators by `satchel.workflows.locator`
    card, exports = export(run, to_compare, kinds)
    for exported in exports:
        if exported.agrees:
            _write(workspace, run, card, exported)
    return exports


def model_name(run: Run, kind: Kind) -> str:
    """Name of an exported model, that of its folder."""
    return f"{run.name}-{kind}"


def _write(workspace: Workspace, run: Run, card: EncoderCard, exported: Exported) -> None:
    record = run.read()
    folder = workspace.models / model_name(run, exported.kind)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "name": folder.name,
        "file": "model.onnx",
        "recipe": f"satchel {record.command}, run {record.name}, Satchel {record.revision}",
        "parity": exported.parity,
    }
    write_model(folder / CARD, _file_card(card, exported.model, about), exported.model)


def untrained_encoder(backbone: Backbone, side_px: int) -> Encoder:
    """A pretrained backbone as an ONNX encoder, in memory, with one thread."""
    model = to_onnx(Exportable(backbone.float()).eval(), side_px)
    about = {"input_side_px": side_px, "file": f"{backbone.name}.onnx"}
    return Encoder(_file_card(read_card(LITE), model, about), model, threads=1)


def _file_card(card: EncoderCard, model: bytes, about: Mapping[str, object]) -> EncoderCard:
    """The card of one model file."""
    own = {
        "parts": (),
        "sha256": hashlib.sha256(model).hexdigest(),
        "dimension": _dimension(model),
    }
    return card.model_copy(update={**own, **about})


def _dimension(model: bytes) -> int:
    return int(open_session(model, "the export", threads=1).get_outputs()[0].shape[1])
