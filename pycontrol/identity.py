"""Who the tasks are: the account behind the uid, and its entries for the image.

The account is looked up on the node, before anything of the image is touched.
The image's own passwd and group files are never altered: the tasks see merged
copies mounted over them.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
from collections.abc import Iterable

from pycontrol.errors import NodeError
from pycontrol.plaindata import dataclass


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


def is_nameless(group: tuple[int, str]) -> bool:
    """Whether this node knows no name of it: its database may be down."""
    return group[1] == f"gid{group[0]}"


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


def of_caller() -> Account:
    """Who runs this process, with the groups that it has and those that a job would get."""
    uid, gid = os.getuid(), os.getgid()
    account = look_up(uid, gid, os.getgroups())
    return look_up(uid, gid, [*os.getgroups(), *os.getgrouplist(account.name, gid)])


def of_name(name: str) -> Account | None:
    """A user with the groups that a job would get; None when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return look_up(entry.pw_uid, entry.pw_gid, groups)


_NAME = re.compile(r"[^\s:+#-][^\s:]*")  # +NAME and -NAME ask NIS, where a C library knows it
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
_LARGEST_ID = 2**32 - 1


def _lines(text: str, fields: int, ids: tuple[int, ...]) -> list[list[str]]:
    """The entries that all C libraries read alike, their ids without zeros in front."""
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    found = [line.split(":") for line in lines if not _CONTROL.search(line)]
    found = [f for f in found if len(f) == fields and _NAME.fullmatch(f[0])]
    return [
        [str(int(word)) if place in ids else word for place, word in enumerate(f)]
        for f in found
        if all(_is_id(f[place]) for place in ids)
    ]


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) <= _LARGEST_ID


def _joined(lines: Iterable[Iterable[str]]) -> str:
    """Fields of the node's database may hold what would be another field or line here."""
    return "".join(":".join(_inert(field) for field in fields) + "\n" for fields in lines)


def _inert(field: str) -> str:
    return _CONTROL.sub("?", field.replace(":", "?"))


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
    """The image's passwd with the user's entry first, in place of namesakes and of that uid's.

    others: entries that must be there too, in place of namesakes with other uids
    """
    lines = _lines(image_passwd, 7, (2, 3))
    own = [account.name, "x", str(account.uid), str(account.gid), account.gecos]
    own += [account.home, shell]
    image_has = {(fields[0], fields[2]) for fields in lines}
    added = [o for o in others if o[0] != account.name and o[2] != str(account.uid)]
    added = [o for o in added if (o[0], o[2]) not in image_has]
    replaced = {account.name, *(fields[0] for fields in added)}
    kept = [f for f in lines if f[0] not in replaced and f[2] != str(account.uid)]
    return _joined([own, *added, *kept])


def group_file(account: Account, image_group: str) -> str:
    """The image's group file with the job's groups first: its names win by gid."""
    names = {name for _, name in account.groups}
    gids = {str(gid) for gid, _ in account.groups}
    own = [[name, "x", str(gid), account.name] for gid, name in account.groups]
    others = [
        fields
        for fields in _lines(image_group, 4, (2,))
        if fields[0] not in names and fields[2] not in gids
    ]
    return _joined([*own, *others])
