"""The examples of docs/user, as they stand there."""

import re
from pathlib import Path

import pytest
from conftest import PROGRESS, REGISTRY, SOCKER

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs/user").glob("*.md"))
IMAGES = re.compile(r"(?<![\w/.-])(debian:bookworm|busybox:\w+)")
OF_MPI = {"openmpi:4.1": "openmpi", "mpich:4.0": "mpich"}  # made when an example needs them


def examples():
    """(page and heading, [(command, expected output), ...]) of each console block."""
    for page in PAGES:
        heading = ""
        for part in re.split(r"(?m)^(#+ .*|```console\n(?:.|\n)*?\n```)$", page.read_text()):
            if part.startswith("#"):
                heading = part.lstrip("# ")
            elif part.startswith("```console"):
                steps = re.split(r"(?m)^\$ ", part.removeprefix("```console\n").removesuffix("```"))
                commands = [step.partition("\n")[::2] for step in steps if step.strip()]
                yield pytest.param(commands, id=f"{page.stem}: {heading}")


@pytest.fixture
def left_at_home(alice):
    """What the examples leave there."""
    yield
    for name in ("data", "vars", "mine.tar"):
        alice.run("rm", "-rf", name)


@pytest.fixture
def as_here(request):
    """An example with the names that its images and programs have on this machine."""

    def named(text: str) -> str:
        text = IMAGES.sub(rf"{REGISTRY}/\1", text).replace("socker run", f"{SOCKER} run")
        for name, fixture in OF_MPI.items():
            if name in text:
                text = text.replace(name, request.getfixturevalue(fixture))
        return text

    return named


@pytest.mark.usefixtures("no_file_images", "left_at_home")
@pytest.mark.parametrize("steps", list(examples()))
def test_example(alice, as_here, steps):
    for command, expected in steps:
        command, expected = as_here(command), as_here(expected)
        result = alice.run("bash", "-c", f"{command.replace('srun ', 'srun -Q ')} 2>&1")
        # stdout and stderr come over two connections: their lines mix in any order.
        noise = ("srun: error: ", *PROGRESS)
        shown = [line for line in result.lines if not line.startswith(noise)]
        assert sorted(shown) == sorted(expected.splitlines())
