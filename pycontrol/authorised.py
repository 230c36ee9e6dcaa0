"""What the caller may run here, by the site's list of images and its rules.

For `socker images` and completion; what is run is decided on the node (ruling.py).
"""

from __future__ import annotations

from pycontrol import config, identity, ruleshow
from pycontrol.config import Config
from pycontrol.identity import Account
from pycontrol.rules import Rules


def names(settings: Config) -> tuple[str, ...] | None:
    """The caller's images of the list, in its order; None: every image is allowed."""
    return ruleshow.names(*rules_of_caller(settings))


def rules_of_caller(settings: Config) -> tuple[Rules, Account]:
    return config.load_rules(settings), identity.of_caller()
