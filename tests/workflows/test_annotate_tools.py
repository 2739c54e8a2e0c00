"""Suggest, push, pull: against a server that answers as CVAT does."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import urllib3

from satchel.annotate.class_map import ClassMap
from satchel.annotate.tools.tool import checked_url, connect
from satchel.catalog.annotations import BoxSource, Labelling
from satchel.errors import AnnotationToolError, UsageError
from satchel.images import RGB
from satchel.records import Box, Detection, Problem
from satchel.workflows.annotate_suggest import suggest_photos
from satchel.workflows.annotate_tools import (
    PullResult,
    clear_unfinished,
    pull_boxes,
    push_photos,
)
from satchel.workspace import Workspace
from support.cli import satchel
from support.crashing_decoder import crash_over_marked_photos, mark
from support.cvat_server import TOKEN, CvatServer, cvat_server

pytest.importorskip("cvat_sdk", reason="needs the annotate extra: pip install '.[annotate]'")


class StubLocator:
    """Finds one bag in every photo, with a score by its mean brightness."""

    id = "5" * 64
    pad = 0.05

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        return [
            [Detection(Box(0.1, 0.2, 0.8, 0.9), "bag", float(photo.mean()) / 255)]
            for photo in photos
        ]


@pytest.fixture
def cvat() -> Iterator[CvatServer]:
    with cvat_server() as server:
        yield server


def suggest(shop: Workspace, count: int, locator: StubLocator | None = None):
    return suggest_photos(
        shop, count, locator, on_problem=lambda problem: pytest.fail(str(problem))
    )


def push(shop: Workspace, cvat: CvatServer, count: int = 4, locator=None):
    with connect("cvat", cvat.url, TOKEN) as tool:
        return push_photos(shop, tool, suggest(shop, count, locator), locator_id=StubLocator.id)


def pull(shop: Workspace, cvat: CvatServer, **pairs: str) -> tuple[PullResult, list[Problem]]:
    problems: list[Problem] = []
    classes = ClassMap(pairs)
    with connect("cvat", cvat.url, TOKEN) as tool:
        done = pull_boxes(shop, tool, classes=classes, on_problem=problems.append)
    return done, problems


def current(shop: Workspace, source: BoxSource = BoxSource.PERSON) -> dict[str, Labelling]:
    return {one.photo: one for one in shop.catalogue.annotations.current(source=source)}


def complete(cvat: CvatServer, job: int, at: str = "2026-11-30T08:00:00.000000Z") -> None:
    (task,) = (one for one in cvat.tasks.values() if job in one.states)
    task.states[job], task.updated[job] = "completed", at


# -- suggest --------------------------------------------------------------------------------------


def test_suggestions_spread_over_products(shop: Workspace) -> None:
    chosen = suggest(shop, 5, StubLocator())
    assert sorted(one.code for one in chosen) == ["M0", "M1", "M2", "M3", "M4"]
    assert all(one.detections for one in chosen)
    # the first is the one that the locator is least sure of
    assert chosen[0].value == max(one.value for one in suggest(shop, 10, StubLocator()))
    assert len(suggest(shop, 99)) == 10


def test_photos_that_are_gone_are_named_and_passed_over(shop: Workspace) -> None:
    first = shop.catalogue.annotations.unlabelled()[0]
    shop.photos.path(first.photo).unlink()
    problems: list[Problem] = []
    chosen = suggest_photos(shop, 99, StubLocator(), on_problem=problems.append)
    assert len(chosen) == 9
    assert [f"photo {first.photo} of {first.code}" in str(one) for one in problems] == [True]


def test_a_photo_that_crashes_its_decoder_is_passed_over(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_marked_photos(monkeypatch)
    first = shop.catalogue.annotations.unlabelled()[0]
    mark(shop.photos.path(first.photo))
    problems: list[Problem] = []
    chosen = suggest_photos(shop, 99, StubLocator(), on_problem=problems.append)
    assert len(chosen) == 9
    (problem,) = problems
    assert f"photo {first.photo} of {first.code}" in str(problem)
    assert "SIGSEGV" in str(problem)


# -- push -----------------------------------------------------------------------------------------


def test_a_task_with_labels_photos_and_pre_labels(shop: Workspace, cvat: CvatServer) -> None:
    done = push(shop, cvat, 4, StubLocator())
    (task,) = cvat.tasks.values()
    assert (done.task, done.photos, done.boxes) == (task.id, 4, 4)
    assert done.address == f"{cvat.url}/tasks/{task.id}"
    assert task.labels[:3] == ["bag", "small leather good", "shoe"]
    pre_labels = current(shop, BoxSource.PRE_LABEL)
    assert sorted(task.photos) == sorted(f"{photo}.jpg" for photo in pre_labels)
    assert set(task.photos.values()) == {(320, 240)}
    assert [shape["source"] for shape in task.shapes] == ["auto"] * 4
    names = [frame["name"] for frame in task.frames()]
    for shape in task.shapes:
        stored = pre_labels[names[shape["frame"]].removesuffix(".jpg")]
        assert shape["points"] == pytest.approx([32, 48, 256, 216])
        assert shape["score"] == pytest.approx(stored.boxes[0].score)
    assert {one.origin for one in pre_labels.values()} == {"locator 555555555555"}


def test_photos_in_a_task_are_not_pushed_again(shop: Workspace, cvat: CvatServer) -> None:
    for _ in range(3):
        push(shop, cvat, 4)
    sent = [name for task in cvat.tasks.values() for name in task.photos]
    assert (len(sent), len(set(sent))) == (10, 10)
    with pytest.raises(UsageError, match="labelled, or in a task already"):
        push(shop, cvat, 4)


@pytest.mark.parametrize(
    "request_", ["POST /api/tasks/1/data", "PATCH /api/tasks/1/annotations", "GET /api/labels"]
)
def test_a_push_that_fails_leaves_nothing(shop: Workspace, cvat: CvatServer, request_: str) -> None:
    cvat.refuse[request_] = 507
    with pytest.raises(AnnotationToolError, match=r"HTTP 507: .*the disk is full"):
        push(shop, cvat, 4, StubLocator())
    assert cvat.tasks == {}
    assert current(shop, BoxSource.PRE_LABEL) == {}
    assert len(suggest(shop, 99)) == 10


Killing = Callable[[str], AbstractContextManager[None]]


class Killed(BaseException):
    """Stands for a kill: nothing is tidied up, see `killing`."""


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Killing:
    """Let pushes die just before a step, without a chance to remove what is there."""

    @contextmanager
    def at(step: str) -> Iterator[None]:
        def die(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(step, die)
            patch.setattr("satchel.annotate.tools.cvat.Cvat.remove", die)
            yield

    return at


STEPS = (
    "cvat_sdk.core.proxies.tasks.Task.upload_data",
    "satchel.annotate.tools.cvat._add_pre_labels",
    "satchel.catalog.annotation_tasks.AnnotationTaskStore.finish",
)


@pytest.mark.parametrize("step", STEPS)
def test_what_a_killed_push_leaves_is_removed_by_the_next(
    shop: Workspace, cvat: CvatServer, killing: Killing, step: str
) -> None:
    with killing(step), pytest.raises(Killed):
        push(shop, cvat, 4, StubLocator())
    assert list(cvat.tasks) == [1]
    assert len(suggest(shop, 99)) == 6  # not pushed twice, as long as the task is there
    with pytest.raises(UsageError, match="no task was pushed"):
        pull(shop, cvat)
    with connect("cvat", cvat.url, TOKEN) as tool:
        (note,) = clear_unfinished(shop, tool)
        assert clear_unfinished(shop, tool) == []
    assert "task 1 of a push that was cut short is removed" in note
    assert cvat.tasks == {}
    push(shop, cvat, 10, StubLocator())
    assert [(number, len(task.photos)) for number, task in cvat.tasks.items()] == [(2, 10)]


@pytest.mark.parametrize("step", STEPS[1:])
def test_work_that_people_did_in_a_half_made_task_is_kept(
    shop: Workspace, cvat: CvatServer, killing: Killing, step: str
) -> None:
    with killing(step), pytest.raises(Killed):
        push(shop, cvat, 4, StubLocator())
    cvat.tasks[1].shape(2, "shoe", [10, 10, 50, 50])
    complete(cvat, 10)
    with connect("cvat", cvat.url, TOKEN) as tool:
        (note,) = clear_unfinished(shop, tool)
    assert "task 1 of a push that was cut short is kept" in note
    assert len(suggest(shop, 99)) == 6
    done, _ = pull(shop, cvat)
    assert [one.photos for one in done.imports] == [4]
    assert len(current(shop)) == 4


def test_a_half_made_task_that_somebody_removed_is_forgotten(
    shop: Workspace, cvat: CvatServer, killing: Killing
) -> None:
    with killing(STEPS[0]), pytest.raises(Killed):
        push(shop, cvat, 4)
    cvat.tasks.clear()
    with connect("cvat", cvat.url, TOKEN) as tool:
        assert len(clear_unfinished(shop, tool)) == 1
    assert len(suggest(shop, 99)) == 10


def test_a_server_that_is_gone_after_the_task_was_made(shop: Workspace, cvat: CvatServer) -> None:
    """It cannot be removed then: the next push does it."""
    cvat.refuse["POST /api/tasks/1/data"] = cvat.refuse["DELETE /api/tasks/1"] = 507
    with pytest.raises(AnnotationToolError, match="the disk is full"):
        push(shop, cvat, 4)
    cvat.refuse.clear()
    with connect("cvat", cvat.url, TOKEN) as tool:
        clear_unfinished(shop, tool)
    assert cvat.tasks == {}
    assert len(suggest(shop, 99)) == 10


@pytest.mark.flow
def test_a_push_that_is_killed_for_real(
    shop: Workspace, cvat: CvatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the photos are sent; another push meanwhile is refused."""
    monkeypatch.setenv("CVAT_URL", cvat.url)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    sending = "POST /api/tasks/1/data"
    cvat.held[sending] = threading.Event()
    command = (sys.executable, "-m", "satchel", "--workspace", str(shop.folder), "annotate")
    arguments = ("push", "4", "--to", "cvat")
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while sending not in cvat.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "another push is running" in satchel(shop.folder, "annotate", *arguments).stderr
    finally:
        process.kill()
        process.wait()
        cvat.held.pop(sending).set()
    done = satchel(shop.folder, "annotate", *arguments)
    assert done.returncode == 0, done.stderr
    assert "task 1 of a push that was cut short is removed" in done.stderr
    assert [(number, len(task.photos)) for number, task in cvat.tasks.items()] == [(2, 4)]


