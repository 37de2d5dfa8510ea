"""The bucket, from the API's side: a few blocking calls, and the bounded pool in which they run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from boto3.session import Session
from botocore.exceptions import BotoCoreError, ClientError

from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.threads import BoundedPool
from bapsang_api.uploads.bucket import Bucket
from bapsang_api.uploads.rules import Upload
from bapsang_api.uploads.s3 import Objects, Signer, open_client

T = TypeVar("T")

# Their number bounds the memory: each holds the first 256 KiB of an upload, or a part of an export.
THREADS: Final = 8  # four posts of ten photos each at once are eighty requests to S3
QUEUE: Final = 32
QUEUE_SECONDS: Final = 5
SECONDS: Final = 20
PAGE: Final = 1000  # objects; S3 lists and deletes no more at once
_REMOVE_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Listed:
    """An object in a listing."""

    key: str
    uploaded_at: datetime


class Storage:
    """The bucket of a community. What is not async blocks, as do those of `objects`: give them to `run`."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        session = Session()
        self._client = open_client(session, bucket, bucket.endpoint, connections=THREADS)
        self.objects = Objects(bucket.name, self._client)
        self._signer = Signer(session, bucket)
        self._pool = BoundedPool("s3", threads=THREADS, queue=QUEUE, queue_seconds=QUEUE_SECONDS, seconds=SECONDS)
        # Its own thread: who only asks for a URL must not wait behind the transfers of others.
        self._signing = BoundedPool("s3-sign", threads=1, queue=QUEUE, queue_seconds=QUEUE_SECONDS, seconds=SECONDS)

    async def run(self, job: Callable[[], T]) -> T:
        """Run a blocking job. Raises Unavailable on overload, and when S3 does not answer or refuses us."""
        return await self._translated(self._pool, job)

    async def sign(self, upload: Upload) -> str:
        """Return a presigned URL. Raises Unavailable when there are no credentials."""
        return await self._translated(self._signing, partial(self._signer.sign, upload))

    async def sign_download(self, key: str, file_name: str) -> str:
        """Return a presigned URL of a private object. Raises Unavailable when there are no credentials."""
        return await self._translated(self._signing, partial(self._signer.sign_download, key, file_name))

    def pages(self, prefix: str) -> Iterator[list[Listed]]:
        """Yield the objects below `prefix`, a page at a time."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name, Prefix=prefix)
        for page in pages:
            yield [Listed(item["Key"], item["LastModified"]) for item in page.get("Contents", ())]

    def remove(self, keys: Sequence[str]) -> None:
        """Delete up to PAGE objects; those that are gone already do not matter. Raises Unavailable if one stays."""
        left = list(keys)
        # S3 answers for each object alone, and boto repeats only what failed as a whole: an internal error, or two that
        # delete the same object at once where a server does not take that well.
        for _ in range(_REMOVE_ATTEMPTS):
            if not left:
                return
            answer = self._client.delete_objects(
                Bucket=self.bucket.name, Delete={"Objects": [{"Key": key} for key in left], "Quiet": True}
            )
            left = [error["Key"] for error in answer.get("Errors", ())]
        if left:
            raise Unavailable

    def remove_below(self, *prefixes: str) -> None:
        """Delete the objects whose keys begin with one of these, of which there are few. Raises Unavailable if one stays."""
        if keys := [key for prefix in prefixes for key in self.objects.names(prefix)]:
            self.remove(keys)

    async def close(self) -> None:
        await self._pool.close()
        await self._signing.close()
        self._client.close()

    @staticmethod
    async def _translated(pool: BoundedPool, job: Callable[[], T]) -> T:
        try:
            return await pool.run(job)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable from error
