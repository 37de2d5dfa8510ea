"""Wire shapes of reports."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bapsang_api.http.paging import Cursor
from bapsang_api.http.validation import empty_as_absent, text_between
from bapsang_api.http.wire import Wire
from bapsang_api.reports.vocabulary import Reason, ReportStatus, TargetKind

Detail = Annotated[
    str,
    AfterValidator(text_between(1, 500)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 500}, examples=["같은 광고를 여러 번 올립니다."]),
]


class ReportCreate(Wire):
    """Why something should not be there."""

    reason: Reason
    detail: Annotated[Detail | None, BeforeValidator(empty_as_absent)] = None


class Reporter(Wire):
    """Who reports."""

    user_id: str
    nickname: str


class ReportedTarget(Wire):
    """What is reported; `text` is the title of a post, or a comment as it is now."""

    kind: TargetKind
    id: str
    post_id: str
    author_id: str
    text: str


class ReportItem(Wire):
    """A report as administrators see it."""

    report_id: str
    reason: Reason
    detail: str | None
    status: ReportStatus
    created_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
    closed_at: str | None
    reporter: Reporter
    target: ReportedTarget


class ReportPage(Wire):
    """A page of reports, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[ReportItem]
    next_cursor: Cursor | None
    has_more: bool
