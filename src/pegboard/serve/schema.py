"""What the interface looks like, for its OpenAPI description; answers are built elsewhere."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pegboard.serve.problems import MEDIA_TYPE
from pegboard.serve.uploads import FORM

DESCRIPTION = """Classifies photos with one pegboard model.

A photo is judged by its content; its name and Content-Type are not believed. Every error is
`application/problem+json` (RFC 9457). A 503 comes with `Retry-After`.
"""


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Service Unavailable",
                "status": 503,
                "detail": "256 photos are waited for already; try again",
            }
        },
    )
    type: str
    title: str
    status: int
    detail: str


class Candidate(BaseModel):
    """One of the likeliest classes."""

    label: str
    probability: float = Field(ge=0, le=1)


class Row(BaseModel):
    """The answer about one photo; with `error` set, the rest is null or empty."""

    model_config = ConfigDict(extra="allow")
    path: str | None = Field(description="The photo's name, as it was sent.")
    label: str | None
    probability: float | None
    top: list[Candidate]
    decision: Literal["sure", "unsure", "unknown"] | None
    reason: str | None = Field(description="Why it is not sure.")
    error: str | None = Field(description="Why the photo could not be used.")


class ModelName(BaseModel):
    """The model that answered."""

    name: str
    sha256: str = Field(description="Of the bundle's file.")


class Answer(BaseModel):
    """Answers in the order of the photos."""

    model: ModelName
    photos: list[Row]


class ModelAbout(BaseModel):
    """What the bundle says of its model, and what the server takes on."""

    model_config = ConfigDict(extra="allow")
    name: str
    classes: list[str]
    input: dict[str, Any]
    thresholds: dict[str, Any]
    figures: dict[str, Any]
    sha256: str
    loaded: str
    limits: dict[str, float]


class Health(BaseModel):
    """How the server is."""

    status: str


ANSWER_EXAMPLE = {
    "model": {"name": "probe", "sha256": "5f1c…"},
    "photos": [
        {
            "path": "photo.jpg",
            "label": "hammer",
            "probability": 0.981204,
            "top": [
                {"label": "hammer", "probability": 0.981204},
                {"label": "mallet", "probability": 0.011733},
            ],
            "decision": "sure",
            "reason": None,
            "error": None,
        }
    ],
}

_PICTURE = {"schema": {"type": "string", "format": "binary"}}

RAW_BODIES = dict.fromkeys(
    ("image/jpeg", "image/png", "image/webp", "application/octet-stream"), _PICTURE
)

PHOTO_BODY = {"requestBody": {"required": True, "content": RAW_BODIES}}

PHOTOS_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["photos"],
                    "properties": {
                        "photos": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                    "additionalProperties": False,
                }
            },
            **RAW_BODIES,
        },
    }
}

KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
"""Either of the two ways to give the key."""

_REASONS = {
    400: "The request or its form cannot be read.",
    401: "The API key is missing or wrong.",
    405: "Another method is expected.",
    408: "The request did not come in time.",
    413: "Too many bytes or photos.",
    421: "The server does not answer to this host name.",
    422: "No photo of the request could be used, or a parameter is wrong.",
    503: "Too much to do; come again after Retry-After.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of what can go wrong; every route can be refused at the gate."""
    return {status: _described(status) for status in sorted({400, 401, 408, 413, 421, *statuses})}


def _described(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    told: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {MEDIA_TYPE: {"schema": schema}},
    }
    if status == 503:
        told["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
        }
    return told
