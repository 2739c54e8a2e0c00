"""Push to and pull from a real Label Studio: an integration test that is opted in to.

Start a server, and make a token under Account & Settings; then

    LABEL_STUDIO_URL=http://localhost:8080 LABEL_STUDIO_API_KEY=… \
        pytest -m slow tests/workflows/test_label_studio.py
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from conftest import put_in
from satchel.annotate.class_map import ClassMap
from satchel.annotate.tools.tool import connect
from satchel.catalog.annotations import BoxSource
from satchel.errors import AnnotationToolError
from satchel.images import RGB
from satchel.records import Box, Detection
from satchel.workflows.annotate_suggest import suggest_photos
from satchel.workflows.annotate_tools import pull_boxes, push_photos
from satchel.workspace import Workspace

URL, TOKEN = os.environ.get("LABEL_STUDIO_URL"), os.environ.get("LABEL_STUDIO_API_KEY")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (URL and TOKEN), reason="needs LABEL_STUDIO_URL and _API_KEY"),
    pytest.mark.filterwarnings("default"),
]
pytest.importorskip("label_studio_sdk", reason="needs the extra: pip install '.[label-studio]'")


class StubLocator:
    """Finds one bag in every photo."""

    id = "5" * 64
    pad = 0.05

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        return [[Detection(Box(0.1, 0.2, 0.8, 0.9), "bag", 0.75)] for _ in photos]


def test_boxes_there_and_back(workspace: Workspace, catalogue_file: Path) -> None:
    assert URL
    assert TOKEN
    put_in(workspace, catalogue_file)
    chosen = suggest_photos(workspace, 4, StubLocator(), on_problem=lambda p: pytest.fail(str(p)))
    with connect("label-studio", URL, TOKEN) as tool:
        pushed = push_photos(workspace, tool, chosen, title="Satchel's test")
        client = tool._client  # type: ignore[attr-defined]
        try:
            tasks = list(client.tasks.list(project=pushed.task, fields="all"))
            assert len(tasks) == 4
            for task in tasks:
                assert len(task.predictions) == 1
            for number, task in enumerate(tasks[:3]):  # a person works: corrects, empties, accepts
                result = [dict(one) for one in task.predictions[0].result]
                if number == 0:
                    result[0]["value"] = {**result[0]["value"], "x": 50, "width": 25}
                result = [] if number == 1 else result
                client.annotations.create(id=task.id, result=result)
            done = pull_boxes(
                workspace, tool, classes=ClassMap({}), on_problem=lambda p: pytest.fail(str(p))
            )
            assert [one.photos for one in done.imports] == [3]
            assert done.notes == [f"1 photos of project {pushed.task} are not annotated yet"]
            people = list(workspace.catalogue.annotations.current(source=BoxSource.PERSON))
            assert sorted(len(one.boxes) for one in people) == [0, 1, 1]
            corners = sorted(one.boxes[0].box.xyxy for one in people if one.boxes)
            assert corners[0] == pytest.approx((0.1, 0.2, 0.8, 0.9), abs=1e-4)
            assert corners[1] == pytest.approx((0.5, 0.2, 0.75, 0.9), abs=1e-4)
            again = pull_boxes(
                workspace, tool, classes=ClassMap({}), on_problem=lambda p: pytest.fail(str(p))
            )
            assert again.imports == []
        finally:
            client.projects.delete(id=pushed.task)


def test_a_wrong_token() -> None:
    assert URL
    with (
        pytest.raises(AnnotationToolError, match="refuses the token"),
        connect("label-studio", URL, "0" * 40),
    ):
        pass
