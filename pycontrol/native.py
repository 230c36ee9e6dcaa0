"""Steps without a container where the site's rules require one.

Runs as root in a hook of its own, which only plugstack.conf's `native=check`
starts (spank_plugin/plugin.c).  What is allowed is noted for the job, so that
its later steps are not asked about again; the epilog takes the note away.
"""

from __future__ import annotations

from pycontrol import identity, ruling, slurmjob
from pycontrol.bridge import StepFacts
from pycontrol.config import Config
from pycontrol.rules import NOWHERE, Rules


def check(rules: Rules, settings: Config, facts: StepFacts) -> None:
    """Raises PolicyError where a container is required, NodeError where that cannot be known."""
    if not any(rule.container for rule in rules.rules):
        return
    account = identity.look_up(facts.uid, facts.gid, facts.groups)
    verdicts = [judge.native() for judge in ruling.judges_of(rules, account, (NOWHERE,))]
    if any(verdict.allowed is None for verdict in verdicts):
        places = slurmjob.places(facts, settings.slurm_bin)
        verdicts = [judge.native() for judge in ruling.judges_of(rules, account, places)]
    ruling.refuse(verdicts)


def note(facts: StepFacts) -> None:
    """Where spank_plugin/kept.c looks for it."""
    folder = facts.state_root / "native"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{facts.node}.{facts.job_id}").touch(mode=0o600)
