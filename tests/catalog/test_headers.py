from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import jpeg
from satchel.catalog.headers import CODE, HEADERS, PHOTO, attribute_field, name_columns
from satchel.catalog.importers import open_rows, parse_columns
from satchel.catalog.rows import CatalogueRow
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS

SPELLINGS = {
    field: [one.strip() for one in headers.split(",")] for field, headers in HEADERS.items()
}


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        (("품번", "상품명", "사진"), ("code", "name", "photo")),
        (("모델명", "상품명", "사진"), ("code", "name", "photo")),
        (("품번", "모델명", "이미지"), ("code", "name", "photo")),
        (("품번", "상품명", "모델명", "사진"), ("code", "name", "모델명", "photo")),
        (("상품코드", "스타일 코드", "사진"), ("상품코드", "code", "photo")),
        (("Style No.", "판매가(원)", "사이즈 [cm]"), ("code", "price", "size")),
        (("코드*", "사진1", "사진 2", "image_3"), ("code", "photo", "photo", "photo")),
        (("code", "photo", "image_url"), ("code", "photo", "image_url")),
        (("code", "이미지URL", "추가이미지 URL"), ("code", "photo", "photo")),
        (("code", "비고", "비고", "", "비고"), ("code", "비고", "비고 2", "", "비고 3")),
        (("code", "color", "colour"), ("code", "color", "colour")),
    ],
)
def test_headers_of_shops(headers: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert name_columns(headers) == names


def test_thousands_of_equal_headers_take_no_time() -> None:
    names = name_columns(("a",) * 100_000)
    assert (names[1], names[-1]) == ("a 2", "a 100000")


def test_what_a_person_says_comes_first() -> None:
    given_ = parse_columns(["code=상품코드", "Color=톤", "photo=앞", "photo=뒤"])
    headers = ("품번", "상품코드", "톤", "앞", "뒤", "사진")
    assert name_columns(headers, given_) == ("품번", "code", "colour", "photo", "photo", "사진")


def test_two_columns_of_one_field_are_refused() -> None:
    with pytest.raises(UsageError, match="column brand is twice"):
        name_columns(("code", "brand", "Brand"))
    for wrong in ("code", "=품번", "code="):
        with pytest.raises(UsageError, match="expected FIELD=HEADER"):
            parse_columns([wrong])


def test_every_known_header_is_read_and_attributes_are_found_by_it() -> None:
    for field, spellings in SPELLINGS.items():
        for spelling in spellings:
            named = name_columns((spelling,))
            assert named == (field,) or (field == "name" and named == (CODE,)), spelling
            if field not in (CODE, PHOTO, "name"):
                assert attribute_field(spelling.upper()) == field


# -- any table ------------------------------------------------------------------------------------

CELLS = st.text("가방검정 루이비통 Bag-12", min_size=1, max_size=12).map(str.strip).filter(bool)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[str], list[list[str]]]:
    """Fields in any order, a header for each, and rows of values."""
    optional = st.lists(st.sampled_from(PRODUCT_FIELDS), unique=True)
    fields = draw(st.permutations([CODE, PHOTO, *draw(optional)]))
    headers = []
    for field in fields:
        known = SPELLINGS[field]
        if field == "name":  # 모델명 is a code where there is no other
            known = [one for one in known if one not in SPELLINGS[CODE]]
        if field == CODE:
            known = [one for one in known if one not in SPELLINGS["name"]]
        spelling = draw(st.sampled_from(known))
        spelling = draw(st.sampled_from([spelling, spelling.upper(), spelling.title()]))
        headers.append(spelling + draw(st.sampled_from(["", " ", "(필수)", "*"])))
    row = st.tuples(*(st.just("a.jpg") if field == PHOTO else CELLS for field in fields))
    return list(fields), headers, [list(one) for one in draw(st.lists(row, min_size=1, max_size=4))]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    table=tables(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    titles=st.lists(st.sampled_from(["", "2026년 상품 목록", "Spring; list", "a,b"]), max_size=3),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_in_any_dress_is_read_alike(
    tmp_path: Path,
    table: tuple[list[str], list[str], list[list[str]]],
    encoding: str,
    delimiter: str,
    titles: list[str],
    end: str,
) -> None:
    fields, headers, values = table
    (tmp_path / "a.jpg").write_bytes(b"x")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    for title in titles:
        text.write(title + end)
    writer.writerows([headers, *values])
    path = tmp_path / "c.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    rows = list(open_rows(path).rows())
    assert all(isinstance(row, CatalogueRow) for row in rows), rows
    for row, expected in zip(rows, values, strict=True):
        assert isinstance(row, CatalogueRow)
        by_field = dict(zip(fields, expected, strict=True))
        assert row.code == by_field.pop(CODE)
        assert row.photo == (tmp_path / by_field.pop(PHOTO)).resolve()
        assert row.product == by_field
        assert row.attributes == {}


def test_titles_above_the_header_are_skipped_and_lines_count_on(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg("disc"))
    path = tmp_path / "c.csv"
    path.write_text("우리 가게 상품,,\n\n품번;브랜드;사진\nM1;디올;a.jpg\nM2;디올;b.jpg\n")
    source = open_rows(path)
    assert source.notes == ("columns read: code = 품번, brand = 브랜드, photo = 사진",)
    good, bad = source.rows()
    assert (good.line, bad.line) == (4, 5)
    assert isinstance(good, CatalogueRow)
    assert good.product == {"brand": "디올"}


def test_a_header_that_is_repeated_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    text = "비고,품번,사진\nx,M1,a.jpg\n비고,품번,사진\nx,M2,a.jpg\nx,품번,a.jpg\nx\n"
    (tmp_path / "c.csv").write_text(text)
    rows = list(open_rows(tmp_path / "c.csv").rows())
    assert [row.code for row in rows] == ["M1", "M2", "품번", ""]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("명칭,사진\nx,a.jpg\n", [], "add code, or say which column it is: --column code=HEADER"),
        ("명칭,사진\nx,a.jpg\n", ["code=품번"], "add code"),
        ("code,photo\nx,a.jpg\n", ["brand=없음"], "expected a column '없음' in c.csv"),
    ],
)
def test_columns_that_are_not_there(
    tmp_path: Path, text: str, columns: list[str], message: str
) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        open_rows(tmp_path / "c.csv", columns=parse_columns(columns))


def test_json_lines_have_the_same_headers(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "b.jpg").write_bytes(b"x")
    path = tmp_path / "c.jsonl"
    path.write_text('{"품번": "M1", "컬러": "검정", "이미지": ["a.jpg", "b.jpg"], "소재": ""}\n')
    rows = [row for row in open_rows(path).rows() if isinstance(row, CatalogueRow)]
    assert [row.photo.name for row in rows] == ["a.jpg", "b.jpg"]
    assert rows[0].product == {"colour": "검정"}
    assert rows[0].empty == {"material"}
