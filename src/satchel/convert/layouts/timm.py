"""timm's names: CLIP, SigLIP, Perception Encoder and DINOv2."""

from __future__ import annotations

from typing import Final

from satchel.convert.layouts.layout import Layout, layer, norm

TIMM: Final = Layout(
    name="timm",
    mark="patch_embed.proj.weight",
    prefixes=("visual.trunk.", "module.visual.trunk.", "trunk.", ""),
    always={"patch": "patch_embed.proj.weight", "position": "pos_embed"},
    groups=(
        {"patch.b": "patch_embed.proj.bias"},
        {"class": "cls_token"},
        {"registers": "reg_token"},
        norm("pre", "norm_pre"),
        norm("post", "norm"),
        norm("fc", "fc_norm"),
        {
            "pool.probe": "attn_pool.latent",
            **layer("pool.q", "attn_pool.q"),
            **layer("pool.kv", "attn_pool.kv"),
            **layer("pool.out", "attn_pool.proj"),
            **norm("pool.ln", "attn_pool.norm"),
            **layer("pool.fc1", "attn_pool.mlp.fc1"),
            **layer("pool.fc2", "attn_pool.mlp.fc2"),
        },
        {"head.w": "head.weight", "head.b": "head.bias"},
        {"projection.w": "/visual.head.proj.weight"},
    ),
    block="blocks.{i}.",
    in_block={
        **norm("ln1", "norm1"),
        **layer("qkv", "attn.qkv"),
        **layer("out", "attn.proj"),
        **norm("ln2", "norm2"),
        **layer("fc1", "mlp.fc1"),
        **layer("fc2", "mlp.fc2"),
    },
    block_groups=({"scale1": "ls1.gamma", "scale2": "ls2.gamma"},),
    ignored=r"mask_token$|rope\.",
)
