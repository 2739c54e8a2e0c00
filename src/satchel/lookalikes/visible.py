"""Which attributes are visible on an item, and not only in the catalogue.

A catalogue file has columns of prices, stock and dates, too; their words are in `UNSEEN`. A column
of an unknown name counts where its values are words, not where they are numbers, identifiers or
flags. The setting `[catalogue] visible` names the columns instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from satchel.catalog.headers import column_name
from satchel.lookalikes.kinds import Kind, kind_of_attribute, word_set, words_of

PARTS: Final = word_set(
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

UNSEEN: Final = word_set(
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

_LONGEST: Final = 60
"""Characters of a value: what is longer is a description, not an attribute."""


def is_visible(name: str, values: Iterable[str], named: Collection[str] = ()) -> bool:
    """Return whether an attribute is visible on an item, by the words of its name and its values.

    Args:
        name: as the catalogue has it, in English or Korean.
        values: known values of any product.
        named: `[catalogue] visible`: names of the visible attributes, and no others are; empty to
            go by words and values.
    """
    if named:
        return column_name(name) in map(column_name, named)
    words = words_of(name)
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


def split_visible(
    attributes: Mapping[str, str], named: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, str]]:
    """Split a product's attributes into visible ones and others; see `is_visible`.

    Visible ones are in the order of `named`, if there are any.
    """
    seen = {name: value for name, value in attributes.items() if is_visible(name, [value], named)}
    if order := [column_name(name) for name in named]:
        seen = dict(sorted(seen.items(), key=lambda one: order.index(column_name(one[0]))))
    return seen, {name: value for name, value in attributes.items() if name not in seen}


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


def may_be_seen(word: str) -> bool:
    """Whether a word of a name may describe the appearance: a year or a style code does not."""
    unseen = _unseen_value(word) or _is_date(word)
    return not (unseen or _YEAR.fullmatch(word) or _IDENTIFIER.fullmatch(word))
