"""The weights that an added encoder was made from, to train on."""

from __future__ import annotations

from pydantic import ValidationError

from satchel.convert.checkpoint import Checkpoint
from satchel.convert.layouts.find import find
from satchel.convert.layouts.weights import weights_of
from satchel.convert.sources import resolve
from satchel.convert.spec import VitSpec, Weights
from satchel.encode.registry import encoder_card
from satchel.errors import UsageError
from satchel.workflows.encoders import read_added
from satchel.workspace import Workspace


def added_vit(workspace: Workspace, name: str) -> tuple[VitSpec, Weights]:
    """Read the checkpoint of an added encoder again, the same as it was, in float32.

    Raises:
        UsageError: the encoder is no ViT, or its checkpoint cannot be had any more.
        EncoderError: the checkpoint is another file now, or damaged.
    """
    added = read_added(encoder_card(workspace.models, name).parent)
    assert added is not None  # it was added: the caller asks of no other
    try:
        spec = VitSpec.model_validate(added.spec)
    except ValidationError:
        raise UsageError(
            f"the encoder that is served, {name}, is no ViT and cannot be adapted: promote another "
            "first, such as clip-b16"
        ) from None
    origin = added.origin
    try:
        source = resolve(origin.pinned, sha256=origin.files[0].sha256)
    except UsageError as error:
        raise UsageError(
            f"the checkpoint that {name} was made from is needed to train on, and cannot be had: "
            f"{error}"
        ) from None
    found = find(Checkpoint(source.file))
    return spec, weights_of(found, spec, projected=added.projected)
