"""Every format's reader: values, lines, facts and memory figures of samples, made up and real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.profiling.imports.columns import header_of
from hybrid_nas.profiling.imports.log import Log, Source
from hybrid_nas.profiling.imports.registry import FORMATS, parse, sniff
from hybrid_nas.spaces.opspec import OpSpec
from tests.conftest import shared_data
from tests.profiling import import_samples as samples
from tests.profiling.import_samples import MS, SAMPLES

FORMAT_OF = {
    "st-3.txt": "st",
    "st-7.txt": "st",
    "st-10.txt": "st",
    "tflm.txt": "tflm",
    "tflm.csv": "tflm-csv",
    "tflm-ms.csv": "tflm-csv",
    "net_per-layer.csv": "vela",
    "tinyengine.txt": "tinyengine",
    "own.csv": "csv",
    "own.json": "json",
    "profile.json": "onnxruntime",
}
SHAPES = [
    OpSpec("conv", 32, 32, 3, 8, 3, 2, 1),
    OpSpec("dwconv", 16, 16, 8, 8, 3, 1, 1),
    OpSpec("conv", 16, 16, 8, 8),
]


def read(folder: Path, name: str, text: str) -> Log:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return parse(Source.read(path))


@pytest.mark.parametrize("name", SAMPLES)
def test_formats_are_recognised(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(SAMPLES[name], encoding="utf-8")
    assert sniff(Source.read(path)) == FORMAT_OF[name]
    assert set(FORMAT_OF.values()) <= set(FORMATS)


@pytest.mark.parametrize("name", ["st-3.txt", "st-7.txt", "st-10.txt"])
def test_all_layouts_of_st_give_the_same_times(tmp_path: Path, name: str) -> None:
    log = read(tmp_path, name, SAMPLES[name])
    ops = [row for row in log.rows if row.role == "op"]
    assert [row.values for row in ops] == [(ms,) for ms in MS]
    assert {row.unit for row in log.rows} == {"ms"}
    first = SAMPLES[name].split("\n")[ops[0].line - 1]
    assert "4.500" in first  # the line number is the row's


def test_st_facts(tmp_path: Path) -> None:
    old, middle, new = (read(tmp_path, name, SAMPLES[name]).facts for name in list(SAMPLES)[:3])
    assert (old.boards, old.clock_hz, old.runtime_version) == (("stm32f401",), 84_000_000, "3.3.0")
    assert middle.boards == ("stm32h743", "stm32h753", "stm32h750")
    assert (middle.clock_hz, middle.runtime_version) == (480_000_000, "7.2.0")
    assert (middle.cache, middle.runtime) == ("icache+dcache", "x-cube-ai")
    assert (new.runtime_version, new.clock_hz) == ("st-edge-ai-2.2.0", 480_000_000)
    assert new.cache == "icache+dcache"


def test_st_layers_give_the_shapes(tmp_path: Path) -> None:
    rows = read(tmp_path, "st-10.txt", samples.ST_10).rows
    assert [row.spec for row in rows[:3]] == SHAPES
    assert rows[3].spec == OpSpec("add", 16, 16, 8, 8, bias=False, residual=1)
    assert "window" in rows[4].reason  # average or maximum, the report does not say
    assert rows[5].spec == OpSpec("dense", 1, 1, 8, 4)


def test_columns_are_found_by_their_headers(tmp_path: Path) -> None:
    # The same table with its columns in another order, and one that is not known.
    lines = [
        "ST Edge AI Core v9.9.9-1",
        " name      dur (us)   new    type              m_id   c_id",
        " ---------------------------------------------------------",
        " conv_a        4500   x      Conv2D (0x103)    0      0",
        " dense_b         50          Dense (0x104)     1      1",
    ]
    rows = read(tmp_path, "st.txt", "\n".join(lines)).rows
    assert [(row.word, row.values, row.unit, row.name) for row in rows] == [
        ("Conv2D (0x103)", (4500.0,), "us", "conv_a"),
        ("Dense (0x104)", (50.0,), "us", "dense_b"),
    ]


def test_cells_stand_under_headers_whatever_their_alignment() -> None:
    header = header_of("id   name        value     %   note")
    assert header is not None
    assert header.row("1    a b          12.5   3.1%       ") == {
        "id": "1",
        "name": "a b",
        "value": "12.5",
        "%": "3.1%",
    }
    assert header.row("22                  7                x y") == {
        "id": "22",
        "value": "7",
        "note": "x y",
    }


def test_tflm_text_lists_operators_and_leaves_totals_out(tmp_path: Path) -> None:
    log = read(tmp_path, "log.txt", samples.tflm_text(runs=2))
    assert [row.word for row in log.rows] == list(samples.TFLM_WORDS) * 2
    assert [row.values[0] for row in log.rows[:8]] == list(samples.TFLM_TICKS)
    assert log.every_op
    assert "InitializeBenchmarkRunner" in log.notes[0]
    low, high, _ = log.facts.tick_range_hz or (0, 0, 0)
    assert low < 80e6 < high


@pytest.mark.parametrize(
    ("line", "value", "unit"),
    [
        ("CONV_2D took 342 us", 342, "us"),
        ("I (1234) app: CONV_2D took 12.5 ms", 12.5, "ms"),
        ("CONV_2D took 1,234 cycles.", 1234, "cycles"),
        ("CONV_2D took 1,234,567.5 us", 1234567.5, "us"),
    ],
)
def test_units_of_tflm_lines(tmp_path: Path, line: str, value: float, unit: str) -> None:
    (row,) = read(tmp_path, "log.txt", line).rows
    assert (row.values, row.unit) == ((value,), unit)


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        ('"Event","Tag","Ticks"', False),
        ("event, tag, ticks, ms", True),
        ('"Event","Tag","Ticks"<br />', False),
    ],
)
def test_tflm_csv_between_other_output(tmp_path: Path, header: str, ms: bool) -> None:
    log = read(tmp_path, "log.txt", samples.tflm_csv(header, ms))
    assert [row.values[0] for row in log.rows] == list(samples.TFLM_TICKS)
    assert {row.unit for row in log.rows} == {"ticks"}
    assert (log.facts.tick_range_hz is not None) == ms


def test_onnxruntime_runs_become_values_of_one_row(tmp_path: Path) -> None:
    log = read(tmp_path, "profile.json", samples.ort_profile(runs=4))
    assert [row.word for row in log.rows][:3] == ["FusedConv", "Conv", "Conv"]
    assert log.rows[0].values == (4501.0, 4502.0, 4503.0)  # the first, slow run is left out
    assert {row.unit for row in log.rows} == {"us"}
    assert [row.spec and row.spec.op for row in log.rows] == [
        *("conv", "dwconv", "conv", "add", "avgpool", None, "dense"),
    ]


def test_a_real_onnxruntime_profile(tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(samples.network().SerializeToString(), options)
    for _ in range(3):
        session.run(None, {"x": np.zeros((1, 3, 32, 32), np.float32)})
    log = parse(Source.read(Path(session.end_profiling())))
    convolutions = [row for row in log.rows if row.kinds & {"conv", "dwconv"}]
    found = [row.spec and (row.spec.op, row.spec.stride, row.spec.out_h) for row in convolutions]
    assert found == [("conv", 2, 16), ("dwconv", 1, 16), ("conv", 1, 16)]
    assert all(len(row.values) == 2 for row in log.rows)


def test_a_real_int8_profile_of_a_network_with_a_shortcut(tmp_path: Path) -> None:
    """onnxruntime lists scales and zero points among the operands, and turns the layout round."""
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    from hybrid_nas.profiling.imports.attach import attach
    from hybrid_nas.profiling.models.model import load_model

    rng = np.random.default_rng(0)
    network = samples.network()
    for one in network.graph.initializer:
        values = rng.normal(size=tuple(one.dims)).astype(np.float32)
        one.CopyFrom(onnx.numpy_helper.from_array(values, one.name))
    (tmp_path / "net.onnx").write_bytes(network.SerializeToString())

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter([{"x": rng.random((1, 3, 32, 32), np.float32)}])

        def get_next(self) -> dict[str, object] | None:
            return next(self.images, None)

    model = tmp_path / "int8.onnx"
    quantize_static(tmp_path / "net.onnx", model, Reader(), activation_type=QuantType.QUInt8)
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model), options)
    session.run(None, {"x": np.zeros((1, 3, 32, 32), np.float32)})
    log = parse(Source.read(Path(session.end_profiling())))
    (add,) = (row for row in log.rows if row.word == "QLinearAdd")
    assert (add.role, add.kinds) == ("op", {"add"})
    found = [one.spec for one in attach(log, "profile.json", load_model(model)) if one.spec]
    rest = [
        OpSpec("add", 16, 16, 8, 8, bias=False, residual=1),
        OpSpec("avgpool", 16, 16, 8, 8, 0, bias=False),
        OpSpec("dense", 1, 1, 8, 4),
    ]
    assert found == [*SHAPES, *rest]


def quantised(op: str, inputs: list[list[int]], out: list[int]) -> str:
    """A profile of one operator of int8 tensors, each with its scale and zero point."""
    listed = [one for shape in inputs for one in ({"int8": shape}, {"float": []}, {"int8": []})]
    arguments = {
        "op_name": op,
        "input_type_shape": [*listed, {"float": []}, {"int8": []}],
        "output_type_shape": [{"int8": out}],
    }
    event = {"cat": "Node", "dur": 5, "name": "node_kernel_time", "args": arguments}
    return json.dumps([event], indent=1)


@pytest.mark.parametrize(
    ("op", "inputs", "out", "spec"),
    [
        (
            *("QLinearGlobalAveragePool", [[1, 8, 6, 16]], [1, 1, 1, 16]),
            OpSpec("avgpool", 8, 6, 16, 16, 0, bias=False),
        ),
        (
            *("QLinearGlobalAveragePool", [[1, 16, 8, 6]], [1, 16, 1, 1]),
            OpSpec("avgpool", 8, 6, 16, 16, 0, bias=False),
        ),
        (
            *("QLinearMul", [[1, 8, 6, 16], [1, 1, 1, 16]], [1, 8, 6, 16]),
            OpSpec("mul", 8, 6, 16, 16, bias=False, residual=1),
        ),
        (
            *("QLinearConv", [[1, 8, 6, 16], [24, 16, 1, 1]], [1, 8, 6, 24]),
            OpSpec("conv", 8, 6, 16, 24),
        ),
        (
            *("QLinearConv", [[1, 16, 8, 6], [24, 16, 1, 1]], [1, 24, 8, 6]),
            OpSpec("conv", 8, 6, 16, 24),
        ),
    ],
)
def test_layouts_of_quantised_operators_follow_from_their_tensors(
    tmp_path: Path, op: str, inputs: list[list[int]], out: list[int], spec: OpSpec
) -> None:
    (row,) = read(tmp_path, "profile.json", quantised(op, inputs, out)).rows
    assert row.spec == spec


@pytest.mark.parametrize(
    ("op", "inputs", "out"),
    [
        ("QLinearAdd", [[1, 8, 8, 16], [1, 8, 8, 16]], [1, 8, 8, 16]),
        ("QLinearGlobalAveragePool", [[1, 8, 8, 1]], [1, 1, 1, 1]),
        ("QLinearConv", [[1, 16, 8, 16], [16, 16, 1, 1]], [1, 16, 8, 16]),
    ],
)
def test_a_layout_that_stays_open_needs_the_model(
    tmp_path: Path, op: str, inputs: list[list[int]], out: list[int]
) -> None:
    (row,) = read(tmp_path, "profile.json", quantised(op, inputs, out)).rows
    assert row.role == "op" and row.spec is None
    assert "layout" in row.reason and "give --model" in row.reason


def test_vela_rows_are_predictions_and_fused_ones_are_out(tmp_path: Path) -> None:
    log = read(tmp_path, "net_per-layer.csv", samples.VELA)
    assert [row.word for row in log.rows] == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "AVERAGE_POOL_2D", "FULLY_CONNECTED"),
    ]
    assert log.rows[0].values == (45000.0,) and log.rows[0].unit == "cycles"
    assert log.kind == "predicted"
    assert "1 operators" in log.notes[0]


def test_vela_with_other_column_names(tmp_path: Path) -> None:
    text = samples.VELA.replace("TFLite_operator", "Original Operator").replace(
        "SRAM Usage,Peak%", "Target,Staging Usage"
    )
    log = read(tmp_path, "net_per-layer.csv", text)
    assert len(log.rows) == 6


def test_tinyengine_lines_have_their_shapes(tmp_path: Path) -> None:
    rows = read(tmp_path, "log.txt", samples.TINYENGINE).rows
    assert [row.spec for row in rows[:3]] == SHAPES
    assert rows[5].spec == OpSpec("dense", 1, 1, 8, 4)
    assert [row.values[0] for row in rows] == [4.5, 1.25, 2.5, 0.25, 0.12, 0.05]


def test_tinyengine_macs_must_be_those_of_the_shape(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2.*55297"):
        read(tmp_path, "log.txt", samples.TINYENGINE.replace("55296", "55297"))


@pytest.mark.parametrize("time", ["4,50", "4.50ms", "4;50"])
def test_tinyengine_times_are_read_to_their_end(tmp_path: Path, time: str) -> None:
    with pytest.raises(InputError, match=f"line 2: .*{time}"):
        read(tmp_path, "log.txt", samples.TINYENGINE.replace("4.50", time))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("log.txt", "CONV_2D took 3,45 ms.", 1),
        ("log.txt", "CONV_2D took 0,345 ms.", 1),
        ("log.txt", "CONV_2D took 3 ms.\nCONV_2D took 1,2345 ms.", 2),
        ("log.txt", "CONV_2D took 12,34,567 ticks.", 1),
        ("st.txt", samples.ST_7.replace("1.250 ", "1,25  "), 12),
        ("net_per-layer.csv", samples.VELA.replace(",45000.0,", ',"45000,0",', 1), 2),
    ],
)
def test_decimal_commas_are_refused(tmp_path: Path, name: str, text: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"line {line}: the comma in .* with a point \(got"):
        read(tmp_path, name, text)


def test_own_formats(tmp_path: Path) -> None:
    table = read(tmp_path, "own.csv", samples.OWN_CSV)
    assert [row.spec for row in table.rows[:3]] == SHAPES
    assert [row.values[0] for row in table.rows] == [4.5, 1.25, 2.5, 0.25]  # us among them
    document = read(tmp_path, "own.json", samples.OWN_JSON)
    assert [row.spec for row in document.rows] == SHAPES[:2]
    assert (document.rows[0].spread, document.rows[0].count) == (0.1, 5)
    assert document.facts.boards == ("stm32h743",)


def test_text_with_unbreakable_spaces_and_utf16(tmp_path: Path) -> None:
    odd = samples.ST_7.replace("  ", "\u00a0 ")
    assert len(read(tmp_path, "nbsp.txt", odd).rows) == 7
    path = tmp_path / "wide.txt"
    path.write_bytes(samples.ST_7.encode("utf-16"))
    assert len(parse(Source.read(path)).rows) == 7


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "hello\nworld\n", "none of the formats"),
        ("a.txt", " \n", "empty"),
        ("a.json", '{"schema": "hybrid-nas/measurements/1", "rows": [', "damaged"),
        ("a.json", '{"schema": "hybrid-nas/measurements/1", "rows": [{"op": 1}]}', "row 1"),
        ("a.csv", '"Event","Tag","Ticks"\n0,CONV_2D\n', "line 2"),
        ("a.csv", '"Event","Tag","Ticks"\n0,CONV_2D,nan\n', "line 2"),
        ("a.csv", samples.VELA.replace("45000.0", "many", 1), "line 2"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, name, text)


def test_real_tflm_log_lists_its_own_model() -> None:
    log = parse(Source.read(shared_data("boards/tflm_logs/tflite-micro_benchmarking_README.md")))
    assert len(log.rows) == 31
    assert sum(row.values[0] for row in log.rows) == 2820774  # the log's own total
    model = log.facts.model
    assert model is not None and [op.type for op in model.ops] == [row.word for row in log.rows]
    specs = [op.spec for op in model.ops if op.spec is not None]
    # MobileNet v1 of width 0.25 without its first convolution: output size, channels in and out.
    pairs = [(48, 8, 16), (24, 16, 32), (24, 32, 32), (12, 32, 64), (12, 64, 64), (6, 64, 128)]
    pairs += [(6, 128, 128)] * 5 + [(3, 128, 256), (3, 256, 256)]
    macs = sum(size**2 * cin * (9 + cout) for size, cin, cout in pairs) + 256 * 2
    assert sum(spec.macs for spec in specs) == macs
    assert (log.kind, log.facts.core) == ("emulated", "cortex-m4")


def test_real_st_reports() -> None:
    folder = shared_data("boards/st_reports")
    target = parse(Source.read(folder / "x-cube-ai-7.2_validate_on_target.txt"))
    assert [row.values[0] for row in target.rows] == [0.203, 0.159, 0.159, 0.002, 0.004, 0.002]
    assert sum(row.values[0] for row in target.rows) == pytest.approx(0.530, abs=0.0011)
    assert target.facts.clock_hz == 400_000_000 and "stm32h747" in target.facts.boards
    expected = {
        "st-edge-ai-2.1_generate.txt": (411492, 266292),
        "st-edge-ai-2.2_validate_host.txt": (13951264, 4917696),
        "x-cube-ai-7.2_analyze.txt": (48300, 1708),
        "x-cube-ai-7.2_validate_on_target.txt": (48300, 1708),
        "st_c_info.json": (23520, 5836),
    }
    for name, sizes in expected.items():
        log = parse(Source.read(folder / name))
        figures = {figure.what: figure.bytes for figure in log.memory}
        assert (figures["weights"], figures["activations"]) == sizes
        assert bool(log.rows) != bool(log.no_times)


def test_layers_of_a_real_report_are_the_models(tmp_path: Path) -> None:
    from hybrid_nas.profiling.imports.st_layers import layers
    from hybrid_nas.profiling.models.model import load_model

    folder = shared_data("boards/st_reports")
    listed = layers((folder / "st-edge-ai-2.1_generate.txt").read_text(encoding="utf-8"))
    model = load_model(folder / "st-edge-ai-2.1_model.tflite")
    wanted = [op.after_pad or op.spec for op in model.ops if op.kind not in (None, "avgpool")]
    found = [layer.spec for layer in listed.values() if layer.spec is not None]
    assert len(found) == 63

    def bare(spec: OpSpec | None) -> tuple[object, ...]:
        assert spec is not None
        return (spec.op, spec.h, spec.cin, spec.cout, spec.kernel, spec.stride, spec.padding)

    assert [bare(spec) for spec in found] == [bare(spec) for spec in wanted]
