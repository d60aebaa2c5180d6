# SPDX-License-Identifier: Apache-2.0
"""What can be made to go wrong on the wire. The control port sets it, listener, connections and workers ask."""

from __future__ import annotations

import re
import threading
import time
from typing import Callable, Optional

from sqlsim.contract import Error, Login, SqlError

_LOGIN_TEXTS = {
    18456: (14, "Login failed for user '{user}'."),
    18401: (
        14,
        "Login failed for user '{user}'. Reason: Server is in script upgrade mode. Only administrator can connect at this time.",
    ),
    18451: (14, "Login failed for user '{user}'. Only administrators may connect at this time."),
    18452: (14, "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication."),
    18461: (
        14,
        "Login failed for user '{user}'. Reason: Server is in single user mode. Only one administrator can connect at this time.",
    ),
    18470: (14, "Login failed for user '{user}'. Reason: The account is disabled."),
    18486: (
        14,
        "Login failed for user '{user}' because the account is currently locked out. The system administrator can unlock it. ",
    ),
    18487: (14, "Login failed for user '{user}'.  Reason: The password of the account has expired."),
    18488: (14, "Login failed for user '{user}'.  Reason: The password of the account must be changed."),
    17142: (14, "SQL Server service has been paused. No new connections will be allowed."),
    17187: (16, "SQL Server is not ready to accept new client connections. Wait a few minutes before trying again."),
    17188: (14, "SQL Server cannot accept new connections, because it is shutting down. The connection has been closed."),
    17189: (16, "SQL Server failed with error code 0xc0000000 to spawn a thread to process a new login or connection."),
    17809: (16, "Could not connect because the maximum number of '32767' user connections has already been reached."),
    17892: (20, "Logon failed for login '{user}' due to trigger execution."),
    4060: (11, 'Cannot open database "{database}" requested by the login. The login failed.'),
    922: (14, "Database '{database}' is being recovered. Waiting until recovery is finished."),
}


def login_error(number: int, login: Login, text: Optional[str] = None, state: int = 1, cls: Optional[int] = None) -> SqlError:
    known_cls, known_text = _LOGIN_TEXTS.get(number, (14, "Login failed for user '{user}'."))
    shown = (text or known_text).replace("{user}", login.user).replace("{database}", login.database or "master")
    also = []
    if number in (4060, 922):
        also = [Error(18456, f"Login failed for user '{login.user}'.", 1, 14)]
    return SqlError(number, shown, state, known_cls if cls is None else cls, also)


class _Refusal:
    """`databases`: only logins that ask for one of these; an empty list stands for all but master."""

    def __init__(self, number: int, text: Optional[str], state: int, cls: Optional[int], times: Optional[int],
                 user: Optional[str], databases: Optional[list[str]]) -> None:  # fmt: skip
        self.number, self.text, self.state, self.cls, self.times, self.user = number, text, state, cls, times, user
        self.databases = databases

    def hits(self, login: Login) -> bool:
        if self.user and self.user.lower() != login.user.lower():
            return False
        asked = (login.database or "master").lower()
        if self.databases is None:
            return True
        return asked in (d.lower() for d in self.databases) if self.databases else asked != "master"


class WireFaults:
    """Thread-safe. `times` None means until cleared."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusal: Optional[_Refusal] = None
        self._delay: tuple[float, Optional[int]] = (0.0, 0)
        self._lose: list[list] = []
        self.rate: Optional[int] = None
        self.latency = 0.0

    def clear(self) -> None:
        with self._lock:
            self._refusal, self._delay, self._lose = None, (0.0, 0), []
            self.rate, self.latency = None, 0.0

    def refuse_logins(self, number: int = 18456, text: Optional[str] = None, state: int = 1, cls: Optional[int] = None,
                      times: Optional[int] = None, user: Optional[str] = None,
                      databases: Optional[list[str]] = None) -> None:  # fmt: skip
        with self._lock:
            self._refusal = _Refusal(int(number), text, int(state), cls, times, user, databases)

    def refuse_databases(self, databases: Optional[list[str]] = None, number: int = 4060) -> None:
        """Logins that ask for a database other than master are refused, as while it recovers."""
        self.refuse_logins(number, databases=list(databases or []))

    def accept_logins(self) -> None:
        with self._lock:
            self._refusal = None

    def delay_logins(self, seconds: float, times: Optional[int] = None) -> None:
        with self._lock:
            self._delay = (float(seconds), times)

    def lose_reply(self, match: str, times: int = 1) -> None:
        """The next `times` requests whose text matches run to their end, then the connection drops instead of the last packet."""
        with self._lock:
            self._lose.append([re.compile(match, re.I | re.S), int(times)])

    def slow_network(self, bytes_per_second: Optional[int] = None, latency: float = 0.0) -> None:
        self.rate = int(bytes_per_second) if bytes_per_second else None
        self.latency = float(latency)

    def before_login(self, login: Login, gone: Callable[[], bool]) -> None:
        with self._lock:
            seconds, times = self._delay
            if times is not None and seconds:
                self._delay = (seconds, times - 1) if times > 1 else (0.0, 0)
        end = time.monotonic() + seconds
        while not gone() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
        with self._lock:
            refusal = self._refusal
            if refusal is None or not refusal.hits(login):
                return
            if refusal.times is not None:
                refusal.times -= 1
                if refusal.times <= 0:
                    self._refusal = None
        raise login_error(refusal.number, login, refusal.text, refusal.state, refusal.cls)

    def loses_reply(self, text: str) -> bool:
        with self._lock:
            for entry in self._lose:
                if entry[0].search(text):
                    entry[1] -= 1
                    if entry[1] <= 0:
                        self._lose.remove(entry)
                    return True
        return False
