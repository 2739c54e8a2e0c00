"""Encoders from their sources: added, served, rolled back, removed; and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import SHAPES, draw
from satchel.encode.card import read_card
from satchel.encode.registry import encoder_card, read_serving
from satchel.errors import UsageError
from satchel.identify import Identifier
from satchel.images import encode_jpeg
from satchel.locate.card import LocatorCard
from satchel.onnx_model import read_model, write_card
from satchel.workspace import Workspace
from support.cli import satchel

pytest.importorskip("torch", reason="needs the train extra: pip install '.[train]'")
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:torch"),
]

from support import checkpoints


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CLIP in open_clip's layout."""
    folder = tmp_path_factory.mktemp("hub") / "small-clip"
    return checkpoints.write_open_clip(checkpoints.small_clip(), folder, quick=True)


@pytest.fixture
def source(clip: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clip, tmp_path / "source" / "small-clip")


@pytest.mark.flow
def test_an_encoder_is_added_served_taken_back_and_removed(filled: Workspace, source: Path) -> None:
    before = Identifier.open(filled).space.id
    done = satchel(filled.folder, "encoder", "add", str(source), "--json")
    assert done.returncode == 0, done.stderr
    added = json.loads(done.stdout)
    assert added["added"] == "small-clip"
    assert added["card"]["confidence"]["measured_on"] == "not calibrated"
    assert added["card"]["dimension"] == 48
    assert {one["kind"] for one in added["from"]["exports"]} == {"fp32", "fp16", "int8"}
    kept = added["card"]["parity"].partition(":")[0]
    assert {one["kind"]: one["agrees"] for one in added["from"]["exports"]}[kept]
    origin = added["from"]["origin"]
    assert (origin["licence"]["name"], origin["accepted"]) == ("mit", False)
    assert {one["name"] for one in origin["files"]} == {
        "open_clip_model.safetensors",
        "open_clip_config.json",
        "README.md",
    }
    card = read_card(encoder_card(filled.models, "small-clip"))
    assert len(read_model(card, filled.models / "small-clip")) > 10_000  # of this SHA-256
    assert card.crop_shape.patch_px == 16
    assert read_serving(filled.models).name != "small-clip"  # nothing is served yet

    listed = json.loads(satchel(filled.folder, "encoder", "list", "--json").stdout)["encoders"]
    assert {"clip-b16", "lite0", "small-clip"} <= {one["name"] for one in listed}
    shown = satchel(filled.folder, "encoder", "show", "small-clip").stdout
    assert "not calibrated" in shown
    assert origin["files"][0]["sha256"] in "".join(shown.split())
    again = satchel(filled.folder, "encoder", "add", str(source))
    assert again.returncode == 2
    assert "already" in again.stderr

    assert satchel(filled.folder, "promote", "small-clip").returncode == 0
    after = Identifier.open(filled)
    assert after.space.id == card.sha256 != before
    photo = encode_jpeg(draw(SHAPES[0], 99), 90)
    assert after.identify(photo).candidates
    assert after.identify(photo).verdict != "identified"  # nothing was measured
    refused = satchel(filled.folder, "encoder", "remove", "small-clip", "--yes")
    assert refused.returncode == 2
    assert "is served now" in refused.stderr
    assert satchel(filled.folder, "promote", "--rollback").returncode == 0
    assert Identifier.open(filled).space.id == before
    assert satchel(filled.folder, "encoder", "remove", "small-clip", "--yes").returncode == 0
    assert not (filled.models / "small-clip").exists()


@pytest.mark.flow
def test_a_square_encoder_without_proportions_is_served(filled: Workspace, tmp_path: Path) -> None:
    """Too few patches for other proportions: crops are square."""
    folder = checkpoints.write_timm(
        checkpoints.small_siglip(img_size=64), tmp_path / "s", "vit_base_patch16_siglip_224"
    )
    arguments = ("encoder", "add", str(folder), "--name", "square", "--kind", "fp32")
    done = satchel(filled.folder, *arguments)
    assert done.returncode == 0, done.stderr
    card = read_card(encoder_card(filled.models, "square"))
    assert (card.patch_px, card.input_side_px, card.dimension) == (None, 64, checkpoints.WIDTH)
    assert satchel(filled.folder, "promote", "square").returncode == 0
    assert Identifier.open(filled).identify(encode_jpeg(draw(SHAPES[0], 99), 90)).candidates


