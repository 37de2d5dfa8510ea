"""What moto's CloudFormation skips in silence while it answers CREATE_COMPLETE, makes wrongly, or makes and never deletes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .drive import InUseError, Properties, Type, camel, client


def _eks(create: str, identity: Callable[[Any, Properties], str]) -> Type:
    return Type("eks", create, lambda p, _n: camel(p), identity)


def _group_of(answer: Any, cluster: str) -> str:
    """Return the security group that EKS makes for a cluster; moto's does not."""
    ec2 = client("ec2")
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [f"eks-{cluster}"]}])[
        "SecurityGroups"
    ]
    if found:
        return str(found[0]["GroupId"])
    subnet = answer["cluster"]["resourcesVpcConfig"]["subnetIds"][0]
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    return str(ec2.create_security_group(GroupName=f"eks-{cluster}", Description="EKS", VpcId=vpc)["GroupId"])


def _without_group(cluster: str) -> tuple[str, Properties]:
    answer = client("eks").describe_cluster(name=cluster)
    # A cluster with node groups is not deleted yet; CloudFormation tries again.
    if not client("eks").list_nodegroups(clusterName=cluster)["nodegroups"]:
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
    budget = p["Budget"] | {
        "BudgetLimit": {**p["Budget"]["BudgetLimit"], "Amount": str(p["Budget"]["BudgetLimit"]["Amount"])}
    }
    return {
        "AccountId": "123456789012",
        "Budget": budget,
        "NotificationsWithSubscribers": p["NotificationsWithSubscribers"],
    }


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
    request = {k: v for k, v in p.items() if k != "VPCSecurityGroups"}
    return request | {"VpcSecurityGroupIds": p["VPCSecurityGroups"]}


def _drop_database(i: str) -> tuple[str, Properties]:
    """As CloudFormation does for DeletionPolicy: Snapshot; a replica holds nothing of its own."""
    if client("rds").describe_db_instances(DBInstanceIdentifier=i)["DBInstances"][0][
        "ReadReplicaDBInstanceIdentifiers"
    ]:
        raise InUseError(i)
    kept = {"SkipFinalSnapshot": True} if i.endswith("-replica") else {"FinalDBSnapshotIdentifier": f"{i}-final"}
    return "DeleteDBInstance", {"DBInstanceIdentifier": i, **kept}


def _drop_parameters(i: str) -> tuple[str, Properties]:
    if any(i in str(one["DBParameterGroups"]) for one in client("rds").describe_db_instances()["DBInstances"]):
        raise InUseError(i)
    return "DeleteDBParameterGroup", {"DBParameterGroupName": i}


def _drop_routes(i: str) -> tuple[str, Properties]:
    """Moto takes the table from under a gateway endpoint, which then cannot be deleted any more."""
    endpoints = client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    if any(i in one.get("RouteTableIds", ()) and one["State"] != "deleted" for one in endpoints):
        raise InUseError(i)
    return "DeleteRouteTable", {"RouteTableId": i}


def _headers(p: Properties, _name: str) -> Properties:
    return {"ResponseHeadersPolicyConfig": p["ResponseHeadersPolicyConfig"]}


def _ec2(create: str, found: Callable[[Any], str], read: str, listed: str, delete: str, key: str, **more: Any) -> Type:
    """A type of EC2 that moto creates from a template but never deletes. Tags are left out: the API spells them otherwise."""
    return Type(
        "ec2",
        create,
        more.get("request", lambda p, _n: {k: v for k, v in p.items() if k != "Tags"}),
        lambda answer, _p: found(answer),
        lambda i: (read, {listed: [i]}),
        more.get("drop", lambda i: (delete, {key: i})),
    )


def _route(i: str) -> Properties:
    return dict(zip(("RouteTableId", "DestinationCidrBlock"), i.split("|"), strict=True))


