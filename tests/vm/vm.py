#!/usr/bin/python3
"""Tests on cgroup v2 and systemd: `vm.py [--junitxml=FILE] RELEASE... [-- PYTEST-WORDS...]`.

A RELEASE is Debian's: trixie (Slurm 24.11, Docker 26), forky (26.05, 28).  Each
boots in a VM with Slurm, Docker and the plugin of this checkout, runs the tests
in core.json and tests/vm/inside, loses its power, and boots again.  With words
for pytest the VM runs those alone.  Run as root.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLUSTER = HERE.parent / "cluster"
sys.path[:0] = [str(CLUSTER), str(HERE.parent)]

import cluster  # noqa: E402
import image  # noqa: E402
import matrix  # noqa: E402
from machine import CPUS, MEMORY, Machine  # noqa: E402
from packages import install  # noqa: E402
from stages import StageError, stage  # noqa: E402

HOST_PACKAGES = ["mmdebstrap", "e2fsprogs", "kmod", "debian-archive-keyring"]
TESTS_LIMIT = 2400  # seconds for a boot and its tests
MORE_SETTINGS = {
    "slurm.conf": "MessageTimeout=60\nGresTypes=fake\nNodeName=DEFAULT Gres=fake:1\n",
    # slurmd waits a second by default for systemd to make its scope, and ends without one.
    "cgroup.conf": "SystemdTimeout=300000\n",  # ms
}

NEEDLESS_UNITS = [
    "apt-daily-upgrade.timer", "apt-daily.timer", "dpkg-db-backup.timer", "fstrim.timer",
    "getty@tty1.service", "ldconfig.service", "serial-getty@ttyS0.service",
    "systemd-firstboot.service", "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service", "systemd-pstore.service",
    "systemd-tmpfiles-clean.timer",
]  # fmt: skip


def configure(root: Path) -> None:
    """The cluster of tests/cluster with one node, as systemd's services."""
    values = cluster.values(nodes=1, hostname="vm", cpus=CPUS, memory=MEMORY * 3 // 4)
    for name, more in MORE_SETTINGS.items():
        text = (CLUSTER / f"{name}.in").read_text().format(**values, plugin="cgroup/v2")
        (root / "etc/slurm" / name).write_text(more + text)
    state = root / str(cluster.STATE).lstrip("/")
    for folder in ("slurmctld", "tmp-n1"):
        (state / folder).mkdir(parents=True)
    (state / "tmp-n1").chmod(0o1777)
    (root / str(cluster.LOGS).lstrip("/")).mkdir(parents=True)
    image.inside(root, "chown", "slurm:", str(cluster.STATE / "slurmctld"), str(cluster.LOGS))
    for group in {group for groups in cluster.USERS.values() for group in groups}:
        image.inside(root, "groupadd", group)
    for name, groups in cluster.USERS.items():
        image.inside(root, "useradd", "-m", "-s", "/bin/bash", "-G", ",".join(groups), name)
    image.inside(root, "/opt/socker/bin/socker", "install", "--enable")
    image.inside(root, "systemctl", "--quiet", "mask", *NEEDLESS_UNITS)
    image.inside(root, "systemctl", "--quiet", "enable", "vm-address.service", "vm-tests.service")


def boot(disk: Path, kernel: Path, which: str) -> tuple[dict, list[ET.Element]]:
    """What the VM is, and the test suites that it ran; then its power is cut."""
    started = time.monotonic()
    with Machine(disk, kernel, f"socker.boot={which}") as machine:
        facts = json.loads(machine.wait("facts", TESTS_LIMIT))
        report = json.loads(machine.wait("report", TESTS_LIMIT))
    print(f"==> the {which} boot and its tests took {time.monotonic() - started:.0f} s", flush=True)
    return facts, list(ET.fromstring(report).iter("testsuite"))


def run_release(release: str, words: list[str]) -> list[ET.Element]:
    """Boot it, run the tests, cut its power, boot it again."""
    print(f"\n--- {release} ---", flush=True)
    image.cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.cache()) as work:
        disk, kernel = image.make_disk(release, Path(work), configure, words)
        facts, suites = boot(disk, kernel, "first")
        if not words:
            suites += boot(disk, kernel, "second")[1]
            matrix.record(facts, suites)
    return suites


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--junitxml", type=Path)
    parser.add_argument("releases", nargs="+")
    own, words = sys.argv[1:], []
    if "--" in own:
        own, words = own[: own.index("--")], own[own.index("--") + 1 :]
    given = parser.parse_args(own)
    if os.geteuid() != 0:
        sys.exit("vm.py: only root can make a root file system: run it with sudo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # mounts and qemu go on the way out
    with stage("packages that make the VM"):
        install(HOST_PACKAGES)
    together = ET.Element("testsuites")
    for release in given.releases:
        try:
            together.extend(run_release(release, words))
        except StageError as error:
            sys.exit(f"{release}: {error}")
    if given.junitxml:
        ET.ElementTree(together).write(given.junitxml)
    bad = sum(int(s.get("failures")) + int(s.get("errors")) for s in together)
    return 1 if bad or not len(together) else 0


if __name__ == "__main__":
    sys.exit(main())
