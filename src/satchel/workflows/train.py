"""`satchel train`: begin a run, and train it to its end or resume it.

Under `accelerate launch` every process does this; the first makes the run's folder, holds its lock
and writes to it, the others only compute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from satchel.errors import UsageError
from satchel.parallel import cores
from satchel.progress import Progress
from satchel.train.classifier import write_products
from satchel.train.fit import has_gpu
from satchel.train.memory import keep_freed_memory
from satchel.train.runs import FINISHED, Run, RunRecord
from satchel.train.settings import TrainSettings
from satchel.train.splits import Split
from satchel.train.trackers import Trackers
from satchel.workflows.kinds import OnEpoch, kind_of, kind_of_settings
from satchel.workspace import Workspace


def processes() -> PartialState:
    """Rank of this process in distributed training."""
    return PartialState(cpu=not has_gpu())


def start(workspace: Workspace, split_name: str, settings: TrainSettings, name: str) -> Run:
    """Make the folder of a new run of a classifier or an encoder.

    Raises:
        UsageError: the split is missing, was changed, or has no photos to validate on; or the
            settings do not fit: there is no such loss, option, backbone or weights.
    """
    split = Split.load(workspace.split_path(split_name))
    if not split.answerable("val"):
        raise UsageError(
            f"the split {split_name} has no photos to choose the best weights by: its products "
            "have too few; make one with more, `satchel split NAME --val 0.25`, and train with "
            "--split NAME"
        )
    kind = kind_of_settings(settings)
    assert kind.untrained is not None
    kind.untrained(settings, len(split.products()))  # refuses before there is a run
    record = kind.new_record(settings, name).model_copy(
        update={
            "split": split_name,
            "split_hash": split.hash,
            "products": len(split.products()),
            "photos": len(split.train),
        }
    )
    return make_run(workspace, record, lambda run: write_products(run, split.products()))


def make_run(workspace: Workspace, record: RunRecord, fill: Callable[[Run], None]) -> Run:
    """Make a run's folder in the first process; the others get its name.

    Args:
        fill: writes what else the run needs into its folder.
    """
    name_of = [""]
    if processes().is_main_process:
        run = Run.create(workspace.runs, record)
        fill(run)
        name_of = [run.name]
    broadcast_object_list(name_of)
    return Run(workspace.runs / name_of[0])


def take_the_machine(threads: int) -> None:
    """Let this process keep freed memory and use so many threads; 0: as many as there are cores."""
    keep_freed_memory()
    torch.set_num_threads(threads or cores())


def resume(
    workspace: Workspace,
    run: Run,
    *,
    progress: Progress,
    trackers: Sequence[str] = (),
    on_epoch: OnEpoch,
) -> RunRecord:
    """Train a run to its end, from its beginning or from where it stopped.

    Raises:
        UsageError: it runs elsewhere, or what it was trained on was changed.
        TimeUp: raised by `progress` or `on_epoch`; like Ctrl-C, it leaves the run as stopped.
    """
    main = processes().is_main_process
    with contextlib.ExitStack() as held:
        if main:
            held.enter_context(run.alive())
        record = run.read()
        if record.state == FINISHED:
            return record
        kind = kind_of(record)
        task = kind.task(workspace, run)
        tracked = Trackers(trackers if main else (), run, workspace.folder)
        if main:
            held.enter_context(run.noting_stops())
        held.enter_context(tracked)
        take_the_machine(int(record.settings["threads"]))
        began = time.monotonic()

        def seconds() -> float:
            return record.seconds + time.monotonic() - began

        def keep(epoch: int, figures: dict[str, float]) -> None:
            run.add_to_curves({"epoch": epoch, **figures})
            best = run.read().figures
            if figures["score"] > best.get("score", float("-inf")):
                best = figures
            run.update(epochs=epoch, figures=best, seconds=seconds())
            tracked.log(figures, epoch)
            on_epoch(epoch, figures)

        state = kind.train(task, run, progress=progress, on_epoch=keep)
        if not main:
            return run.read()
        return run.update(
            state=FINISHED,
            precision=state.precision,
            ended_at=datetime.now(UTC),
            seconds=seconds(),
        )
