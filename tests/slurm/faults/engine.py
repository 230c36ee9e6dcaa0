"""A Docker Engine of the faults' own, which tests kill, stop and fill without harm to the node.

The same dockerd as the node's, with containerd, socket and data root of its own;
its disk is a small memory file system.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from daemons import Daemon, succeeds

HERE = Path("/run/faults-engine")  # its socket, its containerd, its configuration
DATA = Path("/var/lib/faults-engine")
DISK = "size=192m"
SOCKET = HERE / "docker.sock"
URL = f"unix://{SOCKET}"
CONFIGURATION = HERE / "daemon.json"


def _daemon() -> Daemon:
    argv = ["/usr/sbin/dockerd", f"--config-file={CONFIGURATION}"]
    return Daemon(
        "dockerd-of-faults",
        argv,
        lambda: succeeds("docker", "--host", URL, "version"),
        matches=(argv[1],),
        stale=(str(HERE / "docker.pid"), str(HERE / "exec/containerd/containerd.pid")),
        patience=60,
    )


class Engine:
    """As tests see it: it starts, is killed, stops, and starts again."""

    def __init__(self):
        self.daemon = _daemon()
        if HERE.exists():  # of a run that was killed
            self.remove()
        HERE.mkdir()
        DATA.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "faults", DATA], check=True)
        self.configure()

    def configure(self, live_restore: bool = False) -> None:
        """What it reads at its next start."""
        CONFIGURATION.write_text(
            json.dumps(
                {
                    "hosts": [URL],
                    "data-root": str(DATA / "docker"),
                    "exec-root": str(HERE / "exec"),
                    "pidfile": str(HERE / "docker.pid"),
                    "bridge": "none",
                    "iptables": False,
                    "ip-forward": False,
                    "live-restore": live_restore,
                    "max-download-attempts": 1,  # of five it waits 50 s between the attempts
                }
            )
        )

    def start(self) -> None:
        """Make sure that it runs, whatever a test has done to it."""
        self.send(signal.SIGCONT)
        if not self.daemon.pids():
            self._unmount(lambda point: point.match("*-init/merged"))
        self.daemon.start()

    def restart(self) -> None:
        """As `systemctl restart docker`."""
        self.daemon.stop()
        self.daemon.start()

    def send(self, number: int) -> None:
        """A signal to dockerd itself."""
        for pid in self.daemon.pids():
            os.kill(pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def containerds(self) -> list[int]:
        return self._children("containerd", "--config", str(HERE / "exec/containerd"))

    def shims(self) -> list[int]:
        return self._children("containerd-shim-runc-v2", "-address", str(HERE / "exec/containerd"))

    def _children(self, program: str, option: str, path: str) -> list[int]:
        """Processes of a program whose option names a file of this engine's."""
        found = replace(self.daemon, argv=[program], matches=(option,))
        return [p for p in found.pids() if path in Path(f"/proc/{p}/cmdline").read_text()]

    def remove(self) -> None:
        """Nothing of it may stay on the machine."""
        self.send(signal.SIGCONT)
        self.daemon.stop()
        for pid in self.shims():
            os.kill(pid, signal.SIGKILL)
        self._unmount(lambda point: True)
        shutil.rmtree(HERE)
        shutil.rmtree(DATA)

    def _unmount(self, wanted: Callable[[Path], bool]) -> None:
        """Of its own mounts the wanted ones.

        Docker itself leaves one for ever when it is killed while it prepares the
        layer below a container's own (`ID-init`).
        """
        lines = Path("/proc/self/mounts").read_text().splitlines()
        for point in reversed([Path(line.split()[1]) for line in lines]):
            if (point.is_relative_to(HERE) or point.is_relative_to(DATA)) and wanted(point):
                subprocess.run(["umount", "--lazy", point], check=True)
