"""The S3 client, what is done to single objects with it, and the presigned URL with which somebody may put one."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError

from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.rules import URL_SECONDS, Upload

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 5
MULTIPART_BYTES: Final = 5 * 1024 * 1024  # S3 takes no smaller part but the last
# A name never gets other bytes. How long the edge keeps them is its own matter (a day at most): whatever else fails, a picture
# that was taken down is gone there then.
CACHED_SECONDS: Final = 365 * 86_400
_CACHING: Final = f"public, max-age={CACHED_SECONDS}, immutable"
# HEAD has no body, so its answer has no other code than the status.
_ABSENT: Final = frozenset({"NoSuchKey", "404"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_NOTHING: Final = _ABSENT | {"InvalidRange"}  # a range of an empty object


@dataclass(frozen=True)
class Stored:
    """An object, or its beginning: `size` is that of the whole in bytes, `etag` tells its content from any other."""

    content: bytes
    size: int
    etag: str


class TooLargeError(Exception):
    """The object is larger than it may be."""


class ChangedError(Exception):
    """The object is no longer the one that was looked at."""


def open_client(session: Session, bucket: Bucket, origin: str | None, *, connections: int = 1) -> "S3Client":
    """Return a client for S3 at `origin` (None: AWS). Credentials are found by boto3's own chain, when they are needed.

    A session holds S3's whole description, 12 MiB, for all clients that are opened with it.
    """
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
    return session.client("s3", endpoint_url=origin, config=config)


class Signer:
    """Signs uploads. No request is sent for it, but credentials may have to be renewed, which blocks."""

    def __init__(self, session: Session, bucket: Bucket) -> None:
        self._bucket = bucket.name
        self._client = open_client(session, bucket, bucket.upload_origin)

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

    def sign_download(self, key: str, file_name: str) -> str:
        """Return a URL at which whoever has it can load an object for URL_SECONDS. Raises BotoCoreError as `sign` does."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            },
            ExpiresIn=URL_SECONDS,
        )


class Objects:
    """Single objects of a bucket. Every method blocks, and raises BotoCoreError or ClientError when S3 does not do it."""

    def __init__(self, name: str, client: "S3Client") -> None:
        self._bucket, self._client = name, client

    def read(self, key: str, *, most: int, etag: str | None = None) -> Stored | None:
        """Return an object, None when there is none. Raises TooLargeError for one of more than `most` bytes, ChangedError for
        one that has another `etag` than the one given.
        """
        only: Any = {} if etag is None else {"IfMatch": f'"{etag}"'}
        try:
            answer = _unless(_ABSENT, self._client.get_object, Bucket=self._bucket, Key=key, **only)
        except ClientError as error:
            if error.response["Error"]["Code"] in _TAKEN:
                raise ChangedError from error
            raise
        if answer is None:
            return None
        with answer["Body"] as body:
            size = answer["ContentLength"]
            if size > most:
                raise TooLargeError
            return Stored(body.read(), size, _tag(answer["ETag"]))

    def read_head(self, key: str, *, most: int) -> Stored | None:
        """Return the first `most` bytes of an object, None when there is none, or one without content."""
        beginning = f"bytes=0-{most - 1}"
        answer = _unless(_NOTHING, self._client.get_object, Bucket=self._bucket, Key=key, Range=beginning)
        if answer is None:
            return None
        with answer["Body"] as body:
            size = int(answer["ContentRange"].rpartition("/")[2])
            return Stored(body.read(), size, _tag(answer["ETag"]))

    def create(self, key: str, content: bytes, content_type: str) -> bool:
        """Write an object that is never changed again, unless there is one; False then, also when somebody writes it at this moment."""
        what: Any = {"Bucket": self._bucket, "Key": key, "Body": content, "ContentType": content_type}
        answer = _unless(_TAKEN, self._client.put_object, **what, CacheControl=_CACHING, IfNoneMatch="*")
        return answer is not None

    def write_privately(self, key: str, parts: Iterator[bytes], content_type: str) -> int:
        """Write an object that no cache may keep, in parts of at least MULTIPART_BYTES but the last; return its size in bytes."""
        first, second = next(parts, b""), next(parts, None)
        what: Any = {"Bucket": self._bucket, "Key": key}
        how: Any = {"ContentType": content_type, "CacheControl": "no-store"}
        if second is None:
            self._client.put_object(**what, **how, Body=first)
            return len(first)
        what["UploadId"] = self._client.create_multipart_upload(**what, **how)["UploadId"]
        try:
            size = 0
            done: list[Any] = []
            for number, part in enumerate(itertools.chain((first, second), parts), 1):
                tag = self._client.upload_part(**what, PartNumber=number, Body=part)["ETag"]
                done.append({"PartNumber": number, "ETag": tag})
                size += len(part)
            self._client.complete_multipart_upload(**what, MultipartUpload={"Parts": done})
        except BaseException:
            self._client.abort_multipart_upload(**what)
            raise
        return size

    def names(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix`, at most 1,000."""
        listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", ())]

    def etag_of(self, key: str) -> str | None:
        """Return what tells the content of an object from any other; None when there is no such object."""
        answer = _unless(_ABSENT, self._client.head_object, Bucket=self._bucket, Key=key)
        return None if answer is None else _tag(answer["ETag"])

    def exists(self, key: str) -> bool:
        return self.etag_of(key) is not None

    def copy(self, source: str, key: str) -> bool:
        """Copy an object with its type and caching, within S3; False when there is none."""
        whence: Any = {"Bucket": self._bucket, "Key": source}
        answer = _unless(_ABSENT, self._client.copy_object, Bucket=self._bucket, Key=key, CopySource=whence)
        return answer is not None

    def copy_unchanged(self, source: str, key: str, etag: str) -> None:
        """Copy an object that had this `etag`. Raises ChangedError when it is another by now, or gone."""
        whence: Any = {"Bucket": self._bucket, "Key": source}
        what: Any = {"Bucket": self._bucket, "Key": key, "CopySource": whence, "CopySourceIfMatch": f'"{etag}"'}
        if _unless(_ABSENT | _TAKEN, self._client.copy_object, **what) is None:
            raise ChangedError


def _tag(header: str) -> str:
    return header.strip('"')


def _unless(codes: frozenset[str], operation: Callable[..., Any], **arguments: Any) -> Any | None:
    """Send a request and return the answer; None when S3 answers with one of these codes."""
    try:
        return operation(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in codes:
            return None
        raise
