"""`satchel annotate push` and `pull`: photos to annotation tools, and the boxes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from satchel.annotate.class_map import ClassMap
from satchel.annotate.matching import stored_name
from satchel.annotate.records import AnnotatedPhoto
from satchel.annotate.suggest import UnlabelledPhoto
from satchel.annotate.tools.tool import AnnotationTool, PhotoToLabel
from satchel.catalog.annotations import BoxSource, NewLabelling
from satchel.errors import AnnotationToolError, UsageError
from satchel.files import locked, timestamp
from satchel.locate.card import CATEGORIES
from satchel.progress import SILENT, Progress
from satchel.records import Detection, LabelledBox, Problem
from satchel.workflows.annotate import AnnotationImport, import_annotations
from satchel.workspace import Workspace

UNNAMED: Final = "product"
"""Class of a detection whose locator has no classes."""


# -- push -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushResult:
    """A task that was made."""

    task: int
    address: str
    photos: int
    boxes: int


def push_photos(
    workspace: Workspace,
    tool: AnnotationTool,
    photos: Sequence[UnlabelledPhoto],
    *,
    locator_id: str = "",
    title: str = "",
    labels: Sequence[str] = (),
    progress: Progress = SILENT,
) -> PushResult:
    """Push photos to an annotation tool as one task, with what a locator finds in them.

    The task is remembered as soon as it exists, so that `clear_unfinished` finds what a killed push
    leaves. The detections are kept as pre-labels once the server has everything.

    Args:
        locator_id: of the locator that the detections are of.
        labels: classes to choose from, besides those of boxes and detections.

    Raises:
        UsageError: there are no photos.
        AnnotationToolError: the server cannot be reached, or refuses.
    """
    if not photos:
        raise UsageError("every photo of the catalogue is labelled, or in a task already")
    known = workspace.catalogue.annotations.categories()
    sent = [_to_label(workspace, one) for one in photos]
    drawn = {box.label for one in sent for box in one.photo.boxes}
    names = list(dict.fromkeys([*(labels or CATEGORIES), *sorted({*known, *drawn})]))
    progress.begin(f"push to {tool.title}", 0)
    tasks = workspace.catalogue.annotation_tasks
    task = tool.create(title or f"satchel {timestamp()}", names)
    number = tasks.begin(tool.name, tool.url, task, _ids(workspace, photos))
    try:
        tool.fill(task, sent)
    except BaseException:
        with suppress(Exception):  # the server may be gone, which the first error says
            if tool.remove(task):
                tasks.forget(number)
        raise
    _keep_pre_labels(workspace, photos, sent, locator_id)
    tasks.finish(number)
    return PushResult(task, tool.address(task), len(sent), sum(len(p.photo.boxes) for p in sent))


@contextmanager
def pushing(workspace: Workspace) -> Iterator[None]:
    """Let no other push to any server run meanwhile: its task would look like a half-made one.

    Raises:
        UsageError: one runs.
    """
    lock = workspace.runs / "push" / "lock"
    lock.parent.mkdir(exist_ok=True)
    with locked(lock, "another push"):
        yield


def clear_unfinished(workspace: Workspace, tool: AnnotationTool) -> list[str]:
    """Remove the tasks that killed pushes left on a server; their photos are suggested again.

    A task in which people have drawn already stays, and is pulled from.

    Returns:
        what was done, for people.

    Raises:
        AnnotationToolError: the server cannot be reached or refuses.
    """
    tasks = workspace.catalogue.annotation_tasks
    notes = []
    for one in tasks.on_server(tool.name, tool.url, unfinished=True):
        about = f"task {one.remote_id} of a push that was cut short"
        if tool.remove(one.remote_id):
            tasks.forget(one.id)
            notes.append(f"{about} is removed; its photos may be chosen again")
        else:
            tasks.finish(one.id)
            notes.append(f"{about} is kept: people have drawn in it; it may lack pre-labels")
    return notes


def _to_label(workspace: Workspace, one: UnlabelledPhoto) -> PhotoToLabel:
    stored = workspace.catalogue.stored_photo(one.photo)
    assert stored is not None, "photos of the catalogue were chosen"
    boxes = tuple(map(_pre_label, one.detections))
    name = stored_name(one.photo)
    photo = AnnotatedPhoto(name, stored.width, stored.height, boxes)
    return PhotoToLabel(workspace.photos.path(one.photo), photo)


def _pre_label(found: Detection) -> LabelledBox:
    return LabelledBox(found.box, found.category or UNNAMED, score=found.score)


def _ids(workspace: Workspace, photos: Sequence[UnlabelledPhoto]) -> list[int]:
    stored = [workspace.catalogue.stored_photo(one.photo) for one in photos]
    return [one.id for one in stored if one is not None]


def _keep_pre_labels(
    workspace: Workspace,
    photos: Sequence[UnlabelledPhoto],
    sent: Sequence[PhotoToLabel],
    locator_id: str,
) -> None:
    labellings = [
        NewLabelling(number, one.photo.boxes)
        for number, one in zip(_ids(workspace, photos), sent, strict=True)
        if one.photo.boxes
    ]
    origin = f"locator {locator_id[:12]}"
    workspace.catalogue.annotations.put(labellings, BoxSource.PRE_LABEL, origin=origin)


# -- pull -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class PullResult:
    """What was pulled.

    Attributes:
        tasks: that were asked.
        failed: of them, those that could not be read; `notes` say why.
        imports: of each part that changed.
        notes: what is not finished, and which tasks are gone.
    """

    tasks: int = 0
    failed: int = 0
    imports: list[AnnotationImport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pull_boxes(
    workspace: Workspace,
    tool: AnnotationTool,
    *,
    classes: ClassMap,
    on_problem: Callable[[Problem], None],
    progress: Progress = SILENT,
) -> PullResult:
    """Take the boxes of all tasks on a server that changed since the last pull.

    Killed at any moment, the next pull resumes with the part that was under way. A task that cannot
    be read does not cost the others.

    Raises:
        UsageError: no task was pushed to this server.
        AnnotationToolError: no task could be read.
    """
    tasks = workspace.catalogue.annotation_tasks.on_server(tool.name, tool.url)
    if not tasks:
        raise UsageError(
            f"no task was pushed to {tool.title} at {tool.url}; see: satchel annotate push"
        )
    take = partial(
        import_annotations,
        workspace,
        photos=workspace.folder,
        classes=classes,
        on_problem=on_problem,
        progress=progress,
    )
    done = PullResult(len(tasks))
    errors: list[AnnotationToolError] = []
    for task in tasks:
        try:
            for part in tool.changed(task.remote_id, task.pulled):
                done.notes += filter(None, [part.note])
                if part.read is None:
                    continue
                origin = f"{tool.name} task {task.remote_id} {part.name}"
                taken = take(part.read(), origin=origin, checked=part.checked, by=part.by)
                done.imports.append(taken)
                task = replace(task, pulled={**task.pulled, part.key: part.state})  # noqa: PLW2901
                workspace.catalogue.annotation_tasks.set_pulled(task, task.pulled)
        except AnnotationToolError as error:
            errors.append(error)
            done.failed += 1
            done.notes.append(f"task {task.remote_id}: {error}")
    if len(errors) == len(tasks):
        raise errors[0]
    return done
