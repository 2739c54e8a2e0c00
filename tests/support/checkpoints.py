"""Small image encoders of timm, and checkpoints with their tensors in several layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from satchel.convert.spec import CLIP_MEAN, CLIP_STD
from satchel.train.torchvision_ops import declare_missing_ops

SIDE_PX = 112
WIDTH = 64
SMALL = {"embed_dim": WIDTH, "depth": 3, "num_heads": 4, "img_size": SIDE_PX}


def network(name: str, **options: Any) -> Any:
    """A network of timm with random weights, none of which hides a mistake by being zero or one."""
    declare_missing_ops()
    import timm

    torch.manual_seed(0)
    made = timm.create_model(name, **options).eval()
    generator = torch.Generator().manual_seed(1)
    for key, value in made.named_parameters():
        if value.ndim == 1 or "pos" in key or "token" in key or "latent" in key:
            value.data += 0.3 * torch.randn(value.shape, generator=generator)
        else:
            value.data = torch.randn(value.shape, generator=generator) * value[0].numel() ** -0.5
    return made


def small_clip(quick: bool = True, **options: Any) -> Any:
    name = f"vit_base_patch16_clip_{'quickgelu_' if quick else ''}224"
    made = network(name, **SMALL | {"num_classes": 48} | options)
    if made.num_classes:
        made.head.bias.data.zero_()  # a projection has none; others do not store it
    return made


def small_siglip(**options: Any) -> Any:
    return network("vit_base_patch16_siglip_224", **SMALL | {"num_classes": 0} | options)


def small_pe(**options: Any) -> Any:
    shapes = {"num_classes": 40, "ref_feat_shape": (7, 7), "attn_pool_num_heads": 8}
    return network("vit_pe_core_tiny_patch16_384", **SMALL | shapes | options)


def small_dino(**options: Any) -> Any:
    return network("vit_small_patch14_reg4_dinov2", **SMALL | options)


def small_gap(**options: Any) -> Any:
    return network("vit_base_patch16_siglip_gap_224", **SMALL | {"num_classes": 0} | options)


def own_vectors(made: Any, crops: np.ndarray) -> np.ndarray:
    """Unit vectors of uint8 crops, by timm's own forward."""
    config = made.pretrained_cfg
    mean, std = (np.array(config[name], np.float32) for name in ("mean", "std"))
    scaled = torch.from_numpy((crops / np.float32(255) - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        found: np.ndarray = torch.nn.functional.normalize(made(scaled), dim=1).numpy()
    return found


def own_features(made: Any, crops: np.ndarray) -> np.ndarray:
    """Unit vectors of uint8 crops, by what timm's classifier would get."""
    config = made.pretrained_cfg
    mean, std = (np.array(config[name], np.float32) for name in ("mean", "std"))
    scaled = torch.from_numpy((crops / np.float32(255) - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        seen = made.forward_head(made.forward_features(scaled), pre_logits=True).flatten(1)
        found: np.ndarray = torch.nn.functional.normalize(seen, dim=1).numpy()
    return found


def write_timm(made: Any, folder: Path, name: str, **arguments: Any) -> Path:
    """Save as timm does: model.safetensors and config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous().clone() for key, value in made.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    config = {
        "architecture": name,
        "model_args": {"num_heads": 4, **arguments},
        "pretrained_cfg": {k: made.pretrained_cfg[k] for k in ("mean", "std")},
    }
    (folder / "config.json").write_text(json.dumps(config))
    write_readme(folder, "mit")
    return folder


def write_readme(folder: Path, licence: str) -> None:
    (folder / "README.md").write_text(f"---\nlicense: {licence}\ntags:\n- x\n---\n# Model\n")


def open_clip_tensors(made: Any, prefix: str = "visual.") -> dict[str, torch.Tensor]:
    """CLIP of timm by open_clip's names."""
    state = made.state_dict()
    swaps = (
        ("patch_embed.proj.", "conv1."),
        ("blocks.", "transformer.resblocks."),
        ("norm_pre", "ln_pre"),
        ("norm1", "ln_1"),
        ("norm2", "ln_2"),
        ("attn.qkv.", "attn.in_proj_"),
        ("attn.proj", "attn.out_proj"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
    )
    found = {}
    for key, value in state.items():
        if key == "head.bias":
            continue
        if key == "head.weight":
            found[f"{prefix}proj"] = value.T.contiguous()
            continue
        name = key.replace("norm.", "ln_post.") if key.startswith("norm.") else key
        for old, new in swaps:
            name = name.replace(old, new)
        kept = value
        if key == "cls_token":
            name, kept = "class_embedding", value[0, 0]
        if key == "pos_embed":
            name, kept = "positional_embedding", value[0]
        found[prefix + name] = kept.clone().contiguous()
    return found


def write_open_clip(made: Any, folder: Path, *, quick: bool, dtype: Any = torch.float32) -> Path:
    """Save as open_clip does, with a text encoder that nobody reads."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.to(dtype) for key, value in open_clip_tensors(made).items()}
    tensors["logit_scale"] = torch.tensor(1.0)
    tensors["transformer.resblocks.0.ln_1.weight"] = torch.ones(8)
    tensors["token_embedding.weight"] = torch.ones(8, 8)
    save_file(tensors, folder / "open_clip_model.safetensors")
    config = {
        "model_cfg": {
            "embed_dim": 48,
            "quick_gelu": quick,
            "vision_cfg": {"width": WIDTH, "head_width": WIDTH // 4, "layers": 3},
        },
        "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    write_readme(folder, "mit")
    return folder


def transformers_tensors(made: Any) -> dict[str, torch.Tensor]:
    """CLIP or SigLIP of timm by transformers' names."""
    found: dict[str, torch.Tensor] = {}
    for key, value in made.state_dict().items():
        parts = key.split(".")
        if key == "head.weight":
            found["visual_projection.weight"] = value
            continue
        if key == "head.bias":
            continue
        if ".attn.qkv." in key:
            start = f"encoder.layers.{parts[1]}.self_attn"
            for one, part in zip("qkv", value.chunk(3), strict=True):
                found[f"vision_model.{start}.{one}_proj.{parts[-1]}"] = part
            continue
        name = key
        for old, new in (
            ("blocks.", "encoder.layers."),
            ("patch_embed.proj.", "embeddings.patch_embedding."),
            ("norm_pre.", "pre_layrnorm."),
            (".norm1.", ".layer_norm1."),
            (".norm2.", ".layer_norm2."),
            (".attn.proj.", ".self_attn.out_proj."),
            ("attn_pool.latent", "head.probe"),
            ("attn_pool.proj.", "head.attention.out_proj."),
            ("attn_pool.norm.", "head.layernorm."),
            ("attn_pool.", "head."),
        ):
            name = name.replace(old, new)
        if key.startswith("norm."):
            name = f"post_layernorm.{parts[-1]}"
        kept = value
        if key == "cls_token":
            name, kept = "embeddings.class_embedding", value[0, 0]
        if key == "pos_embed":
            name, kept = "embeddings.position_embedding.weight", value[0]
        found[f"vision_model.{name}"] = kept
    for part in ("weight", "bias"):
        if (query := found.pop(f"vision_model.head.q.{part}", None)) is not None:
            both = [query, found.pop(f"vision_model.head.kv.{part}")]
            found[f"vision_model.head.attention.in_proj_{part}"] = torch.cat(both)
    return {key: value.clone().contiguous() for key, value in found.items()}


def write_transformers(made: Any, folder: Path, kind: str, activation: str) -> Path:
    """Save as transformers does, which leaves out what is the default."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(transformers_tensors(made), folder / "model.safetensors")
    vision = {"num_attention_heads": 4, "hidden_act": activation}
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "vision_config": vision}))
    colours = {f"image_{name}": made.pretrained_cfg[name] for name in ("mean", "std")}
    (folder / "preprocessor_config.json").write_text(json.dumps(colours))
    write_readme(folder, "apache-2.0")
    return folder


def write_dino(made: Any, folder: Path) -> Path:
    """DINOv2 of timm as transformers names it."""
    folder.mkdir(parents=True, exist_ok=True)
    state, found = made.state_dict(), {}
    for key, value in state.items():
        parts = key.split(".")
        if ".attn.qkv." in key:
            for one, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                name = f"encoder.layer.{parts[1]}.attention.attention.{one}.{parts[-1]}"
                found[name] = part
            continue
        name = key
        for old, new in (
            ("blocks.", "encoder.layer."),
            ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
            (".attn.proj.", ".attention.output.dense."),
            (".ls1.gamma", ".layer_scale1.lambda1"),
            (".ls2.gamma", ".layer_scale2.lambda1"),
            ("cls_token", "embeddings.cls_token"),
            ("reg_token", "embeddings.register_tokens"),
        ):
            name = name.replace(old, new)
        if key.startswith("norm."):
            name = f"layernorm.{parts[-1]}"
        kept = value
        if key == "pos_embed":  # with a class token's place, which timm has added to the token
            name = "embeddings.position_embeddings"
            kept = torch.cat([torch.zeros(1, 1, value.shape[-1]), value], 1)
        found[name] = kept
    found["embeddings.mask_token"] = torch.zeros(1, WIDTH)
    save_file({k: v.clone().contiguous() for k, v in found.items()}, folder / "model.safetensors")
    config = {"model_type": "dinov2_with_registers", "num_attention_heads": 4, "hidden_act": "gelu"}
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    colours = {f"image_{name}": made.pretrained_cfg[name] for name in ("mean", "std")}
    (folder / "preprocessor_config.json").write_text(json.dumps(colours))
    write_readme(folder, "apache-2.0")
    return folder
