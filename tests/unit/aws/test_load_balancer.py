"""A load balancer appears: the controller may make it, and AWS accepts what the sample asks for.

Witnesses: the list of actions of the controller's own policy, and the limits in AWS's API reference.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from bapsang_aws import template
from bapsang_aws.policies.access import actions
from bapsang_aws.policies.balancer import NOT_GIVEN, VERSION, listed_actions
from bapsang_aws.render import render

PROJECT = template.ROOT.parents[1]
SAMPLE = PROJECT / "manifests/samples/community-eks.yaml"
PREFIX = "alb.ingress.kubernetes.io/"
#: Elastic Load Balancing API reference, CreateTargetGroup and ModifyTargetGroupAttributes; seconds.
LIMITS = {
    "healthcheck-interval-seconds": (5, 300),
    "healthcheck-timeout-seconds": (2, 120),
    "deregistration_delay.timeout_seconds": (0, 3600),
}


@pytest.mark.parametrize("name", ["dev", "lean", "ha"])
def test_the_controller_may_look_up_security_groups_of_the_vpc(name: str) -> None:
    """CreateLoadBalancer asks for this right since late 2024."""
    estate = render(template.load_all(), template.parameters(template.ROOT / f"params/{name}.json"))
    role = next(one for one in estate.of("IAM::Role") if one.address == "Eks.LoadBalancerRole")
    assert {
        "ec2:GetSecurityGroupsForVpc",
        "ec2:DescribeAddresses",
        "elasticloadbalancing:SetRulePriorities",
    } <= actions(role)


def test_every_right_that_is_not_given_is_one_of_the_controllers() -> None:
    """An exception for an action that the controller no longer has is a leftover."""
    assert set(NOT_GIVEN) - listed_actions() == set()
    assert len(listed_actions()) > 60


def test_the_documented_installation_pins_the_version_that_the_list_is_of() -> None:
    text = (PROJECT / "docs/aws.md").read_text()
    assert f"eks/aws-load-balancer-controller --version {VERSION} " in text
    switched_off = re.findall(r"--set enable(\w+)=false", text)
    assert {"Shield", "Waf", "Wafv2"} <= set(switched_off)


def annotations() -> dict[str, str]:
    community = next(one for one in yaml.safe_load_all(SAMPLE.read_text()) if one["kind"] == "Community")
    found: dict[str, str] = community["spec"]["ingress"]["annotations"]
    assert all(isinstance(value, str) for value in found.values()), "annotations are text"
    return {key.removeprefix(PREFIX): value for key, value in found.items()}


def test_the_samples_health_check_is_one_that_a_target_group_takes() -> None:
    given = annotations()
    attributes = dict(pair.split("=") for pair in given["target-group-attributes"].split(","))
    seconds = {name: int((given | attributes)[name]) for name in LIMITS}
    for name, (least, most) in LIMITS.items():
        assert least <= seconds[name] <= most, name
    # The controller's default time-out is 5 s, and a time-out that is not below the interval is refused.
    assert seconds["healthcheck-timeout-seconds"] < seconds["healthcheck-interval-seconds"]
    assert given["healthcheck-path"].startswith("/")


def test_the_samples_listeners_are_what_the_controller_reads() -> None:
    given = annotations()
    assert all(set(one) <= {"HTTP", "HTTPS"} for one in json.loads(given["listen-ports"]))
    assert re.fullmatch(r"arn:aws:acm:[a-z0-9-]+:\d{12}:certificate/\S+", given["certificate-arn"])
    assert (given["scheme"], given["target-type"]) == ("internet-facing", "ip")
