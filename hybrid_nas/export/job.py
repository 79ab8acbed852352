"""``hybrid-nas export``: what is written, in which order, and what is checked on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_nas.export.bundle import Bundle, FolderInTheMaking
from hybrid_nas.export.c_code.patch_choice import patches_document, with_patches
from hybrid_nas.export.c_code.project import CNetwork, plan_text, write_c_project
from hybrid_nas.export.figures import export_figures
from hybrid_nas.export.formats import FORMATS, check_formats
from hybrid_nas.export.from_run import ExportedPair, exported_cloud, exported_pair
from hybrid_nas.export.network import Precision
from hybrid_nas.export.onnx_compare import compare_with_reference
from hybrid_nas.export.onnx_metadata import CalibrationData, Provenance
from hybrid_nas.export.onnx_models import base_model, pair_model, router_model, write_onnx
from hybrid_nas.export.pair_document import SCHEMA, calibration_document, pair_document
from hybrid_nas.export.tflite_file import write_tflite
from hybrid_nas.export.thresholds import calibrate_on_device
from hybrid_nas.files import atomic_write
from hybrid_nas.routing.guarantees import Promise
from hybrid_nas.spaces.interchange import architecture_to_json
from hybrid_nas.training.job import RunPair

ARCHITECTURE = "architecture.json"
PLAN, PLAN_WORDS = "plan.json", "the arena: tensors, lifetimes, offsets"

Say = Callable[[str], None]


@dataclass(frozen=True)
class ExportJob:
    """What to export.

    Attributes:
        pair: of a finished run.
        out: folder to make.
        formats: some of `FORMATS`.
        coverages: as for `exported_pair`.
        promises: to calibrate thresholds for.
        rate_control: export a threshold that follows the images, too (`routing.drift`).
        max_drop: most that int8 may lose on the test split, points of accuracy.
        untrained: the pair as the search left it, even where final training ran.
        force: replace an earlier export.
        plan: write the arena's plan beside, and into the pair's folder for the report.
        patches: which operators of the C code run patch by patch, see `with_patches`; None for
            what the search counted on.
    """

    pair: RunPair
    out: Path
    formats: Sequence[str] = FORMATS
    coverages: tuple[float, ...] | None = None
    promises: tuple[Promise, ...] = ()
    rate_control: bool = False
    max_drop: float = 2.0
    untrained: bool = False
    force: bool = False
    plan: bool = False
    patches: str | None = None

    def run(self, say: Say = lambda text: None) -> dict[str, Any]:
        """Export, and return what ``pair.yaml`` says.

        Raises:
            InputError: no such pair, or a format that the base does not have.
            HybridNasError: int8 loses more than `max_drop`, or a file does not do what it should.
        """
        with FolderInTheMaking(self.out, force=self.force) as bundle:
            say("the pair, rounded to int8")
            exported = exported_pair(self.pair, self.coverages, untrained=self.untrained)
            check_formats(exported.network, self.formats, plan=self.plan)
            if self.rate_control:
                exported = exported.with_rate_control()
            guarantees = calibrate_on_device(self.promises, exported)
            figures = None
            if exported.device is not None:
                say("the test split, float32 and int8")
                figures = export_figures(exported)
                figures.check_drop(self.max_drop)
            document = pair_document(exported, figures, guarantees)
            document["calibration"] = calibration_document(exported)
            text = json.dumps(architecture_to_json(exported.network.architecture), indent=1)
            bundle.add(ARCHITECTURE, "the base's layers, as MCUNet writes them").write_text(text)
            if "onnx" in self.formats:
                say("ONNX")
                document["onnx"] = self._write_onnx(bundle, exported)
            if "tflite" in self.formats and exported.network.graph is not None:
                say("TFLite")
                name = "base-int8.tflite"
                what = "the base in int8, for TFLM, ESP-NN, Vela, Edge Impulse"
                write_tflite(exported.network, bundle.add(name, what))
            if self.plan:
                self._write_plan(bundle, exported)
            if "c" in self.formats and exported.network.graph is not None:
                say("C")
                what = "base and router in C99: CMake project and PlatformIO library"
                code = self._c_network(exported)
                project = write_c_project(code, bundle.add("c", what))
                document["c"] = {
                    "arena_bytes": project.plan.arena_bytes,
                    "constant_bytes": project.constant_bytes,
                    "patches": patches_document(code, project.plan),
                }
            return bundle.write_documents({"schema": SCHEMA, **document})

    def _c_network(self, exported: ExportedPair) -> CNetwork:
        return c_network(exported, self.patches)

    def _write_plan(self, bundle: Bundle, exported: ExportedPair) -> None:
        text = plan_text(self._c_network(exported))
        bundle.add(PLAN, PLAN_WORDS).write_text(text)
        atomic_write(self.pair.directory.pair(self.pair.number) / PLAN, text)

    def _write_onnx(self, bundle: Bundle, exported: ExportedPair) -> dict[str, Any]:
        network, cuts = exported.network, exported.subject.base.cuts
        about = calibration_document(exported)
        provenance = Provenance(
            CalibrationData(f"{about['data']}, split train", about["images"], about["sha256"]),
            {"run": exported.pair.directory.path.name, "pair": str(exported.pair.number)},
        )
        coverage = exported.coverage
        precisions: list[Precision] = ["fp32"] if network.graph is None else ["fp32", "int8"]
        for precision in precisions:
            router = exported.router(precision)
            words = "float32" if precision == "fp32" else "int8 (QDQ)"
            base = base_model(network, precision, provenance=provenance)
            write_onnx(base, bundle.add(f"base-{precision}.onnx", f"the base in {words}"))
            pair = pair_model(
                network, precision, router, coverage, cuts=cuts, provenance=provenance
            )
            what = f"base in {words} and router in one graph: class, scores, send, send_score"
            write_onnx(pair, bundle.add(f"pair-{precision}.onnx", what))
            if precision == precisions[-1]:
                model = router_model(router, coverage)
                write_onnx(model, bundle.add("router.onnx", "the router alone, float32"))
        cloud = exported_cloud(exported)
        if cloud is not None:
            model = base_model(cloud, "fp32")
            write_onnx(model, bundle.add("cloud-fp32.onnx", "the cloud's network in float32"))
        files = {p: bundle.folder / f"base-{p}.onnx" for p in precisions}
        return compare_with_reference(exported, files).document()


def c_network(exported: ExportedPair, patches: str | None = None) -> CNetwork:
    """The pair as the C exporter takes it.

    Args:
        exported: the pair.
        patches: as for `with_patches`; as the pair was searched, if None.

    Raises:
        InputError: the base has no int8 version, or such patches do not help.
    """
    setup, architecture = exported.pair.setup, exported.network.architecture
    code = CNetwork.of(
        exported.network,
        exported.device,
        exported.subject.base.cuts,
        hold_image=setup.settings.uplink_image == "input",
        coverage=exported.coverage,
    )
    if patches is not None:
        return with_patches(code, architecture, patches)
    limit = setup.limits.sram_bytes - setup.settings.reserve_sram_bytes
    return with_patches(code, architecture, setup.settings.patches, limit)
