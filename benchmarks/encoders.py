"""Other encoders: what adding, serving and switching one costs, and the shipped one made anew.

    python -m benchmarks.encoders [add|shipped|shipped-test|switch …]

Needs the extras encoders and train. `add`: full-size checkpoints with random weights, in the
layouts of open_clip, transformers and timm, are added to the demo catalogue, indexed and asked
once; asked: 5 minutes each on 2 cores. `shipped`: the weights in the file that ships, as a
checkpoint of open_clip's, through `satchel encoder add` to int8, next to that file: forward passes
take turns, and tasks of the dev split are ranked with both; `shipped-test`: of the test split, too.
`switch`: a gallery of 3,000 photos gets another encoder and the first one back, while its server is
asked all the time. What is measured replaces its part of the JSON.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from csv import writer
from functools import partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

import cv2
import numpy as np
from safetensors.numpy import save_file

from benchmarks.accuracy import BEYOND, embedded, ranks, shipped
from benchmarks.datasets import SHARED, Task, distinct_paths, tasks
from benchmarks.hostile import MAISON, served
from benchmarks.reporting import RESULTS, print_table, write_json
from satchel.adapt import clip_file
from satchel.convert.spec import CLIP_MEAN, CLIP_STD
from satchel.encode.card import BUILTIN, read_card
from satchel.encode.embedder import Embedder
from satchel.encode.encoder import Encoder
from satchel.encode.registry import encoder_card
from satchel.images import RGB, crop, decode
from satchel.locate.locator import Locator
from satchel.onnx_model import read_model
from satchel.records import WHOLE_PHOTO, Detection
from satchel.search.rules import SearchRules

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support import checkpoints

NAME: Final = "encoders"
SHORT: Final = "general"
SWITCHED: Final = 3_000
PASSES: Final = 24
"""Forward passes of each file, in turns."""

BATCH: Final = 8
STREET, STUDIO = 36, 12
"""Photos that ranges are measured on, in the proportion of the recipe's."""

QUERIES: Final = 300
"""Of a task; evenly taken."""

SETTLED: Final = 8
"""Answers that are waited for before and after each switch."""

QUESTION: Final = MAISON / "queries" / "IMG_2041.jpg"


def satchel(workspace: Path, *arguments: object) -> tuple[float, str]:
    """Run a command; seconds, and what it printed on stdout."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "satchel", "--workspace", str(workspace)]
    done = subprocess.run(
        [*command, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{arguments}: {done.stderr}")
    return time.perf_counter() - began, done.stdout


# -- checkpoints -----------------------------------------------------------------------------------


def _change(path: Path, **changes: Any) -> None:
    """Change a config's entries; `checkpoints` writes those of small networks."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def open_clip_config(folder: Path) -> None:
    """Write the config of open_clip's ViT-B/16 by OpenAI."""
    vision = {"width": 768, "layers": 12, "patch_size": 16, "image_size": 224}
    model = {"embed_dim": 512, "quick_gelu": True, "vision_cfg": vision}
    colours = {"mean": CLIP_MEAN, "std": CLIP_STD}
    config = {"model_cfg": model, "preprocess_cfg": colours}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def open_clip_vit(folder: Path) -> None:
    """CLIP's ViT-B/16 in open_clip's layout."""
    made = checkpoints.network("vit_base_patch16_clip_quickgelu_224", num_classes=512)
    made.head.bias.data.zero_()  # a projection has none
    checkpoints.write_open_clip(made, folder, quick=True)
    open_clip_config(folder)