TYPES: dict[str, Type] = {
    "AWS::EC2::VPC": _ec2(
        "CreateVpc",
        lambda a: a["Vpc"]["VpcId"],
        "DescribeVpcs",
        "VpcIds",
        "DeleteVpc",
        "VpcId",
        request=lambda p, _n: {"CidrBlock": p["CidrBlock"]},
    ),
    "AWS::EC2::InternetGateway": _ec2(
        "CreateInternetGateway",
        lambda a: a["InternetGateway"]["InternetGatewayId"],
        "DescribeInternetGateways",
        "InternetGatewayIds",
        "DeleteInternetGateway",
        "InternetGatewayId",
    ),
    "AWS::EC2::RouteTable": _ec2(
        "CreateRouteTable",
        lambda a: a["RouteTable"]["RouteTableId"],
        "DescribeRouteTables",
        "RouteTableIds",
        "DeleteRouteTable",
        "RouteTableId",
        drop=_drop_routes,
    ),
    "AWS::EC2::NetworkInterface": _ec2(
        "CreateNetworkInterface",
        lambda a: a["NetworkInterface"]["NetworkInterfaceId"],
        "DescribeNetworkInterfaces",
        "NetworkInterfaceIds",
        "DeleteNetworkInterface",
        "NetworkInterfaceId",
        request=lambda p, _n: {"SubnetId": p["SubnetId"], "Groups": p["GroupSet"]},
    ),
    "AWS::EC2::EIP": Type(
        "ec2",
        "AllocateAddress",
        lambda _p, _n: {"Domain": "vpc"},
        lambda a, _p: a["AllocationId"],
        lambda i: ("DescribeAddresses", {"AllocationIds": [i]}),
        lambda i: ("ReleaseAddress", {"AllocationId": i}),
        {"AllocationId": lambda _a, i: i},
    ),
    "AWS::EC2::FlowLog": Type(
        "ec2",
        "CreateFlowLogs",
        lambda p, _n: {k: v for k, v in p.items() if k != "ResourceId"} | {"ResourceIds": [p["ResourceId"]]},
        lambda a, _p: a["FlowLogIds"][0],
        lambda i: ("DescribeFlowLogs", {"FlowLogIds": [i]}),
        lambda i: ("DeleteFlowLogs", {"FlowLogIds": [i]}),
    ),
    "AWS::EC2::VPCEndpoint": Type(
        "ec2",
        "CreateVpcEndpoint",
        lambda p, _n: p,
        lambda a, _p: a["VpcEndpoint"]["VpcEndpointId"],
        lambda i: ("DescribeVpcEndpoints", {"VpcEndpointIds": [i]}),
        lambda i: ("DeleteVpcEndpoints", {"VpcEndpointIds": [i]}),
    ),
    "AWS::EC2::VPCGatewayAttachment": Type(
        "ec2",
        "AttachInternetGateway",
        lambda p, _n: p,
        lambda _a, p: f"{p['InternetGatewayId']}|{p['VpcId']}",
        lambda i: (
            "DescribeInternetGateways",
            {"Filters": [{"Name": "attachment.vpc-id", "Values": [i.partition("|")[2]]}]},
        ),
        lambda i: ("DetachInternetGateway", dict(zip(("InternetGatewayId", "VpcId"), i.split("|"), strict=True))),
    ),
    "AWS::EC2::SubnetRouteTableAssociation": Type(
        "ec2",
        "AssociateRouteTable",
        lambda p, _n: p,
        lambda a, _p: a["AssociationId"],
        lambda i: (
            "DescribeRouteTables",
            {"Filters": [{"Name": "association.route-table-association-id", "Values": [i]}]},
        ),
        lambda i: ("DisassociateRouteTable", {"AssociationId": i}),
    ),
    "AWS::EC2::Route": Type(
        "ec2",
        "CreateRoute",
        lambda p, _n: p,
        lambda _a, p: f"{p['RouteTableId']}|{p['DestinationCidrBlock']}",
        lambda i: (
            "DescribeRouteTables",
            {
                "Filters": [
                    {"Name": "route-table-id", "Values": [i.partition("|")[0]]},
                    {"Name": "route.destination-cidr-block", "Values": [i.partition("|")[2]]},
                ]
            },
        ),
        lambda i: ("DeleteRoute", _route(i)),
    ),
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
        lambda p, _n: (
            camel({k: v for k, v in p.items() if k != "Logging"})
            | {
                "logging": {
                    "clusterLogging": [
                        {
                            "types": [one["Type"] for one in p["Logging"]["ClusterLogging"]["EnabledTypes"]],
                            "enabled": True,
                        }
                    ]
                }
            }
        ),
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
        _drop_database,
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
        lambda p, n: {
            "DBParameterGroupName": n.lower(),
            "DBParameterGroupFamily": p["Family"],
            "Description": p["Description"],
        },
        lambda answer, _p: answer["DBParameterGroup"]["DBParameterGroupName"],
        lambda i: ("DescribeDBParameterGroups", {"DBParameterGroupName": i}),
        _drop_parameters,
    ),
    "AWS::SecretsManager::Secret": Type(
        "secretsmanager",
        "CreateSecret",
        lambda p, n: (
            {k: v for k, v in p.items() if k != "GenerateSecretString"}
            | {"Name": p.get("Name", n)}
            | ({"SecretString": "generated"} if "GenerateSecretString" in p else {})
        ),
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
        lambda _a, p: str(p["CacheSubnetGroupName"]),
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
        lambda p, _n: {"Bucket": p["Bucket"], "Policy": json.dumps(p["PolicyDocument"])},
        lambda _a, p: str(p["Bucket"]),
        lambda i: ("GetBucketPolicy", {"Bucket": i}),
        lambda i: ("DeleteBucketPolicy", {"Bucket": i}),
    ),
    "AWS::SQS::QueuePolicy": Type(
        "sqs",
        "SetQueueAttributes",
        lambda p, _n: {"QueueUrl": p["Queues"][0], "Attributes": {"Policy": json.dumps(p["PolicyDocument"])}},
        lambda _a, p: str(p["Queues"][0]),
        lambda i: ("GetQueueAttributes", {"QueueUrl": i, "AttributeNames": ["Policy"]}),
    ),
    "AWS::SNS::TopicPolicy": Type(
        "sns",
        "SetTopicAttributes",
        lambda p, _n: {
            "TopicArn": p["Topics"][0],
            "AttributeName": "Policy",
            "AttributeValue": json.dumps(p["PolicyDocument"]),
        },
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
        lambda p, _n: {"Description": p["Description"], "Policy": json.dumps(p["KeyPolicy"])},
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
    "AWS::CloudFront::CachePolicy": Type(
        "cloudfront", "CreateCachePolicy", lambda p, _n: p, lambda a, _p: str(a["Id"])
    ),
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
    "AWS::ApiGatewayV2::Integration": _v2("Integration", "IntegrationId", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::Route": _v2("Route", "RouteId", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::Stage": _v2("Stage", "StageName", lambda p: p["ApiId"]),
    "AWS::ApiGatewayV2::DomainName": _v2(
        "DomainName",
        "DomainName",
        attributes={
            "RegionalDomainName": lambda a, _i: str(
                a["DomainNameConfigurations"][0].get("ApiGatewayDomainName", "d.example")
            ),
            "RegionalHostedZoneId": lambda a, _i: str(
                a["DomainNameConfigurations"][0].get("HostedZoneId", "Z2OJLYMUO9EFXC")
            ),
        },
    ),
    "AWS::ApiGatewayV2::ApiMapping": _v2("ApiMapping", "ApiMappingId", lambda p: p["DomainName"]),
}
