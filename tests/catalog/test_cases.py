"""Cases in the database, and their photos."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from satchel.catalog.case_photos import CasePhotos
from satchel.catalog.cases import Case, CaseCandidate, CasePhoto, CaseState
from satchel.catalog.store import Catalogue
from satchel.errors import CatalogueError
from satchel.records import Box

AT = datetime(2026, 11, 30, 12)
TOKEN = "a" * 32


def case(number: int = 0, **values: object) -> Case:
    reported = Case(
        token=f"{number:032d}",
        answer=f"answer-{number}",
        state=CaseState.NAMED,
        code="가방/7",
        expert=False,
        note="안쪽 라벨 있음",
        by="지민",
        verdict="one_of",
        candidates=(CaseCandidate("가방/7", "Maison · Tote", "f" * 64, 0.75, True),),
        photos=(CasePhoto("IMG_1.jpg", Box(0.1, 0.2, 0.5, 0.75)),),
        where={"brand": ["Dior", "셀린느"]},
        photo_bytes=10,
        at=AT + timedelta(hours=number),
        changed_at=AT + timedelta(hours=number),
    )
    return replace(reported, **values)  # type: ignore[arg-type]


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue.open(tmp_path / "satchel.db", create=True)


def test_what_is_stored_is_read(catalogue: Catalogue) -> None:
    one, two = case(1), case(2, state=CaseState.OPEN, code=None, expert=True, where={})
    for reported in (one, two):
        catalogue.cases.put(reported)
    assert catalogue.cases.case(one.token) == one
    assert catalogue.cases.of_answer("answer-2") == two
    assert catalogue.cases.of_answer("answer-3") is None
    assert list(catalogue.cases.all()) == [two, one]
    assert catalogue.cases.photo_bytes() == 20


def test_cases_are_found_by_state_and_words(catalogue: Catalogue) -> None:
    reported = [
        case(0),
        case(1, state=CaseState.NONE, code=None, note="50% off", by=""),
        case(2, state=CaseState.OPEN, code=None, note="", by="Ann"),
    ]
    for one in reported:
        catalogue.cases.put(one)

    def numbers(state: CaseState | None = None, query: str = "") -> list[int]:
        return [reported.index(one) for one in catalogue.cases.recent(state, query=query)]

    assert numbers() == [2, 1, 0]
    assert numbers(CaseState.NONE) == [1]
    assert numbers(query="가방") == [0]
    assert numbers(query="ANN") == [2]
    assert numbers(query="%") == [1]
    assert numbers(CaseState.NONE, "라벨") == []
    assert [catalogue.cases.count(state) for state in (None, *CaseState)] == [3, 1, 1, 1]


def test_an_open_case_is_answered_and_annotated(catalogue: Catalogue) -> None:
    catalogue.cases.put(case(state=CaseState.OPEN, code=None, expert=True))
    token = case().token
    noted = catalogue.cases.annotate(token, note="문의", by="Ann")
    assert (noted.state, noted.note, noted.by) == (CaseState.OPEN, "문의", "Ann")
    named = catalogue.cases.choose(token, "Z-9", note="", by="")
    assert (named.state, named.code, named.expert) == (CaseState.NAMED, "Z-9", True)
    assert named.changed_at > named.at
    assert catalogue.cases.choose(token, None, note="", by="").state is CaseState.NONE
    with pytest.raises(CatalogueError):
        catalogue.cases.choose("x" * 32, "Z-9", note="", by="")


def test_cases_are_removed_and_found_when_they_are_old(catalogue: Catalogue) -> None:
    for number in range(3):
        catalogue.cases.put(case(number))
    assert catalogue.cases.outdated(AT + timedelta(hours=2), most=9) == [
        case(0).token,
        case(1).token,
    ]
    assert catalogue.cases.outdated(AT, most=1) == [case(1).token, case(0).token]
    assert catalogue.cases.outdated(AT, most=3) == []
    assert catalogue.cases.remove(case(0).token)
    assert not catalogue.cases.remove(case(0).token)
    assert catalogue.cases.count() == 2


def test_photos_of_a_case_have_a_folder_of_their_own(tmp_path: Path) -> None:
    photos = CasePhotos(tmp_path / "cases")
    photos.put(TOKEN, [b"one", b"two"])
    assert photos.path(TOKEN, 2).read_bytes() == b"two"
    photos.put(TOKEN, [b"three"])
    assert [path.name for path in (tmp_path / "cases" / TOKEN).iterdir()] == ["1.jpg"]
    photos.remove(TOKEN)
    photos.remove(TOKEN)
    assert list((tmp_path / "cases").iterdir()) == []


@pytest.mark.parametrize("token", ["", "..", "../photos", "a" * 31, "a" * 31 + "/"])
def test_no_token_leads_out_of_the_folder(tmp_path: Path, token: str) -> None:
    with pytest.raises(CatalogueError):
        CasePhotos(tmp_path).path(token, 1)
