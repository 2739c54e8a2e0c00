"""Files of an adapting run: its starting point and its results."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safetensors.torch import load_file

from satchel.adapt.clip_head import AdaptedHead, head_like
from satchel.adapt.ensemble import WEIGHT, read_weight
from satchel.adapt.vit_torch import TorchVit, weights_of_state
from satchel.convert.spec import VitSpec, Weights
from satchel.convert.vit.served import Served
from satchel.encode.card import EncoderCard
from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.train.backbones import Backbone, Pair
from satchel.train.checkpoint import save_weights
from satchel.train.pretrained import create
from satchel.train.runs import Run, readable
from satchel.validation import StrictModel

START: Final = "start.json"

START_WEIGHTS: Final = "start.safetensors"
"""Weights of the network that training starts from, the first member of the ensemble."""

SERVED_WEIGHTS: Final = "served.safetensors"
"""Weights of the second member served as the run began, if any, with its ensemble weight."""

ADAPTED_WEIGHTS: Final = "adapted.safetensors"
"""Weights of the second member that the run trained; written last."""

SERVED_HEAD: Final = "served.safetensors"
"""The adapted head that was served as the run began, if one was."""


class NetworkStart(StrictModel):
    """Configuration of the network that a run starts from."""

    backbone: str
    weights: str
    side_px: int
    """Input side that it is served with."""


class VitStart(StrictModel):
    """The image encoder of the ViT family that a run starts from; `START_WEIGHTS` has its weights.

    Attributes:
        card: of the encoder as it is served.
    """

    spec: VitSpec
    card: EncoderCard

    @property
    def served(self) -> Served:
        """The crops that it is served with."""
        return Served(self.card.input_side_px, self.spec.patch_px)


class Start(StrictModel):
    """Starting point of a run, written as it begins so that it resumes from the same.

    Attributes:
        base: SHA-256 of the built-in encoder, where its head is adapted.
        network: where a whole network is adapted to synthetic photos.
        vit: where an image encoder is trained on real pairs.
        look_alikes: codes of each group of look-alikes that was confirmed by then.
    """

    base: str = ""
    network: NetworkStart | None = None
    vit: VitStart | None = None
    look_alikes: tuple[tuple[str, ...], ...] = ()

    def write(self, run: Run) -> None:
        """Write it to the run's folder."""
        write_atomically(run.folder / START, self.model_dump_json(indent=1).encode())

    @classmethod
    def read(cls, run: Run) -> Start:
        """Read a run's.

        Raises:
            UsageError: it is missing or damaged.
        """
        path = run.folder / START
        with readable(path):
            return cls.model_validate_json(path.read_bytes())


# -- a network -----------------------------------------------------------------------------------


def write_start(
    run: Run,
    backbone: Backbone,
    network: NetworkStart,
    look_alikes: tuple[tuple[str, ...], ...] = (),
) -> None:
    """Write the network that a run starts from; of an ensemble, both members.

    The first is trained on; the second will be replaced.
    """
    Start(network=network, look_alikes=look_alikes).write(run)
    if isinstance(backbone, Pair):
        notes = {WEIGHT: str(backbone.weight)}
        save_weights(backbone.first, run.folder / START_WEIGHTS)
        save_weights(backbone.second, run.folder / SERVED_WEIGHTS, notes)
    else:
        save_weights(backbone, run.folder / START_WEIGHTS)


def network_start(run: Run) -> NetworkStart:
    """Read the configuration of the network that a run started from.

    Raises:
        UsageError: it is damaged, or the run adapted a head.
    """
    network = Start.read(run).network
    if network is None:
        raise UsageError(f"the run {run.name} adapted the built-in encoder's head, not a network")
    return network


def start_backbone(run: Run, weights: str) -> Backbone:
    """A network as a run has it, in evaluation mode, with weights from a file of its folder."""
    network = network_start(run)
    backbone = create(network.backbone, weights=network.weights, side_px=network.side_px)
    path: Path = run.folder / weights
    with readable(path):
        backbone.load_state_dict(load_file(path))
    backbone.eval()
    return backbone


def adapted_backbone(run: Run) -> tuple[Pair, int]:
    """Load the ensemble that a run made, and the input side that it is served with.

    Raises:
        UsageError: the run has not come so far.
    """
    path = run.folder / ADAPTED_WEIGHTS
    if not path.exists():
        raise UsageError(
            f"the run {run.name} has not chosen its weights yet: it is {run.state()}; resume it "
            f"with `satchel adapt --resume {run.name}`"
        )
    first, second = (start_backbone(run, name) for name in (START_WEIGHTS, ADAPTED_WEIGHTS))
    pair = Pair(first, second, weight=read_weight(path))
    pair.eval()
    return pair, network_start(run).side_px


# -- an image encoder of the ViT family ------------------------------------------------------------


def vit_start(run: Run) -> VitStart:
    """Read what image encoder a run started from.

    Raises:
        UsageError: it is damaged, or the run is of another kind.
    """
    found = Start.read(run).vit
    if found is None:
        raise UsageError(f"the run {run.name} trained no image encoder on real pairs")
    return found


def write_vit(vit: VitStart, weights: Weights, path: Path) -> None:
    """Write an image encoder's weights."""
    save_weights(TorchVit(vit.spec, weights, most=vit.served.most), path)


def read_vit(path: Path) -> Weights:
    """Read what `write_vit` wrote.

    Raises:
        UsageError: it is missing or damaged.
    """
    with readable(path):
        return weights_of_state(load_file(path))


# -- a head ----------------------------------------------------------------------------------------


def check_base(run: Run, base: str) -> None:
    """Make sure that a run began with this built-in encoder.

    Args:
        base: SHA-256 of its model.

    Raises:
        UsageError: it did not.
    """
    known = Start.read(run).base
    if known != base:
        raise UsageError(
            f"the run {run.name} adapted the built-in encoder of another Satchel "
            f"({known[:12]}, now {base[:12]}): `satchel promote clip-b16`, then "
            "`satchel adapt` anew"
        )


def read_adapted_head(run: Run, base: str) -> AdaptedHead:
    """Load the head that a run trained.

    Args:
        base: SHA-256 of the built-in encoder's model.

    Raises:
        UsageError: the run has not come so far, or trained the head of another encoder.
    """
    if not run.best.exists():
        raise UsageError(
            f"the run {run.name} has not trained its head yet: it is {run.state()}; resume it with "
            f"`satchel adapt --resume {run.name}`"
        )
    check_base(run, base)
    return read_head_file(run.best)


def write_head_file(head: AdaptedHead, run: Run, name: str | None = None) -> None:
    """Write a head and its ensemble weight to the run's folder: as its best, or by name."""
    path = run.folder / name if name else run.best
    save_weights(head.head, path, {WEIGHT: str(head.weight)})


def read_head_file(path: Path) -> AdaptedHead:
    """Read what `write_head_file` wrote."""
    with readable(path):
        return AdaptedHead(head_like(load_file(path)), read_weight(path))
