"""The purge function: what a real S3 server tells of removals becomes one invalidation, of one path an image if they are few."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from tests.waiting import eventually

from bapsang_api.uploads import purge_function

from .bucket import create_bucket, photo, serving_s3
from .queues import told
from .test_upload_events import hooked

IMAGE = "public/post/01JD0000000000000000000000"
KEY = f"{IMAGE}/640.webp"


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with a distribution, of which the function knows."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        client = boto3.client("cloudfront", region_name="us-east-1")
        origin = {"Id": "media", "DomainName": "media.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
        behaviour: dict[str, Any] = {"TargetOriginId": "media", "ViewerProtocolPolicy": "https-only"}
        behaviour |= {"MinTTL": 0, "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}}}
        configuration = {"CallerReference": "1", "Comment": "", "Enabled": True, "DefaultCacheBehavior": behaviour}
        configuration |= {"Origins": {"Quantity": 1, "Items": [origin]}}
        created = client.create_distribution(DistributionConfig=configuration)
        monkeypatch.setenv("BAPSANG_DISTRIBUTION_ID", created["Distribution"]["Id"])
        purge_function._edge.cache_clear()
        yield client
        purge_function._edge.cache_clear()


def call(*bodies: str) -> list[str]:
    """Call the function with a batch of messages; return the numbers of those that it wants again."""
    batch = {"Records": [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]}
    return [one["itemIdentifier"] for one in purge_function.handler(batch, None)["batchItemFailures"]]


def requests(edge: Any, distribution: str) -> list[dict[str, Any]]:
    """Return what was asked for by each invalidation."""
    listed = edge.list_invalidations(DistributionId=distribution)["InvalidationList"].get("Items", [])
    found = [edge.get_invalidation(DistributionId=distribution, Id=one["Id"])["Invalidation"] for one in listed]
    return [one["InvalidationBatch"] for one in found]


def purged(edge: Any, distribution: str) -> list[list[str]]:
    """Return the paths of each invalidation."""
    return [one["Paths"]["Items"] for one in requests(edge, distribution)]


def removed(key: str) -> str:
    event = json.loads(told(key))
    for record in event["Records"]:
        record["eventName"] = "ObjectRemoved:DeleteMarkerCreated"
    return json.dumps(event)


def distribution(edge: Any) -> str:
    (one,) = edge.list_distributions()["DistributionList"]["Items"]
    return str(one["Id"])


def test_removal_on_a_real_server_is_purged_and_a_write_is_not(tmp_path: Path, edge: Any) -> None:
    variants = [f"{IMAGE}/{width}.{form}" for width in (320, 640, 1080, 1600) for form in ("webp", "jpg")]
    with hooked() as (hook, heard), serving_s3(tmp_path, "--event-webhook-url", hook) as origin:
        own = create_bucket(origin, "told")
        own.put("public/post/01JD0000000000000000000001/320.webp", photo())  # stays
        gone = [*variants, "users/x/post/a.jpg", "withheld/public/post/01JD0000000000000000000002/320.webp"]
        for key in gone:
            own.put(key, photo())
            own.client.delete_object(Bucket=own.name, Key=key)
        eventually(lambda: sum("Removed" in body for body in heard) == len(gone) and len(heard) > 2 * len(gone))
    assert call(*heard) == []
    assert purged(edge, distribution(edge)) == [[f"/{IMAGE}*"]]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (KEY, f"/{IMAGE}*"),
        (f"{IMAGE}.jpg", f"/{IMAGE}*"),  # as images were published before there were variants
        ("public/profile/01JD0000000000000000000000/96.jpg", "/public/profile/01JD0000000000000000000000*"),
        ("public/post/a b*/320.webp", "/public/post/a%20b%2A*"),  # nobody else's wildcard
    ],
)
def test_wildcard_of_an_image_is_the_last_character_of_its_path(edge: Any, key: str, path: str) -> None:
    """CloudFront takes `*` at the end of a path only, and what is no letter of URLs encoded."""
    assert call(removed(key)) == []
    ((purge,),) = purged(edge, distribution(edge))
    assert purge == path
    assert purge.index("*") == len(purge) - 1


def test_path_of_an_image_covers_its_own_objects_and_no_others(edge: Any) -> None:
    assert call(removed(KEY)) == []
    ((path,),) = purged(edge, distribution(edge))
    covers = f"^{re.escape(path[:-1])}.*$"
    own = [f"/{IMAGE}/{name}" for name in ("96.jpg", "320.webp", "1600.jpg")] + [f"/{IMAGE}.jpg"]
    assert all(re.match(covers, one) for one in own)
    assert not re.match(covers, "/public/post/01JD0000000000000000000001/320.webp")
    assert not re.match(covers, f"/{IMAGE}".replace("post", "profile"))


def test_one_invalidation_serves_a_batch_and_the_same_batch_again_is_the_same_request(edge: Any) -> None:
    keys = variants_of(15)
    messages = [removed(key) for key in (*keys, *keys[:9])]
    assert call(*messages) == []
    assert call(*messages) == []
    # CloudFront takes it for the same by its reference; the simulated one does not.
    asked, again = requests(edge, distribution(edge))
    assert asked == again
    assert asked["Paths"]["Items"] == [f"/public/post/{number:026}*" for number in range(15)]


def test_objects_of_more_images_than_the_edge_takes_wildcards_are_named(edge: Any) -> None:
    keys = variants_of(16)
    assert call(*map(removed, keys)) == []
    assert purged(edge, distribution(edge)) == [[f"/{key}" for key in keys]]


def test_objects_are_named_while_the_edge_has_its_fill_of_wildcards(edge: Any) -> None:
    refuse_wildcards()
    assert call(removed(KEY), removed(f"{IMAGE}.jpg")) == []
    assert purged(edge, distribution(edge)) == [[f"/{IMAGE}.jpg", f"/{KEY}"]]


def variants_of(images: int) -> list[str]:
    """Return the keys of objects of so many images, sorted."""
    return [f"public/post/{number:026}/{width}.webp" for number in range(images) for width in (320, 640)]


def refuse_wildcards() -> None:
    """Let the function's client hear what CloudFront answers while fifteen are in progress."""

    def answer(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]] | None:
        if b"*</Path>" not in params["body"]:
            return None
        error = {"Code": "TooManyInvalidationsInProgress", "Message": "later"}
        return AWSResponse("", 400, {}, None), {"Error": error, "ResponseMetadata": {}}

    purge_function._edge().meta.events.register("before-call.cloudfront.CreateInvalidation", answer)


def test_what_is_no_event_comes_again_alone(edge: Any) -> None:
    assert call(removed(KEY), "nonsense", "[]", json.dumps({"Event": "s3:TestEvent"})) == ["1", "2"]
    assert purged(edge, distribution(edge)) == [[f"/{IMAGE}*"]]


def test_what_the_edge_refuses_comes_again(edge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAPSANG_DISTRIBUTION_ID", "ENONE")
    assert call(removed(KEY), "nonsense") == ["1", "0"]
