"""Random networks whose beginning runs in patches: all windows, shortcuts of all lengths."""

from __future__ import annotations

from hypothesis import strategies as st

from hybrid_nas.hardware.patch_regions import Grid, Patches
from hybrid_nas.spaces.opspec import OpSpec

Stage = tuple[tuple[OpSpec, ...], Patches]


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """A stage of one to nine operators, a global pool after it, and a grid that fits."""
    shapes = [(draw(st.integers(4, 17)), draw(st.integers(4, 17)), draw(st.integers(1, 5)))]
    ops: list[OpSpec] = []

    def append(op: OpSpec) -> None:
        ops.append(op)
        shapes.append((op.out_h, op.out_w, op.cout))

    for _ in range(draw(st.integers(1, 7))):
        h, w, c = shapes[-1]
        number = len(ops)
        twins = [t for t, shape in enumerate(shapes[:-1]) if shape == (h, w, c)]
        same = [t for t, shape in enumerate(shapes[:-1]) if shape[:2] == (h, w)]
        kinds = ["conv", "dwconv", "avgpool", "maxpool"]
        kind = draw(st.sampled_from(kinds + ["add"] * 3 * bool(twins) + ["project"] * bool(same)))
        if kind == "add":
            residual = number + 1 - draw(st.sampled_from(twins))
            append(OpSpec("add", h, w, c, c, bias=False, residual=residual))
        elif kind == "project":  # a shortcut through a convolution, as in ResNet
            t = draw(st.sampled_from(same))
            append(OpSpec("conv", h, w, shapes[t][2], c, source=number + 1 - t))
            append(OpSpec("add", h, w, c, c, bias=False, activation="relu", residual=2))
        else:
            kernel = draw(st.sampled_from([1, 2, 3, 5, 7]))
            stride = draw(st.sampled_from([1, 1, 1, 2, 3]))
            padding = draw(st.sampled_from([kernel // 2, 0, kernel - 1]))
            if min(h, w) + 2 * padding < kernel:
                padding = kernel - 1
            cout = draw(st.sampled_from([c, c, 4, 3])) if kind == "conv" else c
            act = draw(st.sampled_from(["none", "relu", "relu6"]))
            bias = kind in ("conv", "dwconv")
            append(OpSpec(kind, h, w, c, cout, kernel, stride, padding, act, bias))
    h, w, c = shapes[-1]
    grid = Grid(draw(st.integers(1, min(h, 4))), draw(st.integers(1, min(w, 4))))
    ops.append(OpSpec("avgpool", h, w, c, c, kernel=0, bias=False))
    return tuple(ops), Patches(len(ops) - 1, grid)


def input_shape(ops: tuple[OpSpec, ...]) -> tuple[int, int, int]:
    """Of the image."""
    return ops[0].h, ops[0].w, ops[0].cin
