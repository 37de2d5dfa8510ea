"""From the bytes of an upload to pixels: opaque, 8 bits, sRGB, the right way up, and no larger than is needed.

Runs in the child only. Whatever goes wrong within the library is the file's fault: `RefusedError`.
"""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from PIL import ExifTags, Image, ImageCms, ImageFile, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from bapsang_api.media import lenient, wholeness
from bapsang_api.media.kinds import Kind
from bapsang_api.media.sizes import MOST_PIXELS, Size, refusal
from bapsang_api.media.verdict import Reason, Refused
from bapsang_api.media.wholeness import Opener

#: Calls of `read` on the file: 3 to 4 for a segment or chunk. 10 MiB of PNG in chunks of 1 KiB take 31,000.
MOST_READS: Final = 65_536
UPRIGHT: Final = 1
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: The plug-in of each kind: only what a file needs is imported, and before the confinement.
_PLUGINS: Final = {
    Kind.JPEG: ("PIL.JpegImagePlugin", "JpegImageFile"),
    Kind.PNG: ("PIL.PngImagePlugin", "PngImageFile"),
    Kind.WEBP: ("PIL.WebPImagePlugin", "WebPImageFile"),
    Kind.GIF: ("PIL.GifImagePlugin", "GifImageFile"),
    Kind.AVIF: ("PIL.AvifImagePlugin", "AvifImageFile"),
    Kind.HEIC: ("pi_heif", "HeifImageFile"),
}
_COLOUR_SPACES: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


class RefusedError(Exception):
    """The file is no picture for us; carries the verdict."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.verdict = Refused(reason, detail)


class _Counted(io.BytesIO):
    """A file in memory that may be read in so many steps: parsers take each part of a file by a few calls."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MOST_READS:
            raise RefusedError(Reason.TOO_MANY_PARTS, "it has more segments, chunks or blocks than any picture needs")
        return super().read(size)


def opener(kind: Kind) -> Opener:
    """Import what decodes this kind, and what it would import later, when nothing can be any more."""
    module, name = _PLUGINS[kind]
    plugin: Any = import_module(module)
    lenient.pass_over(kind, plugin)
    if kind is Kind.AVIF:
        plugin.DEFAULT_MAX_THREADS = 1
    if kind is Kind.HEIC:
        options: Any = import_module("pi_heif.options")
        options.DECODE_THREADS, options.THUMBNAILS, options.DEPTH_IMAGES, options.AUX_IMAGES = 1, False, False, False
    Image.preinit()
    warnings.simplefilter("ignore")
    opened: Opener = getattr(plugin, name)
    return opened


def decoded(content: bytes, kind: Kind, opened: Opener, most: Callable[[Size], Size]) -> tuple[Image.Image, Size]:
    """Return the picture and the size of the original, both the right way up.

    `most` tells from the size of the original how large the picture has to be at most. Raises RefusedError, MemoryError.
    """
    with _blamed():
        image, scan = _opened(content, kind, opened)
        upright = orientation(image)
        _require_moderate(image.size)
        original = _turned_size(image.size, upright)
        needed = _turned_size(most(original), upright)
        if kind is Kind.JPEG:
            image.draft(None, needed)
        image.load()
        _require_moderate(image.size)
        if not _is_whole(image, content, kind, scan, opened):
            raise RefusedError(Reason.DAMAGED, "it is cut off: the rest of the picture is missing")
        shown = _in_srgb(_opaque(_plain(image), needed), image.info.get("icc_profile"))
    return (shown.transpose(_TURNS[upright]) if upright in _TURNS else shown), original


