"""A hundred steps at a time, starting and ending: the node has as much of everything afterwards.

25 s of them; `make soak` takes 300.
"""

import contextlib
import os
from pathlib import Path

import cluster
from conftest import BUSYBOX

from faults.door import URL

SECONDS = int(os.environ.get("SOAK_SECONDS", "25"))
WORKERS = 100
MORE_MEMORY = 64 << 20  # bytes of a daemon: what Go's collector has not yet given back
OURS = ("/slurm_n", "/docker/")

# Each worker starts one step after the other; every tenth has a container of its own.
SCRIPT = f"""
end=$(($(date +%s) + {SECONDS}))
worker() {{
    [ $(($1 % 10)) = 0 ] && own=--container-writable
    while [ $(date +%s) -lt $end ]; do
        srun -Q --overlap -N1 -n1 --mem=0 -w n$(($1 % 4 + 1)) --docker={BUSYBOX} $own \\
            sh -c "echo ran; sleep $((($1 + $(date +%s)) % 6 + 3))" || echo failed
    done
}}
for i in $(seq {WORKERS}); do worker $i & sleep 0.05; done
wait
"""


def daemons(engine) -> dict[str, int]:
    """All that our code runs in or talks to; in slurmctld, which opens what it likes, it is not."""
    slurmds = [d for d in cluster.slurm_daemons() if d.name.startswith("slurmd-")]
    return {daemon.name: daemon.pids()[0] for daemon in slurmds} | {
        "dockerd": engine.daemon.pids()[0],
        "containerd": engine.containerds()[0],
    }


def memory(pid: int) -> int:
    """Resident, in bytes (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def counts(engine) -> dict[str, int]:
    """Of everything that a step uses for its time."""
    found = {f"fds of {n}": len(os.listdir(f"/proc/{p}/fd")) for n, p in daemons(engine).items()}
    groups = [d for d, _, _ in os.walk("/sys/fs/cgroup") if any(word in d for word in OURS)]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return found | {
        "cgroups": len(groups),
        "mounts": len([line for line in mounts if "/overlay2/" in line or "faults-engine" in line]),
        "files in /run/socker": sum(len(files) for _, _, files in os.walk("/run/socker")),
        "shims": len(engine.shims()),
    }


def more(found: dict[str, int], than: dict[str, int]) -> dict[str, int]:
    """What there is more of.  Less is no leak: some files of the node's own go with time."""
    return {name: number for name, number in found.items() if number > than[name]}


def test_a_hundred_steps_at_a_time(alice, engine, wait_for, settings):
    settings.write_text(f'engine = "{URL}"\n')  # with the time-outs that a busy node needs
    words = ["-Q", "-N4", "-n8", "--mem=2000"]
    warm = ["salloc", *words, "srun", "-Q", f"--docker={BUSYBOX}", "echo", "ran"]
    assert alice.run(*warm).status == 0
    wait_for(lambda: cluster.node_state("n1") == "idle")
    before, memories = counts(engine), {n: memory(p) for n, p in daemons(engine).items()}
    soak = alice.run("salloc", *words, "bash", "-c", SCRIPT, timeout=SECONDS + 400)
    ran, failed = soak.lines.count("ran"), soak.lines.count("failed")
    print(f"{ran} steps")
    assert (failed, soak.status) == (0, 0)
    assert ran >= WORKERS
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not more(counts(engine), before))
    assert not more(counts(engine), before)
    for name, pid in daemons(engine).items():
        assert memory(pid) < memories[name] + MORE_MEMORY, name
