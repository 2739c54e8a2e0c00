"""The report of a curation run: one HTML page that needs nothing beside it, in both languages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from satchel.catalog.photos import PhotoStore
from satchel.curate.summary import CurationSummary, Unfindable
from satchel.errors import CatalogueError, PhotoError
from satchel.images import thumbnail

THUMBNAIL_PX: Final = 160
SHORT_SHOWN: Final = 500

MEANINGS: Final = {
    "copy": "The same picture as another photo of its product",
    "two_codes": "The same picture stands under several codes",
    "beyond_best": "A good photo, and its product has enough better or more varied ones",
    "too_small": "Too few pixels to tell anything",
    "wrong_aspect": "A banner or a strip",
    "blank": "Nothing in it",
    "text_screenshot": "A page of text",
    "collage": "Several pictures in one",
    "blurred": "Not sharp",
    "too_dark": "Too dark",
    "too_bright": "Too bright",
    "far_from_product": "Unlike the product's other photos",
    "isolated": "No photo of the product is near it",
    "other_product": "Nearer to another product's photos",
    "partial_view": "A detail or a part of the product",
    "other_colours": "Of other colours than the product's other photos",
    "decided": "A person decided this",
    "faces": "Faces take much of the picture",
    "watermark": "A mark is stamped over it",
    "several_objects": "Several things in one picture",
    "few_photos": "The product has too few photos to judge this one by",
    "last_photo": "Still searched, as its product has no better photo",
}

UNFINDABLE: Final = {
    Unfindable.NO_PHOTO: "It has no photo",
    Unfindable.BY_PEOPLE: "People left out all of its photos",
    Unfindable.UNREADABLE: "Those of its photos that are not left out cannot be read",
}

STATES: Final = {
    "kept": "in the gallery",
    "doubtful": "to be reviewed (satchel serve); searched where its product has no kept photo",
    "dropped": "out of the gallery",
}

KOREAN: Final[Mapping[str, str]] = {
    "Curation report": "사진 정리 보고서",
    "Nothing was deleted. Another run, with other rules, decides anew.": (
        "삭제된 사진은 없습니다. 기준을 바꿔 다시 실행하면 새로 판단합니다."
    ),
    "What a person decided stays.": "사람이 내린 결정은 그대로 유지됩니다.",
    "Photos": "사진",
    "before": "정리 전",
    "kept": "사용",
    "doubtful": "확인 필요",
    "dropped": "제외",
    "in the gallery": "갤러리에 있음",
    "to be reviewed (satchel serve); searched where its product has no kept photo": (
        "satchel serve의 검토 화면에서 확인 필요. 상품에 사용 중인 사진이 없으면 검색에 쓰임"
    ),
    "out of the gallery": "갤러리에서 빠짐",
    "Stage by stage": "단계별 결과",
    "stage": "단계",
    "products": "상품",
    "photos of each": "상품별 사진",
    "photos": "사진",
    "photos as they came": "받은 그대로",
    "readable, each picture once": "읽을 수 있고 중복이 없는 사진",
    "first pass: nothing unrelated": "1차 정리: 관련 없는 사진 제거",
    "second pass: no partial views, no noise": "2차 정리: 부분 사진과 저품질 사진 제거",
    "the best of each product": "상품별 가장 좋은 사진",
    "Photos of each product: the median, in brackets fewest and most.": (
        "상품별 사진은 중앙값이며 괄호 안은 최소와 최대입니다."
    ),
    "Doubtful photos are not counted, though they are searched where a product has no kept one.": (
        "확인이 필요한 사진은 세지 않습니다. 다만 상품에 사용 중인 사진이 없으면 검색에 쓰입니다."
    ),
    "Reasons": "이유",
    "reason": "이유",
    "A photo may have several reasons.": "사진 한 장에 이유가 여럿일 수 있습니다.",
    "also or rather": "다른 후보:",
    "right: the one kept": "오른쪽이 남긴 사진",
    "Products short of photos": "사진이 부족한 상품",
    "%(count)s products have fewer kept photos than wanted: collect more of them first.": (
        "상품 %(count)s개의 사진이 목표보다 적습니다. 이 상품의 사진부터 더 모으십시오."
    ),
    "code": "품번",
    "The rest is in the JSON beside this page.": "나머지는 이 페이지 옆의 JSON 파일에 있습니다.",
    "None.": "없습니다.",
    "The same picture as another photo of its product": "이 상품의 다른 사진과 같은 사진",
    "The same picture stands under several codes": "같은 사진이 여러 품번에 있음",
    "A good photo, and its product has enough better or more varied ones": (
        "좋은 사진이지만 더 낫거나 다양한 사진이 충분함"
    ),
    "Too few pixels to tell anything": "해상도가 너무 낮음",
    "A banner or a strip": "지나치게 길쭉한 사진",
    "Nothing in it": "내용이 없는 사진",
    "A page of text": "글자 화면",
    "Several pictures in one": "여러 사진을 이어 붙임",
    "Not sharp": "흐린 사진",
    "Too dark": "너무 어두움",
    "Too bright": "너무 밝음",
    "Unlike the product's other photos": "이 상품의 다른 사진과 다름",
    "No photo of the product is near it": "비슷한 사진이 이 상품에 없음",
    "Nearer to another product's photos": "다른 상품의 사진에 더 가까움",
    "A detail or a part of the product": "상품의 일부만 보임",
    "Of other colours than the product's other photos": "이 상품의 다른 사진과 색이 다름",
    "A person decided this": "사람이 결정함",
    "Faces take much of the picture": "얼굴이 사진의 큰 부분을 차지함",
    "A mark is stamped over it": "워터마크가 있음",
    "Several things in one picture": "여러 물건이 함께 있음",
    "The product has too few photos to judge this one by": "판단하기에 이 상품의 사진이 너무 적음",
    "Still searched, as its product has no better photo": (
        "이 상품에 더 나은 사진이 없어 검색에 계속 사용함"
    ),
    "Products that cannot be found": "검색되지 않는 상품",
    "%(count)s products have no photo that is searched.": (
        "상품 %(count)s개는 검색에 쓰이는 사진이 없습니다."
    ),
    "It has no photo": "등록된 사진이 없음",
    "People left out all of its photos": "사람이 모든 사진을 제외함",
    "Those of its photos that are not left out cannot be read": (
        "제외되지 않은 사진을 읽을 수 없음"
    ),
}


def render_report(summary: CurationSummary, store: PhotoStore) -> str:
    """Return the page: counts by state and reason, examples with their pictures, short products.

    Args:
        summary: what a run decided.
        store: where the examples' photos lie; one that is gone is left out.
    """
    environment = Environment(
        loader=PackageLoader("satchel.curate", ""), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        summary=summary,
        total=sum(summary.photos.values()),
        both=both,
        meanings=MEANINGS,
        states=STATES,
        pictures={
            kind: [
                (example, _picture(store, example.sha256), _picture(store, example.beside))
                for example in examples
            ]
            for kind, examples in summary.examples.items()
        },
        short=list(summary.short.items())[:SHORT_SHOWN],
        unfindable=[(code, UNFINDABLE[why]) for code, why in summary.unfindable.items()][
            :SHORT_SHOWN
        ],
    )


def both(english: str, **values: str) -> Markup:
    """Say something in English and Korean; the page shows the reader's."""
    said = (words % values if values else words for words in (english, KOREAN[english]))
    return Markup('<span lang="en">{}</span><span lang="ko">{}</span>').format(*said)


def _picture(store: PhotoStore, sha256: str | None) -> str | None:
    """Return a small copy as a data address."""
    if sha256 is None:
        return None
    try:
        small = thumbnail(store.read(sha256), THUMBNAIL_PX)
    except (CatalogueError, PhotoError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(small).decode()
