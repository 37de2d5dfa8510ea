"""Mail on a real apiserver: workers come with `spec.mail`, wait for its Secret, sleep and go; MailReady tells."""

from __future__ import annotations

from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import BY_NAME

from .client import Client
from .namespace import Namespace
from .process import Operator
from .test_quiet import rounds

DEPLOYMENT, POLICY = ("Deployment", "c-mail"), ("NetworkPolicy", "c-mail")
IN_CLUSTER = {"from": "no-reply@example.com", "url": "smtp://mailpit.mailbox.svc:1025?tls=none"}
BY_SECRET = {"from": "no-reply@example.com", "secretRef": {"name": "smtp"}}


def _secret(namespace: Namespace, url: str) -> None:
    secret = {"metadata": {"name": "smtp", "namespace": namespace.name}, "stringData": {"url": url}}
    Client._ok(namespace.client.create(BY_NAME["Secret"], secret))


def _conditions(namespace: Namespace) -> set[str]:
    found: Any = namespace.get("Community", "c")
    return {one["type"] for one in found["status"]["conditions"]}


def _container(namespace: Namespace) -> Any:
    found: Any = namespace.get(*DEPLOYMENT)
    return found["spec"]["template"]["spec"]["containers"][0]


def test_workers_come_with_mail_sleep_and_go_with_it(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    assert namespace.get(*DEPLOYMENT) is None
    assert "MailReady" not in _conditions(namespace)
    namespace.patch("Community", "c", {"spec": {"mail": IN_CLUSTER}})
    namespace.wait_for("Progressing", "True", "RollingOutBase")
    namespace.finish_rollout("c-api-base")
    namespace.wait_for("Progressing", "True", "RollingOutBurst")
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "True", "RollingOutMail")
    namespace.wait_for("MailReady", "False", "NotAvailable")
    namespace.finish_rollout("c-mail")
    namespace.wait_for("MailReady", "True", "Available", saying=("no-reply@example.com",))
    namespace.settle()
    rounds(operator, 2)
    assert namespace.get(*POLICY) is not None

    namespace.patch("Community", "c", {"spec": {"hibernate": True}})
    eventually(lambda: (namespace.get(*DEPLOYMENT) or {})["spec"]["replicas"] == 0)
    namespace.wait_for("MailReady", "Unknown", "Suspended")
    namespace.patch("Community", "c", {"spec": {"hibernate": False, "mail": None}})
    eventually(lambda: namespace.get(*DEPLOYMENT) is None)
    eventually(lambda: "MailReady" not in _conditions(namespace))
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text


@pytest.mark.usefixtures("operator")
def test_missing_secret_is_told_until_it_is_there(namespace: Namespace) -> None:
    namespace.community(mail=BY_SECRET)
    missing = 'spec.mail.secretRef needs key "url" of secret "smtp"'
    namespace.wait_for("Degraded", "True", "SecretMissing", saying=(missing,))
    namespace.wait_for("MailReady", "False", "NoCredentials", saying=("spec.mail.secretRef",))
    assert namespace.get(*DEPLOYMENT) is None
    _secret(namespace, "smtp://user:Wonder%40land@mail.example.com:587")
    namespace.bring_up()
    namespace.wait_for("MailReady", "True", "Available")
    assert namespace.condition("Degraded")["status"] == "False"
    env = {one["name"]: one for one in _container(namespace)["env"]}
    assert env["OPTIONAL_BAPSANG_SMTP_URL"]["valueFrom"] == {"secretKeyRef": {"name": "smtp", "key": "url"}}
    assert "Wonder" not in str(namespace.get("Community", "c"))


@pytest.mark.usefixtures("operator")
def test_letters_that_wait_are_told_while_users_are_served(namespace: Namespace) -> None:
    namespace.community(mail=IN_CLUSTER)
    namespace.bring_up()
    namespace.wait_for("MailReady", "True", "Available")
    lacking = {
        "type": "Available",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "m",
        "lastUpdateTime": "2026-11-23T10:00:00Z",
        "lastTransitionTime": "2026-11-23T10:00:00Z",
    }
    none = {"availableReplicas": 0, "readyReplicas": 0, "unavailableReplicas": 1, "conditions": [lacking]}
    namespace.patch(*DEPLOYMENT, {"status": none}, "/status")
    namespace.wait_for("MailReady", "False", "NotAvailable", saying=("15 minutes",))
    namespace.wait_for("Degraded", "True", "MailUnavailable", saying=("Deployment c-mail: no pod is ready",))
    assert namespace.condition("Ready")["status"] == "True"
    namespace.patch(*DEPLOYMENT, {"status": {"conditions": None, "unavailableReplicas": None}}, "/status")
    namespace.finish_rollout("c-mail")
    namespace.wait_for("MailReady", "True", "Available")
    namespace.wait_for("Degraded", "False")
