"""The built-in encoder: CLIP's image encoder in int8."""
