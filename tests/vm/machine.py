"""A VM under qemu, emulated: a machine for tests seldom has a KVM that works.

What it prints comes out of a virtio port, line by line; lines that begin with
EVENT are for us.  There is no network card, and no way in: what it shall do is
on its disk and on its kernel's command line.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import image
from stages import StageError, stage

EVENT = "\x1e"
MEMORY = 2048  # MB
CPUS = 2
# A processor without AVX makes the guest choose plain code, which is emulated faster.
EMULATED = ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]
KERNEL_LINE = (
    "console=ttyS0 root=/dev/nvme0n1 rw quiet mitigations=off no5lvl nokaslr "
    "tsc=reliable no_timer_check random.trust_cpu=on"
)
QEMU_RELEASE = "trixie"  # qemu 10 emulates twice as fast as the 7.2 of bookworm


def qemu() -> list[str]:
    """The command: qemu is unpacked only, so it is run by its own loader on its own libraries."""

    def make(target: Path) -> None:
        with stage(f"qemu of {QEMU_RELEASE}"):
            packages = ["qemu-system-x86", "seabios"]
            image.bootstrap(QEMU_RELEASE, target, packages, "extract")

    root = image.cached("qemu", QEMU_RELEASE, make)
    return [
        f"{root}/usr/lib64/ld-linux-x86-64.so.2", "--library-path",
        f"{root}/usr/lib/x86_64-linux-gnu", f"{root}/usr/bin/qemu-system-x86_64",
        "-L", f"{root}/usr/share/qemu", "-L", f"{root}/usr/share/seabios",
    ]  # fmt: skip


class Machine:
    """One boot of a disk: `with Machine(...)`, and its end is a power loss."""

    def __init__(self, disk: Path, kernel: Path, words: str):
        self.console = disk.with_name("console")
        self.command = [
            "nice", *qemu(), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35,sata=off,smbus=off,i8042=off,usb=off", *EMULATED,
            "-smp", str(CPUS), "-m", str(MEMORY),
            "-kernel", str(kernel), "-append", f"{KERNEL_LINE} {words}",
            "-serial", f"file:{self.console}",
            "-drive", f"file={disk},if=none,id=root,format=raw,cache=unsafe,discard=unmap",
            "-device", "nvme,drive=root,serial=root",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", "file,id=log,path=/dev/stdout",
            "-device", "virtserialport,chardev=log,name=socker.log",
        ]  # fmt: skip

    def __enter__(self) -> Machine:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self, event: str, seconds: float) -> str:
        """Show what it prints until it says `event`; what it says with it."""
        alarm = threading.Timer(seconds, self.process.kill)
        alarm.start()
        try:
            for line in self.process.stdout:
                if line.startswith(EVENT + event):
                    return line.removeprefix(EVENT + event).strip()
                print(line, end="", flush=True)
        finally:
            alarm.cancel()
        tail = self.console.read_text(errors="replace")[-3000:] if self.console.exists() else ""
        raise StageError(f"the VM did not say `{event}` in {seconds} s; its console:\n{tail}")
