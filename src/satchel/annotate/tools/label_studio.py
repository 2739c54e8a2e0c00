"""Label Studio, through its own client `label-studio-sdk` (the extra `label-studio`).

A push makes one project and uploads the photos to it. A submitted annotation is finished work, so
every task that has one is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from satchel.annotate.formats.label_studio import BOX_NAME, IMAGE_KEY, read_task, task_of
from satchel.annotate.records import AnnotatedPhoto, BoxProblem
from satchel.annotate.tools.tool import PhotoToLabel, TaskPart
from satchel.errors import AnnotationToolError
from satchel.parallel import batched

TIMEOUT_S: Final = 120
UPLOAD_PHOTOS: Final = 20
"""Photos of one request: a server takes some hundred megabytes."""

PART: Final = "tasks"
MODEL: Final = "satchel"


def label_config(labels: Sequence[str]) -> str:
    """Return the labelling configuration: a box tool with these classes."""
    choices = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    return (
        f'<View><Image name="{IMAGE_KEY}" value="${IMAGE_KEY}" zoom="true"/>'
        f'<RectangleLabels name="{BOX_NAME}" toName="{IMAGE_KEY}">{choices}</RectangleLabels>'
        "</View>"
    )


@contextmanager
def connect_label_studio(url: str, token: str) -> Iterator[LabelStudioServer]:
    """Connect to a Label Studio server; see `tool.connect`."""
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=True) as http:
        with _errors(url):
            client = LabelStudio(base_url=url, api_key=token, httpx_client=http)
            client.users.whoami()
        yield LabelStudioServer(url, client)


class LabelStudioServer:
    """A Label Studio server; see `satchel.annotate.tools.tool.AnnotationTool`."""

    name = "label-studio"
    title = "Label Studio"

    def __init__(self, url: str, client: Any) -> None:
        self.url, self._client = url, client

    def address(self, task: int) -> str:
        """Return the URL of a project, for people."""
        return f"{self.url}/projects/{task}"

    def create(self, title: str, labels: Sequence[str]) -> int:
        """Make a project without photos, and return its id."""
        with _errors(self.url):
            config = label_config(labels)
            project = self._client.projects.create(title=title[:50], label_config=config)
            return int(project.id)

    def fill(self, task: int, photos: Sequence[PhotoToLabel]) -> None:
        """Send the photos of a project and their pre-labels."""
        with _errors(self.url):
            for batch in batched(photos, UPLOAD_PHOTOS):
                self._upload(task, batch)
            self._add_pre_labels(task, photos)

    def remove(self, task: int) -> bool:
        """Remove a project, unless people have annotated in it."""
        with _errors(self.url):
            try:
                project = self._client.projects.get(id=task)
            except ApiError as error:
                if error.status_code == 404:
                    return True
                raise
            if _plain(project).get("total_annotations_number"):
                return False
            self._client.projects.delete(id=task)
            return True

    def changed(self, task: int, pulled: Mapping[str, str]) -> Iterator[TaskPart]:
        """Yield one part: all tasks of a project that were annotated since the last pull."""
        with _errors(self.url):
            project = self._client.projects.get(id=task)
            # The server's own filter, only_annotated, gives tasks without annotations too.
            annotated = [one for one in map(_plain, self._tasks(task)) if _is_annotated(one)]
            last = pulled.get(PART, "")
            new = [one for one in annotated if str(one.get("updated_at") or "") > last]
            if not new:
                return
            state = max(str(one.get("updated_at") or "") for one in new)
            left = (project.task_number or 0) - len(annotated)
            note = f"{left:,} photos of project {task} are not annotated yet" if left > 0 else ""

            def read() -> Iterator[AnnotatedPhoto | BoxProblem]:
                for one in new:
                    yield from read_task(one, 0)

            yield TaskPart(PART, f"project {task}", state, True, None, note, read)

    def _upload(self, project: int, photos: Sequence[PhotoToLabel]) -> None:
        """Upload photos, each of which becomes a task. The client has no method for files."""
        with ExitStack() as files:
            sent = {  # a dictionary: the client drops lists of files
                str(at): (one.file.name, files.enter_context(one.file.open("rb")), "image/jpeg")
                for at, one in enumerate(photos)
            }
            response = self._client._client_wrapper.httpx_client.request(
                f"api/projects/{project}/import", method="POST", files=sent
            )
        if response.status_code >= 300:
            raise ApiError(status_code=response.status_code, body=response.text)

    def _add_pre_labels(self, project: int, photos: Sequence[PhotoToLabel]) -> None:
        by_name = {one.file.stem: one.photo for one in photos}
        rows = []
        for task in self._tasks(project):
            image = str(_plain(task)["data"].get(IMAGE_KEY, ""))
            stem = image.rpartition("-")[2].partition(".")[0]  # of /data/upload/1/0a1b2c3d-NAME.jpg
            for prediction in task_of(by_name[stem], image).get("predictions", ()):
                rows.append({"task": task.id, "model_version": MODEL, **prediction})
        if rows:
            self._client.projects.import_predictions(id=project, request=rows)

    def _tasks(self, project: int) -> Iterator[Any]:
        return iter(self._client.tasks.list(project=project, fields="all"))


def _is_annotated(task: dict[str, Any]) -> bool:
    """Whether a person submitted an annotation."""
    return any(not one.get("was_cancelled") for one in task.get("annotations") or ())


def _plain(sent_object: Any) -> dict[str, Any]:
    """Return an object of the client as the JSON that the server sent."""
    sent: dict[str, Any] = sent_object.model_dump(mode="json")
    return sent


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """Turn errors of the client into messages; none of them holds the token."""
    try:
        yield
    except ApiError as error:
        if error.status_code in (401, 403):
            raise AnnotationToolError(
                f"Label Studio at {url} refuses the token (HTTP {error.status_code}); make one "
                "there under Account & Settings, and set LABEL_STUDIO_API_KEY to it"
            ) from None
        if error.status_code == 404:
            raise AnnotationToolError(
                f"Label Studio at {url} has no such project, or does not answer there; check the "
                "address, and whether somebody deleted the project"
            ) from None
        shown = " ".join(str(error.body).split())[:300]
        raise AnnotationToolError(
            f"Label Studio at {url} answers with HTTP {error.status_code}: {shown}; try again, or "
            "see the server's log"
        ) from None
    except (ValueError, LookupError) as error:
        shown = " ".join(str(error).split())[:300]
        raise AnnotationToolError(
            f"Label Studio at {url} gave an answer that its client cannot use: {shown}; compare "
            "the versions of the server and of label-studio-sdk"
        ) from None
    except httpx.HTTPError as error:
        raise AnnotationToolError(
            f"Label Studio at {url} cannot be reached ({type(error).__name__}); check the address, "
            "and that the server runs"
        ) from None
