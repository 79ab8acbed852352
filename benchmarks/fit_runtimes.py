"""Fit the runtimes' constants and the predicted latency tables to published figures.

    python benchmarks/fit_runtimes.py [--data ../shared/data/mcunet] [--write]

Reads `latency_tables/published/*.yaml` and the architectures of the MCUNet zoo; prints every
constant and its left-one-out errors, and with --write puts them into
`hybrid_nas/hardware/runtimes.yaml` and `latency_tables/*.yaml`. Latencies are fitted by least
squares on relative errors with non-negative coefficients. Every fit is over all networks that have
the figure: no network has a constant of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from published import Figures, Network, load_figures, load_networks
from runtime_file import update_runtimes
from scipy.optimize import nnls

from hybrid_nas.hardware.boards import load_board
from hybrid_nas.hardware.latency import model_terms
from hybrid_nas.hardware.latency_files import save_table
from hybrid_nas.hardware.latency_table import Energy, Identity, LatencyTable, Validation
from hybrid_nas.hardware.op_arrays import OpArrays
from hybrid_nas.hardware.runtimes import FitError, Runtime, load_runtime, runtime_ids
from hybrid_nas.hardware.sram import plan
from hybrid_nas.typing import FloatArray

ROOT = Path(__file__).resolve().parents[1]
LATENCY_TERMS = {
    "tinyengine": ("conv_mmac", "dwconv_mmac", "out_melem"),
    "tflm": ("conv_mmac", "dwconv_mmac", "out_melem"),
    # the border is copied by an operator of its own there
    "cmsis-nn": ("conv_mmac", "dwconv_mmac", "out_melem", "padded_melem"),
    # ... and here small images are slow: every weight is fetched from flash
    "x-cube-ai": ("conv_mmac", "dwconv_mmac", "out_melem", "conv_mweights"),
}
Fit = Callable[[FloatArray, FloatArray], FloatArray]


def relative_nnls(X: FloatArray, y: FloatArray) -> FloatArray:
    """Non-negative coefficients that minimise the squared relative errors of ``X @ c`` to y."""
    return np.asarray(nnls(X / y[:, None], np.ones(len(y)))[0])


def leave_one_out(X: FloatArray, y: FloatArray, fit: Fit) -> FloatArray:
    """Relative error of each row as predicted from the others."""
    errors = []
    for row in range(len(y)):
        others = np.arange(len(y)) != row
        errors.append(X[row] @ fit(X[others], y[others]) / y[row] - 1)
    return np.array(errors)


def fit_error(errors: FloatArray) -> FitError:
    """Summary of relative errors."""
    worst = float(np.abs(errors).max())
    return FitError(float(np.abs(errors).mean()), worst, float(errors.mean()), len(errors))


def unbiased_constant(X: FloatArray, y: FloatArray) -> FloatArray:
    """The constant that makes the mean relative error zero, where X is (a size, 1)."""
    return np.array([1.0, (1 - X[:, 0] / y).mean() / (X[:, 1] / y).mean()])


def fixed_size(X: FloatArray, y: FloatArray) -> FloatArray:
    """No constant at all: X is the size itself."""
    return np.ones(X.shape[1])


# -- memory


def fit_sram(
    runtime: Runtime, nets: dict[str, Network], kib: dict[str, float]
) -> dict[str, object]:
    """Constants and errors of the SRAM model."""
    names = [name for name in kib if name in nets]
    y = np.array([kib[name] * 1024 for name in names])
    steps = np.array([float(OpArrays.of(nets[name].ops).steps.sum()) for name in names])
    model = runtime.sram
    own = model.bytes_per_step * steps * model.explicit_padding + model.fixed_bytes
    sizes = np.array([plan(n.ops, n.shape, runtime).peak_bytes for n in (nets[m] for m in names)])
    base = sizes - own
    if model.explicit_padding:
        # least squares of what is left over the plan, in bytes per step
        def fit(X: FloatArray, y: FloatArray) -> FloatArray:
            return np.array([1.0, (X[:, 1] @ (y - X[:, 0])) / (X[:, 1] @ X[:, 1])])

        X = np.stack([base, steps], 1)
        constants = {"sram.bytes_per_step": round(fit(X, y)[1])}
    elif model.fixed_bytes:
        fit, X = unbiased_constant, np.stack([base, np.ones(len(y))], 1)
        constants = {"sram.fixed_bytes": int(np.ceil(fit(X, y)[1] / 256) * 256)}
    else:
        fit, X, constants = fixed_size, base[:, None], {}
    return {
        "constants": constants,
        "sram": fit_error(leave_one_out(X, y, fit)),
        "names": names,
        "errors": (X @ fit(X, y)) / y - 1,
    }


def fit_flash(
    runtime: Runtime, nets: dict[str, Network], kib: dict[str, float], out: set[str]
) -> dict[str, object]:
    """Constants and errors of the flash model."""
    names = [name for name in kib if name in nets and name not in out]
    y = np.array([kib[name] * 1024 for name in names])
    arrays = [OpArrays.of(nets[name].ops) for name in names]
    model = runtime.flash
    steps = np.array([float(a.steps.sum() if model.explicit_padding else len(a)) for a in arrays])
    base = np.array([float(model.op_bytes(a).sum()) for a in arrays]) - steps * model.bytes_per_step
    columns = [np.ones(len(y)), steps] if model.bytes_per_step else [np.ones(len(y))]

    def fit(X: FloatArray, y: FloatArray) -> FloatArray:
        rest, *_ = np.linalg.lstsq(X[:, 1:] / y[:, None], 1 - X[:, 0] / y, rcond=None)
        return np.array([1.0, *rest])

    X = np.stack([base, *columns], 1)
    _, fixed, *per_step = fit(X, y)
    constants = {"flash.fixed_bytes": round(fixed)}
    if per_step:
        constants["flash.bytes_per_step"] = round(per_step[0])
    return {
        "constants": constants,
        "flash": fit_error(leave_one_out(X, y, fit)),
        "names": names,
        "errors": (X @ fit(X, y)) / y - 1,
    }


# -- latency


def terms(nets: dict[str, Network], names: list[str], runtime: str) -> FloatArray:
    """Sums of a runtime's model terms over each network's operators."""
    rows = []
    for name in names:
        columns = model_terms(OpArrays.of(nets[name].ops))
        rows.append([float(columns[term].sum()) for term in LATENCY_TERMS[runtime]])
    return np.array(rows)


def identity(figures: Figures, runtime: str) -> Identity:
    """What the published latencies of one runtime belong to."""
    board = load_board(figures.board)
    return Identity(
        board.id,
        board.core,
        board.clock_hz,
        runtime,
        figures.versions[runtime],
        kernels=figures.kernels,
        unit="ms",
    )


def fitted_table(figures: Figures, runtime: str, nets: dict[str, Network]) -> LatencyTable:
    """A table whose model is fitted to the board's own figures."""
    ms = {name: value for name, value in figures.ms[runtime].items() if name in nets}
    X, y = terms(nets, list(ms), runtime), np.array(list(ms.values()), float)
    error = fit_error(leave_one_out(X, y, relative_nnls))
    model = dict(zip(LATENCY_TERMS[runtime], relative_nnls(X, y).tolist(), strict=True))
    show(f"{figures.board} {runtime} ms", model, error, list(ms), X @ relative_nnls(X, y) / y - 1)
    return table(
        figures,
        runtime,
        model,
        Validation(
            round(error.mean, 4),
            round(error.worst, 4),
            error.networks,
            "leave one network out, all networks with published latencies",
        ),
    )


