"""Headers of catalogue files: which column holds the code, the photo, the brand and so on.

Shops name their columns in many ways and in Korean. Headers are compared without differences of
case, width, spacing and punctuation, and without what is in brackets: "Style No." is `style no`,
"가격(원)" is 가격.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from satchel.catalog.file_names import composed
from satchel.errors import UsageError
from satchel.records import PRODUCT_FIELDS
from satchel.text import folded

CODE: Final = "code"
PHOTO: Final = "photo"
LINK_FIELDS: Final = ("role", "source", "license")
FIELDS: Final = (CODE, PHOTO, *PRODUCT_FIELDS, *LINK_FIELDS)

HEADERS: Final[Mapping[str, str]] = {
    CODE: "code, style code, style no, style number, style id, reference, reference no, ref, "
    "ref no, model code, model no, model number, product code, item code, item no, sku, "
    "품번, 스타일코드, 스타일번호, 스타일넘버, 레퍼런스, 레퍼런스번호, 모델코드, 모델번호, "
    "제품번호, 제품코드, 품목코드, 품목번호, 상품코드, 상품번호, 코드, 모델명, 모델, model",
    PHOTO: "photo, photos, photo file, photo path, image, images, image file, image path, picture, "
    "pictures, img, file, file name, filename, 사진, 사진파일, 사진파일명, 사진명, 사진경로, "
    "이미지, 이미지파일, 이미지파일명, 이미지명, 이미지경로, 대표사진, 대표이미지, 메인사진, "
    "메인이미지, 상품사진, 상품이미지, 제품사진, 제품이미지, 추가사진, 추가이미지, 파일, 파일명",
    "brand": "brand, brand name, designer, maker, manufacturer, 브랜드, 브랜드명, 메이커, 제조사",
    "name": "name, product name, item name, model name, title, 상품명, 제품명, 품명, 이름, 모델명, "
    "모델, model",
    "category": "category, category name, product type, 카테고리, 카테고리명, 분류, 상품분류, "
    "품목, 종류",
    "colour": "colour, color, colour name, color name, 색상, 색상명, 컬러, 칼라, 색, 색깔",
    "size": "size, 사이즈, 크기, 치수",
    "source": "source, 출처",
    "license": "license, licence, 라이선스, 라이센스",
    "material": "material, materials, 소재, 재질",
    "price": "price, selling price, 가격, 판매가, 판매가격, 금액",
    "season": "season, 시즌",
    "condition": "condition, 상태, 컨디션",
    "gender": "gender, 성별",
}
"""Field → the headers that mean it, the surest first. Fields of no column become attributes."""

PHOTO_ADDRESSES: Final = (
    "photo url, image url, image link, image src, picture url, 사진주소, 사진 url, 사진링크, "
    "이미지주소, 이미지 url, 이미지링크, 대표이미지 url, 추가이미지 url"
)
"""Headers of photos, too, where no other column has any."""

_BRACKETS: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_PUNCTUATION: Final = re.compile(r"[\W_]+")


def header_key(header: str) -> str:
    """Return the form in which headers are compared."""
    key = _PUNCTUATION.sub("", _BRACKETS.sub("", folded(header)))
    return key or folded(header)


def _keys(headers: str) -> tuple[str, ...]:
    return tuple(header_key(header) for header in headers.split(","))


_KEYS: Final = {field: _keys(headers) for field, headers in HEADERS.items()}
_ADDRESS_KEYS: Final = _keys(PHOTO_ADDRESSES)
_ATTRIBUTES: Final = {
    key: field
    for field, keys in _KEYS.items()
    if field not in (CODE, PHOTO, "name")
    for key in keys
}


def attribute_field(name: str) -> str | None:
    """Return the field that an attribute's name means: `colour` for "Color" and "색상"."""
    return _ATTRIBUTES.get(header_key(name))


def column_name(name: str) -> str:
    """Return the name under which a column is stored: its field's, or its own in lower case."""
    plain = " ".join(composed(name).split()).lower()
    return plain if plain in FIELDS else attribute_field(plain) or plain


@lru_cache(maxsize=16)  # of JSON Lines each row has its own
def name_columns(
    headers: tuple[str, ...], given: tuple[tuple[str, str], ...] = ()
) -> tuple[str, ...]:
    """Name each column by its field, or by its own header in lower case as an attribute.

    Args:
        headers: of the file.
        given: pairs (field, header) that a person says; the others are recognised.

    Returns:
        a name for each header; of `PHOTO` there may be several, of the others one each. Empty for
        a column without a header.

    Raises:
        UsageError: two columns have one name.
    """
    keys = [header_key(header) for header in headers]
    names: dict[int, str] = {}
    for field, header in given:
        wanted = header_key(header)
        names |= {at: field for at, key in enumerate(keys) if key == wanted}
    for field, known in _KEYS.items():
        if field not in names.values() and field != PHOTO:
            names |= _first(keys, known, field, taken=names)
    if PHOTO not in names.values():
        names |= _photos(keys, taken=names)
    double = sorted(
        {one for one in names.values() if list(names.values()).count(one) > 1} - {PHOTO}
    )
    if double:
        raise UsageError(
            f"column {double[0]} is twice in the header; rename one of them, or say which it is: "
            f"--column {double[0]}=HEADER"
        )
    return _with_own_names(headers, names)


def _with_own_names(headers: Sequence[str], names: Mapping[int, str]) -> tuple[str, ...]:
    """Fill in the names of attributes; of several of one name the second is "note 2"."""
    taken, numbers = set(names.values()), Counter[str]()
    named = []
    for at, header in enumerate(headers):
        own = " ".join(composed(header).split()).lower()
        name = names.get(at, own)
        while at not in names and name in taken:
            numbers[own] += 1
            name = f"{own} {numbers[own] + 1}"
        if name:
            taken.add(name)
        named.append(name)
    return tuple(named)


def _first(
    keys: Sequence[str], known: Sequence[str], field: str, taken: Mapping[int, str]
) -> dict[int, str]:
    """The columns of the surest header that is there."""
    for wanted in known:
        found = {at: field for at, key in enumerate(keys) if key == wanted and at not in taken}
        if found:
            return found
    return {}


def _photos(keys: Sequence[str], taken: Mapping[int, str]) -> dict[int, str]:
    """The columns of photos, which may be numbered: 사진1, 사진2."""
    plain = [key.rstrip("0123456789") for key in keys]
    for known in (_KEYS[PHOTO], _ADDRESS_KEYS):
        found = {at: PHOTO for at, key in enumerate(plain) if key in known and at not in taken}
        if found:
            return found
    return {}


def missing_columns(names: Sequence[str]) -> list[str]:
    """Return which of the required columns are not among these names."""
    return [name for name in (CODE, PHOTO) if name not in names]
