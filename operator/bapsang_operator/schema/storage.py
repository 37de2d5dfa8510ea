"""`spec.storage` and `spec.imageCollector` of a Community: the bucket of images, and what keeps it tidy."""

from __future__ import annotations

from typing import Final

from bapsang_operator.schema.fields import (
    BASE_URL_RULE,
    URL_RULE,
    boolean,
    integer,
    matches,
    obj,
    object_name,
    rules,
    schedule,
    text,
)

#: No default: without a bucket, uploads are off and nothing of this is made.
STORAGE: Final = obj(
    "S3 storage of images. Without it uploads are off.",
    {
        "bucket": text(
            "Name of the bucket.",
            63,
            **rules(
                matches(
                    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                    "must be a bucket's name: 3 to 63 lower case letters, digits, - and .",
                )
            ),
        ),
        "region": text(
            "Region of the bucket.",
            32,
            default="ap-northeast-2",
            **rules(matches(r"^[a-z0-9]+(-[a-z0-9]+)*$", "must be a region, such as ap-northeast-2")),
        ),
        "endpoint": text("Where pods reach an S3 server other than AWS.", 300, **rules(URL_RULE)),
        "uploadUrl": text(
            "Origin that clients upload to, when it is not the endpoint. Upload URLs are signed for it.",
            300,
            **rules(URL_RULE),
        ),
        "publicUrl": text(
            "Base of image URLs, such as a CDN; the bucket's own URL at the endpoint when absent.",
            300,
            **rules(BASE_URL_RULE),
        ),
        "secretName": object_name(
            "Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Without it the pods use the identity of their "
            "ServiceAccount (EKS Pod Identity or IRSA)."
        ),
    },
    required=["bucket"],
)

IMAGE_COLLECTOR: Final = obj(
    "The job that deletes images which nothing refers to. Runs only with spec.storage.",
    {
        "schedule": schedule("17 * * * *"),
        "suspend": boolean("Stop collecting; unused images gather in the bucket.", False),
        "graceHours": integer("Hours that an upload may lie unused before it is deleted.", 1, 720, default=24),
    },
    default={},
)