# -- pull -----------------------------------------------------------------------------------------


def test_a_finished_job(shop: Workspace, cvat: CvatServer) -> None:
    push(shop, cvat, 4, StubLocator())
    (task,) = cvat.tasks.values()
    names = [frame["name"].removesuffix(".jpg") for frame in task.frames()]
    task.shapes = [shape for shape in task.shapes if shape["frame"] != 3]  # "nothing in here"
    task.attributes, task.assignee = ["material"], "mina"
    corrected = task.shapes[0]
    corrected |= {"points": [0, 0, 160, 120], "source": "semi-auto"}
    corrected["attributes"] = [{"spec_id": 900, "value": "leather"}]
    task.shape(corrected["frame"], "shoe", [100, 100, 200, 200])
    complete(cvat, 10)
    done, problems = pull(shop, cvat)
    assert problems == []
    assert done.notes == []
    assert [(one.photos, one.boxes) for one in done.imports] == [(4, 4)]
    found = current(shop)
    assert set(found) == set(names)
    first = found[names[corrected["frame"]]]
    assert [(box.label, box.score) for box in first.boxes] == [("bag", None), ("shoe", None)]
    assert first.boxes[0].box == Box(0, 0, 0.5, 0.5)
    assert first.boxes[0].attributes == {"material": "leather"}
    assert (first.by, first.origin) == ("mina", "cvat task 1 job 10")
    assert found[names[3]].boxes == ()


