"""Everything that decides a search, in one frozen record that ``run.yaml`` keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from hybrid_nas.data.normalisation import HALF, parse_normalisation
from hybrid_nas.energy import Battery
from hybrid_nas.errors import InputError
from hybrid_nas.routing.delays import FixedDelay
from hybrid_nas.routing.designs import ALL_DESIGNS
from hybrid_nas.routing.objectives import OBJECTIVES as ROUTER_OBJECTIVES
from hybrid_nas.routing.query import Query, RadioEnergy, Uplink
from hybrid_nas.routing.scoring import AUTO
from hybrid_nas.routing.uplink_files import parse_uplink
from hybrid_nas.search.objectives import OBJECTIVES, Regime, objectives_of
from hybrid_nas.search.sampler import GUIDED, SAMPLER_NAMES

DEFAULT_COVERAGES = (0.9, 0.7, 0.5)
DEFAULT_ROUTERS = (
    "confidence",
    "linear-stats",
    "linear-logits",
    "linear-features",
    "mlp8-logits",
    "mlp8-features",
)
PATCHES = ("off", "auto")
NO_CLOUD = "none"
OWN_SUPERNET = "own"
"""`search_cloud` for subnets of the supernet that the bases come from."""


@dataclass(frozen=True)
class DeviceCloud:
    """What the strong network takes on the device itself, weights and time and all."""

    sram_bytes: int
    flash_bytes: int
    latency_ms: float
    macs: int


@dataclass(frozen=True)
class SearchSettings:
    """What the user asked for; defaults are those of ``hybrid-nas search``.

    Attributes:
        sram_bytes, flash_bytes: limits; None means the board's.
        latency_ms: limit on the device's own latency, or None. A budget of mean latency or energy
            lowers it: a pair that is over the budget without a query is never run.
        board, runtime, table: what costs are computed for; ``table`` is a latency table's file.
        own_board: what the user's file says of ``board`` (`hybrid_nas.hardware.board_files`); None
            for one that comes with the program.
        data, supernet, cloud, space: where they come from; None means the bundled ones. `cloud` is
            ``none`` for abstaining classifiers.
        cloud_normalisation: of an ONNX cloud's input, see `parse_normalisation`.
        search_cloud: the cloud is chosen with the base: a subnet of the supernet of this file or
            id, or of the bases' own (`OWN_SUPERNET`); None leaves it fixed.
        cloud_space: search space of an OFA checkpoint in `search_cloud`.
        coverages: reported; `target_coverage`, one of them, is optimised.
        objectives: names from `hybrid_nas.search.objectives`; none means the regime's own.
        routers: designs that the search chooses from; `router_objective` is what they learn.
        trials: candidates to score; `time_budget_s` stops earlier.
        mean_latency_ms, mean_energy_mj: budgets of the mean over all inputs: every pair asks the
            cloud as often as they allow.
        max_loss: every pair asks as seldom as keeps it at most so many percentage points below the
            cloud alone, on the threshold split. Not together with a budget.
        uplink_ms, cloud_ms: what a query costs beside the base. With `uplink`, `uplink_ms` is made
            from it: the mean wait less the cloud's time.
        uplink: document of an uplink model, see `hybrid_nas.routing.uplink_files`, or None.
        uplink_bytes: what a query sends over it.
        cloud_on_device: the cloud's network runs on the device too: one of ours, sent nowhere.
        device_cloud: fields of `DeviceCloud`; its flash is part of `reserve_flash_bytes`.
        cloud_macs: of the cloud's network, where they are asked for.
        power_mw: of the board while it runs a network, where it is known.
        battery, per_day, sleep_mw: ``1000mAh@3.7V``, inputs a day, power beside them.
        uplink_image: what is held in SRAM for the uplink, see `hybrid_nas.hardware.uplink`.
        reserve_sram_bytes, reserve_flash_bytes: kept free for radio stack and application.
        calibration_images: training images for batch-norm statistics.
        seed: decides everything that is random.
        jobs: worker processes.
        warm_start: run directories whose scores the guided sampler begins with.
        patience: the search ends when so many candidates in a row have not made the front's
            hypervolume grow beyond its confidence; None (or 0) means never.
        patches: ``auto``: a base that does not fit in SRAM runs its first blocks patch by patch
            where that helps; ``off``: none does.
    """

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    latency_ms: float | None = None
    board: str = "stm32f746"
    runtime: str = "tinyengine"
    table: str | None = None
    own_board: Mapping[str, Any] | None = None
    data: str = "digits"
    image_size: str | None = None
    group: str | None = None
    supernet: str | None = None
    space: str | None = None
    cloud: str | None = None
    cloud_normalisation: str = HALF
    coverages: tuple[float, ...] = DEFAULT_COVERAGES
    target_coverage: float = 0.7
    objectives: tuple[str, ...] = ()
    routers: tuple[str, ...] = DEFAULT_ROUTERS
    router_objective: str = AUTO
    trials: int = 150
    time_budget_s: float | None = None
    sampler: str = GUIDED
    uplink_ms: float = 1900.0
    cloud_ms: float = 100.0
    uplink_image: str = "input"
    reserve_sram_bytes: int = 0
    reserve_flash_bytes: int = 0
    calibration_images: int = 256
    seed: int = 0
    jobs: int = 1
    threads: int | None = None
    mean_latency_ms: float | None = None
    mean_energy_mj: float | None = None
    max_loss: float | None = None
    uplink: Mapping[str, Any] | None = None
    uplink_bytes: int | None = None
    cloud_on_device: bool = False
    device_cloud: Mapping[str, Any] | None = None
    cloud_macs: int | None = None
    power_mw: float | None = None
    battery: str | None = None
    per_day: float | None = None
    sleep_mw: float = 0.0
    search_cloud: str | None = None
    cloud_space: str | None = None
    warm_start: tuple[str, ...] = ()
    patience: int | None = None
    patches: str = "off"

    def __post_init__(self) -> None:
        for coverage in (*self.coverages, self.target_coverage):
            if not 0 < coverage <= 1:
                raise InputError(f"a coverage lies in (0, 1] (got {coverage:g})")
        # figures are stored by coverages of six digits
        target = float(format(self.target_coverage, "g"))
        told = (*(float(format(coverage, "g")) for coverage in self.coverages), target)
        object.__setattr__(self, "target_coverage", target)
        object.__setattr__(self, "coverages", tuple(dict.fromkeys(told)))
        self._check_cloud_choice()
        self._check_regime()
        meant = objectives_of(
            self.regime,
            self.objectives and _checked("objective", self.objectives, OBJECTIVES),
            cloud_is_chosen=self.search_cloud is not None,
        )
        object.__setattr__(self, "objectives", meant)
        _checked("router", self.routers, ALL_DESIGNS)
        _checked("sampler", (self.sampler,), SAMPLER_NAMES)
        _checked("--patches", (self.patches,), PATCHES)
        _checked("router objective", (self.router_objective,), (AUTO, *ROUTER_OBJECTIVES))
        for name in ("trials", "jobs", "calibration_images"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"--{name.replace('_', '-')} must be at least 1 (got {getattr(self, name)})"
                )
        if self.warm_start and self.sampler != GUIDED:
            raise InputError(
                f"--warm-start informs the sampler {GUIDED}, and --sampler {self.sampler} learns "
                "from its own trials alone: leave out one of them"
            )
        if self.patience is not None and self.patience < 0:
            raise InputError(f"--patience must be at least 0 (got {self.patience})")
        self._check_prices()
        if self.uplink is not None and self.query is not None:
            # what reads the two times alone still gets the mean right
            object.__setattr__(self, "uplink_ms", self.query.mean_ms - self.cloud_ms)
        budgets = [self.latency_ms, self.mean_latency_ms]
        if self.mean_energy_mj is not None and self.power_mw:
            budgets.append(self.mean_energy_mj / self.power_mw * 1e3)
        known = [budget for budget in budgets if budget is not None]
        object.__setattr__(self, "latency_ms", min(known) if known else None)

    @property
    def query_ms(self) -> float:
        """Mean latency of one query: uplink and cloud."""
        return self.uplink_ms + self.cloud_ms

    @property
    def regime(self) -> Regime:
        """What decides how often a pair asks the cloud."""
        if self.max_loss is not None:
            return "loss"
        budgets = (self.mean_latency_ms, self.mean_energy_mj)
        return "coverage" if budgets == (None, None) else "budget"

    @property
    def max_loss_share(self) -> float | None:
        """`max_loss` as a share of the inputs."""
        return None if self.max_loss is None else self.max_loss / 100

    @cached_property
    def query(self) -> Query | None:
        """A query to the cloud; None without one."""
        if self.cloud == NO_CLOUD:
            return None
        if self.device_cloud is not None or self.chosen_on_device:
            energy = None if self.power_mw is None else RadioEnergy(wait_mw=self.power_mw)
            return Query(Uplink("on the device", energy=energy), cloud_ms=self.cloud_ms)
        if self.uplink is not None:
            return Query(parse_uplink(self.uplink), self.uplink_bytes or 0, self.cloud_ms)
        return Query(Uplink(delay=FixedDelay(self.uplink_ms)), cloud_ms=self.cloud_ms)

    @property
    def on_device(self) -> DeviceCloud | None:
        """What the cloud's one network takes on the device, if it runs there."""
        return None if self.device_cloud is None else DeviceCloud(**self.device_cloud)

    @property
    def chosen_on_device(self) -> bool:
        """Whether the cloud's network is chosen and runs on the device, each with its own costs."""
        return self.cloud_on_device and self.search_cloud is not None

    def _check_cloud_choice(self) -> None:
        parse_normalisation(self.cloud_normalisation)
        if self.cloud_normalisation != HALF and self.cloud in (None, NO_CLOUD):
            raise InputError("--cloud-normalisation is of an ONNX model's input: give --cloud too")
        if self.search_cloud is None:
            if self.cloud_space is not None:
                raise InputError(
                    "--cloud-space is of an OFA checkpoint in --search-cloud: give both"
                )
        elif self.cloud == NO_CLOUD:
            raise InputError("--search-cloud and --no-cloud exclude each other: give one of them")
        elif self.cloud is not None:
            raise InputError(
                f"--search-cloud chooses the cloud itself: leave out --cloud {self.cloud}, or give "
                "the file of a supernet to --search-cloud"
            )
        elif self.cloud_space is not None and self.search_cloud == OWN_SUPERNET:
            raise InputError(
                "--cloud-space is of another supernet's clouds: name that after --search-cloud"
            )

    def _check_regime(self) -> None:
        for flag, value in (
            ("--mean-latency", self.mean_latency_ms),
            ("--mean-energy", self.mean_energy_mj),
            ("--max-loss", self.max_loss),
        ):
            if value is None:
                continue
            if not (math.isfinite(value) and value >= 0) or (value == 0 and flag != "--max-loss"):
                least = "at least" if flag == "--max-loss" else "above"
                raise InputError(f"{flag} must be {least} 0 (got {value:g})")
            if self.cloud == NO_CLOUD:
                raise InputError(f"{flag} is about queries to a cloud: leave out --no-cloud")
        if self.max_loss is not None and (self.mean_latency_ms or self.mean_energy_mj):
            raise InputError(
                "--max-loss and a budget (--mean-latency, --mean-energy) exclude each other: both "
                "decide how often the cloud is asked"
            )

    def _check_prices(self) -> None:
        if self.battery is not None:
            Battery.parse(self.battery)
        for flag, value in (("--per-day", self.per_day), ("--board-power", self.power_mw)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{flag} must be above 0 (got {value:g})")
        if (self.battery is None) != (self.per_day is None):
            raise InputError(
                "--battery and --per-day belong together: give both, such as "
                "--battery 1000mAh@3.7V --per-day 1000"
            )
        if self.uplink_bytes is not None and self.uplink is None:
            raise InputError("--uplink-bytes is of an uplink model: give --uplink as well")
        if self.cloud_on_device and self.uplink is not None:
            raise InputError("--cloud-on-device sends nothing: leave out --uplink")
        if self.cloud_on_device and self.cloud == NO_CLOUD:
            raise InputError("--cloud-on-device needs a cloud: leave out --no-cloud")

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


def _checked(what: str, given: tuple[str, ...], known: Any) -> tuple[str, ...]:
    """`given`, if every name is known and is there once."""
    if not given:
        raise InputError(f"at least one {what} is needed: one of {', '.join(known)}")
    if len(set(given)) != len(given):
        raise InputError(f"each {what} is given once (got {', '.join(given)})")
    for name in given:
        if name not in known:
            raise InputError(f"no {what} {name!r}: give one of {', '.join(known)}")
    return given


__all__ = ["DEFAULT_COVERAGES", "DEFAULT_ROUTERS", "SearchSettings"]
