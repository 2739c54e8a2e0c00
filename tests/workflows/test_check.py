"""`satchel check`: every injected fault is found, and what can be made again is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from satchel.workflows.check import CheckResult, Part, check_workspace
from satchel.workspace import Workspace
from support.cli import satchel


def change(workspace: Workspace, *statements: str) -> None:
    with closing(sqlite3.connect(workspace.folder / "satchel.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def a_photo(workspace: Workspace) -> Path:
    return sorted((workspace.folder / "photos").rglob("*.jpg"))[0]


def flip_a_bit(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def not_a_number(workspace: Workspace) -> None:
    rotten = np.full(192, np.nan, "<f2").tobytes().hex()
    change(workspace, f"UPDATE vectors SET vector = x'{rotten}' WHERE photo_id = 2")


def an_older_database(workspace: Workspace) -> None:
    """Another history that led to the same revision: the index looks current and is not."""
    change(workspace, "UPDATE product_photos SET state = 'dropped' WHERE id = 1")


def a_calibration(workspace: Workspace) -> None:
    folder = workspace.models / "calibration"
    folder.mkdir()
    (folder / f"{'a' * 64}.json").write_text("{}")


FAULTS: dict[str, tuple[Part, bool, Callable[[Workspace], object]]] = {
    "photo gone": (Part.PHOTOS, False, lambda w: a_photo(w).unlink()),
    "photo altered": (Part.PHOTOS, False, lambda w: flip_a_bit(a_photo(w), 300)),
    "photo cut off": (
        Part.PHOTOS,
        False,
        lambda w: a_photo(w).write_bytes(a_photo(w).read_bytes()[:99]),
    ),
    "photo empty": (Part.PHOTOS, False, lambda w: a_photo(w).write_bytes(b"")),
    "row without its photo": (
        Part.DATABASE,
        False,
        lambda w: change(w, "PRAGMA foreign_keys=OFF", "DELETE FROM photos WHERE id = 1"),
    ),
    "not embedded": (
        Part.EMBEDDINGS,
        True,
        lambda w: change(w, "DELETE FROM vectors WHERE photo_id = 3"),
    ),
    "vector cut off": (
        Part.EMBEDDINGS,
        True,
        lambda w: change(w, "UPDATE vectors SET vector = x'0000' WHERE photo_id = 2"),
    ),
    "vector of zeros": (
        Part.EMBEDDINGS,
        True,
        lambda w: change(w, "UPDATE vectors SET whole = zeroblob(384) WHERE photo_id = 2"),
    ),
    "vector not a number": (Part.EMBEDDINGS, True, not_a_number),
    "index gone": (Part.INDEX, True, lambda w: w.index_path.unlink()),
    "index altered": (Part.INDEX, True, lambda w: flip_a_bit(w.index_path, 2_000)),
    "index stale": (Part.INDEX, True, lambda w: change(w, "UPDATE revision SET value = 99")),
    "index of other photos": (Part.INDEX, True, an_older_database),
    "model altered": (
        Part.MODELS,
        False,
        lambda w: flip_a_bit(w.models / "stub" / "model.onnx", 40),
    ),
    "card gone": (Part.MODELS, False, lambda w: (w.models / "stub" / "card.json").unlink()),
    "no model named": (Part.MODELS, False, lambda w: (w.models / "serving.json").write_text("?")),
    "calibration": (Part.MODELS, False, a_calibration),
}


def faults(result: CheckResult) -> dict[Part, int]:
    return {
        part: count for part in Part if (count := sum(fault.part is part for fault in result.left))
    }


def test_a_whole_workspace_has_no_faults(filled: Workspace) -> None:
    result = check_workspace(filled)
    assert result.faults == []
    assert result.checked == {
        Part.DATABASE: 1,
        Part.PHOTOS: 10,
        Part.MODELS: 4,  # the served encoder, the locator, and the promoted model once more
        Part.EMBEDDINGS: 10,
        Part.INDEX: 1,
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_repaired_if_it_can_be(filled: Workspace, fault: str) -> None:
    part, repairable, inject = FAULTS[fault]
    inject(filled)
    found = faults(check_workspace(filled))
    assert found[part] >= 1
    again = faults(check_workspace(filled))
    assert again == found  # looking changes nothing
    repaired = check_workspace(filled, repair=True)
    assert (part in faults(repaired)) == (not repairable)
    if repairable:
        assert any(one.repaired and one.part is part for one in repaired.faults)
        assert check_workspace(filled).faults == []


def test_a_damaged_index_of_the_database_is_made_again(filled: Workspace) -> None:
    """The index is made to hold another column than it says, as if its pages were old."""
    filled.catalogue.close()
    change(
        filled,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, '(photo_id)', '(product_id)') "
        "WHERE name = 'ix_product_photos_photo_id'",
    )
    found = check_workspace(filled).left
    assert found
    assert all("missing from index" in fault.reason for fault in found)
    repaired = check_workspace(filled, repair=True)
    assert [fault.repaired for fault in repaired.faults] == [True] * len(found)
    assert check_workspace(filled).faults == []


def test_a_dropped_photo_needs_no_embedding(filled: Workspace) -> None:
    change(
        filled,
        "UPDATE product_photos SET state = 'dropped' WHERE id = 1",
        "UPDATE revision SET value = value + 1",
        "DELETE FROM vectors WHERE photo_id = 1",
    )
    assert set(faults(check_workspace(filled))) == {Part.INDEX}


def test_a_damaged_photo_is_set_aside_and_imported_again(
    filled: Workspace, catalogue_file: Path
) -> None:
    photo = a_photo(filled)
    whole = photo.read_bytes()
    flip_a_bit(photo, 300)
    damaged = photo.read_bytes()
    done = satchel(filled.folder, "check", "--repair")
    assert done.returncode == 1
    assert "import the photo again" in done.stderr
    assert photo.with_suffix(".damaged").read_bytes() == damaged
    assert satchel(filled.folder, "import", str(catalogue_file)).returncode == 0
    assert photo.read_bytes() == whole
    assert satchel(filled.folder, "check").returncode == 0


def test_photos_come_back_from_a_backup(filled: Workspace, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert satchel(filled.folder, "backup", str(backup)).returncode == 0
    photos = sorted((filled.folder / "photos").rglob("*.jpg"))
    before = {path: path.read_bytes() for path in photos}
    photos[0].unlink()
    flip_a_bit(photos[1], 300)
    done = satchel(filled.folder, "check", "--repair", "--backup", str(backup))
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in photos} == before
    told = json.loads(satchel(filled.folder, "check", "--json").stdout)
    assert (told["whole"], told["faults"]) == (True, [])


def test_the_table_names_what_is_wrong(filled: Workspace) -> None:
    a_photo(filled).unlink()
    done = satchel(filled.folder, "check")
    assert done.returncode == 1
    assert "M" in done.stderr
    assert "its file is gone" in done.stderr
    assert "1 faults are left" in done.stderr
    rows = {line.split()[1]: line.split() for line in done.stdout.splitlines() if "│" in line}
    assert rows["photos"][3] == "10"
    wrong = satchel(filled.folder, "check", "--backup", str(filled.folder))
    assert (wrong.returncode, "add --repair" in wrong.stderr) == (2, True)
