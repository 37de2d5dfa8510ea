"""The cluster: control plane, node groups, machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from bapsang_aws.policies.core import dig, each, policy, true
from bapsang_aws.policies.network import tier
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
_GRAVITON: Final = re.compile(r"(db\.|cache\.)?(t4g|[cmr][6-8]g[nd]?)\.[a-z0-9]+")
_ADDONS: Final = ("vpc-cni", "coredns", "kube-proxy", "eks-pod-identity-agent", "metrics-server")
_VERSIONS: Final = ("1.34", "1.35", "1.36")


def _group(estate: Estate, name: str) -> Resource | None:
    return next((one for one in estate.of("EKS::Nodegroup") if one.properties.get("NodegroupName") == name), None)


@policy("graviton-everywhere")
def _graviton(estate: Estate) -> Found:
    named: list[tuple[Resource, Any]] = []
    for kind, path in (
        ("EC2::LaunchTemplate", ("LaunchTemplateData", "InstanceType")),
        ("RDS::DBInstance", ("DBInstanceClass",)),
        ("ElastiCache::ReplicationGroup", ("CacheNodeType",)),
    ):
        named += [(one, dig(one.properties, *path)) for one in estate.of(kind)]
    named += [(group, kind) for group in estate.of("EKS::Nodegroup") for kind in group.properties["InstanceTypes"]]
    for resource, kind in named:
        if kind is not None and not _GRAVITON.fullmatch(str(kind)):
            yield resource, f"{kind} is not arm64"


each("nodes-run-arm64-images", "EKS::Nodegroup", "its image is not arm64", lambda p: "ARM_64" in str(p.get("AmiType")))
each(
    "nodes-from-the-hardened-template",
    "EKS::Nodegroup",
    "ignores the launch template with encryption and IMDSv2",
    lambda p: dig(p, "LaunchTemplate", "Id") == "${Eks.NodeTemplate}",
)
each(
    "metadata-needs-a-token",
    "EC2::LaunchTemplate",
    "pods could take the node's role",
    lambda p: (
        dig(p, "LaunchTemplateData", "MetadataOptions", "HttpTokens") == "required"
        and dig(p, "LaunchTemplateData", "MetadataOptions", "HttpPutResponseHopLimit") == 1
    ),
)
each(
    "volumes-encrypted",
    "EC2::LaunchTemplate",
    "its volume is not an encrypted gp3",
    lambda p: all(
        true(dig(device, "Ebs", "Encrypted")) and dig(device, "Ebs", "VolumeType") == "gp3"
        for device in p["LaunchTemplateData"].get("BlockDeviceMappings") or [{}]
    ),
)
each(
    "node-disks-are-modest",
    "EC2::LaunchTemplate",
    "a disk of more than 50 GB a node is paid for nothing",
    lambda p: all(
        dig(device, "Ebs", "VolumeSize") <= 50 for device in p["LaunchTemplateData"].get("BlockDeviceMappings", ())
    ),
)


@policy("nodes-in-private-subnets")
def _placed(estate: Estate) -> Found:
    private = {subnet.ref for subnet in tier(estate, "Private")}
    for group in estate.of("EKS::Nodegroup"):
        if set(group.properties["Subnets"]) != private:
            yield group, "does not span exactly the private subnets"


@policy("base-is-on-demand")
def _base(estate: Estate) -> Found:
    base = _group(estate, "base")
    if base is None:
        yield "Eks", "there is no node group base"
        return
    if base.properties.get("CapacityType") != "ON_DEMAND":
        yield base, "the floor may vanish at two minutes' notice"
    if estate.production and base.properties["ScalingConfig"]["MinSize"] < 2:
        yield base, "one node is a single point of failure"
    if base.properties.get("Taints"):
        yield base, "a taint keeps system pods off the only nodes that are always there"


@policy("burst-is-diversified-spot")
def _burst(estate: Estate) -> Found:
    burst = _group(estate, "burst")
    if burst is None:
        yield "Eks", "there is no node group burst"
        return
    properties = burst.properties
    if properties.get("CapacityType") != "SPOT":
        yield burst, "pays on-demand prices for the peak"
    if len(set(properties["InstanceTypes"])) < 4:
        yield burst, "fewer than 4 types: one empty pool stops the peak"
    if len({kind.partition(".")[2] for kind in properties["InstanceTypes"]}) != 1:
        yield burst, "types of different sizes confuse the autoscaler"
    if properties["ScalingConfig"]["MinSize"] != 0:
        yield burst, "does not go away off the peak"
    taint = {"Key": "bapsang.dev/capacity", "Value": "spot", "Effect": "NO_SCHEDULE"}
    if taint not in properties.get("Taints", ()):
        yield burst, "lets pods in that do not bear interruptions"


@policy("fallback-when-spot-is-gone")
def _fallback(estate: Estate) -> Found:
    fallback = _group(estate, "fallback")
    if fallback is None:
        yield "Eks", "there is no node group fallback"
    elif fallback.properties.get("CapacityType") != "ON_DEMAND" or fallback.properties["ScalingConfig"]["MinSize"] != 0:
        yield fallback, "must be on demand and empty in normal times"


each(
    "node-groups-are-bounded",
    "EKS::Nodegroup",
    "its sizes contradict each other or have no bound",
    lambda p: (
        p["ScalingConfig"].get("MaxSize") is not None
        and p["ScalingConfig"]["MinSize"] <= p["ScalingConfig"]["DesiredSize"] <= p["ScalingConfig"]["MaxSize"] <= 100
    ),
)
each(
    "apiserver-not-public",
    "EKS::Cluster",
    "its endpoint answers the whole internet",
    lambda p: (
        dig(p, "ResourcesVpcConfig", "PublicAccessCidrs")
        and "0.0.0.0/0" not in p["ResourcesVpcConfig"]["PublicAccessCidrs"]
        and true(dig(p, "ResourcesVpcConfig", "EndpointPrivateAccess"))
    ),
)
each(
    "cluster-secrets-encrypted",
    "EKS::Cluster",
    "Secrets lie unencrypted in etcd",
    lambda p: (
        dig(p, "EncryptionConfig", 0, "Resources") == ["secrets"]
        and "KeyArn" in (dig(p, "EncryptionConfig", 0, "Provider") or {})
    ),
)
each(
    "cluster-audited",
    "EKS::Cluster",
    "writes no audit log",
    lambda p: "audit" in [one["Type"] for one in dig(p, "Logging", "ClusterLogging", "EnabledTypes") or ()],
)
each(
    "cluster-never-in-extended-support",
    "EKS::Cluster",
    "may slip into extended support at six times the price",
    lambda p: dig(p, "UpgradePolicy", "SupportType") == "STANDARD" and p.get("Version") in _VERSIONS,
)
each(
    "cluster-access-by-api",
    "EKS::Cluster",
    "rights lie in a ConfigMap that anyone in kube-system may edit",
    lambda p: dig(p, "AccessConfig", "AuthenticationMode") == "API",
)


@policy("cluster-spans-zones")
def _cluster_zones(estate: Estate) -> Found:
    for cluster in estate.of("EKS::Cluster"):
        subnets = [estate.at(token) for token in cluster.properties["ResourcesVpcConfig"]["SubnetIds"]]
        if len({subnet.properties["AvailabilityZone"] for subnet in subnets if subnet}) < 2:
            yield cluster, "stands in one zone"


@policy("addons-that-the-operator-needs")
def _addons(estate: Estate) -> Found:
    found = {one.properties["AddonName"]: one for one in estate.of("EKS::Addon")}
    for name in _ADDONS:
        if name not in found:
            yield "Eks", f"add-on {name} is missing"
    cni = found.get("vpc-cni")
    if cni is not None and '"enableNetworkPolicy":"true"' not in str(cni.properties.get("ConfigurationValues")):
        yield cni, "does not enforce NetworkPolicies"
    if estate.parameters["CacheNodes"] == 0 and "aws-ebs-csi-driver" not in found:
        yield "Eks", "add-on aws-ebs-csi-driver is missing, and the managed Redis needs a volume"


@policy("nat-instances-stay-in-their-price")
def _nat_credits(estate: Estate) -> Found:
    for template in estate.of("EC2::LaunchTemplate"):
        data = template.properties["LaunchTemplateData"]
        if "InstanceType" in data and dig(data, "CreditSpecification", "CpuCredits") != "standard":
            yield template, "surplus credits of a NAT instance have no bound"