def siglip_vit(folder: Path) -> None:
    """A ViT-B/16 with attention pooling, as transformers stores SigLIP's."""
    made = checkpoints.network("vit_base_patch16_siglip_224", num_classes=0)
    checkpoints.write_transformers(made, folder, "siglip", "gelu_pytorch_tanh")
    vision = {"num_attention_heads": 12, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
    _change(folder / "config.json", vision_config=vision)


def of_timm(name: str, folder: Path) -> None:
    """A network as timm saves it."""
    checkpoints.write_timm(checkpoints.network(name), folder, name)
    _change(folder / "config.json", model_args={})


def shipped_checkpoint(folder: Path) -> None:
    """The weights in the file that ships, dequantised, in open_clip's layout."""
    import onnx

    weights = clip_file.weights_of(onnx.load_from_string(read_model(read_card(), BUILTIN.parent)))
    found = {
        "conv1.weight": weights["patch"],
        "class_embedding": weights["class"],
        "positional_embedding": weights["position"],
    }
    for part, end in (("g", "weight"), ("b", "bias")):
        for norm in ("pre", "post"):
            found[f"ln_{norm}.{end}"] = weights[f"{norm}.{part}"]
    for block in range(clip_file.BLOCKS):
        start = f"transformer.resblocks.{block}."
        for part, end in (("g", "weight"), ("b", "bias")):
            for number in (1, 2):
                found[f"{start}ln_{number}.{end}"] = weights[f"{block}.ln{number}.{part}"]
        for ours, theirs in (
            ("qkv", "attn.in_proj_"),
            ("out", "attn.out_proj."),
            ("fc1", "mlp.c_fc."),
            ("fc2", "mlp.c_proj."),
        ):
            found[f"{start}{theirs}weight"] = weights[f"{block}.{ours}.w"].T
            found[f"{start}{theirs}bias"] = weights[f"{block}.{ours}.b"]
    folder.mkdir()
    tensors = {f"visual.{key}": np.ascontiguousarray(value) for key, value in found.items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    open_clip_config(folder)
    checkpoints.write_readme(folder, "mit")


ADDED: Final[dict[str, Callable[[Path], None]]] = {
    "open_clip ViT-B/16": open_clip_vit,
    "SigLIP 2 ViT-B/16": siglip_vit,
    "timm ConvNeXt-T": lambda folder: of_timm("convnext_tiny", folder),
    "PE-Core-S/16 at 384": lambda folder: of_timm("vit_pe_core_small_patch16_384", folder),
}


# -- what is measured ------------------------------------------------------------------------------


def demo(folder: Path) -> Path:
    """A workspace of the demo catalogue, indexed with the encoder that ships."""
    satchel(folder, "init", folder)
    satchel(folder, "import", MAISON / "catalogue.csv")
    satchel(folder, "index")
    return folder


def measure_add(folder: Path) -> list[dict[str, Any]]:
    """Add each, embed the demo's 48 photos with it, serve it, and identify one photo."""
    workspace = demo(folder / "demo")
    figures = []
    for number, (title, make) in enumerate(ADDED.items()):
        source, name = folder / f"source-{number}", f"added-{number}"
        make(source)
        add_s, said = satchel(workspace, "encoder", "add", source, "--name", name, "--json")
        exports = json.loads(said)["from"]["exports"]
        promote_s, _ = satchel(workspace, "promote", name)
        identify_s, _ = satchel(workspace, "identify", QUESTION)
        kept = read_card(encoder_card(workspace / "models", name)).parity.split(":")[0]
        figures.append(
            {
                "checkpoint": title,
                "add_s": add_s,
                "promote_s": promote_s,
                "identify_s": identify_s,
                "total_s": add_s + promote_s + identify_s,
                "kept": kept,
                "exports": exports,
            }
        )
    return figures


def print_add(figures: list[dict[str, Any]]) -> None:
    """Print a row for each checkpoint."""
    kinds = ("fp32", "fp16", "int8")
    header = ("checkpoint", "add", "promote", "identify", "kept", *(f"{k} ms" for k in kinds))
    rows = []
    for one in figures:
        by_kind = {export["kind"]: export for export in one["exports"]}
        seconds = [f"{one[f'{step}_s']:.0f} s" for step in ("add", "promote", "identify")]
        times = [f"{by_kind[kind]['ms_per_photo']:.0f}" for kind in kinds]
        agreed = f"{by_kind['int8']['cosine']:.4f} / {by_kind['int8']['overlap']:.1%}"
        rows.append([one["checkpoint"], *seconds, one["kept"], *times, agreed])
    print_table("Adding an encoder", [*header, "int8 cosine / nearest 5"], rows)


def pass_times(encoders: dict[str, Encoder]) -> dict[str, float]:
    """Median ms per photo of each encoder, and the median ratio of neighbouring passes."""
    paths = sorted((SHARED / "dreambooth").rglob("*.jpg"))[:BATCH]
    side = read_card().input_side_px
    crops = np.stack([crop(decode(path.read_bytes()), WHOLE_PHOTO, side) for path in paths])
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for turn in range(PASSES + 2):
        order = list(encoders) if turn % 2 else list(encoders)[::-1]
        for name in order:
            began = time.perf_counter()
            encoders[name].encode(crops)
            if turn >= 2:
                times[name].append(1000 * (time.perf_counter() - began) / BATCH)
    ratios = np.array(times[SHORT]) / np.array(times["ships"])
    found = {name: statistics.median(values) for name, values in times.items()}
    return found | {"ratio": float(np.median(ratios))}


def some(task: Task) -> Task:
    """A task with `QUERIES` of its queries at most."""
    step = max(1, len(task.queries) // QUERIES)
    return Task(task.name, task.gallery, task.queries[::step])


def small_tasks(split: str) -> list[Task]:
    """Tasks of a split, fewer queries of each; without the one with the largest gallery."""
    return [some(task) for task in tasks(split) if len(task.gallery) < 1_000]


def calibration_photos(folder: Path) -> Path:
    """A folder of photos of the kinds that the recipe of the shipped encoder measures ranges on."""
    folder.mkdir()
    for source, count in ((SHARED / "street", STREET), (MAISON, STUDIO)):
        paths = sorted(source.rglob("*.jpg"))
        for row in np.linspace(0, len(paths) - 1, count).astype(int):
            shutil.copy(paths[row], folder / f"{source.name}-{row}.jpg")
    return folder


class LocatedOnce:
    """A locator that keeps what it found in a photo: encoders that are compared crop alike."""

    def __init__(self, locator: Locator) -> None:
        self._locator = locator
        self._found: dict[bytes, list[Detection]] = {}

    @property
    def id(self) -> str:
        """As the locator's."""
        return self._locator.id

    @property
    def pad(self) -> float:
        """As the locator's."""
        return self._locator.pad

    def locate(self, photos: Sequence[RGB]) -> list[list[Detection]]:
        """As the locator's."""
        keys = [blake2b(photo.tobytes()).digest() for photo in photos]
        for key, photo in zip(keys, photos, strict=True):
            if key not in self._found:
                self._found[key] = list(self._locator.locate([photo])[0])
        return [self._found[key] for key in keys]


def measure_shipped(folder: Path, splits: tuple[str, ...] = ("dev",)) -> dict[str, Any]:
    """Make the shipped encoder anew by the general path, and compare the two."""
    workspace, source = demo(folder / "shipped"), folder / "checkpoint"
    shipped_checkpoint(source)
    options: list[object] = ["--side", read_card().input_side_px, "--before-projection"]
    options += ["--kind", "int8", "--photos", calibration_photos(folder / "photos")]
    satchel(workspace, "encoder", "add", source, "--name", SHORT, *options)
    cards = {"ships": BUILTIN, SHORT: encoder_card(workspace / "models", SHORT)}
    times = pass_times({name: Encoder.load(card) for name, card in cards.items()})
    found: dict[str, Any] = {"ms_per_photo": times, "tasks": []}
    chosen = [task for split in splits for task in small_tasks(split)]
    hits = {}
    locator = shipped().locator
    assert locator is not None
    once = LocatedOnce(locator)
    for name, card in cards.items():
        photos = embedded(distinct_paths(chosen), Embedder(Encoder.load(card), once))
        hits[name] = [ranks(task, photos, SearchRules()) for task in chosen]
    for task, own, anew in zip(chosen, hits["ships"], hits[SHORT], strict=True):
        row: dict[str, Any] = {"task": task.name, "queries": len(own)}
        for k in (1, 5):
            right = [(one <= k).astype(float) for one in (own, anew)]
            row[f"top_{k}"] = {"ships": right[0].mean(), SHORT: right[1].mean()}
            row[f"top_{k}"]["standard_error"] = right[0].std() / len(own) ** 0.5
        found["tasks"].append(row)
    assert all((one <= BEYOND).all() for each in hits.values() for one in each)
    return found


def print_shipped(found: dict[str, Any]) -> None:
    """Print speed and accuracy of both."""
    times = found["ms_per_photo"]
    rows: list[list[object]] = [
        ["ms per photo", f"{times['ships']:.1f}", f"{times[SHORT]:.1f}", f"× {times['ratio']:.3f}"]
    ]
    for one in found["tasks"]:
        for k in (1, 5):
            top = one[f"top_{k}"]
            shares = [f"{100 * top[name]:.1f}" for name in ("ships", SHORT)]
            error = f"± {100 * top['standard_error']:.1f}"
            rows.append([f"{one['task']} ({one['queries']}), top-{k} %", *shares, error])
    print_table("The shipped encoder", ["", "ships", "general path", ""], rows)


def gallery(folder: Path) -> Path:
    """A workspace with 3,000 photos of groceries at half their size, without a detector."""
    root, table, photos = SHARED / "grocery" / "dataset", folder / "photos.csv", folder / "photos"
    photos.mkdir()
    lines = [x for part in ("train", "val", "test") for x in (root / f"{part}.txt").open()]
    with table.open("w", newline="") as file:
        rows = writer(file)
        rows.writerow(("code", "photo"))
        for number, line in enumerate(lines[:SWITCHED]):
            photo, code, _ = (cell.strip() for cell in line.split(","))
            half = cv2.imread(str(root / photo), cv2.IMREAD_REDUCED_COLOR_2)
            assert half is not None, photo
            cv2.imwrite(str(photos / f"{number}.jpg"), half)
            rows.writerow((f"G{int(code):02d}", f"{number}.jpg"))
    workspace = folder / "gallery"
    satchel(workspace, "init", workspace)
    settings = workspace / "satchel.toml"
    settings.write_text(settings.read_text().replace('#model = "builtin"', 'model = "saliency"'))
    satchel(workspace, "import", table, "--photos", photos)
    return workspace


def measure_switch(folder: Path) -> dict[str, Any]:
    """Switch between small encoders and back, while the server is asked without a pause."""
    workspace = gallery(folder)
    for name, made, architecture in (
        ("first", checkpoints.small_gap(), "vit_base_patch16_siglip_gap_224"),
        ("second", checkpoints.small_siglip(), "vit_base_patch16_siglip_224"),
    ):
        checkpoints.write_timm(made, folder / name, architecture)
        satchel(workspace, "encoder", "add", folder / name, "--name", name)
    satchel(workspace, "promote", "first")
    photo = QUESTION.read_bytes()
    asked: list[tuple[float, int, str]] = []
    ended = Event()
    with served(workspace, memory_every_s=1) as (_, client):

        def ask() -> None:
            while not ended.is_set():
                began = time.monotonic()
                sent = {"photos": ("photo.jpg", photo, "image/jpeg")}
                answer = client.post("/api/v1/identify", files=sent)
                page = client.get("/", headers={"accept": "text/html"})
                status = max(answer.status_code, page.status_code)
                found = answer.json().get("candidates", []) if answer.is_success else []
                asked.append((time.monotonic() - began, status, json.dumps(found)))

        def wait_for(more: int) -> None:
            until = len(asked) + more
            while len(asked) < until and thread.is_alive():
                time.sleep(0.1)

        thread = Thread(target=ask)
        thread.start()
        wait_for(SETTLED)
        promote_s, _ = satchel(workspace, "promote", "second")
        wait_for(SETTLED)
        rollback_s, _ = satchel(workspace, "promote", "--rollback")
        wait_for(SETTLED)
        ended.set()
        thread.join()
    seconds = [one[0] for one in asked]
    answers = [answer for _, _, answer in asked]
    kinds = list(dict.fromkeys(answers))
    return {
        "photos": SWITCHED,
        "promote_s": promote_s,
        "rollback_s": rollback_s,
        "asked": len(asked),
        "errors": sum(status >= 400 for _, status, _ in asked),
        # One photo's answers in the order they came, by number: 0, 1, 0 when both encoders answer.
        "answers": [kinds.index(one) for one, _ in groupby(answers)],
        "seconds": {"median": statistics.median(seconds), "longest": max(seconds)},
    }


def print_switch(found: dict[str, Any]) -> None:
    """Print what switching took."""
    rows = [[name, json.dumps(value)] for name, value in found.items()]
    print_table("Switching 3,000 photos while they are asked for", ("", ""), rows)


PARTS: Final[dict[str, tuple[Callable[[Path], Any], Callable[[Any], None]]]] = {
    "add": (measure_add, print_add),
    "shipped": (measure_shipped, print_shipped),
    "shipped-test": (partial(measure_shipped, splits=("dev", "test")), print_shipped),
    "switch": (measure_switch, print_switch),
}


def main() -> None:
    """Measure the parts that are asked for, print them, and write them next to the others."""
    path = RESULTS / f"{NAME}.json"
    figures = json.loads(path.read_text())["figures"] if path.exists() else {}
    for part in sys.argv[1:] or [name for name in PARTS if name != "shipped-test"]:
        measure, show = PARTS[part]
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder))
        figures[part.removesuffix("-test")] = found
        show(found)
        write_json(NAME, figures)


if __name__ == "__main__":
    main()
