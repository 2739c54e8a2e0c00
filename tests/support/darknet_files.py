"""Small Darknet detectors, with random weights."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

NET = "[net]\nwidth=64\nheight=96\nchannels=3\n"


def conv(filters: int, size: int = 3, activation: str = "leaky", **options: int) -> str:
    given = {"batch_normalize": 1, "stride": 1, "pad": 1, **options}
    lines = "".join(f"{name}={value}\n" for name, value in given.items())
    return f"[convolutional]\nfilters={filters}\nsize={size}\n{lines}activation={activation}\n"


def yolo(mask: str = "0,1", **options: float) -> str:
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    anchors = "10,14, 23,27, 37,58, 81,82"
    return f"[yolo]\nmask={mask}\nanchors={anchors}\nclasses=3\nnum=4\n{lines}"


HEAD = conv(16, 1, "linear", batch_normalize=0)  # 2 × (5 + 3) channels
START = conv(8, stride=2) + conv(16, stride=2)

NETWORKS = {
    "v3": START
    + conv(8, 1) + conv(16) + "[shortcut]\nfrom=-3\nactivation=linear\n"
    + conv(16, stride=2) + HEAD + yolo("2,3")
    + "[route]\nlayers=-3\n" + conv(8, 1) + "[upsample]\nstride=2\n"
    + "[route]\nlayers=-1, 4\n" + HEAD + yolo("0,1"),
    "v3-tiny": conv(8) + "[maxpool]\nsize=2\nstride=2\n"
    + conv(16) + "[maxpool]\nsize=2\nstride=2\n"
    + conv(16) + "[maxpool]\nsize=2\nstride=1\n" + HEAD + yolo(),
    "v4": conv(8, activation="mish", stride=2)
    + conv(16, 3, "mish", stride=2) + "[maxpool]\nstride=1\nsize=5\n"
    + "[route]\nlayers=-2\n[maxpool]\nstride=1\nsize=9\n[route]\nlayers=-1,-3,1\n"
    + HEAD + yolo(scale_x_y=1.2),
    "v4-tiny": START
    + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(8)
    + "[route]\nlayers=-1,-2\n" + HEAD + yolo(scale_x_y=1.05),
    "scaled v4": conv(8, stride=2, activation="swish") + conv(8, stride=2, activation="relu")
    + conv(16, 1, "logistic", batch_normalize=0) + yolo(scale_x_y=2.0, new_coords=1),
    "fastest": conv(8, stride=2)
    + conv(8, 3, groups=8) + conv(8, 1, "linear", pad=0) + "[dropout]\nprobability=.2\n"
    + "[shortcut]\nfrom=-4\nactivation=linear\n" + HEAD + yolo(),
}  # fmt: skip


def random_weights(cfg: str, seed: int = 0) -> bytes:
    """Weights for a cfg of `conv` layers, each with the channels of the network that it is in."""
    rng = np.random.default_rng(seed)
    values: list[np.ndarray] = []
    channels: list[int] = []
    for section in cfg.split("[")[2:]:
        kind, _, rest = section.partition("]")
        options = dict(line.split("=", 1) for line in rest.split("\n") if "=" in line)
        before = channels[-1] if channels else 3
        if kind == "convolutional":
            filters, size = int(options["filters"]), int(options["size"])
            count = filters * before // int(options.get("groups", 1)) * size * size
            values.append(rng.normal(0, 0.3, filters))
            if options["batch_normalize"] == "1":
                values += [
                    rng.uniform(0.5, 1.5, filters),
                    rng.normal(0, 0.3, filters),
                    rng.uniform(0.3, 2, filters),
                ]
            values.append(rng.normal(0, 1.5 / np.sqrt(count / filters), count))
            before = filters
        elif kind == "route":
            places = [int(one) for one in options["layers"].split(",")]
            before = sum(channels[one] for one in places) // int(options.get("groups", 1))
        channels.append(before)
    header = struct.pack("<iiiq", 0, 2, 5, 0)
    return header + np.concatenate(values).astype("<f4").tobytes()


def write(folder: Path, cfg: str, weights: bytes | None = None, names: str = "a\nb\nc\n") -> Path:
    path = folder / "net.cfg"
    path.write_text(cfg)
    (folder / "net.weights").write_bytes(random_weights(cfg) if weights is None else weights)
    (folder / "net.names").write_text(names)
    return path
