"""Nothing stays behind, whoever is killed.  The fixture clean_nodes is the test."""

import contextlib
import os
import signal
from pathlib import Path

from conftest import BUSYBOX, STATE, containers, has_sleeper, read


def pids_of(name: str, word: str) -> list[int]:
    """Processes whose command line starts with `name` and holds `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if line.startswith(name) and word in line:
                found.append(int(entry.name))
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # a helper that has ended since
            os.kill(pid, signal.SIGKILL)


def sleeper(alice, wait_for, *options):
    """A step that runs; its process and the job's id."""
    process = alice.start(
        "srun", "-Q", f"--docker={BUSYBOX}", *options, "sh", "-c", "echo $SLURM_JOB_ID; sleep 77",
        stdout=-1, stderr=-1,
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def test_slurmstepd_killed(alice, wait_for):
    process, job = sleeper(alice, wait_for)
    kill(wait_for(lambda: pids_of("slurmstepd:", f"[{job}.0]")))
    alice.run("scancel", job)
    process.communicate(timeout=60)
    wait_for(lambda: not containers(), 60)
    wait_for(lambda: not pids_of("sleep 77", ""), 30)


def test_extern_slurmstepd_killed(alice, wait_for):
    process, job = sleeper(alice, wait_for)
    kill(wait_for(lambda: pids_of("slurmstepd:", f"[{job}.extern]")))
    alice.run("scancel", job)
    process.communicate(timeout=60)
    wait_for(lambda: not containers(), 60)


def test_first_process_killed(alice, wait_for):
    process, job = sleeper(alice, wait_for)
    pid = int(read("docker", "inspect", "-f", "{{.State.Pid}}", containers()[0]))
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not containers())
    alice.run("scancel", job)
    process.communicate(timeout=60)


def test_a_step_after_the_first_process_died_gets_a_new_one(alice, wait_for):
    ready = alice.home / "ready"
    ready.unlink(missing_ok=True)
    script = (
        f"srun -Q --docker={BUSYBOX} echo one; while [ ! -e ready ]; do sleep 0.1; done; rm ready;"
        f"srun -Q --docker={BUSYBOX} echo two"
    )
    job = alice.start("salloc", "-Q", "-n1", "sh", "-c", script, stdout=-1)
    assert job.stdout.readline() == "one\n"
    os.kill(int(read("docker", "inspect", "-f", "{{.State.Pid}}", containers()[0])), signal.SIGKILL)
    wait_for(lambda: not containers())
    ready.touch()
    assert job.communicate(timeout=60)[0] == "two\n"


def test_the_owner_cannot_kill_the_first_process(alice):
    """Else a process of the owner's could take its place; nor its leash, if it has one."""
    look = (
        "for d in /proc/[0-9]*; do { read -r name < $d/comm; } 2>/dev/null "
        '&& test "$name" = pause && echo found '
        "&& kill -KILL ${d#/proc/}; done 2>&1 | sed 's/.*not permitted.*/refused/'"
    )
    step = f"srun -Q --docker={BUSYBOX}"
    script = f'{step} true; {look}; {step} sh -c "$0"'
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script, look)
    processes = 2 if has_sleeper() else 1
    assert (
        sorted(filter(None, result.lines))
        == ["found"] * 2 * processes + ["refused"] * 2 * processes
    )


def test_a_users_process_in_the_extern_steps_group_is_no_anchor(alice):
    """In v1 Slurm gives a step's groups to the user, who can put processes there."""
    script = f"""
extern=$(sed -n 's/.*devices:\\(.*\\)\\/step_.*/\\1/p' /proc/self/cgroup)/step_extern
mine=/sys/fs/cgroup/devices$extern/aaa
if mkdir $mine 2>/dev/null; then sleep 50 & echo $! > $mine/cgroup.procs; fi
srun -Q --overlap --docker={BUSYBOX} echo well
grep -c . /proc/$!/cgroup >/dev/null && kill $!
"""
    result = alice.script(f"#!/bin/sh\n{script}")
    assert result.lines == ["well"]


def test_hook_killed_while_it_works(alice, wait_for):
    """SIGKILL of slurmstepd takes its hook along, the epilog what was made."""
    process = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "echo", "ran", stdout=-1, stderr=-1)
    job = wait_for(lambda: [p.name for p in STATE.glob("n?/*")])[0]
    kill(pids_of("slurmstepd:", f"[{job}.0]"))
    alice.run("scancel", job)
    process.communicate(timeout=90)


def test_a_failed_step_leaves_nothing_in_a_living_job(alice):
    script = (
        f"srun -Q --docker={BUSYBOX} --container-mounts=/nowhere:/x true;"
        f"srun -Q --docker={BUSYBOX} echo well"
    )
    result = alice.run("salloc", "-Q", "-n1", "sh", "-c", script)
    assert result.lines == ["well"]


def test_epilog_twice(alice):
    """The epilog's hook is harmless for jobs that never used a container."""
    for _ in range(3):
        assert alice.srun("true").status == 0
