"""The service as an ASGI application.

Other protocols come in as routers, which stand before the service's own and may take a path of it; a page comes in as
an application that is mounted at ``/``, behind all routes.

>>> app = create_app(service, access, routers=[label_studio.create_router], page=page)   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import thinkseg
from thinkseg.serving.http.errors import RequestError, answer_error
from thinkseg.serving.http.gate import Access, Gate
from thinkseg.serving.http.routes import FrontDesk, create_router
from thinkseg.serving.http.service import Service

CreateRouter = Callable[[FrontDesk], APIRouter]
"""Makes the routes of a protocol, which are answered by what a `FrontDesk` gives."""


def create_app(
    service: Service,
    access: Access | None = None,
    *,
    routers: Sequence[CreateRouter] = (),
    page: Any = None,
) -> FastAPI:
    """The application.

    Args:
        service: the models; it is closed with the application.
        access: who is answered; None for this machine.
        routers: of other protocols, before the service's own.
        page: an ASGI application for all other paths.
    """
    app = FastAPI(
        title="ThinkSeg",
        version=thinkseg.__version__,
        description="A large multimodal model thinks about a request, points, and a segmenter makes the masks. "
        "Coordinates are in pixels of the image, upright as its EXIF data say, x before y.",
        docs_url=None,  # their scripts would come from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    desk = FrontDesk(service)
    for create in (*routers, create_router):
        app.include_router(create(desk))
    for kind in (RequestError, HTTPException):
        app.add_exception_handler(kind, answer_error)
    if page is not None:
        app.mount("/", page)
    access = access or Access()
    app.add_middleware(Gate, service=service, access=access)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(access.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "X-ThinkSeg-Failure"],
        )
    return app
