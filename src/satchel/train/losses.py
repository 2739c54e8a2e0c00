"""Losses: vectors and their products → one number to make small.

    loss = make_loss("triplet", products=81, dimension=512, mining="semihard")
    number = loss(vectors, labels)          # vectors as the network gives them, not normalised
    network_and_loss = [*network.parameters(), *loss.parameters()]

Every loss takes vectors before normalisation and normalises them itself where its paper does;
`softmax` and `center`, and the distance "unnormalised", need the length. Whatever the precision of
the network, a loss is computed in float32 (float64 stays). A batch with nothing to compare (one
photo of each product, one product alone) gives a zero that can be differentiated, never NaN.

Where pytorch-metric-learning has the loss, it is used; what each class here adds is told with it.
Papers' sums over a batch are means, so that a learning rate does not depend on the batch.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from pytorch_metric_learning import distances as pml_distances
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners as pml_miners
from torch import Tensor
from torch.nn import functional

Triplets = tuple[Tensor, Tensor, Tensor]
"""Anchors, positives and negatives: rows of a batch, shape (t,), int64 each."""

DISTANCES: Final = ("euclidean", "squared_euclidean", "cosine", "unnormalised")
MINING: Final = ("all", "semihard", "hard", "distance_weighted")
NEAREST: Final = 0.5
FARTHEST: Final = 1.4
"""Cut-offs of distance-weighted sampling, from its authors' code."""

COSINE_LIMIT: Final = 1 - 1e-6
"""Cosines are kept this far from ±1, where the slope of arccos is infinite."""


