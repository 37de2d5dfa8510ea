"""The table of faults: type, property and the bad values. Written from what goes wrong on AWS, not from the policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_KEY = "CachePolicyConfig/ParametersInCacheKeyAndForwardedToOrigin"
#: The property is deleted.
GONE = object()
WORLD = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bapsang-media/users/*"}
TAGGED = {"StringEquals": {"aws:ResourceTag/elbv2.k8s.aws/cluster": {"Ref": "Name"}}}
FIXED = {"DeviceIndex": "0", "NetworkInterfaceId": "eni-0123456789abcdef0"}
ANYONE = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}


def _append(rule: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda old: [*old, rule]


def _without(action: str) -> Callable[[Any], Any]:
    return lambda old: [one for one in old if one != action]


def _with(**changed: Any) -> Callable[[Any], Any]:
    return lambda old: {**old, **changed}


#: Type (or Type@LogicalId), path below Properties, and the bad values, one fault each.
BAD: list[tuple[str, str, list[Any]]] = [
    # network
    ("EC2::VPC", "EnableDnsSupport", [False]),
    ("EC2::VPC", "EnableDnsHostnames", [False, GONE]),
    ("EC2::Subnet", "MapPublicIpOnLaunch", [True]),
    ("EC2::Subnet@PrivateB", "AvailabilityZone", [{"Ref": "ZoneA"}]),
    ("EC2::Subnet@DataB", "AvailabilityZone", [{"Ref": "ZoneA"}]),
    ("EC2::Subnet@PublicB", "AvailabilityZone", [{"Ref": "ZoneA"}]),
    ("EC2::SubnetRouteTableAssociation@DataAAssociation", "RouteTableId", [{"Ref": "PublicRoutes"}]),
    ("EC2::SubnetRouteTableAssociation@DataBAssociation", "RouteTableId", [{"Ref": "PublicRoutes"}]),
    ("EC2::SubnetRouteTableAssociation@PrivateAAssociation", "RouteTableId", [{"Ref": "PublicRoutes"}]),
    ("EC2::SubnetRouteTableAssociation@PrivateBAssociation", "RouteTableId", [{"Ref": "PrivateARoutes"}]),
    ("EC2::Route@PublicDefaultRoute", "RouteTableId", [{"Ref": "DataRoutes"}, {"Ref": "PrivateARoutes"}]),
    ("EC2::VPCEndpoint@S3Endpoint", "VpcEndpointType", ["Interface"]),
    ("EC2::VPCEndpoint@S3Endpoint", "RouteTableIds", [[{"Ref": "PrivateARoutes"}], [{"Ref": "DataRoutes"}]]),
    ("EC2::VPCEndpoint@Ec2Endpoint", "PrivateDnsEnabled", [False]),
    ("EC2::SecurityGroup", "SecurityGroupIngress", [_append(WORLD), _append({**WORLD, "CidrIp": GONE, "CidrIpv6": "::/0"})]),
    ("EC2::SecurityGroup@*SecurityGroup", "SecurityGroupEgress", [GONE]),
    ("EC2::SecurityGroup@DatabaseSecurityGroup", "SecurityGroupEgress/0/CidrIp", ["0.0.0.0/0"]),
    ("EC2::SecurityGroup@CacheSecurityGroup", "SecurityGroupEgress/0/CidrIp", ["0.0.0.0/0"]),
    ("EC2::SecurityGroup@DatabaseSecurityGroup", "SecurityGroupIngress/0/FromPort", [0]),
    ("EC2::SecurityGroup@CacheSecurityGroup", "SecurityGroupIngress/0/ToPort", [65535]),
    ("EC2::SecurityGroup@DatabaseSecurityGroup", "SecurityGroupIngress/0/IpProtocol", ["-1"]),
    ("EC2::SecurityGroup@DatabaseSecurityGroup", "SecurityGroupIngress/0/SourceSecurityGroupId", [GONE, "sg-1"]),
    ("EC2::Instance", "SourceDestCheck", [True, GONE]),
    ("EC2::Instance", "NetworkInterfaces/0", [FIXED]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData", [_with(NetworkInterfaces=[FIXED])]),
    # machines
    ("EC2::LaunchTemplate", "LaunchTemplateData/MetadataOptions/HttpTokens", ["optional", GONE]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/MetadataOptions/HttpPutResponseHopLimit", [2]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/MetadataOptions", [GONE]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings/0/Ebs/Encrypted", [False, GONE]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings/0/Ebs/VolumeType", ["io2", "gp2"]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings/0/Ebs/VolumeSize", [500]),
    ("EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings", [GONE]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData/InstanceType", ["t3.nano", "m5.large"]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData/CreditSpecification", [{"CpuCredits": "unlimited"}, GONE]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData/MetadataOptions/InstanceMetadataTags", ["disabled", GONE]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData/UserData/Fn::Base64/Fn::Sub", ["#!/bin/bash\ntrue\n"]),
    ("EC2::LaunchTemplate@NatTemplate", "LaunchTemplateData/UserData", [GONE]),
    # cluster
    ("EKS::Cluster", "ResourcesVpcConfig/PublicAccessCidrs", [["0.0.0.0/0"], GONE]),
    ("EKS::Cluster", "ResourcesVpcConfig/EndpointPrivateAccess", [False]),
    ("EKS::Cluster", "EncryptionConfig", [GONE]),
    ("EKS::Cluster", "Logging", [GONE, {"ClusterLogging": {"EnabledTypes": [{"Type": "api"}]}}]),
    ("EKS::Cluster", "UpgradePolicy", [GONE, {"SupportType": "EXTENDED"}]),
    ("EKS::Cluster", "Version", ["1.29"]),
    ("EKS::Cluster", "AccessConfig/AuthenticationMode", ["CONFIG_MAP", "API_AND_CONFIG_MAP"]),
    ("EKS::Nodegroup", "AmiType", ["AL2023_x86_64_STANDARD", GONE]),
    ("EKS::Nodegroup", "InstanceTypes", [["m5.large"], ["t3.medium", "t3a.medium", "m5.large", "c5.large"]]),
    ("EKS::Nodegroup", "LaunchTemplate", [GONE]),
    ("EKS::Nodegroup", "Subnets", [["subnet-public"]]),
    ("EKS::Nodegroup", "ScalingConfig/MaxSize", [GONE, 1000]),
    ("EKS::Nodegroup@BaseNodegroup", "CapacityType", ["SPOT", GONE]),
    ("EKS::Nodegroup@BaseNodegroup", "ScalingConfig/MinSize", [1, 0]),
    ("EKS::Nodegroup@BaseNodegroup", "Taints", [[{"Key": "a", "Effect": "NO_SCHEDULE"}]]),
    ("EKS::Nodegroup@BurstNodegroup", "CapacityType", ["ON_DEMAND"]),
    ("EKS::Nodegroup@BurstNodegroup", "Taints", [GONE, [{"Key": "bapsang.dev/capacity", "Value": "spot", "Effect": "PREFER_NO_SCHEDULE"}]]),
    ("EKS::Nodegroup@BurstNodegroup", "ScalingConfig/MinSize", [1]),
    ("EKS::Nodegroup@BurstNodegroup", "InstanceTypes", [["c7g.large"], ["c7g.large", "c7g.xlarge", "c6g.large", "c6g.xlarge"]]),
    ("EKS::Nodegroup@FallbackNodegroup", "CapacityType", ["SPOT"]),
    ("EKS::Nodegroup@FallbackNodegroup", "ScalingConfig/MinSize", [2]),
    ("EKS::Addon@Cni", "ConfigurationValues", [GONE, '{"enableNetworkPolicy":"false"}']),
    # rights
    ("IAM::Role", "AssumeRolePolicyDocument/Statement/0", [ANYONE, {**ANYONE, "Principal": {"AWS": "*"}}]),
    ("IAM::Role@*Role", "ManagedPolicyArns", [["arn:aws:iam::aws:policy/AdministratorAccess"]]),
    ("IAM::Role", "Policies/0/PolicyDocument/Statement/0/Action", ["*", "s3:*", ["iam:PassRole"]]),
    ("IAM::Role@ApiRole", "Policies/0/PolicyDocument/Statement/1", [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]),
    ("IAM::Role@NodeRole", "Policies", [[{"PolicyName": "s3", "PolicyDocument": {"Statement": [READ]}}]]),
    ("IAM::Role@AutoscalerRole", "Policies/0/PolicyDocument/Statement/1/Condition", [GONE]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/4/Condition", [GONE]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/0/Action", [_without("ec2:GetSecurityGroupsForVpc")]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/4/Action", [_without("elasticloadbalancing:SetRulePriorities")]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/0", [_with(Condition=TAGGED)]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/0/Resource", ["arn:aws:ec2:::vpc/*"]),
    ("IAM::Role@LoadBalancerRole", "Policies/0/PolicyDocument/Statement/1/Condition", [TAGGED]),
    ("EKS::PodIdentityAssociation@LoadBalancerIdentity", "RoleArn", [{"Fn::GetAtt": ["AutoscalerRole", "Arn"]}, "arn:aws:iam:::role/o"]),
    ("IAM::Role@ApiRole", "Policies/0/PolicyDocument/Statement/0/Resource", ["*", "arn:aws:s3:::other/*"]),
    ("IAM::Role@ApiRole", "Policies/0/PolicyDocument/Statement/0/Resource/3", [{"Fn::Sub": "arn:aws:s3:::${MediaBucket}/users/*"}]),
    ("IAM::Role@PresignRole", "Policies/0/PolicyDocument/Statement/0/Action", [["s3:PutObject", "s3:GetObject"]]),
    ("IAM::Role@PresignRole", "Policies/0/PolicyDocument/Statement/0/Resource", [{"Fn::Sub": "arn:aws:s3:::${MediaBucket}/*"}]),
    ("KMS::Key", "EnableKeyRotation", [False, GONE]),
    ("KMS::Key", "PendingWindowInDays", [7]),
    ("KMS::Key", "KeyPolicy/Statement/0/Principal", ["*", {"AWS": "*"}]),
    # data
    ("RDS::DBInstance@Database", "EngineVersion", ["8.0.46", "5.7.44"]),
    ("RDS::DBInstance@Database", "Engine", ["mariadb"]),
    ("RDS::DBInstance@Database", "EngineLifecycleSupport", [GONE, "open-source-rds-extended-support"]),
    ("RDS::DBInstance@Database", "MultiAZ", [False, GONE]),
    ("RDS::DBInstance@Database", "StorageEncrypted", [False, GONE]),
    ("RDS::DBInstance@Database", "KmsKeyId", [GONE]),
    ("RDS::DBInstance@Database", "BackupRetentionPeriod", [0, 1, GONE]),
    ("RDS::DBInstance@Database", "DeletionProtection", [False, GONE]),
    ("RDS::DBInstance@Database", "MaxAllocatedStorage", [GONE]),
    ("RDS::DBInstance@Database", "EnableCloudwatchLogsExports", [GONE, ["error"]]),
    ("RDS::DBInstance@Database", "MasterUserPassword", ["hunter2hunter2"]),
    ("RDS::DBInstance", "PubliclyAccessible", [True, GONE]),
    ("RDS::DBInstance", "StorageType", ["io1", "gp2"]),
    ("RDS::DBInstance", "DBInstanceClass", ["db.m5.large"]),
    ("RDS::DBInstance", "AutoMinorVersionUpgrade", [False]),
    ("RDS::DBInstance", "VPCSecurityGroups", [GONE, []]),
    ("RDS::DBInstance", "DBParameterGroupName", [GONE]),
    ("RDS::DBParameterGroup", "Family", ["mysql8.0"]),
    ("RDS::DBParameterGroup", "Parameters/require_secure_transport", ["0", GONE]),
    ("RDS::DBParameterGroup", "Parameters/character_set_server", ["latin1"]),
    ("RDS::DBParameterGroup", "Parameters/time_zone", ["Asia/Seoul"]),
    ("RDS::DBSubnetGroup", "SubnetIds", [["subnet-public"]]),
    ("ElastiCache::SubnetGroup", "SubnetIds", [["subnet-public"]]),
    ("ElastiCache::ReplicationGroup", "Engine", ["redis"]),
    ("ElastiCache::ReplicationGroup", "NumCacheClusters", [1]),
    ("ElastiCache::ReplicationGroup", "AutomaticFailoverEnabled", [False, GONE]),
    ("ElastiCache::ReplicationGroup", "MultiAZEnabled", [False, GONE]),
    ("ElastiCache::ReplicationGroup", "AtRestEncryptionEnabled", [False, GONE]),
    ("ElastiCache::ReplicationGroup", "TransitEncryptionEnabled", [False, GONE]),
    ("ElastiCache::ReplicationGroup", "TransitEncryptionMode", ["preferred"]),
    ("ElastiCache::ReplicationGroup", "AuthToken", [GONE, "hunter2hunter2hunter2"]),
    ("ElastiCache::ReplicationGroup", "CacheNodeType", ["cache.t3.micro"]),
    ("ElastiCache::ReplicationGroup", "SecurityGroupIds", [GONE]),
    ("ElastiCache::ReplicationGroup", "SnapshotRetentionLimit", [0, GONE]),
    ("ElastiCache::ReplicationGroup", "CacheParameterGroupName", [GONE, "default.valkey8"]),
    ("ElastiCache::ParameterGroup", "Properties/maxmemory-policy", ["allkeys-lru", GONE]),
    ("SecretsManager::Secret", "KmsKeyId", [GONE]),
    ("SecretsManager::Secret@*", "GenerateSecretString/PasswordLength", [8]),
    ("SecretsManager::Secret@*", "GenerateSecretString/ExcludePunctuation", [False]),
    ("SecretsManager::Secret@*Url", "SecretString", ["mysql+pymysql://bapsang:hunter2@db/bapsang"]),
    # media
    ("S3::Bucket", "PublicAccessBlockConfiguration", [GONE]),
    ("S3::Bucket", "PublicAccessBlockConfiguration/BlockPublicPolicy", [False]),
    ("S3::Bucket", "PublicAccessBlockConfiguration/RestrictPublicBuckets", [GONE]),
    ("S3::Bucket", "OwnershipControls", [GONE]),
    ("S3::Bucket", "BucketEncryption", [GONE]),
    ("S3::Bucket", "VersioningConfiguration", [GONE, {"Status": "Suspended"}]),
    ("S3::Bucket", "LifecycleConfiguration", [GONE]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/0/Status", ["Disabled"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/0/Prefix", ["users/"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/0/ExpirationInDays", [1, 3650]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/1/Status", ["Disabled"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/2/Status", ["Disabled"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/3/Status", ["Disabled"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/5/Status", ["Disabled"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/5/Prefix", ["public/", "users/"]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/5/ExpirationInDays", [7, 3650, GONE]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/6/ExpirationInDays", [30, 365]),
    ("S3::Bucket@Media", "LifecycleConfiguration/Rules/7/Status", ["Disabled"]),
    ("S3::Bucket@Media", "CorsConfiguration/CorsRules/0/AllowedOrigins", [["*"]]),
    ("S3::Bucket@Media", "CorsConfiguration/CorsRules/0/AllowedMethods", [["PUT", "DELETE"]]),
    ("S3::Bucket@Media", "CorsConfiguration/CorsRules/0/AllowedHeaders", [["*"]]),
    ("S3::Bucket@Media", "NotificationConfiguration", [GONE]),
    ("S3::Bucket@Media", "NotificationConfiguration/QueueConfigurations/0/Event", ["s3:ObjectCreated:*"]),
    ("S3::Bucket@Media", "NotificationConfiguration/QueueConfigurations/0/Filter/S3Key/Rules/0/Value", ["users/"]),
    ("S3::Bucket@Media", "NotificationConfiguration/QueueConfigurations/1/Fn::If/1/Event", ["s3:ObjectRemoved:*"]),
    ("S3::Bucket@Media", "NotificationConfiguration/QueueConfigurations/2/Fn::If/1/Filter/S3Key/Rules/0/Value", ["tmp/"]),
    ("SQS::Queue", "SqsManagedSseEnabled", [False, GONE]),
    ("SQS::Queue@RemovalEvents", "RedrivePolicy", [GONE]),
    ("SQS::Queue@RemovalEvents", "VisibilityTimeout", [5, GONE]),
    ("SQS::Queue@RemovalEventsDeadLetters", "MessageRetentionPeriod", [3600, GONE]),
    ("SQS::Queue@UploadEvents", "RedrivePolicy", [GONE]),
    ("SQS::Queue@UploadEvents", "RedrivePolicy/maxReceiveCount", [1, 1000]),
    ("SQS::Queue@UploadEvents", "VisibilityTimeout", [5, 180, GONE]),
    ("SQS::Queue@UploadEventsDeadLetters", "MessageRetentionPeriod", [3600, GONE]),
    ("SQS::QueuePolicy", "PolicyDocument/Statement/0/Principal", ["*"]),
    ("SQS::QueuePolicy", "PolicyDocument/Statement/0/Condition", [GONE]),
    ("SQS::QueuePolicy", "PolicyDocument/Statement/0/Action", ["sqs:*"]),
    # edge and uploads
    ("S3::BucketPolicy", "PolicyDocument/Statement/0/Effect", ["Allow"]),
    ("S3::BucketPolicy", "PolicyDocument/Statement/0/Condition", [GONE]),
    ("S3::BucketPolicy", "PolicyDocument/Statement/1/Principal", ["*"]),
    ("S3::BucketPolicy", "PolicyDocument/Statement/1/Condition", [GONE]),
    ("S3::BucketPolicy", "PolicyDocument/Statement/1/Action", ["s3:*"]),
    ("S3::BucketPolicy", "PolicyDocument/Statement/1/Resource", [{"Fn::Sub": "arn:aws:s3:::b/*"}, "arn:aws:s3:::b/originals/*"]),
    ("CloudFront::OriginAccessControl", "OriginAccessControlConfig/SigningBehavior", ["never"]),
    ("CloudFront::Distribution", "DistributionConfig/Origins/0/OriginAccessControlId", [GONE]),
    ("CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/ViewerProtocolPolicy", ["allow-all"]),
    ("CloudFront::Distribution", "DistributionConfig/CacheBehaviors/0/ViewerProtocolPolicy", ["allow-all"]),
    ("CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/AllowedMethods", [["GET", "HEAD", "PUT"]]),
    ("CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/ResponseHeadersPolicyId", [GONE]),
    ("CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/TargetOriginId", ["site"]),
    ("CloudFront::Distribution", "DistributionConfig/PriceClass", ["PriceClass_100", GONE]),
    ("CloudFront::Distribution", "DistributionConfig/ViewerCertificate/Fn::If/1/MinimumProtocolVersion", ["TLSv1"]),
    ("CloudFront::CachePolicy", f"{_KEY}/QueryStringsConfig/QueryStringBehavior", ["all"]),
    ("CloudFront::CachePolicy", f"{_KEY}/CookiesConfig/CookieBehavior", ["all"]),
    ("CloudFront::CachePolicy", f"{_KEY}/HeadersConfig/HeaderBehavior", ["whitelist"]),
    ("CloudFront::CachePolicy@Documents", "CachePolicyConfig/MaxTTL", [31536000]),
    ("CloudFront::CachePolicy@Photos", "CachePolicyConfig/MaxTTL", [3600, 31536000]),
    ("CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig/SecurityHeadersConfig/ContentTypeOptions", [GONE]),
    ("CloudFront::ResponseHeadersPolicy", "ResponseHeadersPolicyConfig/SecurityHeadersConfig/ContentSecurityPolicy", [GONE]),
    ("Lambda::Function", "Architectures", [["x86_64"], GONE]),
    ("Lambda::Function", "Runtime", ["python3.8"]),
    ("Lambda::Function", "Timeout", [900, GONE]),
    ("Lambda::Function", "MemorySize", [10240]),
    ("Lambda::Function", "LoggingConfig", [GONE]),
    ("Lambda::Permission", "SourceArn", [GONE, "*"]),
    ("Lambda::Permission", "SourceAccount", [GONE]),
    ("Lambda::Function@Presign", "Environment/Variables/BAPSANG_ISSUER", ["http://auth.example.com", "", GONE]),
    ("Lambda::Function@Presign", "Environment/Variables/BAPSANG_AUDIENCE", ["", GONE]),
    ("Lambda::Function@Check", "Timeout", [60, 120]),
    ("Lambda::Function@Check", "MemorySize", [1024, 2048]),
    ("Lambda::Function@Purge", "Timeout", [60]),
    ("Lambda::Function@Presign", "MemorySize", [1769]),
    ("Lambda::EventSourceMapping@CheckEvents", "BatchSize", [2, GONE]),
    ("Lambda::EventSourceMapping", "FunctionResponseTypes", [[], GONE]),
    ("Lambda::EventSourceMapping", "ScalingConfig", [GONE]),
    ("Lambda::EventSourceMapping", "ScalingConfig/MaximumConcurrency", [1000]),
    ("IAM::Role@CheckRole", "Policies/0/PolicyDocument/Statement/0/Action", ["s3:*", ["s3:GetObject", "s3:DeleteObject"]]),
    ("IAM::Role@CheckRole", "Policies/0/PolicyDocument/Statement/1/Resource", ["arn:aws:s3:::bapsang-media/public/*", "*"]),
    ("IAM::Role@CheckRole", "Policies/0/PolicyDocument/Statement/3/Resource", ["*"]),
    ("IAM::Role@PurgeRole", "Policies/0/PolicyDocument/Statement/0/Action", ["cloudfront:*", "cloudfront:UpdateDistribution"]),
    ("IAM::Role@PurgeRole", "Policies/0/PolicyDocument/Statement/0/Resource", ["*"]),
    ("ApiGatewayV2::Route@PresignRoute", "RouteKey", ["$default", "ANY /{proxy+}"]),
    ("ApiGatewayV2::Stage", "DefaultRouteSettings", [GONE]),
    ("ApiGatewayV2::Stage", "RouteSettings", [GONE]),
    ("ApiGatewayV2::Stage", "RouteSettings/TEMP/ThrottlingRateLimit", [1000]),
    ("ApiGatewayV2::Stage", "AccessLogSettings", [GONE]),
    ("ApiGatewayV2::Api", "CorsConfiguration/AllowOrigins", [["*"]]),
    ("ApiGatewayV2::Api", "CorsConfiguration/AllowMethods", [["*"]]),
    ("ApiGatewayV2::Api", "DisableExecuteApiEndpoint", [False, GONE]),
    ("ApiGatewayV2::DomainName", "DomainNameConfigurations/0/SecurityPolicy", ["TLS_1_0"]),
    # observability
    ("Logs::LogGroup", "RetentionInDays", [GONE, 3653]),
    ("CloudWatch::Alarm@*Credits", "AlarmActions", [GONE, []]),
    ("CloudWatch::Alarm@*Credits", "EvaluationPeriods", [500]),
    ("CloudWatch::Alarm@Latency", "ExtendedStatistic", [GONE]),
    ("CloudWatch::Alarm@UploadEventsDead", "MetricName", ["NumberOfMessagesSent"]),
    ("CloudWatch::Alarm@RemovalEventsDead", "Dimensions/0/Value", ["another-queue"]),
    ("CloudWatch::Alarm@DatabaseMemory", "TreatMissingData", ["ignore"]),
    ("CloudWatch::Alarm@DatabaseStorage", "AlarmDescription", [GONE]),
    ("Events::Rule", "State", ["DISABLED"]),
    ("Events::Rule", "Targets", [GONE, []]),
    ("Events::Rule", "EventPattern/detail-type", [["EC2 Instance State-change Notification"]]),
    ("Budgets::Budget", "NotificationsWithSubscribers", [GONE, []]),
    ("Budgets::Budget", "NotificationsWithSubscribers/2/Notification/Threshold", [200]),
    ("Budgets::Budget", "NotificationsWithSubscribers/0/Subscribers", [[]]),
    ("Budgets::Budget", "NotificationsWithSubscribers/0/Notification/NotificationType", ["FORECASTED"]),
    ("Budgets::Budget", "NotificationsWithSubscribers/2/Notification/NotificationType", ["ACTUAL"]),
    ("Budgets::Budget", "NotificationsWithSubscribers/1/Notification/ComparisonOperator", ["LESS_THAN"]),
    ("Budgets::Budget", "NotificationsWithSubscribers/1/Notification/ThresholdType", ["ABSOLUTE_VALUE"]),
    ("Budgets::Budget", "Budget/TimeUnit", ["ANNUALLY"]),
    ("SNS::TopicPolicy", "PolicyDocument/Statement/0/Principal", ["*"]),
    ("SNS::TopicPolicy", "PolicyDocument/Statement/0/Condition", [GONE]),
    ("SNS::TopicPolicy", "PolicyDocument/Statement/1/Action", ["sns:*"]),
]  # fmt: skip

#: Resources that must not be forgotten.
REMOVED = """
    EC2::FlowLog EC2::VPCEndpoint@S3Endpoint EC2::VPCEndpoint@Ec2Endpoint EC2::VPCEndpoint@EcrApiEndpoint EC2::VPCEndpoint@EcrDkrEndpoint
    EC2::VPCEndpoint@EksAuthEndpoint EC2::VPCEndpoint@LoadBalancingEndpoint EC2::VPCEndpoint@AutoScalingEndpoint
    EC2::VPCEndpoint@LogsEndpoint
    EC2::SubnetRouteTableAssociation@DataAAssociation EC2::SubnetRouteTableAssociation@DataBAssociation
    EC2::SubnetRouteTableAssociation@PrivateAAssociation EC2::SubnetRouteTableAssociation@PrivateBAssociation
    EC2::Route@InstanceRouteA EC2::Route@InstanceRouteB EC2::Route@GatewayRouteA
    EKS::Nodegroup@BurstNodegroup EKS::Nodegroup@FallbackNodegroup
    EKS::Addon@Cni EKS::Addon@KubeProxy EKS::Addon@PodIdentityAgent EKS::Addon@Dns EKS::Addon@MetricsServer EKS::Addon@Volumes
    EKS::PodIdentityAssociation@AutoscalerIdentity EKS::PodIdentityAssociation@LoadBalancerIdentity
    EKS::PodIdentityAssociation@ApiIdentity
    S3::BucketPolicy@MediaPolicy S3::BucketPolicy@SitePolicy SNS::Subscription@Mail Events::Rule Budgets::Budget
    CloudWatch::Alarm@DatabaseConnections CloudWatch::Alarm@DatabaseMemory CloudWatch::Alarm@DatabaseCredits
    CloudWatch::Alarm@DatabaseSurplus
    CloudWatch::Alarm@NodeCredits CloudWatch::Alarm@NodeSurplus CloudWatch::Alarm@NodeMemory CloudWatch::Alarm@MediaSize
    CloudWatch::Alarm@ReplicaLag
    CloudWatch::Alarm@Latency CloudWatch::Alarm@BalancerErrors CloudWatch::Alarm@UploadEventsAge CloudWatch::Alarm@UploadEventsDead
    CloudWatch::Alarm@RemovalEventsAge CloudWatch::Alarm@RemovalEventsDead
    Lambda::EventSourceMapping
""".split()  # noqa: SIM905 - a table
KEPT = (
    "RDS::DBInstance@Database",
    "ElastiCache::ReplicationGroup",
    "S3::Bucket",
    "KMS::Key",
    "SecretsManager::Secret@*",
)
#: Resources that write to log groups of a name that they would also make by themselves, NAT instances behind another, and
#: the bucket behind the policies of its queues. An order stands in DependsOn, or in Metadata where it has a condition.
ORDERED = (
    "RDS::DBInstance@Database",
    "EKS::Cluster",
    "EC2::Instance@InstanceB",
    "EC2::Instance@InstanceC",
    "S3::Bucket@Media",
)
#: Resources of the check function that a deployment without it would take if they had no condition. (The others refer to
#: these, and CloudFormation refuses them.)
CONDITIONAL = (
    "SQS::Queue@UploadEventsDeadLetters",
    "Logs::LogGroup@CheckLogs",
    "CloudWatch::Alarm@UploadEventsAge",
    "CloudWatch::Alarm@UploadEventsDead",
)
#: Resources that others have to wait for until they say that they work.
AWAITED = ("EC2::Instance",)
