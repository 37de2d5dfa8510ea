"""Rights of the AWS Load Balancer Controller, held against the list of actions of its own policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from bapsang_aws.policies.access import actions, statements
from bapsang_aws.policies.core import listed, policy
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]

#: Version of controller and chart that docs/aws.md installs and that the list was read from.
VERSION: Final = "3.5.0"
_LIST: Final = Path(__file__).with_name("load-balancer-controller-actions.txt")
_OUTPOSTS: Final = "AWS Outposts only; the estate lies in a region"
_COGNITO: Final = "the annotation auth-type: cognito only; the API verifies tokens itself"
_IAM: Final = "certificates come from ACM; none lies in IAM"
_IPAM: Final = "load balancers with addresses of an IPAM pool only; the estate has no pool"
_CAPACITY: Final = "reserves load balancer capacity, which is paid by the hour"
_WAF: Final = "docs/aws.md installs the controller with WAF switched off"
_SHIELD: Final = "docs/aws.md installs the controller with Shield switched off"
_SERVICE_ACCOUNT: Final = "aws-load-balancer-controller"
# Reads know no tag of the cluster, and most know no resource: the controller's own policy has them without a condition.
_READS: Final = re.compile(r"\w+:(Describe|Get|List)\w+")
# What is about to be made bears no tag yet that a condition could look at.
_MAKES: Final = re.compile(r"ec2:CreateSecurityGroup|elasticloadbalancing:Create(LoadBalancer|TargetGroup)")
#: Actions of the list that the role does not have, and why not.
NOT_GIVEN: Final = {
    "cognito-idp:DescribeUserPoolClient": _COGNITO,
    "ec2:DescribeCoipPools": _OUTPOSTS,
    "ec2:GetCoipPoolUsage": _OUTPOSTS,
    "ec2:DescribeIpamPools": _IPAM,
    "elasticloadbalancing:ModifyIpPools": _IPAM,
    "elasticloadbalancing:ModifyCapacityReservation": _CAPACITY,
    "elasticloadbalancing:SetWebAcl": _WAF,
    "iam:GetServerCertificate": _IAM,
    "iam:ListServerCertificates": _IAM,
    "shield:CreateProtection": _SHIELD,
    "shield:DeleteProtection": _SHIELD,
    "shield:DescribeProtection": _SHIELD,
    "shield:GetSubscriptionState": _SHIELD,
    "waf-regional:AssociateWebACL": _WAF,
    "waf-regional:DisassociateWebACL": _WAF,
    "waf-regional:GetWebACL": _WAF,
    "waf-regional:GetWebACLForResource": _WAF,
    "wafv2:AssociateWebACL": _WAF,
    "wafv2:DisassociateWebACL": _WAF,
    "wafv2:GetWebACL": _WAF,
    "wafv2:GetWebACLForResource": _WAF,
}


def listed_actions() -> set[str]:
    """Return the actions of the controller's own policy."""
    return {line for line in _LIST.read_text().splitlines() if line and not line.startswith("#")}


@policy("load-balancer-controller-has-its-rights")
def _rights(estate: Estate) -> Found:
    identities = estate.of("EKS::PodIdentityAssociation")
    arns = [one.properties["RoleArn"] for one in identities if one.properties["ServiceAccount"] == _SERVICE_ACCOUNT]
    roles = [role for role in map(estate.at, arns) if role is not None and role.type == "AWS::IAM::Role"]
    if not roles:
        yield "Eks", f"service account {_SERVICE_ACCOUNT} has no role of the estate"
    for role in roles:
        for action in sorted(listed_actions() - NOT_GIVEN.keys()):
            if not any(_gives(statement, action) for statement in statements(role)):
                yield role, f"lacks {action} where it can apply, which version {VERSION} of the controller uses"
        for action, reason in NOT_GIVEN.items():
            if any(fnmatchcase(action, pattern) for pattern in actions(role)):
                yield role, f"may {action}, although: {reason}"


def _gives(statement: Any, action: str) -> bool:
    """Whether a statement allows an action in a way that it can ever apply."""
    named = any(fnmatchcase(action, pattern) for pattern in listed(statement.get("Action", [])))
    if statement["Effect"] != "Allow" or not named:
        return False
    if _READS.fullmatch(action):
        return "*" in listed(statement.get("Resource", [])) and not statement.get("Condition")
    return not (_MAKES.fullmatch(action) and "ResourceTag/" in str(statement.get("Condition")))
