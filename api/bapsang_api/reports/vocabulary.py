"""The words of reports: reasons, states, kinds of what is reported."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something is reported."""

    SPAM = "SPAM"
    ABUSE = "ABUSE"
    SEXUAL = "SEXUAL"
    VIOLENCE = "VIOLENCE"
    PRIVACY = "PRIVACY"
    COPYRIGHT = "COPYRIGHT"
    OTHER = "OTHER"


class ReportStatus(StrEnum):
    """What became of a report."""

    OPEN = "OPEN"
    RESOLVED = "RESOLVED"
    DISMISSED = "DISMISSED"


class TargetKind(StrEnum):
    """What is reported."""

    POST = "POST"
    COMMENT = "COMMENT"
