"""The CustomResourceDefinition. `charts/bapsang-operator/crds/` holds the printed form (`bapsang-operator crd`); a test
keeps the two equal."""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator import names
from bapsang_operator.resource.community import SPEC
from bapsang_operator.resource.status import STATUS

#: `metadata.name`: what every child can bear.
NAME: Final = {"type": "string", "maxLength": names.MAX_NAME, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}

_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether users are being served."),
    ("URL", "string", ".status.url", "Where users reach the community."),
    ("Base", "integer", ".status.replicas.base", "Ready pods of the base tier."),
    ("Burst", "integer", ".status.replicas.burst", "Ready pods of the burst tier."),
    ("Image", "string", ".status.image", "Image that serves; spec.image once it is rolled out."),
    ("Cost/mo", "string", ".status.cost.monthlyUSD", "USD a month of spec.estate."),
    ("Age", "date", ".metadata.creationTimestamp", "Age of the resource."),
)


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition `communities.bapsang.dev`."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": ["bap"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": column, "type": kind, "jsonPath": path, "description": description}
                        for column, kind, path, description in _COLUMNS
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A food-photo community: API, Redis, database, jobs and its way in.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object", "properties": {"name": NAME}},
                                "spec": SPEC,
                                "status": STATUS,
                            },
                        }
                    },
                }
            ],
        },
    }
