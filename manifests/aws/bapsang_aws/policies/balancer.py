"""Rights of the AWS Load Balancer Controller, held against the list of actions of its own policy."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from bapsang_aws.policies.access import actions
from bapsang_aws.policies.core import policy
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
    for role in estate.of("IAM::Role"):
        if role.address != "Eks.LoadBalancerRole":
            continue
        allowed = actions(role)
        for action in sorted(listed_actions()):
            given = any(fnmatchcase(action, pattern) for pattern in allowed)
            if not given and action not in NOT_GIVEN:
                yield role, f"lacks {action}, which version {VERSION} of the controller uses"
            if given and action in NOT_GIVEN:
                yield role, f"may {action}, although: {NOT_GIVEN[action]}"
