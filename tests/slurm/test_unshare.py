"""--container-unshare and --container-tmp: what a step has for itself on a node."""

import time

import pytest
from conftest import BUSYBOX, read


def unshared(alice, kinds, *argv, **options):
    return alice.srun(f"--docker={BUSYBOX}", f"--container-unshare={kinds}", *argv, **options)


@pytest.mark.parametrize("kind", ["net", "ipc", "uts", "pid"])
def test_it_is_another_and_the_steps_tasks_share_it(alice, kind):
    result = unshared(alice, kind, "-N1", "-n2", "readlink", f"/proc/self/ns/{kind}")
    assert len(set(result.lines)) == 1
    assert result.lines[0].startswith(f"{kind}:[")
    native = alice.srun("readlink", f"/proc/self/ns/{kind}").lines
    assert native[0] != result.lines[0]


def test_without_it_all_are_the_nodes(alice):
    script = "for kind in net ipc uts pid; do readlink /proc/self/ns/$kind; done"
    container = alice.srun("-wn1", f"--docker={BUSYBOX}", "sh", "-c", script)
    assert container.lines == alice.srun("-wn1", "sh", "-c", script).lines


def test_all_at_once(alice):
    result = unshared(
        alice, "net,ipc,uts,pid", "sh", "-c", "ip addr | grep -c UP; echo $$; ls /dev/shm | wc -l"
    )
    assert result.lines[0] == "1", "the loopback is up and there is no other"
    assert int(result.lines[1]) < 10
    assert result.lines[2] == "0"


def test_processes_see_their_own_alone(alice):
    result = unshared(alice, "pid", "ps")
    assert len(result.lines) < 6
    assert "slurmstepd" not in result.stdout


def test_exit_status_and_signals(alice):
    assert unshared(alice, "pid", "sh", "-c", "exit 9").status == 9
    killed = unshared(alice, "pid", "sh", "-c", "kill -USR1 $$; sleep 1")
    native = alice.srun("sh", "-c", "kill -USR1 $$; sleep 1")
    assert killed.status == native.status


def test_signals_reach_the_command(alice):
    script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.1; done"
    options = [f"--docker={BUSYBOX}", "--container-unshare=pid"]
    assert alice.signalled("USR1", *options, "sh", "-c", script) == ("got it\n", 3)


def test_scancel_leaves_no_process(alice):
    job = alice.start(
        "srun", f"--docker={BUSYBOX}", "--container-unshare=pid", "-J", "pidns", "sh", "-c",
        "echo up; sleep 4321", stdout=-1, stderr=-1,
    )  # fmt: skip
    job.stdout.readline()
    alice.run("scancel", "--name=pidns")
    job.communicate(timeout=30)
    end = time.monotonic() + 10
    while read("pgrep", "-f", "sleep 4321") and time.monotonic() < end:
        time.sleep(0.1)
    assert not read("pgrep", "-f", "sleep 4321")


def test_pty(alice):
    result = alice.run(
        "script", "-qec",
        f"srun -Q --pty --docker={BUSYBOX} --container-unshare=pid tty", "/dev/null",
    )  # fmt: skip
    assert "/dev/pts/" in result.stdout


def test_entrypoint_and_pid_together(alice, make_image):
    image = make_image("wrap", changes=['ENTRYPOINT ["/bin/env", "WRAPPED=1"]', "ENV PATH=/bin"])
    result = alice.srun(
        f"--docker={image}", "--container-entrypoint", "--container-unshare=pid",
        "sh", "-c", "echo $WRAPPED",
    )  # fmt: skip
    assert result.lines == ["1"]


# --- /tmp and memory file systems ----------------------------------------------------


def test_tmp_is_the_nodes_by_default(alice):
    alice.run("touch", "/tmp/of-the-node")
    assert alice.srun(f"--docker={BUSYBOX}", "ls", "/tmp/of-the-node").status == 0
    alice.run("rm", "/tmp/of-the-node")


def test_a_private_tmp(alice):
    script = (
        "ls -A /tmp | grep -v '^[01]$'; touch /tmp/$SLURM_PROCID; "
        "until test -e /tmp/0 -a -e /tmp/1; do sleep 0.1; done; ls /tmp | wc -l; "
        "grep ' /tmp ' /proc/self/mounts"
    )
    result = alice.srun(
        "-N1", "-n2", f"--docker={BUSYBOX}", "--container-tmp=private", "sh", "-c", script
    )
    assert result.lines.count("2") == 2, "the step's tasks share it"
    assert all(
        "tmpfs" in line and "nosuid,nodev" in line for line in result.lines if "/tmp" in line
    )


def test_a_private_tmp_is_the_steps(alice):
    script = "srun -Q touch /tmp/first; srun -Q ls -A /tmp"
    result = alice.run(
        "salloc", "-Q", f"--docker={BUSYBOX}", "--container-tmp=private", "sh", "-c", script
    )
    assert result.stdout == ""


def test_a_tmpfs_of_a_size(alice):
    result = alice.srun(
        f"--docker={BUSYBOX}", "--container-mounts=tmpfs:/scratch:size=1m", "sh", "-c",
        "head -c 2000000 /dev/zero > /scratch/x 2>/dev/null; stat -c %s /scratch/x",
    )  # fmt: skip
    assert result.lines == ["1048576"]


def test_a_signal_to_the_whole_job_spares_the_namespace(alice):
    """Slurm's extern step, where the job's container is, ends by it (22.05)."""
    script = (
        "trap 'got=1; echo got it' USR1; echo ready; "
        "until [ $got ]; do sleep 0.1; done; sleep 2; echo on"
    )
    job = alice.start(
        "srun", f"--docker={BUSYBOX}", "--container-unshare=pid", "-J", "pidns", "sh", "-c", script,
        stdout=-1,
    )  # fmt: skip
    assert job.stdout.readline() == "ready\n"
    alice.run("scancel", "--signal=USR1", "--name=pidns")
    assert job.communicate(timeout=30)[0] == "got it\non\n"
