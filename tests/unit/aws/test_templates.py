"""The templates are valid CloudFormation, refuse what is out of range, and hand on what a Community needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.config import ConfigMixIn
from cfnlint.match import Match
from cfnlint.runner import Runner

from bapsang_aws import __main__, template
from bapsang_aws.render import RefusedError, render

TEMPLATES = template.load_all()
FILES = sorted(template.ROOT.glob("[0-9]*.yaml"))
LEAN = template.parameters(template.ROOT / "params/lean.json")


def _lint(*templates: Path, parameters: list[Path] | None = None) -> list[Match]:
    """Lint within this process: a linter of its own for each question spends most of its time on starting."""
    sets = {"parameter_files": list(map(str, parameters))} if parameters else {}
    return list(Runner(ConfigMixIn(regions=["ap-northeast-2"], templates=list(map(str, templates)), **sets)).run())


def test_templates_pass_the_linter(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("Resources: {Queue: {Type: AWS::SQS::Queue, Properties: {Colour: red}}}")
    found = _lint(*FILES, wrong)  # the linter must find what is wrong, and nothing else
    assert [(match.filename, match.rule.id) for match in found] == [(str(wrong), "E3002")], found


def test_sets_of_parameters_pass_the_linter(tmp_path: Path) -> None:
    sets = sorted((template.ROOT / "params").glob("*.json"))
    assert [path.stem for path in sets] == ["dev", "ha", "lean"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(sets[1].read_text().replace('"production"', '"productoin"'))
    found = _lint(template.ROOT / template.MAIN, parameters=[*sets, wrong])
    assert [(match.filename, match.rule.id) for match in found] == [(str(wrong), "E2900")], found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BaseInstanceType": "t3.medium"}, "BaseInstanceType: must be one of t4g.medium"),
        ({"DatabaseClass": "db.m5.large"}, "DatabaseClass: must be one of"),
        ({"DatabaseVersion": "8.0.46"}, "DatabaseVersion: must be one of"),
        ({"EgressMode": "internet"}, "EgressMode: must be one of endpoints"),
        ({"BaseNodes": "0"}, "BaseNodes: must be from 1 to 20"),
        ({"BaseNodes": "two"}, "BaseNodes: must be a whole number"),
        ({"AdminCidrs": "0.0.0.0/0"}, "AdminCidrs: must be networks of at most 65,536 addresses"),
        ({"AdminCidrs": "203.0.113.0/24,0.0.0.0/0"}, "AdminCidrs: "),
        ({"SiteOrigins": "*"}, "SiteOrigins: must be origins"),
        ({"VpcCidr": "8.8.0.0/16"}, "VpcCidr: must be a private /16"),
        ({"VpcCidr": "172.32.0.0/16"}, "VpcCidr: must be a private /16"),
        ({"VpcCidr": "192.0.0.0/16"}, "VpcCidr: must be a private /16"),
        ({"VpcCidr": "10.256.0.0/16"}, "VpcCidr: must be a private /16"),
        ({"EdgeCertificateArn": "arn:aws:acm:ap-northeast-2:111122223333:certificate/x"}, "EdgeCertificateArn: "),
        ({"Issuer": "http://auth.example.com"}, "Issuer: "),
        ({"AlarmEmail": ""}, "AlarmEmail: "),
        ({"Zone": "a"}, "Zone: no such parameter"),
        ({"ZoneB": "ap-northeast-2a"}, "ZoneA and ZoneB must be different zones"),
        ({"DatabaseMultiAz": "false"}, "Stage production needs DatabaseMultiAz: true"),
        ({"CacheNodes": "1"}, "Stage production needs CacheNodes: 2"),
        ({"BaseNodes": "1"}, "Stage production needs BaseNodes: 2 or more"),
        ({"HostedZoneId": ""}, "Domain needs HostedZoneId"),
        ({"UploadCodeKey": ""}, "UploadApi: enabled needs UploadCodeKey"),
        ({"CheckUploads": "true", "UploadApi": "disabled"}, "CheckUploads: true needs UploadApi: enabled"),
    ],
)
def test_parameter_out_of_range_is_refused_by_the_template(changes: dict[str, str], message: str) -> None:
    with pytest.raises(RefusedError, match="^" + message.replace("(", r"\(")):
        render(TEMPLATES, LEAN | changes)


def _outside(rule: dict[str, Any]) -> list[str]:
    """Return values that a parameter must not take, by its own limits."""
    if "AllowedValues" in rule:
        return ["no such value", *([] if "" in rule["AllowedValues"] else [""])]
    if rule["Type"] == "Number":
        return [str(rule["MinValue"] - 1), str(rule["MaxValue"] + 1), "1.5", "many", ""]
    return ["two words \n"]


# Their type makes CloudFormation ask EC2 whether there is such a zone.
@pytest.mark.parametrize("name", sorted(set(TEMPLATES[template.MAIN]["Parameters"]) - {"ZoneA", "ZoneB"}))
def test_every_parameter_has_limits_and_the_template_refuses_what_is_outside(name: str) -> None:
    for value in _outside(TEMPLATES[template.MAIN]["Parameters"][name]):
        with pytest.raises(RefusedError, match=f"^{name}: "):
            render(TEMPLATES, LEAN | {name: value})


@pytest.mark.parametrize("name", ["dev", "ha", "lean"])
def test_sets_have_no_check_function(name: str) -> None:
    chosen = template.parameters(template.ROOT / f"params/{name}.json")
    assert chosen.get("CheckUploads", TEMPLATES[template.MAIN]["Parameters"]["CheckUploads"]["Default"]) == "false"


def test_check_function_adds_its_own_resources_and_changes_only_the_bucket() -> None:
    without = {one.address: one.properties for one in render(TEMPLATES, LEAN).resources}
    checked = {one.address: one.properties for one in render(TEMPLATES, LEAN | {"CheckUploads": "true"}).resources}
    assert sorted(checked.keys() - without.keys()) == [
        "Media.UploadEvents",
        "Media.UploadEventsDeadLetters",
        "Media.UploadEventsPolicy",
        "Observability.UploadEventsAge",
        "Observability.UploadEventsDead",
        "UploadApiStack.Check",
        "UploadApiStack.CheckEvents",
        "UploadApiStack.CheckLogs",
        "UploadApiStack.CheckRole",
    ]
    assert [address for address, properties in without.items() if checked[address] != properties] == ["Media.Media"]
    sent = without["Media.Media"]["NotificationConfiguration"]["QueueConfigurations"]
    assert [one["Event"] for one in sent] == ["s3:ObjectRemoved:*"]


def test_missing_parameter_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="Stage: is required"):
        render(TEMPLATES, {name: value for name, value in LEAN.items() if name != "Stage"})


def test_every_parameter_does_something() -> None:
    for file, body in TEMPLATES.items():
        text = (template.ROOT / file).read_text()
        for name in body.get("Parameters", {}):
            assert f"!Ref {name}" in text or f"${{{name}" in text, f"{file}: {name}"


def test_outputs_are_what_the_sample_community_takes() -> None:
    """Whoever applies the sample only replaces `111122223333` by the account and `example.com` by the domain."""
    sample = list(yaml.safe_load_all((template.ROOT.parent / "samples/community-eks.yaml").read_text()))
    spec = next(one for one in sample if one["kind"] == "Community")["spec"]
    outputs = render(TEMPLATES, LEAN).outputs
    media = next(one for one in render(TEMPLATES, LEAN).resources if one.address == "Media.Media")
    assert outputs["StorageBucket"] == media.ref
    assert spec["storage"]["bucket"] == media.properties["BucketName"]
    assert spec["storage"]["region"] == outputs["StorageRegion"]
    assert spec["storage"]["publicUrl"] == outputs["StoragePublicUrl"]
    assert spec["auth"] == {"issuer": LEAN["Issuer"], "audience": "bapsang"}


@pytest.mark.parametrize("name", ["dev", "ha", "lean"])
def test_pages_that_may_call_the_api_may_upload_to_the_bucket(name: str) -> None:
    sample = list(yaml.safe_load_all((template.ROOT.parent / "samples/community-eks.yaml").read_text()))
    spec = next(one for one in sample if one["kind"] == "Community")["spec"]
    chosen = render(TEMPLATES, template.parameters(template.ROOT / f"params/{name}.json"))
    media = next(one for one in chosen.resources if one.address == "Media.Media")
    assert [rule["AllowedOrigins"] for rule in media.properties["CorsConfiguration"]["CorsRules"]] == [
        spec["api"]["corsOrigins"]
    ]


def test_check_reports_every_set(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in sorted((template.ROOT / "params").glob("*.json"))]
    assert __main__.main(["check", *paths]) == 0
    assert capsys.readouterr().out.count(", 0 findings\n") == 3


def test_check_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('[{"ParameterKey": "Stage", "ParameterValue": "staging"}]')
    assert __main__.main(["check", str(bad), str(tmp_path / "absent.json")]) == 1
    shown = capsys.readouterr().out
    assert "Stage: must be one of development, production" in shown
    assert "absent.json: " in shown
