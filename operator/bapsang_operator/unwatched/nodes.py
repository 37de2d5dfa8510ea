"""Labels of the nodes that pods run on, read one by one and remembered: nodes are neither listed nor watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.manifest import Manifest

#: What the clocks of apiserver and operator may differ by.
_SKEW: Final = timedelta(seconds=60)
#: Names that are remembered; beyond, all are forgotten and read again.
_MOST: Final = 1000


class Nodes:
    """Reads a node once for all pods that are older than the reading.

    A pod never moves, and a node that took the name of an earlier one has none but new pods: so what is known holds for
    the pods that were there, and a newer pod is asked about anew.
    """

    def __init__(self, kube: Kube, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._now = now
        self._known: dict[str, tuple[datetime, Mapping[str, str]]] = {}

    async def labels(self, pods: Iterable[Manifest]) -> dict[str, Mapping[str, str]]:
        """Return the labels of the pods' nodes by name, without the nodes that could not be read. Raises KubeError when
        no other request would fare better."""
        found: dict[str, Mapping[str, str]] = {}
        newest: dict[str, datetime] = {}
        for pod in pods:
            name, created = pod["spec"]["nodeName"], datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            newest[name] = max(created, newest.get(name, created))
        for name, created in newest.items():
            known = self._known.get(name)
            if known is None or created + _SKEW > known[0]:
                try:
                    known = (self._now(), await self._kube.node_labels(name))
                except KubeError as error:
                    if error.ends_the_pass:
                        raise
                    continue
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[name] = known
            found[name] = known[1]
        return found
