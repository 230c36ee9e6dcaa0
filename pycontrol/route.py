"""How a host on the network is reached: with TLS or without, directly or by a proxy.

As this node's engine does it, so that both reach the same registries; in srun,
as the user's environment says.  Pure but for `connection` and `trust`.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from pycontrol.plaindata import dataclass, field

TYPE_CHECKING = False  # what reads types takes it for true; `typing` itself is 2 ms
if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection

SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
CA_FOLDER = "/etc/ssl/certs"  # a file for each, by a hash of its name (openssl-rehash(1))
SITE_CAS = "/etc/docker/certs.d"  # where the site puts a registry's own CA, for Docker


@dataclass(frozen=True)
class Route:
    """insecure: registries whose certificate is not looked at, by name or network."""

    insecure: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)  # of http, of https, and "no"

    def is_insecure(self, registry: str) -> bool:
        """Whether the engine takes it without TLS, too."""
        address = _address(registry)
        return (
            is_loopback(registry)
            or registry in self.insecure
            or any(address in net for net in _networks(self.networks) if address)
        )

    def proxy(self, scheme: str, netloc: str) -> str:
        """The proxy's address, "" where there is none in between."""
        found = self.proxies.get(scheme, "")
        if not found or is_loopback(netloc):
            return ""
        from urllib.request import proxy_bypass_environment  # slow to import

        return "" if proxy_bypass_environment(netloc, {"no": self.proxies.get("no", "")}) else found

    def connection(
        self, scheme: str, netloc: str, timeout: float, trust: ssl.SSLContext | None
    ) -> HTTPConnection:
        """Not connected yet."""
        from http.client import HTTPConnection, HTTPSConnection  # not where nothing is asked

        proxy = urlsplit(self.proxy(scheme, netloc))
        where = proxy.hostname or netloc
        port = (proxy.port or 80) if proxy.hostname else None
        if scheme == "http":
            return HTTPConnection(where, port, timeout=timeout)
        made = HTTPSConnection(where, port, timeout=timeout, context=trust)
        if proxy.hostname:
            made.set_tunnel(netloc, headers=_proxy_headers(proxy))
        return made

    def connected(
        self,
        scheme: str,
        netloc: str,
        timeout: float,
        trusting: Callable[..., ssl.SSLContext] | None,
    ) -> HTTPConnection:
        """trusting: with TLS, by these authorities (trust); by all, if one by its name is none."""
        if not trusting:
            made = self.connection(scheme, netloc, timeout, None)
            made.connect()
            return made
        from ssl import SSLCertVerificationError

        for all_read in (False, True):
            made = self.connection(scheme, netloc, timeout, trusting(all_read=all_read))
            try:
                made.connect()
                return made
            except SSLCertVerificationError:
                if all_read:
                    raise
        raise AssertionError

    def target(self, url: str) -> tuple[str, dict[str, str]]:
        """What the request line names, and headers that are the proxy's."""
        parts = urlsplit(url)
        path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        proxy = urlsplit(self.proxy(parts.scheme, parts.netloc))
        if parts.scheme == "http" and proxy.hostname:
            return url, _proxy_headers(proxy)
        return path, {}


DIRECT = Route()


def of_engine(info: Mapping) -> Route:
    """As the engine's own description says."""
    registries = info.get("RegistryConfig") or {}
    indexes = (registries.get("IndexConfigs") or {}).items()
    return Route(
        insecure=tuple(name for name, index in indexes if not index.get("Secure", True)),
        networks=tuple(registries.get("InsecureRegistryCIDRs") or ()),
        proxies={
            "http": info.get("HttpProxy") or "",
            "https": info.get("HttpsProxy") or "",
            "no": info.get("NoProxy") or "",
        },
    )


def of_environment(env: Mapping[str, str]) -> Route:
    """As for every program of the user's: https_proxy, no_proxy, in small or capital letters."""
    names = {"http": "http_proxy", "https": "https_proxy", "no": "no_proxy"}
    return Route(proxies={k: env.get(n) or env.get(n.upper(), "") for k, n in names.items()})


def _proxy_headers(proxy) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def trust(registry: str, insecure: bool, all_read: bool = False) -> ssl.SSLContext:
    """The authorities that may vouch for a registry.

    To read the file of all takes 30 ms for each connection, to look one up in the folder
    1 ms; Docker takes those of both.  all_read: for one that is in the file only
    """
    import ssl

    if insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    site = f"{SITE_CAS}/{registry}/ca.crt"
    if os.access(site, os.R_OK):
        return ssl.create_default_context(cafile=site)
    if not all_read and _is_hashed(CA_FOLDER):
        return ssl.create_default_context(capath=CA_FOLDER)
    return ssl.create_default_context(cafile=SYSTEM_CAS if os.access(SYSTEM_CAS, os.R_OK) else None)


def _is_hashed(folder: str) -> bool:
    try:
        return any(len(name) == 10 and name.endswith(".0") for name in os.listdir(folder))
    except OSError:
        return False


def host_of(netloc: str) -> str:
    """Without the port."""
    host = netloc.rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def is_loopback(netloc: str) -> bool:
    """This machine itself; Docker takes 127.0.0.0/8, localhost and ::1 as insecure."""
    address = _address(netloc)
    return address.is_loopback if address else host_of(netloc) == "localhost"


def _address(netloc: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host_of(netloc))
    except ValueError:
        return None


def _networks(texts: tuple[str, ...]):
    for text in texts:
        try:
            yield ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
