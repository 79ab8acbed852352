"""Made-up logs in every format that ``latency import`` reads, and the network they are of.

The network is that of `network`: a 3x3 convolution of stride 2, a depthwise and a pointwise one, a
shortcut, global pooling and a dense layer on a 32x32 image. Times are made up. Layouts follow the
tools' own output; `mutations` damages any text.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto, helper

MS = (4.5, 1.25, 2.5, 0.25, 0.125, 0.05)

ST_3 = """\
<Stm32com id=0x279c8127080 - CONNECTED(COM6/115200) devid=0x433/STM32F401xD/E msg=1.0>
 0x433/STM32F401xD/E @84MHz/84MHz (FPU is present) lat=2 ART: PRFTen ICen DCen
 tools versions : rt=(3, 3, 0) tool=(3, 3, 0)/(1, 1, 0) api=(1, 0, 0) "Mon Dec 31 08:42:10 2018"

Results for 10 inference(s) @84/84MHz (macc:950717)
 duration    : 8.675 ms (average)

Inspector report (layer by layer)
 n_nodes        : 6
 num_inferences : 10

Clayer  id  desc                          oshape            ms
--------------------------------------------------------------------------------
0       0   10004/(2D Convolutional)      (10, 16, 16, 8)   4.500
1       1   10004/(2D Convolutional)      (10, 16, 16, 8)   1.250
2       2   10004/(2D Convolutional)      (10, 16, 16, 8)   2.500
3       3   10013/(Eltwise)               (10, 16, 16, 8)   0.250
4       4   10012/(Pool)                  (10, 1, 1, 8)     0.125
5       5   10005/(Dense)                 (10, 1, 1, 4)     0.050
6       5   10014/(Softmax)               (10, 1, 1, 4)     0.010
                                                            8.685 (total)

  MACC / frame: 950717
  ROM size:     23.14 KBytes
  RAM size:     23.13 KBytes (Minimum: 23.13 KBytes)
"""

ST_7 = """\
Neural Network Tools for STM32AI v1.6.0 (STM.ai v7.2.0-RC5)
 activations          : 4096
 weights              : 1080
 Results for 10 inference(s) - average per inference
  device              : 0x450 - STM32H743/53/50xx @480/240MHz fpu,core_icache,core_dcache
  duration            : 8.685ms
  CPU cycles          : 4168800
  c_nodes             : 7
 c_id  m_id  desc              output                       ms          %
 ---------------------------------------------------------------------------
 0     0     Conv2D (0x103)    (1,16,16,8)/float32/8192B       4.500   51.8%
 1     2     Conv2D (0x103)    (1,16,16,8)/float32/8192B       1.250   14.4%
 2     3     Conv2D (0x103)    (1,16,16,8)/float32/8192B       2.500   28.8%
 3     4     Eltwise (0x10c)   (1,16,16,8)/float32/8192B       0.250    2.9%
 4     5     Pool (0x10b)      (1,1,1,8)/float32/32B            0.125    1.4%
 5     6     Dense (0x104)     (1,1,1,4)/float32/16B            0.050    0.6%
 6     6     NL (0x107)        (1,1,1,4)/float32/16B            0.010    0.1%
 ---------------------------------------------------------------------------
                                                            8.685 ms
Running the Keras model...
"""

ST_10 = """\
ST Edge AI Core v2.2.0-20266 2adc00962
weights (ro)       :   1,080 B (1.05 KiB) (1 segment)
activations (rw)   :   4,096 B (4.00 KiB) (1 segment) *
ram (total)        :   4,096 B (4.00 KiB) = 4,096 + 0 + 0

C-Layers (6)
------ ------------- ---- ------------- ------- ----- ------------------ ----------------------
c_id   name (*_layer)  id  layer_type   macc    rom   tensors            shape (array id)
------ ------------- ---- ------------- ------- ----- ------------------ ----------------------
0      conv2d_0      0    Conv2D        55304   280   I: input_output    int8(1x32x32x3) (1)
                                                      S: conv2d_0_scratch0
                                                      W: conv2d_0_weights  int8(8x3x3x3) (2)
                                                      W: conv2d_0_bias   int32(8) (3)
                                                      O: conv2d_0_output int8(1x16x16x8) (4)
