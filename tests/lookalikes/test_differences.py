"""What tells look-alikes apart, by hand-written catalogues."""

from __future__ import annotations

import pytest

from satchel.lookalikes.differences import NOTHING, advice, differences
from satchel.lookalikes.kinds import Kind, kind_of_attribute, kind_of_word
from satchel.lookalikes.visible import is_visible, split_visible
from satchel.records import Product
from satchel.schemas import Difference


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
    one = Product(
        "A", name="Flap", colour="Red", attributes={"material": "Lambskin", "closure": "zip"}
    )
    two = Product(
        "B", name="Flap", colour="Pink", attributes={"material": "Caviar", "closure": "bow"}
    )
    found = differences([one, two])
    assert [(d.kind, d.attribute) for d in found] == [
        ("material", "material"),
        ("colour", "colour"),
        ("other", "closure"),
    ]
    assert advice(found) == (
        "Lambskin, Caviar: photograph the material close up; "
        "Red, Pink: photograph it in daylight; zip, bow: compare closure"
    )
    assert Difference.all_of(["A", "B"], found)[2].model_dump() == {
        "kind": "other",
        "attribute": "closure",
        "values": {"A": "zip", "B": "bow"},
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


SEEN = """
size: 17 cm | 20 cm
width (cm): 23 | 26
length: 30/20/12 | 28/18/10
leather: lambskin | caviar
hardware_colour: GHW | SHW
colour: 01 | 02
clasp: turn-lock | magnet
unknown: turn-lock | zip
lining: red | beige
strap drop: 50 | 60
heelHeight: 7 cm | 9 cm
pockets: 2 | 3
dial: white | black
made in: Italy | France
pattern: monogram | damier
logo position: left | right
사이즈: 25 | 30
색상: 블랙 | 베이지
하드웨어: 금장 | 은장
스타일: 숄더 | 토트
디테일: 리본 | 버클
주머니 개수: 2 | 3
패턴: 체크 | 무지
스트랩 길이: 110 | 120
"""

NOT_SEEN = """
price: 1200 | 1300
Price (KRW): 1,200,000 | 1,300,000
salePrice: 900 | 950
retailprice: 900 | 950
size price: 900 | 950
leather cost: 10 | 12
whatever: 1,200,000원 | 1,300,000원
whatever: € 900 | € 950
whatever: 900 USD | 950 USD
stock: 3 | 0
in_stock: yes | no
qty: one | two
date: yesterday | today
created_at: 2024-01-02 | 2024-02-02
whatever: 2024-01-02 | 2024-02-02
whatever: 2024.1.2 | 2024.2.2
whatever: 2024-01-02T10:11:12Z | 2024-02-02
whatever: 02/01/2024 | 02/02/2024
whatever: Jan 2024 | Feb 2024
whatever: 2024년 1월 | 2024년 2월
colour: 2024-01-02 | 2024-02-02
year: 2019 | 2020
season: FW23 | SS24
whatever: FW23 | SS24
sku: black-1 | black-2
style_number: A1 | A2
colour code: 1A | 2B
barcode: 8801234567893 | 8801234567894
whatever: 8801234567893 | 8801234567894
whatever: M22675 | M22676
whatever: 4f1c2e9a-11 | 4f1c2e9a-22
whatever: 12 | 14
whatever: 12.5 % | 14 %
whatever: true | false
url: a | b
whatever: https://a.example/1 | https://a.example/2
whatever: www.a.example | www.b.example
whatever: front.jpg | back.jpg
supplier: Kim | Lee
source: shop A | shop B
rank: first | second
id: a | b
condition: A | AB
warehouse: Seoul | Busan
가격: 120만 | 130만
판매가격: 100 | 200
소비자가: 백만 | 이백만
재고: 있음 | 없음
재고 수량: 1 | 2
입고일: 월 | 화
입고일자: 2024-01-02 | 2024-02-02
등록일: 어제 | 오늘
바코드: 가 | 나
상품번호: 가 | 나
거래처: 가나 | 다라
위탁업체: 가나 | 다라
출처: 가 | 나
순위: 일 | 이
상태등급: A | B
사진링크: 가 | 나
메모: 가 | 나
"""


def rows(table: str) -> list[tuple[str, list[str]]]:
    return [
        (name, [value.strip() for value in values.split("|")])
        for name, _, values in (line.partition(": ") for line in table.strip().splitlines())
    ]


@pytest.mark.parametrize(("name", "values"), rows(SEEN))
def test_what_can_be_seen_is_offered(name: str, values: list[str]) -> None:
    assert is_visible(name, values)
    found = differences([Product(v, attributes={name: v}) for v in values])
    assert [one.values for one in found] == [tuple(values)]


@pytest.mark.parametrize(("name", "values"), rows(NOT_SEEN))
def test_what_no_photo_shows_is_no_advice(name: str, values: list[str]) -> None:
    assert not is_visible(name, values)
    assert advice(differences([Product(v, attributes={name: v}) for v in values])) == NOTHING


def test_named_columns_count_whatever_they_hold_and_no_others_do() -> None:
    products = [
        Product(code, "Maison", "Tote", "Tote", colour, attributes=attributes)
        for code, colour, attributes in (
            ("A", "Sand", {"material": "calf", "strap": "long", "tier": "1200"}),
            ("B", "Ink", {"material": "lamb", "strap": "short", "tier": "1300"}),
        )
    ]
    assert [one.attribute for one in differences(products)] == ["material", "colour", "strap"]
    named = differences(products, ["TIER", "소재"])  # in any case; the Korean name of material
    assert [one.attribute for one in named] == ["material", "colour", "tier"]


def test_a_products_attributes_are_split_in_the_order_of_the_setting() -> None:
    attributes = {"price": "1200", "strap": "long", "lining": "silk", "출시일": "2024-01-02"}
    seen, others = split_visible(attributes)
    assert list(seen) == ["strap", "lining"]
    assert list(others) == ["price", "출시일"]
    seen, others = split_visible(attributes, ["Lining", "가격", "absent"])
    assert list(seen.items()) == [("lining", "silk"), ("price", "1200")]
    assert list(others) == ["strap", "출시일"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Tote 2023", "Tote 2024"), ()),
        (("Tote SS24", "Tote FW23"), ()),
        (("Tote M22675", "Tote M22676"), ()),
        (("Tote 1266", "Tote 1277"), ()),
        (("Flacon 50ml", "Flacon 100ml"), (("50ml", "100ml"),)),
        (("Tote 25", "Tote 30"), (("25", "30"),)),
        (("Tote M22675 Mini", "Tote M22676 Small"), (("Mini", "Small"),)),
    ],
)
def test_codes_and_years_in_names_are_not_seen(
    names: tuple[str, str], expected: tuple[tuple[str, ...], ...]
) -> None:
    found = differences([Product(name, name=name) for name in names])
    assert tuple(one.values for one in found) == expected
