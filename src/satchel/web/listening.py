"""The socket that a server listens on, and the names and addresses that lead to it."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address

from satchel.errors import PortInUse, UsageError
from satchel.validation import reason
from satchel.web.middleware.hosts import is_address


def names_of(host: str, listening: socket.socket) -> set[str]:
    """Return the names under which a server is reached that listens on `host`.

    That is `host`, if it is a name. A server that other machines reach is also known by this
    machine's name, bare and under .local (mDNS). Only the local network resolves these, and
    whoever controls that can reach the server anyway. The rest of a longer name is left out: some
    systems take it from the network that they are in.
    """
    names = set() if is_address(host) else {host.lower().rstrip(".")}
    if not ip_address(listening.getsockname()[0]).is_loopback:
        machine = socket.gethostname().partition(".")[0].lower()
        names |= {machine, f"{machine}.local"}
    return names


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens on an address.

    Raises:
        PortInUse: another program listens there.
        UsageError: the address cannot be listened on.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host!r}: {reason(error)}; try --host 127.0.0.1, or 0.0.0.0 for all"
        ) from None
    try:
        if os.name == "posix":  # elsewhere the option would let two programs share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise _refusal(host, port, error) from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the URL under which a browser on this machine reaches a socket."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not listened on
    return _url(host, port)


def network_url_of(listening: socket.socket) -> str | None:
    """Return the URL under which other machines reach a socket; None where they cannot.

    Of several networks, that of the default route.
    """
    host, port = listening.getsockname()[:2]
    if ip_address(host).is_loopback:
        return None
    if ip_address(host).is_unspecified:
        host = _own_address(listening.family)
        if host is None:
            return None
    return _url(host, port)


def _own_address(family: int) -> str | None:
    """Return this machine's address in the network, None where it is in none. Sends nothing."""
    outside = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"  # RFC 5737, RFC 3849
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if ip_address(address).is_loopback else address


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refusal(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} on {host} is used by another program; stop it, or choose another port: "
            f"`satchel serve --port {port + 1 if port < 65535 else 0}`"
        )
    if error.errno == errno.EACCES:
        return UsageError(
            f"listening on port {port} is not allowed; choose one above 1023: "
            "`satchel serve --port 8000`"
        )
    return UsageError(
        f"cannot listen on {host}, port {port}: {reason(error)}; check --host and --port"
    )
