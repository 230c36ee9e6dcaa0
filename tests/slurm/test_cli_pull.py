"""socker pull on the cluster: bars on a terminal, lines elsewhere, and its end."""

import os
import subprocess

import images
import pytest
from conftest import BUSYBOX, REGISTRY, SOCKER, read
from slow_registry import SlowRegistry

from tests import image_files
from tests.terminal import Terminal

SIZES = (8_000_000, 8_000_000, 4_000_000)
IMAGE = f"{REGISTRY}/layers:test"


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    """An archive of an image of 20 MB in three layers, which is in the registry too."""
    path = tmp_path_factory.mktemp("layers") / "image.tar"
    data = [image_files.tar({f"noise{n}": os.urandom(size)}) for n, size in enumerate(SIZES)]
    path.write_bytes(image_files.tar(image_files.docker_members(data, [IMAGE])))
    subprocess.run(["docker", "load", "-q", "-i", path], check=True, capture_output=True)
    images.push(IMAGE)
    images.remove_from_engine(IMAGE)
    return path


@pytest.fixture
def slow(layers):
    """The image by a registry that takes about 7 s for it."""
    registry = SlowRegistry(5002, 3_000_000)
    name = IMAGE.replace(REGISTRY, registry.address)
    yield name
    registry.close()
    images.remove_from_engine(name)


def pull(user, *words, columns=100, script="{}; echo status $?"):
    """In bash, in an allocation of two nodes."""
    text = script.format(" ".join([SOCKER, "pull", *words]))
    argv = user.command("salloc", "-Q", "-N2", "-n2", "bash", "-c", text)
    env = user.environment({"TERM": "xterm"})
    return Terminal(*argv, env=env, cwd=user.home, columns=columns)


def last_of(terminal: Terminal, *nodes: str) -> list[str]:
    """The last word that each node's line had."""
    lines = terminal.lines()
    return [[x.split()[-1] for x in lines if x.startswith(node)][-1] for node in nodes]


def test_a_bar_a_node(alice, slow):
    terminal = pull(alice, slow)
    assert terminal.end() == 0
    lines = terminal.lines()
    assert lines[-1] == "status 0"
    amounts = {x.split(" MB ")[0].split()[-1] for x in lines if " of 20 MB pulling" in x}
    drawn = [x for x in lines if x.startswith(("n1 ", "n2 ", "n3 ", "n4 "))]
    assert amounts == {"20"}
    # Many steps from nothing to all, by one of the nodes; the other says that it waits.
    steps = {x.split(" of 20 MB")[0].split()[-1] for x in drawn if " of 20 MB pulling" in x}
    assert len(steps) >= 5
    assert any("waiting for another step's pull" in x for x in drawn)
    assert any("of 3 layers complete" in x for x in drawn)
    assert drawn[-2].split()[0] < drawn[-1].split()[0]
    assert last_of(terminal, drawn[-2].split()[0], drawn[-1].split()[0]) == ["ready", "ready"]


def test_a_narrow_terminal_that_is_made_narrower(alice, slow):
    terminal = pull(alice, slow, columns=70)
    terminal.read_until("of 20 MB")
    terminal.resize(50)
    terminal.read_for(1)  # frames of the old width may be on their way
    at = len(terminal.text)
    assert terminal.end() == 0
    drawn = terminal.lines(since=at)
    assert any(" MB " in line for line in drawn)
    assert max(map(len, drawn)) <= 50


def test_ctrl_c_ends_it(alice, slow, wait_for):
    steps = "squeue --me -hs -o %i"
    gone = f"for i in $(seq 100); do {steps} | grep -qv extern || break; sleep 0.1; done"
    script = f"trap : INT; {{}}; echo status $?; {gone}; {steps}"
    terminal = pull(alice, slow, script=script)
    terminal.read_until("of 20 MB")
    terminal.type("\x03")
    terminal.end()
    lines = terminal.lines()
    status = next(x for x in lines if x.startswith("status "))
    assert int(status.split()[1]) > 128
    steps = lines[lines.index(status) + 1 :]
    assert all(x.strip().endswith(".extern") for x in steps), steps
    assert "\x1b[?25h" in terminal.text  # the cursor is shown again
    assert "srun: sending Ctrl-C" in terminal.text


def test_an_image_that_is_not_there(alice):
    terminal = pull(alice, f"{REGISTRY}/nope:1")
    terminal.end()
    lines = terminal.lines()
    assert lines[-1] == "status 1"
    reasons = [x for x in lines if "nope:1 cannot be pulled: " in x]
    assert len(reasons) == 2
    nodes = sorted(x.split(": ")[1] for x in reasons)
    assert last_of(terminal, *nodes) == ["failed", "failed"]


def test_an_image_in_a_file(alice, layers, no_file_images):
    path = alice.home / "layers.tar"
    path.write_bytes(layers.read_bytes())
    try:
        terminal = pull(alice, "./layers.tar")
        assert terminal.end() == 0
    finally:
        path.unlink()
    assert terminal.lines()[-1] == "status 0"
    assert "importing" in terminal.text
    assert "of 20 MB" in terminal.text


def test_without_colours(alice):
    terminal = pull(alice, BUSYBOX, script="export NO_COLOR=1; {}; echo status $?")
    assert terminal.end() == 0
    assert "ready" in terminal.text
    assert "\x1b[3" not in terminal.text  # colours of the foreground


def test_lines_where_there_is_no_terminal(alice, slow):
    result = alice.run("salloc", "-Q", "-N2", "-n2", SOCKER, "pull", slow, timeout=120)
    assert result.status == 0
    assert result.stdout == ""
    assert f": socker: pulling {slow}: " in result.stderr
    assert "\x1b" not in result.stderr
    assert "doing" not in result.stderr


def test_lines_with_v(alice, slow):
    terminal = pull(alice, "-v", slow)
    assert terminal.end() == 0
    assert "socker: srun --overlap" in terminal.text
    assert f": socker: pulling {slow}: " in terminal.text
    assert "ms" in terminal.text


def test_all_nodes_of_a_heterogeneous_job(alice):
    command = f"{SOCKER} pull {BUSYBOX}; echo status $?"
    argv = alice.command("salloc", "-Q", "-N1", ":", "-N2", "bash", "-c", command)
    terminal = Terminal(*argv, env=alice.environment({"TERM": "xterm"}), cwd=alice.home)
    assert terminal.end() == 0
    lines = terminal.lines()
    assert lines[-1] == "status 0"
    assert all(x.rstrip().endswith("ready") for x in lines[-4:-1])
    assert len({x.split()[0] for x in lines[-4:-1]}) == 3


def test_what_was_pulled_is_there(alice, slow):
    terminal = pull(alice, slow)
    assert terminal.end() == 0
    shown = read(SOCKER, "images")
    assert slow in shown
