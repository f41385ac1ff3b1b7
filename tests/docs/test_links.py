"""Every link of the documents leads somewhere, every picture is shown, every page is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reading import ROOT, anchors, documents, links

PAGES = [*documents(), ROOT / "docs" / "benchmarks.md"]


def target_of(page: Path, target: str) -> tuple[Path, str]:
    """File and anchor that a relative link names."""
    name, _, anchor = target.partition("#")
    return ((page.parent / name).resolve() if name else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for number, target in links(page):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, anchor = target_of(page, target)
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(f"{page.name}:{number}: {target}")
    assert not broken


def reached() -> set[Path]:
    """Every file that a page links to."""
    return {target_of(page, target)[0] for page in PAGES for _, target in links(page) if "://" not in target}


def test_every_picture_is_shown() -> None:
    assert {path for path in (ROOT / "docs" / "images").iterdir()} <= reached()


def test_every_page_is_linked() -> None:
    assert set(PAGES) - {ROOT / "README.md"} <= reached()
