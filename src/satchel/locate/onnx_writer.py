"""Write ONNX models without the `onnx` package, which the base install does without.

The few messages of `onnx.proto` that a network of layers needs, in the wire format of Protocol
Buffers. Messages are lists of chunks, joined once, so that weights are not copied at each level.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

OPSET: Final = 17
IR_VERSION: Final = 8

FLOAT: Final = 1
"""`TensorProto.FLOAT`."""

ELEMENT_TYPES: Final = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): 7}

ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_STRING, ATTRIBUTE_INTS = 1, 2, 3, 7

Chunks = list[bytes]


class GraphWriter:
    """Collects the nodes of a graph; values are known by names that it gives."""

    def __init__(self) -> None:
        self._nodes: Chunks = []
        self._constants: Chunks = []
        self._count = 0

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a tensor of float32 or int64."""
        name = self._new_name()
        data = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        self._constants += _message(
            5,
            [
                *(chunk for side in value.shape for chunk in _varint(1, side)),
                *_varint(2, ELEMENT_TYPES[value.dtype]),
                *_bytes(8, name.encode()),
                *_bytes(9, data.tobytes()),
            ],
        )
        return name

    def ints(self, *values: int) -> str:
        """Add a vector of int64."""
        return self.constant(np.array(values, np.int64))

    def node(
        self, operator: str, *inputs: str, output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node with one output, and return the output's name.

        Args:
            inputs: names of values; "" for one that is left out.
            output: its name; default, a new one.
            attributes: int, float, str or a sequence of int.
        """
        output = output or self._new_name()
        self._nodes += _message(
            1,
            [
                *(chunk for name in inputs for chunk in _bytes(1, name.encode())),
                *_bytes(2, output.encode()),
                *_bytes(4, operator.encode()),
                *(chunk for one in attributes.items() for chunk in _attribute(*one)),
            ],
        )
        return output

    def model(
        self,
        inputs: Mapping[str, Sequence[int]],
        outputs: Mapping[str, Sequence[int]],
        *,
        producer: str,
    ) -> bytes:
        """Return the model's bytes.

        Args:
            inputs, outputs: names → shapes; all are float32.
        """
        graph = [
            *self._nodes,
            *_bytes(2, b"graph"),
            *self._constants,
            *(chunk for one in inputs.items() for chunk in _message(11, _value_info(*one))),
            *(chunk for one in outputs.items() for chunk in _message(12, _value_info(*one))),
        ]
        chunks = [
            *_varint(1, IR_VERSION),
            *_bytes(2, producer.encode()),
            *_message(7, graph),
            *_message(8, [*_bytes(1, b""), *_varint(2, OPSET)]),
        ]
        return b"".join(chunks)

    def _new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"


def _attribute(name: str, value: object) -> Chunks:
    match value:
        case int():
            body = [*_varint(3, value), *_varint(20, ATTRIBUTE_INT)]
        case float():
            body = [_tag(2, 5), struct.pack("<f", value), *_varint(20, ATTRIBUTE_FLOAT)]
        case str():
            body = [*_bytes(4, value.encode()), *_varint(20, ATTRIBUTE_STRING)]
        case Sequence():
            body = [chunk for one in value for chunk in _varint(8, one)]
            body += _varint(20, ATTRIBUTE_INTS)
        case _:
            raise TypeError(f"expected int, float, str or ints, got {value!r}")
    return _message(5, [*_bytes(1, name.encode()), *body])


def _value_info(name: str, shape: Sequence[int]) -> Chunks:
    sides = [chunk for side in shape for chunk in _message(1, _varint(1, side))]
    tensor = [*_varint(1, FLOAT), *_message(2, sides)]
    return [*_bytes(1, name.encode()), *_message(2, _message(1, tensor))]


# -- wire format -----------------------------------------------------------------------------------


def _message(field: int, chunks: Iterable[bytes]) -> Chunks:
    body = list(chunks)
    return [_tag(field, 2), _encoded(sum(map(len, body))), *body]


def _bytes(field: int, data: bytes) -> Chunks:
    return [_tag(field, 2), _encoded(len(data)), data]


def _varint(field: int, value: int) -> Chunks:
    return [_tag(field, 0), _encoded(value)]


def _tag(field: int, wire_type: int) -> bytes:
    return _encoded(field << 3 | wire_type)


def _encoded(value: int) -> bytes:
    """A number in groups of seven bits, lowest first; a negative one as two's complement."""
    value &= (1 << 64) - 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
