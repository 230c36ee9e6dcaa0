"""Heterogeneous jobs: one command, components separated by a colon.

Slurm keeps one value of each plugin option per command, for all components
(plugstack.c: spank_process_option, spank_set_remote_options).  So the
components share their container options, and contradictions are refused.
"""

import pytest
from conftest import BUSYBOX, DEBIAN

WHERE = ["sh", "-c", "echo $SLURM_PROCID $SLURM_HET_SIZE $(readlink -f /bin/sh)"]
ONE_IMAGE = "the components of a heterogeneous job share their container options"


def test_components_share_the_image(alice):
    result = alice.srun(f"--docker={BUSYBOX}", *WHERE, ":", f"--docker={BUSYBOX}", *WHERE)
    assert sorted(result.lines) == ["0 2 /bin/busybox", "1 2 /bin/busybox"]


def test_an_option_of_the_first_component_holds_for_all(alice):
    result = alice.srun(f"--docker={BUSYBOX}", *WHERE, ":", "-n1", *WHERE)
    assert sorted(result.lines) == ["0 2 /bin/busybox", "1 2 /bin/busybox"]


@pytest.mark.parametrize("first", [(f"--docker={BUSYBOX}",), ()])
@pytest.mark.parametrize("second", [f"--docker={DEBIAN}", "--docker=none"])
def test_different_images_are_refused(alice, first, second):
    """Else both would run in the second, or on the bare node."""
    result = alice.srun("-n1", *first, *WHERE, ":", "-n1", second, *WHERE)
    assert result.stdout == ""
    assert ONE_IMAGE in result.stderr
    assert result.status != 0


def test_different_images_are_refused_by_salloc(alice):
    result = alice.run(
        "salloc", "-n1", f"--docker={BUSYBOX}", ":", "-n1", f"--docker={DEBIAN}", "true"
    )
    assert result.status != 0
    assert ONE_IMAGE in result.stderr


def test_steps_of_a_heterogeneous_allocation(alice):
    """Each step of the allocation may still have an image of its own."""
    script = (
        f"srun -Q --het-group=0,1 {' '.join(WHERE[:2])} '{WHERE[2]}';"
        f"srun -Q --het-group=0 readlink -f /bin/sh & srun -Q --het-group=1"
        f" --container-image={DEBIAN} readlink -f /bin/sh; wait"
    )
    result = alice.run("salloc", "-Q", "-n1", f"--docker={BUSYBOX}", ":", "-n1", "sh", "-c", script)
    assert sorted(result.lines[:2]) == ["0 2 /bin/busybox", "1 2 /bin/busybox"]
    assert sorted(result.lines[2:]) == ["/bin/busybox", "/usr/bin/dash"]


@pytest.mark.parametrize("second", ["", f"--docker={DEBIAN}"])
def test_batch_script_of_a_heterogeneous_job(alice, second):
    """It runs on the first component's node, in the first component's image."""
    script = (
        f"#!/bin/sh\n#SBATCH -n1 --docker={BUSYBOX}\n#SBATCH hetjob\n#SBATCH -n1 {second}\n"
        "echo $SLURM_HET_SIZE $(readlink -f /bin/sh)\n"
    )
    assert alice.script(script).lines == ["2 /bin/busybox"]
