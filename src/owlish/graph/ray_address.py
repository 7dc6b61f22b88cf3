"""How a Ray cluster is reached: what listens at an address is tried first, since Ray itself would wait for ever."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

from owlish.graph.errors import UserError
from owlish.graph.pool import SETTINGS

CLIENT, CLIENT_PORT = "ray://", 10001
LISTENS = 5.0
"""Seconds in which a cluster must take a connection, and in which it must answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of HTTP/2, over which every port of Ray speaks, begins; the server's settings answer it."""
SETTINGS_FRAME = b"\x04"


def begin(address: str | None) -> None:
    """Connect to a cluster, or start one on this machine."""
    import ray

    check_listens(address)
    # Unless it is told not to, Ray reports how it is used to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings = {**SETTINGS, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    how: dict[str, Any] = {"runtime_env": {"env_vars": settings}, "log_to_driver": False}
    if not (address or "").startswith(CLIENT):
        how |= {"logging_level": "ERROR", "include_dashboard": False}
    try:
        ray.init(address=address, **how)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        ray.shutdown()  # a client that failed would else stand in the way of the next address
        why = " ".join(str(error).split())[:160]
        raise UserError(f"no Ray cluster can be used at {address or 'this machine'} ({why}): start one.") from None


def check_listens(address: str | None) -> None:
    """Refuse an address at which nothing listens, or something else than Ray.

    Ray itself would try for ever, and hear no signal meanwhile.
    """
    named = os.environ.get("RAY_ADDRESS") or "" if address in (None, "auto") else str(address)
    client = named.startswith(CLIENT)
    if not client and ":" not in named:  # found by Ray on this machine, or started here
        return
    try:
        place = urlsplit(f"//{named.removeprefix(CLIENT)}")
        with socket.create_connection((place.hostname or "", place.port or CLIENT_PORT), timeout=LISTENS) as peer:
            # Over TLS it would be no greeting.
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not greets(peer):
                raise ValueError("what listens there does not speak as Ray does")
    except (OSError, ValueError) as error:  # also a port that is no number
        why = str(getattr(error, "strerror", None) or error)
        raise UserError(
            f"no Ray cluster answers at {named} ({why}): start one, or correct --on or RAY_ADDRESS."
        ) from None


def greets(peer: socket.socket) -> bool:
    """Say whether a peer answers in HTTP/2, at once."""
    try:
        peer.sendall(GREETING)
        return peer.recv(4)[3:] == SETTINGS_FRAME
    except OSError:  # it stays silent, or hangs up
        return False
