"""The units by which systemd runs `socker gc`: when slurmd has started, and every hour."""

from __future__ import annotations

from pathlib import Path

SERVICE = """\
# Written by `socker install`; `systemctl enable` it by its path.
[Unit]
Description=Remove what ended jobs have left of their containers
Wants=network-online.target
After=network-online.target docker.service slurmd.service

[Service]
Type=oneshot
ExecStart=-{socker} images prune
ExecStart={socker} gc
TimeoutStartSec=1h
Nice=10
IOSchedulingClass=idle

[Install]
WantedBy=slurmd.service
"""
TIMER = """\
# Written by `socker install`; `systemctl enable` it by its path.
[Unit]
Description=Remove what ended jobs have left of their containers, every hour

[Timer]
OnActiveSec=5min
OnUnitInactiveSec=1h
RandomizedDelaySec=10min

[Install]
WantedBy=timers.target
"""
NAMES = ("socker-gc.service", "socker-gc.timer")


def texts(socker: Path) -> dict[str, str]:
    """Each unit's text, for the command that is at this path."""
    return dict(zip(NAMES, (SERVICE.format(socker=socker), TIMER), strict=True))
