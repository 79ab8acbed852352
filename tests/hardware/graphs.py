"""Random networks for the planners' tests: any wiring of operators, not only chains."""

from __future__ import annotations

from hypothesis import strategies as st

from hybrid_nas.spaces.opspec import OpSpec

Shape = tuple[int, int, int]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[OpSpec, ...]:
    """Up to nine operators, each reading any earlier tensor; additions read two of equal shape."""
    shape: Shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 6)))
    shapes = [shape]
    ops: list[OpSpec] = []
    for number in range(draw(st.integers(1, 9))):
        # mostly chains, so that deep networks are common
        distance = 1 if draw(st.booleans()) else draw(st.integers(1, number + 1))
        h, w, cin = shapes[number + 1 - distance]
        twins = [t for t, s in enumerate(shapes) if s == (h, w, cin) and t != number + 1 - distance]
        kinds = ["conv", "dwconv", "avgpool"] + ["add"] * bool(twins) + ["dense"] * (h == w == 1)
        kind = draw(st.sampled_from(kinds))
        if kind == "add":
            residual = number + 1 - draw(st.sampled_from(twins))
            op = OpSpec("add", h, w, cin, cin, bias=False, source=distance, residual=residual)
        elif kind == "avgpool":
            op = OpSpec("avgpool", h, w, cin, cin, kernel=0, bias=False, source=distance)
        elif kind == "dense":
            op = OpSpec("dense", 1, 1, cin, draw(st.integers(1, 9)), source=distance)
        else:
            kernel = draw(st.sampled_from([1, 3, 5] if kind == "conv" else [3, 5, 7]))
            cout = draw(st.integers(1, 9)) if kind == "conv" else cin
            stride = draw(st.integers(1, 2))
            op = OpSpec(kind, h, w, cin, cout, kernel, stride, kernel // 2, source=distance)
        ops.append(op)
        shapes.append((op.out_h, op.out_w, op.cout))
    return tuple(ops)
