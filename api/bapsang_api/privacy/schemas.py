"""Wire shapes of exports."""

from enum import StrEnum

from pydantic import Field

from bapsang_api.http.wire import Wire


class ExportStatus(StrEnum):
    """Whether the file is there."""

    PENDING = "PENDING"
    READY = "READY"


class ExportState(Wire):
    """The export of the caller's data (ZIP of JSON files): `url` loads it until `urlExpiresAt`; `keptUntil`, it is deleted."""

    status: ExportStatus
    url: str | None = None
    url_expires_at: str | None = Field(default=None, examples=["2026-11-23T10:20:12.781554"])
    size_byte: int | None = None
    kept_until: str | None = Field(default=None, examples=["2026-11-30T10:10:12.781554"])
