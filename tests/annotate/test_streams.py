"""JSON and XML, read piece by piece: as the whole file would be, in bounded memory, with lines."""

from __future__ import annotations

import gc
import json
import multiprocessing
import tempfile
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.photos import LABELS, one_photo
from satchel.annotate import json_stream
from satchel.annotate.formats import FORMATS
from satchel.annotate.json_stream import Item, read_items
from satchel.errors import UsageError
from satchel.xml_stream import read_elements, root_tag

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(
    value=st.lists(values, max_size=6) | st.dictionaries(st.text(max_size=5), values, max_size=5),
    indent=st.none() | st.integers(0, 2),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_items_are_those_of_the_whole_file(value, indent, ascii_only, chunk) -> None:
    tables = {"": value} if isinstance(value, list) else value
    expected = [(k, item) for k, v in tables.items() if isinstance(v, list) for item in v]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK_CHARS", chunk)
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(value, indent=indent, ensure_ascii=ascii_only), "utf-8")
        found = list(read_items(path))
    assert [(item.key, item.value) for item in found] == expected


def test_items_know_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [\n1,\n{"b":\n2}, 3],\n\n"c": [4]}\n')
    assert list(read_items(path)) == [
        Item("a", 2, 1),
        Item("a", 3, {"b": 2}),
        Item("a", 4, 3),
        Item("c", 6, 4),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "ends before its last value"),
        ("[1, 2", "ends before its last value"),
        ('[1,\n{"a": 2', "near line 2"),
        ("[1,]", "another value after the comma"),
        ("[1] 2", "expected the end of the file"),
        ("[1 2]", "expected ','"),
        ('{"a" 1}', "expected ':'"),
        ("{1: 2}", "expected a key"),
        ("3", "expected an array or an object"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 5_000 + "]", "exceeds the limit"),
    ],
)
def test_what_is_no_json(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        list(read_items(path))


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('["가"]'.encode("cp949"))
    with pytest.raises(UsageError, match="in UTF-8"):
        list(read_items(path))
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert [item.value for item in read_items(path)] == [1]
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_items(tmp_path / "nothing.json"))


def test_one_endless_value_ends_at_a_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_ITEM_CHARS", 100_000)
    path = tmp_path / "a.json"
    path.write_text('["' + "a" * 1_000_000 + '"]')
    with pytest.raises(UsageError, match="more than 100,000 characters"):
        list(read_items(path))


BOMB = """<?xml version="1.0"?>
<!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<annotations><image>&b;</image></annotations>"""

OTHER_FILE = """<!DOCTYPE annotation [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<annotation><filename>&a;</filename></annotation>"""


def elements(path: Path) -> list[tuple[str, int]]:
    found = read_elements(path, "annotations", frozenset(("image",)), depth=2)
    return [(one.tag, one.line) for one in found]


@pytest.mark.parametrize("text", [BOMB, OTHER_FILE])
def test_entities_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(UsageError, match="document type"):
        elements(path)
    assert root_tag(path) == ""


def test_elements_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        "<annotations>\n<meta><image/></meta>\n<image/>\n\n<image><box/></image>\n</annotations>"
    )
    assert elements(path) == [("image", 3), ("image", 5)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation/>", "expected <annotations> as its root, got <annotation>"),
        ("<annotations><image>", "near line 1"),
        ("<annotations><image></annotations>", "mismatched tag"),
        ("", "no element found"),
        ("<annotations>" + "<a>" * 40, "at most 32 deep"),
        ("<annotations><image>" + "<b/>" * 200_001, "at most 200,000 elements"),
        ("<annotations><image>" + "t" * 1_100_000, "at most 1,000,000 characters"),
    ],
)
def test_what_is_no_annotation_xml(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        elements(path)


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 4_000 if one.suffix else 1_000) for name, one in FORMATS.items()]
    + [pytest.param(name, 20_000, marks=pytest.mark.slow) for name in FORMATS],
)
def test_memory_does_not_grow_with_the_photos(name: str, count: int, tmp_path: Path) -> None:
    few = count // 10
    # In a process of its own: pathlib interns names, and the table of all interned strings, which
    # is large after many tests, may be copied to a larger one just here (8 MB once).
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        grown = pool.submit(_growth, name, few, count, tmp_path).result()
    # Their paths are kept, so that each is read once; a photo with its boxes takes some 2,000.
    assert grown < 500_000 + 600 * (count - few)


def _growth(name: str, few: int, count: int, folder: Path) -> int:
    _peak_of_reading(name, few, folder / "first")  # what is loaded once is not measured
    fewer = _peak_of_reading(name, few, folder / "few")
    return _peak_of_reading(name, count, folder / "many") - fewer


def _peak_of_reading(name: str, count: int, folder: Path) -> int:
    """Return the most bytes that were allocated at once while so many photos were read."""
    folder.mkdir()
    path = folder / f"set{FORMATS[name].suffix}"
    FORMATS[name].write((one_photo(f"{at:05}.jpg", 2) for at in range(count)), path, LABELS)
    gc.collect()
    tracemalloc.start()
    try:
        assert sum(1 for _ in FORMATS[name].read(path)) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
