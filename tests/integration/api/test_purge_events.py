"""The purge function: what a real S3 server tells of a removal becomes one invalidation of exactly those paths."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.waiting import eventually

from bapsang_api.uploads import purge_function

from .bucket import create_bucket, photo, serving_s3
from .queues import told
from .test_upload_events import hooked

KEY = "public/post/01JD0000000000000000000000.jpg"


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


def purged(edge: Any, distribution: str) -> list[list[str]]:
    """Return the paths of each invalidation."""
    listed = edge.list_invalidations(DistributionId=distribution)["InvalidationList"].get("Items", [])
    found = [edge.get_invalidation(DistributionId=distribution, Id=one["Id"])["Invalidation"] for one in listed]
    return [one["InvalidationBatch"]["Paths"]["Items"] for one in found]


def removed(key: str) -> str:
    event = json.loads(told(key))
    for record in event["Records"]:
        record["eventName"] = "ObjectRemoved:DeleteMarkerCreated"
    return json.dumps(event)


def distribution(edge: Any) -> str:
    (one,) = edge.list_distributions()["DistributionList"]["Items"]
    return str(one["Id"])


def test_removal_on_a_real_server_is_purged_and_a_write_is_not(tmp_path: Path, edge: Any) -> None:
    with hooked() as (hook, heard), serving_s3(tmp_path, "--event-webhook-url", hook) as origin:
        own = create_bucket(origin, "told")
        own.put("public/post/01JD0000000000000000000001.jpg", photo())  # stays
        for key in (KEY, "users/x/post/a.jpg"):
            own.put(key, photo())
            own.client.delete_object(Bucket=own.name, Key=key)
        eventually(lambda: sum("Removed" in body for body in heard) == 2 and len(heard) >= 5)
    assert call(*heard) == []
    assert purged(edge, distribution(edge)) == [[f"/{KEY}"]]


def test_one_invalidation_serves_a_batch_and_the_same_batch_again_is_the_same_request(edge: Any) -> None:
    keys = [f"public/post/{number:026}.jpg" for number in range(300)]
    messages = [removed(key) for key in (*keys, *keys[:50])]
    assert call(*messages) == []
    (paths,) = purged(edge, distribution(edge))
    assert paths == [f"/{key}" for key in keys]


def variants(image: str, kind: str = "post") -> list[str]:
    return [f"public/{kind}/{image}/{width}.{form}" for width in (320, 640, 1080, 1600) for form in ("webp", "jpg")]


def test_the_variants_of_a_photo_are_one_path(edge: Any) -> None:
    """Eight would be billed each."""
    photo, other = "01JD0000000000000000000001", "01JD0000000000000000000002"
    single = f"public/profile/{other}/96.webp"
    assert call(*(removed(key) for key in (*variants(photo), single, KEY))) == []
    assert purged(edge, distribution(edge)) == [sorted([f"/public/post/{photo}/*", f"/{single}", f"/{KEY}"])]


def test_no_more_wildcards_than_the_edge_takes_at_once(edge: Any) -> None:
    photos = [f"01JD{number:022}" for number in range(5)]
    assert call(*(removed(key) for photo in photos for key in variants(photo))) == []
    (paths,) = purged(edge, distribution(edge))
    assert [path for path in paths if path.endswith("*")] == [f"/public/post/{photo}/*" for photo in photos[:3]]
    assert len(paths) == 3 + 2 * 8


def test_what_is_no_event_comes_again_alone(edge: Any) -> None:
    assert call(removed(KEY), "nonsense", "[]", json.dumps({"Event": "s3:TestEvent"})) == ["1", "2"]
    assert purged(edge, distribution(edge)) == [[f"/{KEY}"]]


def test_what_the_edge_refuses_comes_again(edge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAPSANG_DISTRIBUTION_ID", "ENONE")
    assert call(removed(KEY), "nonsense") == ["1", "0"]
