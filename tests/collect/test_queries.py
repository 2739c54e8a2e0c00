"""Queries for products, lists of codes, and searches that are made once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from openpyxl import Workbook
from pydantic import ValidationError
from sqlalchemy import select

from satchel.catalog.brands import Brands
from satchel.catalog.rows import RowProblem
from satchel.collect import sources
from satchel.collect.codes import read_codes
from satchel.collect.queries import Query, build_queries
from satchel.collect.rules import CollectRules
from satchel.collect.searching import EMPTY_AT_FIRST
from satchel.collect.sources import Hit, SourceContext
from satchel.collect.tables import CandidateRow, SearchRow
from satchel.errors import SearchFailed, SourceStopped, UsageError
from satchel.records import Product
from satchel.workflows.photo_search import search_photos, wanted_products
from satchel.workspace import Workspace
from support.cli import satchel
from support.photo_site import PhotoSite, photo_site

CODES = "code,brand,name,category\nM1,Dior,Saddle,bag\nM2,디올,,지갑\n"


@pytest.fixture
def site() -> Iterator[PhotoSite]:
    with photo_site() as running:
        yield running


def set_up(workspace: Workspace, site: PhotoSite | None = None) -> Workspace:
    text = '[collect]\ncontact = "crawl@example.com"\ndelay_s = 0\nmin_free_mb = 0\n'
    text += 'queries = ["{brand} {name} {code}", "{code} {category}"]\n'
    if site is not None:
        text += '[fetch]\nnetworks = ["127.0.0.1"]\n'
    (workspace.folder / "satchel.toml").write_text(text)
    return Workspace.open(workspace.folder)


class ListedSource:
    """Names a photo site's photos for each query, as many as it is told."""

    pause_s = 0.0

    def __init__(self, site: str, hits: int = 2) -> None:
        self.site, self.hits = site, hits
        self.asked: list[Query] = []
        self.failing: dict[str, Exception] = {}

    def search(self, query: Query, most: int) -> Sequence[Hit]:
        self.asked.append(query)
        if error := self.failing.get(query.text):
            raise error
        number = len(self.asked)
        return [
            Hit(
                f"{self.site}/photos/{query.code}-{number}-{rank}.jpg",
                f"{self.site}/page/{number}",
                f"Photo {rank}",
                "CC0",
                f"{self.site}/thumbnails/{rank}.jpg",
            )
            for rank in range(self.hits)
        ]

    def save_answer(self, folder: Path) -> Sequence[Path]:
        path = folder / "answer.html"
        path.write_text("<p>nothing")
        return [path]


def register(monkeypatch: pytest.MonkeyPatch, source: ListedSource, name: str = "listed") -> None:
    @contextmanager
    def opened(_context: SourceContext) -> Iterator[ListedSource]:
        yield source

    monkeypatch.setitem(sources.SOURCES, name, opened)


# -- queries --------------------------------------------------------------------------------------


def texts(product: Product, *templates: str) -> list[str]:
    return [one.text for one in build_queries(product, templates, ["en", "ko"], Brands())]


def test_brands_and_categories_are_named_in_both_languages() -> None:
    product = Product("S1", brand="디올", name="Saddle", category="bag")
    assert texts(product, "{brand} {name} {code} {category}") == [
        "Dior Saddle S1 bag",
        "디올 Saddle S1 가방",
    ]
    korean = Product("S1", brand="Chanel", category="핸드백")
    assert texts(korean, "{brand} {code} {category}") == ["Chanel S1 handbag", "샤넬 S1 핸드백"]


def test_what_a_product_lacks_leaves_nothing_and_equal_queries_are_made_once() -> None:
    product = Product("S1", brand="Nobody knows it")
    queries = texts(product, "{brand} {name} {code}", "{brand} {code} {category}", "{code}")
    assert queries == ["Nobody knows it S1", "S1"]


def test_a_query_of_brand_and_category_alone_is_not_made() -> None:
    assert texts(Product("S1", brand="Dior", category="bag"), "{brand} {name} {category}") == []


@pytest.mark.parametrize("template", ["{brand}", "{price} {code}", "{code", "bags"])
def test_templates_that_find_other_products_are_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="expected a query of"):
        CollectRules(queries=[template])


