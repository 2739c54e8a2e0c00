"""`POST /api/v1/feedback`: which candidate of an answer is right."""

from __future__ import annotations

from fastapi import APIRouter, Request

from satchel.web.access import EVERYBODY
from satchel.web.api.openapi import curl, problems
from satchel.web.feedback import Choice, record_feedback
from satchel.web.links import case_link
from satchel.web.schemas import Feedback, FeedbackGiven
from satchel.web.sessions import session_of
from satchel.web.state import Server
from satchel.web.threads import patient

router = APIRouter(dependencies=[EVERYBODY])


@router.post(
    "/api/v1/feedback",
    tags=["identification"],
    responses=problems(404, 410, 422),
    openapi_extra=curl(
        'curl -H \'Content-Type: application/json\' -d \'{"answer": "TOKEN", "code": "M22675"}\' '
        "'{base}/api/v1/feedback'"
    ),
)
@patient
def feedback(request: Request, server: Server, given: FeedbackGiven) -> Feedback:
    """Say which product an answer should have named, a candidate or any other of the catalogue.

    Null says that it is none of the candidates, and not which other one.

    It is kept with the photos' hashes, boxes and embeddings, and `satchel calibrate --feedback`
    fits confidence on it. It becomes a case too, with the candidates as they were reported. Photos
    are kept with it only under `keep`, and only if the answer was asked for with `keep` from here.
    Said again of the same answer, it takes the place of what was said before.
    """
    choice = Choice(given.code, expert=given.expert, keep=given.keep, note=given.note, by=given.by)
    case = record_feedback(server, given.answer, choice, session=session_of(request))
    total = server.workspace.catalogue.feedback.count()
    return Feedback(code=case.code, total=total, case=case_link(case.token))
