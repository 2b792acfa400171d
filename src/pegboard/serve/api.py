"""The interface for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from pegboard.errors import InputError, UnusableImage
from pegboard.rows import Prediction
from pegboard.serve import schema
from pegboard.serve.engine import Engine, QueueFull, Stopping
from pegboard.serve.explain import Explainer
from pegboard.serve.limits import Limits
from pegboard.serve.measures import MEDIA_TYPE, Measures
from pegboard.serve.models import Model, Models
from pegboard.serve.problems import Problem
from pegboard.serve.uploads import Upload, uploads

Found = TypeVar("Found")
Top = Annotated[int, Query(ge=1, le=1000, description="Candidates per photo.")]
Label = Annotated[
    str | None, Query(max_length=1000, description="A class; by default the likeliest.")
]


@dataclass(frozen=True)
class Service:
    """What answers: the parts of one server that requests are handed to."""

    models: Models
    engine: Engine
    explainer: Explainer
    limits: Limits
    measures: Measures

    async def sent(self, request: Request, most: int | None = None) -> list[Upload]:
        """Return the photos of a request.

        Raises
        ------
        Problem
            When there are none, or too many.
        """
        kind = request.headers.get("content-type", "")
        return uploads(await request.body(), kind, most or self.limits.photos)

    async def predictions(
        self, model: Model, sent: Sequence[Upload], top: int, *, is_known: bool = False
    ) -> list[Prediction]:
        """Return a model's answers about photos, in their order.

        Those that are known, because they were asked about before, are not counted once more.

        Raises
        ------
        Problem
            When there is too much to do.
        """
        try:
            payloads = [upload.data for upload in sent]
            asked = self.engine.submit(model, payloads, top, is_known=is_known)
        except QueueFull as error:
            raise Problem(
                503, f"{self.limits.queue} photos are waited for at most; try again"
            ) from error
        except Stopping as error:
            raise Problem(503, "the server is stopping") from error
        rows = await self.in_time(asked)
        return [replace(row, path=one.name) for row, one in zip(rows, sent, strict=True)]

    async def picture(self, model: Model, upload: Upload, label: str | None) -> bytes:
        """Return where a model looked.

        Raises
        ------
        Problem
            When there is too much to do, it is no photo, or the class is not the model's.
        """
        try:
            asked = self.explainer.submit(model, upload.data, label)
            return (await self.in_time([asked]))[0]
        except QueueFull as error:
            raise Problem(503, "enough pictures are waited for; try again") from error
        except (UnusableImage, InputError) as error:
            raise Problem(422, str(error)) from error

    async def in_time(self, asked: Sequence[Future[Found]]) -> list[Found]:
        """Wait for results; what is late is given up.

        Raises
        ------
        Problem
            503 when they are not there in time.
        """
        try:
            async with asyncio.timeout(self.limits.seconds):
                return list(await asyncio.gather(*map(asyncio.wrap_future, asked)))
        except TimeoutError as error:
            raise Problem(
                503, f"there was no answer within {self.limits.seconds:g} seconds; try again"
            ) from error

    def about(self) -> dict[str, Any]:
        """Return what is said of the model."""
        model = self.models.current()
        limits = {
            "bytes": self.limits.body_bytes,
            "photos": self.limits.photos,
            "pixels": self.limits.pixels,
            "seconds": self.limits.seconds,
        }
        told = {"sha256": model.sha256, "loaded": model.loaded, "limits": limits}
        return model.predictor.info.to_json() | told


def routes(service: Service) -> APIRouter:
    """Return the routes for programs."""
    router = APIRouter()
    api = _Api(service)
    add = router.add_api_route
    add(
        "/v1/predict", api.predict, methods=["POST"], summary="Classify photos",
        openapi_extra=schema.PHOTOS_BODY,
        responses={
            200: {"model": schema.Answer},
            **schema.problems(422, 503),
        },
    )  # fmt: skip
    add(
        "/v1/explain", api.explain, methods=["POST"], summary="Draw where the model looked",
        openapi_extra=schema.PHOTO_BODY, response_class=Response,
        responses={
            200: {"content": {"image/webp": {}}, "description": "The photo in grey under colours."},
            **schema.problems(422, 503),
        },
    )  # fmt: skip
    add(
        "/v1/model", api.model, methods=["GET"], summary="What the model is",
        responses={200: {"model": schema.ModelAbout}, **schema.problems()},
    )  # fmt: skip
    add(
        "/healthz", api.health, methods=["GET"], summary="Whether the server runs",
        responses={200: {"model": schema.Health}, **schema.problems()},
    )  # fmt: skip
    add(
        "/readyz", api.ready, methods=["GET"], summary="Whether it takes requests",
        responses={200: {"model": schema.Health}, **schema.problems(503)},
    )  # fmt: skip
    add(
        "/metrics", api.figures, methods=["GET"], summary="Figures for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}, **schema.problems()
        },
    )  # fmt: skip
    for path, answer in (("/healthz", api.health), ("/readyz", api.ready)):
        add(path, answer, methods=["HEAD"], include_in_schema=False)
    return router


class _Api:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def predict(self, request: Request, top: Top = 3) -> Response:
        """Classify one photo (its file as the body) or several (a form).

        Photos that cannot be used have a row with `error`. When none can be used, the answer is
        a 422 with the rows in `photos`.
        """
        sent = await self._service.sent(request)
        model = self._service.models.current()
        rows = await self._service.predictions(model, sent, top)
        plain = [row.to_json() for row in rows]
        if all(row.error is not None for row in rows):
            raise Problem(422, f"no photo could be used: {rows[0].error}", photos=plain)
        told = {"name": model.name, "sha256": model.sha256}
        return JSONResponse({"model": told, "photos": plain})

    async def explain(self, request: Request, label: Label = None) -> Response:
        """Hide one part of a photo after the other and colour where that changes the answer."""
        (upload,) = await self._service.sent(request, most=1)
        picture = await self._service.picture(self._service.models.current(), upload, label)
        return Response(picture, media_type="image/webp")

    async def model(self) -> Response:
        """Say what the bundle says of its model, and what a request may hold."""
        return JSONResponse(self._service.about())

    async def health(self) -> Response:
        """Say that the server runs."""
        return JSONResponse({"status": "ok"})

    async def ready(self) -> Response:
        """Say whether requests are taken; a server that is stopping takes none."""
        if not self._service.engine.is_open:
            raise Problem(503, "the server is stopping")
        return JSONResponse({"status": "ready"})

    async def figures(self) -> Response:
        """Return counts and times in Prometheus's text format."""
        return Response(self._service.measures.text(), media_type=MEDIA_TYPE)
