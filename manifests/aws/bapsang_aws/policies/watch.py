"""What tells people: logs that end, alarms that reach someone, a budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bapsang_aws.policies.core import dig, each, policy, queues
from bapsang_aws.render import Estate, Resource

Found = Iterator[tuple[Resource | str, str]]
#: Metrics that must have an alarm, and when.
_ALWAYS: Final = {
    "DatabaseConnections",
    "FreeableMemory",
    "FreeStorageSpace",
    "CPUCreditBalance",
    "CPUSurplusCreditsCharged",
    "BucketSizeBytes",
    "ApproximateNumberOfMessagesVisible",
}

each(
    "logs-end",
    "Logs::LogGroup",
    "keeps everything for ever",
    lambda p: 1 <= int(p.get("RetentionInDays", 0)) <= 400,
)


@policy("alarms-reach-someone")
def _actions(estate: Estate) -> Found:
    for alarm in estate.of("CloudWatch::Alarm"):
        if not alarm.properties.get("AlarmActions") or not all(map(estate.at, alarm.properties["AlarmActions"])):
            yield alarm, "tells nobody"
        if not str(alarm.properties.get("AlarmDescription", "")).strip():
            yield alarm, "does not say what to do"
    told = {one.properties["TopicArn"] for one in estate.of("SNS::Subscription")}
    for topic in estate.of("SNS::Topic"):
        if topic.ref not in told:
            yield topic, "has no subscriber"


@policy("alarms-cover-what-fails")
def _covered(estate: Estate) -> Found:
    wanted = set(_ALWAYS)
    if estate.parameters["DatabaseReplica"] == "true":
        wanted.add("ReplicaLag")
    if estate.parameters["CacheNodes"]:
        wanted.add("DatabaseMemoryUsagePercentage")
    if estate.parameters["LoadBalancer"]:
        wanted |= {"TargetResponseTime", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count"}
    if estate.parameters["ContainerInsights"] == "true":
        wanted.add("node_memory_utilization")
    if estate.parameters["UploadApi"] == "enabled":
        wanted |= {"Errors", "Latency", "ApproximateAgeOfOldestMessage"}
    found = {alarm.properties["MetricName"] for alarm in estate.of("CloudWatch::Alarm")}
    for metric in sorted(wanted - found):
        yield "Observability", f"no alarm on {metric}"
    lengths = {("ApproximateNumberOfMessagesVisible", f"{queue}DeadLetters") for queue in queues(estate)}
    if estate.parameters["UploadApi"] == "enabled":
        lengths |= {("ApproximateAgeOfOldestMessage", queue) for queue in queues(estate)}
    watched = {
        (alarm.properties["MetricName"], str(dimension["Value"]))
        for alarm in estate.of("CloudWatch::Alarm")
        for dimension in alarm.properties.get("Dimensions", ())
    }
    for metric, queue in sorted(lengths):
        if (metric, f"${{Media.{queue}.QueueName}}") not in watched:
            yield "Observability", f"no alarm on {metric} of {queue}"
    pairs = {
        (alarm.properties["Namespace"], alarm.properties["MetricName"]) for alarm in estate.of("CloudWatch::Alarm")
    }
    for namespace in ("AWS/EC2", "AWS/RDS"):
        for metric in ("CPUCreditBalance", "CPUSurplusCreditsCharged"):
            if (namespace, metric) not in pairs:
                yield "Observability", f"no alarm on {metric} of {namespace}"


each(
    "alarms-are-soon-and-sure",
    "CloudWatch::Alarm",
    "fires on noise, or an hour late",
    lambda p: (
        p["Period"] in {60, 300, 86_400}
        and (p["Period"] == 86_400 or p["Period"] * p["EvaluationPeriods"] <= 1800)
        and p.get("TreatMissingData") == "notBreaching"
    ),
)


@policy("latency-is-judged-by-p99")
def _percentiles(estate: Estate) -> Found:
    for alarm in estate.of("CloudWatch::Alarm"):
        if (
            alarm.properties["MetricName"] in {"TargetResponseTime", "Latency"}
            and alarm.properties.get("ExtendedStatistic") != "p99"
        ):
            yield alarm, "hides the slow requests in an average"


@policy("spot-interruptions-are-told")
def _spot(estate: Estate) -> Found:
    for rule in estate.of("Events::Rule"):
        kinds = dig(rule.properties, "EventPattern", "detail-type") or ()
        reaches = any(estate.at(target["Arn"]) for target in rule.properties.get("Targets", ()))
        if "EC2 Spot Instance Interruption Warning" in kinds and reaches and rule.properties.get("State") == "ENABLED":
            return
    yield "Observability", "no rule tells of spot interruptions"


@policy("budget-warns-in-time")
def _budget(estate: Estate) -> Found:
    budgets = estate.of("Budgets::Budget")
    if not budgets:
        yield "Observability", "there is no budget"
    for budget in budgets:
        notes = budget.properties.get("NotificationsWithSubscribers", ())
        found = {_limit(note["Notification"]) for note in notes if note.get("Subscribers")}
        if not {("ACTUAL", 50), ("ACTUAL", 80), ("FORECASTED", 100)} <= found:
            yield budget, "must warn at 50 and 80 % of the budget, and when the forecast exceeds it"
        if dig(budget.properties, "Budget", "TimeUnit") != "MONTHLY":
            yield budget, "is not monthly"


def _limit(note: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return what is compared and the percentage above which somebody is told."""
    above = note["ComparisonOperator"] == "GREATER_THAN"
    percentage = note.get("ThresholdType", "PERCENTAGE") == "PERCENTAGE"
    return (note["NotificationType"], note["Threshold"]) if above and percentage else None


@policy("topic-takes-only-ours")
def _topic(estate: Estate) -> Found:
    for one in estate.of("SNS::TopicPolicy"):
        for statement in one.properties["PolicyDocument"]["Statement"]:
            principal = statement.get("Principal")
            if not isinstance(principal, dict) or set(principal) != {"Service"}:
                yield one, "lets anyone publish"
            elif principal["Service"] != "events.amazonaws.com" and not dig(
                statement, "Condition", "StringEquals", "aws:SourceAccount"
            ):
                yield one, "lets other accounts publish"
            if statement["Action"] != "sns:Publish":
                yield one, "allows more than publishing"
