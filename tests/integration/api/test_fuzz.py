"""schemathesis sends what nobody would think of to the real process: no 5xx, and every answer is one that the document has.

A short run with a fixed seed, in the nightly part `api`; `make fuzz` and the part `fuzz` make it long
(BAPSANG_TEST_FUZZ_EXAMPLES: cases per operation and phase) and add the phase that walks through every boundary of every schema.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .bucket import ACCESS, SECRET, Bucket
from .process import BARE, client, run_here, serving
from .world import API, Backend

HOOKS = Path(__file__).parents[2] / "fuzz" / "hooks.py"
ADMIN = {"email": "fuzz@example.com", "password": "Fuzz-2026!", "nickname": "fuzz"}
LONG = os.environ.get("BAPSANG_TEST_FUZZ_EXAMPLES")
pytestmark = [] if LONG else [pytest.mark.nightly("api")]
#: Several times what the short run takes; below pytest's own limit, so that its output is shown.
FUZZ_SECONDS = 240
PHASES = "examples,coverage,fuzzing,stateful" if LONG else "examples,fuzzing,stateful"
# Checks that the contract contradicts. A request may fit the schema and still be refused (an image that was never uploaded,
# an Idempotency-Key used before); empty parameters count as absent instead of being refused; an administrator's
# requests hide posts that were just made.
UNFIT = "positive_data_acceptance,negative_data_rejection,ensure_resource_availability"


def test_nothing_that_is_sent_breaks_the_api(tmp_path: Path, backend: Backend, bucket: Bucket) -> None:
    mail = {
        "BAPSANG_SMTP_URL": "smtp://127.0.0.1:25?tls=none",
        "BAPSANG_MAIL_FROM": "fuzz@example.com",
    }  # no worker sends
    storage = {**bucket.environment, "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    with (
        serving(tmp_path, **backend.environment, **storage, **mail) as service,
        client(f"{service.url}{API}") as http,
    ):
        assert http.post("/auth/users", json=ADMIN).status_code == 201
        assert run_here("admin", "grant", ADMIN["email"], cwd=tmp_path, **backend.environment).returncode == 0
        fuzzed = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json"),
                *("--checks", "all", "--exclude-checks", UNFIT, "--phases", PHASES),
                *("--max-examples", LONG or "10", "--seed", "2026"),
                *(
                    "--exclude-operation-id",
                    "streamNotifications",
                ),  # its answer does not end; test_streams has what is odd
                *("--generation-database", "none", "--suppress-health-check", "all", "--no-color"),
            ],
            env={
                **BARE,
                "SCHEMATHESIS_HOOKS": str(HOOKS),
                "BAPSANG_FUZZ_URL": service.url,
                "BAPSANG_FUZZ_ADMIN": ADMIN["email"],
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=None if LONG else FUZZ_SECONDS,
        )
        assert http.get("/health").status_code == 200
    sys.stdout.write("\n".join(re.findall(r"^  .*(?:generated|Tested).*$|^=+ .* in .*$", fuzzed.stdout, re.MULTILINE)))
    assert fuzzed.returncode == 0, fuzzed.stdout[-20_000:]
    assert [line for line in service.log if line["level"] == "error"] == []
