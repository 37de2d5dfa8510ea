"""What the internet reaches: CloudFront, the upload API, bucket policies, the topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bapsang_aws.policies.core import dig, each, listed, policy, queues, true
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
_RUNTIMES: Final = ("python3.13", "python3.14")
#: The token is verified behind them; the second is for those who have none yet.
_ROUTES: Final = ("POST /uploads/presign", "POST /uploads/presign/temp")


@policy("buckets-speak-tls-only")
def _tls(estate: Estate) -> Found:
    for one in estate.of("S3::BucketPolicy"):
        denies = [
            statement
            for statement in one.properties["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny"
            and dig(statement, "Condition", "Bool", "aws:SecureTransport") == "false"
            and len(listed(statement["Resource"])) == 2
        ]
        if not denies:
            yield one, "allows plain HTTP"


@policy("buckets-answer-only-the-edge")
def _readers(estate: Estate) -> Found:
    covered = {one.properties["Bucket"] for one in estate.of("S3::BucketPolicy")}
    for bucket in estate.of("S3::Bucket"):
        if bucket.ref not in covered:
            yield bucket, "has no policy"
    for one in estate.of("S3::BucketPolicy"):
        for statement in one.properties["PolicyDocument"]["Statement"]:
            if statement["Effect"] != "Allow":
                continue
            source = str(dig(statement, "Condition", "StringEquals", "aws:SourceArn"))
            if (
                statement["Principal"] != {"Service": "cloudfront.amazonaws.com"}
                or "/${Edge.Distribution}" not in source
            ):
                yield one, "lets others than our distribution in"
            if listed(statement["Action"]) != ["s3:GetObject"]:
                yield one, "lets the edge do more than read"
            if not all(str(where).endswith(("/public/*", "/.well-known/*")) for where in listed(statement["Resource"])):
                yield one, "shows more than public/ and .well-known/"


def _configurations(estate: Estate) -> list[tuple[Resource, Any]]:
    return [(one, one.properties["DistributionConfig"]) for one in estate.of("CloudFront::Distribution")]


def _behaviours(configuration: Any) -> list[Any]:
    return [configuration["DefaultCacheBehavior"], *configuration.get("CacheBehaviors", ())]


@policy("edge-signs-to-its-origins")
def _origins(estate: Estate) -> Found:
    for one, configuration in _configurations(estate):
        if not all(estate.at(origin.get("OriginAccessControlId")) for origin in configuration["Origins"]):
            yield one, "reads a bucket without signing"
    for control in estate.of("CloudFront::OriginAccessControl"):
        if dig(control.properties, "OriginAccessControlConfig", "SigningBehavior") != "always":
            yield control, "does not always sign"


@policy("edge-speaks-tls")
def _edge_tls(estate: Estate) -> Found:
    for one, configuration in _configurations(estate):
        if any(
            behaviour["ViewerProtocolPolicy"] not in {"redirect-to-https", "https-only"}
            for behaviour in _behaviours(configuration)
        ):
            yield one, "answers plain HTTP"
        certificate = configuration["ViewerCertificate"]
        if "AcmCertificateArn" in certificate and certificate.get("MinimumProtocolVersion") != "TLSv1.2_2021":
            yield one, "accepts old versions of TLS"


@policy("edge-reads-and-caches")
def _edge_cache(estate: Estate) -> Found:
    for one, configuration in _configurations(estate):
        for behaviour in _behaviours(configuration):
            if set(behaviour.get("AllowedMethods", ())) != {"GET", "HEAD"}:
                yield one, "passes writes on"
            if (
                estate.at(behaviour.get("CachePolicyId")) is None
                or estate.at(behaviour.get("ResponseHeadersPolicyId")) is None
            ):
                yield one, "has a path without our caching and headers"
        if configuration.get("PriceClass") != "PriceClass_200":
            yield one, "has no edge in Korea, or pays for all"
        if dig(configuration, "DefaultCacheBehavior", "TargetOriginId") != "media":
            yield one, "does not lead to the photos"


each(
    "edge-keys-are-paths",
    "CloudFront::CachePolicy",
    "what a viewer sends would split the cache",
    lambda p: all(
        dig(p, "CachePolicyConfig", "ParametersInCacheKeyAndForwardedToOrigin", *path) == "none"
        for path in (
            ("CookiesConfig", "CookieBehavior"),
            ("HeadersConfig", "HeaderBehavior"),
            ("QueryStringsConfig", "QueryStringBehavior"),
        )
    ),
)


@policy("signing-keys-are-fresh")
def _keys_fresh(estate: Estate) -> Found:
    for one in estate.of("CloudFront::CachePolicy"):
        configuration = one.properties["CachePolicyConfig"]
        if one.address == "Edge.Documents" and configuration["MaxTTL"] > 3600:
            yield one, "hides a new signing key for longer than an hour"
        if one.address == "Edge.Photos" and not (configuration["MaxTTL"] == configuration["DefaultTTL"] == 86_400):
            yield one, "shows photos for longer than a day after they were taken down, or fetches them again and again"


each(
    "uploads-never-run-in-a-browser",
    "CloudFront::ResponseHeadersPolicy",
    "an upload could be shown as a page",
    lambda p: (
        true(dig(p, "ResponseHeadersPolicyConfig", "SecurityHeadersConfig", "ContentTypeOptions", "Override"))
        and "sandbox"
        in str(
            dig(
                p,
                "ResponseHeadersPolicyConfig",
                "SecurityHeadersConfig",
                "ContentSecurityPolicy",
                "ContentSecurityPolicy",
            )
        )
    ),
)
each(
    "lambda-on-arm64",
    "Lambda::Function",
    "must run a current Python on arm64",
    lambda p: p.get("Architectures") == ["arm64"] and p.get("Runtime") in _RUNTIMES,
)
each(
    "lambda-is-bounded",
    "Lambda::Function",
    "may run long or large",
    # Only what decodes photos needs a processor of its own for a minute.
    lambda p: (
        (p.get("Timeout", 900) <= 90 and p.get("MemorySize", 9999) <= 1769)
        if "check_function" in str(p.get("Handler"))
        else (p.get("Timeout", 900) <= 30 and p.get("MemorySize", 9999) <= 512)
    ),
)


@policy("decoder-fits-its-function")
def _decoder(estate: Estate) -> Found:
    for one in estate.of("Lambda::Function"):
        if "check_function" not in str(one.properties.get("Handler")):
            continue
        # bapsang_api/media/confinement.py: a minute and 1 GiB for the process that decodes, and as much as an upload has besides.
        if one.properties.get("Timeout", 3) < 75 or one.properties.get("MemorySize", 128) < 1280:
            yield one, "ends before the dearest photo does"


@policy("decoder-takes-one-photo-at-a-time")
def _batches(estate: Estate) -> Found:
    for one in estate.of("Lambda::EventSourceMapping"):
        if "UploadEvents" in str(one.properties.get("EventSourceArn")) and one.properties.get("BatchSize", 10) > 1:
            yield one, "a batch of photos takes longer than its function may run"


@policy("nothing-checks-unless-asked")
def _unasked(estate: Estate) -> Found:
    if estate.parameters["CheckUploads"] == "true":
        return
    for one in estate.resources:
        if one.address.partition(".")[2].startswith(("Check", "UploadEvents")):
            yield one, "belongs to the check function, which is off"


each(
    "lambda-logs-where-told",
    "Lambda::Function",
    "makes a log group that keeps everything",
    lambda p: "LogGroup" in (dig(p, "LoggingConfig") or {}),
)
each(
    "lambda-called-by-our-api",
    "Lambda::Permission",
    "others may call it",
    lambda p: p.get("SourceAccount") and "${UploadApiStack.Api}" in str(p.get("SourceArn")),
)


@policy("tokens-are-checked")
def _tokens(estate: Estate) -> Found:
    for one in estate.of("Lambda::Function"):
        if not str(one.properties.get("Handler")).endswith("presign_function.handler"):
            continue
        given = dig(one.properties, "Environment", "Variables") or {}
        if not str(given.get("BAPSANG_ISSUER")).startswith("https://") or not given.get("BAPSANG_AUDIENCE"):
            yield one, "does not know whose tokens it takes, or asks for their keys without TLS"


@policy("only-known-routes")
def _routes(estate: Estate) -> Found:
    for one in estate.of("ApiGatewayV2::Route"):
        if one.properties["RouteKey"] not in _ROUTES:
            yield one, "leads to the function whatever is asked for"


@policy("failed-messages-come-again-alone")
def _mappings(estate: Estate) -> Found:
    for one in estate.of("Lambda::EventSourceMapping"):
        if one.properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield one, "repeats a whole batch when one message fails"
        if not 2 <= (dig(one.properties, "ScalingConfig", "MaximumConcurrency") or 1000) <= 10:
            yield one, "may take every concurrent execution of the account"
    read = {str(one.properties.get("EventSourceArn")) for one in estate.of("Lambda::EventSourceMapping")}
    for queue in queues(estate):
        if estate.of("Lambda::Function") and not any(f"Media.{queue}.Arn" in arn for arn in read):
            yield "UploadApiStack", f"nothing reads the queue {queue}"


@policy("uploads-are-throttled")
def _throttled(estate: Estate) -> Found:
    for one in estate.of("ApiGatewayV2::Stage"):
        general = dig(one.properties, "DefaultRouteSettings", "ThrottlingRateLimit")
        strict = dig(one.properties, "RouteSettings", "POST /uploads/presign/temp", "ThrottlingRateLimit")
        if not general or not strict or strict > 10:
            yield one, "has no limit, or none for those without a token"
        if "DestinationArn" not in (dig(one.properties, "AccessLogSettings") or {}):
            yield one, "writes no access log"


each(
    "upload-api-origins",
    "ApiGatewayV2::Api",
    "lets any site act for its users",
    lambda p: (
        "*" not in dig(p, "CorsConfiguration", "AllowOrigins")
        and dig(p, "CorsConfiguration", "AllowMethods") == ["POST"]
    ),
)
each(
    "upload-domain-tls",
    "ApiGatewayV2::DomainName",
    "accepts old versions of TLS",
    lambda p: dig(p, "DomainNameConfigurations", 0, "SecurityPolicy") == "TLS_1_2",
)


@policy("no-way-around-the-domain")
def _around(estate: Estate) -> Found:
    for one in estate.of("ApiGatewayV2::Api"):
        if estate.parameters["Domain"] and not true(one.properties.get("DisableExecuteApiEndpoint")):
            yield one, "answers under a second name"
