"""A made-up run directory in the shape that `search` writes: no number in it was measured."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

COVERAGES = (0.9, 0.7, 0.5)
METHODS = ("entropy", "msp", "margin", "oracle")
KB = 1024
QUERY_MS = 2000.0
TEST_IMAGES = 1500


def make_run(
    folder: Path,
    *,
    pairs: int = 7,
    trials: int = 120,
    cloud: bool = True,
    latency: bool = True,
    latency_limit_ms: float | None = None,
    seed: int = 0,
    data_name: str = "made-up-digits (test data, not a real data set)",
) -> Path:
    """Write a fabricated run to `folder` and return it.

    Args:
        folder: made if it is not there.
        pairs: members of the front.
        trials: scored candidates; 0 leaves out ``trials.json``.
        cloud: without it the run is one of an abstaining classifier.
        latency: without it every latency is null, as for a board without a table.
        latency_limit_ms: limit on the device's latency.
        seed: of the made-up numbers.
        data_name: name of the data set in ``run.yaml``.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    drawn = (_candidate(n, rng, cloud, latency) for n in range(10 * max(trials, pairs)))
    fitting = (candidate for candidate in drawn if candidate["flash_bytes"] <= KB * KB)
    candidates = list(itertools.islice(fitting, max(trials, pairs)))
    front = _front(candidates, pairs)
    document = {
        "schema": "hybrid-nas/pareto/1",
        "limits": {"sram_bytes": 96 * KB, "flash_bytes": KB * KB, "latency_ms": latency_limit_ms},
        "board": "stm32f746",
        "latency_table": "stm32f746-made-up" if latency else None,
        "coverages": list(COVERAGES),
        "target_coverage": 0.7,
        "objective": {
            "names": ["accuracy@0.7", "mean-latency@0.7"],
            "directions": ["maximize", "minimize"],
        },
        "data": {"name": data_name, "test_images": TEST_IMAGES},
        "pairs": [_pair(candidate, folder, rng, cloud) for candidate in front],
        "cloud": {
            "name": "bundled cloud model",
            "accuracy": 0.972,
            "latency_ms": 200.0,
            "uplink_ms": QUERY_MS - 200.0,
        }
        if cloud
        else None,
        "baseline_note": "Baselines and router send exactly as many inputs: each is cut at its own "
        "quantile of the test split.",
    }
    (folder / "pareto.json").write_text(json.dumps(document, indent=1))
    if trials:
        (folder / "trials.json").write_text(json.dumps(_trials_document(candidates)))
    (folder / "run.yaml").write_text(yaml.safe_dump(_settings(folder, data_name), sort_keys=False))
    return folder


def ask(document: dict[str, Any], **asked: float) -> dict[str, Any]:
    """Give every pair of a ``pareto.json`` a working point, as a run has that was asked for it.

    Args:
        document: changed in place and returned.
        asked: ``mean_latency_ms``, ``mean_energy_mj`` or ``max_loss`` (a share).
    """
    loss = "max_loss" in asked
    names = ["mean-latency-within-loss", "loss"] if loss else ["accuracy-in-budget"]
    directions = ["minimize", "minimize"] if loss else ["maximize"]
    document["objective"] = {"names": names, "directions": directions}
    for place, pair in enumerate(document["pairs"]):
        pair["cost"]["edge_energy_mj"] = 0.15 * pair["cost"]["edge_latency_ms"]
        pair["point"] = {
            "asked": asked,
            "coverage": 0.62,
            "threshold": 0.21,
            "score": _priced(pair["hybrid"]["0.7"], 0.62, 0.012 - 0.004 * place),
            "test": _priced(pair["test"]["0.7"], 0.64, 0.011 - 0.004 * place),
        }
    return document


def _priced(result: dict[str, Any], coverage: float, loss: float) -> dict[str, Any]:
    """A result with everything that a priced uplink adds."""
    return {
        **result,
        "coverage": coverage,
        "accuracy_with_timeouts": result["accuracy"] - 0.007,
        "p95_latency_ms": 1.2 * QUERY_MS,
        "mean_energy_mj": 40.0 * (1 - coverage),
        "battery_days": 321.0,
        "loss": loss,
        "loss_stderr": 0.002,
    }


