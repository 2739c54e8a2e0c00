from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from conftest import jpeg
from satchel.catalog.decisions import Choice
from satchel.catalog.importers import open_rows
from satchel.catalog.ingest import ImportCount, import_rows
from satchel.catalog.photos import sha256
from satchel.catalog.rows import CatalogueRow, RowProblem
from satchel.errors import StorageError, WorkspaceError
from satchel.workspace import Workspace
from support.processes import Run


def run(workspace: Workspace, path: Path, *, update: bool = False) -> tuple[ImportCount, list]:
    problems: list[RowProblem] = []
    count = import_rows(
        open_rows(path).rows(),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        update=update,
        on_problem=problems.append,
    )
    return count, problems


def contents(workspace: Workspace) -> dict[str, list]:
    """Every row of every table, less times and the count of writes to columns."""
    engine = create_engine(f"sqlite:///{workspace.folder / 'satchel.db'}")
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        found = {
            name: [
                {k: v for k, v in row._mapping.items() if k not in ("created_at", "columns")}
                for row in connection.execute(text(f"SELECT * FROM {name}"))
            ]
            for name in list(tables)
        }
    engine.dispose()
    return found


def test_products_and_photos_are_there(workspace: Workspace, catalogue_file: Path) -> None:
    count, problems = run(workspace, catalogue_file)
    assert (count.added, count.unchanged, count.problems, count.new_products) == (10, 0, 0, 5)
    assert problems == []
    product = workspace.catalogue.product("M0")
    assert (product.brand, product.name, product.colour) == ("Atelier", "Disc", "red")
    photos = workspace.catalogue.photos_of("M0")
    assert [(photo.width, photo.height) for photo in photos] == [(320, 240)] * 2
    assert workspace.photos.read(photos[0].sha256)[:2] == b"\xff\xd8"


def test_columns_that_differ_between_photos_are_no_attributes_of_the_product(
    workspace: Workspace, catalogue_file: Path
) -> None:
    run(workspace, catalogue_file)
    assert workspace.catalogue.product("M0").attributes == {"material": "paint"}


def test_twice_changes_nothing(workspace: Workspace, catalogue_file: Path) -> None:
    run(workspace, catalogue_file)
    before = contents(workspace)
    count, _ = run(workspace, catalogue_file)
    assert (count.added, count.unchanged) == (0, 10)
    assert contents(workspace) == before


def test_a_photo_whose_file_is_gone_is_stored_again(
    workspace: Workspace, catalogue_file: Path
) -> None:
    run(workspace, catalogue_file)
    before = contents(workspace)
    (photo, _) = workspace.catalogue.photos_of("M0")
    workspace.photos.path(photo.sha256).unlink()
    count, problems = run(workspace, catalogue_file)
    assert (count.unchanged, problems) == (10, [])
    assert len(workspace.photos.read(photo.sha256)) > 500
    assert contents(workspace) == before


def test_conflict_is_refused_unless_update(workspace: Workspace, catalogue_file: Path) -> None:
    run(workspace, catalogue_file)
    later = catalogue_file.with_name("later.csv")
    later.write_text("code,brand,size,photo\nM0,Another,30,photos/disc-1.jpg\n")
    count, problems = run(workspace, later)
    assert count.problems == 1
    assert (problems[0].line, problems[0].column, problems[0].value) == (2, "brand", "Another")
    assert "contradicts 'Atelier'" in problems[0].reason
    assert workspace.catalogue.product("M0").size is None  # a refused row leaves no trace
    run(workspace, later, update=True)
    product = workspace.catalogue.product("M0")
    assert (product.brand, product.size, product.name) == ("Another", "30", "Disc")


