"""open_clip's names, which are those of CLIP itself."""

from __future__ import annotations

from typing import Final

from satchel.convert.layouts.layout import Layout, layer, norm

OPEN_CLIP: Final = Layout(
    name="open_clip",
    mark="conv1.weight",
    prefixes=("visual.", "module.visual.", ""),
    always={
        "patch": "conv1.weight",
        "position": "positional_embedding",
        **norm("post", "ln_post"),
    },
    groups=(
        {"patch.b": "conv1.bias"},
        {"class": "class_embedding"},
        norm("pre", "ln_pre"),
        {"projection": "proj"},
        {
            "pool.probe": "attn_pool.probe",
            "pool.qkv.w": "attn_pool.attn.in_proj_weight",
            "pool.qkv.b": "attn_pool.attn.in_proj_bias",
            **layer("pool.out", "attn_pool.attn.out_proj"),
            **norm("pool.ln", "attn_pool.layernorm"),
            **layer("pool.fc1", "attn_pool.mlp.c_fc"),
            **layer("pool.fc2", "attn_pool.mlp.c_proj"),
        },
    ),
    block="transformer.resblocks.{i}.",
    in_block={
        **norm("ln1", "ln_1"),
        "qkv.w": "attn.in_proj_weight",
        "qkv.b": "attn.in_proj_bias",
        **layer("out", "attn.out_proj"),
        **norm("ln2", "ln_2"),
        **layer("fc1", "mlp.c_fc"),
        **layer("fc2", "mlp.c_proj"),
    },
    block_groups=({"scale1": "ls_1.gamma", "scale2": "ls_2.gamma"},),
    # Of a file without a prefix, the names of the text encoder are in between.
    ignored=r"token_embedding\.|ln_final\.|text|logit_|input_resolution|context_length|vocab_size",
)
