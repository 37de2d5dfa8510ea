"""MailReady: letters reach the mail server in time. Only with spec.mail. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bapsang_operator import names
from bapsang_operator.build.child import Child
from bapsang_operator.build.wiring import holder
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.planning.progress import Tier
from bapsang_operator.resource import Community


def condition(community: Community, tier: Tier | None, held: Iterable[Child]) -> Condition | None:
    """Return the condition; None without spec.mail. `tier`: the workers, None when the image has none; `held`: the
    children that are not applied yet."""
    if community.mail is None:
        return None
    name = names.mail(community.name)
    missing = next((ref for child in held if child.key.name == name for ref in child.missing), None)
    if missing is not None:
        key = holder(community, missing.name)
        return Condition(
            "False",
            Reason.NO_CREDENTIALS,
            f'{missing.field or "The operator"} needs key "{missing.key}" of {key.kind} "{key.name}", which does not exist '
            "or holds nothing usable: see Degraded.",
        )
    if community.hibernate:
        return Condition("Unknown", Reason.SUSPENDED, "spec.hibernate is set: letters wait in the database.")
    if tier is None:
        return Condition(
            "False", Reason.NOT_AVAILABLE, f"Image {community.image} sends no mail: it has no such command."
        )
    if tier.available:
        return Condition("True", Reason.AVAILABLE, f"Letters are sent as {community.mail.sender}.")
    return Condition(
        "False",
        Reason.NOT_AVAILABLE,
        f"Deployment {name}: no pod is ready, because none runs, or letters have waited for the mail server for longer "
        f"than 15 minutes. None is lost. Read kubectl -n {community.namespace} logs deployment/{name}.",
    )
