"""The site's program that checks an image's signature, or what else it likes.

Root's hook starts it as an account that is neither root's nor the job owner's:
the first need not trust what it reads, the second could stop it or put words
into it.  It gets IMAGE@DIGEST as its last argument, in full, which is what is run
if it ends with status 0; otherwise the last line that it printed to stderr is
the user's error.
"""

from __future__ import annotations

import os
import pwd
from functools import partial
from pathlib import Path

from pycontrol import as_user, identity, kernel
from pycontrol.config import Config
from pycontrol.confirmed import Confirmed
from pycontrol.errors import NodeError, PolicyError, UserError
from pycontrol.identity import Account
from pycontrol.image import Reference

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST = 64 << 10  # bytes of its words that are looked at
LONGEST_LINE = 500  # characters that are shown


def refuse_file(reference: Reference, config: Config) -> None:
    """A file has no name that anybody could have signed."""
    if config.verify:
        raise PolicyError(
            f"image {reference.text}: this site verifies images, which it cannot do with files: "
            "use one from a registry"
        )


def check(name: str, owner: Account, config: Config, root: Path) -> None:
    """PolicyError unless the site's program, if there is one, agrees to IMAGE@DIGEST."""
    if not config.verify:
        return
    account = _account(config, owner)
    records = Confirmed(root / "confirmed", config.confirmation_time)
    asked = " ".join((*config.verify, owner.name, name))
    if records.is_fresh(account.uid, asked):
        return
    verdict = as_user.call(account, partial(_run, name, owner.name, account, config), LONGEST)
    if verdict:
        raise PolicyError(f"image {name}: this site's check refuses it: {verdict.decode()}")
    records.note(account.uid, asked)


def _account(config: Config, owner: Account) -> Account:
    try:
        entry = pwd.getpwnam(config.verify_user)
    except KeyError:
        raise NodeError(
            f"verify_user = {config.verify_user}: this node knows no such user: tell the admin"
        ) from None
    if entry.pw_uid in (0, owner.uid):
        raise NodeError(
            f"verify_user = {config.verify_user}: neither root nor the job's owner can be that: "
            "tell the admin"
        )
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return identity.look_up(entry.pw_uid, entry.pw_gid, groups)


def _run(name: str, owner: str, account: Account, config: Config) -> bytes:
    """As that account: empty, or why not."""
    import subprocess  # only where the site checks images

    environment = {"PATH": PATH, "HOME": account.home, "LANG": "C.UTF-8", "SOCKER_USER": owner}
    try:
        done = subprocess.run(
            [*config.verify, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            timeout=config.verify_timeout,
            preexec_fn=kernel.die_with_parent,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"image {name}: this site's check took longer than verify_timeout = "
            f"{config.verify_timeout} s: try again, or tell the admin"
        ) from None
    except OSError as error:
        raise UserError(
            f"verify: {config.verify[0]} cannot be run: {error.strerror}: tell the admin"
        ) from None
    if not done.returncode:
        return b""
    said = done.stderr[-LONGEST:].decode(errors="replace").strip().splitlines()
    line = said[-1] if said else f"status {done.returncode}"
    return "".join(c for c in line if c.isprintable())[:LONGEST_LINE].encode() or b"?"
