"""The S3 client, and the presigned URL with which somebody may put one object."""

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.rules import URL_SECONDS, Upload

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 5


def open_client(bucket: Bucket, origin: str | None, *, connections: int = 1) -> "S3Client":
    """Return a client for S3 at `origin` (None: AWS). Credentials are found by boto3's own chain, when they are needed."""
    config = Config(
        region_name=bucket.region,
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=connections,
        # A server at an origin of its own has no name per bucket.
        s3={"addressing_style": "path" if origin else "virtual"},
        # Otherwise the signed URL would ask for a checksum header, which clients do not send.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client("s3", endpoint_url=origin, config=config)


class Signer:
    """Signs uploads. No request is sent for it, but credentials may have to be renewed, which blocks."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket.name
        self._client = open_client(bucket, bucket.upload_origin)

    def sign(self, upload: Upload) -> str:
        """Return a URL for exactly this upload: S3 refuses another method, key, type or length, and a later time.

        Raises BotoCoreError when there are no credentials.
        """
        return self._client.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._bucket,
                "Key": upload.object_key,
                "ContentType": upload.content_type,
                "ContentLength": upload.size,
            },
            ExpiresIn=URL_SECONDS,
        )
