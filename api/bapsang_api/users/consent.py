"""What somebody agrees to at sign-up: the documents in the versions in force, and being old enough.

The Personal Information Protection Act, article 22-2, asks for a guardian's consent below the age of fourteen; this community
admits nobody so young. Clients from before it was asked for send nothing, and are recorded as such.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bapsang_api.kit.problem import FieldError, InvalidInput

LEAST_AGE: Final = 14
_OUTDATED: Final = "지금 시행 중인 문서에 동의해야 합니다."
_TOO_YOUNG: Final = f"만 {LEAST_AGE}세 이상만 가입할 수 있습니다."


class Document(StrEnum):
    """What is agreed to."""

    TERMS_OF_SERVICE = "TERMS_OF_SERVICE"
    PRIVACY_POLICY = "PRIVACY_POLICY"
    AGE = "AGE"


@dataclass(frozen=True)
class Consent:
    """A consent as it is given: versions, each the day from which it is in force, and whether old enough."""

    terms_version: str
    privacy_version: str
    is_old_enough: bool


@dataclass(frozen=True)
class Versions:
    """The versions in force."""

    terms: str
    privacy: str

    def recorded(self, consent: Consent | None) -> dict[Document, str | None]:
        """Return what is kept of a consent: the version of each document, None of what was not asked.

        Raises InvalidInput for another version, and for somebody who is too young.
        """
        if consent is None:
            return dict.fromkeys(Document)
        errors = []
        if consent.terms_version != self.terms:
            errors.append(FieldError("consent.termsOfService", _OUTDATED))
        if consent.privacy_version != self.privacy:
            errors.append(FieldError("consent.privacyPolicy", _OUTDATED))
        if not consent.is_old_enough:
            errors.append(FieldError("consent.isFourteenOrOlder", _TOO_YOUNG))
        if errors:
            raise InvalidInput(*errors)
        return {
            Document.TERMS_OF_SERVICE: consent.terms_version,
            Document.PRIVACY_POLICY: consent.privacy_version,
            Document.AGE: f"{LEAST_AGE}+",
        }