def test_only_what_changed_is_pulled(shop: Workspace, cvat: CvatServer) -> None:
    push(shop, cvat, 4, StubLocator())
    (task,) = cvat.tasks.values()
    task.segment_size = 2  # jobs 10 and 11
    task.states, task.updated = {10: "new", 11: "new"}, {10: task.updated[10], 11: task.updated[10]}
    complete(cvat, 10)
    pull(shop, cvat)
    cvat.requests.clear()
    done, _ = pull(shop, cvat)
    assert done.imports == []
    assert not [one for one in cvat.requests if one.endswith("/annotations")]
    task.shapes[3]["label_id"] = task.label_id("hat")
    complete(cvat, 11)
    done, _ = pull(shop, cvat)
    assert [one for one in cvat.requests if one.endswith("/annotations")] == [
        "GET /api/jobs/11/annotations"
    ]
    assert [one.photos for one in done.imports] == [2]
    assert len(current(shop)) == 4


def test_a_job_half_finished(shop: Workspace, cvat: CvatServer) -> None:
    push(shop, cvat, 4, StubLocator())
    (task,) = cvat.tasks.values()
    names = [frame["name"].removesuffix(".jpg") for frame in task.frames()]
    task.states[10] = "in progress"
    task.updated[10] = "2026-11-30T07:30:00.000000Z"
    task.shape(2, "shoe", [10, 10, 50, 50])
    done, _ = pull(shop, cvat)
    assert done.notes == [
        "job 10 is in progress: only photos with boxes that a person drew or changed are taken; "
        "set it to completed in CVAT when it is done"
    ]
    (photo,) = current(shop)
    assert photo == names[2]
    again, _ = pull(shop, cvat)  # nothing has changed: it is said why nothing more comes
    assert (again.imports, again.notes) == ([], done.notes)
    complete(cvat, 10)
    done, _ = pull(shop, cvat)
    assert done.notes == []
    assert len(current(shop)) == 4


