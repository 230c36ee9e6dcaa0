"""A job without container options pays nothing: no Python, no Docker (DESIGN D9)."""

from pathlib import Path

from conftest import BUSYBOX
from test_teardown import pids_of


def maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:  # it has ended since
        return ""


def test_no_libpython_in_srun_and_slurmstepd(alice, wait_for):
    process = alice.start("srun", "-Q", "sh", "-c", "echo $SLURM_JOB_ID; sleep 3", stdout=-1)
    job = process.stdout.readline().strip()
    stepds = wait_for(lambda: pids_of("slurmstepd:", f"[{job}.0]"))
    sruns = pids_of("srun -Q sh -c", "")
    assert stepds
    assert sruns
    for pid in stepds + sruns:
        assert "socker.so" in maps(pid), "the plugin is loaded"
        assert "libpython" not in maps(pid)
    process.wait(30)


def test_no_libpython_in_slurmstepd_of_a_container_step_either(alice, wait_for):
    """The hook's worker had one; it goes when the tasks have the plan."""
    script = "echo $SLURM_JOB_ID; read line"
    words = ["srun", "-Q", f"--docker={BUSYBOX}", "sh", "-c", script]
    process = alice.start(*words, stdin=-1, stdout=-1)
    job = process.stdout.readline().strip()

    def without() -> bool:
        stepds = pids_of("slurmstepd:", f"[{job}.0]")
        return bool(stepds) and not any("libpython" in maps(pid) for pid in stepds)

    wait_for(without, 2)
    process.communicate("\n", timeout=30)


def test_a_native_job_leaves_no_state(alice):
    assert alice.srun("true").status == 0
    assert not list(Path("/run/socker").glob("n?/*"))
