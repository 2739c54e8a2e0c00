from __future__ import annotations

import json
import os
import random
import re
import unicodedata
from pathlib import Path
from typing import Final, Literal

import pytest

from conftest import SHARED, jpeg
from satchel.catalog import encodings
from satchel.catalog.encodings import inspect_text
from satchel.catalog.importers import open_rows
from satchel.catalog.rows import AddressRow, CatalogueRow, RowProblem
from satchel.errors import UsageError

FORMS: Final[tuple[Literal["NFC", "NFD"], ...]] = ("NFC", "NFD")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg("disc"))
    return path


def rows(path: Path, text: str | bytes) -> list[CatalogueRow | RowProblem]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(open_rows(path).rows())


def test_csv_columns_go_where_they_belong(photo: Path) -> None:
    text = "Code, Brand ,color,role,strap,photo\nM1,Atelier,red,studio,chain,a.jpg\n"
    assert rows(photo.parent / "c.csv", text) == [
        CatalogueRow(
            2,
            "M1",
            photo.resolve(),
            {"brand": "Atelier", "colour": "red"},
            {"role": "studio"},
            {"strap": "chain"},
        )
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_delimiters(photo: Path, delimiter: str) -> None:
    lines = [["code", "photo", "name"], ["M1", "a.jpg", "One"]]
    (row,) = rows(photo.parent / "c.csv", "\n".join(delimiter.join(line) for line in lines))
    assert isinstance(row, CatalogueRow)
    assert row.product == {"name": "One"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_korean_text_in_the_encodings_that_excel_writes(photo: Path, encoding: str) -> None:
    text = "code,name,photo\nM1,모노그램 숄더백,a.jpg\n"
    (row,) = rows(photo.parent / "c.csv", text.encode(encoding))
    assert isinstance(row, CatalogueRow)
    assert row.product["name"] == "모노그램 숄더백"


def test_jsonl(photo: Path) -> None:
    lines = [
        json.dumps({"code": "M1", "photo": "a.jpg", "year": 1998, "tags": ["a", "b"], "x": None}),
        "",
        "{broken",
        "[1]",
    ]
    found = rows(photo.parent / "c.jsonl", "\n".join(lines))
    assert isinstance(found[0], CatalogueRow)
    assert found[0].attributes == {"year": "1998", "tags": '["a", "b"]'}
    assert [(type(row), row.line) for row in found[1:]] == [(RowProblem, 3), (RowProblem, 4)]


def test_folder_per_code(tmp_path: Path) -> None:
    for name in (
        "M2/b.jpg",
        "M2/more/c.JPG",
        "M1/a.png",
        "M1/notes.txt",
        ".git/x.jpg",
        "M1/._a.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    source = open_rows(tmp_path)
    found = [(row.code, row.photo.name) for row in source.rows() if isinstance(row, CatalogueRow)]
    assert found == [("M1", "a.png"), ("M2", "b.jpg"), ("M2", "c.JPG")]
    assert source.total == 3
    assert source.notes == (
        "passed over, by their names no photos: .txt (1)",
        "passed over, made by a NAS, Windows or macOS: .* (1), ._* (1)",
    )


def test_other_files_of_a_folder_are_reported(tmp_path: Path) -> None:
    (tmp_path / "M1").mkdir()
    for name in ("loose.jpg", "list.txt", "M1/a.jpg", "M1/b.SVG", "M1/c.svg", "M1/Thumbs.db"):
        (tmp_path / name).write_bytes(b"x")
    loose, others, systems = open_rows(tmp_path).notes
    assert loose.startswith("passed over, photos outside the folders, which have no code (1)")
    assert others == "passed over, by their names no photos: .svg (2)"
    assert systems.endswith("Thumbs.db (1)")


@pytest.mark.parametrize("depth", ["", "M1/", "M1/inner/"])
def test_what_systems_leave_is_no_product_and_no_photo(tmp_path: Path, depth: str) -> None:
    folders = (
        "@eaDir",
        "#recycle",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        ".Trashes",
    )
    files = ("._b.jpg", "~$c.jpg", ".hidden.jpg", "desktop.ini", "Thumbs.db")
    names = [f"{depth}{folder}/a.jpg" for folder in folders] + [f"{depth}{name}" for name in files]
    for name in ("M1/inner/good.jpg", *names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    source = open_rows(tmp_path)
    found = [(row.code, row.photo.name) for row in source.rows() if isinstance(row, CatalogueRow)]
    assert found == [("M1", "good.jpg")]
    assert source.total == 1
    (note,) = source.notes
    assert note.startswith("passed over, made by a NAS, Windows or macOS: ")
    assert sum(map(int, re.findall(r"\((\d+)\)", note))) == len(names)


def test_file_names_that_are_no_text_are_taken_and_codes_refused(tmp_path: Path) -> None:
    broken = os.fsdecode(b"\xff\xfe")
    for name in (f"M1/{broken}.jpg", "M1/a\\b.jpg", "M1/\x1b[2J.jpg", f"{broken}/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    good = [row for row in open_rows(tmp_path).rows() if isinstance(row, CatalogueRow)]
    (bad,) = (row for row in open_rows(tmp_path).rows() if isinstance(row, RowProblem))
    assert len(good) == 3
    assert all(row.photo.is_file() and row.code == "M1" for row in good)
    assert (bad.column, "cannot be printed" in bad.reason) == ("code", True)
    assert str(bad).encode() == rb"\udcff\udcfe: holds characters that cannot be printed"


def test_korean_folder_names_from_macos_are_composed(tmp_path: Path) -> None:
    folder = tmp_path / unicodedata.normalize("NFD", "가방")
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    (row,) = open_rows(tmp_path).rows()
    assert isinstance(row, CatalogueRow)
    assert row.code == unicodedata.normalize("NFC", "가방")
    assert row.photo.is_file()


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (",a.jpg,x", "code", "is missing"),
        ("M1,,x", "photo", "is missing"),
        ("M1,nothing.jpg,x", "photo", "no such file"),
        ("M1,../a.jpg,x", "photo", "is outside"),
        ("M1,/etc/passwd,x", "photo", "is outside"),
        ("M1,https://a.example/a.jpg,x", "photo", "is an address"),
        ("M1,a\0.jpg,x", "photo", "control character"),
        ("M1,a.jpg,x\x1b[2J", "name", "control character"),
        ("M1,a.jpg,Tod\x92s", "name", "control character"),
        ("M1", "photo", "is missing"),
        ("M1,a.jpg,x,y", "row", "expected 3 cells as in the header, got 4"),
        (f"{'M' * 201},a.jpg,x", "code", "longer than 200"),
        ("M\x07,a.jpg,x", "code", "control character"),
        ('"M\n1",a.jpg,x', "code", "cannot be printed"),
        (f"M1,{'a' * 300}.jpg,x", "photo", "is not a usable path"),
        (f"M1,a.jpg,{'x' * 1_100_000}", "row", "longer than 1,000,000 characters"),
    ],
)
def test_bad_rows_are_named_and_good_ones_stay(
    photo: Path, line: str, column: str, reason: str
) -> None:
    found = rows(photo.parent / "c.csv", f"code,photo,name\nM0,a.jpg,x\n{line}\nM9,a.jpg,x\n")
    codes = [row.code if isinstance(row, CatalogueRow) else None for row in found]
    assert codes == ["M0", None, "M9"]
    error = found[1]
    assert isinstance(error, RowProblem)
    assert (error.line, error.column) == (3, column)
    assert reason in error.reason


def test_rows_may_lack_their_trailing_empty_cells_or_have_more(photo: Path) -> None:
    text = "code,photo,name,material\nM1,a.jpg\nM2,a.jpg,x,,,\nM3,a.jpg,,wool,\n"
    found = [row for row in rows(photo.parent / "c.csv", text) if isinstance(row, CatalogueRow)]
    assert [
        (row.code, dict(row.product), dict(row.attributes), set(row.empty)) for row in found
    ] == [
        ("M1", {}, {}, {"name", "material"}),
        ("M2", {"name": "x"}, {}, {"material"}),
        ("M3", {}, {"material": "wool"}, {"name"}),
    ]


def test_a_cell_may_name_several_photos(photo: Path) -> None:
    for name in ("b.jpg", "one, two.jpg"):
        (photo.parent / name).write_bytes(b"x")
    for cell, names in (
        ("a.jpg;b.jpg", ["a.jpg", "b.jpg"]),
        (" a.jpg |b.jpg", ["a.jpg", "b.jpg"]),
        ('"a.jpg, b.jpg"', ["a.jpg", "b.jpg"]),
        ('"a.jpg\nb.jpg\n"', ["a.jpg", "b.jpg"]),
        ('"one, two.jpg"', ["one, two.jpg"]),  # there is one of this name
    ):
        found = rows(photo.parent / "c.tsv", f"code\tphoto\nM1\t{cell}\n")
        assert [row.photo.name for row in found if isinstance(row, CatalogueRow)] == names
    (row,) = rows(photo.parent / "c.csv", 'code,photo\nM1,"three, four.jpg"\n')
    assert isinstance(row, RowProblem)
    assert row.value == "three, four.jpg"
    (row,) = rows(photo.parent / "c.csv", f"code,photo\nM1,{'a.jpg;' * 201}\n")
    assert isinstance(row, RowProblem)
    assert "names 201 photos" in row.reason


def test_addresses_are_told_from_files(photo: Path) -> None:
    text = (
        "code,brand,photo\n"
        'M1,디올,"https://a.example/x,y.jpg, http://b.example/2.jpg"\n'
        "M2,,//cdn.example/3.jpg\n"
        "M3,,ftp://a.example/4.jpg\n"
        "M4,,file:///etc/passwd\n"
    )
    found = rows(photo.parent / "c.csv", text)
    kept = [(row.code, row.value, row.values) for row in found if isinstance(row, AddressRow)]
    assert kept == [
        ("M1", "https://a.example/x,y.jpg", {"brand": "디올"}),
        ("M1", "http://b.example/2.jpg", {"brand": "디올"}),
        ("M2", "https://cdn.example/3.jpg", {}),
    ]
    refused = [row for row in found if not isinstance(row, AddressRow)]
    assert [row.line for row in refused] == [4, 5]
    assert all("address of another kind" in str(row) for row in refused)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".MPO", ".hif", ".heif"])
def test_rarer_suffixes_are_photos(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "M1").mkdir()
    (tmp_path / "M1" / f"a{suffix}").write_bytes(b"x")
    assert len(list(open_rows(tmp_path).rows())) == 1


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("M1/a.jpg", "M2/closed/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    scandir = os.scandir

    def refuse(path: str) -> object:  # root may list any folder
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    good, bad = open_rows(tmp_path).rows()
    assert isinstance(good, CatalogueRow)
    assert isinstance(bad, RowProblem)
    assert str(bad) == f"{tmp_path}/M2/closed: folder cannot be listed (permission denied)"
    assert bad.code == "M2"


def test_a_link_out_of_the_folder_is_refused(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "link.jpg").symlink_to(photo)
    (row,) = rows(folder / "c.csv", "code,photo\nM1,link.jpg\n")
    assert isinstance(row, RowProblem)
    assert "is outside" in row.reason


def test_photos_folder_can_be_named(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "c.csv").write_text("code,photo\nM1,a.jpg\n")
    (row,) = open_rows(folder / "c.csv", photos=photo.parent).rows()
    assert isinstance(row, CatalogueRow)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "brand,photo\nx,a.jpg\n", "found brand, photo; add code"),
        ("c.csv", "", "found nothing"),
        ("c.csv", "code,photo,code\n", "is twice in"),
        ("c.xlsx", "code,photo\n", "is no usable Excel workbook"),
        ("c.csv", b"code,photo\nM1,\xff\xff\xff.jpg\n", "UTF-8"),
        ("c.csv", 'code,"photo\nM1,a.jpg\n', "a quote opened here"),
        ("c.csv", "x" * 1_100_000, "longer than"),
        ("c.csv", "code,photo\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("c.csv", "code,photo\n".encode("utf-16-be"), "say --encoding utf-16"),
        (
            "c.csv",
            "code,photo\n에르메스,a\n".encode() + b"Herm\xe8s,\x81b\n",
            "line 3 is the first",
        ),
    ],
)
def test_files_that_are_no_catalogue(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        rows(tmp_path / name, text)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="check the path"):
        open_rows(tmp_path / "nothing.csv")


