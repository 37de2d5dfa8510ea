"""Where the bucket is, for each of those who reach it: the API, the client that uploads, and the page that shows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """The bucket of a community. `endpoint` and `upload_origin` are origins, None for AWS itself."""

    name: str
    region: str
    endpoint: str | None
    upload_origin: str | None
    public_url: str  # the base of image URLs, without a slash at its end

    @classmethod
    def of(
        cls, name: str, region: str, *, endpoint: str | None, upload_origin: str | None, public_url: str | None
    ) -> "Bucket":
        """Return a bucket with what is not given derived from the rest."""
        default = f"{endpoint}/{name}" if endpoint else f"https://{name}.s3.{region}.amazonaws.com"
        return cls(name, region, endpoint, upload_origin or endpoint, public_url or default)

    @classmethod
    def of_function(cls, environ: Mapping[str, str]) -> "Bucket":
        """Return the bucket that a function in the cloud was given; there the API's settings are not at hand."""
        endpoint = environ.get("BAPSANG_S3_ENDPOINT")
        name, region = environ["BAPSANG_S3_BUCKET"], environ["BAPSANG_S3_REGION"]
        return cls.of(name, region, endpoint=endpoint, upload_origin=None, public_url=None)

    def url(self, key: str) -> str:
        """Return the URL at which everybody can load the published object `key`: stable, so caches keep it."""
        return f"{self.public_url}/{key}"
