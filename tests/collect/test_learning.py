"""What curation teaches about searching, and which candidates are fetched first."""

from __future__ import annotations

import re
from itertools import count

import numpy as np
import pytest

from satchel.catalog.brands import Brands
from satchel.cli.collect_display import say_searched, show_rounds
from satchel.collect.learning import NO_GARBAGE, Lessons, count_rounds, stays
from satchel.collect.preranking import COPY, LEAST, choose, likeness
from satchel.collect.queries import Query
from satchel.collect.records import Fate, Spare
from satchel.collect.searching import Searched
from satchel.curate.report import MEANINGS
from satchel.records import Product
from satchel.translations import translations
from satchel.workspace import Workspace
from support.cli import satchel

PRODUCT = Product("S1", brand="Dior", name="Saddle")
NAMED = Query("S1", "Dior Saddle S1", "{brand} {name} {code}")
PLAIN = Query("S1", "S1 bag", "{code} {category}")


def fate(
    query: Query,
    *,
    good: bool,
    rank: int = 1,
    title: str = "",
    reasons: tuple[str, ...] = ("isolated",),
    number: int = 1,
) -> Fate:
    state = "kept" if good else "dropped"
    return Fate("S1", "site", query.text, rank, title, number, state, () if good else reasons)


def test_copies_and_photos_beyond_the_best_are_no_garbage() -> None:
    assert stays(fate(NAMED, good=True))
    assert stays(fate(NAMED, good=False, reasons=("copy",)))
    assert stays(fate(NAMED, good=False, reasons=("beyond_best",)))
    assert not stays(fate(NAMED, good=False, reasons=("copy", "isolated")))
    assert not stays(fate(NAMED, good=False, reasons=()))


def test_queries_that_brought_good_photos_come_first_and_hopeless_ones_are_left() -> None:
    fates = [fate(NAMED, good=number % 2 == 0) for number in range(8)]
    fates += [fate(PLAIN, good=True) for _ in range(4)]
    lessons = Lessons(fates, [[NAMED, PLAIN]])
    assert (lessons.template(NAMED).kept, lessons.template(NAMED).all) == (4, 8)
    assert lessons.template(NAMED).likely == pytest.approx(5 / 10)
    assert [one.template for one in lessons.refine([NAMED, PLAIN], PRODUCT, Brands())] == [
        PLAIN.template,
        NAMED.template,
    ]
    hopeless = Lessons([fate(PLAIN, good=False) for _ in range(20)], [[NAMED, PLAIN]])
    refined = hopeless.refine([NAMED, PLAIN], PRODUCT, Brands())
    assert {one.template for one in refined} == {NAMED.template}
    assert hopeless.refine([PLAIN], PRODUCT, Brands())  # where there is no other one


def test_words_of_garbage_are_left_out_and_words_of_good_photos_added() -> None:
    fates = [fate(NAMED, good=False, title="Dior saddle manual 설명서") for _ in range(3)]
    fates += [fate(NAMED, good=False, title="once")]
    fates += [fate(NAMED, good=True, title="Saddle oblique 디올 bag") for _ in range(2)]
    lessons = Lessons(fates, [[NAMED]])
    assert lessons.negative(PRODUCT, Brands()) == ["manual", "설명서"]
    assert lessons.positive(PRODUCT) in {"oblique", "bag", "디올"}
    texts = [one.text for one in lessons.refine([NAMED], PRODUCT, Brands())]
    assert texts[:2] == [NAMED.text, f"{NAMED.text} -manual -설명서"]
    assert texts[3].endswith(" -manual -설명서")
    refined = fate(Query("S1", texts[3], NAMED.template), good=True)
    assert Lessons([refined], [[NAMED]]).template(NAMED).all == 1  # it counts for its first query


def test_ranks_that_bring_nothing_are_not_recorded() -> None:
    fates = [fate(NAMED, good=rank <= 10, rank=rank) for rank in range(1, 31)]
    lessons = Lessons(fates, [[NAMED]])
    assert lessons.deepest("site") == 10
    assert lessons.deepest("elsewhere") is None
    assert lessons.rank("site", 3).likely > lessons.rank("site", 25).likely


def test_a_candidate_is_scored_by_the_nearest_photos_and_a_copy_is_last() -> None:
    own = np.eye(4, dtype=np.float32)
    near = np.array([0.9, 0.3, 0.3, 0.1], np.float32)
    near /= np.linalg.norm(near)
    by_hand = sum(sorted(near.tolist())[-3:]) / 3
    assert likeness(near, own) == pytest.approx(by_hand, abs=1e-6)
    assert near.max() < COPY
    assert likeness(own[0], own) == -1
    assert likeness(own[0], own[1:2]) == 0


def spare(number: int, score: float | None, rank: int = 1) -> Spare:
    return Spare(number, "S1", f"https://a.test/{number}", "site", None, rank, None, score)


def test_the_most_promising_candidates_are_fetched() -> None:
    scores = [0.1, 0.9, None, 0.5, -1.0, 0.8]
    spares = [spare(number, score) for number, score in zip(count(), scores, strict=False)]
    lessons = Lessons([], [])
    assert [one.id for one in choose(spares, 2, lessons)] == [1, 5, 2]
    assert len(choose(spares, 1, lessons)) == LEAST
    assert choose(spares, 40, lessons)[-1].id == 4
    ranked = [spare(1, None, 30), spare(2, None, 2), spare(3, None, 9)]
    assert [one.id for one in choose(ranked, 1, lessons)] == [2, 3, 1]


def test_the_table_counts_each_pass() -> None:
    fates = [fate(NAMED, good=True), fate(NAMED, good=False), fate(NAMED, good=True, number=2)]
    first, second = count_rounds(fates)
    assert (first.collected, first.garbage, first.usable) == (2, {"isolated": 1}, 1)
    assert (second.number, second.collected, second.usable) == (2, 1, 1)


def test_the_table_of_passes_names_garbage_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reason that curation gives, and counts of one and of thousands."""
    monkeypatch.setenv("COLUMNS", "250")  # no cell is wrapped
    fates = [fate(NAMED, good=True), fate(NAMED, good=False, reasons=("blurred", "too_small"))]
    fates += [fate(NAMED, good=False, reasons=(kind,), number=2) for kind in MEANINGS]
    fates += [fate(NAMED, good=True, number=2)] * 1_200
    show_rounds(count_rounds(fates))
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 × Not sharp" in shown
    assert "1 × Resolution too low" in shown
    assert f"{1_200 + len(MEANINGS):,}" in shown
    for kind, meaning in MEANINGS.items():
        assert (f"1 × {meaning}" in shown) == (kind not in NO_GARBAGE), kind
        assert f"1 × {kind}" not in shown


def test_reasons_are_in_korean_too() -> None:
    korean = translations("ko")
    for meaning in MEANINGS.values():
        assert re.search("[가-힣]", korean.gettext(meaning)), meaning


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 searches"), (1, "1 search,"), (2, "2 searches"), (1_200, "1,200 searches")],
)
def test_counts_agree_with_their_nouns(
    capsys: pytest.CaptureFixture[str], count: int, said: str
) -> None:
    say_searched([Searched("bing", searches=count, found=count, new=0)])
    shown = capsys.readouterr().err
    assert said in shown
    assert f"{count:,} photo{'' if count == 1 else 's'} found" in shown


def test_curating_without_photos_says_where_to_get_some(workspace: Workspace) -> None:
    with workspace.catalogue.writing() as writer:
        writer.add_product("S1", {})
    done = satchel(workspace.folder, "curate")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "no photos to curate" in said
    assert "satchel import" in said
    assert "satchel collect --source NAME" in said
