"""The prebuilt firmware: rebuilt, and run on emulated boards against the NumPy reference."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from hybrid_nas.errors import HybridNasError, InputError
from hybrid_nas.profiling import images as images_module
from hybrid_nas.profiling import protocol, reference
from hybrid_nas.profiling.emulator import QEMU, Emulator
from hybrid_nas.profiling.images import DIRECTORY, find_image, image_path, images
from hybrid_nas.profiling.link import Link
from hybrid_nas.spaces.opspec import OpSpec

FIRMWARE = Path(__file__).parents[2] / "firmware"
CC = "arm-none-eabi-gcc"
MPS2 = ("emulated-cortex-m3", "emulated-cortex-m33", "emulated-cortex-m4", "emulated-cortex-m7")

needs_compiler = pytest.mark.skipif(
    not (shutil.which(CC) and shutil.which("make")), reason=f"needs {CC} and make"
)
needs_qemu = pytest.mark.skipif(not shutil.which(QEMU), reason=f"needs {QEMU}")


# --- the files ------------------------------------------------------------------------------------


def test_every_image_is_the_one_of_the_manifest_and_small() -> None:
    assert set(images()) == {"emulated-cortex-m0", *MPS2}
    for board in images():
        assert find_image(board).path.stat().st_size < 64 * 1024
    files = {path.name for path in DIRECTORY.iterdir()}
    assert files == {"manifest.yaml", *(image.path.name for image in images().values())}


def test_unknown_board_names_those_there_are() -> None:
    with pytest.raises(InputError, match="'z80': there are emulated-cortex-m0, "):
        image_path("z80")


def test_a_damaged_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DIRECTORY, tmp_path / "images")
    elf = tmp_path / "images" / "emulated-cortex-m4.elf"
    elf.write_bytes(elf.read_bytes()[:-1])
    monkeypatch.setattr(images_module, "DIRECTORY", tmp_path / "images")
    images.cache_clear()
    try:
        with pytest.raises(HybridNasError, match="not the image of its manifest"):
            find_image("emulated-cortex-m4")
        find_image("emulated-cortex-m7")
    finally:
        images.cache_clear()


@pytest.mark.slow
@needs_compiler
def test_rebuilt_images_are_the_same(tmp_path: Path) -> None:
    manifest = yaml.safe_load((DIRECTORY / "manifest.yaml").read_text())
    version = subprocess.check_output([CC, "-dumpfullversion"], text=True).strip()
    if manifest["compiler"] != f"{CC} {version}":
        pytest.skip(f"built with {manifest['compiler']}, here is {version}")
    # From a copy: the place of the sources must not matter.
    shutil.copytree(FIRMWARE, tmp_path / "copy", ignore=shutil.ignore_patterns("build"))
    subprocess.run(
        ["make", "-s", "-C", tmp_path / "copy", "images", f"IMAGES={tmp_path / 'images'}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    rebuilt = yaml.safe_load((tmp_path / "images" / "manifest.yaml").read_text())
    assert rebuilt == manifest
    for board, entry in manifest["images"].items():
        elf = tmp_path / "images" / f"{board}.elf"
        assert hashlib.sha256(elf.read_bytes()).hexdigest() == entry["sha256"]


# --- conversations --------------------------------------------------------------------------------


class Board:
    """An emulated board, spoken to line by line."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._number = 0
        for _ in range(100):
            self._link.send(protocol.encode_line("HELLO"))
            if (line := self._link.receive(time.monotonic() + 0.2)) is not None:
                break
        else:
            pytest.fail("no answer to HELLO")
        self.hello = protocol.decode_line(line)
        while self._link.receive(time.monotonic() + 0.25) is not None:
            pass  # answers to the HELLOs before

    def ask(self, request: str) -> str:
        """The payload that answers a payload."""
        return self.exchange(protocol.encode_line(request))

    def exchange(self, line: bytes) -> str:
        self._link.send(line)
        answer = self._link.receive(time.monotonic() + 30)
        assert answer is not None, f"no answer to {line!r}"
        return protocol.decode_line(answer)

    def run(self, op: OpSpec, reps: int = 1) -> protocol.Answer:
        self._number += 1
        words = f"RUN {self._number} {protocol.op_words(op)} {reps}"
        answer = protocol.parse_answer(self.ask(words))
        assert not isinstance(answer, protocol.Hello) and answer.number == self._number
        return answer


