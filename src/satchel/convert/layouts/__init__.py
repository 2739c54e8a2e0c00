"""Layouts of checkpoints: names of timm, open_clip and transformers → our names of weights.

A layout is recognised by its names. Every name has to be accounted for: what is missing, and what
nobody expects, means another architecture, and is refused by name instead of giving vectors that
are a little wrong.
"""
