"""`-` is stdin: catalogues of each kind, photos; and typing errors that are answered."""

from __future__ import annotations

import io
import json
from pathlib import Path

import openpyxl
import pytest

from conftest import jpeg
from satchel.cli.stdin import read_photo_or_stdin
from satchel.errors import PhotoTooLarge
from satchel.photo_header import PhotoLimits
from satchel.workspace import Workspace
from support.cli import satchel


def workbook(code: str) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    book.active.append(["code", "photo"])
    book.active.append([code, "new.jpg"])
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "table",
    [
        b"code,photo\nNEW,new.jpg\n",
        b'\xef\xbb\xbf{"code": "NEW", "photo": "new.jpg"}\n',
        workbook("NEW"),
    ],
    ids=["csv", "jsonl", "xlsx"],
)
def test_a_catalogue_on_stdin(filled: Workspace, tmp_path: Path, table: bytes) -> None:
    (tmp_path / "new.jpg").write_bytes(jpeg("ring", 77))
    done = satchel(filled.folder, "import", "-", "--photos", str(tmp_path), stdin=table)
    assert done.returncode == 0, done
    assert filled.catalogue.product("NEW")


def test_photos_are_relative_to_the_current_folder(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.jpg").write_bytes(jpeg("ring", 77))
    monkeypatch.chdir(tmp_path)
    done = satchel(filled.folder, "import", "-", stdin=b"code,photo\nNEW,new.jpg\n")
    assert done.returncode == 0, done


def test_a_photo_on_stdin_is_answered_as_its_file(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(data := jpeg("ring", 50))
    for command in ("identify", "locate"):
        of_file = satchel(filled.folder, command, "--json", str(tmp_path / "query.jpg"))
        of_stdin = satchel(filled.folder, command, "--json", "-", stdin=data)
        expected, found = json.loads(of_file.stdout), json.loads(of_stdin.stdout)
        assert found.pop("photo") == "-"
        expected.pop("photo")
        assert found == expected


def test_no_photo_on_stdin_is_a_problem_of_that_photo(filled: Workspace) -> None:
    done = satchel(filled.folder, "identify", "-", stdin=b"")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("-: ")


def test_stdin_is_read_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * 101)))
    with pytest.raises(PhotoTooLarge):
        read_photo_or_stdin(Path("-"), PhotoLimits(max_bytes=100))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("[serch]\n", "serch: there is no such setting, did you mean search?"),
        (
            "[photos]\nmax_byte = 1\n",
            "photos.max_byte: there is no such setting, did you mean max_",
        ),
        ("[photos]\nzzz = 1\n", "photos.zzz: there is no such setting (got 1)"),
    ],
)
def test_typos_in_settings(filled: Workspace, settings: str, told: str) -> None:
    (filled.folder / "satchel.toml").write_text(settings)
    assert told in satchel(filled.folder, "status").stderr


def test_typos_in_attributes(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(jpeg("ring", 50))
    query = str(tmp_path / "query.jpg")
    done = satchel(filled.folder, "identify", query, "--where", "barnd=Atelier")
    assert done.returncode == 2
    assert "did you mean 'brand'?" in done.stderr
    assert "did you mean 'brand'?" in satchel(filled.folder, "facets", "brnad").stderr