1      conv2d_1      2    Conv2D        18440   112   I: conv2d_0_output int8(1x16x16x8) (4)
                                                      W: conv2d_1_weights  int8(1x3x3x8) (5)
                                                      W: conv2d_1_bias   int32(8) (6)
                                                      O: conv2d_1_output int8(1x16x16x8) (7)
2      conv2d_2      3    Conv2D        16392   96    I: conv2d_1_output int8(1x16x16x8) (7)
                                                      W: conv2d_2_weights  int8(8x1x1x8) (8)
                                                      W: conv2d_2_bias   int32(8) (9)
                                                      O: conv2d_2_output int8(1x16x16x8) (10)
3      eltwise_add   4    Eltwise/add   2048    0     I: conv2d_0_output int8(1x16x16x8) (4)
                                                      I: conv2d_2_output int8(1x16x16x8) (10)
                                                      O: eltwise_output  int8(1x16x16x8) (11)
4      pool_4        5    Pool          2048    0     I: eltwise_output  int8(1x16x16x8) (11)
                                                      O: pool_output     int8(1x1x1x8) (12)
5      gemm_5        6    Dense         36      48    I: pool_output     int8(1x1x1x8) (12)
                                                      W: gemm_5_weights  int8(4x8) (13)
                                                      W: gemm_5_bias     int32(4) (14)
                                                      O: gemm_5_output   int8(1x4) (15)
------ ------------- ---- ------------- ------- ----- ------------------ ----------------------

Setting validation data...
  tools               :   ST.AI (legacy api) v2.2.0
  device.desc         :   stm32 family - 0x450 - STM32H743/53/50xx @480/240MHz
  device.attrs        :   fpu,art_lat=2,core_icache,core_dcache

  Inference time per node
  ------------------------------------------------------------------------------------------
  c_id    m_id   type                   dur (ms)       %    cumul   CPU cycles      name
  ------------------------------------------------------------------------------------------
  0       0      Conv2D (0x103)            4.500   51.9%    51.9%   [ 2,160,000 ]   conv2d_0
  1       2      Conv2D (0x103)            1.250   14.4%    66.3%   [   600,000 ]   conv2d_1
  2       3      Conv2D (0x103)            2.500   28.8%    95.1%   [ 1,200,000 ]   conv2d_2
  3       4      Eltwise/add (0x10c)       0.250    2.9%    98.0%   [   120,000 ]   eltwise_add
  4       5      Pool (0x10b)              0.125    1.4%    99.4%   [    60,000 ]   pool_4
  5       6      Dense (0x104)             0.050    0.6%   100.0%   [    24,000 ]   gemm_5
  ------------------------------------------------------------------------------------------
  n/a     n/a    Inter-nodal               0.001    0.0%   100.0%                   n/a
  ------------------------------------------------------------------------------------------
  total                                    8.676                    [ 4,164,480 ]
  ------------------------------------------------------------------------------------------
"""

TFLM_WORDS = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "AVERAGE_POOL_2D"),
    *("RESHAPE", "FULLY_CONNECTED", "SOFTMAX"),
)
TFLM_TICKS = (360000, 100000, 200000, 20000, 10000, 80, 4000, 900)


def tflm_text(runs: int = 2, words: tuple[str, ...] = TFLM_WORDS) -> str:
    """MicroProfiler's text of several invocations of a timer of 80 MHz."""
    lines = ["InitializeBenchmarkRunner took 192 ticks (0 ms).", ""]
    for run in range(runs):
        lines.append("WithPersonDataIterations(1) took 694980 ticks (8 ms)")
        for word, ticks in zip(words, TFLM_TICKS, strict=True):
            took = ticks + 8 * run
            lines.append(f"{word} took {took} ticks ({took // 80000} ms).")
    return "\n".join([*lines, "", "Ran successfully"])


