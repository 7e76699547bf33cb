"""Anchors: how far each chain had come, signed, and kept outside the database.

Whoever can write to the database can write chains anew from the beginning, or cut their ends off; not what a file
elsewhere remembers of them. The storage ``audit`` has one a day, the newest of that day, and backups carry one. The
key of the signature is not in the database.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.db import transaction
from django.utils import timezone

from .checking import Break
from .models import AuditChain, AuditLink

FOLDER, SET_ASIDE = "anchors", "set-aside"
FORMAT = 1

log = structlog.get_logger(__name__)


class UnreadableAnchor(ValueError):
    """Not an anchor; ``str()`` says why."""


@dataclass(frozen=True)
class Anchor:
    """``chains`` maps a chain to its length, its last event and the hash of its last link; ``key`` says by which key
    ``signature`` was made, not the key."""

    at: str
    chains: dict[str, tuple[int, int, str]]
    key: str = ""
    signature: str = ""

    @property
    def events(self) -> int:
        return sum(length for length, _, _ in self.chains.values())

    def signed(self) -> "Anchor":
        """The same with this installation's signature."""
        return Anchor(self.at, self.chains, _key_id(), self._mac())

    def as_json(self) -> dict[str, object]:
        said = {"format": FORMAT, "at": self.at, "events": self.events, "chains": self.chains}
        return {**said, "key": self.key, "signature": self.signature}

    @staticmethod
    def from_json(content: Any) -> "Anchor":
        """Raises
        ------
        UnreadableAnchor
        """
        try:
            if content["format"] != FORMAT:
                raise UnreadableAnchor(f"it is of format {content['format']}, this software reads {FORMAT}")
            chains = {
                str(int(chain)): (int(end[0]), int(end[1]), str(end[2])) for chain, end in content["chains"].items()
            }
            datetime.fromisoformat(content["at"])
            return Anchor(content["at"], chains, str(content["key"]), str(content["signature"]))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise error if isinstance(error, UnreadableAnchor) else UnreadableAnchor(repr(error)) from None

    @property
    def ours(self) -> bool:
        """Whether it says to be signed by this installation's key."""
        return self.key == _key_id()

    @property
    def genuine(self) -> bool:
        """Whether this installation's key made the signature."""
        return self.ours and hmac.compare_digest(self.signature, self._mac())

    def _mac(self) -> str:
        said = json.dumps([FORMAT, self.at, self.chains], sort_keys=True, separators=(",", ":"))
        return hmac.new(_key(), said.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes:
    return hashlib.sha256(b"overread audit anchor\0" + settings.AUDIT_KEY.encode()).digest()


def _key_id() -> str:
    return hashlib.sha256(b"name of " + _key()).hexdigest()[:12]


def _storage() -> Storage:
    return storages["audit"]


def current() -> Anchor:
    """How far the chains have come now, signed; in a transaction, with what it has written itself."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    chains = {}
    for chain in AuditChain.objects.filter(length__gt=0):
        last = (
            AuditLink.objects.filter(chain=chain.pk, position=chain.length).values_list("event_id", flat=True).first()
        )
        chains[str(chain.pk)] = (chain.length, last or 0, bytes(chain.head).hex())
    return Anchor(at, chains).signed()


def kept(*, last: bool = False) -> list[tuple[str, Anchor | UnreadableAnchor]]:
    """Key and content of every anchor in the storage, the oldest first; or of the ``last`` alone."""
    found: list[tuple[str, Anchor | UnreadableAnchor]] = []
    for key in _keys()[-1:] if last else _keys():
        with _storage().open(key, "rb") as file:
            try:
                found.append((key, Anchor.from_json(json.loads(file.read()))))
            except ValueError as error:
                found.append((key, error if isinstance(error, UnreadableAnchor) else UnreadableAnchor(str(error))))
    return found


def _keys() -> list[str]:
    try:
        _, files = _storage().listdir(FOLDER)
    except FileNotFoundError:
        return []
    return sorted(f"{FOLDER}/{name}" for name in files if name.endswith(".json"))


def newest() -> Anchor | None:
    """The last one; None where there is none.

    Raises
    ------
    UnreadableAnchor
    """
    found = kept(last=True)
    if not found:
        return None
    if isinstance(found[0][1], UnreadableAnchor):
        raise found[0][1]
    return found[0][1]


def keep() -> Anchor | None:
    """Write the present anchor outside the database, unless nothing has happened since the last one.

    Where the chains no longer hold what the last one says, nothing is written over it: `fsck` names what is missing.
    Called within a transaction it waits for the commit, so that no file promises what was rolled back. Returns what
    was written.
    """
    written: list[Anchor] = []
    transaction.on_commit(lambda: written.extend(_keep()))
    return written[0] if written else None


def _keep() -> list[Anchor]:
    made = current()
    try:
        former = newest()
    except UnreadableAnchor as error:
        _tell_once(str(error))
        return []
    if former is None and not made.chains:
        return []
    if former is not None:
        if former.genuine and former.chains == made.chains:
            return []
        if list(against(former, "")):
            _tell_once(former.at)
            return []
    _write(f"{FOLDER}/{made.at[:10]}.json", made)
    if former is None or former.at[:13] != made.at[:13]:
        # Once an hour, for whoever keeps the logs elsewhere.
        log.info("audit_anchor", events=made.events, chains=made.chains, key=made.key, signature=made.signature)
    return [made]


_told: set[str] = set()


def _tell_once(what: str) -> None:
    """The scheduler comes by every few seconds."""
    if what not in _told:
        _told.add(what)
        log.error("audit_does_not_hold_its_anchor", anchor=what, advice="manage.py fsck")


def _write(key: str, anchor: Anchor) -> None:
    _storage().save(key, ContentFile(json.dumps(anchor.as_json(), indent=1).encode() + b"\n"))


def take_in(anchor: Anchor) -> None:
    """Keep the anchor that came with a backup, beside what is there."""
    _write(f"{FOLDER}/{anchor.at[:10]}-restored.json", anchor)


def set_aside() -> int:
    """Move all anchors out of the way, for chains that begin anew or are older than they; nothing is deleted."""
    storage = _storage()
    keys = _keys()
    stamp = timezone.now().strftime("%Y-%m-%dT%H%M%S.%f")
    for key in keys:
        with storage.open(key, "rb") as file:
            storage.save(f"{SET_ASIDE}/{stamp}/{key.rsplit('/', 1)[-1]}", ContentFile(file.read()))
        storage.delete(key)
    return len(keys)


def against(anchor: Anchor, named: str) -> Iterator[Break]:
    """What an anchor remembers and the chains no longer hold."""
    where = f"anchor {named or anchor.at}"
    for chain, (length, event, head) in sorted(anchor.chains.items(), key=lambda item: int(item[0])):
        rows = AuditLink.objects.filter(chain=int(chain))
        found = rows.filter(position=length).values_list("event_id", "hash").first()
        if found is not None:
            if bytes(found[1]).hex() != head:
                yield Break(
                    "forged",
                    f"chain {chain}, 1 to {length}",
                    f"was written anew: link {length} (event {found[0]}) is not what the {where} saw (event {event})",
                )
            continue
        last = rows.filter(position__lt=length).order_by("-position").values_list("position", "event_id").first()
        position, after = last or (0, 0)
        yield Break(
            "cut",
            f"chain {chain}, {position + 1} to {length}",
            f"{length - position} events are gone after event {after}, up to event {event}; the {where} knows them",
        )


def breaks() -> Iterator[Break]:
    """Hold the chains against every anchor in the storage, and each anchor against its signature."""
    signed_by_us, foreign = False, ""
    missed: dict[tuple[str, str], Break] = {}
    for key, found in kept():
        if isinstance(found, UnreadableAnchor):
            yield Break("forged", f"anchor {key}", f"cannot be read: {found}")
            continue
        if found.ours and not found.genuine:
            yield Break("forged", f"anchor {key}", "its signature is not that of its content")
        signed_by_us = signed_by_us or found.genuine
        foreign = foreign if found.ours else key
        for each in against(found, key):
            chain = each.where.partition(",")[0]
            # Of a cut tail the newest anchor knows most, of a forged beginning the oldest says best since when.
            if each.kind == "cut" or (each.kind, chain) not in missed:
                missed[each.kind, chain] = each
    yield from missed.values()
    if foreign and not signed_by_us:
        yield Break(
            "forged",
            f"anchor {foreign}",
            "no anchor is signed with this installation's key (OVERREAD_AUDIT_KEY, or SECRET_KEY where it is not set)",
        )
