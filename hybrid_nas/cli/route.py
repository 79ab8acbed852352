"""``hybrid-nas route``: is a hybrid worth it for given models, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid_nas.cli.multivalue import parse_coverages
from hybrid_nas.cli.options import Guarantee, size_option, time_option, value_option
from hybrid_nas.cli.route_costs import CostFlags, TargetFlags
from hybrid_nas.cli.route_work import Request, judge_alone, judge_hybrids
from hybrid_nas.errors import InputError

DEFAULT_COVERAGES = (0.9, 0.7, 0.5)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command("route")
    def route(
        base: Annotated[
            Path, typer.Option("--base", help="Outputs (.npz) of the model on the device.")
        ],
        cloud: Annotated[
            list[Path] | None,
            typer.Option(
                "--cloud",
                help="Outputs (.npz) of the model in the cloud. May be repeated, to choose one.",
            ),
        ] = None,
        no_cloud: Annotated[
            bool,
            typer.Option("--no-cloud", help="Judge the base alone, on the inputs that it keeps."),
        ] = False,
        coverage: Annotated[
            list[str] | None,
            typer.Option(
                "--coverage",
                metavar="SHARE...",
                help="Shares of the inputs to keep on the device, such as 0.9 0.7.",
            ),
        ] = None,
        accuracy: Annotated[
            str | None,
            typer.Option(
                "--accuracy",
                metavar="LEVEL",
                help="Find the fewest queries that reach it: 0.95. With --utility, of the utility.",
            ),
        ] = None,
        mean_latency: Annotated[
            float | None,
            time_option("--mean-latency", help="Find the threshold of this mean latency."),
        ] = None,
        mean_price: Annotated[
            float | None,
            typer.Option("--mean-price", help="Find the threshold of this mean price per input."),
        ] = None,
        mean_energy: Annotated[
            float | None,
            _energy_option("--mean-energy", "Find the threshold of this mean energy."),
        ] = None,
        utility: Annotated[
            str | None,
            typer.Option(
                "--utility",
                metavar="UTILITY",
                help="What answers are worth, in place of accuracy: 'balanced', 'recall@0.01' (of "
                "the rarest class, at 1 % false alarms), 'recall:3@0.01' (of class 3), or a file "
                "(.csv, .npz) with a matrix, rows truth.",
            ),
        ] = None,
        design: Annotated[
            str | None,
            typer.Option(
                "--router",
                help="Router design; by default what the outputs allow. 'all' compares all.",
            ),
        ] = None,
        folds: Annotated[int, typer.Option("--folds", help="Folds of cross-validation.")] = 5,
        repeats: Annotated[
            int | None,
            typer.Option("--repeats", min=1, help="How often folds are drawn; by default by size."),
        ] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all that is drawn.")] = 0,
        base_ms: Annotated[
            float | None,
            time_option("--base-ms", help="Time on the device, for mean latency.", allow_zero=True),
        ] = None,
        uplink_ms: Annotated[
            float | None, time_option("--uplink-ms", help="Time of the uplink.", allow_zero=True)
        ] = None,
        cloud_ms: Annotated[
            float | None, time_option("--cloud-ms", help="Time in the cloud.", allow_zero=True)
        ] = None,
        uplink: Annotated[
            str | None,
            typer.Option("--uplink", help="An uplink by name or .yaml file, for --uplink-ms."),
        ] = None,
        payload: Annotated[
            int | None, size_option("--payload", help="With --uplink: bytes of a query.")
        ] = None,
        base_energy: Annotated[
            float | None, _energy_option("--base-energy", "Energy of an input on the device.")
        ] = None,
        query_energy: Annotated[
            float | None, _energy_option("--query-energy", "Energy of a query beyond that.")
        ] = None,
        price_base: Annotated[
            float | None,
            typer.Option("--price-base", help="Price of an input on the device; in any currency."),
        ] = None,
        price_cloud: Annotated[
            list[float] | None,
            typer.Option(
                "--price-cloud",
                help="Price of a query; by default `price` or `cost_per_10k` of the cloud's file. "
                "With several --cloud, once for each.",
            ),
        ] = None,
        guarantee: Guarantee = None,
        calibration_share: Annotated[
            float,
            typer.Option(
                "--calibration-share",
                help="With --guarantee: share of the inputs, or groups, set aside for calibration.",
            ),
        ] = 0.3,
        plot: Annotated[
            Path | None,
            typer.Option("--plot", help="Write accuracy over coverage to this PNG file."),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    ) -> None:
        """Judge a hybrid of two models from their outputs on the same labelled inputs.

        An outputs file has `labels`; `logits`, `probs`, or `pred` and `confidence`; and, if there
        are any, `features`, `groups` and `price`. For the cloud, `pred` alone is enough.
        """
        clouds = cloud or []
        if bool(clouds) == no_cloud:
            raise InputError(
                "expected either --cloud FILE, or --no-cloud to judge the base as one that abstains"
            )
        if plot is not None and plot.suffix.lower() != ".png":
            raise InputError(f"--plot {plot}: expected a name that ends in .png")

        from hybrid_nas.routing.guarantees import parse_promise

        request = Request(
            coverages=parse_coverages(coverage or [], DEFAULT_COVERAGES),
            costs=CostFlags(
                base_ms, uplink_ms, cloud_ms, uplink, payload, base_energy, query_energy,
                price_base, tuple(price_cloud or ()),
            ),
            targets=TargetFlags(accuracy, mean_latency, mean_price, mean_energy),
            utility=utility,
            design=design,
            folds=folds,
            repeats=repeats,
            seed=seed,
            promises=[parse_promise(text) for text in guarantee or []],
            calibration_share=calibration_share,
            plot=plot,
            json=json,
        )  # fmt: skip
        if no_cloud:
            judge_alone(request, base)
        else:
            judge_hybrids(request, base, clouds)


def _energy_option(name: str, help: str) -> Any:
    def parse(text: Any) -> float:
        from hybrid_nas.energy import parse_mj

        return parse_mj(str(text))

    return value_option(name, parse=parse, metavar="ENERGY", help=help)
