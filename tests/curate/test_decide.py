"""What becomes of copies, decided on made-up figures and vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from satchel.catalog.curation import GalleryPhotos
from satchel.curate.content import ContentFigures, Shown
from satchel.curate.decide import COPY, LAST_PHOTO, SEARCHED, decide
from satchel.curate.garbage import Reason, State, classify
from satchel.curate.integrity import Fault, PhotoFigures
from satchel.curate.orientation import AS_IT_IS, Copies
from satchel.curate.rules import CurationRules, GarbageRules

PLAIN = PhotoFigures(
    width=400,
    height=300,
    sharpness=100,
    mean=120,
    dark=0,
    bright=0,
    darkest=20,
    brightest=230,
    noise=0.5,
    entropy=7,
    border=0,
    flat=0.2,
    text=0,
    panels=1,
)
RULES = CurationRules(best=20)


def gallery(
    figures: list[dict[str, Any]],
    vectors: np.ndarray | None = None,
    *,
    size_bytes: list[int] | None = None,
    codes: list[str] | None = None,
) -> GalleryPhotos:
    """Photos with these figures, else plain ones; alike in their vectors, of one product."""
    n = len(figures)
    codes = codes or ["A"] * n
    if vectors is None:
        vectors = np.tile(np.eye(1, 8, dtype=np.float32), (n, 1))
    content = ContentFigures(faces=0.0, watermark=0.0, objects=1)
    return GalleryPhotos(
        link_ids=list(range(n)),
        codes=codes,
        products=np.array([sorted(set(codes)).index(code) for code in codes], np.int64),
        decided=[None] * n,
        sha256=[f"{row:064x}" for row in range(n)],
        size_bytes=size_bytes or [1000] * n,
        digests=[bytes([row]) * 32 for row in range(n)],
        hashes=np.zeros((n, 32), np.uint8),
        informative=np.ones(n, bool),
        figures=[{**asdict(PLAIN), **own} for own in figures],
        contents=[asdict(content)] * n,
        sources=[None] * n,
        vectors=vectors,
        whole=vectors,
        colours=np.zeros((n, 4), np.float32),
    )


def as_they_are(pairs: Iterable[tuple[int, int]]) -> Copies:
    """Copies that lie over each other without being turned."""
    return dict.fromkeys(pairs, AS_IT_IS)


def kept_of_copies(photos: GalleryPhotos) -> list[int]:
    """Rows kept where the first ones are all copies of each other."""
    states = decide(photos, as_they_are((0, row) for row in range(1, len(photos))), RULES)
    assert all(s.state is State.KEPT or {r["kind"] for r in s.reasons} >= {COPY} for s in states)
    return [row for row, state in enumerate(states) if state.state is State.KEPT]


def test_a_frame_adds_nothing_to_a_photo() -> None:
    framed = {"width": 480, "height": 380, "border": 0.34}
    assert kept_of_copies(gallery([framed, {}])) == [1]
    # but a studio's ground, cut narrower, is worth less than the whole
    studio, cut = {"border": 0.4}, {"width": 380, "height": 220, "border": 0.3}
    assert kept_of_copies(gallery([cut, studio])) == [1]


def test_a_faulty_copy_is_not_kept_for_its_pixels() -> None:
    collage = {"width": 900, "height": 600, "panels": 2}
    page = {"width": 800, "height": 900, "text": 0.5, "flat": 0.8}
    assert kept_of_copies(gallery([collage, {}, page])) == [1]


def test_other_faults_of_a_page_are_not_reported() -> None:
    page = {"text": 0.5, "flat": 0.8}
    photos = gallery([page, {}])
    photos.contents[:] = [{"faces": 0.0, "watermark": 1.0, "objects": 3}] * 2
    found = decide(photos, {}, RULES)
    kinds = [{reason["kind"] for reason in state.reasons} for state in found]
    assert kinds == [{Fault.TEXT_SCREENSHOT}, {Shown.WATERMARK, Shown.SEVERAL_OBJECTS}]


def crop_and_peers(crops: int, originals: int) -> tuple[GalleryPhotos, Copies]:
    """Six photos of a product and, of a seventh, large crops unlike it, and the originals."""
    rng = np.random.default_rng(0)
    centre, elsewhere = np.eye(2, 32)
    near = centre + 0.1 * rng.normal(size=(6 + originals, 32)) / np.sqrt(32)
    far = elsewhere + 0.1 * rng.normal(size=(crops, 32)) / np.sqrt(32)
    vectors = np.concatenate([near, far]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    large = {"width": 1200, "height": 900}
    photos = gallery([{}] * (6 + originals) + [large] * crops, vectors)
    return photos, as_they_are((6, row) for row in range(7, len(photos)))


def test_a_copy_that_does_not_show_the_product_gives_way_to_one_that_does() -> None:
    for crops in (1, 2):
        photos, copies = crop_and_peers(crops=crops, originals=1)
        states = decide(photos, copies, RULES)
        assert [state.state for state in states[:7]] == [State.KEPT] * 7
        for state in states[7:]:
            assert state.state is State.DROPPED
            assert state.reasons[-1] == {"kind": COPY, "of": photos.sha256[6]}


def test_copies_none_of_which_shows_the_product_are_dropped_for_that() -> None:
    photos, copies = crop_and_peers(crops=2, originals=0)
    states = decide(photos, copies, RULES)
    assert [state.state for state in states] == [State.KEPT] * 6 + [State.DROPPED] * 2
    kinds = [{reason["kind"] for reason in state.reasons} for state in states[6:]]
    assert sorted(COPY in own for own in kinds) == [False, True]
    assert any(Reason.ISOLATED in own for own in kinds)


def test_a_faulty_copy_does_not_stand_in_for_a_photo_unlike_its_product() -> None:
    """The page is out for itself, so that its photo must answer for itself, too."""
    photos, copies = crop_and_peers(crops=2, originals=0)
    photos.figures[7].update({"text": 0.5, "flat": 0.8, "height": 1600})
    states = decide(photos, copies, RULES)
    assert Reason.ISOLATED in {reason["kind"] for reason in states[6].reasons}
    assert states[7].reasons[-1] == {"kind": COPY, "of": photos.sha256[6]}


def test_of_copies_unlike_their_product_the_less_unlike_is_chosen() -> None:
    """A doubtful photo is not dropped as a copy of its crop, which is dropped."""
    photos, copies = crop_and_peers(crops=1, originals=1)
    photos.vectors[6] = photos.vectors[0] + 0.6 * photos.vectors[7]
    photos.vectors[6] /= np.linalg.norm(photos.vectors[6])
    alone = [
        classify(photos.vectors[rows], photos.products[rows], whole=photos.whole[rows]).score[6]
        for rows in ([*range(6), 6], [*range(6), 7])
    ]
    assert alone[0] < alone[1]
    between = GarbageRules(doubtful_at=float(alone[0]) - 0.1, dropped_at=np.mean(alone))
    states = decide(photos, copies, CurationRules(best=20, garbage=between))
    assert states[6].state is State.DOUBTFUL
    assert states[7].reasons[-1] == {"kind": COPY, "of": photos.sha256[6]}


def test_what_a_photo_is_nearer_to_is_named() -> None:
    photos, _ = crop_and_peers(crops=1, originals=1)
    other = np.tile(photos.vectors[-1], (4, 1))
    vectors = np.concatenate([photos.vectors, other])
    codes = ["A"] * len(photos) + ["B"] * 4
    everything = gallery([{}] * len(vectors), vectors, codes=codes)
    states = decide(everything, {}, RULES)
    (reason,) = (r for r in states[len(photos) - 1].reasons if r["kind"] == Reason.OTHER_PRODUCT)
    assert reason["codes"] == ["B"]


def test_of_a_products_faulty_photos_the_best_stays() -> None:
    blank, tiny = {"flat": 1.0}, {"width": 60, "height": 40}
    page = {"text": 0.5, "flat": 0.8}
    blank_and_tiny = {**blank, **tiny}
    photos = gallery([blank_and_tiny, page, tiny], size_bytes=[1, 1, 1])
    states = decide(photos, {}, RULES)
    assert [state.state for state in states] == [State.DROPPED, State.DOUBTFUL, State.DROPPED]
    assert [r["kind"] for r in states[1].reasons] == [Fault.TEXT_SCREENSHOT, LAST_PHOTO]
    photos.decided[1] = "dropped"  # a person's word counts: the next one stays
    states = decide(photos, {}, RULES)
    assert [state.state for state in states] == [State.DROPPED, State.DROPPED, State.DOUBTFUL]
    photos.decided[:] = ["dropped"] * 3
    states = decide(photos, {}, RULES)
    assert {state.state for state in states} == {State.DROPPED}


FAULTY = st.sampled_from(
    [{}, {}, {"flat": 1.0}, {"width": 60, "height": 40}, {"text": 0.5, "flat": 0.8}, {"panels": 2}]
)
PHOTO = st.tuples(
    st.sampled_from("ABCD"),
    FAULTY,
    st.integers(0, 3),
    st.sampled_from([None, None, "kept", "dropped"]),
)


@given(
    st.lists(PHOTO, min_size=1, max_size=14),
    st.lists(st.tuples(st.integers(0, 13), st.integers(0, 13)), max_size=10),
    st.integers(1, 3),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_only_people_take_a_products_last_photo_away(
    drawn: list[tuple[str, dict[str, Any], int, str | None]],
    pairs: list[tuple[int, int]],
    best: int,
    seed: int,
) -> None:
    """Whatever is faulty, a copy (of another product's photo, too), far off or beyond the best."""
    drawn.sort(key=lambda photo: photo[0])
    rng = np.random.default_rng(seed)
    vectors = np.eye(4, 32)[[place for _, _, place, _ in drawn]]
    vectors = (vectors + 0.1 * rng.normal(size=vectors.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    photos = gallery(
        [figures for _, figures, _, _ in drawn], vectors, codes=[code for code, *_ in drawn]
    )
    photos.decided[:] = [decided for *_, decided in drawn]
    copies = [(a, b) for a, b in pairs if max(a, b) < len(drawn) and a != b]
    harsh = GarbageRules(doubtful_at=-5, dropped_at=-4, trusted_peers=0)
    rules = CurationRules(best=best, garbage=harsh)
    states = decide(photos, as_they_are(copies), rules)
    for decided, state in zip(photos.decided, states, strict=True):
        assert decided in (None, state.state)
    for code in set(photos.codes):
        own = [row for row, of in enumerate(photos.codes) if of == code]
        searched = [row for row in own if states[row].state in SEARCHED]
        assert searched or all(photos.decided[row] == "dropped" for row in own)
        stayed = [row for row in own if {"kind": LAST_PHOTO} in states[row].reasons]
        assert not stayed or stayed == searched  # only where nothing else is left
