"""What stands in a TFLite file, read by our own reader and the schema's classes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflite

from hybrid_nas.errors import InputError
from hybrid_nas.export.tflite_borders import written_windows
from hybrid_nas.export.tflite_file import MIN_RUNTIME, tflite_bytes, write_tflite
from hybrid_nas.export.tflite_graph import tflite_graph
from hybrid_nas.export.tflite_plan import arena_bytes, lifetimes, offsets
from hybrid_nas.profiling.models.tflite_model import read_tflite
from hybrid_nas.spaces.opspec import OpSpec
from tests.export.tflite_networks import network_of, random_graph, trained_like


def metadata(data: bytes) -> dict[str, bytes]:
    model = tflite.Model.GetRootAs(data, 0)
    entries = [model.Metadata(number) for number in range(model.MetadataLength())]
    return {
        one.Name().decode(): model.Buffers(one.Buffer()).DataAsNumpy().tobytes() for one in entries
    }


def test_the_same_network_gives_the_same_bytes() -> None:
    network = network_of(trained_like("mcunet"))
    data = tflite_bytes(network)
    assert data == tflite_bytes(network)
    assert data[4:8] == b"TFL3"


def test_our_reader_finds_the_operators_that_were_written() -> None:
    graph = trained_like("mcunet", 1)
    model = read_tflite(tflite_bytes(network_of(graph), border="pad"), "net.tflite")
    found = [op for op in model.ops if op.type not in ("PAD", "RESHAPE")]
    assert len(found) == len(graph.ops)
    for op, spec in zip(found, graph.specs, strict=True):
        read = op.after_pad or op.spec
        assert read is not None, op.reason
        assert (read.op, read.cin, read.cout, read.stride) == (
            spec.op,
            spec.cin,
            spec.cout,
            spec.stride,
        )
        assert (read.out_h, read.out_w) == (spec.out_h, spec.out_w)
        assert read.activation == spec.activation


def test_metadata_names_classes_runtime_and_provenance() -> None:
    network = replace(network_of(trained_like("mcunet")), classes=tuple("abcdefghij"))
    found = metadata(tflite_bytes(network, provenance={"run": "x"}))
    assert found["min_runtime_version"].rstrip(b"\0").decode() == MIN_RUNTIME
    about = json.loads(found["hybrid-nas"])
    assert about["classes"] == list("abcdefghij") and about["provenance"] == {"run": "x"}


def test_constants_start_at_multiples_of_sixteen() -> None:
    data = tflite_bytes(network_of(trained_like("mcunet")))
    model = tflite.Model.GetRootAs(data, 0)
    view = np.frombuffer(data, np.uint8)
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            start = buffer.DataAsNumpy().__array_interface__["data"][0]
            assert (start - view.__array_interface__["data"][0]) % 16 == 0


def test_the_plan_keeps_tensors_that_are_alive_together_apart() -> None:
    graph = tflite_graph(trained_like("mcunet"))
    alive, places = lifetimes(graph), offsets(graph)
    for a, one in alive.items():
        assert places[a] % 16 == 0
        for b, other in alive.items():
            if a < b and one.first <= other.last and other.first <= one.last:
                apart = places[a] + one.bytes <= places[b] or places[b] + other.bytes <= places[a]
                assert apart, (one, other)
    words = np.frombuffer(
        metadata(tflite_bytes(network_of(trained_like("mcunet"))))["OfflineMemoryAllocation"], "<i4"
    )
    assert words[:3].tolist() == [1, 0, len(graph.tensors)]
    assert {index: place for index, place in enumerate(words[3:]) if place >= 0} == places


@pytest.mark.parametrize("seed", [0, 1])
def test_automatic_borders_take_no_more_memory_than_kernels_with_zeros(seed: int) -> None:
    graph = trained_like("mcunet", seed)
    assert arena_bytes(tflite_graph(graph, "auto")) == arena_bytes(tflite_graph(graph, "kernel"))
    assert arena_bytes(tflite_graph(graph, "auto")) <= arena_bytes(tflite_graph(graph, "pad"))


def test_a_copy_is_made_where_there_is_room_for_it() -> None:
    strided = OpSpec("conv", 8, 8, 3, 4, 3, 2, 1)
    wide = OpSpec("conv", 4, 4, 4, 64)
    assert written_windows((strided, wide), (8, 8, 3), "auto") == ("pad", "VALID")
    assert written_windows((strided,), (8, 8, 3), "auto") == ("kernel",)


def test_an_average_over_a_border_that_tflite_has_not_is_refused() -> None:
    graph = random_graph((OpSpec("avgpool", 8, 8, 3, 3, 3, 2, 1, bias=False),))
    with pytest.raises(InputError, match="operator 0 pools 8x8"):
        tflite_graph(graph)


def test_networks_without_int8_are_refused() -> None:
    network = replace(network_of(trained_like("mcunet")), graph=None)
    with pytest.raises(InputError, match="no TFLite file"):
        tflite_bytes(network)


def test_a_file_is_written(tmp_path: Path) -> None:
    network = network_of(trained_like("mcunet"))
    path = tmp_path / "net.tflite"
    assert write_tflite(network, path) == path.stat().st_size
    assert path.read_bytes() == tflite_bytes(network)
