"""The arena plan, played through step by step; scratch and constants against the C compiler."""

from __future__ import annotations

import ctypes
import shutil
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybrid_nas.export.c_code.emit import window
from hybrid_nas.export.c_code.plan import (
    IMAGE,
    ROUTER,
    ArenaPlan,
    RouterNeeds,
    op_name,
    plan_arena,
    scratch_name,
)
from hybrid_nas.hardware.hnas_c import runs_in_place, scratch_bytes
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.sram import live_bytes
from hybrid_nas.resources import firmware_dir
from hybrid_nas.spaces.loader import load_space
from hybrid_nas.spaces.opspec import OpSpec
from tests.export.c_host import run_gcc
from tests.hardware.graphs import graphs

Ops = tuple[OpSpec, ...]


def shape_of(ops: Ops) -> tuple[int, int, int]:
    """Of the image: what the first operator that reads it says."""
    first = ops[0]
    return first.h, first.w, first.cin


class Memory:
    """An arena whose bytes know which tensor wrote them last."""

    def __init__(self, plan: ArenaPlan) -> None:
        self.plan = plan
        self.number = {tensor.name: n for n, tensor in enumerate(plan.tensors)}
        self.writer = np.full(plan.arena_bytes, -1)

    def _place(self, name: str, size: int) -> slice:
        start = self.plan.offset(name)
        assert start % 4 == 0 and start + size <= self.plan.arena_bytes
        return slice(start, start + size)

    def write(self, name: str, size: int) -> None:
        self.writer[self._place(name, size)] = self.number[name]

    def read(self, name: str, size: int) -> None:
        assert (self.writer[self._place(name, size)] == self.number[name]).all(), name


def play(ops: Ops, plan: ArenaPlan, hold_image: bool, router: RouterNeeds | None) -> None:
    """Write and read as the operators do; whatever is read must still be what was written."""
    memory, shape = Memory(plan), shape_of(ops)
    scratches = scratch_bytes(OpArrays.of(ops)).tolist()
    in_place = runs_in_place(OpArrays.of(ops)).tolist()

    def operand(index: int) -> tuple[str, int]:
        if index < 0:
            return IMAGE, prod(shape)
        return op_name(index, ops[index]), ops[index].out_bytes

    def decide() -> None:
        assert router is not None
        if router.scratch_bytes:
            memory.write(ROUTER, router.scratch_bytes)
        if router.stage is not None:
            memory.read(*operand(router.stage))
        else:
            memory.read(*operand(len(ops) - 1))
        if router.features is not None:
            memory.read(*operand(router.features))

    memory.write(IMAGE, prod(shape))
    for index, spec in enumerate(ops):
        reads = [operand(index - spec.source)]
        reads += [operand(index - spec.residual)] if spec.residual else []
        if scratches[index]:
            memory.write(scratch_name(index, spec), scratches[index])
        for each in reads:
            memory.read(*each)  # the scratch is not in an operand
        output, size = operand(index)
        start = plan.offset(output)
        for name, read_size in reads:
            apart = start + size <= plan.offset(name) or plan.offset(name) + read_size <= start
            assert apart or (in_place[index] and start == plan.offset(name))
        memory.write(output, size)
        if scratches[index]:
            memory.read(scratch_name(index, spec), scratches[index])  # nor in the output
        if router is not None and router.stage == index:
            decide()
            if hold_image:
                memory.read(IMAGE, prod(shape))
    if router is not None and router.stage is None:
        decide()
    memory.read(*operand(len(ops) - 1))
    if hold_image:
        memory.read(IMAGE, prod(shape))


@st.composite
def routers(draw: st.DrawFn, n_ops: int) -> RouterNeeds | None:
    kind = draw(st.sampled_from(["none", "scores", "features", "stage"]))
    if kind == "none":
        return None
    index = draw(st.integers(0, n_ops - 1))
    return RouterNeeds(
        draw(st.integers(0, 90)),
        features=index if kind == "features" else None,
        stage=index if kind == "stage" else None,
    )


@given(st.data(), graphs(), st.booleans())
def test_nothing_that_is_needed_is_written_over(
    data: st.DataObject, ops: Ops, hold_image: bool
) -> None:
    router = data.draw(routers(len(ops)))
    plan = plan_arena(ops, shape_of(ops), hold_image=hold_image, router=router)
    play(ops, plan, hold_image, router)