def test_update_stores_further_columns_that_changed(
    workspace: Workspace, catalogue_file: Path
) -> None:
    run(workspace, catalogue_file)
    later = catalogue_file.with_name("later.csv")
    later.write_text(
        "code,material,year,view,role,colour,photo\n"
        "M0,lacquer,1998,,studio,,photos/disc-1.jpg\n"
        "M0,lacquer,,back,,,photos/disc-2.jpg\n"
    )
    known = workspace.catalogue.product("M0")
    count, problems = run(workspace, later)  # without --update nothing known is replaced
    assert (count.added, count.unchanged, problems) == (0, 2, [])
    assert workspace.catalogue.product("M0") == known
    count, problems = run(workspace, later, update=True)
    assert (count.added, count.unchanged, problems) == (2, 0, [])
    product = workspace.catalogue.product("M0")
    assert product.attributes == {"material": "lacquer", "year": "1998", "view": "back"}
    assert product.colour is None  # all of its cells are empty
    assert [photo.role for photo in workspace.catalogue.photos_of("M0")] == ["studio", None]
    before = contents(workspace)
    assert [row["attributes"] for row in before["product_photos"][:2]] == [
        '{"material": "lacquer", "year": "1998"}',
        '{"view": "back", "material": "lacquer"}',
    ]
    count, _ = run(workspace, later, update=True)
    assert (count.added, count.unchanged) == (0, 2)
    assert contents(workspace) == before


def table(workspace: Workspace, path: Path, text: str, *, update: bool = True) -> ImportCount:
    """Import this text; nothing may be refused."""
    path.write_text(text)
    count, problems = run(workspace, path, update=update)
    assert problems == []
    return count


def test_update_empties_what_the_file_leaves_empty(
    workspace: Workspace, catalogue_file: Path
) -> None:
    path = catalogue_file.with_name("c.csv")
    full = (
        "code,brand,name,role,source,license,strap,photo\n"
        "A,Dior,Saddle,front,shop,CC0,chain,photos/disc-1.jpg\n"
        "A,Dior,Saddle,back,shop,CC0,chain,photos/disc-2.jpg\n"
    )
    table(workspace, path, full)
    sparse = (
        "code,brand,name,role,source,license,strap,photo\n"
        "A,,Saddle,,,,,photos/disc-1.jpg\n"
        "A,,,back,,CC0,,photos/disc-2.jpg\n"
    )
    untouched = contents(workspace)
    count = table(workspace, path, sparse, update=False)
    assert (count.added, count.unchanged, count.differing) == (0, 2, 2)
    assert contents(workspace) == untouched
    count = table(workspace, path, sparse)
    assert (count.added, count.emptied) == (2, 1)
    product = workspace.catalogue.product("A")
    assert (product.brand, product.name, product.attributes) == (None, "Saddle", {})
    photos = workspace.catalogue.photos_of("A")
    assert [(p.role, p.source, p.license) for p in photos] == [
        (None, None, None),
        ("back", None, "CC0"),
    ]
    after = contents(workspace)
    count = table(workspace, path, sparse)
    assert (count.added, count.unchanged, count.emptied) == (0, 2, 0)
    assert contents(workspace) == after
    table(workspace, path, full)
    assert contents(workspace) == untouched
    table(workspace, path, "code,photo\nA,photos/disc-1.jpg\nA,photos/disc-2.jpg\n")
    assert contents(workspace) == untouched  # a column that is not there says nothing


def codes_of(workspace: Workspace, photo: str) -> set[str]:
    """The codes that have the photo of this file."""
    known = workspace.catalogue.photo_from(sha256(Path(photo).read_bytes()))
    assert known is not None
    found = {code: workspace.catalogue.photos_of(code) for code in "AB"}
    return {code for code, photos in found.items() if known[1] in {p.sha256 for p in photos}}


def test_a_photo_that_moved_to_another_code_leaves_the_old_one(
    workspace: Workspace, catalogue_file: Path
) -> None:
    path = catalogue_file.with_name("c.csv")
    one, two = (str(catalogue_file.parent / f"photos/disc-{n}.jpg") for n in (1, 2))
    table(workspace, path, "code,photo\nA,photos/disc-1.jpg\nA,photos/disc-2.jpg\n")
    moved = "code,photo\nB,photos/disc-1.jpg\n"
    table(workspace, path, moved, update=False)
    assert codes_of(workspace, one) == {"A", "B"}  # nothing known is taken away
    revision = workspace.catalogue.revision()
    count = table(workspace, path, moved)
    assert (count.added, count.unchanged, count.moved) == (0, 1, 1)
    assert codes_of(workspace, one) == {"B"}
    assert codes_of(workspace, two) == {"A"}  # the file does not name it
    assert workspace.catalogue.revision() > revision
    assert table(workspace, path, moved).moved == 0
    both = "code,photo\nA,photos/disc-1.jpg\nB,photos/disc-1.jpg\n"
    assert table(workspace, path, both).moved == 0
    assert codes_of(workspace, one) == {"A", "B"}


