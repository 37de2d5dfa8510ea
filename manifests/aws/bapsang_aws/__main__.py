"""`python -m bapsang_aws check params/lean.json`: what CloudFormation would refuse, and which policies are broken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bapsang_aws import template
from bapsang_aws.policies import POLICIES, judge
from bapsang_aws.render import RefusedError, render


def main(argv: Sequence[str] | None = None) -> int:
    """Check sets of parameters. Exit code 1: refused or a policy is broken."""
    parser = argparse.ArgumentParser(prog="bapsang_aws", description="Checks the AWS estate before it is deployed.")
    commands = parser.add_subparsers(dest="command", required=True)
    checks = commands.add_parser("check", help="render the templates with a set of parameters and judge the result")
    checks.add_argument("parameters", nargs="+", type=Path, help="JSON, as `aws cloudformation` takes it")
    broken = False
    for path in parser.parse_args(argv).parameters:
        try:
            estate = render(template.load_all(), template.parameters(path))
        except (RefusedError, OSError, ValueError, KeyError) as error:
            sys.stdout.write(f"{path}: {error}\n")
            broken = True
            continue
        findings = judge(estate)
        broken = broken or bool(findings)
        for finding in findings:
            sys.stdout.write(f"{path}: {finding}\n")
        sys.stdout.write(
            f"{path}: {len(estate.resources)} resources, {len(POLICIES)} policies, {len(findings)} findings\n"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
