"""Sources of encoders: names, licences, files that are not what they should be."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from satchel.convert.checkpoint import Checkpoint, only_checkpoint
from satchel.convert.facts import read_facts
from satchel.convert.layouts.find import find
from satchel.convert.licence import read_licence
from satchel.convert.sources import default_name, repository, resolve
from satchel.errors import EncoderError, UsageError


def tensors() -> dict[str, np.ndarray]:
    """An image encoder of open_clip's names, of one block."""
    width, rng = 8, np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, 3, 4, 4),
        "class_embedding": (width,),
        "positional_embedding": (5, width),
    }
    for norm in (
        "ln_pre",
        "ln_post",
        "transformer.resblocks.0.ln_1",
        "transformer.resblocks.0.ln_2",
    ):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for layer, shape in (
        ("attn.in_proj_", (3 * width, width)),
        ("attn.out_proj.", (width, width)),
        ("mlp.c_fc.", (2 * width, width)),
        ("mlp.c_proj.", (width, 2 * width)),
    ):
        shapes[f"transformer.resblocks.0.{layer}weight"] = shape
        shapes[f"transformer.resblocks.0.{layer}bias"] = shape[:1]
    return {
        f"visual.{name}": rng.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tensors(), path)
    return path


def test_tensors_are_read_one_by_one(file: Path) -> None:
    found = Checkpoint(file)
    for name, values in tensors().items():
        assert found.shapes[name] == values.shape
        assert np.array_equal(found.read(name), values)


@pytest.mark.parametrize("kept", [3, 9, 200, -1])
def test_a_part_of_a_file_is_refused(file: Path, kept: int) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:kept])
    with pytest.raises(EncoderError, match=r"not whole.*fetch it again|expected a safetensors"):
        Checkpoint(file)


def test_more_than_the_header_says_is_refused(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(EncoderError, match="damaged: its header says"):
        Checkpoint(file)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{}",
        b"{",
        json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}).encode(),
        json.dumps({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}).encode(),
        json.dumps(
            {"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}}
        ).encode(),
        json.dumps({"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}).encode(),
        json.dumps({"a": {"dtype": "F32", "shape": [1] * 99, "data_offsets": [0, 4]}}).encode(),
        json.dumps(
            {
                name: {"dtype": "F32", "shape": [2], "data_offsets": [begin, begin + 8]}
                for name, begin in (("a", 0), ("b", 4))
            }
        ).encode(),
        b"[" * 100_000,
    ],
)
def test_headers_that_cannot_be_are_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 12)
    with pytest.raises(EncoderError):
        Checkpoint(path)


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    path.write_bytes((1 << 40).to_bytes(8, "little"))
    with pytest.raises(EncoderError, match="expected a safetensors file"):
        Checkpoint(path)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.safetensors"
    save_file({"a": np.array([1, np.nan], np.float32)}, path)
    with pytest.raises(EncoderError, match="not finite"):
        Checkpoint(path).read("a")


class Harmful:
    ran = False

    def __reduce__(self) -> Any:
        return exec, ("from convert_marks import never",)


def test_pickles_are_refused_and_not_opened(tmp_path: Path) -> None:
    plain = tmp_path / "pytorch_model.bin"
    plain.write_bytes(pickle.dumps(Harmful()))
    renamed = tmp_path / "renamed.safetensors"
    renamed.write_bytes(plain.read_bytes())
    script = tmp_path / "scripted.pt"
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("archive/code/__torch__.py", "")
    for path in (plain, renamed, script):
        with pytest.raises(EncoderError, match=r"pickle or TorchScript.*safetensors file of the"):
            resolve(str(path))
    renamed.unlink()
    with pytest.raises(EncoderError, match="pickle"):  # a folder that has nothing else
        only_checkpoint(tmp_path)


def test_another_hash_is_refused(file: Path) -> None:
    with pytest.raises(EncoderError, match=r"expected SHA-256 0{64}, got [0-9a-f]{64}"):
        resolve(str(file), sha256="0" * 64)
    found = resolve(str(file))
    assert resolve(str(file), sha256=found.provenance.files[0].sha256.upper()).file == file


