"""The Community resource, pure: one typed class for each part of the spec, from which all else comes: the CRD with its
rules and defaults, the operator's own validation, the reference table of the docs, and the view that builders read."""

from bapsang_operator.resource.api import Keda, Spot
from bapsang_operator.resource.community import SPEC, Community, parse, validate, with_defaults
from bapsang_operator.resource.core import Violation
from bapsang_operator.resource.crd import custom_resource_definition
from bapsang_operator.resource.estate import Budget, Estate
from bapsang_operator.resource.gateway import Gateway, ParentRef
from bapsang_operator.resource.mail import Mail
from bapsang_operator.resource.scaling import Window
from bapsang_operator.resource.shared import CaBundle, Resources, SecretRef, Volume
from bapsang_operator.resource.status import STATUS
from bapsang_operator.resource.storage import Originals

__all__ = [
    "SPEC",
    "STATUS",
    "Budget",
    "CaBundle",
    "Community",
    "Estate",
    "Gateway",
    "Keda",
    "Mail",
    "Originals",
    "ParentRef",
    "Resources",
    "SecretRef",
    "Spot",
    "Violation",
    "Volume",
    "Window",
    "custom_resource_definition",
    "parse",
    "validate",
    "with_defaults",
]
