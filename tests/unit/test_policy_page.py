"""docs/admin/policy.md: its examples are right, and say what its tables say."""

import re
from pathlib import Path

import pytest

from pycontrol import config, imagename, rulefile, ruling
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.image import parse_reference
from pycontrol.judge import Judge
from pycontrol.request import ContainerRequest
from pycontrol.rules import Place, Rules

PAGE = Path(__file__).resolve().parents[2] / "docs/admin/policy.md"
WORDS = {True: "allowed", False: "refused", None: "depends"}


def examples():
    """(settings, list of images, row) of each example."""
    for section in PAGE.read_text().split("\n### ")[1:]:
        found = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
        if not found:
            continue
        listed = re.search(r"With the list\n\n```\n(.*?)```", section, re.DOTALL)
        rows = [line.split("|")[1:-1] for line in section.splitlines() if line[:1] == "|"]
        title = section.splitlines()[0]
        for row in rows[2:]:
            cells = [cell.strip() for cell in row]
            yield pytest.param(found[1], listed and listed[1], cells, id=f"{title}: {cells[-2]}")


def account(who: str) -> Account:
    name, _, groups = who.rstrip(")").partition(" (")
    pairs = tuple((3000 + number, group) for number, group in enumerate(groups.split(", ")))
    return Account(name, 0 if name == "root" else 1001, 3000, "", f"/home/{name}", pairs)


def verdict(judge: Judge, settings: Config, asked: str):
    kind, _, thing = asked.partition(" `")
    thing = thing.rstrip("`")
    if kind == "option":
        given = ContainerRequest(None, given=(thing,))
        return next(iter(ruling.verdicts(given, (), (judge,), settings)))
    if kind == "no container":
        return judge.native()
    if kind.startswith("mount"):
        return judge.target(thing) if kind == "mount at" else judge.source(thing)
    name = imagename.full_name(parse_reference(thing))
    return judge.digest(name) if kind == "digest" else judge.image(name)


@pytest.mark.parametrize(("text", "listed", "row"), list(examples()))
def test_the_tables_are_right(text, listed, row):
    who, where, asked, expected = row
    settings = Config(**config.parse_file(text, "policy.md"))
    path = settings.image_list
    rules = Rules(settings.rule, rulefile.parse_list(listed, path) if path else None, path)
    place = Place(*where.split(", ")) if where else Place()
    found = verdict(Judge(rules, account(who), place), settings, asked)
    assert f"{WORDS[found.allowed]}: {found.why}".startswith(expected)


def test_there_are_examples():
    assert len(list(examples())) > 20
