"""`/api/v1/look-alikes`: groups of products that photos cannot distinguish."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from satchel.catalog.decisions import Choice
from satchel.catalog.lookalike_groups import GroupState
from satchel.catalog.lookalike_groups import LookAlikeGroup as GroupOfProducts
from satchel.market.roles import Role, Scope
from satchel.schemas import LookAlikeGroup
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.schemas import LookAlikeDecision, LookAlikePage
from satchel.web.signatures import Sign
from satchel.web.state import Server
from satchel.workspace import Workspace

MAX_GROUPS: Final = 100
MAX_NUMBER: Final = 2**63 - 1

READ: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_READ)
WRITE: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_WRITE)

router = APIRouter()


@router.get(
    "/api/v1/look-alikes",
    dependencies=[READ],
    tags=["catalogue"],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/look-alikes?state=proposed'"),
)
def look_alikes(
    server: Server,
    state: Annotated[
        GroupState, Query(description="What has become of the groups.")
    ] = GroupState.CONFIRMED,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="Groups beyond this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_GROUPS, description="Groups given.")] = 48,
) -> LookAlikePage:
    """List groups of products that photos cannot tell apart.

    `satchel lookalikes` proposes them; a confirmed group counts as one candidate.
    """
    store = server.workspace.catalogue.look_alikes
    groups = store.in_state(state, after=after, limit=limit)
    return LookAlikePage(
        total=store.count(state), groups=[_group(server.workspace, group) for group in groups]
    )


@router.post(
    "/api/v1/look-alikes/{group}",
    dependencies=[WRITE],
    tags=["catalogue"],
    responses=problems(400, 404, 422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' -d '{\"choice\": \"confirm\"}' "
        "'{base}/api/v1/look-alikes/12'"
    ),
)
def decide_look_alikes(
    server: Server,
    group: Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The group's number.")],
    decision: LookAlikeDecision,
    sign: Sign,
) -> LookAlikeGroup:
    """Confirm a group, or a part of it, reject it, or undo that.

    A part that is confirmed becomes a group of its own, which is given.
    """
    store = server.workspace.catalogue.look_alikes
    if decision.choice == "undo":
        decided = store.undo(store.decision_on(group), by=sign(decision.by))
    else:
        confirm = decision.choice == "confirm"
        choice = Choice.CONFIRM_GROUP if confirm else Choice.REJECT_GROUP
        decided = store.decide(choice, group, decision.codes, by=sign(decision.by))
    assert decided.group is not None
    return _group(server.workspace, store.group(decided.group))


def _group(workspace: Workspace, group: GroupOfProducts) -> LookAlikeGroup:
    products = workspace.catalogue.products_by_id(group.products)
    return LookAlikeGroup.of(group, products, workspace.settings.catalogue.visible)