def test_shapes_that_are_no_boxes(shop: Workspace, cvat: CvatServer) -> None:
    push(shop, cvat, 4)
    (task,) = cvat.tasks.values()
    task.shape(0, "bag", [10, 20, 60, 20, 60, 80], type="polygon")
    task.shape(0, "bag", [10, 10], type="points")
    task.shape(0, "bag", [400, 10, 500, 60])
    task.shape(1, "bag", [60, 20, 100, 40], rotation=90.0)
    task.deleted = [3]
    complete(cvat, 10)
    done, problems = pull(shop, cvat, bag="handbag")
    assert ["it is a points, not a box" in str(one) for one in problems] == [True, False]
    assert "outside the photo of 320 × 240" in str(problems[1])
    name = task.frames()[0]["name"]
    assert str(problems[0]).startswith(f"{name}: ")
    found = current(shop)
    assert len(found) == 3  # one was deleted in CVAT
    (box,) = found[name.removesuffix(".jpg")].boxes
    assert box.label == "handbag"
    assert box.box.xyxy == pytest.approx((10 / 320, 20 / 240, 60 / 320, 80 / 240))
    (turned,) = found[task.frames()[1]["name"].removesuffix(".jpg")].boxes
    assert turned.box.xyxy == pytest.approx((70 / 320, 10 / 240, 90 / 320, 50 / 240))
    assert done.imports[0].report.exists()


def test_a_photo_with_a_track_is_not_one_without_a_product(
    shop: Workspace, cvat: CvatServer
) -> None:
    push(shop, cvat, 2)
    (task,) = cvat.tasks.values()
    drawn = {"type": "rectangle", "frame": 0, "points": [0.0, 0.0, 9.0, 9.0], "attributes": []}
    shape = {**drawn, "id": 1, "occluded": False, "outside": False, "z_order": 0, "rotation": 0.0}
    names = {"id": 1, "frame": 0, "label_id": task.label_id("bag"), "group": 0}
    task.tracks = [{**names, "source": "manual", "shapes": [shape], "attributes": []}]
    complete(cvat, 10)
    _, problems = pull(shop, cvat)
    assert ["as of videos" in str(one) for one in problems] == [True]
    assert set(current(shop)) == {task.frames()[1]["name"].removesuffix(".jpg")}


def test_a_task_that_somebody_deleted_does_not_cost_the_others(
    shop: Workspace, cvat: CvatServer
) -> None:
    push(shop, cvat, 4)
    push(shop, cvat, 4)
    complete(cvat, 20)
    task = cvat.tasks.pop(1)
    done, _ = pull(shop, cvat)
    assert len(done.imports) == 1
    (note,) = done.notes
    assert note.startswith(f"task {task.id}: CVAT at {cvat.url} has no such task")
    cvat.tasks.clear()
    with pytest.raises(AnnotationToolError, match="no such task"):
        pull(shop, cvat)


# -- what goes wrong ------------------------------------------------------------------------------


def test_a_wrong_token(cvat: CvatServer) -> None:
    with (
        pytest.raises(AnnotationToolError, match=r"refuses the token \(HTTP 401\)") as error,
        connect("cvat", cvat.url, "another-token"),
    ):
        pass
    assert "another-token" not in str(error.value)


