"""Subnets, routes, security groups and the ways out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bapsang_aws.policies.core import dig, each, leaves, listed, policy, true
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
_WORLD: Final = {"0.0.0.0/0", "::/0"}
#: Values that change without a change of ours: public parameters, and versions of a launch template that hold one.
_MOVING: Final = re.compile(r"^/aws/service/|\{\{resolve:ssm:|\.(Latest|Default)VersionNumber\}|^\$(Latest|Default)$")
#: Without these a cluster that has no way to the internet cannot start a pod or move its load balancer.
_NEEDED_ENDPOINTS: Final = ("ec2", "ecr.api", "ecr.dkr", "eks-auth", "elasticloadbalancing", "autoscaling")


def tier(estate: Estate, name: str) -> list[Resource]:
    """Return the subnets of a tier: Public, Private or Data."""
    return [subnet for subnet in estate.of("EC2::Subnet") if subnet.address.startswith(f"Network.{name}")]


def _tables(estate: Estate, name: str) -> set[str]:
    subnets = {subnet.ref for subnet in tier(estate, name)}
    links = estate.of("EC2::SubnetRouteTableAssociation")
    return {link.properties["RouteTableId"] for link in links if link.properties["SubnetId"] in subnets}


def _routes(estate: Estate, tables: set[str]) -> list[Resource]:
    return [route for route in estate.of("EC2::Route") if route.properties["RouteTableId"] in tables]


def _is_world(rule: Any) -> bool:
    return rule.get("CidrIp") in _WORLD or rule.get("CidrIpv6") in _WORLD


@policy("security-group-not-open")
def _open_groups(estate: Estate) -> Found:
    for group in estate.of("EC2::SecurityGroup"):
        if any(_is_world(rule) for rule in group.properties.get("SecurityGroupIngress", ())):
            yield group, "takes traffic from the whole internet"


@policy("security-group-egress-named")
def _egress_named(estate: Estate) -> Found:
    for group in estate.of("EC2::SecurityGroup"):
        rules = group.properties.get("SecurityGroupEgress", ())
        if not rules:
            yield group, "names no egress, which allows everything"
        elif any(_is_world(rule) for rule in rules) and group.address != "Egress.NatSecurityGroup":
            yield group, "may reach the whole internet"


def _data_groups(estate: Estate) -> list[tuple[Resource, int]]:
    named = [(one, "VPCSecurityGroups", 3306) for one in estate.of("RDS::DBInstance")]
    named += [(one, "SecurityGroupIds", 6379) for one in estate.of("ElastiCache::ReplicationGroup")]
    found = ((estate.at(token), port) for one, key, port in named for token in one.properties.get(key, ()))
    return [(group, port) for group, port in found if group is not None]


@policy("data-only-from-the-cluster")
def _data_ingress(estate: Estate) -> Found:
    for group, port in _data_groups(estate):
        for rule in group.properties.get("SecurityGroupIngress", ()):
            if rule.get("SourceSecurityGroupId") != "${Eks.Cluster.ClusterSecurityGroupId}":
                yield group, "takes traffic from elsewhere than the cluster's security group"
            if (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")) != ("tcp", port, port):
                yield group, f"opens more than TCP port {port}"


@policy("data-has-a-security-group")
def _data_grouped(estate: Estate) -> Found:
    for kind, key in (("RDS::DBInstance", "VPCSecurityGroups"), ("ElastiCache::ReplicationGroup", "SecurityGroupIds")):
        for one in estate.of(kind):
            if not one.properties.get(key):
                yield one, "has no security group of its own"


@policy("data-subnets-have-no-way-out")
def _data_routes(estate: Estate) -> Found:
    for route in _routes(estate, _tables(estate, "Data")):
        yield route, "leads out of the data subnets"


@policy("data-lies-in-data-subnets")
def _data_placed(estate: Estate) -> Found:
    wanted = {subnet.ref for subnet in tier(estate, "Data")}
    for kind in ("RDS::DBSubnetGroup", "ElastiCache::SubnetGroup"):
        for group in estate.of(kind):
            if not set(group.properties["SubnetIds"]) <= wanted:
                yield group, "holds a subnet that is not a data subnet"


@policy("private-subnets-not-on-the-internet")
def _private_routes(estate: Estate) -> Found:
    for route in _routes(estate, _tables(estate, "Private")):
        if "GatewayId" in route.properties:
            yield route, "leads private subnets straight to the internet"


@policy("every-subnet-has-its-routes")
def _associated(estate: Estate) -> Found:
    links = estate.of("EC2::SubnetRouteTableAssociation")
    linked = {link.properties["SubnetId"] for link in links}
    for subnet in estate.of("EC2::Subnet"):
        if subnet.ref not in linked:
            yield subnet, "has no route table, so it takes the VPC's main one"


@policy("tiers-span-zones")
def _spread(estate: Estate) -> Found:
    zones = 3 if estate.parameters["ZoneC"] else 2
    for name in ("Public", "Private", "Data"):
        found = {subnet.properties["AvailabilityZone"] for subnet in tier(estate, name)}
        if len(found) < zones:
            yield name, f"spans {len(found)} zones instead of {zones}"


@policy("s3-by-gateway-endpoint")
def _gateway_endpoint(estate: Estate) -> Found:
    tables = _tables(estate, "Private") | _tables(estate, "Data")
    served: set[str] = set()
    for endpoint in estate.of("EC2::VPCEndpoint"):
        if endpoint.properties["ServiceName"].endswith(".s3"):
            if endpoint.properties.get("VpcEndpointType") != "Gateway":
                yield endpoint, "is not the free gateway endpoint"
            served |= set(endpoint.properties.get("RouteTableIds", ()))
    if tables - served:
        yield "Network", f"route tables without the S3 endpoint: {', '.join(sorted(tables - served))}"


@policy("way-out-in-every-zone")
def _egress(estate: Estate) -> Found:
    if estate.parameters["EgressMode"] == "endpoints":
        names = [endpoint.properties["ServiceName"] for endpoint in estate.of("EC2::VPCEndpoint")]
        insights = ("logs",) if estate.parameters["ContainerInsights"] == "true" else ()
        for service in (*_NEEDED_ENDPOINTS, *insights):
            if f"com.amazonaws.ap-northeast-2.{service}" not in names:
                yield "Egress", f"the endpoint of {service} is missing"
        return
    tables = sorted(_tables(estate, "Private"))
    if len(tables) < len(tier(estate, "Private")):
        yield "Network", "zones share a private route table"
    ways: set[str] = set()
    for table in tables:
        own = {
            str(route.properties.get("NatGatewayId") or route.properties.get("InstanceId"))
            for route in _routes(estate, {table})
            if route.properties.get("DestinationCidrBlock") == "0.0.0.0/0"
        }
        if len(own) != 1 or own & ways:
            yield table, "has no way out of its own zone"
        ways |= own


each(
    "endpoints-answer-by-name",
    "EC2::VPCEndpoint",
    "private DNS is off, so clients go around the endpoint",
    lambda p: p.get("VpcEndpointType") == "Gateway" or true(p.get("PrivateDnsEnabled")),
)
each(
    "endpoints-in-every-zone",
    "EC2::VPCEndpoint",
    "stands in one zone only",
    lambda p: p.get("VpcEndpointType") == "Gateway" or len(p.get("SubnetIds", ())) > 1,
)
each(
    "subnets-give-no-public-addresses",
    "EC2::Subnet",
    "gives every machine a public address",
    lambda p: not true(p.get("MapPublicIpOnLaunch")),
)
each(
    "vpc-resolves-names",
    "EC2::VPC",
    "endpoints and EKS need DNS support and host names",
    lambda p: true(p.get("EnableDnsSupport")) and true(p.get("EnableDnsHostnames")),
)
each(
    "nat-instances-forward",
    "EC2::Instance",
    "the source check drops what the NAT instance should forward",
    lambda p: str(p.get("SourceDestCheck")).lower() == "false",
)


def _launched_with(estate: Estate, instance: Resource) -> Mapping[str, Any]:
    """Return the data of an instance's launch template."""
    template = estate.at(dig(instance.properties, "LaunchTemplate", "LaunchTemplateId"))
    found: Mapping[str, Any] = template.properties.get("LaunchTemplateData", {}) if template else {}
    return found