def test_what_a_person_decided_stays_and_so_does_what_a_refused_row_may_say(
    workspace: Workspace, catalogue_file: Path
) -> None:
    path = catalogue_file.with_name("c.csv")
    one = str(catalogue_file.parent / "photos/disc-1.jpg")
    table(workspace, path, "code,brand,photo\nA,Dior,photos/disc-1.jpg\n")
    table(workspace, path, "code,photo\nB,photos/disc-2.jpg\n")
    path.write_text("code,brand,photo\nB,,photos/disc-1.jpg\nA,,gone.jpg\n")
    count, problems = run(workspace, path, update=True)
    assert (len(problems), count.moved) == (1, 0)
    assert codes_of(workspace, one) == {"A", "B"}
    path.write_text("code,brand,photo\nB,,photos/disc-1.jpg\n,,photos/disc-2.jpg\n")
    count, problems = run(workspace, path, update=True)
    assert (len(problems), count.moved, count.uncertain) == (1, 0, 1)
    assert workspace.catalogue.product("A").brand == "Dior"
    (link,) = (p.link_id for p in workspace.catalogue.photos_of("A"))
    workspace.catalogue.review.decide(Choice.KEEP, [link])
    moved = "code,photo\nB,photos/disc-1.jpg\n"
    assert table(workspace, path, moved).moved == 0
    assert codes_of(workspace, one) == {"A", "B"}


def test_spellings_of_a_brand_do_not_contradict_each_other(
    workspace: Workspace, catalogue_file: Path
) -> None:
    path = catalogue_file.with_name("c.csv")
    table(workspace, path, "code,brand,photo\nA,디올,photos/disc-1.jpg\n")
    other = "code,brand,photo\nA,Christian Dior,photos/disc-2.jpg\n"
    table(workspace, path, other, update=False)
    assert workspace.catalogue.product("A").brand == "디올"  # as it was written first
    table(workspace, path, other)
    assert workspace.catalogue.product("A").brand == "Christian Dior"


def test_unreadable_photos_do_not_cost_the_others(
    workspace: Workspace, catalogue_file: Path
) -> None:
    folder = catalogue_file.parent / "photos"
    (folder / "disc-1.jpg").write_text("not a photo")
    (folder / "ring-2.jpg").write_bytes(jpeg("ring")[:900])
    (folder / "box-1.jpg").write_bytes(b"")
    count, problems = run(workspace, catalogue_file)
    assert (count.added, count.problems) == (7, 3)
    assert [problem.line for problem in problems] == [2, 4, 9]
    assert all(problem.column == "photo" for problem in problems)


def test_one_photo_under_two_codes_stays_under_both(
    workspace: Workspace, catalogue_file: Path
) -> None:
    both = catalogue_file.with_name("both.csv")
    both.write_text("code,photo\nA,photos/disc-1.jpg\nB,photos/disc-1.jpg\nA,photos/disc-1.jpg\n")
    count, _ = run(workspace, both)
    assert (count.added, count.unchanged) == (2, 1)
    (one,), (other,) = (workspace.catalogue.photos_of(code) for code in "AB")
    assert one.sha256 == other.sha256
    assert one.link_id != other.link_id


def rows_of(folder: Path, *rows: CatalogueRow) -> Iterator[CatalogueRow]:
    """Good rows, the given ones, and good rows again."""
    for number in range(6):
        if number == 3:
            yield from rows
        (folder / f"{number}.jpg").write_bytes(jpeg("disc", number))
        yield CatalogueRow(number, f"M{number}", folder / f"{number}.jpg")


def test_whatever_a_row_raises_is_that_rows_reason(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("ring"))
    unreadable = CatalogueRow(91, "A", Path("a\0b.jpg"))  # ValueError, while it is read
    unwritable = CatalogueRow(92, "B\ud800", tmp_path / "a.jpg")  # UnicodeEncodeError, in SQLite
    half = CatalogueRow(93, "C", tmp_path / "a.jpg", link={"role": "\ud800"})
    problems: list[RowProblem] = []
    count = import_rows(
        rows_of(tmp_path, unreadable, unwritable, half),
        workspace.catalogue,
        workspace.photos,
        limits=workspace.settings.photos.limits(),
        on_problem=problems.append,
    )
    assert (count.added, count.new_products) == (6, 6)
    assert [problem.line for problem in problems] == [91, 92, 93]
    assert all("cannot be imported: " in problem.reason for problem in problems)
    assert workspace.catalogue.size().products == 6  # nothing is left of a row that failed half way