@contextmanager
def started(board: str, image: Path | None = None) -> Iterator[Board]:
    found = find_image(board)
    if image is not None:
        found = images_module.Image(
            board,
            image,
            hashlib.sha256(image.read_bytes()).hexdigest(),
            *(found.kernels, found.machine, found.icount_shift, found.compiler, found.command),
        )
    emulator = Emulator(found)
    try:
        yield Board(emulator.start())
    finally:
        emulator.close()


@pytest.fixture(scope="module", params=MPS2)
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    with started(request.param) as found:
        yield found


def random_op(rng: random.Random) -> OpSpec:
    """Any operator of the protocol, small, often of awkward sizes."""
    kinds = ("conv", "conv", "dwconv", "dwconv", "dense", "add", "avgpool", "maxpool")
    kind = rng.choice(kinds)
    act = rng.choice(("none", "relu", "relu6"))
    h, w = rng.randint(1, 14), rng.randint(1, 14)
    cin = rng.choice((1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 33))
    cout = rng.choice((1, 2, 3, 4, 5, 8, 16, 19)) if kind == "conv" else cin
    if kind == "dense":
        return OpSpec(kind, 1, 1, rng.choice((1, 3, 61, 320)), rng.randint(1, 12), activation=act)
    if kind == "add":
        return OpSpec(kind, h, w, cin, cin, activation=act, residual=1)
    if "pool" in kind and rng.random() < 0.3:
        return OpSpec(kind, h, w, cin, cin, kernel=0, activation=act)
    k, stride = rng.choice((1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 9)), rng.choice((1, 1, 2, 2, 3))
    padding = rng.randrange(k)
    if k > min(h, w) + 2 * padding:
        return random_op(rng)
    return OpSpec(kind, h, w, cin, cout, kernel=k, stride=stride, padding=padding, activation=act)


LARGE = [
    OpSpec("conv", 96, 96, 3, 16, kernel=3, stride=2, padding=1, activation="relu6"),
    OpSpec("conv", 14, 14, 96, 160),
    OpSpec("dwconv", 28, 28, 96, 96, kernel=7, padding=3, activation="relu6"),
    OpSpec("dense", 1, 1, 1280, 1000),
    OpSpec("avgpool", 20, 20, 16, 16, kernel=0),  # sums beyond 16 bits
    OpSpec("avgpool", 2, 300, 8, 8, kernel=0),
]


def assert_right(answer: protocol.Answer, op: OpSpec) -> None:
    assert isinstance(answer, protocol.Result), f"{op}: {answer}"
    assert answer.crc == reference.output_crc(op), op


@needs_qemu
def test_every_output_is_that_of_the_reference(board: Board) -> None:
    rng = random.Random(board.hello)
    for op in [*(random_op(rng) for _ in range(110)), *LARGE]:
        assert_right(board.run(op), op)


@needs_qemu
def test_hello_describes_the_board(board: Board) -> None:
    hello = protocol.parse_answer(board.hello)
    assert isinstance(hello, protocol.Hello)
    assert hello.kernels == find_image(hello.board).kernels
    assert hello.arena_bytes >= 512 * 1024 and hello.weight_bytes >= 1536 * 1024


@needs_qemu
def test_ticks_count_instructions_exactly(board: Board) -> None:
    hello = protocol.parse_answer(board.hello)
    assert isinstance(hello, protocol.Hello)
    for thousands in (1, 250):
        answer = protocol.parse_answer(board.ask(f"CAL 5 {thousands}000"))
        ticks = thousands * 1000 * 128e-9 * hello.timer_hz  # 2^7 ns per instruction
        assert answer == protocol.Calibrated(5, thousands * 1000, round(ticks))


