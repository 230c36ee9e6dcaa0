"""Two jobs that run when the power is cut; after_power_loss.py looks for what stays.

No fixture of tests/slurm is in effect: those end jobs.
"""

import os
import time

from conftest import BUSYBOX, User, containers

SCRIPT = """#!/bin/sh
touch /written-in-the-image
echo run ${SLURM_RESTART_COUNT:-0} >> ~/runs-$SLURM_JOB_NAME
[ ${SLURM_RESTART_COUNT:-0} -gt 0 ] || sleep 9999
"""


def test_jobs_run():
    alice = User("alice")
    script = alice.home / "power.sh"
    script.write_text(SCRIPT)
    for name, requeue in (("lost", "--no-requeue"), ("again", "--requeue")):
        options = [f"--job-name={name}", requeue, f"--docker={BUSYBOX}", "--container-writable"]
        assert alice.run("sbatch", "--output=/dev/null", *options, str(script)).status == 0
    end = time.monotonic() + 300
    while len(list(alice.home.glob("runs-*"))) < 2:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert len(containers()) == 2
    os.sync()  # the disk then knows of the containers, which is the harder case
