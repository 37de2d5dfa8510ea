"""`python -m bapsang_aws check params/lean.json`: what CloudFormation would refuse, and which policies are broken.
`python -m bapsang_aws package build/uploads.zip`: the code of the upload functions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bapsang_aws import package, template
from bapsang_aws.policies import POLICIES, judge
from bapsang_aws.render import RefusedError, render


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit code 1: a set of parameters is refused or breaks a policy."""
    parser = argparse.ArgumentParser(prog="bapsang_aws", description="Checks the AWS estate before it is deployed.")
    commands = parser.add_subparsers(dest="command", required=True)
    checks = commands.add_parser("check", help="render the templates with a set of parameters and judge the result")
    checks.add_argument("parameters", nargs="+", type=Path, help="JSON, as `aws cloudformation` takes it")
    packs = commands.add_parser("package", help="make the archive of the upload functions")
    packs.add_argument("archive", type=Path, help="where to write it")
    arguments = parser.parse_args(argv)
    if arguments.command == "package":
        sys.stdout.write(f"{arguments.archive}: {package.write(arguments.archive):,} bytes\n")
        return 0
    return _check(arguments.parameters)


def _check(paths: Sequence[Path]) -> int:
    broken = False
    for path in paths:
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