@needs_qemu
def test_networks_chain_tensors_and_weights(board: Board) -> None:
    ops = [
        OpSpec("conv", 12, 12, 3, 8, kernel=3, stride=2, padding=1, activation="relu6"),
        OpSpec("dwconv", 6, 6, 8, 8, kernel=5, padding=2, activation="relu"),
        OpSpec("conv", 6, 6, 8, 8),
        OpSpec("add", 6, 6, 8, 8, residual=3),
        OpSpec("maxpool", 6, 6, 8, 8, kernel=2, stride=2),
        OpSpec("avgpool", 3, 3, 8, 8, kernel=0),
        OpSpec("dense", 1, 1, 8, 5),
    ]
    offsets = [(0, 1000, -1), (1000, 2001, -1), (2001, 3000, -1), (3000, 0, 1000)]
    offsets += [(0, 4000, -1), (4000, 5000, -1), (5000, 6000, -1)]
    assert board.ask("NET 1 7") == "A 1 7"
    assert board.ask("NETRUN 2 7 1").startswith("E 2 SEQ")
    for index in reversed(range(7)):
        place = f"NOP 3 {index} {' '.join(map(str, offsets[index]))} "
        assert board.ask(place + protocol.op_words(ops[index])) == f"A 3 {index}"
    answer = protocol.parse_answer(board.ask("NETRUN 4 7 8"))
    assert isinstance(answer, protocol.Result)
    assert answer.crc == reference.network_crc(ops, 1 << 20)
    assert len(set(answer.ticks)) == 1 and len(answer.ticks) == 8
    singles = [board.run(op) for op in ops]
    total = sum(a.ticks[0] for a in singles if isinstance(a, protocol.Result))
    # each rounded down to a tick; without a floating-point unit, rounding next to halves takes
    # longer, and there are other sums inside a network
    slack = total * 0.01 if "cortex-m3 " in board.hello else 0
    assert abs(answer.ticks[0] - total) <= len(ops) + slack


@needs_qemu
@pytest.mark.parametrize("size", [3_000_000, 3_145_728])
def test_weights_of_a_network_wrap_around(size: int) -> None:
    cin = size // 1000
    ops = [OpSpec("dense", 1, 1, cin, 1000), OpSpec("dense", 1, 1, 1000, 150)]
    with started("emulated-cortex-m7") as board:
        board.ask("NET 1 2")
        board.ask(f"NOP 2 0 0 8000 -1 {protocol.op_words(ops[0])}")
        board.ask(f"NOP 3 1 8000 16000 -1 {protocol.op_words(ops[1])}")
        answer = protocol.parse_answer(board.ask("NETRUN 4 2 1"))
    assert isinstance(answer, protocol.Result)
    assert answer.crc == reference.network_crc(ops, 3 << 20)


REFUSED = {
    "FOO 3": "E 3 CMD",
    "HELLO 3": "E 3 CMD",
    "": "E 0 CMD",
    "CAL 0 1000": "E 0 ARGS",
    "CAL 65536 1000": "E 0 ARGS",
    "CAL 7 1500": "E 7 ARGS",
    "CAL 7": "E 7 ARGS",
    "CAL 7 1000 ": "E 7 ARGS",
    "RUN 7 conv 8 8 3 4 3 1 1 relu": "E 7 ARGS",
    "RUN 7 conv 8 8 3 4 3 1 1 relu 9": "E 7 ARGS",
    "RUN 7 conv 8 8 3 4 3 1 3 relu 1": "E 7 ARGS",
    "RUN 7 conv 2 8 3 4 5 1 1 relu 1": "E 7 ARGS",
    "RUN 7 conv 8 8 0 4 3 1 1 relu 1": "E 7 ARGS",
    "RUN 7 conv 8 8 3 4 0 1 0 relu 1": "E 7 ARGS",
    "RUN 7 conv 99999999999999 8 3 4 1 1 0 relu 1": "E 7 ARGS",
    "RUN 7 dwconv 8 8 3 4 3 1 1 relu 1": "E 7 ARGS",
    "RUN 7 dense 2 1 3 4 1 1 0 relu 1": "E 7 ARGS",
    "RUN 7 add 2 2 3 3 3 1 1 relu 1": "E 7 ARGS",
    "RUN 7 mul 2 2 3 3 1 1 0 none 1": "E 7 OP",
    "RUN 7 conv 2 2 3 3 1 1 0 h_swish 1": "E 7 OP",
    "RUN 7 conv 65535 65535 65535 65535 255 1 0 relu 1": "E 7 NOMEM",
    "RUN 7 dense 1 1 65535 65535 1 1 0 relu 1": "E 7 NOMEM 4294836225 3145728 weights",
    "RUN 7 add 1024 1024 2 2 1 1 0 none 1": "E 7 NOMEM 6291456 2097152 arena",
    "NET 7 257": "E 7 ARGS",
    "NOP 7 0 0 0 -1 conv 8 8 3 4 3 1 1 relu": "E 7 SEQ",
    "NETRUN 7 1 1": "E 7 SEQ",
}


