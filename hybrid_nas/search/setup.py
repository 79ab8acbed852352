"""From settings to the things a search works with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from hybrid_nas.data.cloud import CloudModel, open_cloud
from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.data.normalisation import parse_normalisation
from hybrid_nas.data.resize import parse_image_size
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError
from hybrid_nas.hardware.board_files import board_of
from hybrid_nas.hardware.boards import Board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.latency_files import table_for
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage
from hybrid_nas.routing.designs import design
from hybrid_nas.search.candidate import CandidateSpace
from hybrid_nas.search.cloud_costs import CloudCosts
from hybrid_nas.search.clouds import CloudChoice, FixedCloud, SubnetClouds
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.scorer import SEARCH_SPLITS, Scorer
from hybrid_nas.search.settings import NO_CLOUD, OWN_SUPERNET, SearchSettings
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.evaluation import check_data_fits
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.supernet.sources import OpenedSupernet, bundled_cloud_path, open_supernet
from hybrid_nas.threads import cores

BUNDLED_DATA = "digits"


@dataclass(frozen=True)
class SearchSetup:
    """Everything behind one search; the parts are opened when first needed, costs before data."""

    settings: SearchSettings

    @cached_property
    def board(self) -> Board:
        """The board that is searched for."""
        return board_of(self.settings.board, self.settings.own_board)

    @cached_property
    def table(self) -> LatencyTable | None:
        """Latency table of board and runtime; None where there is none."""
        settings = self.settings
        # a wrong name is said as such, not as a missing table
        board, runtime = self.board.id, load_runtime(settings.runtime).id
        return table_for(board, runtime, None if settings.table is None else Path(settings.table))

    @cached_property
    def data(self) -> Dataset:
        """The data set."""
        size = self.settings.image_size
        return open_dataset(
            self.settings.data,
            image_size=None if size is None else parse_image_size(size),
            group=self.settings.group,
        )

    @cached_property
    def opened(self) -> OpenedSupernet:
        """The supernet and what its file says, checked against the data."""
        settings = self.settings
        if settings.supernet is None and settings.data != BUNDLED_DATA:
            raise InputError(
                f"--data {settings.data} needs a supernet of its own: train one with 'hybrid-nas "
                f"supernet train --space mcunet --data {settings.data} --out supernet.pt', then "
                "give --supernet supernet.pt"
            )
        opened = open_supernet(settings.supernet, space=settings.space)
        check_data_fits(opened.info, self.data)
        return opened

    @property
    def space(self) -> SearchSpace:
        """The bases' search space."""
        return self.opened.supernet.space

    @cached_property
    def opened_cloud(self) -> OpenedSupernet:
        """The supernet whose subnets are the clouds, checked against the data."""
        spec = self.settings.search_cloud
        if spec in (None, OWN_SUPERNET):
            return self.opened
        try:
            opened = open_supernet(spec, space=self.settings.cloud_space)
            check_data_fits(opened.info, self.data)
        except InputError as error:
            message = str(error).replace("--space", "--cloud-space")
            raise InputError(f"--search-cloud {spec}: {message}") from error
        return opened

    @cached_property
    def cloud_costs(self) -> CloudCosts | None:
        """Costs of the clouds to choose from; None where the cloud is fixed."""
        settings = self.settings
        if settings.search_cloud is None:
            return None
        space = self.opened_cloud.supernet.space
        if not settings.chosen_on_device:
            return CloudCosts(space)
        device = CostModel(
            space,
            self.board,
            load_runtime(settings.runtime),
            self.table,
            reserve_sram_bytes=settings.reserve_sram_bytes,
        )
        return CloudCosts(space, device, UplinkImage.parse(settings.uplink_image).holds_input)

    @cached_property
    def clouds(self) -> CloudChoice:
        """The cloud of each pair."""
        settings = self.settings
        if self.cloud_costs is None:
            return FixedCloud(self.cloud, self.data)
        needed = SEARCH_SPLITS if settings.regime == "loss" else ("fit", "score")
        return SubnetClouds(
            self.opened_cloud,
            lambda: self.cloud_runner,
            self.cloud_costs,
            calibration=self.calibration_of(settings),
            splits=needed,
        )

    def calibration_of(self, settings: SearchSettings) -> str:
        """Names the calibration images that settings draw from this data."""
        return f"{self.data.fingerprint} {settings.calibration_images} {settings.seed}"

    @cached_property
    def cloud(self) -> CloudModel | None:
        """The cloud model that all pairs share, or are measured by where each has its own.

        None when abstaining classifiers are searched.
        """
        settings = self.settings
        if settings.cloud == NO_CLOUD:
            return None
        if settings.search_cloud is not None:
            return self.clouds.model(self.clouds.largest)
        if settings.cloud is None:
            if settings.data != BUNDLED_DATA:
                raise InputError(
                    f"--data {settings.data} needs a cloud model: give --cloud FILE (.onnx, .pt or "
                    ".npz of predictions), --search-cloud for subnets of the supernet, or "
                    "--no-cloud for abstaining classifiers"
                )
            return open_cloud(str(bundled_cloud_path()), self.data)
        return open_cloud(
            settings.cloud, self.data, parse_normalisation(settings.cloud_normalisation)
        )

    @cached_property
    def limits(self) -> Limits:
        """Memory limits (the board's where none were given) and the latency limit."""
        settings = self.settings
        return Limits(
            sram_bytes=settings.sram_bytes or self.board.sram_bytes,
            flash_bytes=settings.flash_bytes or self.board.flash_bytes,
            latency_ms=settings.latency_ms,
        )

    @cached_property
    def problem(self) -> Problem:
        """Candidates with costs and limits."""
        settings = self.settings
        needs_latency = {"mean-latency", "edge-latency"} & set(settings.objectives)
        if self.table is None and (needs_latency or settings.latency_ms is not None):
            raise InputError(
                f"there is no latency table for board {settings.board} with runtime "
                f"{settings.runtime}: give --table FILE, or objectives without latency, e.g. "
                "--objective accuracy --objective sram ('hybrid-nas boards' lists the tables)"
            )
        uplink, clouds = UplinkImage.parse(settings.uplink_image), self.cloud_costs
        if clouds is not None and clouds.holds_picture:
            uplink = NO_UPLINK  # what is held then goes by the cloud's network
        return Problem(
            CandidateSpace(self.space, settings.routers, None if clouds is None else clouds.space),
            self._base_costs(uplink, settings.reserve_flash_bytes),
            self.limits,
            len(self.data.classes),
            clouds,
        )

    def _base_costs(self, uplink: UplinkImage, reserve_flash_bytes: int) -> CostModel:
        return CostModel(
            self.space,
            self.board,
            load_runtime(self.settings.runtime),
            self.table,
            uplink=uplink,
            reserve_sram_bytes=self.settings.reserve_sram_bytes,
            reserve_flash_bytes=reserve_flash_bytes,
            patches=self.settings.patches == "auto",
            patch_limit_bytes=self.limits.sram_bytes,
        )

    @property
    def costs_beside_smallest_cloud(self) -> CostModel:
        """Costs of bases with the smallest cloud that may be chosen, if it is on the device."""
        clouds, costs = self.cloud_costs, self.problem.costs
        if clouds is None or clouds.device is None:
            return costs
        smallest = clouds.space.extremes()[:1]
        weights = int(clouds.device.evaluate(smallest).flash_bytes[0])
        weights -= clouds.device.runtime.flash.fixed_bytes
        uplink = costs.uplink
        if clouds.holds_picture:
            uplink = replace(uplink, extra_bytes=int(clouds.picture_bytes(smallest)[0]))
        return self._base_costs(uplink, costs.reserve_flash_bytes + weights)

    @cached_property
    def runner(self) -> SubnetRunner:
        """Runs bases; opening it renders or reads the images."""
        stages = any(design(name).cut for name in self.settings.routers)
        return self._runner_of(self.opened, stages=stages)

    @cached_property
    def cloud_runner(self) -> SubnetRunner:
        """Runs the clouds to choose from."""
        if self.opened_cloud is self.opened:
            return self.runner
        return self._runner_of(self.opened_cloud, stages=False)

    def _runner_of(self, opened: OpenedSupernet, *, stages: bool) -> SubnetRunner:
        settings = self.settings
        calibration = self.data.training_images(settings.calibration_images, settings.seed)
        return SubnetRunner(
            opened.supernet,
            calibration.images,
            lambda split: self.data.split(cast(Split, split)).images,
            threads=settings.threads or max(1, cores() // settings.jobs),
            stages=stages,
        )

    @cached_property
    def scorer(self) -> Scorer:
        """Runs and judges candidates; opening it renders or reads the images."""
        return Scorer(self.runner, self.data, self.clouds, self.settings)

    def cloud_accuracy(self) -> float | None:
        """Accuracy of `cloud` alone on the test split."""
        found = self.clouds.outputs("test", self.clouds.largest)
        if found is None:
            return None
        return float(np.mean(found.pred == self.data.split("test").labels))