def tflm_csv(header: str = '"Event","Tag","Ticks"', ms: bool = False) -> str:
    """MicroProfiler's CSV between other output of a terminal."""
    rows = [
        f"{number},{word},{ticks}" + (f",{ticks // 80000}" if ms else "")
        for number, (word, ticks) in enumerate(zip(TFLM_WORDS, TFLM_TICKS, strict=True))
    ]
    return "\n".join(["Running", header, *rows, "   183M (   183328857) cycles total", ""])


VELA = """\
TFLite_operator,NNG Operator,SRAM Usage,Peak%,Op Cycles,Network%,NPU,SRAM AC,DRAM AC,OnFlash AC,\
OffFlash AC,MAC Count,Network%,Util%,Name
CONV_2D,Conv2DBias,5120,100.00,45000.0,51.87,45000.0,1200.0,0.0,0.0,0.0,55296,59.6,69.25,conv0
DEPTHWISE_CONV_2D,DepthwiseConv2DBias,4096,80.0,12500.0,14.4,12500.0,1.0,0.0,0.0,0.0,18432,19,1,dw
CONV_2D,Conv2DBias,4096,80.0,25000.0,28.8,25000.0,1.0,0.0,0.0,0.0,16384,17.6,38.4,conv2
RELU,Relu,4096,80.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0,0.0,0.0,act
ADD,Add,4096,80.0,2500.0,2.8,2500.0,1.0,0.0,0.0,0.0,0,0.0,0.0,add
AVERAGE_POOL_2D,AvgPool,2056,40.0,1250.0,1.4,1250.0,1.0,0.0,0.0,0.0,2048,2.2,1.0,pool
FULLY_CONNECTED,FullyConnected,12,0.2,500.0,0.6,500.0,1.0,0.0,0.0,0.0,32,0.0,0.1,fc
"""

TINYENGINE = """\
start profiling
CONV_2D  k3x3_r32x32x3_16x16x8 55296 4.50
DEPTHWISE_CONV_2D  k3x3_r16x16x8_16x16x8 18432 1.25
CONV_2D  k1x1_r16x16x8_16x16x8 16384 2.50
ADD r16x16x8_16x16x8 0 0.25
AVERAGE_POOL_2D r16x16x8_1x1x8 2048 0.12
CONV_2D  k1x1_r1x1x8_1x1x4 32 0.05
"""

OWN_CSV = """\
op,h,w,cin,cout,kernel,stride,value,unit,count
conv,32,32,3,8,3,2,4.5,ms,3
dwconv,16,16,8,8,3,1,1250,us,3
conv,16,16,8,8,1,1,2.5,ms,3
add,16,16,8,8,1,1,0.25,ms,3
"""

OWN_JSON = json.dumps(
    {
        "schema": "hybrid-nas/measurements/1",
        "identity": {
            "board": "stm32h743",
            "core": "cortex-m7",
            "clock_hz": 480000000,
            "runtime": "my-kernels",
            "runtime_version": "1.0",
        },
        "unit": "ms",
        "rows": [
            {"op": "conv", "h": 32, "w": 32, "cin": 3, "cout": 8, "kernel": 3, "stride": 2}
            | {"value": 4.5, "spread": 0.1, "count": 5},
            {"op": "dwconv", "h": 16, "w": 16, "cin": 8, "cout": 8, "kernel": 3, "value": 1.25},
        ],
    },
    indent=1,
)


def _event(name: str, op: str, dur: int, inputs: list[list[int]], out: list[int]) -> object:
    arguments = {
        "op_name": op,
        "node_index": name[-1],
        "provider": "CPUExecutionProvider",
        "input_type_shape": [{"float": shape} for shape in inputs],
        "output_type_shape": [{"float": out}],
    }
    event = {"cat": "Node", "pid": 1, "tid": 1, "dur": dur, "ts": 1, "ph": "X"}
    return event | {"name": f"{name}_kernel_time", "args": arguments}


