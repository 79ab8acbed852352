"""Lines and messages of hnas/1 against docs/protocol.md and the standard library's CRC."""

from __future__ import annotations

import zlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_nas.profiling import protocol
from hybrid_nas.profiling.protocol import (
    Accepted,
    Begin,
    Calibrate,
    Calibrated,
    Failure,
    GarbledError,
    Greet,
    Hello,
    Place,
    Request,
    Result,
    Run,
    RunNetwork,
    VersionError,
    decode_line,
    encode_line,
    op_from_words,
    op_words,
    parse_answer,
)
from hybrid_nas.spaces.opspec import Activation, OpKind, OpSpec

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
BIG = st.integers(0, 9999)
OPS = st.builds(
    OpSpec,
    st.sampled_from(get_args(OpKind)),
    *[BIG] * 7,
    st.sampled_from(get_args(Activation)),
)
CONV = OpSpec("conv", 96, 96, 3, 16, kernel=3, stride=2, padding=1, activation="relu6")


@given(PRINTABLE)
def test_a_line_carries_its_payload_and_zlibs_crc(payload: str) -> None:
    line = encode_line(payload)
    assert line.endswith(b"*%08X\n" % zlib.crc32(payload.encode()))
    assert decode_line(line[:-1]) == payload
    assert decode_line(line[:-1] + b"\r") == payload


@given(PRINTABLE, st.data())
def test_no_damaged_line_is_read(payload: str, data: st.DataObject) -> None:
    line = encode_line(payload)[:-1]
    place = data.draw(st.integers(0, len(line) - 1))
    damage = data.draw(st.sampled_from(["flip", "cut", "lose", "double"]))
    damaged = {
        "flip": line[:place] + bytes([line[place] ^ 1 << data.draw(st.integers(0, 7))]),
        "cut": line[:place],
        "lose": line[:place],
        "double": line[:place] + line[place : place + 1] * 2,
    }[damage]
    if damage != "cut":
        damaged += line[place + 1 :]
    if damaged == line:
        return
    with pytest.raises(GarbledError):
        decode_line(damaged)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_called_garbled(data: bytes) -> None:
    with pytest.raises(GarbledError):  # 8 right hexadecimal digits do not come by chance
        decode_line(data)


def test_a_line_that_is_too_long_is_garbled_though_its_check_is_right() -> None:
    assert decode_line(encode_line("x" * 231)[:-1]) == "x" * 231
    with pytest.raises(GarbledError):
        decode_line(encode_line("x" * 232)[:-1])


@given(OPS)
def test_operators_survive_their_nine_words(op: OpSpec) -> None:
    words = op_words(op).split(" ")
    assert len(words) == 9
    assert op_words(op_from_words(words)) == op_words(op)
    assert op_from_words(words).shape == OpSpec(*_fields(op), residual=int(op.op == "add")).shape


def _fields(op: OpSpec) -> tuple[object, ...]:
    sizes = (op.h, op.w, op.cin, op.cout, op.kernel, op.stride, op.padding)
    return (op.op, *sizes, op.activation)


@pytest.mark.parametrize(
    "words",
    ["conv 1 1 1 1 1 1 0", "softmax 1 1 1 1 1 1 0 none", "conv 1 1 1 1 1 -1 0 none", ""],
)
def test_other_words_are_no_operator(words: str) -> None:
    with pytest.raises(GarbledError):
        op_from_words(words.split(" "))


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (Greet(), "HELLO"),
        (Calibrate(5000), "CAL 7 5000"),
        (Run(CONV, 3), "RUN 7 conv 96 96 3 16 3 2 1 relu6 3"),
        (Begin(64), "NET 7 64"),
        (Place(2, 0, 4096, -1, CONV), "NOP 7 2 0 4096 -1 conv 96 96 3 16 3 2 1 relu6"),
        (RunNetwork(64, 8), "NETRUN 7 64 8"),
    ],
)
def test_requests_are_worded_as_the_document_says(request_: Request, payload: str) -> None:
    assert request_.payload(7) == payload


@given(OPS)
def test_every_request_fits_a_line(op: OpSpec) -> None:
    longest = Place(protocol.MAX_OPS - 1, 10**9, 10**9, 10**9, op)
    assert len(encode_line(longest.payload(protocol.MAX_ID))) <= protocol.MAX_LINE


def test_answers_are_understood() -> None:
    hello = "HELLO hnas/1 fake cortex-m7 dwt 216000000 216000000 262144 65536 itcm warm hnas-c-1-ab"
    assert parse_answer(hello) == Hello(
        "fake", "cortex-m7", "dwt", 216_000_000, 216_000_000, 262144, 65536, "itcm", "warm",
        "hnas-c-1-ab",
    )  # fmt: skip
    assert parse_answer("C 3 1000 3200") == Calibrated(3, 1000, 3200)
    assert parse_answer("A 65535 0") == Accepted(65535, 0)
    assert parse_answer("R 9 2 100 101 00c0FFEE") == Result(9, (100, 101), 0xC0FFEE)
    assert parse_answer("E 9 NOMEM 5 4") == Failure(9, "NOMEM", "5 4")
    assert parse_answer("E 0 CKSUM") == Failure(0, "CKSUM", "")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "OK",
        "C 3 1000",
        "C 3 1000 -1",
        "A 1 x",
        "A  1 1",
        "A 1 1 ",
        "A 1 ²",
        "R 9 2 100 00C0FFEE",  # fewer ticks than repetitions
        "R 9 0 00C0FFEE",
        "R 9 1 100 C0FFEE",
        "R 9 1 100 0x00C0FF",
        "R 9 9 1 2 3 4 5 6 7 8 9 00C0FFEE",
        "E 9",
        "HELLO hnas/1 fake",
        "HELLO hnas/1 fake m7 dwt 0 1 1 1 a b c",
        "HELLO",
    ],
)
def test_anything_else_is_garbled(payload: str) -> None:
    with pytest.raises(GarbledError):
        parse_answer(payload)


def test_another_version_says_what_to_do() -> None:
    with pytest.raises(VersionError, match=r"hnas/2.*flash the firmware"):
        parse_answer("HELLO hnas/2 something else")
