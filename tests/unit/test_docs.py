"""The documentation agrees with the source: every field, condition, reason, event, command and link."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bapsang_api.http.ratelimit import DEFAULTS
from bapsang_operator.cost import bill, capacity, prices
from bapsang_operator.cost.design import REFERENCE
from bapsang_operator.cost.search import search
from bapsang_operator.names import ConditionType, EventReason, Reason

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "charts/bapsang-operator/README.md"]
UNWRAPPED = {"local-cluster.md"}
WRAPPED = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name not in UNWRAPPED),
]
COMMUNITY = (ROOT / "docs/community.md").read_text()


def _generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_fields_and_values_are_current() -> None:
    generate = _generate()
    assert generate.page(COMMUNITY) == COMMUNITY, "run: make generate"
    assert generate.table().count("\n") > 40
    readme = generate.README.read_text()
    assert generate.readme(readme) == readme, "run: make generate"


@pytest.mark.parametrize("page", _generate().MEASURED, ids=lambda page: page.name)
def test_every_measured_figure_is_that_of_its_file(page: Path) -> None:
    text = page.read_text()
    assert _generate().measured(text) == text, "run: make generate"
    assert len(re.findall(r"<!-- *[\w-]+\.json", text)) == len(_generate().FIGURE.findall(text)), (
        "a marker without a figure"
    )


def test_a_figure_is_rounded_from_what_is_measured_and_must_be_there(tmp_path: Path) -> None:
    generate = _generate()
    generate.BENCHMARKS = tmp_path
    (tmp_path / "fleet.json").write_text(
        '{"at": "2026-11-27T23:40:11", "s": 86.5, "by": [{"n": 5, "pods": 1200}], "none": 0}'
    )
    shown = "1<!-- fleet.json at -->, 80<!-- fleet.json s -->, 1.00<!-- fleet.json by.5.pods / s -->, 9<!-- fleet.json by.5.pods + none -->"
    assert re.sub("<.*?>", "", generate.measured(shown)) == "2026-11-27, 87, 13.87, 1,200"
    with pytest.raises(KeyError):
        generate.measured("1<!-- fleet.json by.6.pods -->")


def test_measured_pages_take_their_figures_from_files() -> None:
    for page in ("performance.md", "operator.md", "likes.md"):
        assert _generate().FIGURE.search((ROOT / "docs" / page).read_text()), page


def test_what_follows_from_the_cpu_time_of_a_request_is_current() -> None:
    generate = _generate()
    sample = generate.SAMPLE.read_text()
    made = generate.community(sample)
    assert generate.sample(sample) == sample, "run: make generate"
    assert generate.lean(generate.LEAN.read_text(), made) == generate.LEAN.read_text(), "run: make generate"
    page = generate.CAPACITY.read_text()
    assert generate.capacity_page(page, made) == page, "run: make generate"


def test_another_cpu_time_is_one_edit() -> None:
    """Three milliseconds: the whole of the sample follows, and still holds."""
    generate = _generate()
    dear = generate.sample(generate.SAMPLE.read_text().replace("cpuMicroseconds: 2000", "cpuMicroseconds: 3000"))
    made = generate.community(dear)
    assert made.estate.design.burst_nodes == 10
    assert (made.api.base_replicas, made.api.burst.max_replicas) == (6, 30)
    assert capacity.shortfalls(made.estate.design, made.estate.traffic) == []
    assert '"BurstMaxNodes", "ParameterValue": "10"' in generate.lean(generate.LEAN.read_text(), made)
    assert "**46 %** of the peak" in generate.carried(made)


def test_bill_of_the_sample_and_of_the_cheapest_design_are_told() -> None:
    """Neither is generated: whoever changes prices or the sample looks at the sentence around the figure as well."""
    page = (ROOT / "docs/aws.md").read_text()
    estate = _generate().community((ROOT / "manifests/samples/community-eks.yaml").read_text()).estate
    book = prices.load()
    usd = bill.total(bill.rows(estate.design, estate.traffic, book))
    assert f"| none | {usd:,.2f} |" in page, f"docs/aws.md: lean costs {usd:,.2f}"
    cheapest = search(REFERENCE, book).front[0].usd
    assert f"**{cheapest:,.2f} USD**" in page, f"docs/aws.md: the cheapest costs {cheapest:,.2f}"


@pytest.mark.parametrize("name", [*ConditionType, *Reason, *EventReason])
def test_every_condition_reason_and_event_is_explained(name: str) -> None:
    assert f"`{name}`" in COMMUNITY


def test_every_rate_limit_is_listed_with_its_default() -> None:
    listed: dict[str, str] = {}
    section = (ROOT / "docs/api.md").read_text().partition("## Rate limits\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (`[a-z_]+`.*) \|$", section, re.MULTILINE):
        limits, _, rates = (cell.removesuffix(" each").split(" · ") for cell in row.split(" | "))
        rates *= len(limits) // len(rates)
        listed |= {name.strip("`"): rate for name, rate in zip(limits, rates, strict=True)}
    assert listed == {name: f"{rate.requests} / {rate.seconds} s" for name, rate in DEFAULTS.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", WRAPPED, ids=lambda page: page.name)
def test_prose_is_at_most_120_wide(page: Path) -> None:
    """A diff of longer lines cannot be read; tables and code are as wide as they must be."""
    prose = re.sub(r"^ *```.*?^ *```$|^ *\|.*?$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > 120] == []


def test_make_commands_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"(?:^|`)make (?:-s )?([a-z][a-z0-9-]+)", page.read_text(), re.MULTILINE):
            assert named in targets, f"{page.name}: make {named}"


def test_help_lists_every_target() -> None:
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for target in phony[1].split():
        assert f"\x1b[1m{target} " in shown, target
