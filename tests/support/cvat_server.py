"""A server that answers as CVAT does to the calls that Satchel makes, on a free port.

Its answers have every field that CVAT 2.80 describes as read; cvat-sdk validates them by its own
models as it reads them. What is sent is checked here by the models of requests.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image

TOKEN = "a-secret-token"
DATE = "2026-11-30T07:00:00.000000Z"


@dataclass
class FakeTask:
    """A task; its frames are in the order of their names, as CVAT sorts them."""

    id: int
    name: str
    labels: list[str]
    segment_size: int
    photos: dict[str, tuple[int, int]] = field(default_factory=dict)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    tracks: list[dict[str, Any]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    updated: dict[int, str] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    assignee: str | None = None

    def frames(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "width": w, "height": h, "related_files": 0}
            for name, (w, h) in sorted(self.photos.items())
        ]

    def label_id(self, name: str) -> int:
        return 100 * self.id + self.labels.index(name)

    def job_ranges(self) -> dict[int, tuple[int, int]]:
        count, size = len(self.photos), self.segment_size
        starts = range(0, count, size)
        return {
            10 * self.id + number: (start, min(start + size, count) - 1)
            for number, start in enumerate(starts)
        }

    def shape(self, frame: int, label: str, points: list[float], **other: Any) -> dict[str, Any]:
        """Draw a shape, as a person does."""
        drawn = {
            "id": len(self.shapes) + 1,
            "type": "rectangle",
            "frame": frame,
            "label_id": self.label_id(label),
            "points": points,
            "source": "manual",
            "occluded": False,
            "outside": False,
            "z_order": 0,
            "rotation": 0.0,
            "group": 0,
            "attributes": [],
            "elements": [],
            "score": 1.0,
            **other,
        }
        self.shapes.append(drawn)
        return drawn


class CvatServer:
    """The server's state; change it as people at work in CVAT do."""

    def __init__(self) -> None:
        self.tasks: dict[int, FakeTask] = {}
        self.made = 0
        self.requests: list[str] = []
        self.refuse: dict[str, int] = {}  # "METHOD /path" → status to answer with
        self.held: dict[str, threading.Event] = {}  # "METHOD /path" → answered once it is set
        self.garbage: dict[str, bytes] = {}  # "METHOD /path" → what to send in place of JSON
        self.url = ""

    # -- answers ----------------------------------------------------------------------------

    def answer(self, method: str, url: str, headers: Any, body: bytes) -> tuple[int, Any]:
        parts = urlsplit(url)
        path = unquote(parts.path).rstrip("/")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.requests.append(f"{method} {path}")
        if f"{method} {path}" in self.held:
            self.held[f"{method} {path}"].wait(30)
        if f"{method} {path}" in self.refuse:
            return self.refuse[f"{method} {path}"], {"detail": "the disk is full"}
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"detail": "Invalid token."}
        for pattern, function in self._routes().items():
            wanted, _, form = pattern.partition(" ")
            found = re.fullmatch(form, path)
            if found and wanted == method:
                if "id" in found.groupdict() and "tasks" in path:
                    task = self.tasks.get(int(found["id"]))
                    if task is None:
                        return 404, {"detail": "Not found."}
                    return function(task, query, headers, body)
                return function(found, query, headers, body)
        return 404, {"detail": "Not found."}

    def _routes(self) -> dict[str, Callable[..., tuple[int, Any]]]:
        return {
            "GET /api/users/self": lambda *_: (200, self._user("jin")),
            "POST /api/tasks": self._create_task,
            r"GET /api/tasks/(?P<id>\d+)": lambda task, *_: (200, self._task(task)),
            r"DELETE /api/tasks/(?P<id>\d+)": self._delete_task,
            r"POST /api/tasks/(?P<id>\d+)/data": self._upload,
            r"GET /api/requests/[\w=:&-]+": lambda *_: (200, self._finished()),
            r"GET /api/tasks/(?P<id>\d+)/data/meta": lambda task, *_: (200, self._meta(task)),
            r"PATCH /api/tasks/(?P<id>\d+)/annotations": self._annotate,
            "GET /api/labels": self._labels,
            "GET /api/jobs": self._jobs,
            r"GET /api/jobs/(?P<job>\d+)/annotations": self._job_annotations,
        }

    def _create_task(self, _: Any, query: Any, headers: Any, body: bytes) -> tuple[int, Any]:
        spec = json.loads(body)
        names = [label["name"] for label in spec["labels"]]
        self.made += 1
        task = FakeTask(self.made, spec["name"], names, spec["segment_size"])
        self.tasks[task.id] = task
        return 201, self._task(task)

    def _delete_task(self, task: FakeTask, *_: Any) -> tuple[int, Any]:
        del self.tasks[task.id]
        return 204, None

    def _upload(self, task: FakeTask, query: Any, headers: Any, body: bytes) -> tuple[int, Any]:
        if "Upload-Start" in headers:
            return 202, None
        if "Upload-Multiple" in headers:
            for name, data in _files(headers["Content-Type"], body):
                with Image.open(BytesIO(data)) as image:
                    task.photos[PurePosixPath(name).name] = image.size
            return 200, None
        assert "Upload-Finish" in headers
        task.states = dict.fromkeys(task.job_ranges(), "new")
        task.updated = dict.fromkeys(task.job_ranges(), DATE)
        return 202, {"rq_id": f"action=create&target=task&target_id={task.id}"}

    def _finished(self) -> dict[str, Any]:
        return {
            "status": "finished",
            "message": "",
            "id": "action=create&target=task",
            "operation": {
                "type": "create:task",
                "target": "task",
                "project_id": None,
                "task_id": 1,
                "job_id": None,
                "format": None,
                "function_id": None,
                "lightweight": True,
            },
            "progress": 1.0,
            "created_date": DATE,
            "started_date": DATE,
            "finished_date": DATE,
            "expiry_date": None,
            "owner": {"id": 1, "username": "jin"},
            "result_url": None,
            "result_id": None,
        }

    def _annotate(self, task: FakeTask, query: Any, headers: Any, body: bytes) -> tuple[int, Any]:
        assert query["action"] == "create"
        for shape in json.loads(body)["shapes"]:
            assert shape["label_id"] in map(task.label_id, task.labels)
            assert 0 <= shape["frame"] < len(task.photos)
            drawn = task.shape(shape["frame"], task.labels[0], shape["points"])
            drawn |= shape
        return 200, self._data(task, 0, len(task.photos))

    def _labels(self, _: Any, query: Any, headers: Any, body: bytes) -> tuple[int, Any]:
        task = self.tasks[int(query["task_id"])]
        attributes = [
            {
                "id": 900 + number,
                "name": name,
                "mutable": False,
                "input_type": "text",
                "default_value": "",
                "values": [""],
            }
            for number, name in enumerate(task.attributes)
        ]
        return 200, _page(
            [
                {
                    "id": task.label_id(name),
                    "name": name,
                    "color": "#ff0000",
                    "attributes": attributes,
                    "type": "any",
                    "sublabels": [],
                    "project_id": None,
                    "task_id": task.id,
                    "parent_id": None,
                    "has_parent": False,
                }
                for name in task.labels
            ]
        )

    def _jobs(self, _: Any, query: Any, headers: Any, body: bytes) -> tuple[int, Any]:
        task = self.tasks[int(query["task_id"])]
        return 200, _page([self._job(task, number) for number in task.states])

    def _job_annotations(self, found: Any, *_: Any) -> tuple[int, Any]:
        number = int(found["job"])
        for task in self.tasks.values():
            if number in task.job_ranges():
                first, last = task.job_ranges()[number]
                return 200, self._data(task, first, last + 1)
        return 404, {"detail": "Not found."}

    # -- objects ----------------------------------------------------------------------------

    def _user(self, name: str) -> dict[str, Any]:
        return {
            "url": f"{self.url}/api/users/1",
            "id": 1,
            "username": name,
            "first_name": "",
            "last_name": "",
            "email": "",
            "groups": ["user"],
            "is_staff": False,
            "is_superuser": False,
            "is_active": True,
            "last_login": DATE,
            "date_joined": DATE,
        }

    def _task(self, task: FakeTask) -> dict[str, Any]:
        jobs = {"count": len(task.job_ranges()), "completed": 0, "validation": 0}
        return {
            "url": f"{self.url}/api/tasks/{task.id}",
            "id": task.id,
            "name": task.name,
            "project_id": None,
            "project_name": None,
            "mode": "annotation",
            "owner": {"url": "", "id": 1, "username": "jin", "first_name": "", "last_name": ""},
            "assignee": None,
            "bug_tracker": "",
            "created_date": DATE,
            "updated_date": DATE,
            "overlap": 0,
            "segment_size": task.segment_size,
            "status": "annotation",
            "data_chunk_size": 72,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "size": len(task.photos),
            "image_quality": 95,
            "data": 1,
            "dimension": "2d",
            "subset": "",
            "organization": None,
            "target_storage": None,
            "source_storage": None,
            "jobs": {**jobs, "url": f"{self.url}/api/jobs?task_id={task.id}"},
            "labels": {"url": f"{self.url}/api/labels?task_id={task.id}"},
            "guide_id": None,
            "assignee_updated_date": None,
            "validation_mode": None,
        }

    def _job(self, task: FakeTask, number: int) -> dict[str, Any]:
        first, last = task.job_ranges()[number]
        assignee = None
        if task.assignee:
            names = {"first_name": "", "last_name": ""}
            assignee = {"url": "", "id": 1, "username": task.assignee, **names}
        return {
            "url": f"{self.url}/api/jobs/{number}",
            "id": number,
            "task_id": task.id,
            "task_name": task.name,
            "project_id": None,
            "project_name": None,
            "assignee": assignee,
            "guide_id": None,
            "dimension": "2d",
            "bug_tracker": "",
            "status": "annotation",
            "stage": "annotation",
            "state": task.states[number],
            "type": "annotation",
            "mode": "annotation",
            "frame_count": last - first + 1,
            "start_frame": first,
            "stop_frame": last,
            "data_chunk_size": 72,
            "data_compressed_chunk_type": "imageset",
            "data_original_chunk_type": "imageset",
            "created_date": DATE,
            "updated_date": task.updated[number],
            "issues": {"url": "", "count": 0},
            "labels": {"url": ""},
            "organization": None,
            "target_storage": None,
            "source_storage": None,
            "assignee_updated_date": None,
            "parent_job_id": None,
        }

    def _meta(self, task: FakeTask) -> dict[str, Any]:
        return {
            "chunks_updated_date": DATE,
            "chunk_size": 72,
            "size": len(task.photos),
            "image_quality": 95,
            "start_frame": 0,
            "stop_frame": max(0, len(task.photos) - 1),
            "frame_filter": "",
            "frames": task.frames(),
            "deleted_frames": task.deleted,
            "included_frames": None,
            "storage": "local",
            "cloud_storage_id": None,
        }

    def _data(self, task: FakeTask, first: int, end: int) -> dict[str, Any]:
        def inside(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [row for row in rows if first <= row["frame"] < end]

        return {
            "version": 0,
            "tags": [],
            "shapes": inside(task.shapes),
            "tracks": inside(task.tracks),
        }


def _page(results: list[Any]) -> dict[str, Any]:
    return {"count": len(results), "next": None, "previous": None, "results": results}


def _files(content_type: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of a multipart body; a path is cut to its name, as Django does."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    for part in message_from_bytes(head + body).walk():
        name = part.get_filename()
        if name:
            yield name, part.get_payload(decode=True)  # type: ignore[misc]


@contextmanager
def cvat_server() -> Iterator[CvatServer]:
    """Run the server on a free port."""
    state = CvatServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each body waits 40 ms for the header's receipt

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, value = state.answer(self.command, self.path, self.headers, body)
            data = b"" if value is None else json.dumps(value).encode()
            data = state.garbage.get(f"{self.command} {self.path}", data)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