def test_missing_and_unexpected_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    given = tensors()
    save_file(given, path)
    assert find(Checkpoint(path)).blocks == 1
    missing = "visual.transformer.resblocks.0.mlp.c_fc.bias"
    save_file({name: one for name, one in given.items() if name != missing}, path)
    with pytest.raises(EncoderError, match=rf"1 missing \({missing}\); none unexpected"):
        find(Checkpoint(path))
    save_file(given | {"visual.transformer.resblocks.0.gate": np.ones(2, np.float32)}, path)
    with pytest.raises(EncoderError, match=r"none missing; 1 unexpected \(visual.*gate\)"):
        find(Checkpoint(path))
    save_file({"fc.weight": np.ones((2, 2), np.float32)}, path)
    with pytest.raises(EncoderError, match=r"has no image encoder that is known.*fc\.weight"):
        find(Checkpoint(path))


def test_what_tensors_do_not_show_has_to_be_said(file: Path, tmp_path: Path) -> None:
    from satchel.convert.layouts.architecture import spec_of

    found = find(Checkpoint(file))
    with pytest.raises(
        UsageError, match="does not show activation, mean, std, heads: put its config"
    ):
        spec_of(found, read_facts(tmp_path, "open_clip"))
    about = tmp_path / "about.toml"
    about.write_text('heads = 2\nactivation = "gelu"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n')
    spec = spec_of(found, read_facts(tmp_path, "open_clip", about))
    assert (spec.heads, spec.activation, spec.grid, spec.pool) == (2, "gelu", 2, "token")
    about.write_text('haeds = 2\nactivation = "gelu"\n')
    with pytest.raises(UsageError, match="did you mean heads"):
        read_facts(tmp_path, "open_clip", about)


@pytest.mark.parametrize(
    ("layout", "name", "config", "told"),
    [
        ("timm", "config.json", {"architecture": 5}, "architecture"),
        ("timm", "config.json", {"architecture": "x", "model_args": [1]}, "model_args"),
        ("timm", "config.json", {"architecture": "x", "pretrained_cfg": "no"}, "pretrained_cfg"),
        ("timm", "config.json", {"architecture": "x", "pretrained_cfg": {"mean": "a"}}, "mean"),
        (
            "timm",
            "config.json",
            {"architecture": "x", "pretrained_cfg": {"input_size": 224}},
            "input_size",
        ),
        (
            "timm",
            "config.json",
            {"architecture": "x", "model_args": {"num_heads": "four"}},
            "heads",
        ),
        (
            "timm",
            "config.json",
            {"architecture": "x", "model_args": {"act_layer": "silu"}},
            "'silu' of the config is not supported",
        ),
        ("transformers", "config.json", {"vision_config": 3}, "vision_config"),
        ("transformers", "config.json", {"hidden_act": ["gelu"]}, "activation"),
        ("transformers", "preprocessor_config.json", {"image_std": [1, 1]}, "std"),
        ("open_clip", "open_clip_config.json", {"model_cfg": [1]}, "model_cfg"),
        (
            "open_clip",
            "open_clip_config.json",
            {"model_cfg": {"vision_cfg": {"width": "768"}}},
            "width of '768'",
        ),
        ("open_clip", "open_clip_config.json", [], "expected a JSON object"),
    ],
)
def test_configs_that_say_what_cannot_be_are_refused(
    tmp_path: Path, layout: str, name: str, config: Any, told: str
) -> None:
    (tmp_path / name).write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=told):
        read_facts(tmp_path, layout)


def test_an_image_encoder_beyond_what_an_onnx_file_holds_is_refused(tmp_path: Path) -> None:
    from satchel.convert.layouts.architecture import spec_of

    header, end = {}, 0
    for name, one in tensors().items():
        shape = tuple(side * 2_600 if side % 8 == 0 else side for side in one.shape)
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    written = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(len(written).to_bytes(8, "little") + written)
        file.truncate(8 + len(written) + end)  # sparse: nothing of it is on the disk
    about = tmp_path / "about.toml"
    about.write_text('heads = 2\nactivation = "gelu"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n')
    with pytest.raises(EncoderError, match=r"million numbers: expected 520 million at most"):
        spec_of(find(Checkpoint(path)), read_facts(tmp_path, "open_clip", about))


