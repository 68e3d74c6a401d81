"""The web application: addresses -> pages and forms, with the checks every one of them passes.

It knows nothing of the server it is mounted in. Reading takes a session; a change takes a form of this page, sent from this server. What a reviewer did
wrong comes back in words with status 400 or 409, never as a trace.
"""

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from reconciliation.errors import ReconciliationError, SettingsError, StaleViewError
from reconciliation.review.desk import Desk
from reconciliation.review.page import closing, deciding, files, reading
from reconciliation.review.page.rendering import HERE, ROOT, render
from reconciliation.review.page.sessions import COOKIE, begin_session
from reconciliation.review.page.uploads import FILES_MAX
from reconciliation.review.page.visit import HEADERS, ForeignFormError, SignInNeededError, Visit, begin_visit, check_origin, own_address, set_cookie, text_of
from reconciliation.review.reviewers import OneTimeCode, SessionToken, active_names, close_session, open_session

logger = logging.getLogger(__name__)
FIELDS_MAX = 50_000
"""One decision may be about every case of a bad month."""
Reader = Callable[[Visit], Response]
Writer = Callable[[Visit, FormData], Response]
Endpoint = Callable[[Request], Awaitable[Response]]

READ: dict[str, Reader] = {
    "/": reading.queue_page,
    "/case/{break_id}": reading.case_page,
    "/files": files.files_page,
    "/close": closing.close_page,
    "/package/{name}": closing.package_file,
    "/log": reading.log_page,
    "/help": reading.help_page,
    "/review.xlsx": files.spreadsheet_file,
    "/evidence/{digest}": files.evidence_file,
}
WRITE: dict[str, Writer] = {
    "/confirm": deciding.confirm_page,
    "/decide": deciding.decide_form,
    "/undo": deciding.undo_form,
    "/comment": deciding.comment_form,
    "/match": deciding.match_form,
    "/unmatch": deciding.unmatch_form,
    "/upload": files.upload_form,
    "/import": files.import_form,
    "/certify": closing.certify_form,
    "/lock": closing.lock_form,
    "/unlock": closing.unlock_form,
    "/answer": closing.answer_form,
    "/settings": closing.settings_form,
}


def build_app(desk: Desk) -> Starlette:
    """Make the application, to be mounted at `/review`."""
    routes = [
        *(Route(path, _reading(desk, read), methods=["GET"]) for path, read in READ.items()),
        *(Route(path, _writing(desk, write), methods=["POST"]) for path, write in WRITE.items()),
        Route("/sign-in", _sign_in_page(desk), methods=["GET"]),
        Route("/sign-in", _sign_in(desk), methods=["POST"]),
        Route("/sign-out", _sign_out(desk), methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    return Starlette(routes=routes, middleware=[Middleware(StrictHeaders)])


class StrictHeaders(BaseHTTPMiddleware):
    """Answers nobody frames, caches or guesses the type of, and that load nothing from elsewhere."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Add the headers."""
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _reading(desk: Desk, read: Reader) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answer, desk, request, read)

    return endpoint


def _writing(desk: Desk, write: Writer) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_fields=FIELDS_MAX, max_files=FILES_MAX) as form:

            def change(visit: Visit) -> Response:
                check_origin(request)
                visit.check_form(form)
                return write(visit, form)

            return await run_in_threadpool(_answer, desk, request, change)

    return endpoint


def _answer(desk: Desk, request: Request, make: Reader) -> Response:
    """Answer a request, or say in words why not."""
    try:
        visit = begin_visit(desk, request)
    except SignInNeededError:
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = there if request.method == "GET" else f"{ROOT}/"
        return RedirectResponse(str(request.url.replace(path=f"{ROOT}/sign-in", query="").include_query_params(next=wanted)), status_code=303)
    except ReconciliationError as error:
        return _message(desk, error, status=503)
    try:
        return make(visit)
    except StaleViewError as error:
        return _refuse(visit, error, "It changed meanwhile", status=409)
    except ReconciliationError as error:
        return _refuse(visit, error, "Not done", status=403 if isinstance(error, ForeignFormError) else 400)


def _refuse(visit: Visit, error: ReconciliationError, heading: str, *, status: int) -> Response:
    back = own_address(visit.request.headers.get("referer", "").partition(visit.request.headers.get("host", "\n"))[2])
    return visit.page("message.html", {"heading": heading, "lines": str(error).splitlines(), "back": back, "periods": []}, status=status)


def _message(desk: Desk, error: ReconciliationError, *, status: int) -> Response:
    entity = "Review" if isinstance(error, SettingsError) else desk.settings.entity.name
    values = {
        "entity": entity,
        "heading": "The review page cannot be shown",
        "lines": str(error).splitlines(),
        "back": f"{ROOT}/",
        "periods": [],
        "notice": None,
    }
    return HTMLResponse(render("message.html", values), status_code=status)


def _sign_in_page(desk: Desk) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_ask_who, desk, own_address(request.query_params.get("next", "")), "", "")

    return endpoint


def _ask_who(desk: Desk, wanted: str, chosen: str, fault: str) -> Response:
    try:
        names = active_names(desk.log.entries())
    except ReconciliationError as error:
        return _message(desk, error, status=503)
    values = {"entity": desk.settings.entity.name, "names": names, "next": wanted, "chosen": chosen, "fault": fault, "notice": None}
    return HTMLResponse(render("sign_in.html", values), status_code=403 if fault else 200)


def _sign_in(desk: Desk) -> Endpoint:
    def enter(request: Request, reviewer: str, code: str, wanted: str) -> Response:
        try:
            check_origin(request)
            now = desk.clock()
            _, token = open_session(desk.log, reviewer, OneTimeCode(code), at=now)
        except ReconciliationError as error:
            return _ask_who(desk, wanted, reviewer, str(error))
        response = RedirectResponse(wanted, status_code=303)
        set_cookie(response, begin_session(reviewer, token, now), desk.log.key, is_secure=request.url.scheme == "https")
        return response

    async def endpoint(request: Request) -> Response:
        async with request.form(max_fields=10, max_files=0) as form:
            reviewer, code, wanted = (text_of(form, name, limit=400) for name in ("reviewer", "code", "next"))
        return await run_in_threadpool(enter, request, reviewer, code, own_address(wanted))

    return endpoint


def _sign_out(desk: Desk) -> Endpoint:
    def leave(visit: Visit, form: FormData) -> Response:
        del form
        if isinstance(visit.session.proof, SessionToken) and not visit.needs_code:
            close_session(desk.log, visit.reviewer, visit.session.proof, at=visit.now)
        response = RedirectResponse(f"{ROOT}/sign-in", status_code=303)
        response.delete_cookie(COOKIE, path=ROOT)
        return response

    return _writing(desk, leave)
