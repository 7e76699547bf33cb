"""Post to an address that somebody typed, without reaching what only we can reach.

The name is resolved once. Every address that it has must be a public one (or of a network that the installation
allows), and the connection goes to the address that was looked at: a name that changes between the look and the
connection changes nothing. Redirects are not followed, and a proxy of the environment is not used.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from diagnostics.errors import Invalid

CONNECT_SECONDS, TOTAL_SECONDS = 10.0, 20.0
MOST_OF_ANSWER = 4096
# Addresses inside which another one is written that is no public one, perhaps.
_TRANSLATED = [ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
LATE = "No answer came in time."
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadAddress(Invalid):
    """An address to which nothing is sent."""

    code = "bad_address"
    field = "url"


class NotReached(Exception):
    """No answer came; the text says why, as a sentence."""


@dataclass(frozen=True)
class Answer:
    """What the other side said."""

    status: int
    text: str
    milliseconds: int


def checked(url: str) -> SplitResult:
    """The parts of an address that may be posted to, as far as it can be told without resolving its name.

    Raises
    ------
    BadAddress
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadAddress(_("This is no web address. Example: https://example.org/overread.")) from error
    if parts.scheme not in ("https", "http") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise BadAddress(_("This is no web address. Example: https://example.org/overread."))
    if parts.username is not None or parts.password is not None or parts.fragment or " " in url or port == 0:
        raise BadAddress(_("Leave user name, password, fragment and spaces out of the address."))
    if parts.scheme == "http" and not settings.WEBHOOK_NETWORKS:
        raise BadAddress(_("The address must begin with https://."))
    literal = _literal(parts.hostname)
    if literal is not None:
        _refuse_unreachable(literal)
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Post, and give the answer, whatever its status.

    Raises
    ------
    BadAddress, NotReached
    """
    parts = checked(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = _resolved(parts.hostname or "", port)
    if parts.scheme == "http" and not _is_allowed(address):
        raise BadAddress(_("The address must begin with https://."))
    began = time.monotonic()
    connection = _Connection(parts, address, port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # A limit for each read is none for the whole: a receiver may send a byte from time to time for ever.
    alarm = threading.Timer(TOTAL_SECONDS, connection.cut_off)
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("POST", target, body=body, headers=dict(headers))
        response = connection.getresponse()
        if connection.is_cut_off:
            raise NotReached(LATE)  # what there was of the header looked like a whole one
        text = connection.read_some(response)
    except (OSError, http.client.HTTPException) as error:
        raise NotReached(LATE if connection.is_cut_off else _why(error)) from error
    finally:
        alarm.cancel()
        connection.close()
    return Answer(response.status, text, round((time.monotonic() - began) * 1000))


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was looked at, over TLS for the name that was meant."""

    is_cut_off = False
    _held: socket.socket | None = None

    def __init__(self, parts: SplitResult, address: Address, port: int) -> None:
        super().__init__(parts.hostname or "", port, timeout=CONNECT_SECONDS)
        self._address = address
        self._name = (parts.hostname or "") if parts.scheme == "https" else ""
        self.default_port = 443 if self._name else 80

    def connect(self) -> None:
        made = socket.create_connection((str(self._address), self.port), timeout=CONNECT_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._held = made
        if self._name:
            # Kept before the handshake, which can be made to last for ever too.
            secured = _tls().wrap_socket(made, server_hostname=self._name, do_handshake_on_connect=False)
            self.sock = self._held = secured
            secured.do_handshake()

    def cut_off(self) -> None:
        """End whatever is being waited for; called by another thread."""
        self.is_cut_off = True
        # Not `sock`: the library forgets it while the answer is still being read.
        if self._held is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._held, socket.SHUT_RDWR)

    def read_some(self, response: http.client.HTTPResponse) -> str:
        """The beginning of an answer; the status has been said, so it counts however the rest ends."""
        read = b""
        while len(read) < MOST_OF_ANSWER:
            try:
                piece = response.read1(MOST_OF_ANSWER - len(read))
            except (OSError, http.client.HTTPException):
                break
            if not piece:
                break
            read += piece
        return read.decode(errors="replace").replace("\0", "\ufffd")


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.WEBHOOK_CA_FILE or None)


def _resolved(host: str, port: int) -> Address:
    """The address to connect to.

    Raises
    ------
    BadAddress
        One of those that the name has is no public one.
    NotReached
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotReached("The name of the address cannot be resolved.") from error
    addresses = [ipaddress.ip_address(str(each[4][0]).split("%")[0]) for each in found]
    for each in addresses:
        _refuse_unreachable(each)
    # IPv4 first: many a server has an IPv6 address by which it cannot be reached.
    return min(addresses, key=lambda each: each.version)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.split("%")[0])
    except ValueError:
        return None


def _refuse_unreachable(address: Address) -> None:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if _is_allowed(address):
        return
    translated = isinstance(address, ipaddress.IPv6Address) and any(address in each for each in _TRANSLATED)
    if not address.is_global or address.is_multicast or address.is_reserved or translated:
        raise BadAddress(
            _("This address leads into a private network. An operator can allow one with OVERREAD_WEBHOOK_NETWORKS.")
        )


def _is_allowed(address: Address) -> bool:
    return any(address in network for network in settings.WEBHOOK_NETWORKS)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "The certificate of the address is not valid for it."
    if isinstance(error, TimeoutError):
        return LATE
    if isinstance(error, ConnectionRefusedError):
        return "Nobody listens at the address."
    return f"The connection failed ({type(error).__name__})."