def _candidate(number: int, rng: np.random.Generator, cloud: bool, latency: bool) -> dict[str, Any]:
    width = float(rng.choice([0.3, 0.5, 0.7]))
    resolution = int(rng.choice([32, 40, 48, 56, 64]))
    depths = [int(depth) for depth in rng.integers(2, 5, 5)]
    genes: dict[str, Any] = {"resolution": resolution, "width": width}
    genes |= {f"d{stage}": depth for stage, depth in enumerate(depths, 1)}
    for stage, depth in enumerate([*depths, 1], 1):
        for place in range(1, depth + 1):
            genes[f"k{stage}.{place}"] = int(rng.choice([3, 5, 7]))
            genes[f"e{stage}.{place}"] = int(rng.choice([3, 4, 6]))
    macs = int(
        5.5e6
        * (width / 0.5) ** 2
        * (resolution / 48) ** 2
        * sum(depths)
        / 15
        * rng.uniform(0.8, 1.2)
    )
    params = int(6.5e5 * (width / 0.5) ** 1.5 * sum(depths) / 15 * rng.uniform(0.9, 1.1))
    base = float(0.905 - 0.24 * np.exp(-macs / 3.2e6) + rng.normal(0, 0.008))
    edge_ms = 4.0 + macs / 1.1e5 if latency else None
    accuracy = {}
    for coverage in COVERAGES:
        sent = 1 - coverage
        gained = (0.972 - base) * (1 - np.exp(-4.2 * sent)) if cloud else (1 - base) * sent * 1.1
        accuracy[format(coverage, "g")] = float(min(0.999, base + gained + rng.normal(0, 0.004)))
    mean_ms = edge_ms + (0.3 * QUERY_MS if cloud else 0.0) if edge_ms is not None else None
    return {
        "number": number,
        "genes": genes,
        "router": str(rng.choice(["mlp8-features", "linear-logits", "confidence"])),
        "method": "signed-gain",
        "accuracy": accuracy,
        "base_accuracy": base,
        "macs": macs,
        "params": params,
        "sram_bytes": int(16 * KB + 24 * KB * (width / 0.5) * (resolution / 48) ** 2),
        "flash_bytes": int(params * 1.08 + 38 * KB),
        "edge_latency_ms": edge_ms,
        "mean_latency_ms": mean_ms,
    }


