"""Teaches moto the resource types that its CloudFormation skips in silence while it answers CREATE_COMPLETE.

Each type is created, read and deleted through the service's own API. Where moto has not even that (`ModelOnly`), the
request is checked against the API's model, so that a wrong property or type still fails, and kept in a ledger.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import xform_name
from botocore.validate import ParamValidator
from moto.cloudformation import parsing
from moto.cloudformation.models import Stack
from moto.core.common_models import CloudFormationModel

REGION = "ap-northeast-2"
Properties = dict[str, Any]


def client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1" if service in {"cloudfront", "budgets"} else REGION)


def camel(value: Any, *keep: str) -> Any:
    """Lower the first letter of every key, as EKS spells them; below `keep` keys are data."""
    if isinstance(value, list):
        return [camel(item, *keep) for item in value]
    if not isinstance(value, dict):
        return value
    return {k[0].lower() + k[1:]: v if k in keep else camel(v, *keep) for k, v in value.items()}


@dataclass(frozen=True)
class Type:
    """How one resource type is driven: API calls as `(operation, arguments)`, computed from properties or identity."""

    service: str
    create: str | Callable[[Properties], str]
    request: Callable[[Properties, str], Properties]
    identity: Callable[[Any, Properties], str]
    read: Callable[[str], tuple[str, Properties]] | None = None
    delete: Callable[[str], tuple[str, Properties]] | None = None
    attributes: Mapping[str, Callable[[Any, str], str]] | None = None


#: The classes, kept because Python forgets subclasses that nobody holds, and moto finds them as subclasses.
_TAUGHT: list[type[CloudFormationModel]] = []
#: What exists of the types that moto has no API for, by type and identity.
LEDGER: dict[tuple[str, str], Properties] = {}


def _fill(value: Any) -> Any:
    """Turn CloudFormation's numbers and booleans in strings into what the API takes."""
    if isinstance(value, dict):
        return {k: _fill(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(item) for item in value]
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    return value


def _model_only(kind: str, one: Type, operation: str, request: Properties) -> Any:
    shape = client(one.service).meta.service_model.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise AssertionError(f"{kind}: {report.generate_report()}")
    return {"Id": str(uuid.uuid4())}


def _snake(operation: str) -> str:
    return str(xform_name(operation))


def _call(one: Type, operation: str, request: Properties) -> Any:
    return getattr(client(one.service), _snake(operation))(**request)


def exists(kind: str, identity: str) -> bool:
    """Tell by the service's API, or by the ledger, whether a resource of a taught type is there."""
    one = TYPES[kind]
    if one.read is None:
        return (kind, identity) in LEDGER
    operation, request = one.read(identity)
    try:
        found = _call(one, operation, request)
    except client(one.service).exceptions.ClientError:
        return False
    listed = [value for key, value in found.items() if key in {"MetricAlarms", "CacheSubnetGroups"}]
    # A secret and a replication group linger in a state of deletion.
    return all(listed) and "DeletedDate" not in found and "deleting" not in str(found.get("ReplicationGroups", ""))


def _teach(kind: str, one: Type) -> None:
    class Taught(CloudFormationModel):  # type: ignore[misc]
        def __init__(self, identity: str, answer: Any) -> None:
            self.physical_resource_id = identity
            self.answer = answer

        @staticmethod
        def cloudformation_type() -> str:
            return kind

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @classmethod
        def has_cfn_attr(cls, attr: str) -> bool:
            return attr in (one.attributes or {})

        def get_cfn_attribute(self, name: str) -> str:
            # Within Fn::Sub, moto cuts `Endpoint.Address` after its first part.
            found = next(value for key, value in (one.attributes or {}).items() if key.startswith(name))
            return found(self.answer, self.physical_resource_id)

        def is_created(self) -> bool:
            return True

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, _account: str, _region: str, **_more: Any
        ) -> Taught:
            properties = _fill(cloudformation_json["Properties"])
            request = one.request(properties, resource_name)
            operation = one.create if isinstance(one.create, str) else one.create(properties)
            answer = _model_only(kind, one, operation, request) if one.read is None else _call(one, operation, request)
            identity = one.identity(answer, properties | {"_name": resource_name})
            if one.read is None:
                LEDGER[kind, identity] = properties
            return cls(identity, answer)

        @classmethod
        def delete_from_cloudformation_json(cls, resource_name: str, _json: Any, _account: str, _region: str) -> None:
            if one.read is None:
                del LEDGER[kind, resource_name]
            elif one.delete is not None:
                _call(one, *one.delete(resource_name))

    _TAUGHT.append(Taught)