def _nat_instances(estate: Estate) -> list[Resource]:
    ways = {route.properties.get("InstanceId") for route in estate.of("EC2::Route")}
    return [one for one in estate.of("EC2::Instance") if one.ref in ways]


@policy("nat-instances-forward-before-they-are-used")
def _awaited(estate: Estate) -> Found:
    """An instance runs minutes before it forwards: without a signal its route would lead nowhere for as long."""
    for one in _nat_instances(estate):
        if not dig(one.body, "CreationPolicy", "ResourceSignal", "Timeout"):
            yield one, "gets address and route as soon as it runs, before it forwards"
        launched = _launched_with(estate, one)
        tags = dig(launched, "MetadataOptions", "InstanceMetadataTags") == "enabled"
        if "cfn-signal" not in str(launched.get("UserData")) or not tags:
            yield one, "never says that it forwards, under the name that its tags tell it"


@policy("nat-instances-are-replaced-one-by-one")
def _one_by_one(estate: Estate) -> Found:
    for place, one in enumerate(sorted(_nat_instances(estate), key=lambda one: len(_used_before(estate, one)))):
        if len(_used_before(estate, one)) < place:
            yield one, "is replaced at the same time as another zone's"


def _used_before(estate: Estate, instance: Resource) -> set[str]:
    """Return the instances whose routes are in place before this one is made."""
    stack = instance.address.partition(".")[0]
    earlier: set[str] = set()
    for name in listed(instance.body.get("DependsOn", [])):
        route = estate.at(f"${{{stack}.{name}}}")
        other = estate.at(route.properties.get("InstanceId")) if route else None
        if other:
            earlier |= {other.address} | _used_before(estate, other)
    return earlier


@policy("fixed-interfaces-have-a-fixed-owner")
def _fixed_interfaces(estate: Estate) -> Found:
    """CloudFormation starts the replacement of an instance before it ends the old one, and EC2 attaches an interface
    once: an instance that both owns an interface by id and follows an image fails at the update after the next image."""
    attached = {str(one.properties.get("InstanceId")) for one in estate.of("EC2::NetworkInterfaceAttachment")}
    for one in estate.of("EC2::Instance"):
        interfaces = [
            *one.properties.get("NetworkInterfaces", ()),
            *_launched_with(estate, one).get("NetworkInterfaces", ()),
        ]
        owned = any("NetworkInterfaceId" in interface for interface in interfaces)
        moving = [path for path, value in leaves(one.properties) if _MOVING.search(value)]
        if (owned or one.ref in attached) and moving:
            yield one, f"owns a fixed network interface and is replaced when {', '.join(moving)} changes"


@policy("vpc-flow-logs")
def _flow_logs(estate: Estate) -> Found:
    logged = {log.properties["ResourceId"] for log in estate.of("EC2::FlowLog")}
    for vpc in estate.of("EC2::VPC"):
        if vpc.ref not in logged:
            yield vpc, "has no flow log"
