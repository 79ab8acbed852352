"""Image files: what can be known of them undecoded, and how they become uint8 pixels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from hybrid_nas.errors import InputError
from hybrid_nas.typing import BoolArray, ByteArray, IntArray

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"}
DEEP_BITS = 16
"""How many the values of deep grey files have room for; see `Decoding`."""
_TURNED = (5, 6, 7, 8)  # EXIF orientations by a quarter turn, mirrored or not
# Pillow reports a broken file in any of these ways, depending on the format
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Decoding:
    """How files become pixels.

    Attributes:
        size: (height, width) that every image is resized to.
        channels: 1 for grey, 3 for red, green, blue.
        deep_bits: how many bits the values of 16-bit grey images take; the highest 8 of these are
            kept. Cameras often put 10 or 12 bits into 16.
    """

    size: tuple[int, int]
    channels: int
    deep_bits: int = DEEP_BITS

    @property
    def recipe(self) -> str:
        """Words that differ where the pixels of one file do."""
        deep = "" if self.deep_bits == DEEP_BITS else f" {self.deep_bits} bits"
        return f"{self.size} {self.channels}{deep}"

    def decode(self, path: Path) -> ByteArray:
        """A file's pixels (height, width, channels), upright, transparent parts white.

        Raises:
            InputError: naming the file, if it cannot be decoded to its end.
        """
        try:
            with Image.open(path, formats=_FORMATS) as opened:
                image = ImageOps.exif_transpose(opened)
                if _is_deep(image):
                    image = Image.fromarray(self._shallow(_values(image)))
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    white = Image.new("RGBA", image.size, "white")
                    image = Image.alpha_composite(white, image)
                image = image.convert("L" if self.channels == 1 else "RGB")
                height, width = self.size
                if (image.height, image.width) != self.size:
                    image = image.resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(image, np.uint8).reshape(height, width, self.channels)
        except _BROKEN as error:
            raise _unreadable(path, error) from error

    def _shallow(self, values: IntArray) -> ByteArray:
        # brighter than any training image: white
        kept: ByteArray = np.minimum(values >> (self.deep_bits - 8), 255).astype(np.uint8)
        return kept


@dataclass
class FilePixels:
    """Images that are decoded when first asked for, and then kept as uint8.

    Args:
        paths: the files, in the pool's order.
        decoding: how they become pixels.
        content_digest: digest of the files' names, sizes and bytes.
        file_digests: of each file's bytes.
    """

    paths: tuple[Path, ...]
    decoding: Decoding
    content_digest: str
    file_digests: tuple[bytes, ...]
    _images: ByteArray = field(init=False, repr=False)
    _decoded: BoolArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # pages of an empty array take no memory until an image is written to them
        shape = (len(self.paths), *self.decoding.size, self.decoding.channels)
        try:
            self._images = np.empty(shape, np.uint8)
        except MemoryError as error:
            height, width = self.decoding.size
            raise InputError(
                f"{len(self.paths)} images of {height}x{width} take {prod(shape) / 1e9:.0f} GB "
                "decoded, more than there is: give a smaller --image-size, or fewer images"
            ) from error
        self._decoded = np.zeros(len(self.paths), np.bool_)

    def take(self, index: IntArray) -> ByteArray:
        """The images at `index`, decoding those not seen before."""
        for k in np.unique(index[~self._decoded[index]]).tolist():
            self._images[k] = self.decoding.decode(self.paths[k])
            self._decoded[k] = True
        return self._images[index]

    def digests(self) -> Sequence[bytes]:
        """A digest of each file."""
        return self.file_digests

    def digest(self) -> str:
        """The digest of the files and of how they are decoded."""
        recipe = f"{self.content_digest} {self.decoding.recipe}"
        return hashlib.sha256(recipe.encode()).hexdigest()


@dataclass(frozen=True)
class Headers:
    """What many files are, without decoding them (but for 16-bit grey ones).

    Attributes:
        sizes: (height, width) that occur, upright.
        grey: whether no file has colours.
        transparent: how many have an alpha channel or a transparent colour.
        deepest: highest value of the 16-bit grey ones; -1 where there are none.
        digest: of names, sizes and bytes.
        each: digest of every file's bytes, in order.
    """

    sizes: frozenset[tuple[int, int]]
    grey: bool
    transparent: int
    deepest: int
    digest: str
    each: tuple[bytes, ...]

    @property
    def deep_bits(self) -> int:
        """Of the 16-bit grey ones, see `Decoding`."""
        return DEEP_BITS if self.deepest < 0 else max(8, self.deepest.bit_length())


def read_headers(root: Path, paths: Sequence[Path]) -> Headers:
    """Read every file once.

    Raises:
        InputError: naming the first file that is no image.
    """
    digest = hashlib.sha256()
    sizes, grey, transparent, deepest, each = set(), True, 0, -1, []
    for path in paths:
        try:
            content = path.read_bytes()
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                sizes.add(_upright(image))
                grey = grey and image.mode in _GREY_MODES
                transparent += image.has_transparency_data
                if _is_deep(image):
                    deepest = max(deepest, int(_values(image).max()))
        except _BROKEN as error:
            raise _unreadable(path, error) from error
        name = path.relative_to(root).as_posix()
        own = hashlib.sha256(content)
        each.append(own.digest())
        digest.update(f"{name}\0{len(content)}\0{own.hexdigest()}\n".encode())
    return Headers(frozenset(sizes), grey, transparent, deepest, digest.hexdigest(), tuple(each))


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image as it is to be looked at.

    Raises:
        InputError: naming the file.
    """
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            image = ImageOps.exif_transpose(opened)
            return image.height, image.width
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def _upright(image: Image.Image) -> tuple[int, int]:
    """(height, width) by what stands before the pixels, which stay undecoded."""
    # without this look, Pillow searches behind a PNG's pixels too, and decodes them on the way
    tags = image.getexif() if "exif" in image.info else {}
    turned = tags.get(ExifTags.Base.Orientation) in _TURNED
    return (image.width, image.height) if turned else (image.height, image.width)


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I")


def _values(image: Image.Image) -> IntArray:
    return np.asarray(image).astype(np.int64)


def _unreadable(path: Path, error: BaseException) -> InputError:
    what = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):  # its words speak of a buffer
        what = f"its content is none of {', '.join(_FORMATS)}"
    return InputError(f"{path} cannot be read as an image ({what}): replace or remove it")
