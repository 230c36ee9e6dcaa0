"""The examples of docs/user/options.md and mpi.md, as they stand there."""

import re
from pathlib import Path

import pytest
from conftest import REGISTRY, SOCKER

PAGES = Path(__file__).resolve().parents[2] / "docs/user"
IMAGES = re.compile(r"(?<![\w/.-])(debian:bookworm|busybox:\w+)")
OF_MPI = {"openmpi:4.1": "openmpi", "mpich:4.0": "mpich"}  # name in the page, fixture


def examples(page: str):
    """(heading, [(command, expected output), ...]) of each console block."""
    heading = ""
    text = (PAGES / page).read_text()
    for part in re.split(r"(?m)^(#+ .*|```console\n(?:.|\n)*?\n```)$", text):
        if part.startswith("#"):
            heading = part.lstrip("# ")
        elif part.startswith("```console"):
            steps = re.split(r"(?m)^\$ ", part.removeprefix("```console\n").removesuffix("```"))
            yield pytest.param([s.partition("\n")[::2] for s in steps if s.strip()], id=heading)


@pytest.fixture
def left_at_home(alice):
    """What the examples leave there."""
    yield
    for name in ("data", "vars", "mine.tar"):
        alice.run("rm", "-rf", name)


def check(user, steps, real=lambda text: IMAGES.sub(rf"{REGISTRY}/\1", text)) -> None:
    """Run each command; `real` gives an example's images the names that they have here."""
    for command, expected in steps:
        command, expected = real(command), real(expected)
        result = user.run("bash", "-c", f"{command.replace('srun ', 'srun -Q ')} 2>&1")
        # stdout and stderr come over two connections: their lines mix in any order.
        noise = ("srun: error: ", "socker: pulling ", "socker: waiting ")
        shown = [line for line in result.lines if not line.startswith(noise)]
        assert sorted(shown) == sorted(expected.splitlines())


@pytest.mark.usefixtures("no_file_images", "left_at_home")
@pytest.mark.parametrize("steps", list(examples("options.md")))
def test_example(alice, steps):
    check(alice, steps)


@pytest.mark.parametrize("steps", list(examples("mpi.md")))
def test_example_of_mpi(alice, request, steps):
    def real(text: str) -> str:
        for name, fixture in OF_MPI.items():
            if name in text:
                text = text.replace(name, request.getfixturevalue(fixture))
        return text.replace("socker run", f"{SOCKER} run")

    check(alice, steps, real)
