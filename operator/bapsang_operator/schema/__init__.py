"""The schema of the Community resource: the one source of the CRD's file and of the operator's own validation."""

from bapsang_operator.schema.community import SPEC, custom_resource_definition
from bapsang_operator.schema.core import Violation, pruned, validate, with_defaults

__all__ = ["SPEC", "Violation", "custom_resource_definition", "pruned", "validate", "with_defaults"]