class LossModule(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """A loss; what all have in common.

    Attributes:
        depths: how many vectors of a photo it takes: 1, or more for the cascaded one.
        seed: of what it draws while training (distance-weighted sampling alone draws).
    """

    depths = 1
    seed = 0

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vectors: shape (n, dimension), floating, not normalised; for the cascaded loss a
                sequence of such, one of each depth.
            labels: shape (n,), integer: the number of each photo's product.

        Returns:
            shape (), float32 or, for float64 vectors, float64.

        Raises:
            ValueError: shapes do not fit, or a label is not an integer.
        """
        several = [vectors] if torch.is_tensor(vectors) else list(vectors)
        if len(several) != self.depths:
            raise ValueError(f"expected vectors of {self.depths} depth(s), got {len(several)}")
        for depth in several:
            if depth.ndim != 2 or labels.shape != depth.shape[:1]:
                raise ValueError(
                    "expected vectors of shape (n, dimension) and labels of shape (n,), got "
                    f"{tuple(depth.shape)} and {tuple(labels.shape)}"
                )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"expected integer labels, got {labels.dtype}")
        labels = labels.to(several[0].device, torch.int64)
        with torch.autocast(several[0].device.type, enabled=False):
            wide = [v if v.dtype == torch.float64 else v.float() for v in several]
            if not len(labels):
                return _zero(*wide)
            return self.compute(wide[0] if self.depths == 1 else wide, labels).reshape(())

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """The loss of checked vectors and labels; of a list of vectors where `depths` > 1."""
        raise NotImplementedError


class ClassLoss(LossModule):
    """A loss with weights for each product, that can name products too."""

    def __init__(self, products: int) -> None:
        super().__init__()
        self.products = products

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Check the labels' range and go on."""
        _check_range(labels, self.products)
        return self.class_loss(vectors, labels)

    def class_loss(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """The loss of labels known to be in range."""
        raise NotImplementedError

    def logits(self, vectors: Tensor) -> Tensor:
        """Shape (n, products): softmax makes shares of them; without any margin."""
        raise NotImplementedError


# -- products as classes -------------------------------------------------------------------------


class Softmax(ClassLoss):
    """Cross-entropy of a linear classifier with label smoothing.

    The target is 1 − ε + ε/products for the photo's product, ε/products for each other (Szegedy
    et al., "Rethinking the Inception Architecture", CVPR 2016, section 7).
    """

    def __init__(self, products: int, dimension: int, *, label_smoothing: float = 0.1) -> None:
        super().__init__(products)
        self.label_smoothing = _between("label_smoothing", label_smoothing, 0, 0.99)
        self.classifier = torch.nn.Linear(dimension, products)

    def class_loss(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        return functional.cross_entropy(
            self.logits(vectors), labels, label_smoothing=self.label_smoothing
        )

    def logits(self, vectors: Tensor) -> Tensor:
        """W x + b."""
        kind = vectors.dtype
        return functional.linear(
            vectors, self.classifier.weight.to(kind), self.classifier.bias.to(kind)
        )


class CosineSoftmax(ClassLoss):
    """Cross-entropy of scale × cosine to each product's weights, without a margin.

    Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", BMVC 2019: scale
    1/0.05. Equal to pytorch-metric-learning's NormalizedSoftmaxLoss, which cannot smooth labels.
    """

    def __init__(
        self, products: int, dimension: int, *, scale: float = 20.0, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(products)
        self.scale = _between("scale", scale, 1e-3, 1e4)
        self.label_smoothing = _between("label_smoothing", label_smoothing, 0, 0.99)
        self.weight = torch.nn.Parameter(torch.randn(products, dimension))

    def class_loss(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        return functional.cross_entropy(
            self.logits(vectors), labels, label_smoothing=self.label_smoothing
        )

    def logits(self, vectors: Tensor) -> Tensor:
        """Scale × cosine."""
        weight = functional.normalize(self.weight.to(vectors.dtype))
        return self.scale * functional.normalize(vectors) @ weight.T


class Center(ClassLoss):
    """Softmax and λ/2 × the squared distance to the centre of the photo's product.

    Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016:
    equation 5 over equations 1 and 2, λ = 0.003. Centres start at zero and are no parameters:
    after each training batch, c_j −= α Σ (c_j − x_i) / (1 + count_j) over its photos of product j
    (equation 4, α = 0.5), over all processes' photos where there are several.
    """

    centres: Tensor

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        weight: float = 0.003,
        centre_rate: float = 0.5,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(products)
        self.weight = _between("weight", weight, 0, 1e3)
        self.centre_rate = _between("centre_rate", centre_rate, 0, 1)
        self.softmax = Softmax(products, dimension, label_smoothing=label_smoothing)
        self.register_buffer("centres", torch.zeros(products, dimension))

    def class_loss(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos; moves the centres when training."""
        to_centre = vectors - self.centres[labels].to(vectors.dtype)
        spread = to_centre.square().sum(1).mean() / 2
        if self.training:
            self._move_centres(vectors.detach(), labels)
        return self.softmax.class_loss(vectors, labels) + self.weight * spread

    def _move_centres(self, vectors: Tensor, labels: Tensor) -> None:
        # A product of matrices, not index_add, whose sums come in any order on an accelerator.
        member = functional.one_hot(labels, self.products).to(self.centres.dtype)
        counts, sums = member.sum(0), member.T @ vectors.to(self.centres.dtype)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        step = (counts[:, None] * self.centres - sums) / (1 + counts[:, None])
        # A new tensor: the old one may be part of a graph that is still to be differentiated.
        self.centres = self.centres - self.centre_rate * step

    def logits(self, vectors: Tensor) -> Tensor:
        """Of the softmax."""
        return self.softmax.logits(vectors)


class _SteadyCosine(pml_distances.CosineSimilarity):  # type: ignore[misc] # not read by mypy
    """Cosines kept off ±1: a photo that lies on its product's weights has a finite gradient."""

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        cosines = super().compute_mat(query_emb, ref_emb)
        return cosines.clamp(-COSINE_LIMIT, COSINE_LIMIT)


class _Theirs(ClassLoss):
    """A loss of pytorch-metric-learning that has weights for each product."""

    theirs: torch.nn.Module

    def class_loss(self, vectors: Tensor, labels: Tensor) -> Tensor:
        return self.theirs(vectors, labels)

    def logits(self, vectors: Tensor) -> Tensor:
        return self.theirs.get_logits(vectors)


class ArcFace(_Theirs):
    """Cross-entropy of s cos(θ_y + m) for the photo's product, s cos θ_j for the others.

    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
    equation 3; s = 64, m = 0.5 rad. Beyond θ = π − m the target's logit goes on falling as
    s (cos θ − m sin m), as in their code.
    """

    def __init__(
        self, products: int, dimension: int, *, margin_rad: float = 0.5, scale: float = 64.0
    ) -> None:
        super().__init__(products)
        self.theirs = pml_losses.ArcFaceLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=math.degrees(_between("margin_rad", margin_rad, 0, math.pi / 2)),
            scale=_between("scale", scale, 1e-3, 1e4),
            distance=_SteadyCosine(),
        )


class SubcenterArcFace(_Theirs):
    """ArcFace with several weights for each product, of which the nearest counts.

    Deng et al., "Sub-center ArcFace", ECCV 2020: cos θ_j = max over the sub-centres of j; 3 of
    them. For products whose photos fall into kinds (a bag open and closed, wrong labels).
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin_rad: float = 0.5,
        scale: float = 64.0,
        sub_centers: int = 3,
    ) -> None:
        super().__init__(products)
        self.theirs = pml_losses.SubCenterArcFaceLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=math.degrees(_between("margin_rad", margin_rad, 0, math.pi / 2)),
            scale=_between("scale", scale, 1e-3, 1e4),
            sub_centers=_whole("sub_centers", sub_centers, 1),
            distance=_SteadyCosine(),
        )


class ProxyAnchor(_Theirs):
    """Each product's proxy pulls its photos and pushes all others, the hardest most.

    Kim et al., "Proxy Anchor Loss for Deep Metric Learning", CVPR 2020, equation 4:
    mean over the products present of log(1 + Σ exp(−α (cos − δ))) over their photos, plus mean
    over all products of log(1 + Σ exp(α (cos + δ))) over the others' photos; α = 32, δ = 0.1.
    """

    def __init__(
        self, products: int, dimension: int, *, margin: float = 0.1, alpha: float = 32.0
    ) -> None:
        super().__init__(products)
        self.theirs = pml_losses.ProxyAnchorLoss(
            num_classes=products,
            embedding_size=dimension,
            margin=_between("margin", margin, 0, 1),
            alpha=_between("alpha", alpha, 1e-3, 1e4),
        )


# -- photos against photos -----------------------------------------------------------------------


class _CosineDistance(pml_distances.DotProductSimilarity):  # type: ignore[misc] # not read by mypy
    """1 − cosine: small for like photos, so that margins mean what they mean elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.is_inverted = False

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor) -> Tensor:
        return 1 - super().compute_mat(query_emb, ref_emb)


def pair_distance(name: str) -> Any:
    """Return a distance of photos, as pytorch-metric-learning's losses and miners take it.

    Args:
        name: "euclidean", "squared_euclidean" or "cosine" (1 − cosine, half of the squared one),
            all of vectors made length 1; or "unnormalised": Euclidean of the vectors as they
            come, which is Mahalanobis behind `Whiten`.
    """
    match name:
        case "euclidean":
            return pml_distances.LpDistance()
        case "squared_euclidean":
            return pml_distances.LpDistance(power=2)
        case "cosine":
            return _CosineDistance()
        case "unnormalised":
            return pml_distances.LpDistance(normalize_embeddings=False)
        case _:
            raise ValueError(f"expected distance {_either(DISTANCES)}, got {name!r}")


def pull(distances: Tensor, *, squared: bool) -> Tensor:
    """What a positive pair costs: its distance, or half its square."""
    return distances.square() / 2 if squared else distances


def push(distances: Tensor, *, margin: float, squared: bool) -> Tensor:
    """What a negative pair costs: how far it is within the margin, or half its square."""
    inside = functional.relu(margin - distances)
    return inside.square() / 2 if squared else inside


class _SquaredContrastive(pml_losses.ContrastiveLoss):  # type: ignore[misc] # not read by mypy
    """pytorch-metric-learning has the linear form alone."""

    def pos_calc(self, pos_pair_dist: Tensor, margin: float) -> Tensor:
        return pull(functional.relu(pos_pair_dist - margin), squared=True)

    def neg_calc(self, neg_pair_dist: Tensor, margin: float) -> Tensor:
        return push(neg_pair_dist, margin=margin, squared=True)


class Contrastive(LossModule):
    """D²/2 for a pair of one product, max(0, m − D)²/2 for a pair of two.

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR
    2006, equation 4; `squared=False` for D and max(0, m − D). The mean over the positive pairs
    that cost anything plus the mean over the negative ones.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 1.0,
        squared: bool = True,
        distance: str = "euclidean",
    ) -> None:
        super().__init__()
        kind = _SquaredContrastive if _flag("squared", squared) else pml_losses.ContrastiveLoss
        self.theirs = kind(
            neg_margin=_between("margin", margin, 0, 1e3), distance=pair_distance(distance)
        )

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the pairs that cost anything."""
        return self.theirs(vectors, labels)


def negative_log_weights(
    distances: Tensor, dimension: int, *, nearest: float = NEAREST, farthest: float = FARTHEST
) -> Tensor:
    """Log of how likely distance-weighted sampling takes a negative, up to a constant.

    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4: proportional
    to min(λ, 1/q(d)), where points drawn evenly on the unit sphere lie d apart with density
    q(d) ∝ d^(dimension − 2) (1 − d²/4)^((dimension − 3)/2).

    Args:
        distances: Euclidean between vectors of length 1, in [0, 2].
        nearest: smaller distances count as this one: λ is 1/q(nearest).
        farthest: at this distance and beyond a negative is not taken.
    """
    near = distances.clamp(nearest, farthest).double()
    log_q = (dimension - 2) * near.log() + (dimension - 3) / 2 * (1 - near.square() / 4).log()
    return (-log_q).masked_fill(distances >= farthest, -math.inf)


def distance_weighted_triplets(
    vectors: Tensor,
    labels: Tensor,
    rng: np.random.Generator,
    *,
    nearest: float = NEAREST,
    farthest: float = FARTHEST,
) -> Triplets:
    """Give every positive pair (a, p) a negative of a, drawn by `negative_log_weights`.

    Where all of a's negatives are too far, any of them is as likely, as in the authors' code.
    pytorch-metric-learning's DistanceWeightedMiner is not used: it scales the weights by the
    largest of the whole batch, so that from 256 dimensions on a single pair of look-alikes makes
    those of all other photos vanish and leaves them out (62 photos of 64, see the tests); and it
    draws from the process's generator, which ties a run to all else that draws.

    Args:
        vectors: shape (n, dimension), of any length.
        labels: shape (n,).
        rng: draws one number for each positive pair.
    """
    with torch.no_grad():
        same = labels[:, None] == labels[None]
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        has_negative = (~same).any(1, keepdim=True)
        anchors, positives = torch.where(same & ~itself & has_negative)
        directions = functional.normalize(vectors)
        weights = negative_log_weights(
            torch.cdist(directions, directions),
            vectors.shape[1],
            nearest=nearest,
            farthest=farthest,
        ).masked_fill(same, -math.inf)
        none_near = weights.isneginf().all(1, keepdim=True) & ~same
        shares = weights.masked_fill(none_near, 0.0)[anchors].softmax(1).cumsum(1)
        drawn = torch.from_numpy(rng.random((len(anchors), 1))).to(shares.device)
        negatives = torch.searchsorted(shares, drawn * shares[:, -1:], right=True)[:, 0]
    return anchors, positives, negatives


class _Drawing(LossModule):
    """A loss that draws; what it draws hangs on its seed and how often it has drawn alone.

    The count is part of the state, so that a resumed run goes on as the interrupted one would.
    In evaluation it stands still: the same batch gives the same loss.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def draw(self, vectors: Tensor, labels: Tensor, nearest: float, farthest: float) -> Triplets:
        rng = np.random.default_rng([self.seed, int(self.draws)])
        if self.training:
            self.draws += 1
        return distance_weighted_triplets(vectors, labels, rng, nearest=nearest, farthest=farthest)


class Triplet(_Drawing):
    """max(0, D(a, p) − D(a, n) + margin), over mined triplets.

    Schroff et al., "FaceNet", CVPR 2015: squared Euclidean distance, margin 0.2. Mining:
    "all" triplets of the batch; "semihard", those with D(a, p) < D(a, n) ≤ D(a, p) + margin
    (FaceNet); "hard", the farthest positive and the nearest negative of each anchor (Hermans et
    al., "In Defense of the Triplet Loss", 2017); "distance_weighted" (Wu et al. 2017). The mean
    is over triplets that cost anything.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 0.2,
        mining: str = "semihard",
        distance: str = "squared_euclidean",
    ) -> None:
        super().__init__()
        between = pair_distance(distance)
        margin = _between("margin", margin, 0, 1e3)
        self.mining = _one_of("mining", mining, MINING)
        self.miner: torch.nn.Module | None = None
        if mining == "semihard":
            self.miner = pml_miners.TripletMarginMiner(
                margin=margin, type_of_triplets="semihard", distance=between
            )
        elif mining == "hard":
            self.miner = pml_miners.BatchHardMiner(distance=between)
        self.theirs = pml_losses.TripletMarginLoss(margin=margin, distance=between)

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the triplets that cost anything."""
        return self.theirs(vectors, labels, self.triplets(vectors, labels))

    def triplets(self, vectors: Tensor, labels: Tensor) -> Triplets | None:
        """The triplets that the loss looks at; None for all."""
        if self.mining == "distance_weighted":
            return self.draw(vectors, labels, NEAREST, FARTHEST)
        mined: Triplets | None = self.miner(vectors, labels) if self.miner else None
        return mined


class Margin(_Drawing):
    """max(0, D(a, p) − β + α) + max(0, β − D(a, n) + α), negatives drawn by distance.

    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4: α = 0.2; β
    starts at 1.2 and is learnt for each product, with ν β added. The sum over the triplets is
    divided by the number of pairs that cost anything, as in the authors' code. β wants a larger
    learning rate than a network: parameter `theirs.beta`.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 0.2,
        beta: float = 1.2,
        learn_beta: bool = True,
        nu: float = 0.0,
        nearest: float = NEAREST,
        farthest: float = FARTHEST,
    ) -> None:
        super().__init__()
        self.nearest = _between("nearest", nearest, 1e-3, 1.9)
        self.farthest = _between("farthest", farthest, self.nearest, 1.999)
        self.theirs = pml_losses.MarginLoss(
            margin=_between("margin", margin, 0, 2),
            nu=_between("nu", nu, 0, 1e3),
            beta=_between("beta", beta, 0, 2),
            learn_beta=_flag("learn_beta", learn_beta),
            num_classes=products if learn_beta else None,
        )
        self.products = products

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Sum over the triplets by the pairs that cost anything."""
        _check_range(labels, self.products)
        triplets = self.draw(vectors, labels, self.nearest, self.farthest)
        if not len(triplets[0]):
            return _zero(vectors, *self.parameters())
        # Several processes need a gradient of every parameter from every batch.
        return self.theirs(vectors, labels, triplets) + _zero(*self.parameters())


class SupCon(LossModule):
    """−log of the share that a positive has among all other photos, mean over the positives.

    Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2; shares are
    softmax(cosine / temperature), 0.1. The mean is over photos that have a positive.
    """

    def __init__(self, products: int, dimension: int, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.theirs = pml_losses.SupConLoss(
            temperature=_between("temperature", temperature, 1e-3, 1e3)
        )

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos that have a positive."""
        return self.theirs(vectors, labels)


class MultiSimilarity(LossModule):
    """log(1 + Σ exp(−α (s_p − λ)))/α + log(1 + Σ exp(β (s_n − λ)))/β over mined pairs.

    Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning",
    CVPR 2019; s is the cosine, α = 2, β = 50, λ = 0.5 (their code's). A pair counts if a positive
    is less like than the likest negative + ε, or a negative more like than the unlikest positive
    − ε, ε = 0.1. The mean is over all photos.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        epsilon: float = 0.1,
    ) -> None:
        super().__init__()
        self.miner = pml_miners.MultiSimilarityMiner(epsilon=_between("epsilon", epsilon, 0, 2))
        self.theirs = pml_losses.MultiSimilarityLoss(
            alpha=_between("alpha", alpha, 1e-3, 1e3),
            beta=_between("beta", beta, 1e-3, 1e3),
            base=_between("base", base, -1, 1),
        )

    def compute(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Mean over the photos."""
        pairs = self.miner(vectors, labels)
        if not len(pairs[0]) and not len(pairs[2]):
            return _zero(vectors)
        return self.theirs(vectors, labels, pairs)


# -- several depths of one network ---------------------------------------------------------------


def hard_cascade(
    distances: Sequence[Tensor], labels: Tensor, shares: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """Choose the pairs that each depth is trained on: those that the depth before found hardest.

    Args:
        distances: of each depth, shape (n, n); each but the last one judges for its next.
        labels: shape (n,).
        shares: how many of all positive pairs, and of all negative ones, each depth gets,
            rounded up; not rising. The first one's pairs, unless it gets all, it chooses itself.

    Returns:
        For each depth two tensors of shape (k, 2), rows i < j: positive pairs, the farthest
        apart first, and negative pairs, the closest first, as the judge sees them; equals in
        row order.
    """
    rows = torch.triu_indices(len(labels), len(labels), 1, device=labels.device).T
    same = labels[rows[:, 0]] == labels[rows[:, 1]]
    positive, negative = rows[same], rows[~same]
    totals = len(positive), len(negative)
    chosen = []
    for depth, share in enumerate(shares):
        judge = distances[max(depth - 1, 0)].detach()
        positive = _top(positive, judge, math.ceil(share * totals[0]), largest=True)
        negative = _top(negative, judge, math.ceil(share * totals[1]), largest=False)
        chosen.append((positive, negative))
    return chosen


def _top(pairs: Tensor, judge: Tensor, count: int, *, largest: bool) -> Tensor:
    ordered = pairs[(pairs[:, 0] * len(judge) + pairs[:, 1]).argsort()]
    by_hardness = judge[ordered[:, 0], ordered[:, 1]].argsort(descending=largest, stable=True)
    return ordered[by_hardness[:count]]


class Cascaded(LossModule):
    """Contrastive losses of several depths, each trained on what the one before finds hard.

    Yuan, Yang and Zhang, "Hard-Aware Deeply Cascaded Embedding", ICCV 2017: the first depth sees
    all pairs of the batch, the second half of them and the third a fifth, each time those that
    the depth before found hardest (`hard_cascade`); D and max(0, m − D) of vectors made length 1,
    the mean over the pairs that cost anything, weighted by depth and added up. Vectors come from
    `CascadedHeads` and are joined by it for search.
    """

    def __init__(
        self,
        products: int,
        dimension: int,
        *,
        margin: float = 1.0,
        squared: bool = False,
        shares: Sequence[float] = (1.0, 0.5, 0.2),
        weights: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.margin = _between("margin", margin, 0, 2)
        self.squared = _flag("squared", squared)
        self.shares = _each("shares", shares, 1e-6, 1)
        self.weights = _each("weights", weights, 0, 1e3)
        if list(self.shares) != sorted(self.shares, reverse=True):
            raise ValueError(f"expected shares that do not rise with depth, got {self.shares}")
        if not 2 <= len(self.shares) == len(self.weights):
            raise ValueError(
                "expected a share and a weight for each of two depths or more, got "
                f"{len(self.shares)} and {len(self.weights)}"
            )
        self.depths = len(self.shares)
        self.between = pair_distance("euclidean")

    def compute(self, vectors: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Weighted sum over the depths."""
        distances = [self.between(v) for v in vectors]
        total = _zero(*vectors)
        chosen = hard_cascade(distances, labels, self.shares)
        for own, weight, (positive, negative) in zip(distances, self.weights, chosen, strict=True):
            pulled = pull(own[positive[:, 0], positive[:, 1]], squared=self.squared)
            pushed = push(
                own[negative[:, 0], negative[:, 1]], margin=self.margin, squared=self.squared
            )
            total = total + weight * (_mean_of_costly(pulled) + _mean_of_costly(pushed))
        return total


class CascadedHeads(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """Feature maps of increasing depths → one vector of each depth: averaged over places, linear.

    Any timm network gives the maps, as `forward_intermediates(x, indices=3,
    intermediates_only=True)`.

    Args:
        channels: of each depth's map.
        dimension: of each depth's vector.
        weights: of each depth in the joined vector.
    """

    def __init__(
        self, channels: Sequence[int], dimension: int, *, weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        weights = weights or (1.0,) * len(channels)
        if len(weights) != len(channels):
            raise ValueError(f"expected {len(channels)} weights, one a depth, got {len(weights)}")
        self.weights = _each("weights", weights, 0, 1e3)
        self.heads = torch.nn.ModuleList(torch.nn.Linear(c, dimension) for c in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, shape (n, channels, h, w) each → vectors, shape (n, dimension) each."""
        return [head(m.mean((2, 3))) for head, m in zip(self.heads, maps, strict=True)]

    def joined(self, vectors: Sequence[Tensor]) -> Tensor:
        """One vector of length 1, shape (n, depths × dimension), for search.

        The depths' vectors, each made length 1 and multiplied by its weight w_k, side by side:
        the cosine of two is the mean of the depths' cosines, weighted by w_k².
        """
        parts = [w * functional.normalize(v) for w, v in zip(self.weights, vectors, strict=True)]
        return functional.normalize(torch.cat(parts, 1))


class Whiten(torch.nn.Module):  # type: ignore[misc] # torch is not read by mypy
    """The torch twin of `satchel.train.distances.Whitening`: x → W x, W held as float32.

    Before a loss with the distance "unnormalised" it makes Mahalanobis of Euclidean; before one
    that normalises, the cosine of whitened vectors. W is state, not learnt: set it anew when the
    vectors have moved.
    """

    def __init__(self, matrix: npt.NDArray[np.floating[Any]]) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(np.array(matrix, np.float32)))

    def set(self, matrix: npt.NDArray[np.floating[Any]]) -> None:
        """Put another W of the same shape in place."""
        self.matrix.copy_(torch.from_numpy(np.array(matrix, np.float32)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors, shape (n, d) → shape (n, d)."""
        return vectors @ self.matrix.to(vectors.dtype).T


# -- the registry --------------------------------------------------------------------------------

LOSSES: Final[Mapping[str, type[LossModule]]] = {
    "softmax": Softmax,
    "cosine_softmax": CosineSoftmax,
    "contrastive": Contrastive,
    "triplet": Triplet,
    "margin": Margin,
    "center": Center,
    "supcon": SupCon,
    "multi_similarity": MultiSimilarity,
    "arcface": ArcFace,
    "subcenter_arcface": SubcenterArcFace,
    "proxy_anchor": ProxyAnchor,
    "cascaded": Cascaded,
}


def known_options(name: str) -> dict[str, Any]:
    """Return a loss's options with their defaults.

    Raises:
        ValueError: there is no such loss.
    """
    if name not in LOSSES:
        raise ValueError(f"expected loss {_either(tuple(LOSSES))}, got {name!r}")
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def make_loss(
    name: str, *, products: int, dimension: int, seed: int = 0, **options: Any
) -> LossModule:
    """Make a loss.

    Args:
        name: one of `LOSSES`.
        products: how many; labels are 0 … products − 1.
        dimension: of the vectors; of each depth's for the cascaded one.
        seed: of weights at the start and of what is drawn later; the process's own generator
            is neither read nor moved.
        options: those of the loss's class; `known_options` lists them.

    Raises:
        ValueError: there is no such loss or option, or an option's value is out of range.
    """
    known = known_options(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"loss {name} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    _whole("products", products, 2)
    _whole("dimension", dimension, 1)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(_whole("seed", seed, 0))
        loss = LOSSES[name](products, dimension, **options)
    loss.seed = seed
    return loss


def _zero(*tensors: Tensor) -> Tensor:
    """0 that hangs on these tensors."""
    return sum((t * 0).sum() for t in tensors)


def _check_range(labels: Tensor, products: int) -> None:
    """Ask before indexing: an accelerator fails later, and without saying why."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= products:
        raise ValueError(f"expected labels from 0 to {products - 1}, got {low} to {high}")


def _mean_of_costly(costs: Tensor) -> Tensor:
    costly = costs[costs > 0]
    return costly.mean() if len(costly) else costs.sum()


def _between(option: str, value: float, low: float, high: float) -> float:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not fits:
        raise ValueError(f"expected {option} from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _each(option: str, values: Sequence[float], low: float, high: float) -> tuple[float, ...]:
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"expected {option} to be a list of numbers, got {values!r}")
    return tuple(_between(option, value, low, high) for value in values)


def _whole(option: str, value: int, low: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"expected {option} to be a whole number from {low} up, got {value!r}")
    return value


def _flag(option: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected {option} to be true or false, got {value!r}")
    return value


def _one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"expected {option} {_either(known)}, got {value!r}")
    return value


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
