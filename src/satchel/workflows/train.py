"""Beginning a run and going on with it: what ties settings, split, network and record together.

Under `accelerate launch` every process does this; the first makes the run's folder, holds its lock
and writes to it, the others only compute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from satchel.adapt.head import adapt_head
from satchel.adapt.run import AdaptTask, adapt, task_of
from satchel.errors import UsageError
from satchel.parallel import cores
from satchel.progress import Progress
from satchel.train.classifier import ClassifierTask, train_classifier, write_products
from satchel.train.encoder import EncoderTask, train_encoder
from satchel.train.fit import TrainingState, has_gpu
from satchel.train.memory import keep_freed_memory
from satchel.train.runs import ADAPT_HEAD, FINISHED, STOPPED, Run, RunRecord, new_record
from satchel.train.settings import (
    AdaptSettings,
    ClassifierSettings,
    EncoderSettings,
    FitSettings,
    HeadSettings,
)
from satchel.train.splits import Split
from satchel.train.trackers import Trackers
from satchel.workflows.split import part_photos, workspace_photos
from satchel.workspace import Workspace

OnEpoch = Callable[[int, dict[str, float]], None]


class TimeUp(Exception):
    """The budget is spent; what was begun can be gone on with."""


STOPS: Final = (KeyboardInterrupt, TimeUp)
"""What ends a run that is not at fault."""


def processes() -> PartialState:
    """Tell which of the processes that train together this one is."""
    return PartialState(cpu=not has_gpu())


def start(workspace: Workspace, split_name: str, settings: FitSettings, name: str) -> Run:
    """Make the folder of a new run: of a classifier or an encoder, by the kind of settings.

    Raises:
        UsageError: the split is missing or was changed.
    """
    split = Split.load(workspace.split_path(split_name))
    record = new_record(
        "classifier" if isinstance(settings, ClassifierSettings) else "encoder",
        settings,
        name=name,
        split=split_name,
        split_hash=split.hash,
        products=len(split.products()),
        photos=len(split.train),
    )
    name_of = [""]
    if processes().is_main_process:
        run = Run.create(workspace.runs, record)
        write_products(run, split.products())
        name_of = [run.name]
    broadcast_object_list(name_of)
    return Run(workspace.runs / name_of[0])


def take_the_machine(threads: int) -> None:
    """Let this process keep its memory and use so many threads; 0: as many as there are cores."""
    keep_freed_memory()
    torch.set_num_threads(threads or cores())


def go_on(
    workspace: Workspace,
    run: Run,
    *,
    progress: Progress,
    trackers: Sequence[str],
    on_epoch: OnEpoch,
) -> RunRecord:
    """Train a run to its end, from its beginning or from where it stopped.

    Raises:
        UsageError: it runs elsewhere, or its split was changed.
        TimeUp: raised by `progress` or `on_epoch`; like Ctrl-C, it leaves the run as stopped.
    """
    main = processes().is_main_process
    with contextlib.ExitStack() as held:
        if main:
            held.enter_context(run.alive())
        record = run.read()
        if record.state == FINISHED:
            return record
        if main:
            held.enter_context(run.noting_stops(*STOPS))
        take_the_machine(int(record.settings["threads"]))
        told = Trackers(trackers if main else (), run, workspace.folder)

        def keep(epoch: int, figures: dict[str, float]) -> None:
            run.add_to_curves({"epoch": epoch, **figures})
            known = run.read()
            better = figures["score"] > known.figures.get("score", float("-inf"))
            run.update(
                epochs=epoch,
                figures=figures if better else known.figures,
                seconds=record.seconds + time.monotonic() - began,
            )
            told.log(figures, epoch)
            on_epoch(epoch, figures)

        began = time.monotonic()
        try:
            state = _train(workspace, run, record, progress, keep)
        except STOPS:
            told.end(STOPPED)
            raise
        except BaseException:
            told.end("crashed")
            raise
        told.end(FINISHED)
        if not main:
            return run.read()
        return run.update(
            state=FINISHED,
            precision=state.precision,
            ended_at=datetime.now(UTC),
            seconds=record.seconds + time.monotonic() - began,
        )


def _train(
    workspace: Workspace, run: Run, record: RunRecord, progress: Progress, on_epoch: OnEpoch
) -> TrainingState:
    split = Split.load(workspace.split_path(record.split))
    if split.hash != record.split_hash:
        raise UsageError(
            f"the split {record.split} is another one than the run {run.name} began with; "
            "begin a new run"
        )
    if record.adapts:
        return _adapt(task_of(workspace, split, run), run, record, progress, on_epoch)
    if not split.answerable("val"):
        raise UsageError(
            f"the split {record.split} has no photos to choose the best weights by: its products "
            "have too few; make one with more, `satchel split NAME --val 0.25`, and train with "
            "--split NAME"
        )
    photos, products = workspace_photos(workspace), split.products()
    train = part_photos(workspace, photos, split.train, products)
    if record.kind == "classifier":
        settings = record.settings_as(ClassifierSettings)
        val = part_photos(workspace, photos, split.answerable("val"), products)
        classifier_task = ClassifierTask(products, train, val)
        return train_classifier(
            classifier_task, settings, run, progress=progress, on_epoch=on_epoch
        )
    unseen = split.protocol == "open"
    to_find = split.products("val") if unseen else products
    encoder_task = EncoderTask(
        products,
        train,
        part_photos(workspace, photos, split.val if unseen else split.answerable("val"), to_find),
        None if unseen else train,
    )
    encoder_settings = record.settings_as(EncoderSettings)
    return train_encoder(encoder_task, encoder_settings, run, progress=progress, on_epoch=on_epoch)


def _adapt(
    task: AdaptTask, run: Run, record: RunRecord, progress: Progress, on_epoch: OnEpoch
) -> TrainingState:
    if record.kind == ADAPT_HEAD:
        head = record.settings_as(HeadSettings)
        return adapt_head(task, head, run, progress=progress, on_epoch=on_epoch)
    settings = record.settings_as(AdaptSettings)
    return adapt(task, settings, run, progress=progress, on_epoch=on_epoch)
