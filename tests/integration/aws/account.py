"""A moto account that deploys the estate, and the questions that tests ask of it."""

from __future__ import annotations

import io
import ipaddress
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from bapsang_aws import template
from bapsang_aws.render import Estate, render

from . import drive
from .drive import REGION, client
from .missing_types import TYPES

STACK = "bapsang"
_BUCKET = "templates"
#: What stays when the stack is deleted, and goes when its creation is rolled back.
KEPT = "RetainExceptOnCreate"
_NESTED = "AWS::CloudFormation::Stack"

#: How each type that moto's CloudFormation makes by itself is found through its own API: service, operation, argument.
_READS: dict[str, tuple[str, str, str]] = {
    "EC2::Subnet": ("ec2", "describe_subnets", "SubnetIds"),
    "EC2::SecurityGroup": ("ec2", "describe_security_groups", "GroupIds"),
    "EC2::LaunchTemplate": ("ec2", "describe_launch_templates", "LaunchTemplateIds"),
    "EC2::NatGateway": ("ec2", "describe_nat_gateways", "NatGatewayIds"),
    "EC2::Instance": ("ec2", "describe_instances", "InstanceIds"),
    "IAM::Role": ("iam", "get_role", "RoleName"),
    "Logs::LogGroup": ("logs", "describe_log_groups", "logGroupNamePrefix"),
    "S3::Bucket": ("s3", "head_bucket", "Bucket"),
    "SQS::Queue": ("sqs", "get_queue_attributes", "QueueUrl"),
    "SNS::Topic": ("sns", "get_topic_attributes", "TopicArn"),
    "Events::Rule": ("events", "list_targets_by_rule", "Rule"),
    "Lambda::Function": ("lambda", "get_function", "FunctionName"),
    "Lambda::EventSourceMapping": ("lambda", "get_event_source_mapping", "UUID"),
}
_GONE = ("terminated", "deleted", "deleting", "PendingDeletion")


class Account:
    """One account with the estate of one set of parameters."""

    def __init__(self, given: Mapping[str, str]) -> None:
        drive.teach(TYPES)
        drive.LEDGER.clear()
        self.templates = template.load_all()
        self.estate: Estate = render(self.templates, given)
        self._cloudformation = client("cloudformation")
        self._given = dict(given)
        self._prepare()

    def _prepare(self) -> None:
        """Put there what exists before the estate: packaged templates, code of the Lambda, the zone of the domain."""
        s3 = client("s3")
        for bucket in (_BUCKET, "example-code"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", "")
        s3.put_object(Bucket="example-code", Key="presign.zip", Body=code.getvalue())
        for file, body in self.templates.items():
            s3.put_object(Bucket=_BUCKET, Key=file, Body=json.dumps(self._readable(body)))
        if self._given.get("Domain"):
            zone = client("route53").create_hosted_zone(Name=self._given["Domain"], CallerReference="1")
            self._given["HostedZoneId"] = zone["HostedZone"]["Id"].rpartition("/")[2]

    def _readable(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return a template as `aws cloudformation package` and moto's parser need it: addresses of nested templates,
        no Fn::Cidr, ports in every rule, an instance that names its image besides its launch template, and `Retain` for
        what is kept: moto rolls no creation back, so that the difference does not show."""
        changed: dict[str, Any] = self._without_cidr(body)
        for one in changed["Resources"].values():
            if one.get("DeletionPolicy") == KEPT:
                one["DeletionPolicy"] = "Retain"
            if one["Type"] == _NESTED:
                one["Properties"]["TemplateURL"] = (
                    f"https://{_BUCKET}.s3.amazonaws.com/{one['Properties']['TemplateURL']}"
                )
            elif one["Type"] == "AWS::EC2::SecurityGroup":
                for rule in (
                    one["Properties"].get("SecurityGroupIngress", ()) + one["Properties"]["SecurityGroupEgress"]
                ):
                    rule.setdefault("FromPort", -1)
                    rule.setdefault("ToPort", -1)
            elif one["Type"] == "AWS::EC2::Instance":
                launched = changed["Resources"]["NatTemplate"]["Properties"]["LaunchTemplateData"]
                one["Properties"] |= {"ImageId": launched["ImageId"], "InstanceType": launched["InstanceType"]}
        return changed

    def _without_cidr(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._without_cidr(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "Fn::Cidr" in value:
            _, count, bits = value["Fn::Cidr"]
            subnets = ipaddress.ip_network(str(self.estate.parameters["VpcCidr"])).subnets(new_prefix=32 - int(bits))
            return [str(next(subnets)) for _ in range(int(count))]
        return {key: self._without_cidr(item) for key, item in value.items()}

    def deploy(self) -> None:
        self._send(self._cloudformation.create_stack)

    def deploy_again(self) -> None:
        self._send(self._cloudformation.update_stack)

    def _send(self, operation: Any) -> None:
        body = json.dumps(self._readable(self.templates[template.MAIN]))
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in self._given.items()]
        operation(StackName=STACK, TemplateBody=body, Parameters=given)

    def delete(self) -> None:
        self._cloudformation.delete_stack(StackName=STACK)

    def created(self) -> dict[str, tuple[str, str]]:
        """Return the type and physical id of everything that CloudFormation says it created, by address."""
        found: dict[str, tuple[str, str]] = {}
        for stack, name in [("Root", STACK), *self._nested()]:
            listed = self._cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
            found |= {
                f"{stack}.{one['LogicalResourceId']}": (one["ResourceType"], one["PhysicalResourceId"])
                for one in listed
                if one.get("PhysicalResourceId")
            }
        return found

    def _nested(self) -> list[tuple[str, str]]:
        listed = self._cloudformation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
        return [
            (one["LogicalResourceId"], one["PhysicalResourceId"]) for one in listed if one.get("PhysicalResourceId")
        ]

    def lives(self, kind: str, identity: str) -> bool:
        """Ask the service itself, not CloudFormation, whether something is there."""
        if kind in TYPES:
            return drive.exists(kind, TYPES[kind], identity)
        if kind == _NESTED:
            return identity in {one["StackName"] for one in self._cloudformation.describe_stacks()["Stacks"]}
        if kind == "AWS::Route53::RecordSet":
            return self._recorded(identity)
        service, operation, argument = _READS[kind.removeprefix("AWS::")]
        asked = [identity] if argument.endswith("s") else identity
        api = client(service)
        try:
            answer = getattr(api, operation)(**{argument: asked})
        except api.exceptions.ClientError:
            return False
        answer.pop("ResponseMetadata")
        return all(answer.values()) and not any(f"'{word}'" in str(answer) for word in _GONE)

    def _recorded(self, identity: str) -> bool:
        records = client("route53").list_resource_record_sets(HostedZoneId=self._given["HostedZoneId"])
        return identity.rstrip(".") in {one["Name"].rstrip(".") for one in records["ResourceRecordSets"]}
