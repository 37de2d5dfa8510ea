"""What the spec asks for and cannot be had: Secrets, names, windows, KEDA, time to drain. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bapsang_operator.build import ingress, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.build.urls import FaultyUrl
from bapsang_operator.manifest import Key
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community, SecretRef


def missing_secrets(children: Iterable[Child]) -> list[SecretRef]:
    """Return the missing secrets of all children, each once."""
    return list({(ref.name, ref.key): ref for child in children for ref in child.missing}.values())


def of_secrets(community: Community, missing: Iterable[SecretRef]) -> list[Problem]:
    """Return a problem for each missing secret or key of one."""
    return [
        Problem(
            Reason.SECRET_MISSING,
            f'{community}: {ref.field or "the operator"} needs key "{ref.key}" of {_holder(ref)}, which does not '
            f"exist in namespace {community.namespace}. Create it; what runs is left as it is until then.",
        )
        for ref in missing
    ]


def _holder(ref: SecretRef) -> str:
    name = ref.name.removeprefix(wiring.CONFIG_MAP)
    return f'secret "{name}"' if name == ref.name else f'ConfigMap "{name}"'


def of_faulty(community: Community, found: Iterable[FaultyUrl]) -> list[Problem]:
    """Return a problem for each Secret whose URL is refused by its form. The URL itself appears nowhere."""
    return [
        Problem(
            Reason.SECRET_INVALID,
            f'{community}: key "{fault.ref.key}" of secret "{fault.ref.name}" ({fault.ref.field or "generated"}) '
            f"{fault.text}. Correct it; what runs is left as it is until then.",
        )
        for fault in found
    ]


def of_foreign(community: Community, keys: Iterable[Key]) -> list[Problem]:
    """Return a problem for each object that has a child's name but is not ours."""
    return [
        Problem(
            Reason.FOREIGN_OBJECT,
            f'{key.kind} "{key.name}" in namespace {key.namespace} does not belong to {community} and is left alone. '
            "Rename or delete it, or give the Community another name.",
        )
        for key in keys
    ]


def of_windows(faults: Iterable[str]) -> list[Problem]:
    """Return a problem for each window of spec.prewarm that never opens."""
    return [Problem(Reason.WINDOW_NEVER_OPENS, f"spec.prewarm: {fault}. Correct it.") for fault in faults]


def of_keda(lacking: str) -> Problem:
    """Return the problem of a Community that asks for KEDA, which cannot be used."""
    return Problem(
        Reason.KEDA_MISSING, f"spec.api.autoscaling.keda: {lacking}. Until then the burst tier follows CPU alone."
    )


def of_drain(community: Community) -> list[Problem]:
    """Return the problem of pods that end while their load balancer may still send to them."""
    drain, needed = community.api.drain_seconds, ingress.seconds_until_silent(community)
    if drain >= needed:
        return []
    return [
        Problem(
            Reason.DRAIN_TOO_SHORT,
            f"spec.api.drainSeconds is {drain}, but the load balancer may send to a pod for {needed} s after its deletion "
            f"began, so requests can fail at every rollout. Lower {ingress.DEREGISTRATION_DELAY} in annotation "
            f"{ingress.ATTRIBUTES} of spec.ingress, or set spec.api.drainSeconds to at least {needed}.",
        )
    ]