# -- encodings ------------------------------------------------------------------------------------

WESTERN = (
    "Tod’s",
    "Church’s",
    "Hermès",
    "HERMÈS",
    "Céline",
    "Chloé",
    "Bottega Veneta “Cassette”",
    "é",
    "€ 1.200",
    "Größe 36 – süß",
    "COLEÇÃO",
    "Lancôme® 30°C",
    "20×30",
    "Maison d’Été",
)
KOREAN = (
    "루이비통 스피디 반둘리에",
    "에르메스",
    "샤넬 클래식 플랩백",
    "구찌",
    "프라다 사피아노 토트백",
    "셀린느 러기지 나노",
    "보테가베네타 카세트",
    "버버리",
    "생로랑 루루 토이 백",
    "발렌시아가 시티",
    "디올 레이디백",
    "펜디 바게트",
    "고야드 생루이 PM",
    "끌로에",
    "지방시 안티고나",
    "몽클레르",
    "로에베 퍼즐백",
    "A급",
    "￦1,200,000",
    "토즈 ‘고미노’",  # quotes are in CP949 too
)


def name_read(path: Path, name: str, encoding: str, given: str | None = None) -> str:
    path.write_bytes(f"code,name,photo\r\nM1,{name},a.jpg\r\n".encode(encoding))
    (row,) = open_rows(path, encoding=given).rows()
    assert isinstance(row, CatalogueRow)
    return row.product["name"]


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", WESTERN),
        ("cp949", KOREAN),
        *((encoding, (*WESTERN, *KOREAN, "Hermès 에르메스")) for encoding in ("utf-8", "utf-16")),
    ],
)
def test_one_word_is_enough_to_read_a_file_right(
    photo: Path, encoding: str, names: tuple[str, ...]
) -> None:
    path = photo.parent / "c.csv"
    assert [name_read(path, name.replace(",", ""), encoding) for name in names] == [
        name.replace(",", "") for name in names
    ]


