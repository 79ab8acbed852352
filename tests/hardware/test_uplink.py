"""``--uplink-image`` in all its forms."""

from __future__ import annotations

import pytest

from hybrid_nas.errors import InputError
from hybrid_nas.hardware.uplink import NO_UPLINK, UplinkImage


@pytest.mark.parametrize(
    ("text", "holds", "extra"),
    [
        ("none", False, 0),
        ("input", True, 0),
        (" INPUT ", True, 0),
        ("160x120x2", False, 38_400),
        ("jpeg:12KB", False, 12_288),
        ("jpeg:999", False, 999),
    ],
)
def test_images_are_read(text: str, holds: bool, extra: int) -> None:
    image = UplinkImage.parse(text)
    assert (image.holds_input, image.extra_bytes) == (holds, extra)
    assert UplinkImage.parse(str(image)) == image


def test_none_is_the_default() -> None:
    assert UplinkImage.parse("none") == NO_UPLINK


@pytest.mark.parametrize(
    "text", ["", "jpg:3", "jpeg:", "jpeg:-1", "jpeg:12XB", "0x4x3", "4x4", "-1x4x3"]
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        UplinkImage.parse(text)
    assert "\n" not in str(caught.value)
