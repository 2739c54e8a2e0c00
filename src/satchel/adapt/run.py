"""`satchel adapt`: the encoder that is served, fitted to the catalogue's own pictures.

Where the built-in encoder answers, or one adapted from it, its head alone is trained, see
`satchel.adapt.head`. The light encoder and trained ones are trained as a whole, here.
What both ways share is here too.

Every product is a class of a normalised softmax, and what is shown are compositions of its
pictures (`satchel.adapt.compose`). The end of training is averaged with its start, and what that
answers is added to what the start answers: what was learned stays, and so does what was known.
Which epoch, held-out compositions choose; how much of each is fixed, for they would take all of
the end, which real photos would not (decision 13).

Cosine softmax with margin: Wang et al., "CosFace", CVPR 2018, eq. 4. Averaging with the start:
Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, eq. 1.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import safe_open
from safetensors.torch import load_file

from satchel.adapt.compose.backgrounds import Backgrounds, load_backgrounds
from satchel.adapt.compose.foreground import Cutouts, make_cutouts
from satchel.adapt.compose.synthesis import Composer
from satchel.adapt.validation import Checks, LiveEncoder, make_checks, vectors_of
from satchel.catalog.lookalike_groups import GroupState
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.registry import BUILTINS, read_serving, serving_card
from satchel.errors import UsageError
from satchel.files import write_atomically
from satchel.parallel import cores, map_in_order
from satchel.progress import Progress
from satchel.train.backbones import Backbone, Pair
from satchel.train.batches import DECODE_MARGIN, Batch, Step, TrainingPhotos
from satchel.train.encoder import Cascade
from satchel.train.fit import Fitting, Trainable, TrainingState, below, fit, save_weights
from satchel.train.lite0 import ARCHITECTURE, builtin_backbone
from satchel.train.loaded import (
    ADAPTED,
    BESIDE,
    START,
    read_adapted_head,
    settings_backbone,
    trained_backbone,
)
from satchel.train.runs import ADAPT, ADAPT_HEAD, Run, all_runs, new_record, readable
from satchel.train.samplers import ShuffledBatches
from satchel.train.settings import AdaptSettings, HeadSettings
from satchel.train.splits import Split, SplitOptions
from satchel.validation import reason
from satchel.workflows.split import part_photos, split_workspace, workspace_photos
from satchel.workspace import Workspace

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CUTOUTS: Final = "cutouts.npy"
SERVED: Final = "served.safetensors"
"""What answered beside the start as the run began, if anything did, and with which share."""

OUTCOME: Final = "outcome.json"
LOOK_ALIKES: Final = "look_alikes.json"
"""Codes of the groups that were confirmed as the run began."""

LEAST_REPEATS: Final = 8
"""Compositions of each picture in an epoch, at least."""

CHECK_SIDE: Final = 1.5
"""Side of a held-out composition ÷ the network's: crops of it still fill the input."""

CHECK_BACKGROUNDS: Final = 0.2
"""Share of the real backgrounds that training never sees."""