@pytest.mark.parametrize(
    ("name", "encoding", "others"),
    [
        ("카키", "cp949", ["utf-8"]),  # khaki: its bytes are "īŰ" in UTF-8
        ("체크", "cp949", ["utf-8"]),
        ("T이", "cp949", []),
        ("SÄÄ", "cp1252", ["cp949"]),  # "S컴"
        ("LV와Gucci", "cp949", ["cp1252"]),
        ("똠", "cp949", ["cp1252"]),  # "Œc"
    ],
)
def test_ambiguous_encodings_are_refused_and_can_be_named(
    photo: Path, name: str, encoding: str, others: list[str]
) -> None:
    path = photo.parent / "c.csv"
    if others:
        with pytest.raises(UsageError, match="is uncertain") as refused:
            name_read(path, name, encoding)
        assert all(f"--encoding {other}" in str(refused.value) for other in (encoding, *others))
        assert "line 2 reads" in str(refused.value)
        assert repr(name) in str(refused.value)
    assert name_read(path, name, encoding, given=encoding) == name


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("mac-roman", "Tod’s Hermès"),
        ("gbk", "手提包 单肩包 黑色 皮革"),
        ("shift-jis", "ショルダーバッグ 黒"),
        ("cp1251", "сумка чёрная"),
        ("big5", "手提包 黑色"),
    ],
)
def test_other_encodings_are_refused(photo: Path, encoding: str, text: str) -> None:
    with pytest.raises(UsageError, match="save the file again as 'CSV UTF-8'"):
        name_read(photo.parent / "c.csv", text, encoding)


