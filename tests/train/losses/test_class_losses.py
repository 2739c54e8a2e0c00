"""Losses with weights for each product, against naive loops."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytest.importorskip("pytorch_metric_learning", reason="needs the train extra")
pytestmark = pytest.mark.train

from support.naive_losses import (
    DIMENSION,
    LABELS,
    PRODUCTS,
    cross_entropy,
    embeddings,
    loss_of,
    unit,
    value,
)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax(smoothing: float) -> None:
    loss, x = loss_of("softmax", label_smoothing=smoothing), embeddings()
    w, b = (p.detach().double().numpy() for p in loss.parameters())
    expected = np.mean(
        [
            cross_entropy([w[j] @ v + b[j] for j in range(PRODUCTS)], y, smoothing)
            for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
    )
    assert value(loss, x) == pytest.approx(expected, rel=1e-9)


def test_cosine_softmax() -> None:
    from pytorch_metric_learning.losses import NormalizedSoftmaxLoss

    loss, x = loss_of("cosine_softmax", scale=20.0), embeddings()
    w = loss.weight.detach().double().numpy()
    expected = np.mean(
        [
            cross_entropy([20 * unit(w[j]) @ unit(v) for j in range(PRODUCTS)], y)
            for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
    )
    assert value(loss, x) == pytest.approx(expected, rel=1e-9)
    reference = NormalizedSoftmaxLoss(PRODUCTS, DIMENSION, temperature=1 / 20)
    reference.W.data = loss.weight.data.T.double()
    assert reference(x, torch.from_numpy(LABELS)).item() == pytest.approx(expected, rel=1e-9)


def test_center_loss_and_the_update_of_its_centres() -> None:
    loss, x = loss_of("center", weight=0.1), embeddings()
    assert value(loss, x) == pytest.approx(
        value(loss.softmax, x) + 0.1 / 2 * np.mean([v @ v for v in x.numpy()])  # centres: zero
    )
    first = loss.centres.double().numpy().copy()
    for j in range(PRODUCTS):
        own = [v for v, y in zip(x.numpy(), LABELS, strict=True) if y == j]
        step = sum(((0 - v) for v in own), np.zeros(DIMENSION)) / (1 + len(own))
        np.testing.assert_allclose(first[j], -0.5 * step, atol=1e-6)
    loss.eval()
    spread = np.mean([((v - first[y]) ** 2).sum() for v, y in zip(x.numpy(), LABELS, strict=True)])
    assert value(loss, x) == pytest.approx(value(loss.softmax, x) + 0.1 / 2 * spread, rel=1e-6)
    assert np.array_equal(loss.centres.double().numpy(), first)  # unchanged in evaluation
    assert "centres" in loss.state_dict()


def test_centres_of_two_processes_move_as_those_of_one(tmp_path: Path) -> None:
    """Two processes with half of a batch each end with the centres of one that had all."""
    program = """
import sys, torch
from satchel.train.losses import make_loss
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
x, y = torch.arange(24.0).reshape(6, 4).sin(), torch.tensor([0, 1, 1, 2, 0, 1])
loss = make_loss("center", products=3, dimension=4)
loss(x[rank::2], y[rank::2])
halves = loss.centres.clone()
torch.distributed.destroy_process_group()
alone = make_loss("center", products=3, dimension=4)
alone(x, y)
assert torch.allclose(halves, alone.centres, atol=1e-6), (halves, alone.centres)
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in running:
        _, errors = process.communicate(timeout=50)
        assert process.returncode == 0, errors


def angular(cosine: float, margin: float) -> float:
    angle = math.acos(cosine)
    if angle <= math.pi - margin:
        return math.cos(angle + margin)
    return cosine - margin * math.sin(margin)


@pytest.mark.parametrize("name", ["arcface", "subcenter_arcface"])
@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5])
def test_arcface(name: str, margin: float) -> None:
    """One photo lies beyond π − m from its product's centre, where the logit is another."""
    loss, x = loss_of(name, margin_rad=margin, scale=8.0), embeddings()
    centres = 1 if name == "arcface" else 3
    columns = loss.loss.W.detach().double().numpy().T.reshape(PRODUCTS, centres, DIMENSION)
    x[0] = -torch.from_numpy(columns[LABELS[0]].sum(0))
    costs, beyond = [], 0
    for v, y in zip(x.numpy(), LABELS, strict=True):
        logits = []
        for j in range(PRODUCTS):
            cosine = max(float(unit(w) @ unit(v)) for w in columns[j])
            beyond += j == y and math.acos(cosine) > math.pi - margin
            logits.append(8 * (angular(cosine, margin) if j == y else cosine))
        costs.append(cross_entropy(logits, y))
    assert value(loss, x) == pytest.approx(np.mean(costs), rel=1e-6)
    assert beyond > 0 or margin < 1.5


def test_arcface_has_a_finite_gradient_at_a_products_centre() -> None:
    """And opposite to it: at cosines of ±1 the derivative of arccos is infinite."""
    loss = loss_of("arcface")
    loss.loss.W.data = torch.eye(DIMENSION)[:, :PRODUCTS].contiguous()
    x = torch.eye(DIMENSION)[LABELS]
    x[0] *= -1
    x.requires_grad_()
    loss(x, torch.from_numpy(LABELS)).backward()
    assert x.grad.isfinite().all()
    assert loss.loss.W.grad.isfinite().all()


def test_proxy_anchor() -> None:
    loss, x = loss_of("proxy_anchor"), embeddings()
    proxies = loss.loss.proxies.detach().double().numpy()
    present, expected = sorted(set(LABELS)), 0.0
    for j in range(PRODUCTS):
        cosines = [
            (float(unit(proxies[j]) @ unit(v)), y) for v, y in zip(x.numpy(), LABELS, strict=True)
        ]
        attraction = sum(math.exp(-32 * (c - 0.1)) for c, y in cosines if y == j)
        repulsion = sum(math.exp(32 * (c + 0.1)) for c, y in cosines if y != j)
        expected += math.log(1 + attraction) / len(present) if j in present else 0
        expected += math.log(1 + repulsion) / PRODUCTS
    assert value(loss, x) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "name", ["softmax", "cosine_softmax", "center", "arcface", "subcenter_arcface", "proxy_anchor"]
)
def test_losses_with_weights_classify_and_refuse_unknown_labels(name: str) -> None:
    loss = loss_of(name)
    x = torch.nn.Parameter(embeddings().float())
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss(x, torch.from_numpy(LABELS)).backward()
        optimizer.step()
    assert loss.logits(x).argmax(1).tolist() == LABELS.tolist()
    for wrong in (PRODUCTS, -1):
        with pytest.raises(ValueError, match="from 0 to 4"):
            loss(x, torch.full((len(x),), wrong))