@pytest.mark.parametrize(
    ("readme", "licence", "name", "permissive"),
    [
        ("---\nlicense: mit\n---\n", None, "mit", True),
        ("---\ntags:\n- a\nlicense: Apache-2.0\n---\n", None, "apache-2.0", True),
        (
            "---\nlicense: other\nlicense_name: fair-noncommercial\n---\n",
            None,
            "fair-noncommercial",
            False,
        ),
        ("---\nlicense: cc-by-nc-4.0\n---\n", None, "cc-by-nc-4.0", False),
        ("# no front matter\nlicense: mit\n", None, "unknown", False),
        ("", "Permission is hereby granted, free of charge, to any person", "mit", True),
        (
            "",
            "                    Apache License\n                 Version 2.0, Jan",
            "apache-2.0",
            True,
        ),
        ("", "You may look, and not touch.", "unknown", False),
        ("", None, "unknown", False),
    ],
)
def test_licences_are_read_from_the_card(
    tmp_path: Path, readme: str, licence: str | None, name: str, permissive: bool
) -> None:
    (tmp_path / "README.md").write_text(readme)
    if licence:
        (tmp_path / "LICENSE").write_text(licence)
    found = read_licence(tmp_path)
    assert (found.name, found.permissive) == (name, permissive)


@pytest.mark.parametrize(
    ("given", "repo", "revision", "name"),
    [
        ("hf-hub:org/Model-B@abc", "org/Model-B", "abc", "Model-B"),
        ("timm:vit_x.tag", "timm/vit_x.tag", None, "vit_x.tag"),
        (
            "open_clip:ViT-B-16/openai",
            "timm/vit_base_patch16_clip_224.openai",
            None,
            "ViT-B-16-openai",
        ),
    ],
)
def test_names_of_hubs(given: str, repo: str, revision: str | None, name: str) -> None:
    assert repository(given) == (repo, revision)
    assert default_name(given) == name


@pytest.mark.parametrize("given", ["hf-hub:model", "hf-hub:a/b/c", "hf-hub:../b", "open_clip:x/y"])
def test_names_that_are_none(given: str) -> None:
    with pytest.raises(UsageError):
        repository(given)


class Hub:
    """A hub that has these files of one repository, in place of Hugging Face's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hub = pytest.importorskip("huggingface_hub", reason="needs the encoders extra")
        self.folder, self.asked = folder, list[str]()
        self.lfs: dict[str, Any] = {}
        monkeypatch.setattr(hub.HfApi, "model_info", self.model_info)
        monkeypatch.setattr(hub, "hf_hub_download", self.download)

    def model_info(self, repo: str, **_: Any) -> Any:
        siblings = [
            SimpleNamespace(rfilename=one.name, size=one.stat().st_size, lfs=self.lfs or None)
            for one in self.folder.iterdir()
        ]
        return SimpleNamespace(sha="c0ffee", siblings=siblings)

    def download(self, repo: str, name: str, *, revision: str) -> str:
        assert revision == "c0ffee"  # pinned, whatever was asked for
        self.asked.append(name)
        return str(self.folder / name)


def test_what_is_fetched_is_pinned(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    hub = Hub(tmp_path, monkeypatch)
    found = resolve("hf-hub:org/model@main")
    assert found.provenance.revision == "c0ffee"
    assert found.provenance.pinned == "hf-hub:org/model@c0ffee"  # not the branch, which moves on
    assert hub.asked == ["model.safetensors", "README.md"]
    assert found.provenance.licence.name == "mit"
    hub.lfs = {"sha256": "0" * 64}
    with pytest.raises(EncoderError, match="not what the hub has"):
        resolve("hf-hub:org/model")
    file.unlink()
    with pytest.raises(EncoderError, match=r"has none of .*pytorch_model\.bin, which can run code"):
        resolve("hf-hub:org/model")


def test_without_a_network_it_says_what_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="needs the encoders extra")

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(hub.HfApi, "model_info", unreachable)
    with pytest.raises(UsageError, match=r"hf download org/model --local-dir model .*encoder add"):
        resolve("hf-hub:org/model")