def _eks(create: str, identity: Callable[[Any, Properties], str]) -> Type:
    return Type("eks", create, lambda p, _n: camel(p), identity)


def _group_of(answer: Any, cluster: str) -> str:
    """Return the security group that EKS makes for a cluster; moto's does not."""
    ec2 = client("ec2")
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"eks-{cluster}"]}])["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    subnet = answer["cluster"]["resourcesVpcConfig"]["subnetIds"][0]
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    return str(ec2.create_security_group(GroupName=f"eks-{cluster}", Description="EKS", VpcId=vpc)["GroupId"])


def _without_group(cluster: str) -> tuple[str, Properties]:
    answer = client("eks").describe_cluster(name=cluster)
    client("ec2").delete_security_group(GroupId=_group_of(answer, cluster))
    return "DeleteCluster", {"name": cluster}


def _nodegroup(p: Properties, _name: str) -> Properties:
    """The CloudFormation property is `AmiType` and the API's `amiType`; labels are data."""
    return camel(p, "Labels")


def _v2(
    resource: str,
    key: str,
    parent: Callable[[Properties], str] | None = None,
    attributes: Mapping[str, Callable[[Any, str], str]] | None = None,
) -> Type:
    """A resource of an HTTP API: its identity is `api/id`, because every call needs both."""

    def split(identity: str) -> Properties:
        outer = "DomainName" if resource == "ApiMapping" else "ApiId"
        return dict(zip((outer, key), identity.split("/"), strict=True)) if "/" in identity else {key: identity}

    return Type(
        "apigatewayv2",
        f"Create{resource}",
        lambda p, _n: p,
        lambda answer, p: answer[key] if parent is None else f"{parent(p)}/{answer[key]}",
        lambda identity: (f"Get{resource}", split(identity)),
        lambda identity: (f"Delete{resource}", split(identity)),
        attributes,
    )


def _budget(p: Properties, _name: str) -> Properties:
    budget = p["Budget"] | {"BudgetLimit": {**p["Budget"]["BudgetLimit"], "Amount": str(p["Budget"]["BudgetLimit"]["Amount"])}}
    return {"AccountId": "123456789012", "Budget": budget, "NotificationsWithSubscribers": p["NotificationsWithSubscribers"]}


def _distribution(p: Properties, name: str) -> Properties:
    """CloudFormation writes lists where the API counts them."""

    def counted(items: list[Any]) -> Properties:
        return {"Quantity": len(items), "Items": items}

    def behaviour(one: Properties) -> Properties:
        return {**one, "AllowedMethods": counted(one["AllowedMethods"])}

    given = p["DistributionConfig"]
    configuration = {
        **{k: v for k, v in given.items() if k not in {"IPV6Enabled", "HttpVersion"}},
        "CallerReference": name,
        "IsIPV6Enabled": given["IPV6Enabled"],
        "HttpVersion": given["HttpVersion"],
        "Origins": counted(given["Origins"]),
        "DefaultCacheBehavior": behaviour(given["DefaultCacheBehavior"]),
        "CacheBehaviors": counted([behaviour(one) for one in given["CacheBehaviors"]]),
    }
    certificate = dict(given["ViewerCertificate"])
    if "AcmCertificateArn" in certificate:
        certificate["ACMCertificateArn"] = certificate.pop("AcmCertificateArn")
        certificate["SSLSupportMethod"] = certificate.pop("SslSupportMethod")
    else:
        certificate["CloudFrontDefaultCertificate"] = bool(certificate["CloudFrontDefaultCertificate"])
    configuration["ViewerCertificate"] = certificate
    if "Aliases" in given:
        configuration["Aliases"] = counted(given["Aliases"])
    return {"DistributionConfig": configuration}


def _is_replica(p: Properties) -> bool:
    return "SourceDBInstanceIdentifier" in p


def _database(p: Properties, _name: str) -> Properties:
    """Moto's own models of RDS fall over groups that are given by Ref: these types are driven through the API as well."""
    request = {k: v for k, v in p.items() if k not in {"VPCSecurityGroups"}}
    return request | {"VpcSecurityGroupIds": p["VPCSecurityGroups"]}


def _headers(p: Properties, _name: str) -> Properties:
    return {"ResponseHeadersPolicyConfig": p["ResponseHeadersPolicyConfig"]}


TYPES: dict[str, Type] = {
    "AWS::EC2::EIPAssociation": Type(
        "ec2",
        "AssociateAddress",
        lambda p, _n: p,
        lambda answer, _p: answer["AssociationId"],
        lambda i: ("DescribeAddresses", {"Filters": [{"Name": "association-id", "Values": [i]}]}),
        lambda i: ("DisassociateAddress", {"AssociationId": i}),
    ),
    "AWS::EKS::Cluster": Type(
        "eks",
        "CreateCluster",
        lambda p, _n: camel({k: v for k, v in p.items() if k != "Logging"})
        | {"logging": {"clusterLogging": [{"types": [one["Type"] for one in p["Logging"]["ClusterLogging"]["EnabledTypes"]], "enabled": True}]}},
        lambda answer, _p: answer["cluster"]["name"],
        lambda i: ("DescribeCluster", {"name": i}),
        _without_group,
        {"ClusterSecurityGroupId": _group_of, "Arn": lambda a, _i: str(a["cluster"]["arn"])},
    ),
    "AWS::EKS::Nodegroup": Type(
        "eks",
        "CreateNodegroup",
        _nodegroup,
        lambda answer, p: f"{p['ClusterName']}/{answer['nodegroup']['nodegroupName']}",
        lambda i: ("DescribeNodegroup", dict(zip(("clusterName", "nodegroupName"), i.split("/"), strict=True))),
        lambda i: ("DeleteNodegroup", dict(zip(("clusterName", "nodegroupName"), i.split("/"), strict=True))),
    ),
    "AWS::EKS::Addon": _eks("CreateAddon", lambda _a, p: f"{p['ClusterName']}|{p['AddonName']}"),
    "AWS::EKS::AccessEntry": Type(
        "eks",
        "CreateAccessEntry",
        lambda p, _n: camel({k: v for k, v in p.items() if k != "AccessPolicies"}),
        lambda _a, p: f"{p['PrincipalArn']}|{p['ClusterName']}",
    ),
    "AWS::EKS::PodIdentityAssociation": _eks("CreatePodIdentityAssociation", lambda a, _p: str(a["Id"])),
    "AWS::RDS::DBInstance": Type(
        "rds",
        lambda p: "CreateDBInstanceReadReplica" if _is_replica(p) else "CreateDBInstance",
        _database,
        lambda answer, _p: answer["DBInstance"]["DBInstanceIdentifier"],
        lambda i: ("DescribeDBInstances", {"DBInstanceIdentifier": i}),
        # As CloudFormation does for DeletionPolicy: Snapshot; it also refuses while DeletionProtection is on.
        lambda i: (
            "DeleteDBInstance",
            {"DBInstanceIdentifier": i, "SkipFinalSnapshot": i.endswith("-replica")}
            | ({} if i.endswith("-replica") else {"FinalDBSnapshotIdentifier": f"{i}-final"}),
        ),
        {"Endpoint.Address": lambda a, _i: str(a["DBInstance"]["Endpoint"]["Address"])},
    ),
    "AWS::RDS::DBSubnetGroup": Type(
        "rds",
        "CreateDBSubnetGroup",
        lambda p, n: p | {"DBSubnetGroupName": n.lower()},
        lambda answer, _p: answer["DBSubnetGroup"]["DBSubnetGroupName"],
        lambda i: ("DescribeDBSubnetGroups", {"DBSubnetGroupName": i}),
        lambda i: ("DeleteDBSubnetGroup", {"DBSubnetGroupName": i}),
    ),
    "AWS::RDS::DBParameterGroup": Type(
        "rds",
        "CreateDBParameterGroup",
        lambda p, n: {"DBParameterGroupName": n.lower(), "DBParameterGroupFamily": p["Family"], "Description": p["Description"]},
        lambda answer, _p: answer["DBParameterGroup"]["DBParameterGroupName"],
        lambda i: ("DescribeDBParameterGroups", {"DBParameterGroupName": i}),
        lambda i: ("DeleteDBParameterGroup", {"DBParameterGroupName": i}),
    ),
    "AWS::SecretsManager::Secret": Type(
        "secretsmanager",
        "CreateSecret",
        lambda p, n: {k: v for k, v in p.items() if k != "GenerateSecretString"}
        | {"Name": p.get("Name", n)}
        | ({"SecretString": "generated"} if "GenerateSecretString" in p else {}),
        lambda answer, _p: answer["ARN"],
        lambda i: ("DescribeSecret", {"SecretId": i}),
        lambda i: ("DeleteSecret", {"SecretId": i, "ForceDeleteWithoutRecovery": True}),
    ),
    "AWS::ElastiCache::SubnetGroup": Type(
        "elasticache",
        "CreateCacheSubnetGroup",
        lambda p, _n: {
            "CacheSubnetGroupName": p["CacheSubnetGroupName"],
            "CacheSubnetGroupDescription": p["Description"],
            "SubnetIds": p["SubnetIds"],
        },
        lambda answer, _p: answer["CacheSubnetGroup"]["CacheSubnetGroupName"],
        lambda i: ("DescribeCacheSubnetGroups", {"CacheSubnetGroupName": i}),
    ),
    "AWS::ElastiCache::ParameterGroup": Type(
        "elasticache",
        "CreateCacheParameterGroup",
        lambda p, n: {
            "CacheParameterGroupName": n,
            "CacheParameterGroupFamily": p["CacheParameterGroupFamily"],
            "Description": p["Description"],
        },
        lambda _a, p: str(p["_name"]),
    ),
    "AWS::ElastiCache::ReplicationGroup": Type(
        "elasticache",
        "CreateReplicationGroup",
        lambda p, _n: p,
        lambda answer, _p: answer["ReplicationGroup"]["ReplicationGroupId"],
        lambda i: ("DescribeReplicationGroups", {"ReplicationGroupId": i}),
        lambda i: ("DeleteReplicationGroup", {"ReplicationGroupId": i, "RetainPrimaryCluster": False}),
        {"PrimaryEndPoint.Address": lambda _a, i: f"{i}.cache.example"},
    ),
    "AWS::S3::BucketPolicy": Type(
        "s3",
        "PutBucketPolicy",
        lambda p, _n: {"Bucket": p["Bucket"], "Policy": _json(p["PolicyDocument"])},
        lambda _a, p: str(p["Bucket"]),
        lambda i: ("GetBucketPolicy", {"Bucket": i}),
        lambda i: ("DeleteBucketPolicy", {"Bucket": i}),
    ),
    "AWS::SQS::QueuePolicy": Type(
        "sqs",
        "SetQueueAttributes",
        lambda p, _n: {"QueueUrl": p["Queues"][0], "Attributes": {"Policy": _json(p["PolicyDocument"])}},
        lambda _a, p: str(p["Queues"][0]),
        lambda i: ("GetQueueAttributes", {"QueueUrl": i, "AttributeNames": ["Policy"]}),
    ),
    "AWS::SNS::TopicPolicy": Type(
        "sns",
        "SetTopicAttributes",
        lambda p, _n: {"TopicArn": p["Topics"][0], "AttributeName": "Policy", "AttributeValue": _json(p["PolicyDocument"])},
        lambda _a, p: str(p["Topics"][0]),
        lambda i: ("GetTopicAttributes", {"TopicArn": i}),
    ),
    "AWS::SNS::Subscription": Type(
        "sns",
        "Subscribe",
        lambda p, _n: {**p, "ReturnSubscriptionArn": True},
        lambda answer, _p: answer["SubscriptionArn"],
        lambda i: ("GetSubscriptionAttributes", {"SubscriptionArn": i}),
        lambda i: ("Unsubscribe", {"SubscriptionArn": i}),
    ),
    # Moto's own takes a policy that its API cannot give back.
    "AWS::KMS::Key": Type(
        "kms",
        "CreateKey",
        lambda p, _n: {"Description": p["Description"], "Policy": _json(p["KeyPolicy"])},
        lambda answer, _p: answer["KeyMetadata"]["KeyId"],
        lambda i: ("DescribeKey", {"KeyId": i}),
        lambda i: ("ScheduleKeyDeletion", {"KeyId": i}),
        {"Arn": lambda a, _i: str(a["KeyMetadata"]["Arn"])},
    ),
    # Moto's own gives no physical id.
    "AWS::Lambda::Permission": Type(
        "lambda",
        "AddPermission",
        lambda p, n: {**p, "StatementId": n, "FunctionName": p["FunctionName"].rpartition(":")[2]},
        lambda _a, p: f"{p['FunctionName'].rpartition(':')[2]}|{p['_name']}",
        lambda i: ("GetPolicy", {"FunctionName": i.partition("|")[0]}),
        lambda i: ("RemovePermission", dict(zip(("FunctionName", "StatementId"), i.split("|"), strict=True))),
    ),
    "AWS::CloudWatch::Alarm": Type(
        "cloudwatch",
        "PutMetricAlarm",
        lambda p, _n: p | {"Threshold": float(p["Threshold"])},
        lambda _a, p: str(p["AlarmName"]),
        lambda i: ("DescribeAlarms", {"AlarmNames": [i]}),
        lambda i: ("DeleteAlarms", {"AlarmNames": [i]}),
    ),
    "AWS::Budgets::Budget": Type(
        "budgets",
        "CreateBudget",
        _budget,
        lambda _a, p: str(p["Budget"]["BudgetName"]),
        lambda i: ("DescribeBudget", {"AccountId": "123456789012", "BudgetName": i}),
        lambda i: ("DeleteBudget", {"AccountId": "123456789012", "BudgetName": i}),
    ),
    "AWS::CloudFront::OriginAccessControl": Type(
        "cloudfront",
        "CreateOriginAccessControl",
        lambda p, _n: p,
        lambda answer, _p: answer["OriginAccessControl"]["Id"],
        lambda i: ("GetOriginAccessControl", {"Id": i}),
        lambda i: ("DeleteOriginAccessControl", {"Id": i}),
        {"Id": lambda _a, i: i},
    ),
    "AWS::CloudFront::CachePolicy": Type("cloudfront", "CreateCachePolicy", lambda p, _n: p, lambda a, _p: str(a["Id"])),
    "AWS::CloudFront::ResponseHeadersPolicy": Type(
        "cloudfront", "CreateResponseHeadersPolicy", _headers, lambda a, _p: str(a["Id"])
    ),
    "AWS::CloudFront::Distribution": Type(
        "cloudfront",
        "CreateDistribution",
        _distribution,
        lambda answer, _p: answer["Distribution"]["Id"],
        lambda i: ("GetDistribution", {"Id": i}),
        lambda i: ("DeleteDistribution", {"Id": i, "IfMatch": client("cloudfront").get_distribution(Id=i)["ETag"]}),
        {"DomainName": lambda a, _i: str(a["Distribution"]["DomainName"])},
    ),
    "AWS::ApiGatewayV2::Api": _v2("Api", "ApiId"),
    "AWS::ApiGatewayV2::Authorizer": _v2("Authorizer", "AuthorizerId", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::Integration": _v2("Integration", "IntegrationId", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::Route": _v2("Route", "RouteId", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::Stage": _v2("Stage", "StageName", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::DomainName": _v2(
        "DomainName",
        "DomainName",
        attributes={
            "RegionalDomainName": lambda a, _i: str(a["DomainNameConfigurations"][0].get("ApiGatewayDomainName", "d.example")),
            "RegionalHostedZoneId": lambda a, _i: str(a["DomainNameConfigurations"][0].get("HostedZoneId", "Z2OJLYMUO9EFXC")),
        },
    ),
    "AWS::ApiGatewayV2::ApiMapping": _v2("ApiMapping", "ApiMappingId", lambda p: p["DomainName"]),
}


def _json(document: Any) -> str:
    import json

    return json.dumps(document)


def _output(stack: Stack, name: str) -> str:
    """Return what `GetAtt Nested.Outputs.X` gives: the one attribute of a stack that moto does not know."""
    return str(stack.output_map[name.removeprefix("Outputs.")].value)


def teach() -> None:
    """Register every type; moto looks once and remembers."""
    Stack.get_cfn_attribute = _output
    if not _TAUGHT:
        for kind, one in TYPES.items():
            _teach(kind, one)
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
