"""How a library names the tensors of an image encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Keys = Mapping[str, str | tuple[str, ...]]
"""Our name → theirs; several are joined along their first axis. A leading / is of the whole file;
other names follow the layout's prefix."""


def layer(ours: str, theirs: str) -> dict[str, str]:
    """Names of a linear layer."""
    return {f"{ours}.w": f"{theirs}.weight", f"{ours}.b": f"{theirs}.bias"}


def norm(ours: str, theirs: str) -> dict[str, str]:
    """Names of a normalisation."""
    return {f"{ours}.g": f"{theirs}.weight", f"{ours}.b": f"{theirs}.bias"}


def joined_qkv(*names: str) -> dict[str, tuple[str, ...]]:
    """Names of queries, keys and values, where each is a layer of its own: ours is one."""
    return {
        f"qkv.{part}": tuple(f"{name}.{end}" for name in names)
        for part, end in (("w", "weight"), ("b", "bias"))
    }


@dataclass(frozen=True)
class Layout:
    """How a library names the tensors of an image encoder.

    Attributes:
        mark: a name that no other layout has.
        prefixes: before every name, the first that fits; all names behind it count.
        always: tensors of every model.
        groups: of some models: all of a group, or none.
        block: what precedes the names of block i; `{i}` is its number.
        in_block, block_groups: as `always` and `groups`, of every block.
        ignored: a pattern of names that no image encoder needs.
    """

    name: str
    mark: str
    prefixes: tuple[str, ...]
    always: Keys
    groups: tuple[Keys, ...]
    block: str
    in_block: Keys
    block_groups: tuple[Keys, ...] = ()
    ignored: str = "(?!)"