@pytest.mark.parametrize(
    "answer", [b"<html>log in</html>", b"[]", b'{"id": "one", "username": []}', b"\xff", b""]
)
def test_a_server_that_is_no_cvat(cvat: CvatServer, answer: bytes) -> None:
    cvat.garbage["GET /api/users/self"] = answer
    with (
        pytest.raises(AnnotationToolError, match="an answer that its client cannot use"),
        connect("cvat", cvat.url, TOKEN),
    ):
        pass


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satchel.annotate.tools.cvat.RETRIES", urllib3.Retry(2, backoff_factor=0))
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(AnnotationToolError, match="cannot be reached"), connect("cvat", url, "x"):
        pass


def test_pull_without_a_push(shop: Workspace, cvat: CvatServer) -> None:
    with pytest.raises(UsageError, match="no task was pushed"):
        pull(shop, cvat)


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://x", "http://", "http://u:p@host", "http://x/?token=1"]
)
def test_what_is_no_servers_address(url: str) -> None:
    with pytest.raises(UsageError, match="expected a server's address"):
        checked_url(url)


def test_addresses_lose_their_slash() -> None:
    assert checked_url(" https://cvat.example.com:8443/a/ ") == "https://cvat.example.com:8443/a"


# -- the command line -----------------------------------------------------------------------------


def test_from_suggestion_to_boxes_by_command(
    shop: Workspace, cvat: CvatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("CVAT_URL", f"{cvat.url}/")
    monkeypatch.setattr("satchel.served.load_locator", lambda _: StubLocator())
    done = satchel(shop.folder, "annotate", "push", "3", "--to", "cvat", "--title", "Bags, first")
    assert (done.returncode, done.stderr.count(f"{cvat.url}/tasks/1")) == (0, 1), done.stderr
    assert "3 photos with 3 pre-labels are in CVAT" in done.stderr
    assert cvat.tasks[1].name == "Bags, first"
    done = satchel(shop.folder, "annotate", "pull", "--from", "cvat")
    assert "job 10 is new: only photos with boxes" in done.stderr
    assert "0 boxes on 0 photos pulled from 1 tasks" in done.stderr
    complete(cvat, 10)
    cvat.tasks[1].shape(0, "bag", [400, 10, 500, 60])
    done = satchel(shop.folder, "annotate", "pull", "--from", "cvat", "--map", "bag=handbag")
    assert done.returncode == 1
    assert "3 boxes on 3 photos pulled from 1 tasks; 1 boxes or photos refused" in done.stderr
    assert shop.catalogue.annotations.categories() == {"handbag": 3}
    assert TOKEN not in done.stdout + done.stderr


def test_suggestions_by_command(
    shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("satchel.served.load_locator", lambda _: StubLocator())
    done = satchel(shop.folder, "annotate", "suggest", "4", "--json", "--photos", str(tmp_path))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(row["detections"]) for row in rows] == [1] * 4
    assert {path.stem for path in tmp_path.glob("*.jpg")} == {row["photo"] for row in rows}
    done = satchel(shop.folder, "annotate", "suggest", "2")
    assert rows[0]["photo"][:12] in done.stdout
    assert "bag 0." in done.stdout


def test_without_a_detector_photos_are_only_spread(shop: Workspace) -> None:
    done = satchel(shop.folder, "annotate", "suggest", "5")
    assert (done.returncode, "no detector is configured" in done.stderr) == (0, True)


def test_wrong_usage_of_tools(
    shop: Workspace, cvat: CvatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CVAT_URL", "CVAT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    pushed, at = ("push", "2", "--to", "cvat"), ("--url", cvat.url)
    for arguments, code, part in (
        (("push", "2", "--to", "labelme"), 2, "expected one of cvat, label-studio"),
        (pushed, 2, "set $CVAT_URL, or say --url"),
        ((*pushed, *at), 2, "set $CVAT_ACCESS_TOKEN"),
        ((*pushed, "--url", "nowhere", "--token", "x"), 2, "expected a server's address"),
        ((*pushed, *at, "--token", "wrong-one"), 1, "refuses the token (HTTP 401)"),
        (("pull", "--from", "cvat", *at, "--token", TOKEN), 2, "no task was pushed"),
    ):
        done = satchel(shop.folder, "annotate", *arguments)
        assert (done.returncode, part in done.stderr) == (code, True), done.stderr
        assert "wrong-one" not in done.stderr
    assert cvat.tasks == {}
