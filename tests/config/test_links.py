"""Links between cameras: what the cameras file may say, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.config import load_run_config
from engine.config.links import LinkConfig
from engine.config.settings import RunConfig
from engine.errors import ConfigError

CAMERAS = '[[camera]]\nname = "yard"\nsource = "0"\n[[camera]]\nname = "hall"\nsource = "1"\n'


def loaded(path: Path, *sources: str) -> RunConfig:
    return load_run_config("m3-cpu", path, {"source": list(sources)}, {}).config


def toml(folder: Path, links: str) -> Path:
    path = folder / "cameras.toml"
    path.write_text(CAMERAS + links)
    return path


def test_links_are_read_and_travel_to_workers(tmp_path: Path) -> None:
    text = '[[link]]\nfrom = "yard"\nto = "hall"\nleast_s = 2\nmost_s = 30\n'
    text += '[[link]]\nfrom = "hall"\nto = "roof"\none_way = true\n'
    config = loaded(toml(tmp_path, text), "roof=2")
    assert config.links == (
        LinkConfig("yard", "hall", 2.0, 30.0),
        LinkConfig("hall", "roof", 0.0, None, True),
    )
    travelled = json.loads(json.dumps(config.to_json()))
    assert RunConfig.from_json(travelled) == config


def test_json_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    document = {
        "camera": [{"name": "yard", "source": "0"}, {"name": "hall", "source": "1"}],
        "link": [{"from": "yard", "to": "hall", "least_s": 1.5}],
    }
    path.write_text(json.dumps(document))
    assert loaded(path).links == (LinkConfig("yard", "hall", 1.5),)
    assert loaded(toml(tmp_path, "")).links == ()


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ('from = "yard"\nto = "cellar"', "link 1: to: unknown camera 'cellar'"),
        ('from = "yrad"\nto = "hall"', "link 1: from: unknown camera 'yrad' (did you mean 'yard'?)"),
        ('from = "yard"', "link 1: to is missing"),
        ('from = "yard"\nto = "yard"', "link 1: from and to are both 'yard'; a camera needs no link to itself"),
        ('from = "yard"\nto = "hall"\nleast_s = -1', "link 1: least_s must be a number from 0 to 31536000 (s), found"),
        ('from = "yard"\nto = "hall"\nleast_s = 9\nmost_s = 3', "link 1: least_s = 9 is more than most_s = 3"),
        ('from = "yard"\nto = "hall"\nmost_s = "long"', "link 1: most_s must be a number"),
        ('from = "yard"\nto = "hall"\nleast = 1', "link 1: unknown key 'least' (did you mean 'least_s'?)"),
        (
            'from = "yard"\nto = "hall"\n[[link]]\nfrom = "hall"\nto = "yard"',
            "link 2: the way from 'hall' to 'yard' has a link already",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, link: str, said: str) -> None:
    path = toml(tmp_path, f"[[link]]\n{link}\n")
    with pytest.raises(ConfigError) as caught:
        loaded(path)
    text = str(caught.value)
    assert said in text and str(path) in text and "\n" not in text


def test_two_ways_may_differ(tmp_path: Path) -> None:
    way = '[[link]]\nfrom = "{}"\nto = "{}"\none_way = true\nleast_s = {}\n'
    path = toml(tmp_path, way.format("yard", "hall", 4) + way.format("hall", "yard", 9))
    assert [link.least_s for link in loaded(path).links] == [4.0, 9.0]


def test_a_link_must_be_a_list_of_tables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"write \[\[link\]\]"):
        loaded(toml(tmp_path, '[link]\nfrom = "yard"\nto = "hall"\n'))
    document = RunConfig("m3-cpu", ()).to_json()
    for links in ("yard", ["yard"], [{"source": "yard"}]):
        with pytest.raises(ConfigError):
            RunConfig.from_json({**document, "links": links})
