"""The HTTP service: a pipeline behind FastAPI, with requests worked on together.

::

    gate ──▶ routes ──▶ reading ──▶ Service ──┬─▶ Batcher of the reasoner
    (who)    (what)     (limits)    (a slot)  └─▶ Batcher of the segmenter

`app.create_app` puts it together, and takes routers of other protocols and a page to mount; `server.serve` listens.
"""

import importlib

from thinkseg.errors import MissingExtraError

_PACKAGES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
"""What the service needs besides ThinkSeg: modules and the packages that have them."""


def require_packages() -> None:
    """Load what the service needs.

    Raises:
        MissingExtraError: a package is not installed.
    """
    for module, package in _PACKAGES.items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise MissingExtraError(package, "serve", "for the service") from error
