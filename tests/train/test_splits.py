"""Splits: what belongs together stays together, and what is frozen stays as it is."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.errors import UsageError
from satchel.train.dealing import LabelledPhoto, SplitOptions, make_split
from satchel.train.splits import PARTS, Protocol, Split


def photos_of(counts: list[int], *, groups: dict[int, int] | None = None) -> list[LabelledPhoto]:
    """So many photos of each product; `groups` maps a photo's number to another one's group."""
    joined = groups or {}
    found: list[LabelledPhoto] = []
    for product, count in enumerate(counts):
        for _ in range(count):
            number = len(found)
            found.append(
                LabelledPhoto(f"P{product:03}", f"{number:064x}", joined.get(number, number))
            )
    return found


def side_of(split: Split) -> dict[str, str]:
    return {sha: part for part in PARTS for _, sha in split.part(part)}


catalogues = st.lists(st.integers(1, 12), min_size=2, max_size=12).flatmap(
    lambda counts: st.tuples(
        st.just(counts),
        st.dictionaries(
            st.integers(0, sum(counts) - 1), st.integers(0, sum(counts) - 1), max_size=8
        ),
    )
)


@settings(max_examples=60, deadline=None)
@given(catalogues, st.sampled_from(["closed", "open"]), st.integers(0, 5))
def test_groups_are_never_torn_and_nothing_is_lost(
    catalogue: tuple[list[int], dict[int, int]], protocol: Protocol, seed: int
) -> None:
    counts, joined = catalogue
    # One step of joining is enough: a group's number is that of a photo that stands for itself.
    photos = photos_of(counts, groups={a: b for a, b in joined.items() if b not in joined})
    options = SplitOptions(protocol=protocol, val=0.1, test=0.2, seed=seed)
    try:
        split = make_split(photos, options)
    except UsageError:  # of products kept apart, each to train on has copies in another part
        assert protocol == "open"
        assert len({photo.group for photo in photos}) < len(photos)
        return
    sides = side_of(split)
    by_group = defaultdict(set)
    for photo in photos:
        if photo.sha256 in sides:
            by_group[photo.group].add(sides[photo.sha256])
    assert all(len(found) == 1 for found in by_group.values())
    assert len(sides) + split.left_out == len(photos)
    if protocol == "open":
        codes = [set(split.products(part)) for part in PARTS]
        assert not (codes[0] & codes[1] | codes[0] & codes[2] | codes[1] & codes[2])
    else:
        assert split.left_out == 0


def test_closed_gives_every_product_its_shares() -> None:
    split = make_split(photos_of([50] * 20), SplitOptions(val=0.1, test=0.2))
    for part, wanted in (("train", 35), ("val", 5), ("test", 10)):
        counts: defaultdict[str, int] = defaultdict(int)
        for code, _ in split.part(part):
            counts[code] += 1
        assert set(counts.values()) == {wanted}


def test_few_photos_of_each_product_still_fill_every_part() -> None:
    split = make_split(photos_of([4] * 12), SplitOptions(val=0.1, test=0.2))
    # 0.4 and 0.8 photos of each product: testing takes one of each, validating a tenth of all.
    assert [len(split.part(part)) for part in PARTS] == [31, 5, 12]
    assert len(split.products()) == 12  # all are trained on
    assert len(split.products("val")) == 5
    again = make_split(photos_of([4] * 12), SplitOptions(val=0.1, test=0.2, seed=1))
    assert again.products("val") != split.products("val")
    assert not make_split(photos_of([4] * 12), SplitOptions(val=0)).val


def test_a_product_gives_no_part_its_only_photo() -> None:
    split = make_split(photos_of([1, 1, 2]), SplitOptions(val=0.1, test=0.2))
    assert [len(split.part(part)) for part in PARTS] == [3, 0, 1]
    copies = photos_of([1, 2], groups={0: 2})  # one group of two products
    assert not make_split(copies, SplitOptions(test=0)).val


def test_a_product_of_one_photo_is_trained_on() -> None:
    split = make_split(photos_of([1, 10]), SplitOptions())
    assert "P000" in split.products("train")


def test_more_products_and_more_photos_only_add() -> None:
    photos = photos_of([12] * 30)
    few = make_split(photos, SplitOptions(products=5, photos_per_product=3))
    more = make_split(photos, SplitOptions(products=20, photos_per_product=6))
    assert len(few.products()) == 5
    assert len(few.train) == 15
    assert set(few.train) < set(more.train)
    assert set(few.test) < set(more.test)


def test_the_same_options_freeze_the_same_split_whatever_the_order() -> None:
    photos = photos_of([7, 9, 4])
    one = make_split(photos, SplitOptions(seed=3))
    assert make_split(photos[::-1], SplitOptions(seed=3)) == one
    assert make_split(photos, SplitOptions(seed=4)).hash != one.hash


def test_a_column_decides_and_separated_copies_are_counted() -> None:
    photos = [
        LabelledPhoto("A", "1" * 64, 0, "train"),
        LabelledPhoto("A", "2" * 64, 0, "test"),
        LabelledPhoto("B", "3" * 64, 1, "train"),
        LabelledPhoto("B", "4" * 64, 2, "val"),
    ]
    split = make_split(photos, SplitOptions())
    assert [len(split.part(part)) for part in PARTS] == [2, 1, 1]
    assert split.torn_groups == 1
    with pytest.raises(UsageError, match="all photos to name their part"):
        make_split([*photos, LabelledPhoto("C", "5" * 64, 9)], SplitOptions())


def test_a_frozen_split_is_read_back_and_a_changed_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits" / "one.json"
    split = make_split(photos_of([5, 5]), SplitOptions())
    split.save(path)
    assert Split.load(path) == split
    path.write_text(path.read_text().replace("P000", "P009", 1))
    with pytest.raises(UsageError, match="changed after it was frozen"):
        Split.load(path)
    path.write_text("{")
    with pytest.raises(UsageError, match="is not a split"):
        Split.load(path)
    with pytest.raises(UsageError, match="satchel split"):
        Split.load(tmp_path / "none.json")


def test_asking_for_more_products_than_there_are() -> None:
    with pytest.raises(UsageError, match="expected 9 products with 3 photos or more, there are 1"):
        make_split(photos_of([2, 3]), SplitOptions(products=9, fewest_photos=3))


def test_real_queries_are_of_unseen_products_and_searched_in_the_other_photos(
    tmp_path: Path,
) -> None:
    """Ten products have two real queries of their three photos; forty have none."""
    photos = photos_of([3] * 50)
    asked = {(p.code, p.sha256) for p in photos if p.code < "P010" and int(p.sha256, 16) % 3}
    options = SplitOptions(protocol="open", val=0.2, test=0.3)
    split = make_split(photos, options, queries=asked, unknown=["f" * 64])
    parts = {part: {code for code in split.products(part) if code < "P010"} for part in PARTS}
    assert {part: len(codes) for part, codes in parts.items()} == {"train": 5, "val": 2, "test": 3}
    assert len(split.products("train")) == 45  # those without a query are trained on
    for part in PARTS:
        assert set(split.answerable(part)) == set(split.part(part)) & asked
        assert set(split.searched(part)) == {(p.code, p.sha256) for p in photos} - asked
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert make_split(photos, options, queries=asked).hash != split.hash


def test_a_split_frozen_before_there_were_real_queries_is_still_valid(tmp_path: Path) -> None:
    """Its file lacks their keys, and its hash was taken without them."""
    split = make_split(photos_of([3] * 4), SplitOptions())
    split.save(tmp_path / "split.json")
    content = json.loads((tmp_path / "split.json").read_text())
    del content["queries"], content["unknown"]
    (tmp_path / "older.json").write_text(json.dumps(content))
    assert Split.load(tmp_path / "older.json") == split
    older = {name: value for name, value in content.items() if name != "hash"}
    text = json.dumps(older, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == content["hash"]
