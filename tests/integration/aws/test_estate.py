"""The whole estate in a simulated account: what is declared is created, a second deployment changes nothing, and a
deletion leaves exactly what is to be kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from bapsang_aws import template

from .account import KEPT, Account
from .drive import client

#: What a first production takes; the others differ in conditions that the unit tests render.
NIGHTLY = pytest.mark.nightly("aws")


@pytest.fixture(
    params=[
        ("lean", "false"),
        ("lean", "true"),
        pytest.param(("dev", "false"), marks=NIGHTLY),
        pytest.param(("ha", "false"), marks=NIGHTLY),
    ],
    ids=lambda one: one[0] + "-checks" * (one[1] == "true"),
)
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account with one of the estates deployed, without or with the check function."""
    name, checks = request.param
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-northeast-2")
    with mock_aws():
        made = Account(template.parameters(template.ROOT / f"params/{name}.json") | {"CheckUploads": checks})
        made.deploy()
        yield made


def test_estate_is_created_whole_changed_by_nothing_and_leaves_what_is_kept(account: Account) -> None:
    declared = {one.address: one.type for one in account.estate.resources}
    created = account.created()
    assert {address: kind for address, (kind, _) in created.items()} == declared
    assert [address for address, (kind, identity) in created.items() if not account.lives(kind, identity)] == []

    account.deploy_again()
    assert account.created() == created
    assert [address for address, (kind, identity) in created.items() if not account.lives(kind, identity)] == []

    for one in client("rds").describe_db_instances()["DBInstances"]:
        client("rds").modify_db_instance(DBInstanceIdentifier=one["DBInstanceIdentifier"], DeletionProtection=False)
    account.delete()
    left = {address for address, (kind, identity) in created.items() if account.lives(kind, identity)}
    assert left == {one.address for one in account.estate.resources if one.body.get("DeletionPolicy") == KEPT}
    snapshots = client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    assert [one["DBInstanceIdentifier"] for one in snapshots] == [account.estate.parameters["Name"]]
