"""All routes of a server in one application, and every error in one shape."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from pegboard import __version__
from pegboard.serve import schema
from pegboard.serve.gate import OPEN
from pegboard.serve.problems import Problem


def build_app(*routers: APIRouter, needs_key: bool) -> FastAPI:
    """Return the application; it is to stand behind a :class:`pegboard.serve.gate.Gate`.

    Parameters
    ----------
    routers
        Its routes.
    needs_key
        Whether the description says that a key is asked for; the gate does the asking.
    """
    app = FastAPI(
        title="pegboard serve",
        version=__version__,
        description=schema.DESCRIPTION,
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _defect)
    _describe(app, needs_key=needs_key)
    return app


def _describe(app: FastAPI, *, needs_key: bool) -> None:
    """Describe what FastAPI does not see: the shape of errors, and the key."""
    description = app.openapi()
    parts = description.setdefault("components", {})
    template = "#/components/schemas/{model}"
    parts.setdefault("schemas", {})["Problem"] = schema.Problem.model_json_schema(
        ref_template=template
    )
    # FastAPI leaves null out of examples.
    answer = description["paths"]["/v1/predict"]["post"]["responses"]["200"]
    answer["content"]["application/json"]["example"] = schema.ANSWER_EXAMPLE
    if needs_key:
        parts["securitySchemes"] = schema.KEYS
        description["security"] = [{name: []} for name in schema.KEYS]
        for path in OPEN:
            description["paths"][path]["get"]["security"] = []


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = _INSTEAD.get(error.status_code, str(error.detail))
    return Problem(error.status_code, detail, error.headers).response()


_INSTEAD = {
    404: "there is nothing at this path; POST a photo to /v1/predict, and see /openapi.json",
    405: "this path takes another method; POST a photo to /v1/predict, and see /openapi.json",
}


def _defect(_: Request, error: Exception) -> Response:
    # What it was goes to the log: the gate is told of it, too.
    return Problem(500, "something went wrong inside pegboard").response()


def _not_valid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not repeated: it may be anything.
    told = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()]
    detail = "; ".join(f"{one['where']}: {one['what']}" for one in told)
    return Problem(422, detail, errors=told).response()
