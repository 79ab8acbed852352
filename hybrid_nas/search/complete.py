"""Settings made complete: what they imply, read once from table, data and cloud, and kept.

``run.yaml`` then says every price that the figures depend on, and a resumed run has the same.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.estimate import estimate
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.search.prices import Prices
from hybrid_nas.search.settings import DeviceCloud, SearchSettings
from hybrid_nas.search.setup import SearchSetup
from hybrid_nas.spaces.architecture import Architecture
from hybrid_nas.supernet.cloud import SupernetCloud
from hybrid_nas.units import format_bytes


def complete(settings: SearchSettings) -> SearchSettings:
    """Settings with the board's power, the uplink's bytes and the cloud's cost filled in.

    Only what is asked for is looked up; the default search opens its latency table, nothing else.

    Raises:
        InputError: something that is asked for cannot be known, or does not fit.
    """
    setup = SearchSetup(settings)
    table = setup.table
    if table is None and _timed(settings):
        raise InputError(
            f"{', '.join(_timed(settings))} needs a latency table for board {settings.board} with "
            f"runtime {settings.runtime}: give --table FILE ('hybrid-nas boards' lists the tables)"
        )
    if settings.power_mw is None and table is not None and table.energy is not None:
        settings = replace(settings, power_mw=table.energy.power_mw)
    if settings.uplink is not None and settings.uplink_bytes is None:
        settings = replace(settings, uplink_bytes=_picture_bytes(setup))
    if settings.chosen_on_device:
        settings = _with_clouds_on_device(settings, setup)
    elif settings.cloud_on_device and settings.device_cloud is None:
        settings = _with_device_cloud(settings, setup)
    wants_macs = "mean-macs" in " ".join(settings.objectives) and settings.search_cloud is None
    if settings.cloud_macs is None and wants_macs:
        network = _cloud_architecture(setup)
        if network is not None:
            settings = replace(settings, cloud_macs=network.macs)
    Prices.of(settings)  # says what is missing
    return settings


def _timed(settings: SearchSettings) -> tuple[str, ...]:
    """Objectives that are nothing without the device's latency."""
    return tuple(n for n in settings.objectives if n.startswith(("mean-latency", "mean-energy")))


def _picture_bytes(setup: SearchSetup) -> int:
    """What is sent: the picture that is held for it, or the data's own, as the cloud judges it."""
    held = UplinkImage.parse(setup.settings.uplink_image).extra_bytes
    height, width, channels = setup.data.image_shape
    return held or height * width * channels


def _cloud_architecture(setup: SearchSetup) -> Architecture | None:
    cloud = setup.cloud
    return cloud.network.architecture if isinstance(cloud, SupernetCloud) else None


def _with_device_cloud(settings: SearchSettings, setup: SearchSetup) -> SearchSettings:
    """Both networks in flash; one after the other in the same SRAM; no uplink."""
    network = _cloud_architecture(setup)
    if network is None:
        raise InputError(
            f"--cloud-on-device needs a network whose architecture is known, but {settings.cloud} "
            "is none of ours: give --cloud a .pt file of this program"
        )
    runtime, limits = load_runtime(settings.runtime), setup.limits
    alone = estimate(
        network,
        setup.board,
        runtime,
        setup.table,
        reserve_sram_bytes=settings.reserve_sram_bytes,
    )
    if alone.latency_ms is None:
        raise _no_table(settings)
    taken = DeviceCloud(
        alone.sram_bytes,
        alone.flash_bytes - runtime.flash.fixed_bytes,
        alone.latency_ms,
        alone.macs,
    )
    sizes = (taken.sram_bytes, alone.flash_bytes)
    _check_alone(limits, *sizes, "the cloud's network", "give a smaller --cloud")
    changes: dict[str, Any] = {
        "device_cloud": asdict(taken),
        "cloud_macs": taken.macs,
        "uplink_ms": 0.0,
        "cloud_ms": taken.latency_ms,
        "reserve_flash_bytes": settings.reserve_flash_bytes + taken.flash_bytes,
    }
    if settings.uplink_image == "input":  # the picture that the second network will want
        height, width, channels = network.input_shape
        changes["uplink_image"] = f"{width}x{height}x{channels}"
    return replace(settings, **changes)


def _with_clouds_on_device(settings: SearchSettings, setup: SearchSetup) -> SearchSettings:
    """Both networks on the device, the second one chosen: nothing is sent.

    What each cloud takes is the search's to count; the largest one's time stands for the cloud that
    pairs are measured by.
    """
    if setup.table is None:
        raise _no_table(settings)
    costs = setup.cloud_costs
    assert costs is not None and costs.device is not None
    ends = costs.device.evaluate(costs.space.extremes())
    sizes = (int(ends.sram_bytes[0]), int(ends.flash_bytes[0]))
    mend = "give --search-cloud a supernet with smaller networks"
    _check_alone(setup.limits, *sizes, "the smallest cloud", mend)
    return replace(settings, uplink_ms=0.0, cloud_ms=float(ends.latency_ms[1]))


def _no_table(settings: SearchSettings) -> InputError:
    return InputError(
        f"--cloud-on-device needs a latency table for board {settings.board} with runtime "
        f"{settings.runtime}: give --table FILE"
    )


def _check_alone(
    limits: Limits, sram_bytes: int, flash_bytes: int, network: str, mend: str
) -> None:
    for what, needed, limit in (
        ("SRAM", sram_bytes, limits.sram_bytes),
        ("flash", flash_bytes, limits.flash_bytes),
    ):
        if needed > limit:
            raise InputError(
                f"--cloud-on-device: {network} alone takes {format_bytes(needed)} of {what}, and "
                f"the limit is {format_bytes(limit)}: {mend}, or a board with more"
            )
