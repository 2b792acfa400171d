"""The page: what a request asks for, and what it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from pegboard.errors import PegboardError, UnusableImage
from pegboard.review import pages
from pegboard.review.gallery import SIDES
from pegboard.review.guard import Access, Guard
from pegboard.review.session import Review

MOST_FIELDS = 600
"""Fields of a form: more than a full preview has."""

_WEEK = "private, max-age=604800, immutable"


class Form:
    """What a form of ours sent."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """Return a field's value, "" where there is none."""
        return self._fields.get(name, [""])[0]

    def numbers(self, name: str) -> list[int]:
        """Return the values of a field as numbers from 0; the page counts from 1."""
        values = self._fields.get(name, [])
        if not all(value.isascii() and value.isdigit() and len(value) < 10 for value in values):
            raise HTTPException(400, f"{name}: expected numbers")
        return [int(value) - 1 for value in values]

    def number(self, name: str) -> int:
        """Return a field that must be there, as a number from 0."""
        numbers = self.numbers(name)
        if len(numbers) != 1:
            raise HTTPException(400, f"{name}: expected one number")
        return numbers[0]


async def sent_form(request: Request) -> Form:
    """Return the form of a request; 403 unless it is one of this session's."""
    try:
        fields = parse_qs(
            (await request.body()).decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    sent = Form(fields)
    access: Access = request.app.state.access
    if not access.trusts(sent.text("token")):
        raise HTTPException(403, "the form is not of this session; load the page again")
    return sent


Sent = Annotated[Form, Depends(sent_form)]


class Site:
    """The pages of one review; they hold no state but what was last done, to be told once."""

    def __init__(self, review: Review, access: Access, commands: Sequence[str]) -> None:
        self._review = review
        self._access = access
        self._commands = commands
        self._done = ""

    # --- pages ------------------------------------------------------------------------------

    def enter(self, request: Request) -> Response:
        """Give the cookie to who comes with the key; send others on to the first photo."""
        if "key" not in request.query_params:
            return self._go_to(self._review.next_open(-1))
        # No redirect: a browser that was sent here by a link elsewhere would not send a strict
        # cookie with it, but sends it with what this page asks for.
        answer = HTMLResponse(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>pegboard review</title>'
            '<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Begin</a>'
        )
        name, ticket = self._access.cookie, self._access.ticket
        answer.set_cookie(name, ticket, httponly=True, samesite="strict", path="/")
        return answer

    def photo(self, number: int) -> Response:
        """Show one photo to decide about; numbers count from 1."""
        return self._page(number - 1)

    def jump(self, to: int) -> Response:
        """Go to a photo by its number; one that is not there means the nearest."""
        return self._go_to(min(max(to, 1), len(self._review.queue.cases)) - 1)

    def bulk(self, at_least: float | None = None) -> Response:
        """Show what would be accepted together."""
        return self._bulk(at_least, self._look())

    def end(self) -> Response:
        """Show what is next when nothing is left."""
        trouble = self._look()
        shown = pages.end_page(
            self._review,
            self._access.token,
            self._commands,
            said=self._take_done(),
            trouble=trouble,
        )
        return HTMLResponse(pages.render("end.html.j2", shown), 409 if trouble else 200)

    # --- decisions --------------------------------------------------------------------------

    def decide(self, sent: Sent) -> Response:
        """Save one decision and go on to the next photo."""
        number = sent.number("number")
        action, label, is_new = sent.text("action"), sent.text("label"), sent.text("new") == "1"
        try:
            done = self._review.decide(number, action, label, new=is_new)
        except PegboardError as error:
            return self._page(number, trouble=str(error))
        self._done = done.words
        return self._go_to(self._review.next_open(number))

    def undo(self, sent: Sent) -> Response:
        """Take the last decision back and show the photo it was about."""
        try:
            done = self._review.undo()
        except PegboardError as error:
            return self._page(sent.number("number") if sent.text("number") else 0, str(error))
        self._done = done.words
        return self._go_to(done.number)

    def accept_all(self, sent: Sent) -> Response:
        """Save the decision about all photos that were ticked."""
        try:
            done = self._review.accept_all(sent.numbers("chosen"))
        except PegboardError as error:
            return self._bulk(None, str(error))
        self._done = done.words
        return self._go_to(self._review.next_open(-1))

    # --- what pages are made of -------------------------------------------------------------

    def picture(self, number: int, size: str, of: str = "") -> Response:
        """Send a photo, made smaller; a browser keeps it under this session's address only."""
        if size not in SIDES:
            raise HTTPException(404, "no such size")
        try:
            shot = self._review.gallery.shot(number, size)
        except (LookupError, OSError, UnusableImage) as error:
            raise HTTPException(404, "this photo cannot be shown") from error
        kept = _WEEK if of == self._review.gallery.mark else "no-store"
        return Response(shot.data, media_type="image/webp", headers={"cache-control": kept})

    def style(self) -> Response:
        """Send the stylesheet."""
        return Response(pages.style(), media_type="text/css")

    def script(self) -> Response:
        """Send the script."""
        return Response(pages.script(), media_type="text/javascript")

    def icon(self) -> Response:
        """Send no icon: browsers ask for one and report its absence as an error."""
        return Response(status_code=204)

    # --- helpers ----------------------------------------------------------------------------

    def _page(self, number: int, trouble: str = "") -> Response:
        review = self._review
        if not 0 <= number < len(review.queue.cases):
            raise HTTPException(404, f"there are {len(review.queue.cases)} photos")
        trouble = trouble or self._look()
        done = self._take_done()
        page = pages.case_page(review, number, self._access.token, said=done, trouble=trouble)
        return HTMLResponse(pages.render("case.html.j2", page), 409 if trouble else 200)

    def _bulk(self, at_least: float | None, trouble: str = "") -> Response:
        page = pages.bulk_page(self._review, self._access.token, at_least, trouble=trouble)
        return HTMLResponse(pages.render("bulk.html.j2", page), 409 if trouble else 200)

    def _look(self) -> str:
        """Take in what others have decided; return why the file cannot be read any more."""
        try:
            self._review.refresh()
        except PegboardError as error:
            return str(error)
        return ""

    def _take_done(self) -> str:
        done, self._done = self._done, ""
        return done

    @staticmethod
    def _go_to(number: int | None) -> Response:
        return RedirectResponse("/end" if number is None else f"/photo/{number + 1}", 303)


def build_app(review: Review, access: Access, commands: Sequence[str] = ()) -> Guard:
    """Return the application, guarded.

    Parameters
    ----------
    review
        What is gone through.
    access
        Who may ask.
    commands
        What to do afterwards, shown when nothing is left.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.access = access
    site = Site(review, access, commands)
    routes: Mapping[str, Callable[..., Response]] = {
        "/": site.enter,
        "/photo/{number}": site.photo,
        "/jump": site.jump,
        "/bulk": site.bulk,
        "/end": site.end,
        "/picture/{number}/{size}": site.picture,
        "/favicon.ico": site.icon,
        "/style.css": site.style,
        "/review.js": site.script,
    }
    decisions: Mapping[str, Callable[..., Response]] = {
        "/decide": site.decide,
        "/undo": site.undo,
        "/bulk": site.accept_all,
    }
    for path, answer in routes.items():
        app.add_api_route(path, answer, methods=["GET", "HEAD"], response_model=None)
    for path, answer in decisions.items():
        app.add_api_route(path, answer, methods=["POST"], response_model=None)
    app.add_exception_handler(StarletteHTTPException, _told)
    app.add_exception_handler(RequestValidationError, _not_understood)
    return Guard(app, access)


def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code)


def _not_understood(_: Request, error: Exception) -> Response:
    return PlainTextResponse("expected a number\n", 404)
