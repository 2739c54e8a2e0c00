"""Make `import torchvision` (and so timm) work with a CPU-only torch.

The package index serves torchvision with operators compiled against CUDA. With a CPU build of
torch they do not load, and then torchvision fails to import, because it registers a fake for
undeclared operators. Declaring them is enough for its Python code, all that is used
here; with a matching build, where the operators load, this does nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache

import torch

_SCHEMAS = {
    "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align": (
        "(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, "
        "int sampling_ratio, bool aligned) -> Tensor"
    ),
}


@cache
def declare_missing_ops() -> None:
    """Declare torchvision's operators where its compiled ones cannot be loaded; once."""
    if torch.version.cuda or "torchvision" in sys.modules:
        return
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    from pathlib import Path  # noqa: PLC0415

    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
            return
    except OSError:
        pass
    for name, schema in _SCHEMAS.items():
        torch.library.define(f"torchvision::{name}", schema)
