"""Uplink documents: the shipped ones recomputed from what they cite, and users' mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from hybrid_nas.energy import Battery, parse_mj, parse_mw
from hybrid_nas.errors import InputError
from hybrid_nas.routing.delays import LogNormalDelay, MeasuredDelay
from hybrid_nas.routing.query import Query, Uplink
from hybrid_nas.routing.uplink_files import parse_uplink, read_uplink, uplink_names

IMAGE = 64 * 64 * 3


def shipped(name: str) -> Uplink:
    return parse_uplink(read_uplink(name))


def lora_airtime_ms(payload_bytes: int, sf: int = 7, bandwidth_hz: int = 125_000) -> float:
    """Semtech AN1200.13: explicit header, CRC, coding rate 4/5, preamble of 8 symbols."""
    symbol_ms = 2**sf / bandwidth_hz * 1e3
    blocks = math.ceil((8 * payload_bytes - 4 * sf + 28 + 16) / (4 * sf))
    return (8 + 4.25 + 8 + 5 * blocks) * symbol_ms


class TestShipped:
    @pytest.mark.parametrize("name", uplink_names())
    def test_every_figure_has_a_source(self, name: str) -> None:
        document = read_uplink(name)
        assert document["name"] == name
        assert len(document["source"]) > 40 and len(document["energy"]["source"]) > 40
        energy = Query(shipped(name), IMAGE).energy_mj
        assert energy is not None and energy > 0

    def test_lora_is_the_airtime_formula(self) -> None:
        assert lora_airtime_ms(13, sf=9) == pytest.approx(164.864)  # published worked example
        transfer = shipped("lora-sf7-eu868").transfer
        assert transfer is not None
        assert transfer.packet_ms == pytest.approx(lora_airtime_ms(transfer.packet_bytes + 13))
        uplink = shipped("lora-sf7-eu868")
        assert uplink.energy is not None
        packet_mj = 29 * 3.3 * transfer.packet_ms / 1e3
        assert uplink.energy.per_byte_uj == pytest.approx(1e3 * packet_mj / 242, rel=0.01)

    def test_ble_is_the_packet_timing(self) -> None:
        uplink = shipped("ble-1m")
        assert uplink.transfer is not None and uplink.energy is not None
        data_us, empty_us, gap_us = (1 + 4 + 2 + 251 + 3) * 8, (1 + 4 + 2 + 3) * 8, 150
        assert uplink.transfer.packet_ms * 1e3 == data_us + empty_us + 2 * gap_us
        packet_uj = 3.0 * (6.40 * data_us + 6.26 * (empty_us + 2 * gap_us)) / 1e3
        assert uplink.energy.per_byte_uj == pytest.approx(packet_uj / 244, rel=0.01)

    @pytest.mark.parametrize(
        ("name", "bits_per_s", "send_mw", "wait_mw"),
        [
            ("wifi-esp32", 20e6, 178 * 3.3, 110 * 3.3),
            ("nb-iot", 62_500, (220 * 4 + 46 * 12) / 16 * 3.6, 46 * 3.6),
        ],
    )
    def test_energy_is_power_by_time(
        self, name: str, bits_per_s: float, send_mw: float, wait_mw: float
    ) -> None:
        uplink = shipped(name)
        assert uplink.energy is not None
        assert Query(uplink, IMAGE).transfer_ms == pytest.approx(IMAGE * 8e3 / bits_per_s)
        assert uplink.energy.per_byte_uj == pytest.approx(send_mw * 8e3 / bits_per_s, rel=0.01)
        assert uplink.energy.wait_mw == pytest.approx(wait_mw, rel=0.01)


class TestOwnFiles:
    def write(self, folder: Path, **entries: Any) -> str:
        path = folder / "mine.yaml"
        path.write_text(yaml.safe_dump({"schema": "hybrid-nas/uplink/1", **entries}))
        return str(path)

    def test_a_file_is_named_after_itself(self, tmp_path: Path) -> None:
        document = read_uplink(self.write(tmp_path, delay={"median_ms": 200, "p95_ms": 900}))
        uplink = parse_uplink(document)
        assert uplink.name == "mine"
        assert uplink.delay == LogNormalDelay(200.0, 900.0)

    def test_samples_come_through_run_yaml(self, tmp_path: Path) -> None:
        document = read_uplink(self.write(tmp_path, delay={"samples_ms": [1, 2.5]}))
        again = yaml.safe_load(yaml.safe_dump(document))
        assert parse_uplink(again).delay == MeasuredDelay((1.0, 2.5))

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({}, "takes no time"),
            ({"delay": {"ms": "soon"}}, "'ms' must be a finite number"),
            ({"delay": {"ms": True}}, "'ms' must be a finite number"),
            ({"delay": {"ms": 3}, "timeout_ms": math.inf}, "'timeout_ms' must be a finite number"),
            (
                {"transfer": {"packet_bytes": math.inf, "packet_ms": 1}},
                "'packet_bytes' must be a finite number",
            ),
            ({"delay": {"mean_ms": 3}}, "mean_ms"),
            ({"delay": {"samples_ms": []}}, "at least one"),
            ({"delay": {"samples_ms": [1, "x"]}}, "must be a finite number"),
            ({"delay": 300}, "must be a mapping"),
            ({"transfer": {"bits_per_s": 0}}, "bits_per_s"),
            ({"transfer": {"bits_per_s": 9, "duty": 1}}, "'duty'"),
            ({"transfer": {"packet_bytes": 20}}, "packet_ms"),
            ({"delay": {"ms": 3}, "outage": 0.1}, "timeout_ms"),
            ({"delay": {"ms": 3}, "energy": {"per_bit_uj": 1}}, "per_bit_uj"),
            ({"delay": {"ms": 3}, "bandwidth": 3}, "'bandwidth'"),
        ],
    )
    def test_mistakes_name_the_key(
        self, tmp_path: Path, entries: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            read_uplink(self.write(tmp_path, **entries))

    @pytest.mark.parametrize("spec", ["carrier-pigeon", "missing.yaml"])
    def test_what_is_not_there(self, spec: str) -> None:
        with pytest.raises(InputError, match=spec):
            read_uplink(spec)

    def test_another_document(self, tmp_path: Path) -> None:
        path = tmp_path / "board.yaml"
        path.write_text("schema: hybrid-nas/boards/1\n")
        with pytest.raises(InputError, match="hybrid-nas/uplink/1"):
            read_uplink(str(path))


class TestBattery:
    def test_one_watt_for_three_point_seven_hours(self) -> None:
        """3.7 Wh, spent on one input of 1 J each second: 3.7 h."""
        days = Battery.parse("1000mAh@3.7V").days(per_day=86_400, inference_mj=1000.0)
        assert days * 24 == pytest.approx(3.7)
        assert Battery.parse("3.7 Wh") == Battery.parse("1Ah@3.7V")

    def test_sleep_is_paid_all_the_time(self) -> None:
        """1 mW beside nothing: 3700 hours."""
        days = Battery.parse("3700mWh").days(per_day=1, inference_mj=0.0, sleep_mw=1.0)
        assert days * 24 == pytest.approx(3700)

    @pytest.mark.parametrize("text", ["", "1000mAh", "0mAh@3V", "3.7V", "-1Wh", "1000@3.7"])
    def test_what_is_no_battery(self, text: str) -> None:
        with pytest.raises(InputError, match=r"1000mAh@3\.7V"):
            Battery.parse(text)

    def test_units_of_energy_and_power(self) -> None:
        assert parse_mj("250uJ") == pytest.approx(0.25)
        assert parse_mw("0.15W") == pytest.approx(150.0)
        for text in ("5", "5mW", "-1mJ", "0mJ", "mJ"):
            with pytest.raises(InputError, match="energy"):
                parse_mj(text)
        with pytest.raises(InputError, match="power"):
            parse_mw("5mJ")
