from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satchel.catalog.annotations import AnnotationStore, BoxSource, Labelling, NewLabelling
from satchel.catalog.store import Catalogue
from satchel.records import Box, LabelledBox
from support.databases import new_catalogue

PERSON, PRE_LABEL = BoxSource.PERSON, BoxSource.PRE_LABEL


def photo(number: int) -> str:
    return f"{number:064x}"


def box(label: str = "bag", x0: float = 0.1, score: float | None = None, **attributes: str):
    return LabelledBox(Box(x0, 0.2, 0.8, 0.9), label, attributes, score)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """A catalogue of 450 photos, whose ids are 1 to 450."""
    catalogue = new_catalogue(tmp_path / "a.db")
    with catalogue.writing() as writer:
        for number in range(1, 451):
            assert writer.add_photo(photo(number), 640, 480, 1) == number
    return catalogue


@pytest.fixture
def store(catalogue: Catalogue) -> AnnotationStore:
    """Its photos show a product."""
    with catalogue.writing() as writer:
        product = writer.add_product("A", {})
        for number in range(1, 451):
            writer.link(product, number, {}, {})
    return catalogue.annotations


def put(store: AnnotationStore, number: int, *boxes: LabelledBox, source=PERSON, by=None):
    return store.put([NewLabelling(number, boxes)], source, origin="a.json", by=by)


def labels(found: Labelling) -> list[str]:
    return [one.label for one in found.boxes]


def test_boxes_come_back(store: AnnotationStore) -> None:
    boxes = (box("bag", material="leather", 색="검정"), box("shoe", 0.3))
    assert put(store, 7, *boxes, by="Jin").boxes == 2
    (found,) = store.current()
    assert (found.photo, found.width, found.height) == (photo(7), 640, 480)
    assert (found.source, found.origin, found.by) == (PERSON, "a.json", "Jin")
    assert [one.who for one in found.boxes] == ["Jin", "Jin"]
    assert [(b.box, b.label, dict(b.attributes), b.score) for b in found.boxes] == [
        (b.box, b.label, dict(b.attributes), b.score) for b in boxes
    ]


def test_a_persons_boxes_win_whatever_comes_later(store: AnnotationStore) -> None:
    put(store, 1, box("guess", score=0.9), source=PRE_LABEL)
    put(store, 1, box("mine"))
    put(store, 1, box("guess again", score=0.9), source=PRE_LABEL)
    put(store, 2, box("only guess", score=0.9), source=PRE_LABEL)
    put(store, 3)  # a person: nothing here
    put(store, 3, box("guess", score=0.9), source=PRE_LABEL)
    assert [labels(one) for one in store.current()] == [["mine"], ["only guess"], []]
    assert [labels(one) for one in store.current(source=PERSON)] == [["mine"], []]
    assert [labels(one) for one in store.current(source=PRE_LABEL)] == [["only guess"]]
    assert [store.count(source=one) for one in (None, PERSON, PRE_LABEL)] == [3, 2, 1]
    assert store.categories() == {"mine": 1, "only guess": 1}
    assert store.categories(source=PERSON) == {"mine": 1}
    assert {name: labels(one) for name, one in store.of_photos([photo(1), photo(9)]).items()} == {
        photo(1): ["mine"]
    }


def test_every_labelling_of_a_person_is_kept_and_pre_labels_are_replaced(
    store: AnnotationStore,
) -> None:
    for label in ("first", "second"):
        put(store, 1, box(label, score=0.5), source=PRE_LABEL)
        put(store, 1, box(label))
    assert [(one.source, labels(one)) for one in store.history(photo(1))] == [
        (PERSON, ["second"]),
        (PRE_LABEL, ["second"]),
        (PERSON, ["first"]),
    ]


