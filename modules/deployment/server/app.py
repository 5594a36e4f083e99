"""The addresses of the server and what they answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from . import openapi, protocol
from .batching import Batcher
from .bodies import Held, read_body
from .errors import RequestError
from .front import Front
from .images import read_image
from .metrics import Metrics
from .model import INPUT, OUTPUT, Model
from .refusal import Refusal
from .settings import Settings

_PAGE = Path(__file__).with_name("page.html")
_SAFE = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"
)


class _PlainRoute(APIRoute):
    """A route whose function takes the request and gives the response: nothing between the two costs time."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        return self.endpoint


class Service:
    """A bundle that answers: its model, limits, metrics, and the application `front` to be served."""

    def __init__(self, manifest: dict[str, Any], model: Model, settings: Settings) -> None:
        self.manifest = manifest
        self.model = model
        self.settings = settings
        self.name, self.version = manifest["model"], manifest["version"]
        self.metrics = Metrics(self.name, self.version)
        self.held = Held()
        self.batcher = Batcher(model, settings.batch_images, settings.max_waiting_images, self.metrics)
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")  # one large image in memory at a time
        self._page = _PAGE.read_text().replace("MODEL", self.name).replace("VERSION", self.version)
        self.front = Front(self._app(), settings, self.metrics, self.held)

    def _app(self) -> FastAPI:
        app = FastAPI(
            title=f"Model {self.name}",
            version=self.version,
            description='Classifies images. Errors are {"error": SENTENCE}.',
            redoc_url=None,
            docs_url=None,
        )
        app.router.route_class = _PlainRoute
        for path, method, answer in self._addresses():
            app.add_api_route(
                path,
                answer,
                methods=[method],
                name=answer.__name__,
                **openapi.described(path, method, self.name, self.model, self.settings),
            )
        app.add_exception_handler(HTTPException, _as_sentence)
        for kind in (RequestError, Exception):
            app.add_exception_handler(kind, _refused)
        return app

    def _addresses(self) -> list[tuple[str, str, Callable[[Request], Any]]]:
        model = f"/v2/models/{self.name}"
        version = f"{model}/versions/{self.version}"
        return [
            (f"{model}/infer", "POST", self.infer),
            (f"{version}/infer", "POST", self.infer),
            ("/predict", "POST", self.predict),
            ("/v2/health/live", "GET", self.live),
            ("/v2/health/ready", "GET", self.ready),
            (f"{model}/ready", "GET", self.ready),
            (f"{version}/ready", "GET", self.ready),
            ("/v2", "GET", self.server),
            (model, "GET", self.metadata),
            (version, "GET", self.metadata),
            ("/metrics", "GET", self.show_metrics),
            ("/", "GET", self.page),
        ]

    async def infer(self, request: Request) -> Response:
        """Probabilities for a tensor of images, as JSON or as bytes."""
        body = await read_body(request.scope, request.receive, self.settings, self.held)
        length = request.headers.get(protocol.HEADER_LENGTH)
        asked = protocol.read_inference(body, length, self.model.image_shape, self.settings.max_images)
        probabilities = await self.batcher.probabilities(asked.images)
        content, headers = protocol.answer(asked, probabilities, self.name, self.version)
        return Response(content, headers=headers)

    async def predict(self, request: Request) -> Response:
        """The class of each uploaded image: the body is one image, or a form with many files."""
        body = await read_body(request.scope, request.receive, self.settings, self.held)
        files = await self._files(request, body)
        loop = asyncio.get_running_loop()
        images = np.empty((len(files), *self.model.image_shape), dtype=np.uint8)
        for place, (name, content) in enumerate(files):
            images[place] = await loop.run_in_executor(self._decoding, self._decode, name, content)
        answers = await self.batcher.probabilities(images)
        predictions = [self._prediction(name, answer) for (name, _), answer in zip(files, answers, strict=True)]
        return _json({"model_name": self.name, "model_version": self.version, "predictions": predictions})

    def _decode(self, name: str, content: bytes) -> Any:
        return read_image(content, self.model.image_shape, self.settings.max_image_pixels, name)

    def _prediction(self, name: str, probabilities: Any) -> dict[str, Any]:
        best = int(probabilities.argmax())
        named = dict(zip(self.model.classes, map(float, probabilities), strict=True))
        return {
            "file": name,
            "class": self.model.classes[best],
            "probability": float(probabilities[best]),
            "probabilities": named,
        }

    async def _files(self, request: Request, body: bytes) -> list[tuple[str, bytes]]:
        """Name and content of each upload."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("image/") or kind == "application/octet-stream":
            return [("the image", body)]
        if kind != "multipart/form-data":
            raise RequestError(
                415, f"the content type is {kind[:60]!r}; allowed are image/jpeg, image/png and multipart/form-data"
            )
        return await _form_files(request, body, self.settings.max_images)

    async def live(self, request: Request) -> Response:
        """Whether the server runs."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether it takes requests; not any more while it is about to end."""
        if self.front.is_draining:
            raise RequestError(503, "the server is about to end", {"retry-after": "1"})
        return _json({"ready": True})

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return _json({"name": "espalier-bundle", "version": self.version, "extensions": ["binary_tensor_data"]})

    async def metadata(self, request: Request) -> Response:
        """What the model takes and gives."""
        return _json(
            {
                "name": self.name,
                "versions": [self.version],
                "platform": "onnxruntime_onnx",
                "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, *self.model.image_shape]}],
                "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(self.model.classes)]}],
                "parameters": {"classes": self.model.classes},
            }
        )

    async def show_metrics(self, request: Request) -> Response:
        """Counts and times for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def page(self, request: Request) -> Response:
        """A page on which an image can be dropped."""
        return HTMLResponse(self._page, headers={"content-security-policy": _SAFE})


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


async def _form_files(request: Request, body: bytes, most: int) -> list[tuple[str, bytes]]:
    async def stream() -> Any:
        yield body

    parser = MultiPartParser(request.headers, stream(), max_files=most, max_fields=0, max_part_size=len(body))
    parser.spool_max_size = len(body) + 1  # in memory: the file system may be read-only
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        if "files" in str(error):
            raise RequestError(413, f"there are too many files; allowed are {most} a request") from None
        raise RequestError(400, "the form cannot be read; allowed is multipart/form-data with files alone") from None
    files = [(str(upload.filename or name), await upload.read()) for name, upload in form.multi_items()]  # type: ignore[union-attr]
    if not files:
        raise RequestError(400, "the form holds no file; send at least one image")
    return files


async def _as_sentence(request: Request, error: Any) -> Any:
    """What the framework itself refuses, as a sentence like our own."""
    sentence = {
        404: f"there is nothing at {request.url.path[:200]}; the addresses are listed at /openapi.json",
        405: f"{request.method} is not allowed at {request.url.path[:200]}",
    }.get(error.status_code, str(error.detail))
    return Refusal(RequestError(error.status_code, sentence, dict(error.headers or {})))


async def _refused(request: Request, error: Exception) -> Any:
    return Refusal(error)
