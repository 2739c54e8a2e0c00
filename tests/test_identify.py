from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from conftest import SHAPES, jpeg
from satchel import Identifier
from satchel.answers import verdict
from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState, Proposal
from satchel.encode.card import read_card
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.errors import CorruptPhoto, IndexMissing, NoMatch, UsageError, WorkspaceError
from satchel.photo_header import PhotoLimits
from satchel.records import Identification, Verdict
from satchel.search.index import GalleryIndex
from satchel.workspace import Workspace


@pytest.fixture
def identifier(filled: Workspace) -> Identifier:
    return Identifier.open(filled)


def test_unseen_photos_are_named(identifier: Identifier) -> None:
    for number, shape in enumerate(SHAPES):
        found = identifier.identify(jpeg(shape, 50))
        assert found.candidates[0].product.code == f"M{number}"
        assert [candidate.rank for candidate in found.candidates] == [1, 2, 3, 4, 5]
        confidences = [candidate.confidence for candidate in found.candidates]
        assert confidences == sorted(confidences, reverse=True)
        assert sum(confidences) == pytest.approx(found.in_catalogue)  # all five products
        assert 0 < found.in_catalogue < 1
        assert [one.likely for one in found.candidates] == [at < found.likely for at in range(5)]
        assert len(found.boxes) == 1


def test_a_gallery_photo_is_its_own_reference(identifier: Identifier, filled: Workspace) -> None:
    for photo in filled.catalogue.photos_of("M2"):
        found = identifier.identify(filled.photos.read(photo.sha256))
        assert found.candidates[0].photo == photo.sha256
        assert found.candidates[0].score > 0.9


def test_photos_of_one_item_are_answered_together(identifier: Identifier) -> None:
    found = identifier.identify_item([jpeg("disc", 50), jpeg("disc", 51)], top=2)
    assert found.candidates[0].product.code == "M0"
    assert len(found.candidates) == 2
    assert len(found.boxes) == 2