def base_model(
    figures: Figures, runtime: str, nets: dict[str, Network], without: str = ""
) -> FloatArray:
    """Coefficients of the model fitted to one board's figures, one network left out."""
    ms = {n: value for n, value in figures.ms[runtime].items() if n in nets and n != without}
    return relative_nnls(terms(nets, list(ms), runtime), np.array(list(ms.values()), float))


def scaled_table(
    figures: Figures,
    runtime: str,
    nets: dict[str, Network],
    other: Figures,
    zoo: dict[str, Network],
) -> LatencyTable:
    """A table whose model is another board's, times one factor fitted to this board's figures.

    For the error of a network, both the other board's model and the factor are fitted without it.
    """
    ms = {name: value for name, value in figures.ms[runtime].items() if name in nets}
    names, y = list(ms), np.array(list(ms.values()), float)
    X = terms(nets, names, runtime)
    errors = []
    for row, name in enumerate(names):
        sums = (X @ base_model(other, runtime, zoo, without=name))[:, None]
        errors.append(leave_one_out(sums, y, relative_nnls)[row])
    base = base_model(other, runtime, zoo)
    scale = float(relative_nnls((X @ base)[:, None], y)[0])
    error = fit_error(np.array(errors))
    model = dict(zip(LATENCY_TERMS[runtime], (base * scale).tolist(), strict=True))
    show(
        f"{figures.board} {runtime} ms = {scale:.4f} x {other.board}",
        model,
        error,
        names,
        X @ base * scale / y - 1,
    )
    return table(
        figures,
        runtime,
        model,
        Validation(
            round(error.mean, 4),
            round(error.worst, 4),
            error.networks,
            f"one factor ({scale:.4f}) on the model of {other.board}; "
            "both fitted without the network",
        ),
        fitted_energy(figures, runtime, dict(zip(names, (1 + np.array(errors)) * y, strict=True))),
    )


