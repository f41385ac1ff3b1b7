"""Rules and dashboard speak of metrics that there are, with labels that they have; promtool takes the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types
from prometheus_client import parser

from engine.control.metrics import exposition, registry_of
from tests.control.statuses import make_status

DOCKER = Path(__file__).resolve().parents[2] / "docker"
_METRIC = re.compile(r"\b(camring_[a-z0-9_]+)(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"((?:[^\"\\]|\\.)*)\"")
_SCRAPED = {"instance", "job"}
"""Labels that Prometheus adds."""


@cache
def exposed() -> dict[str, dict[str, set[str]]]:
    """Every sample of a busy status: name → label → values that it has there."""
    found: dict[str, dict[str, set[str]]] = {}
    body, _ = exposition(registry_of(make_status), "")
    for family in parser.text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return found


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCKER / "grafana" / "dashboards" / "camring.json").read_text())
    return found


def expressions() -> list[str]:
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    variables = [str(each["query"]) for each in dashboard()["templating"]["list"] if each["type"] == "query"]
    return [*(rule["expr"] for rule in rules()), *queries, *variables]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_label_is_there(expression: str) -> None:
    for name, braces in _METRIC.findall(expression):
        assert name in exposed(), f"{name} is not in /metrics"
        for label, value in _LABEL.findall(braces or ""):
            assert label in exposed()[name] or label in _SCRAPED, f"{name} has no label {label}"
            if label == "quantile":
                assert value in exposed()[name][label]
    for grouping in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        known = {label for name, _ in _METRIC.findall(expression) for label in exposed()[name]}
        assert {label.strip() for label in grouping.split(",")} <= known | _SCRAPED


def test_states_that_alerts_name_are_states() -> None:
    text = " ".join(rule["expr"] for rule in rules())
    for name in ("camring_camera_state", "camring_recording_state", "camring_health"):
        label = "status" if name == "camring_health" else "state"
        for value in re.findall(rf'{name}\{{{label}=~?"([^"]+)"', text):
            assert set(value.split("|")) <= exposed()[name][label]


def test_every_alert_says_what_is_wrong_and_stands_in_the_manual() -> None:
    manual = (DOCKER.parent / "docs" / "monitoring.md").read_text()
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in manual
        metrics = {name for name, _ in _METRIC.findall(rule["expr"])}
        labels = {label for name in metrics for label in exposed()[name]} | _SCRAPED
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels


def test_panels_do_not_overlap_and_every_metric_of_the_run_is_shown_or_derived() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


@pytest.mark.peer
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "--syntax-only", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_takes_the_rules_and_they_raise_what_they_should(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: apt-get install prometheus")
    done = subprocess.run([promtool, *arguments], cwd=DOCKER / "prometheus", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
