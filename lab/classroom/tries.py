"""Words that open something: compared in constant time, with a limit on how often somebody may try, and a token for whoever knew the right one."""
from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from lab.contracts import LabError

OF_ONE = 5  # wrong tries of one client within the time
OF_ALL = 60  # of all clients, for one can come under many addresses
WITHIN_SECONDS = 300.0
CLIENTS = 5000
TOKENS = 50
TOKEN_SECONDS = 12 * 3600.0


class Tries:
    """Wrong tries are counted, right ones are not. Nothing that was tried is kept."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, of_one: int = OF_ONE, of_all: int = OF_ALL) -> None:
        self._clock, self._of_one, self._of_all = clock, of_one, of_all
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque()
        self._lock = Lock()

    def check(self, said: str, right: str | None, client: str, what: str) -> None:
        """Raises LabError for a wrong word, and, whatever the word is, for a client that has tried too often."""
        with self.trying(client):
            if not same(said, right):
                raise LabError(f"this is not the {what}")

    @contextmanager
    def trying(self, client: str) -> Iterator[None]:
        """Counts what is done in it as a wrong try if it raises. It is counted at its beginning, so that many at once are no more than the limit."""
        with self._lock:
            now, mine = self._clock(), self._wrong.setdefault(client, deque())
            self._wrong.move_to_end(client)
            while len(self._wrong) > CLIENTS:
                self._wrong.popitem(last=False)
            for tries, limit in ((mine, self._of_one), (self._all, self._of_all)):
                while tries and now - tries[0] > WITHIN_SECONDS:
                    tries.popleft()
                if len(tries) >= limit:
                    raise LabError(f"too many wrong tries: try again in {max(1, round((WITHIN_SECONDS - (now - tries[0])) / 60))} min")
            mine.append(now)
            self._all.append(now)
        yield
        with self._lock:
            for tries in (mine, self._all):
                with suppress(ValueError):
                    tries.remove(now)


class Tokens:
    """What a browser is given for the right word, so that the word itself is sent once. They end after some hours and with the program."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def new(self) -> str:
        token = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._known) >= TOKENS:
                self._known.popitem(last=False)
            self._known[_hash(token)] = self._clock()
        return token

    def check(self, token: str) -> None:
        with self._lock:
            since = self._known.get(_hash(token))  # found by its hash: how long that takes tells nothing of the token
            if since is None or self._clock() - since > TOKEN_SECONDS:
                raise LabError("your sign-in is over: enter the instructor secret again")

    def end(self, token: str) -> None:
        with self._lock:
            self._known.pop(_hash(token), None)


def same(said: str, right: str | None) -> bool:
    """In constant time whatever their lengths; nothing is equal to a word that was never set."""
    return hmac.compare_digest(_hash(said), _hash(right or "")) and right is not None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