class MarginSoftmax(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """Cross-entropy of scaled cosines to a vector for each product, the right one less a margin.

    CosFace (Wang et al., CVPR 2018, eq. 4). Products that look alike are no alternatives to each
    other: they are left out of the sum, so that nothing pushes them apart.

    Args:
        weight: shape (p, d), first vector of each product; any length.
        alike: shape (p, p), bool, symmetric, False on the diagonal.
    """

    def __init__(
        self, weight: torch.Tensor, alike: torch.Tensor, *, scale: float, margin: float
    ) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.nn.functional.normalize(weight.float(), dim=1))
        self.register_buffer("alike", alike, persistent=False)
        self.scale = scale
        self.margin = margin

    def forward(
        self, vectors: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Mean loss of a batch; vectors, shape (n, d); labels, shape (n,), int64."""
        unit = torch.nn.functional.normalize
        cosines = unit(vectors, dim=1) @ unit(self.weight, dim=1).T
        right = torch.nn.functional.one_hot(labels, len(self.weight))
        logits = self.scale * (cosines - self.margin * right)
        logits = logits.masked_fill(self.alike[labels], float("-inf"))
        loss: torch.Tensor = torch.nn.functional.cross_entropy(logits, labels)
        return loss


class Adapting(Trainable):
    """A backbone and its objective, and how far vectors go from where they started.

    The start is held in a tuple, so that it is no part of what is trained and saved.
    """

    def __init__(
        self, backbone: Backbone, objective: torch.nn.Module, start: Backbone, distil: float
    ) -> None:
        super().__init__(backbone, objective)
        self._start = (start,)
        self._distil = distil

    def forward(
        self, crops: torch.Tensor, labels: torch.Tensor, others: torch.Tensor, share: float
    ) -> torch.Tensor:
        """Loss of a batch of crops, shape (n, side, side, 3), uint8."""
        vectors = self.backbone(crops)
        with torch.autocast(crops.device.type, enabled=False):
            loss: torch.Tensor = self.objective(vectors, labels, others, share)
        if self._distil:
            with torch.no_grad():
                first = self._start[0].to(crops.device)(crops)
            near = torch.nn.functional.cosine_similarity(vectors, first, dim=1)
            loss = loss + self._distil * (1 - near).mean()
        return loss


# -- what is trained on ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdaptTask:
    """A catalogue's pictures, divided into those that are trained on and those held out.

    Attributes:
        photos: all of them, labelled by place in the list of all products.
        trained: rows of `photos` that are trained on.
        classes: shape (products,), int64: class of each product; -1 where it is held out.
        alike: groups of products that people said look alike.
    """

    photos: TrainingPhotos
    trained: Ints
    classes: Ints
    alike: tuple[Ints, ...] = ()

    @classmethod
    def divided(
        cls, photos: TrainingPhotos, trained: Ints, products: int, alike: tuple[Ints, ...] = ()
    ) -> AdaptTask:
        """Number the products of the trained rows.

        Raises:
            UsageError: there are fewer than two.
        """
        known = np.unique(photos.labels[trained])
        if len(known) < 2:
            raise UsageError(
                f"expected two products or more to train on, got {len(known)}; import more, or "
                "pass --set held_out=0"
            )
        classes = np.full(products, -1, np.int64)
        classes[known] = np.arange(len(known))
        return cls(photos, trained, classes, alike)

    @property
    def held_out(self) -> Ints:
        """Products that are not trained on."""
        return np.flatnonzero(self.classes < 0)

    @property
    def trained_classes(self) -> Ints:
        """Class of each trained row."""
        found: Ints = self.classes[self.photos.labels[self.trained]]
        return found

    @property
    def alike_classes(self) -> list[Ints]:
        """Of each group that look alike, the classes that are trained on."""
        groups = (self.classes[group] for group in self.alike)
        return [group[group >= 0] for group in groups]


def look_alikes(
    vectors: Floats,
    names: Sequence[str],
    labels: Ints,
    products: int,
    *,
    cosine: float,
    confirmed: Iterable[Ints] = (),
) -> npt.NDArray[np.bool_]:
    """Which products are not pushed apart.

    They share a picture, two of their pictures are very near, or people said they look alike.

    Args:
        vectors: shape (n, d), of length 1, of the pictures; `names`, equal for equal ones.
        cosine: from which two pictures are very near.
        confirmed: groups of labels that people said look alike.

    Returns:
        shape (products, products), bool, symmetric, False on the diagonal.
    """
    alike = np.zeros((products, products), np.bool_)
    for first in range(0, len(vectors), 1024):
        rows, columns = np.nonzero(vectors[first : first + 1024] @ vectors.T >= cosine)
        alike[labels[rows + first], labels[columns]] = True
    by_name: dict[str, int] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        other = by_name.setdefault(name, label)
        alike[label, other] = alike[other, label] = True
    for group in confirmed:
        alike[np.ix_(group, group)] = True
    alike |= alike.T
    np.fill_diagonal(alike, False)
    return alike


def first_vectors(vectors: Floats, labels: Ints, products: int, centred: float) -> Floats:
    """A vector for each product to begin with, shape (products, d): the mean of its pictures'.

    Args:
        centred: share of the mean of all that is taken off: what every picture has in common
            tells no product from another.
    """
    sums = np.zeros((products, vectors.shape[1]), np.float32)
    np.add.at(sums, labels, vectors)
    means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    first: Floats = (means - centred * means.mean(0)).astype(np.float32)
    return first


def composed_batches(
    composers: Callable[[int], Composer], pictures: Ints, classes: Ints, seed: int
) -> Callable[[Iterable[Step]], Iterator[Batch]]:
    """Steps → batches of compositions, made in threads while the network computes.

    Args:
        composers: side in pixels → what composes at it.
        pictures: shape (n,): of the rows that steps name, in turn: row i shows picture i modulo n.
        classes: shape (n,): of these pictures.
    """

    def work(step: Step) -> Batch:
        composer = composers(step.side_px)
        rows = step.rows % len(pictures)
        crops = np.empty((len(rows), step.side_px, step.side_px, 3), np.uint8)
        for at, picture in enumerate(pictures[rows].tolist()):
            rng = np.random.default_rng([seed, step.epoch, step.number, at])
            crops[at] = composer.compose(picture, rng)
        return Batch(crops, classes[rows], classes[rows], 1.0)

    return partial(_in_threads, work)


def _in_threads(work: Callable[[Step], Batch], steps: Iterable[Step]) -> Iterator[Batch]:
    yield from map_in_order(work, steps, workers=cores(), ahead=1)


def cut_outs(task: AdaptTask, side_px: int, run: Run, progress: Progress) -> Cutouts:
    """Cut out all of a task's pictures, for compositions of a side, into the run's folder."""
    photos = task.photos
    progress.begin("cut out", len(photos))
    return make_cutouts(
        run.folder / CUTOUTS,
        photos.names,
        photos.boxes,
        photos.read,
        side_px=round(DECODE_MARGIN * side_px),
        advance=progress.advance,
    )


def backgrounds_of(
    settings: AdaptSettings | HeadSettings, side_px: int
) -> tuple[Backgrounds | None, Backgrounds | None]:
    """Real backgrounds to train on and to check by; none where no folder is given.

    Raises:
        UsageError: the folder holds none.
    """
    if settings.backgrounds is None:
        return None, None
    side_px = round(CHECK_SIDE * side_px)
    return load_backgrounds(Path(settings.backgrounds), side_px).split(CHECK_BACKGROUNDS)


def held_out_checks(
    task: AdaptTask,
    cutouts: Cutouts,
    settings: AdaptSettings | HeadSettings,
    backgrounds: Backgrounds | None,
    side_px: int,
) -> Checks:
    """What start and end are judged by, for a network of an input side."""
    composer = Composer(
        cutouts,
        settings.synth.model_copy(update={"clean": 0.0}),
        side_px=round(CHECK_SIDE * side_px),
        backgrounds=backgrounds,
    )
    return make_checks(
        cutouts,
        task.photos.labels,
        composer,
        held_out=task.held_out,
        count=settings.checks,
        seed=settings.seed,
    )


def objective_of(
    task: AdaptTask, vectors: Floats, settings: AdaptSettings | HeadSettings
) -> MarginSoftmax:
    """The loss of a task, begun with vectors of its trained pictures, shape (n, d)."""
    classes, names = task.trained_classes, [task.photos.names[row] for row in task.trained]
    count = int(classes.max()) + 1
    alike = look_alikes(
        vectors, names, classes, count, cosine=settings.alike, confirmed=task.alike_classes
    )
    return MarginSoftmax(
        torch.from_numpy(first_vectors(vectors, classes, count, settings.centred)),
        torch.from_numpy(alike),
        scale=settings.scale,
        margin=settings.margin,
    )


# -- averaging -------------------------------------------------------------------------------------


def averaged(
    start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Weights between start and end: (1 − share) × start + share × end.

    WiSE-FT (Wortsman et al., CVPR 2022, eq. 1). Counters, which are whole numbers, are the end's.
    """
    return {
        name: torch.lerp(value, end[name].to(value), share)
        if value.is_floating_point()
        else end[name].clone()
        for name, value in start.items()
    }


# -- the run ---------------------------------------------------------------------------------------


def served_run(workspace: Workspace) -> Run | None:
    """The run that the served encoder came from; None for one that Satchel carries.

    Raises:
        UsageError: the run is gone.
    """
    if serving_card(workspace.models) in BUILTINS.values():
        return None
    name = read_serving(workspace.models).name
    for run in all_runs(workspace.runs):
        if name.rpartition("-")[0] == run.name:
            return run
    raise UsageError(
        f"the encoder that is served, {name}, came from a run that is no longer in "
        f"{workspace.runs}; bring its folder back, or `satchel promote --rollback`"
    )


def settings_kind(workspace: Workspace) -> type[AdaptSettings] | type[HeadSettings]:
    """Which way is taken, by what answers: its settings.

    Raises:
        UsageError: the run that it came from is gone.
    """
    run = served_run(workspace)
    if run is None:
        return HeadSettings if serving_card(workspace.models) == BUILTIN else AdaptSettings
    return HeadSettings if run.read().kind == ADAPT_HEAD else AdaptSettings


def served_backbone(workspace: Workspace) -> tuple[Backbone, dict[str, Any]]:
    """The network that is adapted as a whole, and the settings that make it again.

    Raises:
        UsageError: it came from a run that is gone, or is of a kind that cannot be adapted.
    """
    run = served_run(workspace)
    if run is None:
        return builtin_backbone(), {"backbone": ARCHITECTURE, "weights": "auto"}
    backbone, side_px = trained_backbone(run)
    if isinstance(backbone, Cascade):
        raise UsageError("a cascaded encoder cannot be adapted; promote another first")
    known = run.read().settings
    weights = "auto" if known["weights"] == "auto" else "none"
    return backbone, {
        "backbone": known["backbone"],
        "weights": weights,
        "serve_side_px": side_px,
    }


class Outcome(BaseModel):
    """What adapting came to; kept in the run's folder.

    Attributes:
        share: of what was trained in what was chosen.
        start, chosen: figures of the held-out checks; see `satchel.adapt.validation`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float
    start: dict[str, float]
    chosen: dict[str, float]

    @property
    def worse(self) -> list[str]:
        """Checks in which what was chosen is worse than the start: reasons not to serve it."""
        return [k for k in self.chosen if self.chosen[k] < self.start.get(k, 0.0)]

    @property
    def seen_on_photos(self) -> bool:
        """Whether real photos, too, were among the checks: compositions alone can mislead."""
        return "own1" in self.chosen

    def write(self, run: Run) -> None:
        """Write it to the run's folder."""
        write_atomically(run.folder / OUTCOME, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def read(cls, run: Run) -> Outcome:
        """Read a finished run's.

        Raises:
            UsageError: the run has not come so far.
        """
        try:
            return cls.model_validate_json((run.folder / OUTCOME).read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"the run {run.name} has no outcome yet ({reason(error)}); go on with "
                f"`satchel adapt --resume {run.name}`"
            ) from None


def begin_adapting(workspace: Workspace, settings: AdaptSettings | HeadSettings, name: str) -> Run:
    """Make the folder of a new run: its held-out products, first weights and known look-alikes.

    All are kept, so that a run that goes on later goes on with the same.

    Raises:
        UsageError: there are no photos, or the encoder that is served cannot be adapted.
    """
    if isinstance(settings, HeadSettings):
        run = _begin_head(workspace, settings, name)
    else:
        run = _begin_network(workspace, settings, name)
    options = SplitOptions(protocol="open", val=settings.held_out, test=0.0, seed=settings.seed)
    split = split_workspace(workspace, workspace.split_path(run.name), options)
    groups = workspace.catalogue.look_alikes.in_state(GroupState.CONFIRMED)
    told = json.dumps([group.codes for group in groups], ensure_ascii=False)
    write_atomically(run.folder / LOOK_ALIKES, told.encode())
    run.update(
        split=run.name,
        split_hash=split.hash,
        products=len(split.products()),
        photos=len(split.train),
    )
    return run


def _begin_network(workspace: Workspace, settings: AdaptSettings, name: str) -> Run:
    backbone, known = served_backbone(workspace)
    settings = AdaptSettings.model_validate(settings.model_dump() | known)
    run = _created(workspace, ADAPT, settings, name)
    if isinstance(backbone, Pair):  # its second will be exchanged
        save_weights(backbone.first, run.folder / START)
        save_weights(backbone.second, run.folder / SERVED, {BESIDE: str(backbone.share)})
    else:
        save_weights(backbone, run.folder / START)
    return run


def _begin_head(workspace: Workspace, settings: HeadSettings, name: str) -> Run:
    base, served = read_card().sha256, served_run(workspace)
    head = read_adapted_head(served, base) if served else None
    run = _created(workspace, ADAPT_HEAD, settings.model_copy(update={"base": base}), name)
    if head is not None:
        save_weights(head.head, run.folder / SERVED, {BESIDE: str(head.beside)})
    return run


def _created(
    workspace: Workspace, kind: str, settings: AdaptSettings | HeadSettings, name: str
) -> Run:
    record = new_record(kind, settings, name=name, split="", split_hash="", products=0, photos=0)
    return Run.create(workspace.runs, record)


def task_of(workspace: Workspace, split: Split, run: Run) -> AdaptTask:
    """The pictures of a run's split: its training part to train on, its validation part held out.

    Raises:
        UsageError: photos are gone from the catalogue, or too few products are left.
    """
    products = tuple(sorted({*split.products("train"), *split.products("val")}))
    named = (*split.train, *split.val)
    photos = part_photos(workspace, workspace_photos(workspace), named, products)
    place = {code: at for at, code in enumerate(products)}
    told = run.folder / LOOK_ALIKES
    with readable(told):
        groups = json.loads(told.read_bytes()) if told.exists() else []
        alike = tuple(
            np.array([place[code] for code in group if code in place], np.int64) for group in groups
        )
    return AdaptTask.divided(photos, np.arange(len(split.train)), len(products), alike)


def adapt(
    task: AdaptTask,
    settings: AdaptSettings,
    run: Run,
    *,
    progress: Progress,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> TrainingState:
    """Adapt, or go on where the run stopped; the run's folder gets what was chosen (`Outcome`).

    Raises:
        UsageError: the folder of backgrounds holds none.
    """
    torch.manual_seed(settings.seed)
    cv2.setNumThreads(1)  # compositions are made one a core, beside the network
    cutouts = cut_outs(task, settings.side_px, run, progress)
    seen, unseen = backgrounds_of(settings, settings.side_px)
    start = settings_backbone(settings, run.folder / START)
    start = start.to(memory_format=torch.channels_last)
    checks = held_out_checks(task, cutouts, settings, unseen, settings.side_px)
    judge = _Judge(start, copy.deepcopy(start), checks, settings.side_px)

    def validate(found: Trainable) -> dict[str, float]:
        end = found.backbone.state_dict()
        return judge.figures(averaged(start.state_dict(), end, settings.share), settings.beside)

    @cache
    def composer(side_px: int) -> Composer:
        return Composer(cutouts, settings.synth, side_px=side_px, backgrounds=seen)

    # Checking costs as much as a few compositions of each picture: epochs are long beside it.
    repeats = max(LEAST_REPEATS, -(-settings.compositions // len(task.trained)))

    def batches(process: int, processes: int) -> ShuffledBatches:
        return ShuffledBatches(
            len(task.trained) * repeats,
            batch_size=settings.batch,
            seed=settings.seed,
            process=process,
            processes=processes,
        )

    state = fit(
        Fitting(
            trainable=_trainable(task, cutouts, start, settings),
            shown=composed_batches(composer, task.trained, task.trained_classes, settings.seed),
            batches=batches,
            settings=settings,
            validate=validate,
            on_epoch=on_epoch,
            on_begin=partial(progress.begin, "adapt"),
            on_step=progress.advance,
            most_epochs=max(1, settings.each // repeats),
        ),
        checkpoint=run.checkpoint,
        best=run.best,
    )
    _choose(judge, run, settings)
    (run.folder / CUTOUTS).unlink(missing_ok=True)  # hundreds of megabytes, made again in minutes
    return state


def _trainable(
    task: AdaptTask, cutouts: Cutouts, start: Backbone, settings: AdaptSettings
) -> Adapting:
    pictures = [cutouts.picture(int(row)) for row in task.trained]
    vectors = vectors_of(LiveEncoder(start, settings.side_px), pictures)
    objective = objective_of(task, vectors, settings)
    return Adapting(copy.deepcopy(start), objective, start, settings.distil)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Figures of networks that answer beside the start.

    Attributes:
        start: also where the averages begin that are judged.
        second: takes the weights of what is judged.
    """

    start: Backbone
    second: Backbone
    checks: Checks
    side_px: int

    def figures(self, weights: Mapping[str, torch.Tensor], beside: float) -> dict[str, float]:
        """Of the pair of the start and these weights, which have a share in the answer."""
        self.second.load_state_dict(weights)
        pair = Pair(self.start, self.second, share=beside)
        return self.checks.figures(self.checks.ask(LiveEncoder(pair, self.side_px)))


def _served_before(run: Run, start: Backbone) -> tuple[Mapping[str, torch.Tensor], float]:
    """What answered beside the start as the run began, and its share; nothing: the start itself."""
    path = run.folder / SERVED
    if not path.exists():
        return start.state_dict(), 0.0
    with readable(path), safe_open(path, framework="pt") as file:
        return load_file(path), float(file.metadata()[BESIDE])


def _choose(judge: _Judge, run: Run, settings: AdaptSettings) -> None:
    """Average the best epoch with the start, and hold it against what is served."""
    with readable(run.best):
        end = below("backbone.", load_file(run.best))
    before = judge.figures(*_served_before(run, judge.start))
    weights = averaged(judge.start.state_dict(), end, settings.share)
    chosen = judge.figures(weights, settings.beside)  # the judge's second keeps these weights
    Outcome(share=settings.share, start=before, chosen=chosen).write(run)
    save_weights(judge.second, run.folder / ADAPTED, {"share": str(settings.share)})