def _front(candidates: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """Non-dominated in accuracy and mean latency; padded with the next best to `size`."""

    def order(candidate: dict[str, Any]) -> float:
        latency_ms = candidate["mean_latency_ms"]
        return float(candidate["macs"] if latency_ms is None else latency_ms)

    front: list[dict[str, Any]] = []
    for candidate in sorted(candidates, key=order):
        if not front or candidate["accuracy"]["0.7"] > front[-1]["accuracy"]["0.7"]:
            front.append(candidate)
    rest = [candidate for candidate in candidates if candidate not in front]
    rest.sort(key=lambda candidate: -candidate["accuracy"]["0.7"])
    return [*front[-size:], *rest][:size] if size else []


def _pair(
    candidate: dict[str, Any], folder: Path, rng: np.random.Generator, cloud: bool
) -> dict[str, Any]:
    number = candidate["number"]
    curves = _curves(candidate, rng, cloud)
    target = folder / "pairs" / str(number)
    target.mkdir(parents=True, exist_ok=True)
    (target / "curves.json").write_text(json.dumps(curves))
    kind = candidate["router"]
    params = {"mlp8-features": 1377, "linear-logits": 60, "confidence": 0}[kind]
    return {
        "id": number,
        "base": {
            "space": "mcunet-digits",
            "genes": candidate["genes"],
            "resolution": candidate["genes"]["resolution"],
            "macs": candidate["macs"],
            "params": candidate["params"],
            "accuracy": candidate["base_accuracy"],
        },
        "router": {
            "kind": kind,
            "method": "msp" if kind == "confidence" else "signed-gain",
            "params": params,
            "flash_bytes": 2 * KB + 4 * params,
            "sram_bytes": 512,
            "thresholds": {format(c, "g"): round(0.4 * c - 0.1, 4) for c in COVERAGES},
        },
        "cost": {
            "sram_bytes": candidate["sram_bytes"],
            "flash_bytes": candidate["flash_bytes"],
            "edge_latency_ms": candidate["edge_latency_ms"],
            "edge_latency_is": "predicted" if candidate["edge_latency_ms"] is not None else None,
        },
        "hybrid": {
            key: _result(value, float(key), candidate, cloud)
            for key, value in candidate["accuracy"].items()
        },
        "test": {
            format(c, "g"): _result(_read(curves, "router", c), c + 0.008, candidate, cloud)
            for c in COVERAGES
        },
        "baselines": {
            method: {format(c, "g"): _read(curves, method, c) for c in COVERAGES}
            for method in METHODS
        },
        "auc": float(np.mean(curves["accuracy"]["router"])),
    }


def _result(
    accuracy: float, coverage: float, candidate: dict[str, Any], cloud: bool
) -> dict[str, float | None]:
    edge_ms = candidate["edge_latency_ms"]
    query_ms = (1 - coverage) * QUERY_MS if cloud else 0.0
    return {
        "accuracy": accuracy,
        "stderr": float(np.sqrt(accuracy * (1 - accuracy) / TEST_IMAGES) * 1.4),
        "coverage": coverage,
        "mean_latency_ms": None if edge_ms is None else edge_ms + query_ms,
    }


def _curves(candidate: dict[str, Any], rng: np.random.Generator, cloud: bool) -> dict[str, Any]:
    coverage = np.round(np.linspace(0.05, 1.0, 39), 4)
    sent = 1 - coverage
    base = candidate["base_accuracy"] - 0.012  # selection made the score optimistic
    room = 0.972 - base
    accuracy = {}
    steepness = {"router": 4.2, "entropy": 3.4, "msp": 3.7, "margin": 3.8, "oracle": 0.0}
    for method, steep in steepness.items():
        if not cloud:
            gain = (1 - base) * (1 - np.exp(-1.6 * sent)) * (1 + (steep - 3.8) / 8)
            curve = np.minimum(1.0, base + gain)
        elif method == "oracle":
            curve = np.minimum(base + sent, 0.985)
        else:
            curve = base + room * (1 - np.exp(-steep * sent)) / (1 - np.exp(-steep * 0.95))
        wobble = np.cumsum(rng.normal(0, 0.0008, len(coverage)))
        if method != "oracle":
            curve = curve + wobble
        accuracy[method] = np.where(coverage < 1, curve, base)
    if candidate["router"] == "confidence":
        accuracy["router"] = accuracy["msp"]
    wrong = np.maximum(0.0, 1 - accuracy["router"])
    stderr = np.sqrt(accuracy["router"] * wrong / TEST_IMAGES) * 1.4
    return {
        "split": "test",
        "coverage": coverage.tolist(),
        "accuracy": {name: np.minimum(values, 1.0).tolist() for name, values in accuracy.items()},
        "stderr": stderr.tolist(),
    }


def _read(curves: dict[str, Any], method: str, coverage: float) -> float:
    return float(np.interp(coverage, curves["coverage"], curves["accuracy"][method]))


def _trials_document(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    trials, best = [], 0.0
    for candidate in candidates:
        latency_ms = candidate["mean_latency_ms"]
        volume = (candidate["accuracy"]["0.7"] - 0.7) * (2000 - (latency_ms or 700))
        best = max(best, volume)
        trials.append(
            {
                **candidate,
                "values": [candidate["accuracy"]["0.7"], latency_ms],
                "seconds": {"total": 1.9, "network": 1.7, "router": 0.12},
                "hypervolume": best,
                "elapsed_s": 2.0 * (len(trials) + 1),
            }
        )
    return {"schema": "hybrid-nas/trials/1", "trials": trials}


def _settings(folder: Path, data_name: str) -> dict[str, Any]:
    return {
        "schema": "hybrid-nas/run/1",
        "command": "hybrid-nas search --sram 96KB --flash 1MB --seed 0",
        "started": "2025-01-01T12:00:00+00:00",
        "finished": "2025-01-01T12:04:12+00:00",
        "seconds": 252.3,
        "settings": {
            "board": "stm32f746",
            "runtime": "tinyengine",
            "space": "mcunet-digits",
            "data": data_name,
            "coverage": [0.9, 0.7, 0.5],
            "trials": 120,
            "sampler": "default",
            "uplink_image": "input",
            "jobs": 1,
            "reserve_sram_bytes": 0,
            "reserve_flash_bytes": 0,
            "storage": "postgresql://searcher:hunter2@db.example/studies",
        },
        "seeds": {"search": 0, "split": 0, "router": 0},
        "versions": {"hybrid-nas": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
        "hashes": {
            "data": "made-up-" + "0" * 56,
            "supernet": "made-up-" + "1" * 56,
            "latency_table": "made-up-" + "2" * 56,
        },
        "understood": {"sram": "96 KB (98,304 bytes)", "flash": "1 MB (1,048,576 bytes)"},
        "notes": ["Made up for the tests of the report: no number here was measured."],
        "warnings": ["The standard error on the score split is above one point for 2 candidates."],
    }