def test_a_photo_store_that_cannot_be_written_ends_the_import_in_words(
    workspace: Workspace, catalogue_file: Path
) -> None:
    (workspace.folder / "photos").rmdir()
    (workspace.folder / "photos").write_text("no folder")
    with pytest.raises(StorageError, match="remove what is in its place"):
        run(workspace, catalogue_file)
    assert workspace.catalogue.size().photos == 0


def test_a_database_that_cannot_be_written_ends_the_import_in_words(
    workspace: Workspace, catalogue_file: Path
) -> None:
    assert workspace.catalogue.size().photos == 0  # opens it
    with closing(sqlite3.connect(workspace.folder / "satchel.db")) as database:
        database.execute("DROP TABLE photos")
    with pytest.raises(WorkspaceError, match="cannot be used: no such table"):
        run(workspace, catalogue_file)


@pytest.mark.flow
def test_killed_half_way_and_run_again_it_completes(workspace: Workspace, tmp_path: Path) -> None:
    """Kill a real import, by the signal that cannot be caught, several times; then let it end."""
    folder = tmp_path / "many"
    for code in range(30):
        (folder / f"C{code:02}").mkdir(parents=True)
        for seed in range(20):
            size = (200 + code, 150 + seed)
            (folder / f"C{code:02}" / f"{seed}.jpg").write_bytes(jpeg("box", seed, size))
    start = partial(Run, workspace.folder, tmp_path / "notes.txt", "import", str(folder))
    for least in (1, 200, 400):
        killed = start()
        killed.wait(lambda least=least: workspace.catalogue.size().photos >= least)  # type: ignore[misc]
        killed.kill()
        photos = workspace.catalogue.size().photos
        assert photos == len([p for code in range(30) for p in photos_on_disk(workspace, code)])
    assert start().wait() == 0
    total = workspace.catalogue.size()
    assert (total.products, total.photos) == (30, 600)


def photos_on_disk(workspace: Workspace, code: int) -> list[Path]:
    """Every photo that the database says a product has; reading proves it whole."""
    photos = workspace.catalogue.photos_of(f"C{code:02}")
    assert all(len(workspace.photos.read(photo.sha256)) > 500 for photo in photos)
    return [workspace.photos.path(photo.sha256) for photo in photos]


@pytest.mark.slow
def test_a_hundred_thousand_rows_in_bounded_memory(workspace: Workspace, tmp_path: Path) -> None:
    """Peak memory of 100,000 rows is within 60 MB of that of 5,000, over 1,000 distinct photos."""
    for number in range(1_000):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg("disc", number, (64, 48)))
    peaks = []
    for rows in (5_000, 100_000):
        table = tmp_path / f"{rows}.csv"
        with table.open("w") as file:
            file.write("code,photo\n")
            file.writelines(f"P{row // 4},{row % 1_000}.jpg\n" for row in range(rows))
        code = (
            "import resource, sys\n"
            "from satchel.cli.app import app\n"
            "try:\n    app(sys.argv[1:])\n"
            "finally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "--workspace", workspace.folder, "import", table],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert workspace.catalogue.size().photos == 100_000
    assert peaks[1] < peaks[0] + 60


def test_values_that_differ_are_counted_and_stay_without_update(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("ring"))
    for material, update, counts in (
        ("silk", False, (1, 0, 0)),
        ("silk", False, (0, 1, 0)),
        ("wool", False, (0, 1, 1)),
        ("wool", True, (1, 0, 0)),
    ):
        path = tmp_path / "catalogue.csv"
        path.write_text(f"code,photo,material\nM1,a.jpg,{material}\n")
        before = dict(workspace.catalogue.product("M1").attributes) if counts[1] else {}
        count, problems = run(workspace, path, update=update)
        assert (count.added, count.unchanged, count.differing) == counts
        assert problems == []
        expected = {"material": material} if counts[0] else before
        assert workspace.catalogue.product("M1").attributes == expected