@pytest.mark.parametrize("licence", ["cc-by-nc-4.0", None])
def test_a_licence_that_may_not_allow_it_has_to_be_accepted(
    filled: Workspace, source: Path, licence: str | None
) -> None:
    if licence:
        checkpoints.write_readme(source, licence)
    else:
        (source / "README.md").unlink()
    done = satchel(filled.folder, "encoder", "add", str(source))
    assert done.returncode == 2
    assert f"is {licence or 'unknown'} (" in done.stderr
    assert "--accept-licence" in done.stderr
    assert not (filled.models / "small-clip").exists()
    accepted = ("--accept-licence", "--kind", "fp32", "--json")
    done = satchel(filled.folder, "encoder", "add", str(source), *accepted)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["from"]["origin"]["accepted"] is True


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--sha256", "0" * 64), "expected SHA-256"),
        (("--name", "clip-b16"), "already"),
        (("--name", "../x"), "expected a name"),
        (("--side", "100"), "--side 96 is the nearest"),
        (("--photos", "nowhere"), "expected a folder of photos"),
        (("--about", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_refusals_change_nothing(
    filled: Workspace, source: Path, arguments: tuple[str, ...], told: str
) -> None:
    before = sorted(filled.models.rglob("*"))
    done = satchel(filled.folder, "encoder", "add", str(source), *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert sorted(filled.models.rglob("*")) == before


def test_nothing_to_measure_on_is_said_before_anything_is_fetched(workspace: Workspace) -> None:
    done = satchel(workspace.folder, "encoder", "add", "hf-hub:org/model")
    assert done.returncode == 2
    assert "import a catalogue first" in done.stderr


def test_what_a_killed_process_left_is_no_encoder_and_is_replaced(
    filled: Workspace, source: Path
) -> None:
    left = filled.models / ".small-clip.tmp"
    left.mkdir()
    (left / "card.json").write_text("{")
    names = satchel(filled.folder, "encoder", "list").stdout
    assert "small-clip" not in names
    done = satchel(filled.folder, "encoder", "add", str(source), "--kind", "fp32")
    assert done.returncode == 0, done.stderr
    assert not left.exists()


@pytest.mark.parametrize("name", ["../models/stub", "./stub", "stub/.", "..", ".", ""])
def test_a_path_is_no_name_of_an_encoder(filled: Workspace, name: str) -> None:
    before = sorted(filled.models.rglob("*"))
    for command in (("encoder", "remove", "--yes", name), ("promote", name)):
        done = satchel(filled.folder, *command)
        assert done.returncode == 2
        assert "there is no encoder" in done.stderr or "expected one run named" in done.stderr
    assert sorted(filled.models.rglob("*")) == before


def test_a_trained_locator_is_no_encoder(filled: Workspace) -> None:
    card = LocatorCard(
        name="finder",
        file="finder.onnx",
        sha256="0" * 64,
        layout="yolox",
        height_px=64,
        width_px=64,
        class_names=("bag",),
    )
    (filled.models / "finder").mkdir()
    write_card(filled.models / "finder" / "card.json", card)
    assert "finder" not in satchel(filled.folder, "encoder", "list").stdout
    assert satchel(filled.folder, "encoder", "remove", "finder", "--yes").returncode == 2
    assert (filled.models / "finder" / "card.json").exists()


def test_an_unknown_encoder_is_answered_with_what_there_is(filled: Workspace) -> None:
    done = satchel(filled.folder, "encoder", "show", "clip")
    assert done.returncode == 2
    assert "there are clip-b16, lite0" in done.stderr


@pytest.mark.flow
def test_encoders_are_compared_on_the_workspaces_own_photos(
    filled: Workspace, source: Path, tmp_path: Path
) -> None:
    assert satchel(filled.folder, "encoder", "add", str(source), "--kind", "fp32").returncode == 0
    served = Identifier.open(filled).space.id
    done = satchel(filled.folder, "encoder", "compare", "stub", "small-clip", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    stub, clip = found["encoders"]
    assert stub["queries"] == clip["queries"] == filled.catalogue.vectors.count(served)
    assert stub["top"]["1"]["value"] > 0.9  # drawn shapes, which it was made to tell apart
    assert 0 <= found["same_first"] <= 1
    assert clip["ms_per_photo"] > 0
    assert Identifier.open(filled).space.id == served  # only measured

    photos = tmp_path / "known"
    for shape, code in zip(SHAPES, sorted(filled.catalogue.ids_of_codes())[:3], strict=False):
        (photos / code).mkdir(parents=True)
        for seed in range(100, 104):
            (photos / code / f"{seed}.jpg").write_bytes(encode_jpeg(draw(shape, seed), 90))
    arguments = ("encoder", "bench", "stub", "--known", str(photos), "--json")
    done = satchel(filled.folder, *arguments, "--markdown", str(tmp_path / "table.md"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["encoders"][0]["queries"] == 12
    table = (tmp_path / "table.md").read_text()
    assert table.splitlines()[2].startswith("| stub | Apache-2.0 | 0 | 32 |")


def test_too_few_photos_to_compare_on_are_said(workspace: Workspace) -> None:
    done = satchel(workspace.folder, "encoder", "compare", "clip-b16", "lite0")
    assert done.returncode == 2
    assert "expected 10 photos or more" in done.stderr


@pytest.mark.flow
def test_a_network_of_convolutions_is_added_by_timm(filled: Workspace, tmp_path: Path) -> None:
    from satchel.convert.facts import TimmConfig
    from satchel.encode.encoder import Encoder
    from satchel.train.pretrained import pretrained

    options = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
    network = checkpoints.network("convnext_tiny", num_classes=5, **options)
    folder = checkpoints.write_timm(network, tmp_path / "cnn", "convnext_tiny")
    config = json.loads((folder / "config.json").read_text())
    odd = TimmConfig(architecture="convnext_tiny", options={"no": 1})
    with pytest.raises(UsageError, match="correct the config"):
        pretrained(odd, folder / "model.safetensors", side_px=64)
    # What timm itself writes into a config, and what would have it read another file.
    said = {"num_classes": 5, "img_size": 64, "pretrained": True, "checkpoint_path": "other.pth"}
    trained = config["pretrained_cfg"] | {"input_size": [3, 64, 64]}
    changed = config | {"model_args": options | said, "pretrained_cfg": trained}
    (folder / "config.json").write_text(json.dumps(changed))
    for option in (("--before-projection",), ("--about", "about.toml")):
        refused = satchel(filled.folder, "encoder", "add", str(folder), *option)
        assert refused.returncode == 2
        assert f"{option[0]} does not count for this source" in refused.stderr
    done = satchel(filled.folder, "encoder", "add", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["card"]["input_side_px"] == 64
    assert {one["kind"] for one in found["from"]["exports"]} == {"fp32", "fp16", "int8"}
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    own = checkpoints.own_features(network, crops)
    vectors = Encoder.load(encoder_card(filled.models, "cnn")).encode(crops).vectors
    assert (vectors * own).sum(1).min() > 0.97
    assert satchel(filled.folder, "promote", "cnn").returncode == 0


@pytest.mark.flow
def test_an_onnx_file_is_wrapped_with_the_preprocessing_that_is_said(
    filled: Workspace, tmp_path: Path
) -> None:
    from onnx import TensorProto, helper, save

    from satchel.encode.encoder import Encoder

    side = 32
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["x"], ["map"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Flatten", ["map"], ["y"], axis=1),
        ],
        "theirs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, side, side])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 192]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", 3, 8, 8]),
        ],
    )
    folder = tmp_path / "theirs"
    folder.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, str(folder / "pooled.onnx"))
    checkpoints.write_readme(folder, "mit")
    arguments = ("encoder", "add", str(folder / "pooled.onnx"), "--kind", "fp32")
    refused = satchel(filled.folder, *arguments)
    assert refused.returncode == 2
    assert "side_px, mean, std and layout" in refused.stderr
    about = tmp_path / "about.toml"
    said = f"side_px = {side}\nmean = [0.5, 0.4, 0.3]\nstd = [0.2, 0.3, 0.4]\n"
    about.write_text(said)
    for option in (("--side", "64"), ("--before-projection",)):
        refused = satchel(filled.folder, *arguments, "--about", str(about), *option)
        assert refused.returncode == 2
        assert f"{option[0]} does not count for this source" in refused.stderr
    about.write_text(said + 'output = "nothing"\n')
    refused = satchel(filled.folder, *arguments, "--about", str(about))
    assert "got nothing; it has y, map" in refused.stderr
    about.write_text(said + 'saliency = "map"\n')
    done = satchel(filled.folder, *arguments, "--about", str(about))
    assert done.returncode == 0, done.stderr
    encoder = Encoder.load(encoder_card(filled.models, "pooled"))
    crops = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    scaled = (crops / 255 - (0.5, 0.4, 0.3)) / (0.2, 0.3, 0.4)
    cells = scaled.reshape(2, 8, 4, 8, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    expected = cells.reshape(2, -1) / np.linalg.norm(cells.reshape(2, -1), axis=1, keepdims=True)
    seen = encoder.encode(crops)
    assert np.allclose(seen.vectors, expected, atol=1e-5)
    assert np.allclose(seen.saliency, cells.sum(1).clip(0), atol=1e-4)
