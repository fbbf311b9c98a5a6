"""How fast one visitor, and one address, may ask: a bucket of tokens each, of which a bounded number is kept; and which address asks at the moment."""
from __future__ import annotations

import ipaddress
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field

from lab.contracts import LabError, shorten

PER_MINUTE = 1200  # of one visitor: a page asks once or twice a second, a hurried person ten times
ADDRESS = 30  # times that for an address: a class often has one for all
BURST_SECONDS = 10.0  # of the allowed rate may come at once
MOST_BUCKETS = 20_000  # 3 MB
LOOKED_AT = 16_384  # bytes of a request in which its owner is looked for
NETWORK_BITS = 64  # of an IPv6 address: one household, or one server, has all that begin so
ASKING: ContextVar[str] = ContextVar("asking", default="")
OWNER = re.compile(rb'"owner"\s*:\s*"([^"\\]{1,200})"')


@dataclass
class Bucket:
    """`tokens` at the moment `at`."""

    tokens: float
    at: float


@dataclass
class Buckets:
    """A full bucket holds what `per_second` gives in BURST_SECONDS. The one not used for longest goes first, and comes back full."""

    per_second: float
    most: int = MOST_BUCKETS
    clock: Callable[[], float] = time.monotonic
    kept: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)

    def take(self, name: str) -> float:
        """0.0 where it may go on, else the seconds until it may."""
        now, full = self.clock(), max(1.0, self.per_second * BURST_SECONDS)
        bucket = self.kept.pop(name, None) or Bucket(full, now)
        while len(self.kept) >= self.most:
            self.kept.popitem(last=False)
        self.kept[name] = bucket
        bucket.tokens, bucket.at = min(full, bucket.tokens + max(0.0, now - bucket.at) * self.per_second), now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self.per_second
        bucket.tokens -= 1
        return 0.0


def allowed_per_minute() -> int:
    """LAB_RATE, by default PER_MINUTE. Raises LabError."""
    return _whole("LAB_RATE", 1, 100_000_000, PER_MINUTE)


def proxies() -> int:
    """How many proxies stand in front and can be believed: LAB_PROXIES, else the one of a Space, else none. Raises LabError."""
    return _whole("LAB_PROXIES", 0, 10, int("SPACE_ID" in os.environ))


def _whole(name: str, low: int, high: int, usual: int) -> int:
    said = os.environ.get(name, "").strip()
    if not said:
        return usual
    if not said.isdecimal() or not low <= int(said) <= high:
        raise LabError(f"{name} is {shorten(said)}: must be a whole number, {low:,} to {high:,}; left out, it is {usual:,}")
    return int(said)


def address(peer: str, forwarded: Iterable[str], trusted: int) -> str:
    """Whom a request comes from. Each proxy adds whom it heard, so what stands further left than `trusted` places anybody may have written."""
    heard = [part.strip() for line in forwarded for part in line.split(",") if part.strip()]
    return network(heard[-min(trusted, len(heard))][:100] if trusted and heard else peer)


def network(address: str) -> str:
    """An IPv6 address by what all of one household have in common; anything else as it is."""
    try:
        whole = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(whole.ipv4_mapped or ipaddress.IPv6Network((whole, NETWORK_BITS), strict=False).network_address)


def asking() -> str:
    """Whom the request comes from that is being answered; "" outside of one."""
    return ASKING.get()


def owner(body: bytes) -> str:
    """Whose key a question carries near its start; "" for none. Only to count: what may be done with it is checked elsewhere."""
    found = OWNER.search(body[:LOOKED_AT])
    return found[1].decode("utf-8", "replace") if found else ""
