"""Tests with operators of their own, which act on everything: the one of all other tests rests meanwhile."""

from __future__ import annotations

import pytest
from tests.integration.operator.process import Operator


@pytest.fixture(autouse=True, scope="module")
def _resting(main_operator: Operator) -> None:
    main_operator.rest()
