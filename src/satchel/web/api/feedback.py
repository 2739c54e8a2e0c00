"""`POST /api/v1/feedback`: which candidate of an answer is right."""

from __future__ import annotations

from fastapi import APIRouter

from satchel.web.api.openapi import curl, problems
from satchel.web.feedback import record_feedback
from satchel.web.schemas import Feedback, FeedbackGiven
from satchel.web.state import Server

router = APIRouter()


@router.post(
    "/api/v1/feedback",
    tags=["identification"],
    responses=problems(404, 410, 422),
    openapi_extra=curl(
        'curl -H \'Content-Type: application/json\' -d \'{"answer": "TOKEN", "code": "M22675"}\' '
        "'{base}/api/v1/feedback'"
    ),
)
def feedback(server: Server, given: FeedbackGiven) -> Feedback:
    """Say which product an answer should have named, a candidate or any other of the catalogue.

    Null says that it is none of the candidates, and not which other one.

    It is kept with the photos' hashes, boxes and embeddings, without the photos, and
    `satchel calibrate --feedback` fits confidence on it. Said again of the same answer, it takes
    the place of what was said before.
    """
    said = record_feedback(server, given.answer, given.code)
    return Feedback(code=said.code, total=server.workspace.catalogue.feedback.count())
