"""TFLite's published schema (version 3, file identifier TFL3), written with FlatBuffers.

The same graph always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_nas.export.tflite_graph import Option, TfliteGraph, TfliteOp, TfliteTensor

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16
"""Of constants in the file, so that kernels may load words from it where it lies in flash."""

_OPTIONS = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "RESHAPE": "ReshapeOptions",
}
_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "RESHAPE": 1}
"""Versions of the operators that have int8 (per channel for convolutions); 2 for the others."""
_ENUMS = {"Padding": "Padding", "FusedActivationFunction": "ActivationFunctionType"}

Offset = Any


def serialise(graph: TfliteGraph, description: str, metadata: Mapping[str, bytes]) -> bytes:
    """A TFLite file.

    Args:
        graph: what it computes.
        description: one line for people.
        metadata: named blobs; runtimes pass over names that they do not know.
    """
    return _Writer(graph).model(description, metadata)


class _Writer:
    def __init__(self, graph: TfliteGraph) -> None:
        import flatbuffers
        import tflite

        self.t: Any = tflite
        self.b: Any = flatbuffers.Builder(1 << 20)
        self.graph = graph
        self.kinds = tuple(dict.fromkeys(op.kind for op in graph.ops))
        self.blobs: list[bytes] = [b""]  # by convention, buffer 0 is that of computed tensors

    def model(self, description: str, metadata: Mapping[str, bytes]) -> bytes:
        b = self.b
        subgraph = self._subgraph()
        codes = self._tables([self._operator_code(kind) for kind in self.kinds])
        entries = [self._metadata(name, blob) for name, blob in metadata.items()]
        notes = self._tables(entries)
        text = b.CreateString(description)
        subgraphs = self._tables([subgraph])
        buffers = self._tables([self._buffer(blob) for blob in self.blobs])
        self.t.ModelStart(b)
        self.t.ModelAddVersion(b, SCHEMA_VERSION)
        self.t.ModelAddOperatorCodes(b, codes)
        self.t.ModelAddSubgraphs(b, subgraphs)
        self.t.ModelAddDescription(b, text)
        self.t.ModelAddBuffers(b, buffers)
        self.t.ModelAddMetadata(b, notes)
        b.Finish(self.t.ModelEnd(b), file_identifier=IDENTIFIER)
        return bytes(b.Output())

    # -- parts

    def _subgraph(self) -> Offset:
        b, graph = self.b, self.graph
        tensors = self._tables([self._tensor(tensor) for tensor in graph.tensors])
        ops = self._tables([self._operator(op) for op in graph.ops])
        inputs, outputs = self._int32([graph.entry]), self._int32([graph.result])
        name = b.CreateString("main")
        self.t.SubGraphStart(b)
        self.t.SubGraphAddTensors(b, tensors)
        self.t.SubGraphAddInputs(b, inputs)
        self.t.SubGraphAddOutputs(b, outputs)
        self.t.SubGraphAddOperators(b, ops)
        self.t.SubGraphAddName(b, name)
        return self.t.SubGraphEnd(b)

    def _tensor(self, tensor: TfliteTensor) -> Offset:
        b = self.b
        name, shape = b.CreateString(tensor.name), self._int32(tensor.shape)
        quantisation = None if tensor.scales is None else self._quantisation(tensor)
        data = tensor.data
        integers = data is not None and data.dtype == np.int32
        buffer = 0 if data is None else self._blob(data.astype(data.dtype.newbyteorder("<")))
        self.t.TensorStart(b)
        self.t.TensorAddShape(b, shape)
        self.t.TensorAddType(b, self.t.TensorType.INT32 if integers else self.t.TensorType.INT8)
        self.t.TensorAddBuffer(b, buffer)
        self.t.TensorAddName(b, name)
        if quantisation is not None:
            self.t.TensorAddQuantization(b, quantisation)
        return self.t.TensorEnd(b)

    def _quantisation(self, tensor: TfliteTensor) -> Offset:
        b, scales = self.b, tensor.scales
        assert scales is not None
        numbers = b.CreateNumpyVector(scales.astype("<f4"))
        zeros = b.CreateNumpyVector(np.full(len(scales), tensor.zero, "<i8"))
        self.t.QuantizationParametersStart(b)
        self.t.QuantizationParametersAddScale(b, numbers)
        self.t.QuantizationParametersAddZeroPoint(b, zeros)
        self.t.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
        return self.t.QuantizationParametersEnd(b)

    def _operator(self, op: TfliteOp) -> Offset:
        b, table = self.b, _OPTIONS[op.kind]
        options = self._options(table, op.options)
        inputs, outputs = self._int32(op.inputs), self._int32([op.output])
        self.t.OperatorStart(b)
        self.t.OperatorAddOpcodeIndex(b, self.kinds.index(op.kind))
        self.t.OperatorAddInputs(b, inputs)
        self.t.OperatorAddOutputs(b, outputs)
        self.t.OperatorAddBuiltinOptionsType(b, getattr(self.t.BuiltinOptions, table))
        self.t.OperatorAddBuiltinOptions(b, options)
        return self.t.OperatorEnd(b)

    def _options(self, table: str, options: Mapping[str, Option]) -> Offset:
        fields = {name: self._value(name, value) for name, value in options.items()}
        getattr(self.t, f"{table}Start")(self.b)
        for name, value in fields.items():
            getattr(self.t, f"{table}Add{name}")(self.b, value)
        return getattr(self.t, f"{table}End")(self.b)

    def _value(self, name: str, value: Option) -> Any:
        if isinstance(value, tuple):
            return self._int32(value)
        return getattr(getattr(self.t, _ENUMS[name]), value) if isinstance(value, str) else value

    def _operator_code(self, kind: str) -> Offset:
        b, code = self.b, getattr(self.t.BuiltinOperator, kind)
        self.t.OperatorCodeStart(b)
        self.t.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))  # older readers know this
        self.t.OperatorCodeAddVersion(b, _VERSIONS.get(kind, 2))
        self.t.OperatorCodeAddBuiltinCode(b, code)
        return self.t.OperatorCodeEnd(b)

    def _metadata(self, name: str, blob: bytes) -> Offset:
        b = self.b
        text, buffer = b.CreateString(name), self._blob(blob)
        self.t.MetadataStart(b)
        self.t.MetadataAddName(b, text)
        self.t.MetadataAddBuffer(b, buffer)
        return self.t.MetadataEnd(b)

    # -- vectors

    def _blob(self, data: Any) -> int:
        self.blobs.append(data if isinstance(data, bytes) else data.tobytes())
        return len(self.blobs) - 1

    def _buffer(self, blob: bytes) -> Offset:
        b = self.b
        data = None
        if blob:
            b.StartVector(1, len(blob), DATA_ALIGNMENT)
            b.head -= len(blob)
            b.Bytes[b.head : b.head + len(blob)] = blob
            data = b.EndVector()
        self.t.BufferStart(b)
        if data is not None:
            self.t.BufferAddData(b, data)
        return self.t.BufferEnd(b)

    def _int32(self, values: Sequence[int]) -> Offset:
        return self.b.CreateNumpyVector(np.array(values, "<i4"))

    def _tables(self, offsets: Sequence[Offset]) -> Offset:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return self.b.EndVector()
