"""What tells look-alikes apart, by hand-written catalogues."""

from __future__ import annotations

import pytest

from satchel.records import Product
from satchel.search.differences import (
    NOTHING,
    Kind,
    advice,
    differences,
    differences_as_json,
    kind_of_attribute,
    kind_of_word,
)


def test_a_word_of_the_name_and_the_size_stand_together() -> None:
    mini = Product("A", "Maison", "Lisière Tote Mini", "Tote", "Sand", "17 cm")
    small = Product("B", "Maison", "Lisière Tote Small", "Tote", "Sand", "20 cm")
    (found,) = differences([mini, small])
    assert (found.kind, found.values) == ("size", ("Mini 17 cm", "Small 20 cm"))
    assert advice([found]) == "Mini 17 cm, Small 20 cm: measure the width"


def test_hardware_by_the_name_and_by_an_attribute() -> None:
    gold = Product("A", name="Flap, gold hardware", colour="Black")
    silver = Product("B", name="Flap, silver hardware", colour="black")
    assert advice(differences([gold, silver])) == "gold, silver: photograph the clasp"
    told = [Product(c, attributes={"Hardware_Colour": v}) for c, v in (("A", "GHW"), ("B", "SHW"))]
    assert advice(differences(told)) == "GHW, SHW: photograph the clasp"


def test_several_kinds_the_easiest_first() -> None:
    one = Product("A", name="Flap", colour="Red", attributes={"material": "Lambskin", "year": "9"})
    two = Product("B", name="Flap", colour="Pink", attributes={"material": "Caviar", "year": "8"})
    found = differences([one, two])
    assert [(d.kind, d.attribute) for d in found] == [
        ("material", "material"),
        ("colour", "colour"),
        ("other", "year"),
    ]
    assert advice(found) == (
        "Lambskin, Caviar: photograph the material close up; "
        "Red, Pink: photograph it in daylight; 9, 8: compare year"
    )
    assert differences_as_json(["A", "B"], found)[2] == {
        "kind": "other",
        "attribute": "year",
        "values": {"A": "9", "B": "8"},
    }


def test_a_value_that_one_does_not_have() -> None:
    products = [Product("A", size="17 cm"), Product("B"), Product("C", size="20 cm")]
    (found,) = differences(products)
    assert found.values == ("17 cm", None, "20 cm")
    assert advice([found]) == "17 cm, ?, 20 cm: measure the width"
    assert differences(products[:2]) == ()  # one value tells nothing of the other product


@pytest.mark.parametrize(
    "attributes",
    [
        ({"url": "https://a.example/1"}, {"url": "https://a.example/2"}),
        ({"note": "x" * 80}, {"note": "y" * 80}),
        ({"material": "Canvas "}, {"material": "canvas"}),
        ({}, {}),
    ],
)
def test_nothing_that_helps(attributes: tuple[dict[str, str], dict[str, str]]) -> None:
    found = differences([Product(c, attributes=a) for c, a in zip("AB", attributes, strict=True)])
    assert found == ()
    assert advice(found) == NOTHING


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Width (cm)", Kind.SIZE),
        ("사이즈", Kind.SIZE),
        ("bag_height", Kind.SIZE),
        ("hardware colour", Kind.HARDWARE),
        ("금속 장식", Kind.HARDWARE),
        ("소재", Kind.MATERIAL),
        ("Leather colour", Kind.MATERIAL),
        ("색상", Kind.COLOUR),
        ("season", Kind.OTHER),
        ("capsize", Kind.OTHER),  # a word, not a part of one
    ],
)
def test_attributes_by_their_names(name: str, kind: Kind) -> None:
    assert kind_of_attribute(name) is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Mini", Kind.SIZE),
        ("MM", Kind.SIZE),
        ("25", Kind.SIZE),
        ("17.5cm", Kind.SIZE),
        ("스몰", Kind.SIZE),
        ("금장", Kind.HARDWARE),
        ("Togo", Kind.MATERIAL),
        ("gold", Kind.COLOUR),
        ("Belvédère", Kind.OTHER),
    ],
)
def test_words_of_names(word: str, kind: Kind) -> None:
    assert kind_of_word(word) is kind


def test_words_that_all_names_share_do_not_count() -> None:
    found = differences([Product("A", name="Speedy 25 bag"), Product("B", name="Speedy 30 BAG")])
    assert [(one.kind, one.values) for one in found] == [("size", ("25", "30"))]
