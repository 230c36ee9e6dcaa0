"""Who the tasks are: the account behind the uid, and its entries for the image.

The account is looked up on the node, before anything of the image is touched.
The image's own passwd and group files are never altered: the tasks see merged
copies mounted over them.
"""

from __future__ import annotations

import contextlib
import grp
import pwd
from collections.abc import Iterable
from dataclasses import dataclass

from pycontrol.errors import NodeError


@dataclass(frozen=True)
class Account:
    """The job's owner; groups are (gid, name), the primary one first."""

    name: str
    uid: int
    gid: int
    gecos: str
    home: str
    groups: tuple[tuple[int, str], ...]


def _group_name(gid: int) -> str:
    """The group's name on this node, or one that says the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid{gid}"


def look_up(uid: int, gid: int, groups: Iterable[int]) -> Account:
    """The account of a job; gid and groups are the job's, not the account's."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise NodeError(
            f"uid {uid}: this node knows no such user: check its passwd database (NSS)"
        ) from None
    gids = dict.fromkeys([gid, *groups])
    named = tuple((number, _group_name(number)) for number in gids)
    return Account(entry.pw_name, uid, gid, entry.pw_gecos, entry.pw_dir, named)


def _lines(text: str) -> list[list[str]]:
    return [line.split(":") for line in text.splitlines() if line.strip()]


def _joined(lines: Iterable[Iterable[str]]) -> str:
    return "".join(":".join(fields) + "\n" for fields in lines)


def entries(names: Iterable[str]) -> list[list[str]]:
    """The node's passwd lines of these accounts, as fields; of those that it knows."""
    found = []
    for name in dict.fromkeys(names):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            numbers = [str(entry.pw_uid), str(entry.pw_gid)]
            found.append([entry.pw_name, "x", *numbers, entry.pw_gecos, "/", "/usr/sbin/nologin"])
    return found


def passwd_file(
    account: Account, shell: str, image_passwd: str, others: Iterable[list[str]] = ()
) -> str:
    """The image's passwd with the user's entry first, in place of a namesake's.

    others: entries that must be there too, in place of namesakes with other uids
    """
    lines = _lines(image_passwd)
    own = [account.name, "x", str(account.uid), str(account.gid), account.gecos]
    own += [account.home, shell]
    image_has = {(fields[0], *fields[2:3]) for fields in lines}
    added = [o for o in others if o[0] != account.name and (o[0], o[2]) not in image_has]
    replaced = {account.name, *(fields[0] for fields in added)}
    kept = [f for f in lines if f[0] not in replaced and f[2:3] != [str(account.uid)]]
    return _joined([own, *added, *kept])


def group_file(account: Account, image_group: str) -> str:
    """The image's group file with the job's groups first: its names win by gid."""
    names = {name for _, name in account.groups}
    gids = {str(gid) for gid, _ in account.groups}
    own = [[name, "x", str(gid), account.name] for gid, name in account.groups]
    others = [
        fields
        for fields in _lines(image_group)
        if fields[0] not in names and not gids.intersection(fields[2:3])
    ]
    return _joined([*own, *others])
