"""Differences between look-alikes: the catalogue attributes in which they differ.

An attribute is classified by the words of its name, a word of a product's name by itself; `KINDS`
holds all words, in both languages. Pages translate the advice for each kind; `ADVICE` is that of
the command line and the API.

Only attributes visible on the item count (`is_visible`): a catalogue file has columns of
prices, stock and dates, too, whose words are in `UNSEEN`. A column of an unknown name counts where
its values are words, not where they are numbers, identifiers or flags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from satchel.records import Difference, Product


class Kind(StrEnum):
    """Kind of an attribute, which decides what to inspect."""

    SIZE = "size"
    HARDWARE = "hardware"
    MATERIAL = "material"
    COLOUR = "colour"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Words:
    """Words that identify a kind, lower case.

    Attributes:
        names: of attributes; a name that holds one of them is of this kind.
        values: words in products' names.
    """

    names: frozenset[str]
    values: frozenset[str]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _words(names: str, values: str = "") -> _Words:
    return _Words(_set(names), _set(values))


KINDS: Final[Mapping[Kind, _Words]] = {
    Kind.SIZE: _words(
        "size width height depth length diameter dimension dimensions measurement measurements "
        "사이즈 크기 치수 너비 가로 세로 폭 높이 길이 지름",
        "nano micro mini small medium large xs s m l xl xxl bb pm mm gm tpm oversize oversized "
        "나노 마이크로 미니 스몰 미디엄 라지 소형 중형 대형",
    ),
    Kind.HARDWARE: _words(
        "hardware metal clasp buckle lock zip zipper plating "
        "하드웨어 금속 장식 잠금장치 버클 지퍼 도금",
        "hardware ghw shw phw rhw rghw lghw 금장 은장",
    ),
    Kind.MATERIAL: _words(
        "material materials leather fabric textile lining skin composition "  # allow-word
        "소재 재질 가죽 원단 안감",
        "leather canvas suede nylon denim wool cotton silk velvet lambskin calfskin caviar "
        "goatskin crocodile python ostrich togo clemence epsom "
        "가죽 캔버스 스웨이드 나일론 데님 울 면 실크 벨벳 램스킨 카프스킨 캐비어",
    ),
    Kind.COLOUR: _words(
        "colour color colours colors shade 색상 색 컬러 색깔",
        "black white grey gray red blue navy green yellow orange purple pink brown beige ivory "
        "cream tan camel khaki gold silver "
        "블랙 화이트 그레이 레드 블루 네이비 그린 옐로우 오렌지 퍼플 핑크 브라운 베이지 "
        "아이보리 크림 탄 카멜 카키 골드 실버",
    ),
}
"""The first kind that fits is taken: "leather colour" is a material, "hardware size" a size."""

ADVICE: Final[Mapping[Kind, str]] = {
    Kind.SIZE: "measure the width",
    Kind.HARDWARE: "photograph the clasp",
    Kind.MATERIAL: "photograph the material close up",
    Kind.COLOUR: "photograph it in daylight",
    Kind.OTHER: "compare {attribute}",
}

NOTHING: Final = "the catalogue does not tell them apart: an expert has to"

NAME: Final = "name"

PARTS: Final = _set(
    "bezel bow bracelet brim button buttons case chain charm closure collar compartment "
    "compartments cuff cuffs dial edge embroidery engraving fastening feet finish flap frame "
    "gem gems gemstone gemstones handle handles hands heel hem hood indices lens lenses logo "
    "markers monogram motif neckline pattern pocket pockets print quilting rivets shape "
    "silhouette sleeve sleeves slot slots sole stitch stitching stone stones strap straps "
    "studs temple temples texture toe trim "
    "패턴 무늬 프린트 여밈 스트랩 끈 손잡이 핸들 체인 로고 모노그램 스티치 박음질 퀼팅 다이얼 "
    "케이스 베젤 브레이슬릿 굽 힐 밑창 앞코 렌즈 프레임 테 다리 포켓 주머니 자수 각인 보석 스톤 "
    "모양 형태 넥라인 칼라 카라 소매 단추 마감 참"
)
"""Words of attributes that name a visible part: their values may be anything, numbers too."""

UNSEEN: Final = _set(
    "active added amount arrival arrived asin availability available barcode batch bin bought "
    "brand buyer category certificate clicks code collection comment comments condition "
    "consigned consignor cost costs created currency customer date dates day days delivery "
    "description discount discounts ean enabled featured fee file filename gender grade group "
    "gtin hash href id ids image images imported index inventory invoice item jan keywords "
    "launch link links listed location lot margin memo model modified month msrp name no note "
    "notes nr num number order owner page path photo photos picture pictures popularity price "
    "prices priority published purchase purchased qty quantity rank ranking rating ratings "
    "received ref reference registered release released remarks retail return review reviews "
    "row rrp sale sales season sell seller serial shelf shipping shop sku sold sort source "
    "sources staff status stock store supplier tags tax time timestamp title upc updated url "
    "urls user uuid vat vendor version views visible warehouse warranty weight year years"
)
"""Words of attributes that no photo shows."""

UNSEEN_ENDS: Final = re.compile(
    r"(price|stock|cost|date|time|url|link|barcode|quantity|code|number|sku)$"
)
"""Ends of such words that are written together: "saleprice"."""

UNSEEN_KOREAN: Final = re.compile(
    "가격|판매가|정가|단가|원가|소비자가|출고가|매입가|공급가|시세|할인|세일|금액|비용|수수료|배송|세금|"
    "재고|수량|입고|출고|등록|일자|날짜|일시|시각|시간|수정일|생성일|발매|출시|구매일|판매일|"
    "제조일|제조년|연도|년도|연식|시즌|바코드|번호|품번|코드|아이디|링크|주소|이미지|사진|파일|공급|"
    "거래처|업체|매입|위탁|판매|구매|담당|매장|지점|창고|보관|출처|순위|랭킹|점수|평점|리뷰|조회|상태|"
    "등급|메모|비고|설명|키워드|무게|중량|성별|분류|카테고리|브랜드|보증"
)
"""Parts of such words in Korean, which are written together: 판매가격, 입고일자."""

_MONEY: Final = re.compile(
    r"([₩￦$€£¥]|\b(krw|usd|eur|gbp|jpy|cny|hkd|chf)\b)|\d\s*(만\s*)?원$", re.IGNORECASE
)
_MONTH: Final = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE: Final = re.compile(
    r"(19|20)\d\d([-./]\s?\d{1,2}){1,2}([T\s].*)?|\d{1,2}[-./]\d{1,2}[-./](19|20)?\d\d|"
    r"(19|20)\d\d\s?년.*|\d{1,2}:\d\d(:\d\d)?|"
    rf"(\d{{1,2}}\.?\s)?{_MONTH},?\s(\d{{1,2}},?\s)?(19|20)\d\d",
    re.IGNORECASE,
)
_LINK: Final = re.compile(r"://|^www\.|@|\.(jpe?g|png|webp|html?|com|net|kr)\b", re.IGNORECASE)
_COUNT: Final = re.compile(r"[-+]?\d[\d,.\s]*(%|개|점|건|위|pcs?)?", re.IGNORECASE)
_YEAR: Final = re.compile(r"(19|20)\d\d|'?\d\d(ss|fw|aw)|(ss|fw|aw)'?\d\d", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(
    r"(?!\d{1,4}([.,]\d+)?[A-Za-z]{1,4}$)(?=.*\d.*\d.*\d)[A-Za-z0-9_#./-]{5,}|\d{4,}"
)
"""M22675, 8801234567893, 1266; not 17.5cm or 100ml."""
_FLAG: Final = frozenset(("true", "false", "null", "none", "n/a", "y", "n"))

_QUANTITY: Final = re.compile(r"\d+([.,]\d+)?(mm|cm|m|in|inch|inches|호|인치|\")?")
_LONGEST: Final = 60
"""Characters of a value: what is longer is a description, not an attribute."""


def differences(products: Sequence[Product]) -> tuple[Difference, ...]:
    """Return the attributes in which products differ, the easiest to inspect first.

    Values of one kind are joined: "Mini" of the name and "17 cm" of the size become "Mini 17 cm".
    An attribute that only one of the products has is ignored.

    Args:
        products: two or more.

    Returns:
        One for each kind, but one for each attribute of the kind `OTHER`; values in the order of
        the products, None where the catalogue has none.
    """
    by_kind: dict[tuple[Kind, str], list[list[str]]] = {}
    for kind, attribute, values in _differing(products):
        key = (kind, attribute if kind is Kind.OTHER else "")
        columns = by_kind.setdefault(key, [[] for _ in products])
        for column, value in zip(columns, values, strict=True):
            if value and value.lower() not in (" ".join(column)).lower().split():
                column.append(value)
    kinds = list(Kind)
    return tuple(
        Difference(
            kind.value,
            attribute or kind.value,
            tuple(" ".join(column) or None for column in columns),
        )
        for (kind, attribute), columns in sorted(
            by_kind.items(), key=lambda one: (kinds.index(one[0][0]), one[0][1])
        )
    )


def advice(found: Sequence[Difference]) -> str:
    """Describe the differences in English, as one sentence without its full stop."""
    if not found:
        return NOTHING
    return "; ".join(
        f"{', '.join(value or '?' for value in one.values)}: "
        + ADVICE[Kind(one.kind)].format(attribute=one.attribute)
        for one in found
    )


def kind_of_attribute(name: str) -> Kind:
    """Classify an attribute by the words of its name."""
    words = _words_of(name)
    return next((kind for kind, known in KINDS.items() if words & known.names), Kind.OTHER)


def is_visible(name: str, values: Iterable[str]) -> bool:
    """Return whether an attribute is visible on an item, by the words of its name and its values.

    Args:
        name: as the catalogue has it, in English or Korean.
        values: known values of any product.
    """
    words = _words_of(name)
    if any(word in UNSEEN or UNSEEN_ENDS.search(word) for word in words):
        return False
    if UNSEEN_KOREAN.search(name):
        return False
    stripped = [value.strip() for value in values]
    kind = kind_of_attribute(name)
    if any(
        _unseen_value(value) or (kind is not Kind.SIZE and _is_date(value)) for value in stripped
    ):
        return False  # 30/20/12 is a size, not a date
    known = kind is not Kind.OTHER or not words.isdisjoint(PARTS)
    return known or not any(_unnamed_value(value) for value in stripped)


def _unseen_value(value: str) -> bool:
    """Whether a value is money, a link, or so long that it is a description."""
    return bool(len(value) > _LONGEST or _LINK.search(value) or _MONEY.search(value))


def _is_date(value: str) -> bool:
    return _DATE.fullmatch(value) is not None


def _unnamed_value(value: str) -> bool:
    """Whether a value is meaningless without a known name: a number, an id, a flag."""
    return bool(
        _COUNT.fullmatch(value)
        or _YEAR.fullmatch(value)
        or _IDENTIFIER.fullmatch(value)
        or value.lower() in _FLAG
    )


def kind_of_word(word: str) -> Kind:
    """Classify a word of a product's name: "Mini", "17cm", "gold"."""
    lower = word.lower()
    if _QUANTITY.fullmatch(lower):
        return Kind.SIZE
    return next((kind for kind, known in KINDS.items() if lower in known.values), Kind.OTHER)


