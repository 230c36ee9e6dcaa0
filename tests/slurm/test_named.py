"""--container-name: a writable container that lives for the job on each node."""

import pytest
from conftest import BUSYBOX, DEBIAN

# The first step says that it runs; the shell on the submit host waits for that.
UNTIL_UP = "until test -e up; do sleep 0.1; done"


def in_job(alice, *steps: str, options=("-N1",)):
    """Run the steps in one allocation."""
    return alice.run("salloc", "-Q", *options, "sh", "-c", "; ".join(steps))


def srun(image: str, name: str, command: str, *options: str) -> str:
    image = f"--container-image={image}" if image else ""
    return f"srun -Q {' '.join(options)} {image} --container-name={name} sh -c '{command}'"


def test_later_steps_find_what_earlier_ones_wrote(alice):
    result = in_job(
        alice,
        srun(BUSYBOX, "work", "echo one > /file"),
        srun("", "work", "echo two >> /file"),
        srun(BUSYBOX, "work:exec", "cat /file"),
    )
    assert result.lines == ["one", "two"]


def test_on_each_node_its_own(alice):
    result = in_job(
        alice,
        srun(BUSYBOX, "work", "echo $SLURMD_NODENAME > /node", "-N2"),
        srun("", "work", "cat /node", "-N2"),
        options=("-N2",),
    )
    assert sorted(result.lines) == ["n1", "n2"]


def test_two_steps_at_the_same_time(alice):
    result = in_job(
        alice,
        "rm -f up",
        srun(BUSYBOX, "work", "touch ~/up; until test -e /other; do sleep 0.1; done", "--overlap")
        + " & first=$!",
        UNTIL_UP,
        srun("", "work:exec", "touch /other", "--overlap"),
        "wait $first && echo both",
    )
    assert result.lines == ["both"]


def test_two_names_are_two_containers(alice):
    result = in_job(
        alice,
        srun(BUSYBOX, "a", "touch /in-a"),
        srun(BUSYBOX, "b", "ls / | grep -c in-a"),
        srun("", "a", "ls / | grep -c in-a"),
    )
    assert result.lines == ["0", "1"]


def test_two_jobs_never_meet(alice):
    for _ in range(2):
        result = in_job(alice, srun(BUSYBOX, "work", "ls /mine 2>&1; touch /mine"))
        assert "No such file" in result.stdout


def test_read_only_for_one_step(alice):
    result = in_job(
        alice,
        srun(BUSYBOX, "work", "touch /file"),
        srun("", "work", "touch /other; ls /file", "--container-readonly"),
    )
    assert "Read-only file system" in result.stderr
    assert result.lines == ["/file"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [srun("", "work", "true")],
            "socker: container work: no step of this job has made it on this node, and there is "
            "no image to make it of: add --container-image=IMAGE",
        ),
        (
            [srun(BUSYBOX, "work:exec", "true")],
            "socker: container work: no step of this job has made it on this node: start one "
            "with --container-name=work and an image first",
        ),
        (
            [srun(BUSYBOX, "work", "true"), srun(BUSYBOX, "work:create", "true")],
            "socker: container work: the job has it already on this node: leave out :create to "
            "use it, or choose another name",
        ),
        (
            [srun(BUSYBOX, "work", "true"), srun(DEBIAN, "work", "true")],
            f"socker: container work: it was made of {BUSYBOX}, not of {DEBIAN}: choose another "
            "name",
        ),
        (
            [
                "rm -f up down",
                srun(
                    BUSYBOX,
                    "work",
                    "touch ~/up; until test -e ~/down; do sleep 0.1; done",
                    "--overlap",
                )
                + " & "
                + UNTIL_UP,
                srun("", "work:no_exec", "true", "--overlap"),
                "touch down; wait",
            ],
            "socker: container work: another step runs in it: leave out :no_exec to join it, or "
            "wait",
        ),
    ],
)
def test_wrong_combinations(alice, steps, message):
    result = in_job(alice, *steps)
    assert message in result.stderr.splitlines()


def test_no_exec_is_fine_when_nobody_is_in_it(alice):
    steps = [srun(BUSYBOX, "work", "touch /file"), srun("", "work:no_exec", "ls /file")]
    assert in_job(alice, *steps).lines == ["/file"]


def test_a_batch_script_and_its_job(alice):
    script = "#!/bin/sh\n#SBATCH --container-name=work\necho written > /file\ncat /file\n"
    assert alice.script(script, f"--docker={BUSYBOX}").lines == ["written"]
