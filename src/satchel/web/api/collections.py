"""`/api/v1/collections`: how far collecting is, its candidates, and decisions on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from satchel.catalog.headers import CODE
from satchel.catalog.rows import RowProblem, checked_code
from satchel.collect.deciding import CandidateReview, SeenCandidate
from satchel.collect.records import CandidateChoice, Counts, Decision, Found, State
from satchel.collect.store import CandidateStore
from satchel.errors import UsageError
from satchel.market.roles import Role, Scope
from satchel.web.access import allow
from satchel.web.api.openapi import curl, problems
from satchel.web.links import photo_link
from satchel.web.signatures import Sign
from satchel.web.state import Server
from satchel.web.threads import patient
from satchel.workflows.collections import MAX_URLS, Pasted, activity, fetch_chosen, paste, total

MAX_NUMBER: Final = 2**63 - 1
MAX_CANDIDATES: Final = 60
MAX_PRODUCTS: Final = 200

READ: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_READ)
WRITE: Final = allow(Role.EXPERT, scope=Scope.CATALOGUE_WRITE)

Group = Literal["fetched", "waiting", "refused"]
Number = Annotated[int, Field(ge=0, le=MAX_NUMBER)]
Numbers = Annotated[list[Number], Field(max_length=MAX_CANDIDATES)]

router = APIRouter(prefix="/api/v1/collections", tags=["catalogue"])


class CandidateCounts(BaseModel):
    """What became of candidates: URLs of photos that were found for a code."""

    found: int = Field(description="All of them.")
    waiting: int = Field(description="Not fetched yet.")
    fetched: int = Field(description="Received, and a usable photo.")
    refused: int = Field(description="Not wanted by the site or a person, or no usable photo.")
    failed: int
    new: int = Field(description="Those of which the product has a new photo.")
    duplicate: int = Field(description="Those whose photo the product had.")

    @classmethod
    def of(cls, counts: Counts) -> Self:
        """Convert."""
        return cls(**asdict(counts))


class Collection(BaseModel):
    """How far collecting is."""

    running: bool = Field(description="Whether something is collected now.")
    queued: bool = Field(description="Whether a job waits for `satchel worker`.")
    last_activity: datetime | None
    total: CandidateCounts
    sources: dict[str, CandidateCounts] = Field(description="By source.")
    products: dict[str, CandidateCounts] = Field(description="By code, in order.")


class CandidatePhoto(BaseModel):
    """The photo that a candidate brought, as the review has it."""

    url: str
    state: str = Field(description="kept, doubtful or dropped.")
    reasons: list[str] = Field(description="Kinds of the reasons.")


class CandidateRecord(BaseModel):
    """A candidate."""

    id: int
    code: str
    url: str
    page: str | None = Field(description="Page that shows it.")
    source: str
    query: str | None
    rank: int | None = Field(description="Place among the answers to the query, from 1.")
    state: State
    reason: str | None
    decision: Decision | None = Field(description="A person's, where it has brought no photo.")
    decided_by: str | None
    photo: CandidatePhoto | None

    @classmethod
    def of(cls, one: SeenCandidate) -> Self:
        """Convert."""
        photo = one.photo and CandidatePhoto(
            url=photo_link(one.photo.sha256),
            state=one.photo.state,
            reasons=[reason["kind"] for reason in one.photo.reasons],
        )
        values = {name: getattr(one, name) for name in cls.model_fields if name in one.__slots__}
        return cls(**{**values, "page": one.link, "photo": photo})


class CandidatePage(BaseModel):
    """Some candidates of a product."""

    sources: dict[str, CandidateCounts] = Field(description="All of the product, by source.")
    candidates: list[CandidateRecord]


class CandidateDecision(BaseModel):
    """A decision on candidates."""

    model_config = ConfigDict(extra="forbid")

    candidates: Annotated[Numbers, Field(min_length=1, description="Their ids.")]
    choice: CandidateChoice = Field(
        description="Photos are kept, dropped or moved. What has brought none is fetched next, "
        "never fetched, or fetched next for the other code."
    )
    code: str | None = Field(None, max_length=200, description="Of the product to move to.")
    by: str | None = Field(None, max_length=60, description="Who decides, kept with it.")


class DecidedOn(BaseModel):
    """What was decided; to undo it, send this back."""

    model_config = ConfigDict(extra="forbid")

    decisions: Annotated[list[Number], Field(min_length=1, max_length=2)] = Field(
        description="Ids in the ledger: of the one on photos, of the one on what has none, or both."
    )


class NamedUrl(BaseModel):
    """A photo's URL, for a code."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=200, description="Of its product; an unknown one becomes one.")
    url: str = Field(max_length=4_000)
    page: str | None = Field(None, max_length=4_000, description="Page that shows it.")
    license: str | None = Field(None, max_length=500)


class UrlList(BaseModel):
    """URLs of photos that a person names."""

    model_config = ConfigDict(extra="forbid")

    urls: Annotated[list[NamedUrl], Field(min_length=1, max_length=MAX_URLS)]
    by: str | None = Field(None, max_length=60, description="Who names them, kept with them.")


