"""`./quickstart`: everything from a bare machine to container steps of a user's.

Starts the cluster, then runs the main job as the ordinary user alice and shows
the commands with their real output.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cluster
from images import REGISTRY, remove_from_engine
from stages import stage

DEBIAN = f"{REGISTRY}/debian:bookworm"
USER = "alice"
SCRIPT = f"""\
#!/bin/bash
#SBATCH --docker={DEBIAN}
#SBATCH --nodes=1
. /etc/os-release
echo "This script runs in $PRETTY_NAME on $SLURMD_NODENAME as $(whoami), in $PWD."
"""


def show(*command: str, timeout: float = 300) -> None:
    """Run a command as the user, with its output on the screen."""
    print(f"\n{USER}$ {' '.join(command)}", flush=True)
    done = subprocess.run(
        ["/usr/sbin/runuser", "-u", USER, "--", *command],
        cwd=f"/home/{USER}",
        env={"HOME": f"/home/{USER}", "USER": USER, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        timeout=timeout,
    )
    if done.returncode:
        sys.exit(
            f"quickstart: the command ended with {done.returncode}. `socker check` and "
            f"{cluster.LOGS}/slurmd-n*.log may say why."
        )


def main() -> None:
    started = time.monotonic()
    cluster.up()
    with stage("both images removed from the engine, so that jobs pull them"):
        for name in (DEBIAN, f"{REGISTRY}/busybox:1"):
            remove_from_engine(name)
    show("srun", f"--container-image={DEBIAN}", "cat", "/etc/os-release")
    script = Path(f"/home/{USER}/quickstart.sh")
    script.write_text(SCRIPT)
    show("cat", "quickstart.sh")
    show("sbatch", "--wait", "--output=quickstart.out", "quickstart.sh")
    show("cat", "quickstart.out")
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. Try `su - {USER}` and "
        f"`srun -N2 --docker={REGISTRY}/busybox:1 id`.\n"
        "`make test` runs all tests, `make cluster-down` stops the cluster."
    )


if __name__ == "__main__":
    main()
