"""Wire shapes of moderation."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bapsang_api.http.validation import text_between
from bapsang_api.http.wire import Wire

Reason = Annotated[
    str, AfterValidator(text_between(1, 500)), Field(json_schema_extra={"minLength": 1, "maxLength": 500})
]


class Act(Wire):
    """Why an administrator acts; kept in the audit log."""

    reason: Reason | None = None
