"""Shows the user what a step's set-up does, and how long: with -v or SOCKER_VERBOSE=1;
with SOCKER_TRACE=1 as a part of the shim's stages (spank_plugin/trace.c).

`socker pull` on a terminal asks by SOCKER_PROGRESS=bars for lines that it draws.
"""

from __future__ import annotations

import time

from pycontrol.bridge import Channel, StepFacts

TRACE = "SOCKER_TRACE"
PROGRESS, BARS = "SOCKER_PROGRESS", "bars"  # runstep.py has them, too


class Stages:
    """One line a stage, with its time in milliseconds."""

    def __init__(self, facts: StepFacts, channel: Channel):
        channel.bars = facts.env.get(PROGRESS) == BARS
        self._shown = ("verbose", "1") in facts.options
        self._traced = facts.env.peek(TRACE) == "1"
        self._where = facts.node
        self._channel = channel
        self._since = time.monotonic()
        if self._traced:
            used = time.process_time() * 1000
            channel.tell(f"trace: {used:7.2f} ms  hook: Python and its modules (processor time)")

    def done(self, stage: str) -> None:
        now = time.monotonic()
        milliseconds = (now - self._since) * 1000
        if self._traced:
            self._channel.tell(f"trace: {milliseconds:7.2f} ms  hook: {stage}")
        elif self._shown:
            self._channel.tell(f"{self._where}: {stage}: {milliseconds:.0f} ms")
        self._since = now

    def ready(self) -> None:
        """All that this node has to do is done."""
        if self._channel.bars:
            self._channel.report("ready")
