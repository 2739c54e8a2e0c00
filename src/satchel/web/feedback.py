"""Feedback on an answer → the database; shared by the page and the HTTP API."""

from __future__ import annotations

from dataclasses import replace

from satchel.catalog.feedback import Feedback
from satchel.catalog.tables import now
from satchel.web.state import ServerState


def record_feedback(server: ServerState, answer: str, code: str | None) -> Feedback:
    """Store what a person says of an answer, in place of what was said of it before.

    Args:
        answer: its token.
        code: the right product's; None for "none of these".

    Raises:
        UploadExpired: there is no such answer any more.
        CatalogueError: there is no such product.
    """
    kept = server.answers.get("", answer)
    catalogue = server.workspace.catalogue
    if code is not None:
        code = catalogue.product(code).code
    feedback = replace(kept, answer=answer, code=code, at=now())
    catalogue.feedback.put(feedback)
    return feedback
