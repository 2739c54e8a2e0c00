"""`satchel status`: what a workspace holds, what waits, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from satchel.catalog.lookalike_groups import GroupState
from satchel.confidence.stored import read_calibration
from satchel.curate.garbage import State
from satchel.encode.embedder import EmbeddingSpace
from satchel.errors import DamagedIndex, UsageError
from satchel.jobs.records import JobState
from satchel.search.index import read_index_header
from satchel.served import served_space
from satchel.train.runs import RESUMABLE, all_runs
from satchel.workspace import Workspace


class IndexState(StrEnum):
    """How the index file relates to the catalogue."""

    CURRENT = "up to date"
    OUTDATED = "of an earlier state"  # built again from stored embeddings, as soon as it is needed
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """What a workspace holds, and what waits in it.

    Attributes:
        photos_by_state: photos of products: kept, doubtful, dropped.
        encoder: name of the one that is served.
        unembedded: photos that would be searched and have no embedding of the served space.
        calibrated_at: None where the encoder's card says how sure it is.
        look_alikes: proposed groups that wait for a decision.
        feedback: answers on which people said what is right.
        resumable: training runs that were stopped or crashed → the command that resumes them.
        jobs: waiting, running and failed ones.
    """

    folder: Path
    products: int
    photos: int
    photos_by_state: dict[str, int]
    encoder: str
    index: IndexState
    unembedded: int
    calibrated_at: datetime | None
    look_alikes: int
    feedback: int
    resumable: dict[str, str]
    jobs: dict[str, int]

    def next_steps(self) -> list[str]:
        """What a person does next, the most urgent first; each names its command."""
        return list(self._next_steps())

    def _next_steps(self) -> Iterator[str]:
        if not self.products:
            yield "put products in: satchel import catalogue.csv, or a folder with one per code"
            return
        if not self.photos:
            yield (
                "collect photos of your products: satchel collect --source NAME, or put photos in: "
                "satchel import"
            )
            return
        if self.unembedded or self.index in (IndexState.MISSING, IndexState.DAMAGED):
            new = f"{self.unembedded:,} photos are not searched yet: " if self.unembedded else ""
            yield f"{new or 'write the index: '}satchel index"
        if self.jobs[JobState.FAILED]:
            yield f"{self.jobs[JobState.FAILED]:,} jobs failed: satchel jobs list --state failed"
        if self.jobs[JobState.WAITING]:
            yield f"{self.jobs[JobState.WAITING]:,} jobs wait: satchel worker"
        for run, command in self.resumable.items():
            yield f"the training run {run} is not finished: {command}"
        waiting = self.photos_by_state[State.DOUBTFUL] + self.look_alikes
        if waiting:
            yield f"{waiting:,} photos and groups wait under Review: satchel serve"
        if self.calibrated_at is None:
            yield "fit confidence to your own photos: satchel calibrate"
        if not self.unembedded:
            yield "name what a photo shows: satchel identify PHOTO, or satchel serve"


def read_status(workspace: Workspace) -> WorkspaceStatus:
    """Read the status of a workspace; no model is loaded.

    Raises:
        WorkspaceError: its database is lost or damaged.
        EncoderError, LocatorError: a card is missing or not valid.
    """
    catalogue, space = workspace.catalogue, served_space(workspace)
    size, jobs = catalogue.size(), workspace.jobs.counts()
    calibration = read_calibration(workspace.models, space.id)
    return WorkspaceStatus(
        folder=workspace.folder,
        products=size.products,
        photos=size.photos,
        photos_by_state={state.value: catalogue.review.count(state) for state in State},
        encoder=space.card.name,
        index=index_state(workspace, space),
        unembedded=catalogue.vectors.count_missing(space.id),
        calibrated_at=None if calibration is None else calibration.made_at,
        look_alikes=catalogue.look_alikes.count(GroupState.PROPOSED),
        feedback=catalogue.feedback.count(),
        resumable=dict(_resumable(workspace)),
        jobs={
            state.value: jobs.get(state, 0)
            for state in (JobState.WAITING, JobState.RUNNING, JobState.FAILED)
        },
    )


def index_state(workspace: Workspace, space: EmbeddingSpace) -> IndexState:
    """Compare the index file's header with the catalogue; its rows are not read."""
    path = workspace.index_path
    if not path.exists():
        return IndexState.MISSING
    try:
        found = read_index_header(path)
    except DamagedIndex:
        return IndexState.DAMAGED
    expected = space.id, workspace.catalogue.revision(), workspace.settings.search
    return IndexState.CURRENT if found == expected else IndexState.OUTDATED


def _resumable(workspace: Workspace) -> Iterator[tuple[str, str]]:
    for run in all_runs(workspace.runs):
        try:
            if run.state() in RESUMABLE:
                yield run.name, f"satchel {run.read().command} --resume {run.name}"
        except UsageError:  # damaged: `satchel runs` names it
            continue
