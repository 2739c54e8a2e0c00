"""CVAT, through its own client `cvat-sdk` (the extra `annotate`).

A push makes one task; CVAT splits it into jobs, and a pull asks each job whether it changed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import urllib3
from cvat_sdk.api_client import exceptions, models
from cvat_sdk.core.client import AccessTokenCredentials, Client, Config
from cvat_sdk.core.exceptions import CvatSdkException
from cvat_sdk.core.proxies.annotations import AnnotationUpdateAction
from cvat_sdk.core.proxies.jobs import Job
from cvat_sdk.core.proxies.tasks import Task

from satchel.annotate.checks import (
    BadAnnotation,
    attributes_of,
    bounds,
    number,
    pixel_box,
    rotated_bounds,
    score_of,
    text,
)
from satchel.annotate.formats.cvat_xml import PRE_LABEL
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.annotate.tools.tool import PhotoToLabel, TaskPart
from satchel.errors import AnnotationToolError
from satchel.records import LabelledBox

JOB_PHOTOS: Final = 100
"""Photos of one job: an hour of work, more or less."""

IMAGE_QUALITY: Final = 95
"""Of the JPEGs that CVAT shows, in [0, 100]."""

TIMEOUT: Final = urllib3.Timeout(connect=10, read=300)
RETRIES: Final = urllib3.Retry(2, backoff_factor=0.5)
POLL_SECONDS: Final = 1.0

COMPLETED: Final = "completed"
UNTOUCHED: Final = frozenset((PRE_LABEL, "file"))
"""Sources of shapes that no person drew or changed."""


@contextmanager
def connect_cvat(url: str, token: str) -> Iterator[Cvat]:
    """Connect to a CVAT server with a personal access token; see `tool.connect`."""
    with _errors(url):
        client = Client(
            url, config=Config(status_check_period=POLL_SECONDS), check_server_version=False
        )
        pool = client.api_client.rest_client.pool_manager
        pool.connection_pool_kw |= {"timeout": TIMEOUT, "retries": RETRIES}
        client.login(AccessTokenCredentials(token))
        client.users.retrieve_current_user()
    with client:
        yield Cvat(url, client)


class Cvat:
    """A CVAT server; see `satchel.annotate.tools.tool.AnnotationTool`."""

    name = "cvat"
    title = "CVAT"

    def __init__(self, url: str, client: Client) -> None:
        self.url, self._client = url, client

    def address(self, task: int) -> str:
        """Return the URL of a task, for people."""
        return f"{self.url}/tasks/{task}"

    def create(self, title: str, labels: Sequence[str]) -> int:
        """Make a task without photos, and return its id."""
        with _errors(self.url):
            task = self._client.tasks.create(
                models.TaskWriteRequest(
                    name=title,
                    labels=[models.PatchedLabelRequest(name=label) for label in labels],
                    segment_size=JOB_PHOTOS,
                )
            )
            return int(task.id)

    def fill(self, task: int, photos: Sequence[PhotoToLabel]) -> None:
        """Send the photos of a task and their pre-labels."""
        with _errors(self.url):
            remote = self._client.tasks.retrieve(task)
            files = [one.file for one in photos]
            remote.upload_data(files, params={"image_quality": IMAGE_QUALITY})
            _add_pre_labels(remote, photos)

    def remove(self, task: int) -> bool:
        """Remove a task, unless people have drawn in it."""
        with _errors(self.url):
            try:
                remote = self._client.tasks.retrieve(task)
            except exceptions.NotFoundException:
                return True
            if any(_has_work(job) for job in remote.get_jobs()):
                return False
            remote.remove()
            return True

    def changed(self, task: int, pulled: Mapping[str, str]) -> Iterator[TaskPart]:
        """Yield the jobs of a task that changed, and those that are not completed."""
        with _errors(self.url):
            remote = self._client.tasks.retrieve(task)
            # others are ground truth and replicas, for CVAT's own checks of quality
            jobs = [one for one in remote.get_jobs() if _word(one.type) == "annotation"]
            described: _Described | None = None
            for job in jobs:
                state = f"{_word(job.state)} {job.updated_date.isoformat()}"
                if pulled.get(str(job.id)) != state:
                    described = described or _Described(remote)
                    yield self._part(job, state, described)
                elif _word(job.state) != COMPLETED:
                    yield self._part(job, state, None)

    def _part(self, job: Job, state: str, described: _Described | None) -> TaskPart:
        """A job; without `described`, one that has not changed."""
        word = _word(job.state)
        note = (
            ""
            if word == COMPLETED
            else f"job {job.id} is {word}: only photos with boxes that a person drew or changed "
            "are taken; set it to completed in CVAT when it is done"
        )
        who = job.assignee.username if job.assignee else None

        def read() -> Iterator[AnnotatedPhoto | BoxProblem]:
            assert described is not None
            with _errors(self.url):
                yield from _photos(job, described, finished=word == COMPLETED)

        finished = word == COMPLETED
        name = f"job {job.id}"
        return TaskPart(str(job.id), name, state, finished, who, note, read if described else None)


def _word(value: Any) -> str:
    """Return one of CVAT's enumerated words, which the client wraps or not."""
    return str(getattr(value, "value", value))


def _has_work(job: Job) -> bool:
    """Whether a person drew or changed something in a job."""
    data = job.get_annotations()
    touched = any(str(shape.source) not in UNTOUCHED for shape in data.shapes)
    return touched or bool(data.tracks or data.tags)


