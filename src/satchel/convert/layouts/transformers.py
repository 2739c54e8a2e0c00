"""transformers' names: of CLIP and SigLIP, and of DINOv2."""

from __future__ import annotations

from typing import Final

from satchel.convert.layouts.layout import Keys, Layout, joined_qkv, layer, norm

_BLOCK: Final[Keys] = {
    **norm("ln1", "layer_norm1"),
    **joined_qkv("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    **layer("out", "self_attn.out_proj"),
    **norm("ln2", "layer_norm2"),
    **layer("fc1", "mlp.fc1"),
    **layer("fc2", "mlp.fc2"),
}

TRANSFORMERS: Final = Layout(
    name="transformers",
    mark="embeddings.patch_embedding.weight",
    prefixes=("vision_model.", ""),
    always={
        "patch": "embeddings.patch_embedding.weight",
        "position": "embeddings.position_embedding.weight",
        **norm("post", "post_layernorm"),
    },
    groups=(
        {"patch.b": "embeddings.patch_embedding.bias"},
        {"class": "embeddings.class_embedding"},
        norm("pre", "pre_layrnorm"),  # so it is spelt there
        {"projection.w": "/visual_projection.weight"},
        {
            "pool.probe": "head.probe",
            "pool.qkv.w": "head.attention.in_proj_weight",
            "pool.qkv.b": "head.attention.in_proj_bias",
            **layer("pool.out", "head.attention.out_proj"),
            **norm("pool.ln", "head.layernorm"),
            **layer("pool.fc1", "head.mlp.fc1"),
            **layer("pool.fc2", "head.mlp.fc2"),
        },
    ),
    block="encoder.layers.{i}.",
    in_block=_BLOCK,
    ignored=r"embeddings\.position_ids$|text_model\.|text_projection|logit_",
)

DINO: Final = Layout(
    name="transformers DINOv2",
    mark="embeddings.patch_embeddings.projection.weight",
    prefixes=("dinov2.", "dinov2_with_registers.", ""),
    always={
        "patch": "embeddings.patch_embeddings.projection.weight",
        "patch.b": "embeddings.patch_embeddings.projection.bias",
        "class": "embeddings.cls_token",
        "position": "embeddings.position_embeddings",
        **norm("post", "layernorm"),
    },
    groups=({"registers": "embeddings.register_tokens"},),
    block="encoder.layer.{i}.",
    in_block={
        **norm("ln1", "norm1"),
        **joined_qkv(*(f"attention.attention.{one}" for one in ("query", "key", "value"))),
        **layer("out", "attention.output.dense"),
        "scale1": "layer_scale1.lambda1",
        **norm("ln2", "norm2"),
        **layer("fc1", "mlp.fc1"),
        **layer("fc2", "mlp.fc2"),
        "scale2": "layer_scale2.lambda1",
    },
    ignored=r"embeddings\.mask_token$",
)
