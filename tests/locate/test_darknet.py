from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import SHARED
from satchel.errors import LocatorError
from satchel.images import decode
from satchel.locate.card import LocatorCard
from satchel.locate.darknet import convert_darknet
from satchel.locate.letterbox import Letterbox
from satchel.locate.onnx import OnnxLocator
from support.darknet_files import NET, NETWORKS, random_weights, write

WEIGHTS = SHARED / "weights"
FAST = WEIGHTS / "yolo-fastest-1.1-xl.cfg"

OPENCV_THRESHOLD = 0.2
"""OpenCV sets scores below to 0."""


def opencv(cfg: Path, card: LocatorCard, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores by OpenCV's own importer, in our order of rows."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(cfg.with_suffix(".weights")))
    net.setInput(Letterbox.of(card, photo).pixels(photo))
    found = []
    layers = sorted(net.getUnconnectedOutLayersNames(), key=lambda name: int(name.split("_")[1]))
    for rows in net.forward(layers):  # cells, and in each its anchors
        anchors = cfg.read_text().split("mask")[1].split("\n")[0].count(",") + 1
        found.append(rows.reshape(-1, anchors, rows.shape[-1]).swapaxes(0, 1))
    table = np.concatenate([one.reshape(-1, one.shape[-1]) for one in found])
    centre, half = table[:, :2], table[:, 2:4] / 2
    return np.hstack([centre - half, centre + half]), table[:, 5:]


def check_parity(cfg: Path, names: Path, photos: list[np.ndarray]) -> int:
    """Compare with OpenCV; return how many scores are above its threshold."""
    card, model = convert_darknet(cfg, names=names)
    locator, above = OnnxLocator(card, model), 0
    for photo in photos:
        boxes, scores, _ = locator.predict(photo)
        expected, known = opencv(cfg, card, photo)
        assert boxes == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert scores[known > 0] == pytest.approx(known[known > 0], abs=1e-4)
        assert scores[known == 0].max() <= OPENCV_THRESHOLD + 1e-4
        above += int((known > 0).sum())
    return above


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks_agree_with_opencv(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    photos = [rng.integers(0, 256, (120, 90, 3), np.uint8)]
    above = 0
    for seed in range(4):
        cfg = write(tmp_path, NET + NETWORKS[kind], random_weights(NET + NETWORKS[kind], seed))
        above += check_parity(cfg, tmp_path / "net.names", photos)
    assert above > 10


@pytest.mark.shared
def test_real_weights_agree_with_opencv() -> None:
    paths = sorted((SHARED / "data" / "coco_bags" / "images").glob("*.jpg"))[:6]
    photos = [decode(path.read_bytes()) for path in paths]
    assert check_parity(FAST, WEIGHTS / "coco.names", photos) > 100


@pytest.mark.shared
def test_real_weights_find_what_photos_show() -> None:
    card, model = convert_darknet(FAST, names=WEIGHTS / "coco.names")
    assert (card.fit, card.height_px, len(card.class_names)) == ("stretch", 320, 80)
    path = SHARED / "data" / "coco_bags" / "images" / "000000000086.jpg"
    (found,) = OnnxLocator(card, model).locate([decode(path.read_bytes())])
    assert {"person", "motorbike"} <= {one.category for one in found}


def test_card_and_settings(tmp_path: Path) -> None:
    cfg = write(tmp_path, NET + "letter_box=1\n" + NETWORKS["v4"], names="a\nb\nc\n\n\n")
    card, _ = convert_darknet(cfg, categories={"b": "bag"})
    assert (card.height_px, card.width_px, card.fit) == (96, 64, "letterbox")
    assert card.class_names == ("a", "b", "c")
    assert card.categories == {"b": "bag"}
    changed = write(tmp_path, cfg.read_text() + "# a comment\n")
    assert convert_darknet(changed)[0].sha256 != card.sha256


# -- bad inputs ------------------------------------------------------------------------------------

GOOD = NET + NETWORKS["v3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cfg: "", "it is empty"),
        (lambda cfg: "\0\1\2" * 50, "line 1: expected .section. or option=value"),
        (lambda cfg: "x" * 2_000_000, "it is no Darknet cfg"),
        (lambda cfg: "[convolutional]\n", "expected the first section to be .net."),
        (lambda cfg: NET, "expected layers after"),
        (lambda cfg: "width=3\n" + cfg, "line 1: expected .section. or option=value"),
        (lambda cfg: cfg.replace("width=64", "width=100000"), "line 2, .net.: expected width"),
        (lambda cfg: cfg.replace("width=64", "width=x"), "line 2, .net.: .*got 'x'"),
        (lambda cfg: cfg.replace("width=64\n", ""), "expected the option width"),
        (lambda cfg: cfg.replace("channels=3", "channels=1"), "expected channels=3"),
        (lambda cfg: cfg.replace("filters=8", "filters=999999999"), "line 6, .*filters"),
        (lambda cfg: cfg.replace("filters=8", "filters=0"), "line 6, .*filters"),
        (lambda cfg: cfg.replace("size=3", "size=5000"), "line 7, .*size"),
        (lambda cfg: cfg.replace("=leaky", "=elu"), "expected the activation"),
        (lambda cfg: cfg.replace("[shortcut]", "[lstm]"), ".lstm.: .*not supported"),
        (lambda cfg: cfg.replace("from=-3", "from=-30"), "expected layers before this one"),
        (lambda cfg: cfg.replace("from=-3", "from=-2"), "expected a layer of 16 × 24 × 16"),
        (lambda cfg: cfg.replace("layers=-1, 4", "layers=0,4"), "layers of one size"),
        (lambda cfg: cfg.replace("layers=-1, 4", "layers="), "expected layers to be whole"),
        (lambda cfg: cfg.replace("classes=3", "classes=4"), "expected 2 × .5 . 4. channels"),
        (lambda cfg: cfg.replace("num=4", "num=5"), "expected 10 numbers"),
        (lambda cfg: cfg.replace("mask=2,3", "mask=2,9"), "expected anchors from 0 to 3"),
        (lambda cfg: cfg.replace("anchors=10", "anchors=nan"), "anchors to be numbers"),
        (lambda cfg: cfg.split("[yolo]")[0], "expected a .yolo. layer|more weights"),
        (lambda cfg: cfg + "[upsample]\nstride=32\n" * 4, "values, expected 64,000,000"),
        (lambda cfg: cfg + "[maxpool]\nsize=1\nstride=1\n" * 2000, "1,000 sections at most"),
    ],
)
def test_a_bad_cfg_is_refused_by_line(
    change: Callable[[str], str], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, GOOD)
    path.write_text(change(GOOD))
    with pytest.raises(LocatorError, match=message):
        convert_darknet(path)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (b"", "empty or truncated"),
        (random_weights(GOOD)[:-400], r"line \d+, .convolutional.: needs .* weights.*truncated"),
        (random_weights(GOOD)[:-1], "truncated"),
        (random_weights(GOOD) + b"\0" * 8, "2 more weights .8 bytes.*another cfg"),
        (random_weights(GOOD) + b"\0", "0 more weights .1 bytes"),
        (random_weights(NET + NETWORKS["v4"]), "another cfg"),
        (b"\xff" * 40_000, "no Darknet weights file"),
        (random_weights(GOOD)[:20] + b"\xff" * (len(random_weights(GOOD)) - 20), "not finite"),
    ],
)
def test_weights_of_something_else(weights: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(LocatorError, match=message):
        convert_darknet(write(tmp_path, GOOD, weights))


def test_a_cfg_without_weights_or_names(tmp_path: Path) -> None:
    cfg = write(tmp_path, GOOD)
    (tmp_path / "net.names").unlink()
    with pytest.raises(LocatorError, match="expected the names of the 3 classes"):
        convert_darknet(cfg)
    (tmp_path / "net.weights").unlink()
    with pytest.raises(LocatorError, match="file next to the"):
        convert_darknet(cfg)
    cfg.unlink()
    with pytest.raises(LocatorError, match="cannot read the Darknet cfg"):
        convert_darknet(cfg)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("a\nb\n", r"expected 3 class names.*line \d+, says; got 2"),
        ("a\nb\nc\nd\n", "got 4"),
        ("a\n\nc\n", "line 2: expected another class name, got an empty one"),
        ("a\nb\na\n", "line 3: expected another class name, got 'a' again"),
        (f"a\nb\n{'c' * 100}\n", "class_names"),
    ],
)
def test_a_class_file_of_another_detector(names: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LocatorError, match=message):
        convert_darknet(write(tmp_path, GOOD, names=names))


def test_a_class_file_that_is_no_text(tmp_path: Path) -> None:
    cfg = write(tmp_path, GOOD)
    (tmp_path / "net.names").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LocatorError, match="UTF-8"):
        convert_darknet(cfg)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_other_cfg_is_refused_or_read(data: st.DataObject, tmp_path: Path) -> None:
    """Lines lost, doubled, swapped or with other numbers never end in another error."""
    lines = GOOD.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["lose", "double", "swap", "number", "text"])):
            case "lose":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "number":
                name = lines[at].partition("=")[0]
                number = data.draw(st.sampled_from([-1, 0, 1, 2, 7, 2000, 10**9, 10**12, 0.5]))
                lines[at] = f"{name}={number}"
            case "text":
                lines[at] = data.draw(st.text(max_size=20))
    path = tmp_path / "net.cfg"
    write(tmp_path, GOOD)
    path.write_text("\n".join(lines))
    try:
        card, model = convert_darknet(path)
    except LocatorError:
        return
    OnnxLocator(card, model).locate([np.zeros((60, 40, 3), np.uint8)])