@needs_qemu
def test_what_is_wrong_is_refused_with_its_code() -> None:
    with started("emulated-cortex-m4") as board:
        for request, expected in REFUSED.items():
            assert board.ask(request).startswith(expected), request
        line = protocol.encode_line("CAL 7 1000")
        assert board.exchange(line.replace(b"7", b"8", 1)).startswith("E 0 CKSUM")
        assert board.exchange(b"x" * 5000 + b"\n").startswith("E 0 CKSUM")
        assert board.exchange(b"\n\r\n" + line.replace(b"\n", b"\r\n")).startswith("C 7 1000 ")
        board.ask("NET 8 1")
        for op, reason in {
            "0 0 -1 conv 600 600 3 6 1 1 0 relu": "NOMEM 2160000 2097152 arena",
            "0 0 -1 add 8 8 3 3 1 1 0 relu": "ARGS",
            "0 0 0 dwconv 8 8 3 3 1 1 0 relu": "ARGS",
            "-1 0 -1 dwconv 8 8 3 3 1 1 0 relu": "ARGS",
            "2097000 0 -1 dwconv 8 8 3 3 1 1 0 relu": "NOMEM 2097192 2097152 arena",
        }.items():
            assert board.ask(f"NOP 8 0 {op}").startswith(f"E 8 {reason}"), op


@needs_qemu
def test_the_micro_bit_runs_what_fits_and_refuses_the_rest() -> None:
    rng = random.Random(0)
    counts = {protocol.Result: 0, protocol.Failure: 0}
    with started("emulated-cortex-m0") as board:
        for op in (random_op(rng) for _ in range(60)):
            answer = board.run(op)
            counts[type(answer)] += 1
            if isinstance(answer, protocol.Failure):
                assert answer.code == "NOMEM", op
            else:
                assert_right(answer, op)
        image_op = OpSpec("conv", 96, 96, 3, 16, kernel=3, stride=2, padding=1)
        assert isinstance(board.run(image_op), protocol.Failure)
        assert board.ask("NET 1 64").startswith("E 1 NOMEM")
    assert min(counts.values()) > 0


@needs_qemu
def test_counts_are_the_same_after_a_restart() -> None:
    rng = random.Random(3)
    ops = [random_op(rng) for _ in range(10)]
    passes = []
    for _ in range(2):
        with started("emulated-cortex-m7") as board:
            passes.append([board.run(op, 3) for op in ops])
    assert passes[0] == passes[1]
    for answer in passes[0]:
        assert isinstance(answer, protocol.Result) and len(set(answer.ticks)) == 1


@needs_compiler
@needs_qemu
def test_a_library_of_kernels_can_be_linked_instead(tmp_path: Path) -> None:
    flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffreestanding", "-I", FIRMWARE]
    objects = []
    for source in sorted((FIRMWARE / "kernels").glob("*.c")):
        objects.append(tmp_path / f"{source.stem}.o")
        subprocess.run([CC, *flags, "-c", source, "-o", objects[-1]], check=True)
    subprocess.run(["arm-none-eabi-ar", "rcs", tmp_path / "vendor.a", *objects], check=True)
    subprocess.run(
        [
            *("make", "-s", "-C", FIRMWARE, "BOARD=emulated-cortex-m4"),
            *(f"KERNEL_LIB={tmp_path / 'vendor.a'}", "KERNEL_NAME=vendor-2.1"),
            f"BUILD={tmp_path / 'build'}",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    op = OpSpec("conv", 9, 9, 5, 7, kernel=3, padding=1)
    with started("emulated-cortex-m4", tmp_path / "build" / "emulated-cortex-m4.elf") as board:
        hello = protocol.parse_answer(board.hello)
        assert isinstance(hello, protocol.Hello) and hello.kernels.startswith("vendor-2.1-")
        other = board.run(op)
        assert_right(other, op)
    with started("emulated-cortex-m4") as board:
        assert board.run(op) != other  # -Os: other instructions, other counts