def test_a_wrong_encoding_is_refused(photo: Path) -> None:
    path = photo.parent / "c.csv"
    with pytest.raises(UsageError, match="in CP949, got other bytes in line 2"):
        name_read(path, "Hermès", "cp1252", given="cp949")
    with pytest.raises(UsageError, match="expected one of utf-8"):
        name_read(path, "x", "utf-8", given="latin-1")
    path.write_bytes(b"code,photo\nM1,a.jpg\n\xec\x97")  # cut inside of a character
    with pytest.raises(UsageError, match="line 3 is not UTF-8"):
        open_rows(path)


def test_korean_and_western_text_are_never_taken_for_each_other(tmp_path: Path) -> None:
    """Random words of common syllables, and of Latin letters with accents; a few words a file."""
    rng = random.Random(1)
    common = [bytes((lead, trail)) for lead in range(0xB0, 0xC9) for trail in range(0xA1, 0xFF)]
    accents = "àâäçèéêëîïñòôöùûüœÀÂÄÇÈÉÊËÎÏÑÔÖÙÛÜŒ"
    brands = ("Todes", "Hermes", "Celine", "Chloe", "Bottega", "LOEWE", "Maison")

    def korean() -> bytes:
        latin = rng.choice((b"", b"", b"", b"LV", b"A", b"Mini"))
        return latin + b"".join(rng.choices(common, k=rng.randint(1, 5)))

    def western() -> bytes:
        brand = rng.choice(brands)
        at = rng.randrange(len(brand))
        case = str.upper if brand[at].isupper() else str.lower
        if rng.random() < 0.2:
            return f"{brand}’s".encode("cp1252")
        return f"{brand[:at]}{case(rng.choice(accents))}{brand[at + 1 :]}".encode("cp1252")

    path, read = tmp_path / "c.txt", 0
    for make, right in ((korean, "cp949"), (western, "cp1252")) * 400:
        words = [make() for _ in range(rng.randint(1, 3))]
        path.write_bytes(b"code,name\nM1," + b" ".join(words) + b"\n")
        try:
            encoding = inspect_text(path).encoding
        except UsageError:
            continue
        if encoding != "utf-8-sig":  # "챕" alone is "é" in UTF-8, which comes first
            assert encoding == right, words
            read += 1
    assert read > 700  # refusing everything would be no way to be right


