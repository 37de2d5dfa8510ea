"""Rights: least privilege in every role, key and trust."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from bapsang_aws.policies.core import listed, policy, true
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
_READS: Final = re.compile(r"[a-z0-9]+:(Describe|List|Get)[A-Za-z*]*")
#: AWS's own policies that have no narrower substitute.
_MANAGED: Final = {
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKS_CNI_Policy",
    "CloudWatchAgentServerPolicy",
    "AmazonEBSCSIDriverPolicy",
}
_MEDIA_PREFIXES: Final = (
    *("users/*", "temp/*", "checked/*", "originals/*", "public/*", "withheld/*", "exports/*", "erasures/*"),
)


def statements(role: Resource) -> list[Any]:
    """Return the statements of a role's own policies."""
    return [
        statement
        for inline in role.properties.get("Policies", ())
        for statement in inline["PolicyDocument"]["Statement"]
    ]


def actions(role: Resource) -> set[str]:
    """Return what a role's own policies allow."""
    return {action for one in statements(role) if one["Effect"] == "Allow" for action in listed(one.get("Action", []))}


@policy("no-wildcard-actions")
def _wildcards(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        for action in actions(role):
            if action == "*" or action.endswith(":*"):
                yield role, f"may do {action}"


@policy("no-inverted-rights")
def _inverted(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        if any({"NotAction", "NotResource", "NotPrincipal"} & set(one) for one in statements(role)):
            yield role, "allows everything but what it names"


@policy("writes-name-their-resource")
def _unbounded(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        for one in statements(role):
            everything = "*" in listed(one.get("Resource", []))
            reads = all(_READS.fullmatch(action) for action in listed(one.get("Action", [])))
            if one["Effect"] == "Allow" and everything and not reads and not one.get("Condition"):
                yield role, f"may {', '.join(listed(one['Action']))} on everything, without a condition"


@policy("trust-names-a-service")
def _trust(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        for one in role.properties["AssumeRolePolicyDocument"]["Statement"]:
            principal = one.get("Principal")
            services = listed(principal.get("Service", [])) if isinstance(principal, dict) else []
            if not isinstance(principal, dict) or set(principal) != {"Service"} or "*" in services:
                yield role, "can be assumed by more than a service"


@policy("managed-policies-are-known")
def _managed(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        for arn in role.properties.get("ManagedPolicyArns", ()):
            if arn.rpartition("/")[2] not in _MANAGED:
                yield role, f"has {arn}"


@policy("no-role-passes-roles")
def _pass_role(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        if any(action.startswith("iam:") and action != "iam:CreateServiceLinkedRole" for action in actions(role)):
            yield role, "may change or hand on rights"


@policy("nodes-have-no-rights-of-pods")
def _node_rights(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        if role.address == "Eks.NodeRole" and statements(role):
            yield role, "gives every pod on the node what one pod needs"


@policy("presigner-only-puts-uploads")
def _presigner(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        if role.address != "UploadApiStack.PresignRole":
            continue
        if actions(role) != {"s3:PutObject", "logs:CreateLogStream", "logs:PutLogEvents"}:
            yield role, "may do more than put objects and write its log"
        targets = [
            where for one in statements(role) if "s3:PutObject" in one["Action"] for where in listed(one["Resource"])
        ]
        if not all(str(where).endswith(("/users/*", "/temp/*")) for where in targets):
            yield role, "may put objects where no upload belongs"


@policy("checker-only-writes-what-it-checked")
def _checker(estate: Estate) -> Found:
    allowed = {
        *("s3:GetObject", "s3:PutObject", "s3:ListBucket", "logs:CreateLogStream", "logs:PutLogEvents"),
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    }
    for role in estate.of("IAM::Role"):
        if role.address != "UploadApiStack.CheckRole":
            continue
        if actions(role) != allowed:
            yield role, "may do more, or less, than read uploads and their queue and write what it checked"
        for one in statements(role):
            if "s3:PutObject" in listed(one["Action"]) and not all(
                str(where).endswith("/checked/*") for where in listed(one["Resource"])
            ):
                yield role, "may write where the API or its users do"


@policy("purger-only-invalidates")
def _purger(estate: Estate) -> Found:
    allowed = {
        *("cloudfront:CreateInvalidation", "logs:CreateLogStream", "logs:PutLogEvents"),
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    }
    for role in estate.of("IAM::Role"):
        if role.address == "UploadApiStack.PurgeRole" and actions(role) != allowed:
            yield role, "may do more, or less, than read its queue and invalidate"


@policy("objects-by-prefix")
def _prefixes(estate: Estate) -> Found:
    for role in estate.of("IAM::Role"):
        for one in statements(role):
            touched = [action for action in listed(one.get("Action", [])) if action.endswith("Object")]
            if touched and not all(str(where).endswith(_MEDIA_PREFIXES) for where in listed(one["Resource"])):
                yield role, f"reaches objects outside of {', '.join(_MEDIA_PREFIXES)}"


@policy("api-reaches-all-it-keeps")
def _reached(estate: Estate) -> Found:
    objects = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    for role in estate.of("IAM::Role"):
        if role.address != "Eks.ApiRole":
            continue
        given = [one for one in statements(role) if objects <= set(listed(one.get("Action", [])))]
        reached = {str(where) for one in given for where in listed(one["Resource"])}
        for prefix in _MEDIA_PREFIXES:
            if not any(where.endswith(f"/{prefix}") for where in reached):
                yield role, f"may not read, write and delete {prefix}"


@policy("pods-have-identities")
def _identities(estate: Estate) -> Found:
    found = {one.properties["ServiceAccount"] for one in estate.of("EKS::PodIdentityAssociation")}
    api = f"{estate.parameters['Community']}-api"
    for account in sorted({"cluster-autoscaler", "aws-load-balancer-controller", api} - found):
        yield "Eks", f"service account {account} has no role"


@policy("keys-rotate-and-stay")
def _keys(estate: Estate) -> Found:
    for key in estate.of("KMS::Key"):
        if not true(key.properties.get("EnableKeyRotation")):
            yield key, "does not rotate"
        if key.properties.get("PendingWindowInDays", 0) < 30:
            yield key, "can be lost in less than 30 days"
        for one in key.properties["KeyPolicy"]["Statement"]:
            if not str(
                one.get("Principal", {}).get("AWS", "*") if isinstance(one["Principal"], dict) else "*"
            ).endswith(":root"):
                yield key, "can be used by others than the account"


@policy("no-secret-in-a-template")
def _literals(estate: Estate) -> Found:
    for kind, key in (("RDS::DBInstance", "MasterUserPassword"), ("ElastiCache::ReplicationGroup", "AuthToken")):
        for one in estate.of(kind):
            secret = one.properties.get(key)
            if secret is not None and not str(secret).startswith("{{resolve:secretsmanager:"):
                yield one, f"{key} stands in the template"
    for secret in estate.of("SecretsManager::Secret"):
        text = secret.properties.get("SecretString")
        if text is not None and "{{resolve:secretsmanager:" not in json.dumps(text):
            yield secret, "its value stands in the template"
