"""`satchel import` end to end: rehearsals, addresses, refusals, and a shop's own Excel file."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from conftest import jpeg
from satchel.catalog.rows import RowProblem
from satchel.workflows.refusals import MAX_REASONS, Refusals
from satchel.workspace import Workspace
from support.cli import satchel
from support.workbooks import save


def everything_in(folder: Path) -> dict[str, object]:
    """Every file but the database's, and every row of that."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("satchel.db")
    }
    with closing(sqlite3.connect(folder / "satchel.db")) as database:
        return {**files, "": list(database.iterdump())}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """What a shop sends: a workbook in Korean next to a zip that a Korean Windows made."""
    folder = tmp_path / "보낸 파일"
    photos = folder / "사진"
    photos.mkdir(parents=True)
    with zipfile.ZipFile(folder / "사진.zip", "w") as archive:
        for number in range(4):
            info = zipfile.ZipInfo(f"가방 {number}.jpg".encode("cp949").decode("cp437"))
            archive.writestr(info, jpeg("disc", number))
    with zipfile.ZipFile(folder / "사진.zip") as archive:
        archive.extractall(photos)  # under names such as "░í╣µ 0.jpg"
    save(
        folder / "상품목록.xlsx",
        {
            "작성방법": [("빨간색 항목은 필수입니다",)],
            "상품": [
                ("2026년 11월 위탁 상품",),
                (),
                ("No", "브랜드", "품번*", "상품명", "컬러", "사이즈", "판매가(원)", "사진"),
                (1, "디올", "M0505", "레이디 디올 백", "블랙", "미디움", 3_900_000, "가방 0.jpg"),
                (2, "디올", "M0506", "새들 백", "블루", None, 2_500_000, "가방 1.JPG, 가방 2.jpg"),
                (3, "프라다", 1234, "리나일론", "블랙", None, None, "https://img.example/1.jpg"),
                (4, "구찌", "G1", "재키", None, None, None, "가방 9.jpg"),
                (5, "구찌", "G2", "재키", None, None, None, "가방 8.jpg"),
                (6, "구찌", None, "재키", None, None, None, "가방 3.jpg"),
            ],
        },
    )
    return folder


def test_a_korean_workbook_as_a_shop_sends_it(workspace: Workspace, shop: Path) -> None:
    done = satchel(
        workspace.folder, "import", str(shop / "상품목록.xlsx"), "--photos", str(shop / "사진")
    )
    assert done.returncode == 1  # some rows were refused
    lines = done.stderr.splitlines()
    assert lines[0] == (
        "columns read: brand = 브랜드, code = 품번*, name = 상품명, colour = 컬러, "
        "size = 사이즈, price = 판매가(원), photo = 사진"
    )
    said = "\n".join(lines)
    assert "7 rows: 3 added, 0 already there, 3 refused" in said
    assert "1 photos are addresses: they are kept aside in " in said
    assert "  2 × line 7, photo = '가방 9.jpg': no such file in" in said
    assert "  1 × line 9, code = '': is missing" in said
    product = workspace.catalogue.product("M0506")
    assert (product.brand, product.name, product.colour) == ("디올", "새들 백", "블루")
    assert product.attributes == {"no": "2", "price": "2500000"}
    assert len(workspace.catalogue.photos_of("M0506")) == 2
    (aside,) = workspace.reports.glob("import-*.addresses.jsonl")
    assert [json.loads(line) for line in aside.read_text(encoding="utf-8").splitlines()] == [
        {
            "code": "1234",
            "photo": "https://img.example/1.jpg",
            "no": "3",
            "brand": "프라다",
            "name": "리나일론",
            "colour": "블랙",
        }
    ]
    found = satchel(workspace.folder, "facets", "브랜드", "--where", "brand=Dior", "--json")
    assert json.loads(found.stdout)["values"] == [{"value": "디올", "products": 2}]


def test_a_rehearsal_says_the_same_and_writes_nothing(workspace: Workspace, shop: Path) -> None:
    def run(*options: str) -> tuple[int, list[str]]:
        done = satchel(
            workspace.folder,
            "import",
            str(shop / "상품목록.xlsx"),
            "--photos",
            str(shop / "사진"),
            *options,
        )
        return done.returncode, done.stderr.splitlines()

    for options in ((), ("--update",)):
        before = everything_in(workspace.folder)
        code, rehearsed = run("--dry-run", *options)
        assert everything_in(workspace.folder) == before
        assert rehearsed.pop() == "nothing was written; import without --dry-run to do it"
        done_code, done = run(*options)
        assert (code, plain(rehearsed)) == (done_code, plain(done))


def plain(lines: list[str]) -> list[str]:
    """The lines on counts and refusals, whether they are done or would be."""
    counts = [line for line in lines if " rows: " in line or " × " in line]
    return [line.replace("would be ", "").replace("would have", "has") for line in counts]


def test_a_column_that_is_not_known_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("disc"))
    (tmp_path / "c.csv").write_text("관리기호;그림\nM1;a.jpg\n")
    done = satchel(workspace.folder, "import", str(tmp_path / "c.csv"))
    assert (done.returncode, "found 관리기호, 그림; add code and photo" in done.stderr) == (2, True)
    assert "--column code=HEADER --column photo=HEADER" in done.stderr
    columns = ("--column", "code=관리기호", "--column", "photo=그림")
    assert satchel(workspace.folder, "import", str(tmp_path / "c.csv"), *columns).returncode == 0
    assert workspace.catalogue.product("M1").code == "M1"


def test_refusals_are_summed_up_by_reason() -> None:
    refusals = Refusals()
    for number in range(40):
        reason = f"contradicts 'Dior {number}', which 'M{number}' already has"
        refusals.add(RowProblem.of(number + 2, "brand", "x", reason))
        if number % 2:
            refusals.add(RowProblem.of(number + 2, "photo", "x", f"has {number:,}00 pixels"))
    first, second = refusals.by_count()
    assert (first[0], first[1].line) == (40, 2)
    assert (second[0], second[1].line) == (20, 3)
    for number in range(3 * MAX_REASONS):
        kind = "".join(chr(97 + int(digit)) for digit in str(number))
        refusals.add(RowProblem.of(1, "row", "x", f"reason {kind}"))
    assert len(refusals.by_count()) == MAX_REASONS + 1
    assert sum(count for count, _ in refusals.by_count()) == 60 + 3 * MAX_REASONS
