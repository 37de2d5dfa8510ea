"""A child that a Community should have, and what must have happened before it may change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from bapsang_operator.manifest import Key, Manifest, digest, key_of
from bapsang_operator.resource import SecretRef


class Gate(IntEnum):
    """Steps of a rollout; each implies the ones before it."""

    NOTHING = 0
    #: The embedded database accepts connections (an external one is not observed).
    DATABASE = 1
    #: Redis is up as well and the migration of the new image has completed.
    MIGRATION = 2
    #: The base tier runs the new pod template and is available.
    BASE = 3
    #: Never opens in this pass: what the child depends on could not be read.
    UNREAD = 9


@dataclass(frozen=True)
class Child:
    """One desired child. While `gate` is closed or a secret in `missing` is absent, the live object stays as it is, its
    count of pods and its suspension aside. It is not created before the object that `requires` names."""

    manifest: Manifest
    gate: Gate = Gate.NOTHING
    missing: tuple[SecretRef, ...] = ()
    requires: Key | None = None

    @property
    def key(self) -> Key:
        """Identity of the live object."""
        return key_of(self.manifest)

    @cached_property
    def digest(self) -> str:
        """The hash of the manifest; each pass asks for it several times."""
        return digest(self.manifest)
