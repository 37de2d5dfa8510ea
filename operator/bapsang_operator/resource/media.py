"""`spec.media` of a Community: the workers that make the sizes in which photos are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from bapsang_operator.resource.declare import of, validations
from bapsang_operator.resource.nodes import integer
from bapsang_operator.resource.pods import template
from bapsang_operator.resource.shared import Resources, ordered_replicas


@validations(ordered_replicas())
@dataclass(frozen=True)
class Media:
    """The workers that make the sizes in which photos are shown. They run only with spec.storage."""

    min_replicas: Annotated[
        int, integer("Fewest workers. At least 1: an autoscaler on CPU cannot leave zero.", 1, 100, default=1)
    ]
    max_replicas: Annotated[
        int, integer("Most workers. A worker handles one photo at a time, on one core.", 1, 100, default=3)
    ]
    resources: Annotated[
        Resources,
        of(
            Resources,
            "Compute resources of a worker. Below 1280Mi of memory, the largest photos end it.",
            requests={"cpu": "250m", "memory": "320Mi"},
            limits={"memory": "1280Mi"},
        ),
    ]
    pod_template: Annotated[Mapping[str, Any], template(("media",), ("/etc/bapsang/database-ca",), ("database-ca",))]