@pytest.mark.parametrize("count", [0, 9])
def test_too_few_or_too_many_photos(identifier: Identifier, count: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 8 photos of one item, got {count}"):
        identifier.identify_item([jpeg("disc")] * count)


def test_bad_photo(identifier: Identifier) -> None:
    with pytest.raises(CorruptPhoto):
        identifier.identify(jpeg("disc")[:500])


def test_threads_get_the_answers_that_one_caller_gets(identifier: Identifier) -> None:
    photos = [jpeg(shape, seed) for shape in SHAPES for seed in (60, 61)]
    alone = [identifier.identify(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(identifier.identify, photos))
    for one, other in zip(alone, together, strict=True):
        assert [c.product.code for c in one.candidates] == [
            c.product.code for c in other.candidates
        ]
        assert np.allclose([c.score for c in one.candidates], [c.score for c in other.candidates])


def test_verdicts_follow_the_thresholds() -> None:
    measured = read_card().confidence.model_copy(update={"identified_at": 0.9, "absent_at": 0.5})
    assert verdict(0.9, 1, 0.95, measured) is Verdict.IDENTIFIED
    assert verdict(0.89, 1, 0.95, measured) is Verdict.PROBABLE
    assert verdict(0.5, 3, 0.95, measured) is Verdict.ONE_OF
    assert verdict(0.2, 0, 0.95, measured) is Verdict.UNCERTAIN
    assert verdict(0.2, 0, 0.49, measured) is Verdict.NOT_IN_CATALOGUE


def test_more_absent_items_make_every_answer_less_sure(filled: Workspace) -> None:
    def asked(absent: float) -> Identification:
        settings = filled.settings.model_copy(
            update={"identify": filled.settings.identify.model_copy(update={"absent": absent})}
        )
        return Identifier.open(Workspace(filled.folder, settings)).identify(jpeg("disc", 50))

    few, many = asked(0.1), asked(0.6)
    assert few.in_catalogue > many.in_catalogue
    for one, other in zip(few.candidates, many.candidates, strict=True):
        assert one.product == other.product
        assert one.confidence > other.confidence


def grouped(filled: Workspace, counted: str, *codes: str) -> Identifier:
    """An identifier of the workspace in which these codes are a proposed group."""
    catalogue = filled.catalogue
    ids = catalogue.ids_of_codes()
    catalogue.look_alikes.propose(
        [Proposal(tuple(ids[code] for code in codes), 0.97, (None,) * len(codes))]
    )
    settings = filled.settings.model_copy(
        update={"look_alikes": filled.settings.look_alikes.model_copy(update={"counted": counted})}
    )
    return Identifier.open(Workspace(filled.folder, settings))


def test_confirmed_look_alikes_are_one_candidate(filled: Workspace) -> None:
    identifier = grouped(filled, "confirmed", "M1", "M3", "M4")
    photo = jpeg("box", 50)
    apart = identifier.identify(photo)  # proposed only: nothing changes
    assert [one.look_alikes for one in apart.candidates] == [None] * 5
    store = filled.catalogue.look_alikes
    (group,) = store.in_state(GroupState.PROPOSED)
    store.decide(Choice.CONFIRM_GROUP, group.number)
    together = identifier.identify(photo)  # at once, without a new index
    alone = {one.product.code: one for one in apart.candidates}
    first, *others = together.candidates
    assert first.look_alikes is not None
    assert [one.product.code for one in first.look_alikes.members] == sorted(
        ("M1", "M3", "M4"), key=lambda code: alone[code].rank
    )
    assert first.product.code == "M1"
    assert (first.score, first.photo) == (alone["M1"].score, alone["M1"].photo)
    assert first.confidence == pytest.approx(
        sum(alone[code].confidence for code in ("M1", "M3", "M4"))
    )
    assert {one.product.code for one in others} == {"M0", "M2"}
    assert all(one.confidence == alone[one.product.code].confidence for one in others)
    assert [one.rank for one in together.candidates] == [1, 2, 3]
    assert together.in_catalogue == apart.in_catalogue
    likely = {one.product.code for one in apart.candidates if one.likely}
    held = {
        member.product.code
        for one in together.candidates
        if one.likely
        for member in (one.look_alikes.members if one.look_alikes else (one,))
    }
    assert likely <= held  # so they hold the right one as often as was measured
    (difference,) = first.look_alikes.differences
    assert difference.attribute == "name"


def test_a_group_is_identified_where_its_members_together_are_sure_enough(
    filled: Workspace, encoder: Encoder
) -> None:
    grouped(filled, "confirmed", "M0", "M1")
    store = filled.catalogue.look_alikes
    index = GalleryIndex.load(filled.index_path)
    flat = encoder.card.confidence.model_copy(
        update={
            "presence": (9.0, *(0.0,) * 6),
            "sharpness": (0.0, 0.0, 0.35),
            "absent_at": 0.0,
        }
    )

    def verdict_at(threshold: float) -> tuple[float, Verdict]:
        confidence = flat.model_copy(update={"identified_at": threshold})
        identifier = Identifier(
            filled.catalogue, Embedder(encoder), index, PhotoLimits(), confidence=confidence
        )
        found = identifier.identify(jpeg("disc", 50))
        return found.candidates[0].confidence, found.verdict

    alone, said = verdict_at(0.6)
    assert alone < 0.6
    assert said is Verdict.ONE_OF
    store.decide(Choice.CONFIRM_GROUP, store.in_state(GroupState.PROPOSED)[0].number)
    together, said = verdict_at(0.6)
    assert together > 0.6
    assert said is Verdict.IDENTIFIED
    assert verdict_at(1.0)[1] is Verdict.PROBABLE


def test_which_groups_count_is_a_setting(filled: Workspace) -> None:
    photo = jpeg("box", 50)
    assert len(grouped(filled, "proposed", "M1", "M3").identify(photo).candidates) == 4
    assert len(grouped(filled, "confirmed", "M1", "M3").identify(photo).candidates) == 5
    store = filled.catalogue.look_alikes
    store.decide(Choice.CONFIRM_GROUP, store.in_state(GroupState.PROPOSED)[0].number)
    assert len(grouped(filled, "off", "M1", "M3").identify(photo).candidates) == 5


def test_fewer_candidates_than_members(filled: Workspace) -> None:
    (only,) = (
        grouped(filled, "proposed", "M1", "M2", "M3").identify(jpeg("box", 50), top=1).candidates
    )
    assert only.look_alikes is not None
    assert {one.product.code for one in only.look_alikes.members} == {"M1", "M2", "M3"}
    assert all(one.photo for one in only.look_alikes.members)


def test_no_index_yet(workspace: Workspace) -> None:
    with pytest.raises(IndexMissing, match="satchel import"):
        Identifier.open(workspace)


def test_no_workspace(tmp_path) -> None:
    with pytest.raises(WorkspaceError, match=r"satchel init"):
        Identifier.open(tmp_path)


# -- filters ------------------------------------------------------------------------------------


def of_brands(filled: Workspace) -> Workspace:
    """The five products, of the brands A, A, B, B and C."""
    with filled.catalogue.writing() as writer:
        for code, number in filled.catalogue.ids_of_codes().items():
            writer.set_product(number, {"brand": "AABBC"[int(code[1])]})
    return filled


def test_only_products_that_pass_a_filter_take_part(filled: Workspace) -> None:
    identifier = Identifier.open(of_brands(filled))
    for number, shape in enumerate(SHAPES):
        found = identifier.identify(jpeg(shape, 50), where={"brand": "b"})
        assert {one.product.code for one in found.candidates} == {"M2", "M3"}
        assert found.where == {"brand": ("B",)}
        if number in (2, 3):
            assert found.candidates[0].product.code == f"M{number}"
        assert sum(one.confidence for one in found.candidates) == pytest.approx(found.in_catalogue)
    either = identifier.identify(jpeg("disc", 50), where={"brand": ["A", "C"]})
    assert {one.product.code for one in either.candidates} == {"M0", "M1", "M4"}
    assert identifier.identify(jpeg("disc", 50), where={}).where == {}


def test_look_alikes_of_another_brand_are_not_shown_under_a_filter(filled: Workspace) -> None:
    identifier = grouped(of_brands(filled), "proposed", "M1", "M2", "M3")
    everything = identifier.identify(jpeg("box", 50)).candidates[0]
    assert everything.look_alikes is not None
    assert len(everything.look_alikes.members) == 3
    alone = identifier.identify(jpeg("box", 50), where={"brand": "A"})
    assert [one.look_alikes for one in alone.candidates] == [None, None]
    (pair,) = identifier.identify(jpeg("cross", 50), where={"brand": "B"}).candidates
    assert pair.look_alikes is not None
    assert {one.product.code for one in pair.look_alikes.members} == {"M2", "M3"}


def test_a_filter_that_nothing_passes_is_refused_before_photos_are_decoded(
    filled: Workspace,
) -> None:
    identifier = Identifier.open(of_brands(filled))
    with pytest.raises(NoMatch, match="brand = 'Z'"):
        identifier.identify(b"no photo", where={"brand": "Z"})


def test_a_filter_that_leaves_no_indexed_product(filled: Workspace) -> None:
    with filled.catalogue.writing() as writer:
        writer.add_product("NEW", {"brand": "New"})
    with pytest.raises(IndexMissing, match="none of the 1 products with brand = New"):
        Identifier.open(filled).identify(jpeg("disc", 50), where={"brand": "new"})


def test_a_single_product_that_is_left_is_not_called_identified(filled: Workspace) -> None:
    sure = read_card().confidence.model_copy(update={"identified_at": 0.01, "absent_at": 0.0})
    opened = Identifier.open(of_brands(filled))
    identifier = Identifier(
        filled.catalogue,
        opened._embedder,
        opened.searcher.index,
        PhotoLimits(),
        confidence=sure,
    )
    assert identifier.identify(jpeg("disc", 50)).verdict is Verdict.IDENTIFIED
    alone = identifier.identify(jpeg("disc", 50), where={"brand": "C"})
    assert alone.verdict is Verdict.UNCERTAIN


def test_photos_of_different_items_are_named(identifier: Identifier) -> None:
    found = identifier.identify_item([jpeg("disc", 50), jpeg("ring", 50), jpeg("disc", 51)])
    assert found.different_items == ((1, 3), (2,))
    assert identifier.identify_item([jpeg("disc", 50), jpeg("disc", 51)]).different_items == ()
    assert identifier.identify(jpeg("disc", 50)).different_items == ()


def test_photos_of_look_alikes_are_of_one_item(filled: Workspace) -> None:
    photos = [jpeg("disc", 50), jpeg("ring", 50)]
    alike = grouped(filled, "proposed", "M0", "M3")
    assert alike.identify_item(photos).different_items == ()
