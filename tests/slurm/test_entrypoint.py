"""--container-entrypoint: the image's ENTRYPOINT around the command, as docker run has it."""

import pytest
from conftest import BUSYBOX

SHOW = """#!/bin/sh
echo "entry $# of task $SLURM_PROCID"
for word; do echo "<$word>"; done
exec "$@"
"""


@pytest.fixture
def image(make_image):
    def fill(root):
        (root / "entry.sh").write_text(SHOW)
        (root / "entry.sh").chmod(0o755)

    changes = ['ENTRYPOINT ["/entry.sh", "a b"]', 'CMD ["unused"]', "ENV PATH=/bin"]

    def fill_and_shift(root):
        fill(root)
        path = root / "entry.sh"
        path.write_text(SHOW.replace("exec", "shift\nexec"))

    return make_image("entry", fill_and_shift, changes)


def test_not_by_default(alice, image):
    assert alice.srun(f"--docker={image}", "echo", "x").lines == ["x"]
    assert alice.srun(f"--docker={image}", "--no-container-entrypoint", "echo", "x").lines == ["x"]


def test_every_word_as_docker_run_gives_it(alice, image):
    words = ["echo", "two words", "", "*", '"quoted"', "$HOME", "a=b"]
    result = alice.srun(f"--docker={image}", "--container-entrypoint", *words)
    expected = ["entry 8 of task 0", "<a b>", *(f"<{word}>" for word in words)]
    assert result.lines == [*expected, 'two words  * "quoted" $HOME a=b']
    import subprocess

    docker = subprocess.run(
        ["docker", "run", "--rm", "--network=none", "-e", "SLURM_PROCID=0", image, *words],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert result.stdout == docker.stdout


def test_once_a_task(alice, image):
    result = alice.srun("-n2", f"--docker={image}", "--container-entrypoint", "true")
    assert sorted(line for line in result.lines if line.startswith("entry")) == [
        "entry 2 of task 0",
        "entry 2 of task 1",
    ]


def test_exit_status(alice, image):
    result = alice.srun(f"--docker={image}", "--container-entrypoint", "sh", "-c", "exit 7")
    assert result.status == 7


def test_signals_reach_the_command(alice, image):
    script = "trap 'echo got it; exit 0' USR1; echo ready; while :; do sleep 0.1; done"
    options = [f"--docker={image}", "--container-entrypoint"]
    assert "got it" in alice.signalled("USR1", *options, "sh", "-c", script)[0]


def test_an_image_without_one(alice):
    assert alice.srun(f"--docker={BUSYBOX}", "--container-entrypoint", "echo", "x").lines == ["x"]


def test_the_log_names_it(alice, image):
    result = alice.srun(
        "-N2", f"--docker={image}", "--container-entrypoint", "--container-entrypoint-log", "true"
    )
    expected = f"socker: image {image}: its entrypoint: /entry.sh a b"
    assert result.stderr.splitlines().count(expected) == 1


def test_one_that_is_missing(alice, make_image):
    broken = make_image("noentry", changes=['ENTRYPOINT ["/nowhere"]', "ENV PATH=/bin"])
    result = alice.srun(f"--docker={broken}", "--container-entrypoint", "true")
    assert "socker: /nowhere: No such file or directory" in result.stderr
    assert result.status == 127


def test_nothing_of_the_launcher_is_left(alice, image):
    script = "env | grep SOCKER | grep -v ^SOCKER_IMAGE_DIGEST=; set -- /proc/$$/fd/*; echo $#"
    result = alice.srun(f"--docker={image}", "--container-entrypoint", "sh", "-c", script)
    plain = alice.srun(f"--docker={image}", "sh", "-c", script)
    assert result.lines[-1] == plain.lines[-1]
    assert "SOCKER" not in result.stdout.replace(script, "")


def test_in_a_batch_script(alice, image):
    result = alice.script(
        "#!/bin/sh\necho from the script\n", f"--docker={image}", "--container-entrypoint"
    )
    assert result.lines[0] == "entry 2 of task 0"
    assert result.lines[-1] == "from the script"
