"""A job without container options pays nothing: no Python, no Docker (DESIGN D9)."""

from pathlib import Path

from test_teardown import pids_of


def maps(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


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
    from conftest import BUSYBOX

    script = "echo $SLURM_JOB_ID; sleep 3"
    process = alice.start("srun", "-Q", f"--docker={BUSYBOX}", "sh", "-c", script, stdout=-1)
    job = process.stdout.readline().strip()
    for pid in wait_for(lambda: pids_of("slurmstepd:", f"[{job}.0]")):
        assert "libpython" not in maps(pid)
    process.wait(30)


def test_a_native_job_leaves_no_state(alice):
    assert alice.srun("true").status == 0
    assert not list(Path("/run/socker").glob("n?/*"))
