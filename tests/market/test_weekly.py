from __future__ import annotations

from pathlib import Path

from market.goods import Market
from satchel.market.desk.records import Reason
from satchel.market.learning.weekly import Missed, Wanting, figures
from satchel.market.listings.fields import ListingFields, ProposedProduct
from satchel.market.listings.states import StepName


def decide(
    market: Market, machine: list[str], right: str | None, verdict: str, likely: int
) -> None:
    """Let an expert certify a listing of which the machine had said this; None rejects it."""
    draft, expert = market.draft(), market.actors["expert"]
    answer = {
        "candidates": [{"code": code} for code in machine],
        "verdict": verdict,
        "likely": likely,
    }
    market.goods.listings.remember_answer(
        draft.public_id, answer, market.actors["seller"], photos=draft.photos
    )
    market.step(draft, StepName.SUBMIT, "seller")
    market.goods.queue.claim(draft.public_id, expert)
    if right is None:
        market.goods.decisions.reject(draft.public_id, Reason.COUNTERFEIT, expert, seconds=30)
    else:
        market.goods.decisions.certify(draft.public_id, right, expert, seconds=10)


def test_decisions_are_counted_as_by_hand(tmp_path: Path) -> None:
    market = Market.make(tmp_path)
    decide(market, ["M1", "M2"], "M1", "identified", 1)  # right
    decide(market, ["M2", "M1"], "M1", "identified", 1)  # wrong, second
    decide(market, ["M2", "M1"], "M1", "one_of", 2)  # wrong, and true
    decide(market, ["M2"], "M1", "uncertain", 1)  # wrong, not among them, claims nothing
    decide(market, [], "M2", "uncertain", 1)  # nothing to compare; corrected
    decide(market, ["M1"], None, "identified", 1)
    found = figures(market.goods.queue._engine)
    (week,) = found.weeks
    assert (week.certified, week.rejected, week.compared) == (5, 1, 4)
    assert (week.first, week.in_five, week.verdicts) == (1, 3, 3)
    assert week.corrected == 1
    assert week.seconds == 10
    assert week.hours is not None
    assert week.hours < 1
    assert found.missed == (Missed("M1", 3, 4, "M2"),)


def test_what_sellers_propose_is_counted(tmp_path: Path) -> None:
    market = Market.make(tmp_path)
    proposal = ListingFields(proposed=ProposedProduct(brand="Dior", name="Saddle"))
    for _ in range(2):
        listing = market.goods.listings.create(market.actors["seller"])
        market.goods.listings.change(listing.public_id, proposal, market.actors["seller"])
    assert figures(market.goods.queue._engine).missing == (Wanting("Dior", "Saddle", 2),)
    assert figures(market.goods.queue._engine).weeks == ()
