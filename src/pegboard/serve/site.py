"""The routes for people: a page with a camera, one about drift, and corrections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from pegboard.errors import InputError, PegboardError, UnusableImage
from pegboard.rows import Prediction
from pegboard.serve import pages
from pegboard.serve.access import Access
from pegboard.serve.api import Service
from pegboard.serve.drift import Drift
from pegboard.serve.feedback import Feedback, FolderFull, checked_label
from pegboard.serve.models import Model
from pegboard.serve.problems import Problem
from pegboard.serve.uploads import Upload, is_form, parts_of
from pegboard.serve.words import Language, language_of
from pegboard.web import RequestHeaders

LANGUAGE_COOKIE = "pegboard-language"
TOKEN_HEADER = "x-pegboard-token"  # noqa: S105  (the header's name)
_YEAR = 365 * 24 * 3600
_MOST_FIELDS = 10

Lang = Annotated[str | None, Query(max_length=10)]


class Site:
    """The pages of one server.

    Parameters
    ----------
    service
        What answers.
    access
        Who may ask.
    drift
        What was asked about.
    feedback
        Where corrections go; None when none are taken.
    """

    def __init__(
        self, service: Service, access: Access, drift: Drift, feedback: Feedback | None
    ) -> None:
        self._service = service
        self._access = access
        self._drift = drift
        self._feedback = feedback

    def router(self) -> APIRouter:
        """Return the routes; they are no part of the interface for programs."""
        router = APIRouter(include_in_schema=False)
        shown: dict[str, Callable[..., Awaitable[Response]]] = {
            "/": self.ask,
            "/drift": self.week,
            "/serve.css": self.style,
            "/serve.js": self.script,
            "/favicon.ico": self.icon,
        }
        for path, answer in shown.items():
            router.add_api_route(path, answer, methods=["GET", "HEAD"], response_model=None)
        router.add_api_route("/enter", self.enter, methods=["POST"], response_model=None)
        if self._feedback is not None:
            router.add_api_route("/feedback", self.correct, methods=["POST"], response_model=None)
        return router

    async def ask(self, request: Request, lang: Lang = None) -> Response:
        """Show the page that takes a photo, or the key first."""
        language = _language(request, lang)
        if not self._access.knows(RequestHeaders(request.scope)):
            page = pages.key_page(language, is_wrong="wrong" in request.query_params)
            return self._html("key.html.j2", page, lang)
        asked = pages.ask_page(
            language,
            self._service.models.current(),
            self._access.token,
            takes_feedback=self._feedback is not None,
        )
        return self._html("ask.html.j2", asked, lang)

    async def week(self, request: Request, lang: Lang = None) -> Response:
        """Show how this week differs from training, to those who have the key."""
        if not self._access.knows(RequestHeaders(request.scope)):
            return self._html("key.html.j2", pages.key_page(_language(request, lang)), lang)
        model = self._service.models.current()
        page = pages.drift_page(_language(request, lang), model, self._drift.week(model))
        return self._html("drift.html.j2", page, lang)

    def _html(
        self,
        template: str,
        page: pages.AskPage | pages.KeyPage | pages.DriftPage,
        asked: str | None,
    ) -> Response:
        answer = HTMLResponse(pages.render(template, page))
        if asked == page.frame.language:
            answer.set_cookie(
                LANGUAGE_COOKIE,
                asked,
                max_age=_YEAR,
                httponly=True,
                samesite="lax",
                secure=self._access.is_https,
            )
        return answer

    async def enter(self, request: Request) -> Response:
        """Take the key; who has it gets a cookie that no other site's page can use."""
        if not self._access.is_key(_sent_key(await request.body())):
            return RedirectResponse("/?wrong", 303)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._access.cookie,
            self._access.ticket,
            httponly=True,
            samesite="strict",
            secure=self._access.is_https,
        )
        return answer

    async def correct(self, request: Request) -> Response:
        """Store a photo with what its sender says it is, if the sender agrees to that."""
        headers = RequestHeaders(request.scope)
        if not self._access.is_own_page(headers, headers.only(TOKEN_HEADER)):
            raise Problem(403, "corrections are taken from this server's own page only")
        upload, label = await self._sent_correction(request)
        model = self._service.models.current()
        (answer,) = await self._service.predictions(model, [upload], 1, is_known=True)
        if answer.error is not None:
            raise Problem(422, answer.error)
        await self._store(upload, label, model, answer)
        return JSONResponse({"stored": label})

    async def _sent_correction(self, request: Request) -> tuple[Upload, str]:
        kind = request.headers.get("content-type", "")
        if not is_form(kind):
            raise Problem(422, "expected a form with photo, label and consent")
        parts = {part.name: part for part in parts_of(await request.body(), kind)}
        if not {"photo", "label", "consent"} <= set(parts):
            raise Problem(422, "expected a form with photo, label and consent")
        if parts["consent"].text() != "yes":
            raise Problem(422, "nothing is stored without consent")
        try:
            label = checked_label(parts["label"].text())
        except InputError as error:
            raise Problem(422, str(error)) from error
        return Upload(None, bytes(parts["photo"].data)), label

    async def _store(self, upload: Upload, label: str, model: Model, answer: Prediction) -> None:
        assert self._feedback is not None
        try:
            await asyncio.to_thread(self._feedback.store, upload.data, label, model, answer)
        except FolderFull as error:
            raise Problem(507, str(error)) from error
        except (UnusableImage, InputError) as error:
            raise Problem(422, str(error)) from error
        except PegboardError as error:
            raise Problem(507, "the correction could not be stored") from error

    async def style(self) -> Response:
        """Send the stylesheet."""
        return Response(pages.style(), media_type="text/css")

    async def script(self) -> Response:
        """Send the script."""
        return Response(pages.script(), media_type="text/javascript")

    async def icon(self) -> Response:
        """Send no icon: browsers ask for one and report its absence as an error."""
        return Response(status_code=204)


def _sent_key(body: bytes) -> str:
    """Return the key of a form; "" for whatever is no such form."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:  # more fields than any form of ours has
        return ""
    return fields.get("key", [""])[0].strip()


def _language(request: Request, asked: str | None) -> Language:
    remembered = request.cookies.get(LANGUAGE_COOKIE)
    return language_of(asked, remembered, request.headers.get("accept-language", ""))
