"""The cluster as the plugin sees it, by the official client and the rights of whoever calls it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import DynamicApiError, ForbiddenError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from bapsang_operator import names
from bapsang_operator.build import wiring
from bapsang_operator.kinds import BY_NAME, HTTP_ROUTE, SCALED_OBJECT, WATCHED, Kind
from bapsang_operator.manifest import Key, Manifest, key_of

#: Whatever a request to the apiserver may end with.
ERRORS = (ApiException, DynamicApiError, ConfigException, HTTPError)


class Cluster:
    """Requests in the current context of the kubeconfig. Every method may raise one of `ERRORS`."""

    def __init__(self, context: str | None, namespace: str | None) -> None:
        loaded = config.new_client_from_config(context=context)  # type: ignore[no-untyped-call]
        # At once: whoever calls this can call it again, and the library would print each failed try.
        loaded.configuration.retries = False
        loaded.rest_client = RESTClientObject(loaded.configuration)
        self._client = DynamicClient(loaded)  # type: ignore[no-untyped-call]
        self.namespace = namespace or _namespace(context)

    def get(self, kind: Kind, name: str) -> Manifest:
        """Return one object."""
        found: Manifest = self._resource(kind).get(name=name, namespace=self.namespace).to_dict()
        return found

    def children(self, community: str) -> dict[Key, Manifest]:
        """Return everything that carries the label of a Community, pods too."""
        found: dict[Key, Manifest] = {}
        for kind in WATCHED:
            found |= self._labelled(kind, community)
        # Not every cluster has KEDA or the Gateway API, nor everybody rights on what they bring.
        for kind in (SCALED_OBJECT, HTTP_ROUTE):
            with contextlib.suppress(ResourceNotFoundError, ForbiddenError):
                found |= self._labelled(kind, community)
        return found

    def _labelled(self, kind: Kind, community: str) -> dict[Key, Manifest]:
        selector = f"{names.LABEL_COMMUNITY}={community}"
        items = self._resource(kind).get(namespace=self.namespace, label_selector=selector).to_dict()["items"]
        complete = ({**item, "apiVersion": kind.api_version, "kind": kind.name} for item in items)
        return {key_of(item): item for item in complete}

    def digests(self, holders: Mapping[str, Key]) -> dict[tuple[str, str], str]:
        """Return digests of the values in Secrets and ConfigMaps, as the operator computes them; a missing one is left
        out."""
        found: dict[tuple[str, str], str] = {}
        for name, holder in holders.items():
            try:
                live = self.get(BY_NAME[holder.kind], holder.name)
            except (ApiException, DynamicApiError) as error:
                if error.status != 404:
                    raise
                continue
            for key, value in wiring.values(live).items():
                found[name, key] = hashlib.sha256(value).hexdigest()
        return found

    def patch(self, kind: Kind, name: str, patch: Manifest) -> None:
        """Change an object by a merge patch."""
        self._resource(kind).patch(
            name=name, namespace=self.namespace, body=patch, content_type="application/merge-patch+json"
        )

    def create(self, kind: Kind, manifest: Manifest) -> str:
        """Create an object and return its name."""
        made: Any = self._resource(kind).create(body=manifest, namespace=self.namespace)
        return str(made.metadata.name)

    def events(self, community: str) -> list[Manifest]:
        """Return the Events about a Community, the oldest first."""
        selector = f"involvedObject.kind={names.KIND},involvedObject.name={community}"
        found: list[Manifest] = (
            self._resource(BY_NAME["Event"]).get(namespace=self.namespace, field_selector=selector).to_dict()["items"]
        )
        return sorted(found, key=lambda event: str(event.get("lastTimestamp")))

    def _resource(self, kind: Kind) -> Any:
        return self._client.resources.get(api_version=kind.api_version, kind=kind.name)


def _namespace(context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    chosen = next((one for one in contexts if one["name"] == context), active)
    return str(chosen["context"].get("namespace") or "default")


def error_text(error: Exception, namespace: str | None = None) -> str:
    """Return what the apiserver said, or that it cannot be reached, in one line."""
    if isinstance(error, client.ApiException | DynamicApiError):
        summary = getattr(error, "summary", None)
        said = " ".join(str(summary() if callable(summary) else error.reason).split())
        where = f' in namespace "{namespace}"; -n chooses another' if error.status == 404 and namespace else ""
        return said + where
    if isinstance(error, HTTPError):
        return f"the apiserver cannot be reached: {error}"
    return str(error)