def ort_profile(runs: int = 4) -> str:
    """onnxruntime's profile; the first run is slow."""
    image, small = [1, 3, 32, 32], [1, 8, 16, 16]
    events: list[object] = [{"cat": "Session", "name": "model_run", "dur": 9, "ts": 1, "args": {}}]
    for run in range(runs):
        slow = 1000 if run == 0 else run
        events += [
            _event("conv_0", "FusedConv", 4500 + slow, [image, [8, 3, 3, 3], [8]], small),
            _event("conv_1", "Conv", 1250 + slow, [small, [8, 1, 3, 3], [8]], small),
            _event("conv_2", "Conv", 2500 + slow, [small, [8, 8, 1, 1], [8]], small),
            _event("add_3", "Add", 250 + slow, [small, small], small),
            _event("pool_4", "GlobalAveragePool", 125 + slow, [small], [1, 8, 1, 1]),
            _event("flat_5", "Flatten", 3, [[1, 8, 1, 1]], [1, 8]),
            _event("gemm_6", "Gemm", 50 + slow, [[1, 8]], [1, 4]),
        ]
    return json.dumps(events, indent=1)


def network() -> onnx.ModelProto:
    """The network that the logs are of, in float."""

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        size = 1
        for one in shape:
            size *= one
        return helper.make_tensor(name, TensorProto.FLOAT, shape, [0.0] * size)

    constants = [
        *(weights("w0", 8, 3, 3, 3), weights("b0", 8), weights("w1", 8, 1, 3, 3)),
        *(weights("b1", 8), weights("w2", 8, 8, 1, 1), weights("b2", 8)),
        *(weights("w3", 8, 4), weights("b3", 4)),
    ]
    even = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["a"], name="conv_0", strides=[2, 2], **even),
        helper.make_node("Relu", ["a"], ["b"], name="relu_0"),
        helper.make_node("Conv", ["b", "w1", "b1"], ["c"], name="conv_1", group=8, **even),
        helper.make_node("Conv", ["c", "w2", "b2"], ["d"], name="conv_2"),
        helper.make_node("Add", ["b", "d"], ["e"], name="add_3"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], name="pool_4"),
        helper.make_node("Flatten", ["f"], ["g"], name="flat_5"),
        helper.make_node("Gemm", ["g", "w3", "b3"], ["y"], name="gemm_6"),
    ]
    graph = helper.make_graph(
        nodes,
        "sample",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        constants,
    )
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


SAMPLES = {
    "st-3.txt": ST_3,
    "st-7.txt": ST_7,
    "st-10.txt": ST_10,
    "tflm.txt": tflm_text(),
    "tflm.csv": tflm_csv(),
    "tflm-ms.csv": tflm_csv('"Event","Tag","Ticks","ms"', ms=True),
    "net_per-layer.csv": VELA,
    "tinyengine.txt": TINYENGINE,
    "own.csv": OWN_CSV,
    "own.json": OWN_JSON,
    "profile.json": ort_profile(),
}


def save_network(folder: Path) -> Path:
    """The network as an ONNX file."""
    path = folder / "net.onnx"
    path.write_bytes(network().SerializeToString())
    return path


def mutations(text: str, count: int, seed: int) -> Iterator[str]:
    """Damaged versions of a text: lines lost, doubled, swapped, cut; characters changed.

    The same seed gives the same texts.
    """
    rng = random.Random(seed)
    for _ in range(count):
        damaged = text
        for _ in range(rng.randint(1, 4)):
            damaged = _damage(damaged, rng)
        yield damaged


def _damage(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, rng.choice(lines))
        case 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
        case 4:
            return text[: rng.randint(0, len(text))]
        case 5:
            place = rng.randrange(len(text)) if text else 0
            return (
                text[:place] + chr(rng.choice((0, 9, 34, 44, 123, 160, 0xFFFF, 48))) + text[place:]
            )
        case 6:
            words = ("nan", "-1", "1e999", "0", "", "999999999999999999999", "1.2.3", "1,2")
            pieces = lines[at].replace(",", " , ").split(" ")
            pieces[rng.randrange(len(pieces))] = rng.choice(words)
            lines[at] = " ".join(pieces)
        case 7:
            lines[at] = lines[at].replace(" ", "", rng.randint(1, 3))
        case _:
            place, length = rng.randrange(max(1, len(text))), rng.randint(1, 200)
            return text[:place] + text[place + length :]
    return "\n".join(lines)
