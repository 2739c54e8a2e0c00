"""What people say of answers → feedback and cases; shared by the page and the HTTP API."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from satchel.catalog.cases import Case, CaseCandidate, CasePhoto, CaseState
from satchel.catalog.tables import now
from satchel.errors import SatchelError
from satchel.photo_header import MEGABYTE
from satchel.records import Candidate, Product
from satchel.web.answers import KeptAnswer
from satchel.web.kept import new_token
from satchel.web.state import ServerState
from satchel.web.uploads import KeptPhoto

CASE_PHOTO_PX: Final = 2048
"""Longer side of a photo that is kept with a case: enough to compare details."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person says of an answer.

    Attributes:
        code: the right product's; None for "none of these".
        expert: whether an expert is to say which it is; `code` counts for nothing then.
        keep: whether the photos are to be kept with the case.
        note, by: what the person writes, and who; empty for none.
    """

    code: str | None
    expert: bool = False
    keep: bool = False
    note: str = ""
    by: str = ""


def record_feedback(server: ServerState, answer: str, choice: Choice, *, session: str = "") -> Case:
    """Store what a person says of an answer, in place of what was said of it before.

    Args:
        answer: its token.
        session: of the browser, whose photos are kept if they are to be.

    Raises:
        UploadExpired: there is no such answer any more.
        CatalogueError: there is no such product.
        StorageError: the photos cannot be written.
    """
    kept = server.answers.get("", answer)
    catalogue = server.workspace.catalogue
    code = None if choice.expert else choice.code
    if code is not None:
        code = catalogue.product(code).code
    choice = replace(choice, code=code)
    feedback = replace(kept.feedback, answer=answer, code=code, at=now())
    catalogue.feedback.put(feedback, awaited=choice.expert)
    case = _case(answer, kept, choice, catalogue.cases.of_answer(answer))
    if choice.keep:
        photos = kept.photos_for(session, server.uploads)
        case = replace(case, photo_bytes=_keep_photos(server, case, photos or ()))
    catalogue.cases.put(case)
    return case


def answer_case(server: ServerState, token: str, choice: Choice) -> Case:
    """Say of a case which product it is; the feedback on its answer follows.

    Raises:
        CatalogueError: there is no such case, or no such product.
    """
    catalogue = server.workspace.catalogue
    code = None if choice.code is None else catalogue.product(choice.code).code
    case = catalogue.cases.choose(token, code, note=choice.note, by=choice.by)
    catalogue.feedback.settle(case.answer, code)
    return case


def remove_case(server: ServerState, token: str) -> None:
    """Delete a case with its photos, and the feedback on its answer.

    Raises:
        CatalogueError: there is no such case.
        StorageError: its photos cannot be deleted.
    """
    catalogue = server.workspace.catalogue
    case = catalogue.cases.case(token)
    server.workspace.case_photos.remove(token)
    catalogue.feedback.remove(case.answer)
    catalogue.cases.remove(token)


def remove_old_cases(server: ServerState) -> int:
    """Delete the cases whose time is over or that are too many, with their photos; return how many.

    Feedback on their answers stays, without photos, for calibration.
    """
    cases, settings = server.workspace.catalogue.cases, server.workspace.settings.serve
    before = now() - timedelta(days=settings.keep_cases_days)
    old = cases.outdated(before, most=settings.keep_cases)
    for token in old:
        server.workspace.case_photos.remove(token)
        cases.remove(token)
    return len(old)


def title(product: Product) -> str:
    """A product in one line."""
    shown = (product.brand, product.name, product.colour, product.size)
    return " · ".join(one for one in shown if one)


def _case(answer: str, kept: KeptAnswer, choice: Choice, before: Case | None) -> Case:
    """The case of an answer: a new one, or the one that there is with what is said now."""
    at = now()
    if choice.expert:
        state = CaseState.OPEN
    else:
        state = CaseState.NONE if choice.code is None else CaseState.NAMED
    said = Case(
        token=new_token(),
        answer=answer,
        state=state,
        code=choice.code,
        expert=choice.expert,
        note=choice.note.strip(),
        by=choice.by.strip(),
        verdict=kept.found.verdict.value,
        candidates=tuple(map(_candidate, kept.found.candidates)),
        photos=tuple(map(CasePhoto, kept.names, kept.found.boxes)),
        where=kept.found.where,
        at=at,
        changed_at=at,
    )
    if before is None:
        return said
    return replace(
        said,
        token=before.token,
        at=before.at,
        expert=said.expert or before.expert,
        note=said.note or before.note,
        by=said.by or before.by,
        photo_bytes=before.photo_bytes,
    )


def _candidate(candidate: Candidate) -> CaseCandidate:
    product = candidate.product
    return CaseCandidate(
        product.code, title(product), candidate.photo, candidate.confidence, candidate.likely
    )


def _keep_photos(server: ServerState, case: Case, photos: Sequence[KeptPhoto]) -> int:
    """Store the photos of a case, if there is room for them; return their bytes.

    They are encoded anew: upright, without metadata and at most `CASE_PHOTO_PX` large.
    """
    if case.photo_bytes or not photos:
        return case.photo_bytes
    workspace = server.workspace
    clean = [server.thumbnail(one.data, CASE_PHOTO_PX) for one in photos]
    size = sum(map(len, clean))
    room = workspace.settings.serve.keep_cases_mb * MEGABYTE
    if workspace.catalogue.cases.photo_bytes() + size > room:
        logging.getLogger(__name__).warning(
            "no room for the photos of a case: [serve] keep_cases_mb"
        )
        return 0
    try:
        workspace.case_photos.put(case.token, clean)
    except SatchelError as error:
        logging.getLogger(__name__).warning("the photos of a case are not kept: %s", error)
        return 0
    return size
