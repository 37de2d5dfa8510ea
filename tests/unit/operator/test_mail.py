"""Mail: what API and workers are given, what workers may reach, and how it is told that letters wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bapsang_operator import build
from bapsang_operator.build import urls
from bapsang_operator.controller import observation
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import progress
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problems import workloads

from .test_build import EXTERNAL, MAIL, SHAPES, STORAGE
from .world import (
    NOW,
    AllDigests,
    Cluster,
    children,
    community,
    condition_of,
    migration_key,
    pod,
    pod_templates,
    status_of,
)

WORKER = Key("Deployment", "ns", "c-mail")
IN_CLUSTER = {"from": "no-reply@example.com", "url": "smtp://mailpit.mailbox.svc:1025?tls=none"}
POINTED = {"secretKeyRef": {"name": "mail", "key": "url"}}


def _child(kind: str, name: str, **changes: Any) -> Manifest:
    wanted = community(**{"mail": MAIL, **changes})
    return next(child.manifest for child in children(wanted) if child.key == Key(kind, "ns", name))


def _env(template: str, **changes: Any) -> dict[str, Any]:
    (container,) = pod_templates(children(community(**{"mail": MAIL, **changes})))[template]["spec"]["containers"]
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def _up(**changes: Any) -> Cluster:
    cluster = Cluster(community(**{"mail": MAIL, **changes}))
    cluster.bring_up()
    return cluster


def _told(cluster: Cluster, **more: Any) -> tuple[str, str]:
    found = condition_of(status_of(cluster, **more), "MailReady")
    return found["status"], found["reason"]


@pytest.mark.parametrize(("mail", "server"), [(MAIL, POINTED), (IN_CLUSTER, IN_CLUSTER["url"])])
def test_api_and_workers_know_server_and_sender_and_jobs_do_not(mail: Manifest, server: Any) -> None:
    for name in pod_templates(children(community(mail=mail, storage=STORAGE))):
        if name.startswith("StatefulSet"):
            continue
        env = _env(name, mail=mail, storage=STORAGE)
        given = {key: value for key, value in env.items() if "SMTP" in key or "MAIL" in key}
        knows = name in {"Deployment c-api-base", "Deployment c-api-burst", "Deployment c-mail"}
        wanted = {"OPTIONAL_BAPSANG_SMTP_URL": server, "OPTIONAL_BAPSANG_MAIL_FROM": "no-reply@example.com"}
        assert given == (wanted if knows else {}), name


def test_worker_is_given_database_mail_server_and_signing_key_and_neither_redis_nor_bucket() -> None:
    changes = {
        **EXTERNAL,
        "storage": STORAGE,
        "publicUrl": "https://food.example.com",
        "auth": {"issuer": "https://a.b"},
    }
    spec = _child("Deployment", "c-mail", **changes)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    arguments = ["mail", "--host", "0.0.0.0"]  # noqa: S104 - a pod's own address
    assert (container["args"], container["image"]) == (arguments, "bapsang/api:0.1.0")
    assert {one["name"] for one in container["env"]} == {
        *("BAPSANG_DATABASE_URL", "OPTIONAL_BAPSANG_DATABASE_TLS_CA", "BAPSANG_LOG_LEVEL", "BAPSANG_ADMIN_PORT"),
        *("BAPSANG_SIGNING_KEY_FILE", "BAPSANG_ISSUER", "OPTIONAL_BAPSANG_PUBLIC_URL"),
        *("OPTIONAL_BAPSANG_SMTP_URL", "OPTIONAL_BAPSANG_MAIL_FROM"),
    }
    assert [volume["name"] for volume in spec["volumes"]] == ["signing-key"]
    assert spec["terminationGracePeriodSeconds"] == 30


def test_worker_verifies_its_server_by_the_authorities_that_are_named() -> None:
    mail = {**MAIL, "caBundle": {"kind": "Secret", "name": "private", "key": "root.pem"}}
    assert _env("Deployment c-mail", mail=mail)["OPTIONAL_BAPSANG_SMTP_TLS_CA"] == "/etc/bapsang/mail-ca/ca.crt"
    spec = _child("Deployment", "c-mail", mail=mail)["spec"]["template"]["spec"]
    (volume,) = (one for one in spec["volumes"] if one["name"] == "mail-ca")
    assert volume["secret"]["secretName"] == "private"
    assert "OPTIONAL_BAPSANG_SMTP_TLS_CA" not in _env("Deployment c-api-base", mail=mail), "it sends nothing"


def test_worker_that_starts_among_old_letters_is_not_killed_for_them() -> None:
    api = pod_templates(children(community()))["Deployment c-api-base"]["spec"]["containers"][0]
    (container,) = _child("Deployment", "c-mail")["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"] == api["readinessProbe"]
    assert container["livenessProbe"] == api["livenessProbe"]


@pytest.mark.parametrize(
    ("mail", "ports"),
    [
        (MAIL, {465, 587}),
        (IN_CLUSTER, {1025}),
        ({"from": "a@b.c", "url": "smtp://mail.example.com"}, {587}),
        ({"from": "a@b.c", "url": "smtps://mail.example.com"}, {465}),
        ({"from": "a@b.c", "url": "smtp://mail?tls=none"}, {25}),
    ],
)
@pytest.mark.parametrize("redis", [{}, EXTERNAL["redis"]])
def test_worker_may_reach_database_and_mail_server_alone(mail: Manifest, ports: set[int], redis: Manifest) -> None:
    spec = _child("NetworkPolicy", "c-mail", mail=mail, redis=redis, storage=STORAGE)["spec"]
    assert {port["port"] for rule in spec["egress"] if "to" not in rule for port in rule["ports"]} == {53, *ports}
    peers = [rule["to"][0]["podSelector"]["matchLabels"] for rule in spec["egress"] if "to" in rule]
    assert [labels["app.kubernetes.io/component"] for labels in peers] == ["mysql"]
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"protocol": "TCP", "port": 9000}]]


def test_mysql_lets_workers_in() -> None:
    (rule,) = _child("NetworkPolicy", "c-mysql")["spec"]["ingress"]
    (expression,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert "mail" in expression["values"]


def test_workers_come_and_go_with_the_field() -> None:
    assert "c-mail" not in {child.key.name for child in children(community())}
    cluster = _up()
    cluster.community = community()
    assert WORKER in {key_of(gone) for gone in cluster.plan().deletes}


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "with mail"])
def test_nothing_of_mail_is_in_a_community_without_it(shape: str) -> None:
    found = children(community(**{name: value for name, value in SHAPES[shape].items() if value is not None}))
    assert "SMTP" not in str([child.manifest for child in found])


def test_new_image_waits_for_its_migration_and_for_nothing_else() -> None:
    cluster = _up()
    cluster.community = community(mail=MAIL, image="bapsang/api:0.2.0")
    assert WORKER in {child.key for child in cluster.step().held}
    cluster.end_job(migration_key(cluster.community))
    assert {WORKER, Key("Deployment", "ns", "c-api-base")} <= {key_of(one.manifest) for one in cluster.step().applies}


def test_workers_sleep_and_wake_with_the_community() -> None:
    cluster = _up()
    cluster.community = community(mail=MAIL, hibernate=True)
    cluster.step()
    assert cluster.at("Deployment", "c-mail")["spec"]["replicas"] == 0
    for name in ("c-api-base", "c-api-burst"):
        cluster.at("Deployment", name)["spec"]["replicas"] = 0
    cluster.settle()
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "Hibernated"
    assert _told(cluster) == ("Unknown", "Suspended")
    cluster.live[WORKER]["status"]["replicas"] = 1
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "Hibernating", "a worker is still there"
    cluster.community = community(mail=MAIL)
    cluster.step()
    assert cluster.at("Deployment", "c-mail")["spec"]["replicas"] == 1


def test_rollout_is_over_when_the_workers_have_followed() -> None:
    cluster = _up()
    cluster.live[WORKER]["status"]["availableReplicas"] = 0
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "RollingOutMail"
    cluster.settle()
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "UpToDate"


class _Without(AllDigests):
    """Every Secret exists but that of the mail server."""

    def __contains__(self, key: object) -> bool:
        return key != ("mail", "url")

    def get(self, key: Any, _default: Any = None) -> Any:  # type: ignore[override]
        return super().get(key) if key in self else _default


def test_missing_secret_is_told_by_its_field() -> None:
    cluster = _up()
    found = build.children(cluster.community, _Without())
    assert {child.key.name for child in found if child.missing} == {"c-api-base", "c-api-burst", "c-mail"}
    held = cluster.plan(found)
    told = condition_of(status_of(cluster, planned=held), "MailReady")
    assert (told["status"], told["reason"]) == ("False", "NoCredentials")
    assert told["message"].startswith('spec.mail.secretRef needs key "url" of Secret "mail"')
    assert _told(cluster) == ("True", "Available")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("smtp://user:p%40ss@mail.example.com:587", None),
        ("smtps://user:pass@mail.example.com:465\n", None),
        ("smtp://mailpit.mailbox.svc:1025?tls=none", None),
        ("smtp://user:pass@localhost:1025?tls=none", None),
        ("smtp://user:p@ss@mail.example.com:587", "has more than one @"),
        ("smtp://user:pass@mail.example.com:587?tls=none", "only a server of this machine or cluster may"),
        ("smtps://mailpit:465?tls=none", "which smtps contradicts"),
        ("https://mail.example.com", "is not the URL of a mail server"),
        ("smtp://mail.example.com:70000", "is not the URL of a mail server"),
        ("mail.example.com:587", "is not the URL of a mail server"),
    ],
)
def test_value_that_is_no_url_of_a_mail_server_is_refused_unread(value: str, fault: str | None) -> None:
    found = urls.fault(urls.Form.SMTP, value.encode())
    assert (found is None) == (fault is None)
    if found and fault:
        assert fault in found
        assert "p@ss" not in found


def _late(minutes: float) -> Cluster:
    cluster = _up()
    since = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lacking = {"type": "Available", "status": "False", "lastTransitionTime": since}
    cluster.live[WORKER]["status"] |= {"availableReplicas": 0, "conditions": [lacking]}
    return cluster


def test_letters_that_wait_are_told_at_once_and_called_a_problem_once_it_lasts() -> None:
    lasting, brief, whole = _late(3), _late(2.9), _up()
    assert [_told(cluster) for cluster in (lasting, brief)] == [("False", "NotAvailable")] * 2
    (found,) = workloads.of_mail(lasting.community, lasting.live, NOW)
    assert found.reason == "MailUnavailable"
    assert "Deployment c-mail: no pod is ready, so letters to users wait" in found.message
    assert (
        workloads.of_mail(brief.community, brief.live, NOW) == workloads.of_mail(whole.community, whole.live, NOW) == []
    )
    assert not observation.is_settled(brief.community, Plan(), brief.live)
    assert observation.is_settled(whole.community, Plan(), whole.live)
    for changes in ({}, {"mail": MAIL, "hibernate": True}):
        assert workloads.of_mail(community(**changes), lasting.live, NOW) == []


def _ended(component: Component, **terminated: Any) -> Manifest:
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"name": str(component), "state": waiting, "lastState": {"terminated": {"reason": "Error", **terminated}}}
    return pod(component, containerStatuses=[last])


def test_image_without_mail_says_so_and_holds_nobody_up() -> None:
    cluster = _late(60)
    cluster.live[Key("Pod", "ns", "p")] = _ended(Component.MAIL, exitCode=2)
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    assert seen.mail is None
    assert workloads.of_rollout(cluster.community, seen) == []
    assert workloads.of_mail(cluster.community, cluster.live, NOW) == []
    assert condition_of(status_of(cluster), "Progressing")["reason"] == "UpToDate"
    told = condition_of(status_of(cluster), "MailReady")
    assert (told["status"], told["message"]) == (
        "False",
        "Image bapsang/api:0.1.0 sends no mail: it has no such command.",
    )


def test_image_without_photo_workers_may_still_send_mail() -> None:
    cluster = _up(storage=STORAGE)
    cluster.live[Key("Pod", "ns", "p")] = _ended(Component.MEDIA, exitCode=2)
    seen = progress.observe(cluster.community, children(cluster.community), cluster.live)
    assert (seen.media, seen.mail is not None) == (None, True)


def test_crash_of_a_worker_is_told_by_its_deployment() -> None:
    crashing = _ended(Component.MAIL, exitCode=2, message="SETTING_REFUSED BAPSANG_SMTP_URL")
    (found,) = workloads.of_pods(_up().community, "", [crashing], NOW)
    assert found.message.startswith("Deployment c-mail: container mail crashes (exit code 2: a setting is not usable")


def test_rotated_password_rolls_the_workers_and_the_api() -> None:
    wanted = community(mail=MAIL)
    before, after = (
        pod_templates(children(wanted, digests)) for digests in (AllDigests(), AllDigests({("mail", "url"): "rotated"}))
    )
    assert {name for name in before if before[name] != after[name]} == {
        *("Deployment c-api-base", "Deployment c-api-burst", "Deployment c-mail")
    }
