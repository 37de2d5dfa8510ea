"""How API containers and mail workers find the mail server: the secret behind its URL, and the environment."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import pod
from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import Community, SecretRef


def secrets(community: Community) -> list[SecretRef]:
    """Return where the URL of the mail server is; nothing without mail, and where the spec spells it out."""
    mail = community.mail
    return [] if mail is None or mail.secret_ref is None else [mail.secret_ref]


def env(community: Community) -> list[Manifest]:
    """Return the variables that name the mail server and whom letters come from; none without mail. Optional: an image
    that sends none does not know them."""
    mail = community.mail
    if mail is None:
        return []
    name = f"{names.OPTIONAL}BAPSANG_SMTP_URL"
    server = (
        {"name": name, "value": mail.url}
        if mail.secret_ref is None
        else pod.secret_env(name, mail.secret_ref.name, mail.secret_ref.key)
    )
    return [server, {"name": f"{names.OPTIONAL}BAPSANG_MAIL_FROM", "value": mail.sender}]