def test_words_across_chunks_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.csv"
    text = "code,name\n" + "M1,가방 Bag 콘크리트\n" * 50
    path.write_bytes(text.encode("cp949"))
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr(encodings, "CHUNK_BYTES", size)
        assert inspect_text(path) == encodings.TextFile("cp949", 51, inferred=True)
        path.write_bytes(text.encode("cp949"))


# -- quotes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "refused", "taken"),
    [
        ('U,B,"open,a.jpg', [3], []),  # no other quote up to the end of the file
        ('U,B,"open,a.jpg\nV,B,"fine, name",a.jpg', [3], ["V"]),  # 5 cells up to the next quote
        ('U,B,"open,a.jpg\nV,B,"fine",a.jpg', [3], ["V"]),  # 4 cells, as there should be
        ('U,B,"open,a.jpg\nV,B,N,a.jpg\n",a.jpg', [3, 5], ["V"]),  # 4 cells, and valid CSV
        ('"U,B,N,a.jpg\nV,"B",N,a.jpg', [3], ["V"]),
    ],
)
def test_an_unclosed_quote_costs_its_own_row_only(
    photo: Path, bad: str, refused: list[int], taken: list[str]
) -> None:
    good = [f"G{number}" for number in range(500)]
    lines = ["code,brand,name,photo", "F,B,N,a.jpg", bad, *(f"{code},B,N,a.jpg" for code in good)]
    found = rows(photo.parent / "c.csv", "\n".join(lines))
    errors = [row for row in found if isinstance(row, RowProblem)]
    assert [error.line for error in errors] == refused
    assert errors[0].reason.startswith("a quote opened here is not closed in its cell (read")
    codes = [row.code for row in found if isinstance(row, CatalogueRow)]
    assert codes == ["F", *taken, *good]


def test_cells_of_several_lines_are_taken(photo: Path) -> None:
    text = (
        'code,"name",photo\nM1,"Small bag,\nin ""red""\n",a.jpg\nM2,x,a.jpg\nM3,"y\nz"\nM4,x,a.jpg'
    )
    found = rows(photo.parent / "c.csv", text)
    assert isinstance(found[0], CatalogueRow)
    assert found[0].product["name"] == 'Small bag,\nin "red"'
    assert [row.line for row in found] == [2, 5, 6, 8]
    assert isinstance(found[2], RowProblem)
    assert (found[2].column, found[2].code) == ("photo", "M3")