def test_the_same_boxes_again_change_nothing(store: AnnotationStore) -> None:
    put(store, 1, box(x0=0.1, strap="long"))
    again = put(store, 1, box(x0=0.10001, strap="long"))
    assert (again.photos, again.unchanged) == (0, 1)
    for other in (box("shoe"), box(x0=0.11, strap="long"), box(strap="short")):
        assert put(store, 1, other).photos == 1
    put(store, 2, box(score=0.5), source=PRE_LABEL)
    assert put(store, 2, box(score=0.5), source=PRE_LABEL).unchanged == 1
    assert put(store, 2, box(score=0.6), source=PRE_LABEL).photos == 1
    assert put(store, 2, box()).photos == 1  # a person's, although the box is the same


def test_many_photos_are_read_in_pages(store: AnnotationStore) -> None:
    store.put((NewLabelling(n, (box(),)) for n in range(1, 451)), PERSON, origin="a.json")
    assert [one.photo for one in store.current()] == [photo(n) for n in range(1, 451)]
    assert len(store.of_photos([photo(n) for n in range(1, 600)])) == 450


def test_a_failure_stores_nothing(store: AnnotationStore) -> None:
    def broken():
        yield NewLabelling(1, (box(),))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.put(broken(), PERSON, origin="a.json")
    assert store.count() == 0


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(list(BoxSource)), st.integers(1, 3), st.sampled_from("abc")),
        max_size=12,
    )
)
def test_what_counts_is_as_a_dictionary_says(steps, tmp_path_factory) -> None:
    catalogue = new_catalogue(tmp_path_factory.mktemp("db") / "a.db")
    with catalogue.writing() as writer:
        product = writer.add_product("A", {})
        for number in range(1, 4):
            writer.link(product, writer.add_photo(photo(number), 640, 480, 1), {}, {})
    expected: dict[BoxSource, dict[str, str]] = {PERSON: {}, PRE_LABEL: {}}
    for source, number, label in steps:
        score = None if source is PERSON else 0.5
        put(catalogue.annotations, number, box(label, score=score), source=source)
        expected[source][photo(number)] = label
    found = {one.photo: labels(one)[0] for one in catalogue.annotations.current()}
    assert found == expected[PRE_LABEL] | expected[PERSON]
    catalogue.close()


def test_what_is_labelled_already(catalogue: Catalogue) -> None:
    with catalogue.writing() as writer:
        for code in ("B", "A"):
            product = writer.add_product(code, {"category": "bag"})
            for number in (1, 2, 3, 4) if code == "B" else (1, 5):
                writer.link(product, number, {}, {})
    put(catalogue.annotations, 1, box())
    put(catalogue.annotations, 2, box(score=0.5), source=PRE_LABEL)
    catalogue.annotation_tasks.begin("cvat", "http://a", 5, [3])
    assert catalogue.annotations.labelled() == [
        (photo(1), "B", "bag"),
        (photo(3), "B", "bag"),
    ]
    assert catalogue.annotations.unlabelled() == [
        (photo(2), "B", "bag"),
        (photo(4), "B", "bag"),
        (photo(5), "A", "bag"),
    ]


def test_tasks(catalogue: Catalogue) -> None:
    store = catalogue.annotation_tasks
    for url, remote in (("http://a", 5), ("http://b", 5), ("http://a", 3)):
        store.finish(store.begin("cvat", url, remote))
    store.begin("cvat", "http://a", 9)
    first, second = store.on_server("cvat", "http://a")
    assert (first.remote_id, second.remote_id, first.pulled) == (5, 3, {})
    store.set_pulled(first, {"1": "2026-01-01"})
    assert [one.pulled for one in store.on_server("cvat", "http://a")] == [
        {"1": "2026-01-01"},
        {},
    ]
    assert store.on_server("label-studio", "http://a") == []
    (half,) = store.on_server("cvat", "http://a", unfinished=True)
    assert half.remote_id == 9
    store.forget(half.id)
    assert store.on_server("cvat", "http://a", unfinished=True) == []
