"""Command line of the plugin: `kubectl bapsang status|diff|pause|resume|hibernate|wake|prewarm|like-sync|report NAME`.

Exit codes: 0 as wished, 1 not ready or different, 2 bad command line, 3 the cluster refused or cannot be reached.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from bapsang_operator import build, names
from bapsang_operator.build import secret, wiring
from bapsang_operator.cli import view
from bapsang_operator.cli.cluster import ERRORS, Cluster, error_text
from bapsang_operator.kinds import BY_NAME, COMMUNITY, SCALED_OBJECT
from bapsang_operator.planning import prewarm, progress
from bapsang_operator.resource import parse, validate

_JOB = BY_NAME["Job"]


def _status(cluster: Cluster, chosen: argparse.Namespace) -> int:
    community = cluster.get(COMMUNITY, chosen.name)
    sys.stdout.write(view.tree(community, cluster.children(chosen.name)))
    conditions = {one["type"]: one["status"] for one in community.get("status", {}).get("conditions", ())}
    return 0 if conditions.get("Ready") == "True" and conditions.get("Degraded") == "False" else 1


def _diff(cluster: Cluster, chosen: argparse.Namespace) -> int:
    resource = cluster.get(COMMUNITY, chosen.name)
    violations = validate(resource["spec"])
    if violations:
        sys.stdout.write("".join(f"! {violation}\n" for violation in violations))
        return 1
    community = prewarm.with_windows(parse(resource), datetime.now(UTC))
    read = {ref.name for ref in wiring.api_values(community)} | set(secret.generators(community))
    live = cluster.children(chosen.name)
    # Which autoscaler there should be depends on what the operator may do and what is installed: take the one that is.
    has_keda = any(key.kind == SCALED_OBJECT.name for key in live)
    claim = progress.claim_uid(community, live)
    digests = cluster.digests({name: wiring.holder(community, name) for name in read})
    children = build.children(community, digests, claim=claim, has_keda=has_keda, has_routes=True)
    text = view.differences(children, live)
    sys.stdout.write(text or "No difference.\n")
    return 1 if text else 0


def _annotate(value: str | None) -> dict[str, Any]:
    return {"metadata": {"annotations": {names.ANNOTATION_PAUSED: value}}}


def _change(patch: Callable[[argparse.Namespace], dict[str, Any]], done: str) -> Callable[..., int]:
    def act(cluster: Cluster, chosen: argparse.Namespace) -> int:
        cluster.patch(COMMUNITY, chosen.name, patch(chosen))
        sys.stdout.write(f"Community {cluster.namespace}/{chosen.name}: {done}\n")
        return 0

    return act


def _prewarm(cluster: Cluster, chosen: argparse.Namespace) -> int:
    at = chosen.at or datetime.now(UTC).isoformat(timespec="seconds")
    window = {"name": chosen.window, "at": at, "duration": chosen.duration, "replicas": chosen.replicas}
    before = cluster.get(COMMUNITY, chosen.name)["spec"].get("prewarm", [])
    windows = [*(one for one in before if one["name"] != chosen.window), window]
    # The whole list at once: a merge patch knows nothing of single items.
    cluster.patch(COMMUNITY, chosen.name, {"spec": {"prewarm": windows}})
    sys.stdout.write(
        f'Window "{chosen.window}": at least {chosen.replicas} burst pods from {at} for {chosen.duration}.\n'
    )
    return 0


def _like_sync(cluster: Cluster, chosen: argparse.Namespace) -> int:
    cron = cluster.get(BY_NAME["CronJob"], names.like_sync(chosen.name))
    template = cron["spec"]["jobTemplate"]
    # Now, not after the wait by which scheduled runs keep their distance.
    for container in template["spec"]["template"]["spec"]["containers"]:
        container.pop("command", None)
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": cron["metadata"]["name"],
        "uid": cron["metadata"]["uid"],
    }
    metadata = {
        "generateName": f"{names.like_sync(chosen.name)}-now-",
        "namespace": cluster.namespace,
        "labels": template["metadata"]["labels"],
        "ownerReferences": [owner | {"controller": True}],
    }
    made = cluster.create(
        _JOB, {"apiVersion": _JOB.api_version, "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    )
    sys.stdout.write(f"Job {made} was created. Its log: kubectl -n {cluster.namespace} logs -f job/{made}\n")
    return 0


def _report(cluster: Cluster, chosen: argparse.Namespace) -> int:
    community = cluster.get(COMMUNITY, chosen.name)
    sys.stdout.write(view.report(community, cluster.children(chosen.name), cluster.events(chosen.name)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubectl bapsang", description="Looks at Communities and acts on them.")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, act: Callable[..., int], text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.add_argument("name", help="name of the Community")
        found.add_argument("-n", "--namespace", help="its namespace; the one of the context when absent")
        found.add_argument("--context", help="context of the kubeconfig; the current one when absent")
        found.set_defaults(act=act)
        return found

    command("status", _status, "show the Community, its conditions and children as a tree; 1 when it is not well")
    command("diff", _diff, "show what differs between spec and cluster; 1 when something does")
    pause = _change(lambda chosen: _annotate(chosen.reason), "paused.")
    command("pause", pause, "keep the operator's hands off").add_argument("reason", help="is shown in the status")
    command("resume", _change(lambda _: _annotate(None), "resumed."), "let the operator act again")
    for name, value in (("hibernate", True), ("wake", False)):
        change = _change(lambda _, value=value: {"spec": {"hibernate": value}}, f"hibernate is {value}.".lower())  # type: ignore[misc]
        command(name, change, "stop every pod of the API" if value else "start the pods of the API again")
    window = command("prewarm", _prewarm, "have more burst pods for a while, now or at a given time")
    window.add_argument("replicas", type=int, help="fewest burst pods")
    window.add_argument("duration", help="such as 90m or 2h")
    window.add_argument("--at", help="such as 2026-11-27T17:30:00+09:00; now when absent")
    window.add_argument("--window", default="by-hand", help="name of the window; one of this name is replaced")
    command("like-sync", _like_sync, "write likes from Redis to MySQL now")
    command("report", _report, "print everything that helps to understand a problem, without secrets, as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the plugin; see the module for its exit codes."""
    chosen = _parser().parse_args(argv)
    namespace: str | None = chosen.namespace
    try:
        cluster = Cluster(chosen.context, namespace)
        namespace = cluster.namespace
        code: int = chosen.act(cluster, chosen)
    except ERRORS as error:
        sys.stderr.write(f"kubectl bapsang {chosen.command}: {error_text(error, namespace)}\n")
        return 3
    return code


if __name__ == "__main__":
    sys.exit(main())
