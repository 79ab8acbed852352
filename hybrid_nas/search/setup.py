"""From settings to the things a search works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from hybrid_nas.data.cloud import CloudModel, cloud_outputs, open_cloud
from hybrid_nas.data.dataset import Dataset, Split
from hybrid_nas.data.resize import parse_image_size
from hybrid_nas.data.sources import open_dataset
from hybrid_nas.errors import InputError
from hybrid_nas.hardware.boards import Board, load_board
from hybrid_nas.hardware.cost import CostModel
from hybrid_nas.hardware.latency_files import find_table, load_table
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.limits import Limits
from hybrid_nas.hardware.runtimes import load_runtime
from hybrid_nas.hardware.uplink import UplinkImage
from hybrid_nas.routing.designs import design
from hybrid_nas.search.candidate import CandidateSpace
from hybrid_nas.search.problem import Problem
from hybrid_nas.search.scorer import Scorer
from hybrid_nas.search.settings import SearchSettings
from hybrid_nas.spaces.space import SearchSpace
from hybrid_nas.supernet.evaluation import check_data_fits
from hybrid_nas.supernet.runner import SubnetRunner
from hybrid_nas.supernet.sources import OpenedSupernet, bundled_cloud_path, open_supernet
from hybrid_nas.threads import cores

BUNDLED_DATA = "digits"
NO_CLOUD = "none"


@dataclass(frozen=True)
class SearchSetup:
    """Everything behind one search; the parts are opened when first needed, costs before data."""

    settings: SearchSettings

    @cached_property
    def board(self) -> Board:
        """The board that is searched for."""
        return load_board(self.settings.board)

    @cached_property
    def table(self) -> LatencyTable | None:
        """Latency table of board and runtime; None where there is none."""
        settings = self.settings
        for load, name in ((load_board, settings.board), (load_runtime, settings.runtime)):
            load(name)  # a wrong name is said as such, not as a missing table
        if settings.table is not None:
            return load_table(Path(settings.table)).require(settings.board, settings.runtime)
        return find_table(settings.board, settings.runtime)

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
    def cloud(self) -> CloudModel | None:
        """The cloud model; None when abstaining classifiers are searched."""
        settings = self.settings
        if settings.cloud == NO_CLOUD:
            return None
        if settings.cloud is None:
            if settings.data != BUNDLED_DATA:
                raise InputError(
                    f"--data {settings.data} needs a cloud model: give --cloud FILE (.onnx, .pt or "
                    ".npz of predictions), or --no-cloud for abstaining classifiers"
                )
            return open_cloud(str(bundled_cloud_path()), self.data)
        return open_cloud(settings.cloud, self.data)

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
        model = CostModel(
            self.space,
            self.board,
            load_runtime(settings.runtime),
            self.table,
            uplink=UplinkImage.parse(settings.uplink_image),
            reserve_sram_bytes=settings.reserve_sram_bytes,
            reserve_flash_bytes=settings.reserve_flash_bytes,
        )
        return Problem(
            CandidateSpace(self.space, settings.routers),
            model,
            self.limits,
            len(self.data.classes),
        )

    @cached_property
    def scorer(self) -> Scorer:
        """Runs and judges candidates; opening it renders or reads the images."""
        settings = self.settings
        threads = settings.threads or max(1, cores() // settings.jobs)
        calibration = self.data.training_images(settings.calibration_images, settings.seed)
        runner = SubnetRunner(
            self.opened.supernet,
            calibration.images,
            lambda split: self.data.split(cast(Split, split)).images,
            threads=threads,
            stages=any(design(name).cut for name in settings.routers),
        )
        return Scorer(runner, self.data, self.cloud, settings)

    def cloud_accuracy(self) -> float | None:
        """Accuracy of the cloud alone on the test split."""
        if self.cloud is None:
            return None
        pred = cloud_outputs(self.cloud, self.data, "test").pred
        return float(np.mean(pred == self.data.split("test").labels))