# -- lists of codes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "S1\nS2\n\nS1\n"),
        ("a.csv", "Style No.;Brand\nS1;Dior\nS2;\n"),
        ("a.jsonl", '{"code": "S1", "brand": "Dior"}\n{"code": "S2"}\n'),
    ],
)
def test_lists_of_codes_are_read(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    first, second = read_codes(path)
    assert (first.code, second.code) == ("S1", "S2")
    assert (first.brand, second.brand) == (None if name == "a.txt" else "Dior", None)


@pytest.mark.parametrize(
    "rows",
    [
        [("Style No.", "Brand"), ("S1", "Dior"), ("S2", "")],
        [("Wanted bags", None), (None, None), ("품번", "브랜드"), ("S1", "Dior"), ("S2", None)],
        [("S1",), ("S2",), (None,)],
    ],
)
def test_codes_are_read_from_workbooks(tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
    book = Workbook()
    named = len(rows[0]) > 1  # a sheet with a header is found wherever it is
    book.active.append(("Notes", "of no table"))
    sheet = book.create_sheet("codes", index=1 if named else 0)
    for row in rows:
        sheet.append(row)
    book.save(tmp_path / "codes.xlsx")
    first, second = read_codes(tmp_path / "codes.xlsx")
    assert (first.code, second.code) == ("S1", "S2")
    assert (first.brand, second.brand) == ("Dior" if named else None, None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "colour,size\nred,1\n", "a column for codes"),
        ("a.jsonl", "[1]\n", "a JSON object in line 1"),
        ("a.pdf", "", "save it as"),
        ("a.xlsx", "", "no usable Excel workbook"),
        ("a.txt", "\n", "expected codes"),
        ("a.txt", "a\x1bb\n", "printable"),
        ("a.txt", "a" * 500, "1 to [0-9]+ printable"),
        ("a.csv", 'code,name\nS1,Anna\nS2,"Bea\nS3,Carla\n', "line 3 of a.csv .*quote"),
        ("a.jsonl", '{"code": {"is": "S1"}}\n', "text or numbers in line 1"),
    ],
)
def test_other_lists_of_codes_are_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_codes(path)


def test_bad_codes_are_named_by_line_and_the_others_are_read(
    workspace: Workspace, site: PhotoSite, tmp_path: Path
) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(f'code,name\nS1,Anna\n"b\x1bd",Bea\n\n{"x" * 500},Carla\nS2,Dora\n')
    problems: list[RowProblem] = []
    assert [one.code for one in read_codes(path, on_problem=problems.append)] == ["S1", "S2"]
    assert [one.line for one in problems] == [3, 5]
    here = set_up(workspace, site).folder
    done = satchel(here, "collect", "--source", "bing", "--codes", str(path), "--dry-run")
    assert done.returncode == 1
    assert "line 3, code" in done.stderr
    assert "printable characters" in done.stderr
    assert ("S1:" in done.stdout + done.stderr, "S2:" in done.stdout + done.stderr) == (True, True)
    path.write_text("code\nb\x1bd\n")
    with pytest.raises(UsageError, match="found none: line 2, code"):
        read_codes(path)


def test_an_unknown_code_is_answered_with_the_one_most_like_it(workspace: Workspace) -> None:
    with workspace.catalogue.writing() as writer:
        writer.add_product("M22675", {})
    with pytest.raises(UsageError, match="got 'M2267S'; did you mean 'M22675'"):
        wanted_products(workspace, ["M2267S"])


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "codes.csv")
    with pytest.raises(UsageError, match="found no file at"):
        read_codes(tmp_path / "codes.csv")


# -- searches -------------------------------------------------------------------------------------