def _differing(products: Sequence[Product]) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield kind, attribute and values wherever two products have different ones."""
    yield from _differing_names([product.name or "" for product in products])
    for attribute in _attributes(products):
        values = [_value(product, attribute) for product in products]
        known = {value.lower() for value in values if value}
        if len(known) > 1 and is_visible(attribute, known):
            yield kind_of_attribute(attribute), attribute, values


def _differing_names(names: Sequence[str]) -> Iterable[tuple[Kind, str, list[str | None]]]:
    """Yield the words in which names differ, by kind; "gold hardware" is of kind hardware."""
    split = [[word for word in _split(name) if _may_be_seen(word)] for name in names]
    shared = set.intersection(*({word.lower() for word in words} for words in split))
    own = [[word for word in words if word.lower() not in shared] for words in split]
    hardware = any(kind_of_word(word) is Kind.HARDWARE for words in split for word in words)
    by_kind: dict[Kind, list[str | None]] = {}
    for at, words in enumerate(own):
        for word in words:
            kind = kind_of_word(word)
            if hardware and kind is Kind.COLOUR:
                kind = Kind.HARDWARE
            values = by_kind.setdefault(kind, [None] * len(names))
            values[at] = f"{values[at]} {word}" if values[at] else word
    yield from ((kind, NAME, values) for kind, values in by_kind.items())


def _may_be_seen(word: str) -> bool:
    """Whether a word of a name may describe the appearance: a year or a style code does not."""
    unseen = _unseen_value(word) or _is_date(word)
    return not (unseen or _YEAR.fullmatch(word) or _IDENTIFIER.fullmatch(word))


def _attributes(products: Sequence[Product]) -> list[str]:
    further = {name for product in products for name in product.attributes}
    return ["colour", "size", *sorted(further - {"colour", "size"})]


def _value(product: Product, attribute: str) -> str | None:
    known = getattr(product, attribute) if attribute in ("colour", "size") else None
    value = known or product.attributes.get(attribute)
    return " ".join(value.split()) if value and value.strip() else None


def _words_of(name: str) -> set[str]:
    """Split an attribute's name into lower-case words: `salePrice` and `sale_price` have two."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ")
    return set(_split(re.sub(r"[.#]", " ", apart).lower()))


def _split(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;:/()\[\]·|-]+", text) if word]
