"""Every registered loss: gradients, degenerate batches, mixed precision, seeds, options, inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

from satchel.train.losses import LOSSES, ClassLoss, known_options, make_loss
from support.naive_losses import LABELS, SINGLE, SINGLE_IDS, embeddings, loss_of

PAIRED = [(name, options) for name, options in SINGLE if not issubclass(LOSSES[name], ClassLoss)]


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=SINGLE_IDS)
def test_gradients(name: str, options: dict[str, Any]) -> None:
    """In evaluation: there nothing is sampled anew or updated."""
    loss = loss_of(name, **options).eval()
    x = embeddings().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(v, torch.from_numpy(LABELS)), (x,))
    loss(x, torch.from_numpy(LABELS)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


DEGENERATE: dict[str, tuple[Callable[[], Any], list[int]]] = {
    "one product": (lambda: embeddings(n=4), [1, 1, 1, 1]),
    "one photo each": (lambda: embeddings(n=4), [0, 1, 2, 3]),
    "one photo": (lambda: embeddings(n=1), [2]),
    "no photo": (lambda: embeddings(n=0), []),
    "equal embeddings": (lambda: embeddings(n=1).repeat(6, 1), [0, 0, 1, 1, 2, 2]),
    "opposite embeddings": (
        lambda: embeddings(n=1) * torch.tensor([[1], [1], [-1], [-1]]),
        [0, 0, 1, 1],
    ),
    "perfectly apart": (lambda: torch.eye(6).double().repeat(2, 1) * 3, [0, 1, 2, 3, 4, 0] * 2),
}


@pytest.mark.parametrize("batch", DEGENERATE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "options"), [*SINGLE, ("cascaded", {})], ids=[*SINGLE_IDS, "cascaded"]
)
def test_degenerate_batches_give_finite_losses_and_gradients(
    name: str, options: dict[str, Any], dtype: Any, batch: str
) -> None:
    loss = loss_of(name, **options)
    make, labels = DEGENERATE[batch]
    x = make().to(dtype).requires_grad_()
    result = loss([x] * 3 if name == "cascaded" else x, torch.tensor(labels, dtype=torch.int64))
    result.backward()
    assert result.dtype == dtype
    assert result.isfinite()
    assert x.grad.isfinite().all()
    needs_both = name in ("triplet", "margin", "supcon", "multi_similarity")
    if batch == "no photo" or (needs_both and batch.startswith("one ")):
        assert result.item() == 0
        assert not x.grad.any()
    if batch == "no photo":
        return
    if isinstance(loss, ClassLoss) or name == "margin":
        assert all(p.grad is not None and p.grad.isfinite().all() for p in loss.parameters())


@pytest.mark.parametrize(("name", "options"), PAIRED, ids=str)
def test_losses_of_pairs_sort_photos_by_product(name: str, options: dict[str, Any]) -> None:
    """Free embeddings, moved by the loss alone: each one's nearest becomes one of its product."""
    labels = np.arange(4).repeat(4)
    x = torch.nn.Parameter(embeddings(n=16).float())
    loss = loss_of(name, **options)
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss(x, torch.from_numpy(labels)).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize(x.detach())
    nearest = (unit @ unit.T).fill_diagonal_(-2).argmax(1)
    assert (labels[nearest] == labels).all()


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=SINGLE_IDS)
def test_mixed_precision_changes_only_the_embeddings(name: str, options: dict[str, Any]) -> None:
    x, y = embeddings().to(torch.bfloat16), torch.from_numpy(LABELS)
    alone = loss_of(name, **options).eval()(x.float(), y)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss_of(name, **options).eval()(x, y)
    assert mixed.dtype == torch.float32
    assert mixed.item() == alone.item()


@pytest.mark.parametrize(("name", "options"), SINGLE, ids=SINGLE_IDS)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same(name: str, options: dict[str, Any]) -> None:
    here, there = loss_of(name, **options), loss_of(name, **options).cuda()
    x = embeddings().float()
    y = torch.from_numpy(LABELS)
    on_cpu, on_gpu = x.clone().requires_grad_(), x.cuda().requires_grad_()
    for _ in range(2):  # the second time with updated centres and another sample
        a, b = here(on_cpu, y), there(on_gpu, y)
    a.backward()
    b.backward()
    assert b.item() == pytest.approx(a.item(), rel=1e-4)
    assert on_gpu.grad is not None
    assert torch.allclose(on_gpu.grad.cpu(), on_cpu.grad, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    state = torch.random.get_rng_state()
    one = loss_of(name)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(1)
    two = loss_of(name)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"no option margn; it has margin, mining, distance"):
        loss_of("triplet", margn=0.1)
    with pytest.raises(ValueError, match="softmax, cosine_softmax, contrastive"):
        loss_of("tripplet")
    assert known_options("margin")["beta"] == 1.2
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("triplet", {"mining": "hardest"}),
        ("triplet", {"distance": "manhattan"}),
        ("triplet", {"margin": "0.2"}),
        ("contrastive", {"squared": 1}),
        ("softmax", {"label_smoothing": 1.0}),
        ("arcface", {"margin_rad": 28.6}),
        ("subcenter_arcface", {"sub_centers": 0}),
        ("margin", {"nearest": 1.0, "farthest": 0.5}),
        ("supcon", {"temperature": 0.0}),
        ("supcon", {"temperature": math.nan}),
        ("cascaded", {"fractions": (0.2, 0.5, 1.0)}),
        ("cascaded", {"fractions": (1.0, 0.5)}),
        ("cascaded", {"fractions": 0.5}),
    ]
    for name, options in wrong:
        with pytest.raises(ValueError, match="expected"):
            loss_of(name, **options)
    with pytest.raises(ValueError, match="products"):
        make_loss("softmax", products=1, dimension=4)


def test_inputs_are_checked() -> None:
    loss, x = loss_of("supcon"), embeddings()
    for wrong in (torch.zeros(3, dtype=torch.int64), torch.zeros(len(x)), torch.zeros(len(x), 1)):
        with pytest.raises(ValueError, match="labels"):
            loss(x, wrong)