def _add_pre_labels(task: Task, photos: Sequence[PhotoToLabel]) -> None:
    ids = {label.name: label.id for label in task.get_labels()}
    frames = {one.name: number for number, one in enumerate(task.get_frames_info())}
    shapes = []
    for one in photos:
        frame = frames[one.file.name]
        width, height = one.photo.size
        for box in one.photo.boxes:
            scale = (width, height, width, height)
            points = [v * side for v, side in zip(box.box.xyxy, scale, strict=True)]
            shapes.append(
                models.LabeledShapeRequest(
                    type=models.ShapeType("rectangle"),
                    frame=frame,
                    label_id=ids[box.label],
                    points=points,
                    source=PRE_LABEL,
                    score=1.0 if box.score is None else box.score,
                )
            )
    if shapes:
        task.update_annotations(
            models.PatchedLabeledDataRequest(shapes=shapes), action=AnnotationUpdateAction.CREATE
        )


class _Described:
    """What shapes refer to by number: photos, labels and attributes."""

    def __init__(self, task: Task) -> None:
        meta = task.get_meta()
        self.frames = meta.frames or []
        self.deleted = set(meta.deleted_frames or ())
        labels = task.get_labels()
        self.labels = {label.id: label.name for label in labels}
        self.attributes = {
            spec.id: spec.name for label in labels for spec in (label.attributes or ())
        }


def _photos(
    job: Job, described: _Described, *, finished: bool
) -> Iterator[AnnotatedPhoto | BoxProblem]:
    """Yield the photos of a job; of an unfinished one those that a person touched."""
    data = job.get_annotations()
    shapes: dict[int, list[Any]] = defaultdict(list)
    for shape in data.shapes:
        shapes[shape.frame].append(shape)
    tracks: Counter[int] = Counter()
    for track in data.tracks:
        tracks.update({track.frame, *(shape.frame for shape in track.shapes)})
        name = described.frames[track.frame].name
        yield BoxProblem.of(name, 0, "it is a track, as of videos, not a box; draw a box")
    for frame in range(job.start_frame, job.stop_frame + 1):
        touched = any(str(shape.source) not in UNTOUCHED for shape in shapes[frame])
        if frame not in described.deleted and (finished or touched):
            yield from _photo(
                described.frames[frame], shapes[frame], described, tracks=tracks[frame]
            )


def _photo(
    frame: Any, shapes: Sequence[Any], described: _Described, *, tracks: int
) -> Iterator[AnnotatedPhoto | BoxProblem]:
    boxes = []
    for shape in shapes:
        try:
            boxes.append(_box(shape, frame.width, frame.height, described))
        except BadAnnotation as error:
            yield BoxProblem.of(frame.name, 0, str(error))
    refused = tracks + len(shapes) - len(boxes)
    yield AnnotatedPhoto(frame.name, frame.width, frame.height, tuple(boxes), refused)


def _box(shape: Any, width: int, height: int, described: _Described) -> LabelledBox:
    values = {
        described.attributes.get(one.spec_id, str(one.spec_id)): one.value
        for one in (shape.attributes or ())
    }
    score = getattr(shape, "score", 1.0)
    return LabelledBox(
        pixel_box(_corners(shape), width, height),
        text(described.labels.get(shape.label_id), "label"),
        attributes_of(values),
        score_of(score) if str(shape.source) == PRE_LABEL else None,
    )


def _corners(shape: Any) -> tuple[float, float, float, float]:
    kind = _word(shape.type)
    points = [number(value, "coordinate") for value in shape.points]
    if kind == "rectangle" and len(points) == 4:
        x0, y0, x1, y1 = points
        return rotated_bounds((x0, y0, x1, y1), shape.rotation or 0, ((x0 + x1) / 2, (y0 + y1) / 2))
    if kind in ("polygon", "polyline"):
        return bounds(zip(points[::2], points[1::2], strict=False))
    raise BadAnnotation(f"it is a {kind}, not a box; draw a box")


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Turn errors of the client into messages; none of them holds the token."""
    try:
        yield
    except (exceptions.UnauthorizedException, exceptions.ForbiddenException) as error:
        raise AnnotationToolError(
            f"CVAT at {url} refuses the token (HTTP {error.status}); make a personal access token "
            "in CVAT under your profile, with write access, and set CVAT_ACCESS_TOKEN to it"
        ) from None
    except exceptions.NotFoundException:
        raise AnnotationToolError(
            f"CVAT at {url} has no such task, or no CVAT answers there; check the address, and "
            "whether somebody deleted the task"
        ) from None
    except exceptions.ApiException as error:
        raise AnnotationToolError(f"CVAT at {url} {_said(error)}") from None
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise AnnotationToolError(
            f"CVAT at {url} cannot be reached ({type(reason).__name__}); check the address, and "
            "that the server runs"
        ) from None
    except (
        CvatSdkException,
        exceptions.OpenApiException,
        UnicodeDecodeError,
        AssertionError,  # the client's own, about fields of an answer
        LookupError,  # a photo or a label that we sent and the server does not name
    ) as error:
        shown = " ".join(str(error).split())[:300]
        raise AnnotationToolError(
            f"CVAT at {url} gave an answer that its client cannot use: {shown}; compare the "
            "versions of the server and of cvat-sdk"
        ) from None


def _said(error: exceptions.ApiException) -> str:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    shown = " ".join(str(body or error.reason or "").split())[:300]
    return f"answers with HTTP {error.status}: {shown}; try again, or see the server's log"
