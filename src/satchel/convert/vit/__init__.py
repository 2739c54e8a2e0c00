"""Image encoders of the ViT family → an ONNX graph that is fast on processors.

One writer for all of them: CLIP and TinyCLIP, SigLIP and SigLIP 2, PE-Core, DINOv2.

- What a photo's colours are reduced by is part of the patches' weights: the input is bytes.
- Crops may have any sides that are whole multiples of the patch: learned positions are resampled
  from the grid that the model was trained with, rotary ones are computed.
- Where the class token is the output, the last block computes it alone: nothing else of it is read.
- Attention pooling takes the learned query into the keys' weights, and the values' weights behind
  the sum over tokens: both are linear, so it costs next to nothing.
- Local features are the patches with the most attention, in their first principal axes.

With ranges, layers are computed in int8: inputs have fixed scales, so that a photo's vector does
not depend on its neighbours in a batch; those of the second layer of each MLP, whose tokens differ
most, are divided by each token's maximum.

The graph uses operators that ONNX Runtime has fused forms of (domain `com.microsoft`).
"""
