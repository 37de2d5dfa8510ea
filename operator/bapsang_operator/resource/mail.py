"""`spec.mail` of a Community: the mail server that takes letters to users, and the workers that hand them to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from bapsang_operator.resource.core import rule
from bapsang_operator.resource.declare import Wire, of, validations
from bapsang_operator.resource.nodes import PORT, integer, matches, rules, text
from bapsang_operator.resource.pods import template
from bapsang_operator.resource.shared import CaBundle, Resources, SecretRef

#: A host that only a cluster knows: nobody in between can read along.
_NEAR: Final = r"([a-z0-9-]+|[a-z0-9.-]+[.]svc([.]cluster[.]local)?)"
_PLAIN: Final = "?tls=none"


@validations(
    rule(
        "has(self.url) != has(self.secretRef)",
        lambda value, _old: ("url" in value) != ("secretRef" in value),
        "mail needs exactly one of url and secretRef",
        ".secretRef",
    ),
    rule(
        f"!has(self.caBundle) || !has(self.url) || !self.url.endsWith('{_PLAIN}')",
        lambda value, _old: "caBundle" not in value or not value.get("url", "").endswith(_PLAIN),
        "caBundle verifies nothing where the URL says tls=none",
        ".caBundle",
    ),
)
@dataclass(frozen=True)
class Mail:
    """Letters to users: links that verify an address or set a new password, and what must reach them. Without it there
    is no mail."""

    sender: Annotated[
        str,
        text(
            "Address that letters come from and that servers return them to, such as no-reply@community.example.com.",
            254,
            **rules(
                matches(
                    r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,188}$",
                    "must be an address alone, such as no-reply@community.example.com",
                )
            ),
        ),
        Wire("from"),
    ]
    url: Annotated[
        str | None,
        text(
            "URL of the mail server, without a password: smtp://host:587 (STARTTLS, which is required) or "
            "smtps://host:465 (TLS). A server in the cluster may do without: smtp://host:1025?tls=none.",
            300,
            **rules(
                matches(
                    rf"^(smtps?://[a-z0-9][a-z0-9.-]*(:{PORT})?|smtp://{_NEAR}(:{PORT})?[?]tls=none)$",
                    "must be smtp://host:587 or smtps://host:465, or smtp://host:port?tls=none of a server in the "
                    "cluster (a name without dots, or ending in .svc); put a URL with a password into a Secret and "
                    "name it in secretRef",
                )
            ),
        ),
    ]
    secret_ref: Annotated[
        SecretRef | None,
        of(
            SecretRef,
            "Secret that holds the URL of the mail server with user and password. Ports 465 and 587 are open to the "
            "workers, any other by networkPolicy.extraEgress.",
            key="url",
        ),
    ]
    ca_bundle: CaBundle | None
    replicas: Annotated[
        int, integer("Workers. One sends a letter at a time; a second is for large communities.", 1, 10, default=1)
    ]
    resources: Annotated[
        Resources,
        of(
            Resources,
            "Compute resources of a worker.",
            requests={"cpu": "20m", "memory": "128Mi"},
            limits={"memory": "256Mi"},
        ),
    ]
    pod_template: Annotated[
        Mapping[str, Any],
        template(
            ("mail",),
            ("/var/run/secrets/bapsang", "/etc/bapsang/database-ca", "/etc/bapsang/mail-ca"),
            ("signing-key", "database-ca", "mail-ca"),
        ),
    ]
