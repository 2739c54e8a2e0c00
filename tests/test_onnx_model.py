"""Where models are computed."""

from __future__ import annotations

import onnxruntime
import pytest

from satchel.onnx_model import CPU, CUDA, providers
from support.stub_encoder import stub_model


def test_a_gpu_computes_what_it_has_forms_of(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, small = stub_model(), stub_model() + b"MatMulIntegerToFloat"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert providers(whole) == providers(small) == [CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    assert providers(whole) == [CUDA, CPU]
    assert providers(small) == [CPU]
