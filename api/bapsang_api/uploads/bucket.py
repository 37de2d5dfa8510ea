"""Where the bucket is, for each of those who reach it: the API, the client that uploads, and the page that shows."""

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

    def url(self, key: str) -> str:
        """Return the URL at which everybody can load the published object `key`: stable, so caches keep it."""
        return f"{self.public_url}/{key}"
