"""The rows of photos: their way to readers, their place in the bucket, its requests, and the work of making variants. Pure."""

from __future__ import annotations

from typing import Final

from bapsang_operator.cost.design import DAYS, PLAN_REQUESTS, Cdn, Design, Traffic
from bapsang_operator.cost.prices import PriceBook
from bapsang_operator.cost.row import Row, shown

_FREE_CDN_GB: Final = 1024.0
_FREE_CDN_MILLIONS: Final = 10.0
_FREE_INVALIDATIONS: Final = 1000.0
_FREE_LAMBDA_MILLIONS: Final = 1.0
_FREE_LAMBDA_GB_SECONDS: Final = 400_000.0
#: The presign function: 256 MB for at most 20 ms.
_PRESIGN_GB_SECONDS: Final = 0.25 * 0.02
#: Lambda gives CPU by memory: a whole vCPU at 1,769 MB. So a second of CPU costs this much, whatever the function has (up to that).
_GB_OF_A_VCPU: Final = 1.769
#: Share of photo views that the CDN fetches from the bucket.
_CDN_MISSES: Final = 0.05
#: S3 storage that the business plan pays for.
_BUSINESS_CREDIT_GB: Final = 1000.0
#: The bucket keeps what was deleted for so long (NoncurrentVersionExpiration of 50-media.yaml).
OLD_VERSIONS_DAYS: Final = 7.0
#: An upload is collected a day after it came; what the check function left below `checked/` expires (50-media.yaml).
_UPLOAD_DAYS: Final = 1.0
CHECKED_DAYS: Final = 2.0
#: Where c-media runs: a core of a spot node.
_WORKER: Final = "c7g.large"
_WORKER_VCPU: Final = 2


def photos(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of photos: their way to readers, the end of it, and their place in the bucket."""
    rows = [*_views(design, traffic, book), *_takedowns(design, traffic, book), _storage(design, traffic, book)]
    return [*rows, *_requests(design, traffic, book)]


def _views(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    views, gigabytes = traffic.photo_views_millions, traffic.photo_gb
    if design.cdn is Cdn.NONE:
        return [
            Row("Photos", "egress", gigabytes, book["egress"], f"{shown(views)} M × {traffic.photo_kb:.4g} KB"),
            Row("Photos", "s3.get", views * 100, book["s3.get"], f"{shown(views)} M requests"),
        ]
    if design.cdn is Cdn.AS_USED:
        paid_gb, paid_views = max(0.0, gigabytes - _FREE_CDN_GB), max(0.0, views - _FREE_CDN_MILLIONS)
        formula = f"{shown(views)} M × {traffic.photo_kb:.4g} KB − 1 TB"
        return [
            Row("Photos", "cdn.egress", paid_gb, book["cdn.egress"], formula),
            Row("Photos", "cdn.requests", paid_views * 100, book["cdn.requests"], f"{shown(views)} M − 10 M"),
        ]
    name = f"cdn.{design.cdn.value}"
    formula = f"1 plan: {shown(views)} of {PLAN_REQUESTS[design.cdn]:g} M requests, {shown(gigabytes)} GB"
    return [Row("Photos", name, 1.0, book[name], formula)]


def _takedowns(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """A photo that was taken down is one path of an invalidation, whatever its variants (uploads/purge_function.py)."""
    if design.cdn is Cdn.NONE:
        return []
    paths = traffic.photos_a_day * DAYS * traffic.removed_share
    formula = f"{traffic.photos_a_day * DAYS:,.0f} photos × {traffic.removed_share:g} − 1,000"
    return [Row("Photos", "cdn.invalidation", max(0.0, paths - _FREE_INVALIDATIONS), book["cdn.invalidation"], formula)]


def _storage(design: Design, traffic: Traffic, book: PriceBook) -> Row:
    """Variants stay; originals, uploads and what the check function made go, and lie for a week more as old versions."""
    days, uploads = traffic.days_stored, traffic.uploads_a_day
    kept = {
        "variants": traffic.photos_a_day * days * traffic.derived_mb,
        "originals": traffic.photos_a_day * min(days, design.originals_days + OLD_VERSIONS_DAYS) * traffic.original_mb,
        "uploads": uploads * min(days, _UPLOAD_DAYS + OLD_VERSIONS_DAYS) * traffic.original_mb,
    }
    if design.check_function:
        kept["checked"] = uploads * min(days, CHECKED_DAYS + OLD_VERSIONS_DAYS) * traffic.derived_mb
    gigabytes = sum(kept.values()) / 1000
    credit = _BUSINESS_CREDIT_GB if design.cdn is Cdn.BUSINESS else 0.0
    formula = " + ".join(f"{megabytes / 1000:,.0f} {name}" for name, megabytes in kept.items())
    paid = max(0.0, gigabytes - credit)
    return Row(
        "S3 storage", "s3.standard", paid, book["s3.standard"], formula + (" − 1 TB of the plan" if credit else "")
    )


def _requests(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """A photo is an upload, its copy among the originals, and a file for each variant; the check function writes them once more."""
    uploads, used = traffic.presigns_millions, traffic.photos_a_day * DAYS / 1e6
    puts = uploads + used * (1 + traffic.photo_files)
    formula = f"{shown(uploads)} M uploads + {shown(used)} M photos × {1 + traffic.photo_files:g}"
    if design.check_function:
        puts += uploads * (1 + traffic.photo_files)  # and photo.json
        formula += f" + {shown(uploads)} M checked × {1 + traffic.photo_files:g}"
    # The first look and the decoder read each upload; a bucket without a CDN has its views as well.
    missed = 0.0 if design.cdn is Cdn.NONE else traffic.photo_views_millions * _CDN_MISSES
    read = f"{shown(missed)} M past the CDN + {shown(uploads)} M uploads × 2"
    return [
        Row("S3 requests", "s3.put", puts * 1000, book["s3.put"], formula),
        Row("S3 requests", "s3.get", (missed + 2 * uploads) * 100, book["s3.get"], read),
    ]


def uploads(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of signing uploads, and of decoding them: by the check function, or by c-media on spot nodes."""
    millions, cpu = traffic.presigns_millions, traffic.cpu_seconds_per_photo
    calls, seconds = millions, millions * 1e6 * _PRESIGN_GB_SECONDS
    formula = f"{millions:g} M × {_PRESIGN_GB_SECONDS:g} GB-s"
    if design.check_function:
        calls, seconds = 2 * millions, seconds + millions * 1e6 * cpu * _GB_OF_A_VCPU
        formula += f" + {millions:g} M × {cpu:.3g} s × {_GB_OF_A_VCPU:g} GB"
    paid_calls, paid = max(0.0, calls - _FREE_LAMBDA_MILLIONS), max(0.0, seconds - _FREE_LAMBDA_GB_SECONDS)
    rows = [
        Row("Uploads", "http-api", millions, book["http-api"], f"{millions:g} M"),
        Row("Uploads", "lambda.requests", paid_calls, book["lambda.requests"], f"{calls:g} M − 1 M"),
        Row("Uploads", "lambda.compute", paid, book["lambda.compute"], f"{formula} − 400,000"),
    ]
    if not design.check_function:
        hours = traffic.photos_a_day * DAYS * cpu / 3600 / _WORKER_VCPU
        formula = f"{traffic.photos_a_day:,.0f} a day × {cpu:.3g} s of a vCPU"
        rows.append(Row("Uploads", f"ec2.{_WORKER}", hours, book.spot(_WORKER)[1], formula))
    return rows