def test_a_line_too_long_inside_of_a_quote_costs_no_other(photo: Path) -> None:
    long = "x" * 2_500_000
    found = rows(photo.parent / "c.csv", f'code,photo\nU,"a.jpg\nV,a.jpg\n{long}\nW,a.jpg\n')
    assert [(type(row), row.line) for row in found] == [
        (RowProblem, 2),
        (CatalogueRow, 3),
        (RowProblem, 4),
        (CatalogueRow, 5),
    ]


# -- values ---------------------------------------------------------------------------------------


def test_half_characters_are_refused_in_any_place(photo: Path) -> None:
    good = {"code": "M1", "photo": "a.jpg"}
    bad = [
        {**good, "code": "\ud800"},
        {**good, "photo": "\udcb0.jpg"},
        {**good, "name": "x\ud800y"},
        {**good, "tags": ["\udfff"]},
        {**good, "\ud800": "x"},
        {**good, "name": "NUL \0"},
    ]
    found = rows(photo.parent / "c.jsonl", "\n".join(map(json.dumps, [*bad, good])))
    assert [type(row) for row in found] == [RowProblem] * 6 + [CatalogueRow]
    assert all("half a character" in row.reason for row in found if isinstance(row, RowProblem))
    assert all(str(row).isprintable() for row in found if isinstance(row, RowProblem))


def test_hangul_file_names_are_found_in_either_form(tmp_path: Path) -> None:
    for folder in FORMS:
        for file in FORMS:
            name = unicodedata.normalize(folder, f"가방-{folder}{file}")
            path = tmp_path / name / (unicodedata.normalize(file, "정면") + ".jpg")
            path.parent.mkdir()
            path.write_bytes(b"x")
            for asked in FORMS:
                written = unicodedata.normalize(asked, f"가방-{folder}{file}/정면.jpg")
                table = json.dumps({"code": "M1", "photo": written})
                (row,) = rows(tmp_path / "c.jsonl", table)
                assert isinstance(row, CatalogueRow), (folder, file, asked)
                assert row.photo == path.resolve()


def test_a_name_that_is_there_as_written_wins(tmp_path: Path) -> None:
    for form in FORMS:
        (tmp_path / unicodedata.normalize(form, "가.jpg")).write_bytes(form.encode())
    for form in FORMS:
        name = unicodedata.normalize(form, "가.jpg")
        (row,) = rows(tmp_path / "c.csv", f"code,photo\nM1,{name}\n")
        assert isinstance(row, CatalogueRow)
        assert row.photo.read_bytes() == form.encode()


def test_normalized_names_lead_nowhere_outside(tmp_path: Path) -> None:
    outside = tmp_path / unicodedata.normalize("NFD", "밖")
    outside.mkdir()
    (outside / unicodedata.normalize("NFD", "가.jpg")).write_bytes(b"x")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / unicodedata.normalize("NFD", "링크")).symlink_to(outside)
    for value in ("../밖/가.jpg", f"{tmp_path}/밖/가.jpg", "링크/가.jpg"):
        (row,) = rows(inside / "c.csv", f"code,photo\nM1,{value}\n")
        assert isinstance(row, RowProblem), value
        assert "is outside" in row.reason


@pytest.mark.shared
def test_hostile_files_cost_their_bad_rows_only() -> None:
    """Photos are absent there: a row that is read fails for that, after everything else."""
    folder = SHARED / "data" / "hostile"

    def reasons(name: str) -> list[tuple[int, str]]:
        found = list(open_rows(folder / name).rows())
        return [(row.line, row.reason) for row in found if isinstance(row, RowProblem)]

    unclosed = reasons("unclosed.csv")
    assert len(unclosed) == 59
    assert sum("no such file" in reason for _, reason in unclosed) == 58
    for name, line in (("name", 2), ("code", 1), ("path", 1)):
        bad = [at for at, reason in reasons(f"surro-{name}.jsonl") if "half a" in reason]
        assert bad == [line]
    (note,) = open_rows(folder / "bugs-curly-cp1252.csv").notes
    assert "read as CP1252" in note
