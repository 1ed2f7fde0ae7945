"""Listening: uvicorn, which answers what it has begun when the process is told to end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from thinkseg.errors import InputError
from thinkseg.serving.http.service import Service

_BACKLOG = 256


class Server(uvicorn.Server):
    """Takes no new request from the signal to end on, and ends when those inside are answered.

    Args:
        app: the application.
        service: its service.
        host: the address to listen at.
        port: 0 for one that is free.
        ready: called with the address once requests are answered.
    """

    def __init__(
        self, app: Any, service: Service, host: str, port: int, ready: Callable[[str], None] = lambda address: None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=_BACKLOG,
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=int(service.limits.timeout) + 1,
            )
        )
        self._service = service
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What happens at SIGTERM and at Ctrl+C."""
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        """Listen, and say where.

        Raises:
            InputError: the port is taken, or the address is not this machine's.
        """
        config = self.config
        try:
            await super().startup(sockets)
        except SystemExit as error:  # how uvicorn says that it cannot listen
            raise InputError(
                f"the service cannot listen at {config.host}, port {config.port}: it is taken, or not this machine's; "
                "choose others with --host and --port"
            ) from error
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")


def serve(app: Any, service: Service, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer until the process is told to end.

    Args:
        app: the application.
        service: its service, which is closed at the end.
        host: the address to listen at.
        port: 0 for one that is free.
        ready: called with the address once requests are answered.

    Raises:
        InputError: the port is taken, or the address is not this machine's.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        Server(app, service, host, port, ready).run()
    finally:
        service.close()
