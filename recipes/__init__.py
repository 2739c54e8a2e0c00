"""Recipes that build the model files that ship. Not part of the wheel."""

import satchel  # noqa: F401 - before ONNX Runtime: it turns off what that reports to its maker
