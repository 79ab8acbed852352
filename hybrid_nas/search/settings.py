"""Everything that decides a search, in one frozen record that ``run.yaml`` keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.routing.designs import DESIGNS
from hybrid_nas.routing.objectives import OBJECTIVES as ROUTER_OBJECTIVES
from hybrid_nas.routing.scoring import AUTO
from hybrid_nas.search.objectives import OBJECTIVES
from hybrid_nas.search.sampler import SAMPLERS

DEFAULT_COVERAGES = (0.9, 0.7, 0.5)
DEFAULT_ROUTERS = (
    "confidence",
    "linear-stats",
    "linear-logits",
    "linear-features",
    "mlp8-logits",
    "mlp8-features",
)


@dataclass(frozen=True)
class SearchSettings:
    """What the user asked for; defaults are those of ``hybrid-nas search``.

    Attributes:
        sram_bytes, flash_bytes: limits; None means the board's.
        latency_ms: limit on the device's own latency, or None.
        board, runtime, table: what costs are computed for; ``table`` is a latency table's file.
        data, supernet, cloud, space: where they come from; None means the bundled ones. `cloud` is
            ``none`` for abstaining classifiers.
        coverages: reported; `target_coverage`, one of them, is optimised.
        objectives: names from `hybrid_nas.search.objectives`.
        routers: designs that the search chooses from; `router_objective` is what they learn.
        trials: candidates to score; `time_budget_s` stops earlier.
        uplink_ms, cloud_ms: what a query costs beside the base.
        uplink_image: what is held in SRAM for the uplink, see `hybrid_nas.hardware.uplink`.
        reserve_sram_bytes, reserve_flash_bytes: kept free for radio stack and application.
        calibration_images: training images for batch-norm statistics.
        seed: decides everything that is random.
        jobs: worker processes.
    """

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_ms: float | None = None
    board: str = "stm32f746"
    runtime: str = "tinyengine"
    table: str | None = None
    data: str = "digits"
    image_size: str | None = None
    group: str | None = None
    supernet: str | None = None
    space: str | None = None
    cloud: str | None = None
    coverages: tuple[float, ...] = DEFAULT_COVERAGES
    target_coverage: float = 0.7
    objectives: tuple[str, ...] = ("accuracy", "mean-latency")
    routers: tuple[str, ...] = DEFAULT_ROUTERS
    router_objective: str = AUTO
    trials: int = 150
    time_budget_s: float | None = None
    sampler: str = "tpe"
    uplink_ms: float = 1900.0
    cloud_ms: float = 100.0
    uplink_image: str = "input"
    reserve_sram_bytes: int = 0
    reserve_flash_bytes: int = 0
    calibration_images: int = 256
    seed: int = 0
    jobs: int = 1
    threads: int | None = None

    def __post_init__(self) -> None:
        for coverage in (*self.coverages, self.target_coverage):
            if not 0 < coverage <= 1:
                raise InputError(f"a coverage lies in (0, 1] (got {coverage:g})")
        if self.target_coverage not in self.coverages:
            object.__setattr__(self, "coverages", (*self.coverages, self.target_coverage))
        _check_names("objective", self.objectives, OBJECTIVES)
        _check_names("router", self.routers, DESIGNS)
        _check_names("sampler", (self.sampler,), SAMPLERS)
        _check_names("router objective", (self.router_objective,), (AUTO, *ROUTER_OBJECTIVES))
        for name in ("trials", "jobs", "calibration_images"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"--{name.replace('_', '-')} must be at least 1 (got {getattr(self, name)})"
                )

    @property
    def query_ms(self) -> float:
        """Latency of one query: uplink and cloud."""
        return self.uplink_ms + self.cloud_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain values for YAML."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Inverse of `to_dict`.

        Raises:
            InputError: an unknown setting (a run of another version).
        """
        known = {field.name for field in fields(cls)}
        unknown = values.keys() - known
        if unknown:
            raise InputError(f"unknown setting {sorted(unknown)[0]!r} in run.yaml")
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)


def _check_names(what: str, given: tuple[str, ...], known: Any) -> None:
    if not given:
        raise InputError(f"at least one {what} is needed: one of {', '.join(known)}")
    if len(set(given)) != len(given):
        raise InputError(f"each {what} is given once (got {', '.join(given)})")
    for name in given:
        if name not in known:
            raise InputError(f"no {what} {name!r}: give one of {', '.join(known)}")


__all__ = ["DEFAULT_COVERAGES", "DEFAULT_ROUTERS", "SearchSettings"]
