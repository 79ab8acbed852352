"""A network in either precision as part of an ONNX graph, and what of it others read."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid_nas.errors import InputError
from hybrid_nas.export.network import ExportedNetwork, Precision
from hybrid_nas.export.onnx_float import image_input, normalised, write_float
from hybrid_nas.export.onnx_int8 import Int8Writer
from hybrid_nas.onnx_writer import OnnxWriter
from hybrid_nas.quantise.int8_graph import Int8Graph


class BaseNodes:
    """A network's nodes; nodes of its outputs are appended as they are asked for.

    Args:
        writer: where to; the graph must not have an ``image`` yet.
        network: what to write.
        precision: of its operators.
        cuts: operators whose pooled outputs are ``stage1`` and so on.

    Raises:
        InputError: the network has no int8 version and that is asked for.
    """

    def __init__(
        self,
        writer: OnnxWriter,
        network: ExportedNetwork,
        precision: Precision,
        cuts: Sequence[int] = (),
    ) -> None:
        self._writer, self._network = writer, network
        self._int8: Int8Writer | None = None
        image = image_input(writer, network.architecture.input_shape)
        if precision == "int8":
            self._int8 = Int8Writer(writer, int8_of(network))
            self._wires = self._int8.write(self._int8.image(image))
        else:
            self._wires = write_float(writer, network.float_ops, normalised(writer, image))
        last = len(network.float_ops) - 1
        self._places = {"scores": last, "features": last - network.float_ops[-1].spec.source}
        self._places |= {f"stage{number}": cut for number, cut in enumerate(cuts, 1)}

    @property
    def outputs(self) -> dict[str, int]:
        """Widths of what there is to read, by name: float32 (1, width)."""
        return {name: self._wires[index].shape[0] for name, index in self._places.items()}

    def output(self, name: str) -> str:
        """Append the nodes of an output."""
        index = self._places[name]
        wire = self._wires[index]
        x = wire.name if self._int8 is None else self._int8.real(wire, index, flat=wire.flat)
        if name.startswith("stage"):
            x = self._writer.pooled(x)
        return self._writer.flatten(x, name)


def int8_of(network: ExportedNetwork) -> Int8Graph:
    """The network in int8.

    Raises:
        InputError: it has none.
    """
    if network.graph is None:
        raise InputError(
            f"{network.name} has operators without an int8 kernel (squeeze-and-excitation, "
            "h-swish): export it in fp32, or choose a space without them"
        )
    return network.graph
