"""Requests to the S3 server are signed as AWS documents it; its policy opens published images alone, its CORS rule known origins."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from bapsang_api.settings import Settings
from bapsang_aws import template
from bapsang_local import s3
from bapsang_local.settings import HOST, LOCAL

ADDON = list(yaml.safe_load_all((LOCAL / "addons" / "storage.yaml").read_text()))
# The examples of AWS' own description of Signature Version 4.
EXAMPLE = s3.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLES = {
    "/?lifecycle=": "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    "/?max-keys=2&prefix=J": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
}


@pytest.mark.parametrize("target", EXAMPLES)
def test_signatures_are_those_of_the_published_examples(target: str) -> None:
    headers = s3.signed(
        EXAMPLE, "us-east-1", "examplebucket.s3.amazonaws.com", "GET", target, b"", datetime(2013, 5, 24, tzinfo=UTC)
    )
    assert headers["Authorization"].endswith(f"Signature={EXAMPLES[target]}")


def test_a_secret_access_key_is_never_shown() -> None:
    assert EXAMPLE.secret_access_key not in repr(EXAMPLE)


def _anyone_may(action: str, key: str) -> bool:
    """Tell what the bucket's policy says to a request without credentials."""
    return any(
        statement["Effect"] == "Allow"
        and statement["Principal"] == "*"
        and fnmatchcase(action, statement["Action"])
        and fnmatchcase(f"arn:aws:s3:::{s3.BUCKET}{key}", statement["Resource"])
        for statement in s3.POLICY["Statement"]
    )


def test_anyone_may_read_published_images_and_nothing_else() -> None:
    assert _anyone_may("s3:GetObject", "/public/01J/photo.webp")
    for key in ("", "/users/01J/photo.jpg", "/temp/01J", "/publication", "/private/public/photo.jpg"):
        assert not _anyone_may("s3:GetObject", key), key
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectAcl"):
        assert not _anyone_may(action, "/public/01J/photo.webp"), action


def _rule(*origins: str) -> dict[str, list[str]]:
    """Return the one CORS rule by CloudFormation's names."""
    (rule,) = ElementTree.fromstring(s3.cors(origins))  # noqa: S314  # our own text
    names = {"ExposeHeader": "ExposedHeader", "MaxAgeSeconds": "MaxAge"}
    found: dict[str, list[str]] = {}
    for one in rule:
        name = one.tag.rpartition("}")[2]
        found.setdefault(names.get(name, name), []).append(one.text or "")
    return found


def test_origins_of_development_are_those_of_the_api() -> None:
    assert Settings.model_fields["cors_origins"].default == s3.DEVELOPMENT_ORIGINS


def test_pages_may_do_what_the_bucket_in_the_cloud_lets_them_do_and_read_pictures() -> None:
    media = template.load(template.ROOT / "50-media.yaml")["Resources"]["Media"]["Properties"]  # type: ignore[index,call-overload]
    (cloud,) = media["CorsConfiguration"]["CorsRules"]  # type: ignore[index,call-overload]
    rule = _rule("https://a.example.com", "http://b:81")
    assert rule["AllowedOrigin"] == ["https://a.example.com", "http://b:81"]
    assert {*rule["AllowedMethod"]} == {*cloud["AllowedMethods"], "GET", "HEAD"}
    assert (rule["AllowedHeader"], rule["ExposedHeader"]) == (cloud["AllowedHeaders"], cloud["ExposedHeaders"])
    assert rule["MaxAge"] == [str(cloud["MaxAge"])]


def test_an_origin_cannot_add_another_rule() -> None:
    spoiled = "http://a</AllowedOrigin><AllowedOrigin>*"
    assert _rule(spoiled)["AllowedOrigin"] == [spoiled]


def _one(kind: str) -> Any:
    (found,) = (document for document in ADDON if document["kind"] == kind)
    return found


def test_the_server_of_the_addon_is_the_one_that_is_set_up() -> None:
    for document in ADDON:
        assert document["metadata"].get("namespace", document["metadata"]["name"]) == s3.NAMESPACE
    (container,) = _one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert f":{s3.PORT}" in container["command"]
    assert container["command"][container["command"].index("--region") + 1] == s3.REGION
    assert {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"]} == {s3.ROOT_SECRET}


def test_browsers_reach_the_bucket_at_the_origin_of_the_page() -> None:
    (rule,) = _one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == (HOST, f"/{s3.BUCKET}", "Prefix")


def test_the_server_meets_the_restricted_level_and_talks_to_nobody() -> None:
    assert _one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    policy = _one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
