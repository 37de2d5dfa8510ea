"""Secrets: generates those that a Community needs, once, and knows digests of all that its pods read, ConfigMaps too.

They are read by name and never listed or watched, so that the operator's rights stay small. Each is read again after
the resync interval. Their values leave this module as digests only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bapsang_operator import names
from bapsang_operator.build import secret, secrets_read, urls, wiring
from bapsang_operator.build.urls import FaultyUrl, Form
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.planning.plan import Ownership, is_inherited, ownership, reowned
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures
from bapsang_operator.resource import Community, SecretRef

#: Seconds after which no other Secret is created in a pass: the children and the status must have their turn.
_PATIENCE_SECONDS: Final = 10.0


@dataclass
class EnsuredSecrets:
    """Digests of the secret values found that are fit for use; `faulty` are the URLs that are not.

    `foreign` Secrets are somebody else's, `terminating` ones belong to an earlier Community of this name and are about to
    go, `restored` ones were deleted by somebody and have been put back, `adopted` ones had no owner and have one again,
    `retained` ones come from an earlier Community of this name, in `renewed` ones a changed password was copied,
    `withheld` ones wait for that, `failed` ones could not be read or made. `issuer`: of the tokens that a retained key
    has signed.
    """

    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    foreign: list[Key] = field(default_factory=list)
    terminating: list[Key] = field(default_factory=list)
    restored: list[Key] = field(default_factory=list)
    adopted: list[Key] = field(default_factory=list)
    retained: list[Key] = field(default_factory=list)
    renewed: list[Key] = field(default_factory=list)
    withheld: list[Key] = field(default_factory=list)
    failed: dict[Key, Problem] = field(default_factory=dict)
    faulty: list[FaultyUrl] = field(default_factory=list)
    issuer: str | None = None


@dataclass
class _Seen:
    """One Secret as last read; digests of its values are all that the builders need. `faults`: by key, were it a URL.
    `identity`: what of its metadata counts. `copies`: keys of a generated one that must follow its password, or why they
    cannot."""

    at: float
    digests: dict[str, str]
    faults: dict[tuple[str, Form], str]
    whose: Ownership | None
    identity: Manifest
    copies: secret.Content | str


class Secrets:
    """The Secrets of all Communities."""

    def __init__(self, kube: Kube, clock: Callable[[], float], max_age: float) -> None:
        self._kube = kube
        self._clock = clock
        self._max_age = max_age
        # By Community as well: whose a Secret is reads otherwise for each that names it.
        self._seen: dict[tuple[str, Key], _Seen] = {}
        # What was generated stays in memory: a Secret that somebody deletes comes back with the same values, and
        # nobody is logged out, nothing restarts. After a restart of the operator it would be generated afresh.
        self._generated: dict[tuple[str, Key], Manifest] = {}

    async def ensure(self, community: Community, *, create: bool = True) -> EnsuredSecrets:
        """Create what is missing of the generated Secrets, with `create`, and return the digests of all that are there.

        Raises KubeError when no other request would fare better.
        """
        ensured = EnsuredSecrets()
        until = self._clock() + _PATIENCE_SECONDS if create else float("-inf")
        for name, generate in secret.generators(community).items():
            key = Key("Secret", community.namespace, name)
            try:
                await self._ensure(community, key, generate, ensured, until)
            except KubeError as error:
                _fail(ensured, key, error)
        for name in sorted({ref.name for ref in _refs(community)}):
            key = wiring.holder(community, name)
            try:
                seen = await self._read(community, key)
            except KubeError as error:
                _fail(ensured, key, error)
                continue
            ensured.digests.update({(name, field): digest for field, digest in seen.digests.items()})
        await self._refuse(community, ensured)
        return ensured

    async def _ensure(
        self,
        community: Community,
        key: Key,
        generate: Callable[[], secret.Content],
        ensured: EnsuredSecrets,
        until: float,
    ) -> None:
        seen = await self._read(community, key)
        if seen.whose is None and self._clock() < until:
            await self._create(community, key, generate, ensured)
            seen = await self._read(community, key)
            if seen.whose is None:
                # Without the answer's words: an admission webhook was given the values, and may quote them.
                ensured.failed[key] = failures.of_failure(key, "it could not be created")
        match seen.whose:
            case Ownership.OURS:
                if seen.copies:
                    seen = await self._renew(community, key, seen, ensured, until)
                ensured.digests.update({(key.name, field): digest for field, digest in seen.digests.items()})
                ensured.issuer = ensured.issuer or _annotations(seen).get(names.ANNOTATION_ISSUER)
                if self._clock() < until:
                    known = community.first_issuer or ensured.issuer
                    await self._place(replace(community, first_issuer=known), key, seen, ensured)
            case Ownership.EARLIER:
                ensured.terminating.append(key)
            case Ownership.FOREIGN:
                ensured.foreign.append(key)

    async def _place(self, community: Community, key: Key, seen: _Seen, ensured: EnsuredSecrets) -> None:
        """Let a Secret go or stay with its Community, as the spec says."""
        if not seen.identity:
            return
        patch = reowned(community, seen.identity) or {}
        marks = _marks(community, key.name, seen.identity["metadata"])
        if not patch and not marks:
            return
        was_retained = names.LABEL_RETAINED in seen.identity["metadata"].get("labels", {})
        metadata = {"resourceVersion": seen.identity["metadata"]["resourceVersion"]} | patch.get("metadata", {}) | marks
        if await self._merge(key, seen, {"metadata": metadata}, "its owner could not be set", ensured):
            if is_inherited(community, seen.identity):
                ensured.retained.append(key)
            elif patch and not (community.retains or was_retained):
                ensured.adopted.append(key)

    async def _renew(self, community: Community, key: Key, seen: _Seen, ensured: EnsuredSecrets, until: float) -> _Seen:
        """Copy the password of a generated Secret into its other keys and return it as it is then. Until that is done, it
        has no values: a store and its clients would be given different ones."""
        ensured.withheld.append(key)
        none = replace(seen, digests={}, identity={})
        if isinstance(seen.copies, str):
            ensured.faulty.append(FaultyUrl(SecretRef(key.name, "password", ""), seen.copies))
            return none
        data = {name: base64.b64encode(value.encode()).decode() for name, value in seen.copies.items()}
        version = {"resourceVersion": seen.identity["metadata"]["resourceVersion"]}
        patch = {"metadata": version, "data": data}
        failure = "its other keys could not be given the changed password"
        if self._clock() >= until or not await self._merge(key, seen, patch, failure, ensured):
            return none
        ensured.withheld.remove(key)
        ensured.renewed.append(key)
        return await self._read(community, key)

    async def _merge(self, key: Key, seen: _Seen, patch: Manifest, failure: str, ensured: EnsuredSecrets) -> bool:
        """Change a Secret; False, and noted as failed, when that was refused."""
        for known in [known for known in self._seen if known[1] == key]:
            del self._seen[known]  # it is another one now
        try:
            await self._kube.merge(seen.identity, patch)
        except KubeError as error:
            if error.ends_the_pass:
                raise
            # Without the answer's words: an admission webhook was given the values, and may quote them.
            ensured.failed[key] = failures.of_failure(key, failure)
            return False
        return True

    def forget(self, uid: str) -> None:
        """Forget the Secrets of a Community that is gone."""
        for generated in [known for known in self._generated if known[0] == uid]:
            del self._generated[generated]
        for seen in [known for known in self._seen if known[0] == uid]:
            del self._seen[seen]

    async def _refuse(self, community: Community, ensured: EnsuredSecrets) -> None:
        """Take out what holds no usable URL or access key, so that nothing that reads it is changed."""
        for ref, form in wiring.formed(community):
            if (ref.name, ref.key) in ensured.digests:
                seen = await self._read(community, Key("Secret", community.namespace, ref.name))
                if fault := seen.faults.get((ref.key, form)):
                    del ensured.digests[ref.name, ref.key]
                    ensured.faulty.append(FaultyUrl(ref, fault))

    async def _read(self, community: Community, key: Key) -> _Seen:
        known = self._seen.get((community.uid, key))
        if known is not None and self._clock() - known.at < self._max_age:
            return known
        live = await self._kube.get(key)
        values = wiring.values(live)
        seen = _Seen(
            at=self._clock(),
            digests={name: hashlib.sha256(value).hexdigest() for name, value in values.items()},
            faults={
                (name, form): fault
                for name, value in values.items()
                for form in Form
                if (fault := urls.fault(form, value)) is not None
            },
            whose=ownership(community, live) if live is not None else None,
            identity=_identity(live) if live is not None else {},
            copies=_copies(community, key, values),
        )
        if live is not None and seen.whose is Ownership.OURS:
            self._generated[community.uid, key] = live.get("data", {})
        # A missing one is looked for again at once, a found one after a while.
        if live is None:
            self._seen.pop((community.uid, key), None)
        else:
            self._seen[community.uid, key] = seen
        return seen

    async def _create(
        self, community: Community, key: Key, generate: Callable[[], secret.Content], ensured: EnsuredSecrets
    ) -> None:
        """Create a Secret; it counts as restored when it was known before, that is: deleted by somebody. A creation that
        fails, or takes too long, may be the work of one webhook, and hides nothing else."""
        remembered = self._generated.get((community.uid, key))
        if remembered is not None:
            manifest = secret.manifest(community, key.name, {}) | {"data": remembered}
        else:
            # An RSA key takes a good tenth of a second of CPU: not in the event loop.
            manifest = secret.manifest(community, key.name, await asyncio.to_thread(generate))
        try:
            await self._kube.create(manifest)
        except KubeError as error:
            if error.ends_the_pass:
                raise
            return
        if remembered is not None:
            ensured.restored.append(key)


def _refs(community: Community) -> list[SecretRef]:
    return [*secrets_read(community), *wiring.config_maps(community), *wiring.authorities(community)]


def _fail(ensured: EnsuredSecrets, key: Key, error: KubeError) -> None:
    """Note that one Secret could not be read: whatever does not need it goes on. Raises where the apiserver is busy."""
    if error.concerns_all or error.reason == "Timeout":
        raise error
    ensured.failed[key] = failures.of_failure(key, error.message)


def _copies(community: Community, key: Key, values: dict[str, bytes]) -> secret.Content | str:
    try:
        return secret.copies(community, key.name, values)
    except ValueError as error:
        return f"is not the password of the other keys: {error}"


def _identity(live: Manifest) -> Manifest:
    metadata = live["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "labels", "deletionTimestamp")
    found = {name: metadata[name] for name in kept if name in metadata}
    issuer = metadata.get("annotations", {}).get(names.ANNOTATION_ISSUER)
    # No other annotation: `kubectl apply` puts all values of a Secret into one.
    return {"kind": "Secret", "metadata": found | {"annotations": {names.ANNOTATION_ISSUER: issuer} if issuer else {}}}


def _annotations(seen: _Seen) -> Mapping[str, str]:
    found: Mapping[str, str] = seen.identity.get("metadata", {}).get("annotations", {})
    return found


def _marks(community: Community, name: str, live: Manifest) -> Manifest:
    """Return the labels and annotations that a Secret is to be given as one that is retained, or not any more."""
    wanted = secret.metadata(community, name)
    found: Manifest = {}
    uid, issuer = wanted["labels"].get(names.LABEL_RETAINED), wanted.get("annotations", {}).get(names.ANNOTATION_ISSUER)
    if live.get("labels", {}).get(names.LABEL_RETAINED) != uid:
        found["labels"] = {names.LABEL_RETAINED: uid}
    # The issuer is never taken off: until the status has it, nothing else tells it.
    if issuer is not None and live["annotations"].get(names.ANNOTATION_ISSUER) != issuer:
        found["annotations"] = {names.ANNOTATION_ISSUER: issuer}
    return found