@pytest.mark.parametrize("hold_image", [False, True])
def test_networks_of_the_space_need_no_more_than_what_is_alive_at_once(hold_image: bool) -> None:
    space = load_space("mcunet", input_shape=(96, 96, 3), classes=10)
    for row in space.canonical(space.sample(25, np.random.default_rng(1))):
        architecture = space.architecture(tuple(row.tolist()))
        ops, shape = architecture.ops, architecture.input_shape
        router = RouterNeeds(36, features=len(ops) - 2)
        plan = plan_arena(ops, shape, hold_image=hold_image, router=router)
        play(ops, plan, hold_image, router)
        arrays = OpArrays.of(ops)
        wiring = tuple((op.source, op.residual) for op in ops)
        sizes = np.array([[prod(shape), *(op.out_bytes for op in ops)]])
        in_place = runs_in_place(arrays)[None].astype(float)
        hold = frozenset({-1, len(ops) - 2} if hold_image else {len(ops) - 2})
        alive = live_bytes(
            wiring,
            (sizes + 3) // 4 * 4,
            np.zeros((1, len(ops)), np.int64),
            scratch_bytes(arrays)[None],
            in_place,
            hold,
        )
        assert plan.arena_bytes == alive.max()


def test_a_router_that_reads_nothing_may_still_need_memory() -> None:
    ops = (OpSpec("conv", 4, 4, 4, 4), OpSpec("dense", 1, 1, 64, 4))
    assert plan_arena(ops[:1], (4, 4, 4), router=RouterNeeds(1000)).arena_bytes == 1000 + 64


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
class TestScratch:
    """The Python formulas against ``hnas_*_scratch``."""

    @pytest.fixture(scope="class")
    @staticmethod
    def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
        path = tmp_path_factory.mktemp("scratch") / "kernels.so"
        sources = sorted((firmware_dir() / "kernels").glob("*.c"))
        run_gcc("-std=c99", "-shared", "-fPIC", f"-I{firmware_dir()}", *sources, "-o", path)
        found = ctypes.CDLL(str(path))
        for name in ("conv", "depthwise", "dense", "pool"):
            getattr(found, f"hnas_{name}_scratch").restype = ctypes.c_uint32
        return found

    @given(
        kind=st.sampled_from(["conv", "dwconv", "dense", "avgpool"]),
        size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
        channels=st.tuples(st.integers(1, 700), st.integers(1, 700)),
        kernel=st.integers(1, 11),
        stride=st.integers(1, 4),
    )
    def test_formulas_are_the_kernels(
        self,
        library: ctypes.CDLL,
        kind: str,
        size: tuple[int, int],
        channels: tuple[int, int],
        kernel: int,
        stride: int,
    ) -> None:
        cin, cout = channels
        if kind == "dense":
            spec = OpSpec("dense", 1, 1, cin, cout)
            wanted = library.hnas_dense_scratch(cin, cout)
        else:
            cout = cout if kind == "conv" else cin
            spec = OpSpec(kind, *size, cin, cout, kernel, stride, kernel // 2)
            assume(min(spec.out_h, spec.out_w) > 0)
            fields = (ctypes.c_int32 * 11)(*window(spec).values())
            name = {"conv": "conv", "dwconv": "depthwise", "avgpool": "pool"}[kind]
            wanted = getattr(library, f"hnas_{name}_scratch")(fields)
        assert scratch_bytes(OpArrays.of([spec])).tolist() == [wanted]
        assert wanted % 4 == 0


def test_the_plan_as_a_document() -> None:
    ops = (OpSpec("conv", 8, 8, 3, 4), OpSpec("conv", 8, 8, 4, 2))
    document = plan_arena(ops, (8, 8, 3)).document()
    assert document["steps"] == ["0:conv", "1:conv"]
    by_name = {tensor.pop("name"): tensor for tensor in document["tensors"]}
    assert by_name[IMAGE] == {"bytes": 192, "first": -1, "last": 0, "offset": 256}
    assert by_name["1:conv"]["last"] == 2  # read after the last step
    assert document["arena_bytes"] == 464


def test_kernel_sources_are_where_the_package_says() -> None:
    assert (firmware_dir() / "hnas_kernels.h").is_file()
    assert Path(firmware_dir() / "kernels").is_dir()
