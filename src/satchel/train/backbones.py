"""Backbones: networks that give one vector a crop, with their own preprocessing."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

M = TypeVar("M", bound=torch.nn.Module)


def channels_last(module: M) -> M:
    """Store a network's weights channels-last, the layout convolutions are fast in on CPUs."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # undeclared


class Backbone(torch.nn.Module):
    """uint8 crops → feature maps → one vector each; holds its own preprocessing.

    Attributes:
        name: timm's name of the network.
        weights: where its weights come from, in words.
        dimension: length of a vector.
    """

    network: Any  # timm's methods are not declared by torch.nn.Module
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        name: str,
        weights: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.weights = weights
        self.dimension = int(self.network.num_features)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def origin(self) -> dict[str, Any]:
        """Arguments with which another network is made of this one's weights and preprocessing."""
        mean, std = (tuple(one.flatten().tolist()) for one in (self.mean, self.std))
        return {"weights": self.weights, "mean": mean, "std": std}

    def scaled(self, crops: torch.Tensor) -> torch.Tensor:
        """Crops, shape (n, side, side, 3), uint8, RGB, as the network takes them: (n, 3, h, w)."""
        # NHWC bytes viewed as NCHW are channels-last already, the fastest layout for convolutions.
        scaled: torch.Tensor = (crops.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        return scaled

    def maps(self, crops: torch.Tensor) -> torch.Tensor:
        """Feature maps, shape (n, c, h, w), of crops, shape (n, side, side, 3), uint8, RGB."""
        features = self.network.forward_features(self.scaled(crops))
        if features.ndim == 3:  # tokens of a transformer: the grid's, without the prefix
            grid = features[:, getattr(self.network, "num_prefix_tokens", 0) :]
            side = round(grid.shape[1] ** 0.5)
            features = grid.transpose(1, 2).reshape(len(grid), -1, side, side)
        elif not self._channels_first:
            features = features.permute(0, 3, 1, 2)
        return features

    @property
    def pads_strides(self) -> bool:
        """Whether strided layers pad: cell i of a map is then about pixel i × stride.

        Where they do not (patches of a transformer or a ConvNeXt), cells tile the photo.
        """
        kinds = (torch.nn.Conv2d, torch.nn.MaxPool2d, torch.nn.AvgPool2d)
        layers = (module for module in self.network.modules() if isinstance(module, kinds))
        return any(_most(one.padding) > 0 for one in layers if _most(one.stride) > 1)

    @property
    def _channels_first(self) -> bool:
        return getattr(self.network, "output_fmt", "NCHW") == "NCHW"

    def vectors(self, crops: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Vectors for search, shape (n, d), float32, of crops whose maps are known."""
        return maps.float().mean((2, 3))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Vectors, shape (n, dimension), float32: the maps averaged over their places."""
        return self.maps(crops).float().mean((2, 3))


def _most(sides: Any) -> int:
    """The greater of a layer's two numbers, which torch keeps as one where they are equal."""
    return max(sides) if isinstance(sides, tuple) else int(sides)


class Pair(Backbone):
    """Ensemble of two networks of the same architecture and origin; their vectors are added.

    Interpolated weights forget a part of both networks; added vectors do not. Saliency is the
    first's, so that boxes and colours do not change.

    Attributes:
        second: the other network; both give vectors of one space.
        weight: of the second's vector in the sum.
    """

    def __init__(self, first: Backbone, second: Backbone, *, weight: float) -> None:
        super().__init__(first.network, name=f"pair of {first.name}", **first.origin())
        self.second = second
        self.weight = weight

    @property
    def first(self) -> Backbone:
        """The first network, by itself."""
        return Backbone(self.network, name=self.second.name, **self.origin())

    def vectors(self, crops: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """The sum of both vectors, each of length 1; shape (n, d), float32."""
        unit = torch.nn.functional.normalize
        mixed: torch.Tensor = torch.lerp(
            unit(super().vectors(crops, maps), dim=1), unit(self.second(crops), dim=1), self.weight
        )
        return mixed

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Vectors, shape (n, dimension), float32."""
        return self.vectors(crops, self.maps(crops))


class WithHead(Backbone):
    """A backbone whose vectors are what the network's own classifier would get."""

    def vectors(self, crops: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """Vectors for search, shape (n, d), float32: pooled, and normalised if the network does."""
        pooled: torch.Tensor = self.network.forward_head(maps, pre_logits=True)
        return pooled.float().flatten(1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Vectors, shape (n, dimension), float32."""
        return self.vectors(crops, self.maps(crops))
