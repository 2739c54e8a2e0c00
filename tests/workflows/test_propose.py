"""`satchel learn` proposes an adapted encoder; what it trains is faked here, see tests/adapt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("accelerate", reason="needs the train extra: pip install '.[train]'")
pytestmark = pytest.mark.train

from conftest import SHAPES, jpeg
from satchel.adapt.outcome import Outcome
from satchel.encode.registry import Serving, serve_model, write_serving
from satchel.errors import UsageError
from satchel.market.learning.proposal import open_proposal
from satchel.train.runs import FINISHED, STOPPED, Run, RunRecord, all_runs
from satchel.train.splits import Split
from satchel.workflows import propose
from satchel.workflows import split as split_workflow
from satchel.workflows.learn import learn_photos
from satchel.workspace import Workspace
from support.cli import satchel
from support.decided import Market

WAS = {"own1": 0.5, "own5": 0.75, "top1": 0.4, "score": 0.5}
BETTER = {"own1": 0.75, "own5": 0.75, "top1": 0.4, "score": 0.6}

Trained = Callable[[dict[str, float]], None]


@pytest.fixture
def certified(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is served with the built-in encoder, and took five certified photos."""
    monkeypatch.setattr(split_workflow, "FEWEST_CERTIFIED", 4)
    market = Market.of(filled)
    for number, shape in enumerate(SHAPES):
        market.certified(jpeg(shape, 7), f"M{number}")
    learn_photos(filled)
    write_serving(filled.models, Serving())
    return filled


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Ends every run from now on with these figures."""

    def ends_with(figures: dict[str, float]) -> None:
        def resume(_workspace: Workspace, run: Run, **_: Any) -> RunRecord:
            Outcome(start=WAS, adapted=figures).write(run)
            return run.update(state=FINISHED)

        monkeypatch.setattr(propose, "resume", resume)

    return ends_with


def test_what_is_better_is_proposed_until_another_encoder_is_served(
    certified: Workspace, trained: Trained
) -> None:
    trained(BETTER)
    found = propose.propose_encoder(certified, anyway=True)
    assert found.better
    assert open_proposal(certified.models) == found
    assert found.command == "satchel promote learned"
    split = Split.load(certified.split_path("learned"))
    assert split.queries
    assert split.answerable("val")  # products that it was not trained on have sellers' photos
    assert not set(split.products("train")) & set(split.products("val"))
    serve_model(certified.models, "lite0")
    assert open_proposal(certified.models) is None


@pytest.mark.parametrize(
    "figures",
    [
        BETTER | {"top1": 0.3},
        WAS,
        {name: value for name, value in BETTER.items() if not name.startswith("own")},
    ],
    ids=["worse in one", "the same", "never seen on real photos"],
)
def test_what_is_not_better_is_not_proposed(
    certified: Workspace, trained: Trained, figures: dict[str, float]
) -> None:
    trained(figures)
    assert not propose.propose_encoder(certified, anyway=True).better
    assert open_proposal(certified.models) is None


def test_it_is_tried_again_once_enough_is_new(certified: Workspace, trained: Trained) -> None:
    """The gallery has five such photos; twenty are wanted by default, then none are new."""
    trained(BETTER)
    with pytest.raises(UsageError, match=r"expected 20 or more photos .* got 5"):
        propose.propose_encoder(certified)
    propose.propose_encoder(certified, anyway=True)
    with pytest.raises(UsageError, match="got 0"):
        propose.propose_encoder(certified)


def test_a_run_that_was_stopped_is_resumed(
    certified: Workspace, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_workspace: Workspace, run: Run, **_: Any) -> None:
        run.update(state=STOPPED)
        raise KeyboardInterrupt

    monkeypatch.setattr(propose, "resume", stop)
    with pytest.raises(KeyboardInterrupt):
        propose.propose_encoder(certified, anyway=True)
    assert open_proposal(certified.models) is None
    trained(BETTER)
    assert propose.propose_encoder(certified).run == "learned"
    assert [run.name for run in all_runs(certified.runs)] == ["learned"]


def test_fine_tuning_on_decisions_is_refused_in_words(filled: Workspace) -> None:
    """Too little was certified; options of other networks; two splits; a split that is none."""
    for arguments, expected in (
        (("train", "encoder", "--from-decisions"), "expected 20 or more products with photos"),
        (("train", "encoder", "--from-decisions", "--loss", "margin"), "leave out --loss"),
        (("adapt", "--from-decisions", "--split", "real"), "--from-decisions or --split"),
        (("adapt", "--split", str(filled.folder / "no.json")), "expected a split at"),
    ):
        write_serving(filled.models, Serving())
        refused = satchel(filled.folder, *arguments)
        assert refused.returncode == 2
        assert expected in refused.stderr
    assert list(all_runs(filled.runs)) == []