def orientation(image: Image.Image) -> int:
    """Return the orientation, 1 to 8, that EXIF before the pixels gives; UPRIGHT when it gives none.

    XMP does not count: browsers ignore it. Of AVIF it is the container's, which Pillow puts there; HEIC is turned by libheif,
    and pi_heif has set its EXIF upright.
    """
    block = image.info.get("exif")
    try:
        exif = Image.Exif()
        exif.load(block or b"")
        value = exif.get(ExifTags.Base.Orientation, UPRIGHT)
    except Exception:  # maker notes are known to break parsers; the picture stays, as browsers show it
        return UPRIGHT
    return value if isinstance(value, int) and value in _TURNS else UPRIGHT


@contextmanager
def _blamed() -> Iterator[None]:
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Image.DecompressionBombError as error:  # a frame that is larger than the picture
        raise RefusedError(Reason.TOO_MANY_PIXELS, f"it has more than {MOST_PIXELS} pixels") from error
    except Exception as error:
        words = " ".join("".join(c if " " <= c <= "~" else " " for c in str(error)[:200]).split())
        raise RefusedError(Reason.DAMAGED, f"it cannot be decoded: {words or type(error).__name__}") from error


def _opened(content: bytes, kind: Kind, opened: Opener) -> tuple[ImageFile.ImageFile, int]:
    """Return the picture with its header read, and where the scan of a JPEG begins."""
    if kind is Kind.WEBP:
        content = _fitted_riff(content)
    file = _Counted(content)
    # Wrong checksums of chunks that are dropped anyway: browsers show such files. Pixels are decoded strictly again.
    ImageFile.LOAD_TRUNCATED_IMAGES = kind is Kind.PNG
    image = opened(file)
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    scan = file.tell()
    if kind is Kind.JPEG:
        if not image.info.get("progressive"):
            # Phones leave the end marker out of panoramas, and decoders would wait for it. Whether all is there is looked at.
            image = opened(_Counted(content + b"\xff\xd9"))
        image.decodermaxblock = len(content) + 2  # at once: a decoder of arithmetic coding cannot wait for more
    return image, scan


def _fitted_riff(content: bytes) -> bytes:
    """Let the outer size of a WebP end where the file ends: some encoders write two bytes too much."""
    size = min(int.from_bytes(content[4:8], "little"), len(content) - 8)
    return content[:4] + size.to_bytes(4, "little") + content[8 : 8 + size]


def _require_moderate(size: Size) -> None:
    if refused := refusal(size):
        raise RefusedError(refused.reason, refused.detail)


def _is_whole(image: Image.Image, content: bytes, kind: Kind, scan: int, opened: Opener) -> bool:
    if kind is Kind.JPEG:
        return wholeness.is_whole_jpeg(image, content, scan, opened)
    return kind is not Kind.PNG or wholeness.is_whole_png(image, content)


def _plain(image: Image.Image) -> Image.Image:
    """Return it as RGB, RGBA, L, LA or CMYK."""
    if image.mode.startswith("I"):  # grey of 16 bits
        return image.point(lambda value: value / 256).convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("RGB", "L") and image.has_transparency_data:  # one colour of a PNG
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "RGBA", "L", "LA", "CMYK") else image.convert("RGB")


def _opaque(image: Image.Image, needed: Size) -> Image.Image:
    """Return it in the size that is needed, on white."""
    if image.size != needed:
        image = image.resize(needed, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if image.mode not in ("RGBA", "LA"):
        return image
    page = Image.new(image.mode, image.size, "white")
    return Image.alpha_composite(page, image).convert(image.mode[:-1])


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply the colour profile. One that is none, or is meant for other pixels, counts as sRGB, as in browsers."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == _COLOUR_SPACES[image.mode]:
                applied = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if applied is not None:
                    image = applied
        except (ImageCms.PyCMSError, OSError):
            pass
    shown = image.convert("RGB")
    shown.info.clear()  # Pillow writes some of it into whatever is saved
    return shown


def _turned_size(size: Size, upright: int) -> Size:
    return (size[1], size[0]) if upright >= 5 else size


# Imported for what they register: Pillow would import them later.
REGISTERED: Final = (JpegImagePlugin, TiffImagePlugin, WebPImagePlugin)
