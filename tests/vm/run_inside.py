"""In the VM, as root: waits for the cluster, runs tests, tells the host how it went.

vm.py starts it twice (`socker.boot=` on the kernel's command line):

    first   the chosen tests of tests/slurm, those of tests/vm/inside, then jobs
            in whose middle the host cuts the power
    second  what the node is like after that
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

CHECKOUT = Path("/checkout")
PORT = Path("/dev/virtio-ports/socker.log")
REPORTS = Path("/run/vm-reports")
EVENT = "\x1e"
CORE = json.loads((CHECKOUT / "tests/vm/core.json").read_text())
sys.path[:0] = [str(CHECKOUT / "tests/cluster"), str(CHECKOUT / "tests")]


def say(event: str) -> None:
    print(f"\n{EVENT}{event}", flush=True)


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, timeout=120).stdout.strip()


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def wait_for_node(states: tuple[str, ...]) -> None:
    while output("sinfo", "-h", "-o", "%t") not in states:
        if uptime() > 1200 or output("systemctl", "is-failed", "slurmd") == "failed":
            print(output("systemctl", "--no-pager", "--failed"))
            print(output("journalctl", "-b", "--no-pager", "-n", "200"))
            print(output("sinfo", "-lN"), output("squeue", "-l"))
            sys.exit(f"the node is none of {', '.join(states)}")
        time.sleep(1)
    print(f"the node is up {uptime():.0f} s after the boot", flush=True)


def pytest(name: str, *words: str) -> int:
    """`-p conftest` puts the fixtures of tests/slurm into effect for other tests."""
    command = ["pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "--durations=10"]
    report = f"--junitxml={REPORTS / name}.xml"
    more = {"PYTHONPATH": "tests/slurm", "PYTHONUNBUFFERED": "1", "SOCKER_TEST_PATIENCE": "4"}
    done = subprocess.run(
        ["/usr/bin/python3", "-m", *command, report, *words],
        cwd=CHECKOUT, env={**os.environ, **more},
    )  # fmt: skip
    return done.returncode


def first(words: list[str]) -> None:
    import images

    images.provide_busybox()
    print(f"the cluster is ready {uptime():.0f} s after the boot", flush=True)
    if words:
        pytest("chosen", *words)
        return
    pytest("core", *CORE)
    pytest("cgroup-v2", "-p", "conftest", "tests/vm/inside")
    pytest("before", "tests/vm/inside/before_power_loss.py")


def second() -> None:
    pytest("after", "tests/vm/inside/after_power_loss.py")


def merged_reports() -> str:
    together = ET.Element("testsuites")
    for path in sorted(REPORTS.glob("*.xml")):
        together.extend(ET.parse(path).getroot())
    return ET.tostring(together, encoding="unicode")


def main() -> None:
    import matrix

    log = os.open(PORT, os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ |= {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "HOME": "/root", "LC_ALL": "C.UTF-8"}  # fmt: skip
    REPORTS.mkdir(exist_ok=True)
    print(f"systemd has started the tests {uptime():.0f} s after the boot", flush=True)
    again = "socker.boot=second" in Path("/proc/cmdline").read_text()
    wait_for_node(("idle", "mix", "alloc", "comp") if again else ("idle",))
    say(f"facts {json.dumps(matrix.facts())}")
    if again:
        second()
    else:
        first((CHECKOUT / "tests/vm/words").read_text().splitlines())
    say(f"report {json.dumps(merged_reports())}")


if __name__ == "__main__":
    main()