class UrlProblem(BaseModel):
    """A URL that cannot be used."""

    number: int = Field(description="Place in the list, from 1.")
    reason: str


class UrlsTaken(BaseModel):
    """What became of a list of URLs."""

    new: int
    known: int = Field(description="Fetched too, where they are not yet.")
    new_products: int
    codes: list[str] = Field(description="Of their products, in order.")
    problems: list[UrlProblem]
    job: int | None = Field(description="That fetches them; null where nothing is to be fetched.")

    @classmethod
    def of(cls, done: Pasted) -> Self:
        """Convert."""
        problems = [UrlProblem(number=one.line, reason=str(one)) for one in done.problems]
        return cls(**{**asdict(done), "problems": problems})


@router.get(
    "",
    dependencies=[READ],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/collections'"),
)
@patient
def collection(
    server: Server,
    after: Annotated[str, Query(max_length=200, description="Products with codes above.")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_PRODUCTS, description="Products given.")] = 50,
) -> Collection:
    """Say how far collecting is, by source and by product."""
    store, now = CandidateStore(server.workspace.catalogue.engine), activity(server.workspace)
    sources = store.counts_by_source()
    products = store.counts_by_product(after, limit)
    return Collection(
        running=now.running,
        queued=now.queued,
        last_activity=now.last and now.last.replace(tzinfo=UTC),
        total=CandidateCounts.of(total(list(sources.values()))),
        sources={name: CandidateCounts.of(one) for name, one in sources.items()},
        products={name: CandidateCounts.of(one) for name, one in products.items()},
    )


@router.get(
    "/candidates",
    dependencies=[READ],
    responses=problems(422),
    openapi_extra=curl("curl '{base}/api/v1/collections/candidates?code=M22675&group=waiting'"),
)
@patient
def candidates(
    server: Server,
    *,
    code: Annotated[str, Query(max_length=200, description="That they were found for.")],
    group: Annotated[Group | None, Query(description="Only these; default, all.")] = None,
    source: Annotated[str | None, Query(max_length=400, description="That named them.")] = None,
    after: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="With larger ids.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_CANDIDATES, description="Given at most.")] = 60,
) -> CandidatePage:
    """List the candidates of a product, the first found first."""
    catalogue = server.workspace.catalogue
    review = CandidateReview(catalogue)
    found = review.of_product(code, group=group, source=source, after=after, limit=limit)
    sources = CandidateStore(catalogue.engine).counts_by_source(review.codes_of(code))
    return CandidatePage(
        sources={name: CandidateCounts.of(one) for name, one in sources.items()},
        candidates=[CandidateRecord.of(one) for one in found],
    )


@router.post(
    "/decide",
    dependencies=[WRITE],
    responses=problems(404, 422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' "
        """-d '{"candidates": [12, 13], "choice": "reject"}' '{base}/api/v1/collections/decide'"""
    ),
)
@patient
def decide_on_candidates(server: Server, given: CandidateDecision, sign: Sign) -> DecidedOn:
    """Accept, reject or move candidates, all or none; no run overrules it."""
    ids = list(dict.fromkeys(given.candidates))
    review = CandidateReview(server.workspace.catalogue)
    decisions = review.decide(given.choice, ids, code=given.code, by=sign(given.by))
    server.reindexing.soon()
    fetch_chosen(server.workspace)
    return DecidedOn(decisions=decisions)


@router.post(
    "/urls",
    dependencies=[WRITE],
    responses=problems(400, 422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' "
        """-d '{"urls": [{"code": "M22675", "url": "https://shop.example.com/a.jpg"}]}' """
        "'{base}/api/v1/collections/urls'"
    ),
)
@patient
def fetch_urls(server: Server, given: UrlList, sign: Sign) -> UrlsTaken:
    """Have photos of products fetched from URLs, by a job and as their sites permit."""
    return UrlsTaken.of(paste(server.workspace, list(_listed(given)), by=sign(given.by)))


def _listed(given: UrlList) -> Iterator[Found | RowProblem]:
    for number, one in enumerate(given.urls, 1):
        try:
            code = checked_code(one.code)
        except UsageError as error:
            yield RowProblem.of(number, CODE, one.code, str(error))
        else:
            yield Found(code, one.url, number, page=one.page, license=one.license)


@router.post(
    "/undo",
    dependencies=[WRITE],
    responses=problems(404, 422),
    openapi_extra=curl(
        "curl -H 'Content-Type: application/json' "
        """-d '{"decisions": [7]}' '{base}/api/v1/collections/undo'"""
    ),
)
@patient
def undo_of_candidates(server: Server, given: DecidedOn, sign: Sign) -> DecidedOn:
    """Undo a decision on candidates, unless one of them was fetched since."""
    CandidateReview(server.workspace.catalogue).undo(given.decisions, by=sign(None))
    server.reindexing.soon()
    return given
