"""What verification found: the document ``hybrid-nas/verify/1``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hybrid_nas.errors import HybridNasError
from hybrid_nas.export.c_code.plan import op_name
from hybrid_nas.hardware.latency_table import LatencyTable
from hybrid_nas.hardware.patch_regions import Patches, first_whole
from hybrid_nas.spaces.opspec import OpSpec
from hybrid_nas.verify.build import FlashSizes
from hybrid_nas.verify.compare import Agreement, OutsideAgreement
from hybrid_nas.verify.device import MemoryUse
from hybrid_nas.verify.observe import Unit
from hybrid_nas.verify.predict import RUNTIME, Prediction

SCHEMA = "hybrid-nas/verify/1"


@dataclass(frozen=True)
class Quantity:
    """A number that was predicted, and what the device showed; None where it is not known."""

    name: str
    unit: str
    predicted: float | None
    observed: float | None

    @property
    def error(self) -> float | None:
        """The prediction's relative error: negative where too little was predicted."""
        if self.predicted is None or not self.observed:
            return None
        return self.predicted / self.observed - 1

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "predicted": self.predicted,
            "observed": self.observed,
            "error": self.error,
        }


@dataclass(frozen=True)
class Verification:
    """Predictions and observations of one pair on one board.

    Attributes:
        network: its name.
        board: id.
        sram_limit_bytes, flash_limit_bytes: what it was linked for.
        compiler, build: what compiled the program, and the program's hash.
        table: where predicted times are from; None without.
        prediction: before anything was run.
        memory: what the device showed.
        flash: sections of the program.
        unit: of times.
        total: observed time of an inference, mean over the images.
        specs: the operators.
        op_times: observed, mean over the images; of a stage that runs in patches, together.
        images_from: where images are from, in words.
        agreement: with the integer reference.
        outside: agreement with other runtimes.
        patches: of the first operators, if they run patch by patch.
    """

    network: str
    board: str
    sram_limit_bytes: int
    flash_limit_bytes: int
    compiler: str
    build: str
    table: LatencyTable | None
    prediction: Prediction
    memory: MemoryUse
    flash: FlashSizes
    unit: Unit
    total: float
    specs: tuple[OpSpec, ...]
    op_times: tuple[float, ...]
    images_from: str
    agreement: Agreement
    outside: tuple[OutsideAgreement, ...] = ()
    patches: Patches | None = None

    @property
    def op_names(self) -> tuple[str, ...]:
        """Of the operators, as in the exported plan."""
        return tuple(op_name(number, spec) for number, spec in enumerate(self.specs))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """Arena, SRAM, flash and time."""
        return (
            Quantity("arena", "bytes", self.prediction.arena_bytes, self.memory.arena_high),
            Quantity("SRAM", "bytes", self.prediction.sram_bytes, self.memory.total),
            Quantity("flash", "bytes", self.prediction.flash_bytes, self.flash.total),
            Quantity("inference", self.unit.name, self.prediction.total, self.total),
        )

    @property
    def first(self) -> int:
        """The first operator that is looked at; its time is that of all that run in patches."""
        return first_whole(self.patches)

    @property
    def ops(self) -> tuple[Quantity, ...]:
        """Time of each operator from `first` on."""
        names = self.op_names[self.first :]
        return tuple(
            Quantity(name, self.unit.name, predicted, observed)
            for name, predicted, observed in zip(
                names, self.prediction.ops, self.op_times, strict=True
            )
        )

    @property
    def fits(self) -> bool:
        """Whether what was used is within the limits."""
        return (
            self.memory.total <= self.sram_limit_bytes
            and self.flash.total <= self.flash_limit_bytes
        )

    def require_exact(self) -> None:
        """Fail where the device computes something else than the reference.

        Raises:
            HybridNasError: what differs.
        """
        found = self.agreement
        if not found.exact:
            wrong = [
                name
                for name, n in zip(self.op_names[self.first :], found.exact_ops, strict=True)
                if n < found.images
            ]
            raise HybridNasError(
                f"{self.network} on {self.board}: the device does not compute what was exported; "
                f"scores exact on {found.exact_scores} of {found.images} images, first operator "
                f"that differs: {wrong[0] if wrong else 'none'}"
            )

    def document(self) -> dict[str, Any]:
        """The JSON document."""
        found = self.agreement
        return {
            "schema": SCHEMA,
            "network": self.network,
            "board": self.board,
            "runtime": RUNTIME,
            "latency_table": self.table and self.table.name,
            "compiler": self.compiler,
            "build": self.build,
            "limits": {
                "sram_bytes": self.sram_limit_bytes,
                "flash_bytes": self.flash_limit_bytes,
            },
            "fits": self.fits,
            "images_from": self.images_from,
            "quantities": [quantity.document() for quantity in self.quantities],
            "memory": asdict(self.memory) | {"variables_bytes": self.memory.variables_bytes},
            "flash": asdict(self.flash),
            "ops": [
                quantity.document() | {"exact": exact}
                for quantity, exact in zip(self.ops, found.exact_ops, strict=True)
            ],
            "agreement": asdict(found) | {"exact": found.exact},
            "outside": [asdict(one) for one in self.outside],
        }
