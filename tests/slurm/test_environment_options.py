"""--container-env and --container-env-file: which variables win, over what."""

import pytest
from conftest import BUSYBOX


@pytest.fixture
def image(make_image):
    return make_image("env", changes=["ENV PATH=/bin", "ENV BOTH=image", "ENV OF_IMAGE=1"])


def show(alice, image, *options, env=None):
    names = "BOTH OF_IMAGE OF_JOB SET EMPTY"
    script = f'for n in {names}; do eval echo $n=\\"\\$$n\\"; done'
    result = alice.srun(f"--docker={image}", *options, "sh", "-c", script, env=env)
    return dict(line.split("=", 1) for line in result.lines)


JOB = {"BOTH": "job", "OF_JOB": "1"}


def test_the_image_wins_by_default(alice, image):
    assert show(alice, image, env=JOB)["BOTH"] == "image"


def test_the_jobs_value_is_kept(alice, image):
    shown = show(alice, image, "--container-env=BOTH", env=JOB)
    assert (shown["BOTH"], shown["OF_IMAGE"], shown["OF_JOB"]) == ("job", "1", "1")


def test_values_are_set(alice, image):
    shown = show(
        alice, image, "--container-env=SET=a b=c,BOTH=own", "--container-env=EMPTY=", env=JOB
    )
    assert (shown["SET"], shown["BOTH"], shown["EMPTY"]) == ("a b=c", "own", "")


def test_a_file(alice, image):
    path = alice.home / "vars"
    path.write_text("# a comment\n\nSET=with, comma\nBOTH\n  OF_IMAGE=file\n")
    shown = show(alice, image, "--container-env-file=vars", env=JOB)
    assert shown["SET"] == "with, comma"
    assert (shown["BOTH"], shown["OF_IMAGE"]) == ("job", "file")
    shown = show(alice, image, f"--container-env-file={path}", "--container-env=SET=line", env=JOB)
    assert shown["SET"] == "line"


def test_path_can_be_kept(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env=PATH", "/bin/env")
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in result.lines


def test_the_same_from_sbatch(alice, image):
    script = "#!/bin/sh\n#SBATCH --container-env=BOTH,SET=1\necho $BOTH $OF_IMAGE $SET\n"
    assert alice.script(script, f"--docker={image}", env=JOB).lines == ["job 1 1"]


def test_a_file_that_is_not_there(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=/nowhere", "true")
    assert (
        "socker: --container-env-file: /nowhere: No such file or directory: check the path"
        in result.stderr.splitlines()
    )


def test_a_file_of_roots(alice):
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=/etc/shadow", "true")
    assert "--container-env-file: /etc/shadow: Permission denied" in result.stderr


def test_a_pipe_is_no_file(alice):
    alice.run("mkfifo", "pipe")
    result = alice.srun(f"--docker={BUSYBOX}", "--container-env-file=pipe", "echo", "ran")
    assert result.lines == []
    assert "pipe: it is not a regular file: check the path" in result.stderr
    (alice.home / "pipe").unlink()