def fitted_energy(figures: Figures, runtime: str, unseen_ms: dict[str, float]) -> Energy | None:
    """Mean power, and the error of energies as users get them: predicted latency x power.

    `unseen_ms` are latencies of networks as predicted without them; the power that they are
    multiplied by is fitted without them as well.
    """
    published = figures.energy_uj.get(runtime, {})
    names = [name for name in unseen_ms if name in published]
    if len(names) < 2:
        return None
    uj, ms = (
        np.array([figure[name] for name in names]) for figure in (published, figures.ms[runtime])
    )
    predicted = np.array([unseen_ms[name] for name in names])
    power = float(relative_nnls(ms[:, None], uj)[0])
    errors = []
    for row in range(len(names)):
        others = np.arange(len(names)) != row
        errors.append(predicted[row] * relative_nnls(ms[others, None], uj[others])[0] / uj[row] - 1)
    error = fit_error(np.array(errors))
    show(f"{figures.board} {runtime} mW", power, error, names, ms * power / uj - 1)
    return Energy(
        float(f"{power:.4g}"),
        round(error.mean, 4),
        round(error.worst, 4),
        len(names),
        figures.source,
    )


def ratio_table(figures: Figures, runtime: str, other: Figures, base: LatencyTable) -> LatencyTable:
    """Another board's model times the mean ratio of figures that both boards have."""
    both = [name for name in figures.ms[runtime] if name in other.ms[runtime]]
    ratios = np.array([figures.ms[runtime][name] / other.ms[runtime][name] for name in both])
    ratio, spread = float(ratios.mean()), float(np.ptp(ratios) / ratios.mean())
    assert base.validation is not None
    model = {term: value * ratio for term, value in base.model.items()}
    print(
        f"{figures.board} {runtime}: {ratio:.4f} x {base.identity.board}, ratios {ratios.round(3)}"
    )
    return table(
        figures,
        runtime,
        model,
        Validation(
            round(base.validation.mean + spread / 2, 4),
            round(base.validation.worst + spread, 4),
            len(both),
            f"error of the model of {base.identity.board} plus the spread of the ratio "
            f"({ratio:.4f}) of "
            f"both boards' published latencies",
        ),
    )


def table(
    figures: Figures,
    runtime: str,
    model: dict[str, float],
    validation: Validation,
    energy: Energy | None = None,
) -> LatencyTable:
    """A table without rows."""
    rounded = {term: float(f"{value:.5g}") for term, value in model.items() if value > 0}
    return LatencyTable(
        identity(figures, runtime),
        "predicted",
        f"fitted to {figures.source}",
        model=rounded,
        validation=validation,
        energy=energy,
        name=f"{figures.board}.{runtime}",
    )


def show(
    what: str, constants: object, error: FitError, names: list[str], errors: FloatArray
) -> None:
    """Print one fit."""
    print(f"{what}: {constants}")
    print(
        f"    left one out: mean {error.mean:.1%}, worst {error.worst:.1%}, "
        f"bias {error.bias:+.1%}, "
        f"{error.networks} networks"
    )
    print("    fitted: " + ", ".join(f"{n} {e:+.1%}" for n, e in zip(names, errors, strict=True)))


def all_tables(zoo: dict[str, Network], data: Path) -> list[LatencyTable]:
    """Every table that published figures allow."""
    h743, f746 = load_figures("mcunet_zoo")
    tables = {runtime: fitted_table(h743, runtime, zoo) for runtime in LATENCY_TERMS}
    scaled = [scaled_table(f746, name, zoo, h743, zoo) for name in ("tinyengine", "x-cube-ai")]
    ratios = [ratio_table(f746, name, h743, tables[name]) for name in ("cmsis-nn", "tflm")]
    tiny = load_networks("mlperf_tiny", data)
    rest = [
        scaled_table(figures, "x-cube-ai", tiny, h743, zoo)
        for figures in load_figures("mlperf_tiny")
    ]
    return [*tables.values(), *scaled, *ratios, *rest]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "mcunet")
    parser.add_argument("--write", action="store_true", help="put the results into the data files")
    arguments = parser.parse_args()
    zoo = load_networks("mcunet_zoo", arguments.data)
    h743 = load_figures("mcunet_zoo")[0]
    results = {}
    for name in runtime_ids():
        if name not in h743.sram_kib:
            continue  # no published figure to compare with
        runtime = load_runtime(name)
        sram = fit_sram(runtime, zoo, h743.sram_kib[name])
        flash = fit_flash(runtime, zoo, h743.flash_kib[name], h743.left_out("flash_kib", name))
        for kind, fit in (("sram", sram), ("flash", flash)):
            show(f"{name} {kind}", fit["constants"], fit[kind], fit["names"], fit["errors"])
        results[name] = {
            "constants": {**sram["constants"], **flash["constants"]},
            "fit": {"sram": sram["sram"], "flash": flash["flash"]},
        }
    tables = all_tables(zoo, arguments.data)
    if arguments.write:
        update_runtimes(ROOT / "hybrid_nas" / "hardware" / "runtimes.yaml", results)
        for one in tables:
            save_table(
                one,
                ROOT / "latency_tables" / f"{one.name}.yaml",
                "Written by benchmarks/fit_runtimes.py; docs/latency-table.md explains the keys.",
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
