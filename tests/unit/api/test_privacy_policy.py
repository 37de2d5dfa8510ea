"""Every period that the privacy policy states is the one that the code keeps, and each is stated where the text says a time."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_api.auth import cookies, secrets
from bapsang_api.auth import service as auth
from bapsang_api.auth.links.issue import KEPT
from bapsang_api.http import idempotency, ratelimit
from bapsang_api.kit.security import tokens
from bapsang_api.mail import outbox
from bapsang_api.mail.letters import LINK_LIFETIME
from bapsang_api.privacy import retention, service
from bapsang_api.settings import Settings
from bapsang_api.uploads import collector, rules, s3
from bapsang_api.users import consent
from bapsang_api.users import service as users

AWS = Path(__file__).parents[3] / "manifests" / "aws"
DAY = timedelta(days=1)
UNITS = {
    "분": timedelta(minutes=1),
    "시간": timedelta(hours=1),
    "일": DAY,
    "개월": timedelta(days=30.66),
    "년": timedelta(days=365),
}
#: What the operator of a community promises and no code can keep.
PROMISED = {"answer": 10 * DAY, "breach": timedelta(hours=72), "notice": 7 * DAY, "grave": 30 * DAY}


def aws(name: str) -> Any:
    """Return a template with its short forms of functions left out."""

    class Loader(yaml.SafeLoader):
        """Knows no function."""

    Loader.add_multi_constructor("!", lambda *_: None)
    return yaml.load((AWS / name).read_text(), Loader)  # noqa: S506 - it derives from the safe one


def edge_minutes() -> timedelta:
    """Return after how long an alarm says that the edge was not purged, with as much again for the invalidation itself."""
    alarm = aws("80-observability.yaml")["Resources"]["RemovalEventsAge"]["Properties"]
    window = aws("60-upload-api.yaml")["Resources"]["PurgeEvents"]["Properties"]["MaximumBatchingWindowInSeconds"]
    assert window <= 60
    return 2 * timedelta(seconds=alarm["Threshold"])


def media(rule: str) -> Any:
    bucket = aws("50-media.yaml")["Resources"]["Media"]["Properties"]
    return next(one for one in bucket["LifecycleConfiguration"]["Rules"] if one["Id"] == rule)


def periods() -> dict[str, timedelta]:
    """Return what the code keeps, by the names in the text."""
    photos = aws("70-edge.yaml")["Resources"]["Photos"]["Properties"]["CachePolicyConfig"]
    assert (
        photos["MaxTTL"] <= DAY.total_seconds() < s3.CACHED_SECONDS
    )  # what was taken down is gone there whatever fails
    assert media("erasures")["ExpirationInDays"] * DAY == retention.ERASURES_KEPT
    return {
        "words": retention.WORDS_KEPT,
        "news": retention.NEWS_KEPT,
        "reports": retention.REPORTS_KEPT,
        "access": retention.ACCESS_KEPT,
        "mail": retention.MAIL_KEPT,
        "bounce": outbox.MARK_KEPT,
        "audit": retention.AUDIT_KEPT,
        "erasures": retention.ERASURES_KEPT,
        "traces": users.TRACES_KEPT,
        "session": secrets.REFRESH_LIFETIME,
        "proof": LINK_LIFETIME,
        "proofs": KEPT,
        "unverified": auth.UNVERIFIED_KEPT,
        "token": tokens.LIFETIME,
        "device": timedelta(seconds=cookies.DEVICE_SECONDS),
        "limits": timedelta(seconds=ratelimit.LONGEST_SECONDS),
        "idempotency": timedelta(seconds=idempotency.KEPT_SECONDS),
        "originals": timedelta(days=Settings().originals_days),
        "uploads": timedelta(hours=collector.GRACE_HOURS),
        "export": service.EXPORT_KEPT,
        "link": timedelta(seconds=rules.URL_SECONDS),
        "browser": timedelta(seconds=s3.CACHED_SECONDS),
        "edge": edge_minutes(),
        "versions": media("old-versions")["NoncurrentVersionExpiration"]["NoncurrentDays"] * DAY,
        "backups": aws("00-root.yaml")["Parameters"]["BackupDays"]["MaxValue"] * DAY,
        **PROMISED,
    }


class Policy(HTMLParser):
    """The text of the policy, and the periods that are marked in it."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: list[tuple[str, str]] = []
        self.unmarked = ""
        self._name: str | None = None
        text = files("bapsang_api.terms").joinpath("pages", "privacy-policy.html").read_text("utf-8")
        self.feed(text.replace("${originals}", str(Settings().originals_days)))

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._name = dict(attrs).get("data-period")

    def handle_endtag(self, _tag: str) -> None:
        self._name = None

    def handle_data(self, data: str) -> None:
        if self._name:
            self.marked.append((self._name, data))
        else:
            self.unmarked += data


@pytest.mark.parametrize("marked", sorted(set(Policy().marked)), ids=str)
def test_period_is_the_one_that_the_code_keeps(marked: tuple[str, str]) -> None:
    name, text = marked
    number, unit = re.fullmatch(r"(\d+)(분|시간|일|개월|년|세)", text).groups()  # type: ignore[union-attr]
    if unit == "세":
        assert (name, int(number)) == ("age", consent.LEAST_AGE)
    else:
        assert int(number) * UNITS[unit] == pytest.approx(periods()[name], abs=timedelta(hours=1))


def test_the_policy_states_every_period_and_no_other() -> None:
    policy = Policy()
    assert {name for name, _ in policy.marked} == periods().keys() | {"age"}
    dated = re.sub(r"\d{4}년 \d+월 \d+일", "", policy.unmarked)
    assert re.findall(r"\d+\s*(?:분|시간|일|개월|년|세)(?!\w)", dated) == []
