"""`spec.storage`, `spec.imageCollector` and `spec.originals` of a Community: the bucket of images, and what keeps it tidy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bapsang_operator import names
from bapsang_operator.resource.nodes import (
    BASE_URL_RULE,
    URL_RULE,
    boolean,
    integer,
    matches,
    object_name,
    rules,
    schedule,
    text,
)
from bapsang_operator.resource.shared import SecretRef


@dataclass(frozen=True)
class Storage:
    """S3 storage of images. Without it uploads are off."""

    bucket: Annotated[
        str,
        text(
            "Name of the bucket.",
            63,
            **rules(
                matches(
                    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                    "must be a bucket's name: 3 to 63 lower case letters, digits, - and .",
                )
            ),
        ),
    ]
    region: Annotated[
        str,
        text(
            "Region of the bucket.",
            32,
            default="ap-northeast-2",
            **rules(matches(r"^[a-z0-9]+(-[a-z0-9]+)*$", "must be a region, such as ap-northeast-2")),
        ),
    ]
    endpoint: Annotated[str | None, text("Where pods reach an S3 server other than AWS.", 300, **rules(URL_RULE))]
    upload_url: Annotated[
        str | None,
        text(
            "Origin that clients upload to, when it is not the endpoint. Upload URLs are signed for it.",
            300,
            **rules(URL_RULE),
        ),
    ]
    public_url: Annotated[
        str | None,
        text(
            "Base of image URLs, such as a CDN; the bucket's own URL at the endpoint when absent.",
            300,
            **rules(BASE_URL_RULE),
        ),
    ]
    secret_name: Annotated[
        str | None,
        object_name(
            "Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it the pods use the identity of their "
            "ServiceAccount (EKS Pod Identity or IRSA)."
        ),
    ]

    @property
    def access_key(self) -> tuple[SecretRef, ...]:
        """Both halves of the access key; empty where the pods' identity counts."""
        if self.secret_name is None:
            return ()
        return tuple(SecretRef(self.secret_name, key, "spec.storage.secretName") for key in names.ACCESS_KEY)


@dataclass(frozen=True)
class ImageCollector:
    """The job that deletes images which nothing refers to. Runs only with spec.storage."""

    schedule: Annotated[str, schedule("17 * * * *")]
    suspend: Annotated[bool, boolean("Stop collecting; unused images gather in the bucket.", False)]
    grace_hours: Annotated[
        int, integer("Hours that an upload may lie unused before it is deleted.", 1, 720, default=24)
    ]


@dataclass(frozen=True)
class Originals:
    """Photos as they were uploaded, which nobody but the operator of the community can read. With spec.storage."""

    days: Annotated[
        int, integer("Days that an original is kept; the image collector deletes it afterwards.", 1, 3650, default=30)
    ]