def test_codes_become_products_with_photos(
    workspace: Workspace, site: PhotoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = set_up(workspace, site)
    source = ListedSource(site.url)
    register(monkeypatch, source)
    (tmp_path / "codes.csv").write_text(CODES)
    arguments = ("collect", "--source", "listed", "--codes", str(tmp_path / "codes.csv"))
    rehearsed = satchel(workspace.folder, *arguments, "--dry-run")
    assert "M1: Dior Saddle M1" in rehearsed.stderr
    assert not source.asked
    assert not workspace.catalogue.has_product("M1")

    done = satchel(workspace.folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [one.text for one in source.asked] == [
        "Dior Saddle M1",
        "디올 Saddle M1",
        "M1 bag",
        "M1 가방",
        "Dior M2",
        "디올 M2",
        "M2 wallet",
        "M2 지갑",
    ]
    assert shown["searched"][0]["found"] == 16
    assert [(one["code"], one["source"], one["new"]) for one in shown["sources"]] == [
        ("M1", "listed", 8),
        ("M2", "listed", 8),
    ]
    with workspace.catalogue.engine.connect() as connection:
        row = connection.execute(select(CandidateRow.__table__).limit(1)).one()
    assert (row.query, row.rank, row.source) == ("Dior Saddle M1", 1, "listed")
    assert (row.title, row.license, row.round) == ("Photo 0", "CC0", 1)
    assert row.thumbnail.endswith("/thumbnails/0.jpg")
    assert workspace.catalogue.photos_of("M1")[0].source == f"{site.url}/page/1"

    again = satchel(workspace.folder, *arguments)
    assert len(source.asked) == 8  # nothing is asked twice
    assert again.returncode == 0
    short = satchel(workspace.folder, *arguments[:3], "--short-of", "5", "--dry-run", "--json")
    assert json.loads(short.stdout)["queries"] == []


def test_a_product_with_enough_candidates_is_not_searched_on(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListedSource("https://photos.example.com", hits=9)
    register(monkeypatch, source)
    monkeypatch.setattr("satchel.workflows.collect.collect_photos", _fetch_nothing)
    (tmp_path / "codes.csv").write_text(CODES)
    arguments = ("--codes", str(tmp_path / "codes.csv"), "--per-product", "4")
    satchel(set_up(workspace).folder, "collect", "--source", "listed", *arguments)
    assert [one.code for one in source.asked] == ["M1", "M2"]
    assert len(candidates(workspace)) == 8


def test_ranks_at_which_hardly_anything_stays_are_not_recorded(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = set_up(workspace)
    for name in ("deep", "shallow"):
        register(monkeypatch, ListedSource(f"https://{name}.example.com", hits=5), name)
    deepest = {"shallow": 2}.get
    done, _ = search_photos(workspace, ["deep", "shallow"], [[Query("M1", "bag")]], deepest=deepest)
    assert [(one.source, one.new) for one in done] == [("deep", 5), ("shallow", 2)]


def test_a_stopped_source_goes_on_where_it_was(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListedSource("https://photos.example.com")
    source.failing = {
        "디올 Saddle M1": SearchFailed("is too long"),
        "M1 가방": SourceStopped("its quota is used up: try again tomorrow"),
    }
    register(monkeypatch, source)
    monkeypatch.setattr("satchel.workflows.collect.collect_photos", _fetch_nothing)
    workspace = set_up(workspace)
    (tmp_path / "codes.csv").write_text(CODES)
    arguments = ("collect", "--source", "listed", "--codes", str(tmp_path / "codes.csv"))
    stopped = satchel(workspace.folder, *arguments)
    assert stopped.returncode == 1
    assert "its quota is used up" in stopped.stderr
    assert len(source.asked) == 4
    source.failing = {}
    satchel(workspace.folder, *arguments)
    assert [one.text for one in source.asked[4:]] == [
        "M1 가방",
        "Dior M2",
        "디올 M2",
        "M2 wallet",
        "M2 지갑",
    ]
    satchel(workspace.folder, *arguments, "--retry")
    assert [one.text for one in source.asked[9:]] == ["디올 Saddle M1"]


def test_a_source_that_finds_nothing_is_an_error_and_is_asked_again(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ListedSource("https://photos.example.com", hits=0)
    register(monkeypatch, source)
    monkeypatch.setattr("satchel.workflows.collect.collect_photos", _fetch_nothing)
    workspace = set_up(workspace)
    (tmp_path / "codes.txt").write_text("".join(f"S{number}\n" for number in range(40)))
    arguments = ("collect", "--source", "listed", "--codes", str(tmp_path / "codes.txt"))
    done = satchel(workspace.folder, *arguments)
    assert done.returncode == 1
    assert "searches found nothing, such as 'S9'" in done.stderr
    assert "answer.html" in done.stderr
    assert len(source.asked) == EMPTY_AT_FIRST
    with workspace.catalogue.engine.connect() as connection:
        assert connection.execute(select(SearchRow.id)).all() == []
    source.hits = 1
    satchel(workspace.folder, *arguments)
    assert len(candidates(workspace)) == 40


def test_calls_that_make_no_sense_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    folder = set_up(workspace).folder
    for arguments, message in [
        (("--source", "nowhere"), "expected a source"),
        (("--code", "M1"), "expected --source"),
        (("list.csv", "--source", "nowhere"), "got several"),
    ]:
        refused = satchel(folder, "collect", *arguments)
        assert refused.returncode == 2
        assert message in refused.stderr


def candidates(workspace: Workspace) -> list[str]:
    with workspace.catalogue.engine.connect() as connection:
        return list(connection.scalars(select(CandidateRow.url)))


def _fetch_nothing(*_: object, **__: object) -> object:
    from satchel.collect.crawl import Crawled

    return Crawled()
