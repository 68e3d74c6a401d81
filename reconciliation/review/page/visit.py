"""A request -> a visit: who it is, what they may do, and how their answers look."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from reconciliation.errors import IdentityRefusedError, ReconciliationError
from reconciliation.review.desk import Desk
from reconciliation.review.log import Entry
from reconciliation.review.page.rendering import ROOT, render
from reconciliation.review.page.sessions import COOKIE, READ_HOURS, Session, begin_session, form_token, is_own_form, read_session, seal_session, vouched_session
from reconciliation.review.reviewers import OneTimeCode, Proof, ProxyIdentity, active_names, open_session

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class ForeignFormError(ReconciliationError):
    """A form that this page did not make for this person."""


class SignInNeededError(ReconciliationError):
    """Nobody is signed in; the page asks who it is."""


@dataclass
class Visit:
    """One request of one reviewer.

    Attributes:
        desk: where they work.
        request: what they ask.
        now: when.
        session: who they are; a decision may renew it.
        key: seals cookies and forms.
        entries: the log as verified at the start of the request.
    """

    desk: Desk
    request: Request
    now: datetime
    session: Session
    key: str
    entries: list[Entry]
    is_renewed: bool = False

    @property
    def reviewer(self) -> str:
        """Who it is."""
        return self.session.reviewer

    @property
    def needs_code(self) -> bool:
        """Whether the next decision has to carry a code."""
        return not self.session.may_prepare(self.now)

    @property
    def takes_code(self) -> bool:
        """Whether a fresh code can be asked for; a proxy's word needs none."""
        return self.session.prepares_until is not None

    def proof(self, code: str, *, is_fresh: bool) -> Proof:
        """Return what proves the next decision: the session, or the code beside it.

        A code given where a session is enough opens a new session, so that the next thirty minutes need none.

        Raises:
            IdentityRefusedError: a code is needed and none was given, or it is wrong.
        """
        if isinstance(self.session.proof, ProxyIdentity):
            return self.session.proof
        if is_fresh:
            if not code.strip():
                raise IdentityRefusedError("This takes a fresh one-time code; type the one your authenticator shows now.")
            return OneTimeCode(code)
        if self.needs_code:
            if not code.strip():
                raise IdentityRefusedError("Your half hour of preparing is over; type the one-time code your authenticator shows now.")
            self.renew(code)
        return self.session.proof

    def renew(self, code: str) -> None:
        """Open another half hour of preparing.

        Raises:
            IdentityRefusedError: the code is wrong or used.
        """
        _, token = open_session(self.desk.log, self.reviewer, OneTimeCode(code), at=self.now)
        self.session = replace(begin_session(self.reviewer, token, self.now), nonce=self.session.nonce)
        self.is_renewed = True

    def page(self, template: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
        """Answer with a page."""
        return self.finish(HTMLResponse(render(template, {**self.common(), **values}), status_code=status))

    def go(self, address: str) -> Response:
        """Send the reader on to another page of ours."""
        return self.finish(RedirectResponse(own_address(address), status_code=303))

    def finish(self, response: Response) -> Response:
        """Set the cookie where the session was renewed."""
        if self.is_renewed:
            set_cookie(response, self.session, self.key, is_secure=self.request.url.scheme == "https")
        return response

    def common(self) -> dict[str, Any]:
        """Return what every page needs."""
        return {
            "entity": self.desk.settings.entity.name,
            "reviewer": self.reviewer,
            "minutes_left": self.session.minutes_left(self.now),
            "needs_code": self.needs_code,
            "takes_code": self.takes_code,
            "hidden": self.hidden,
            "notice": None,
            "here_again": self.here_again,
        }

    @property
    def here_again(self) -> str:
        """The address of this page, without what it was told to say."""
        kept = "&".join(part for part in self.request.url.query.split("&") if part and not part.startswith("done="))
        return f"{self.request.url.path}?{kept}" if self.request.method == "GET" else f"{ROOT}/"

    def hidden(self) -> Any:
        """Return the hidden field that shows a form to be ours."""
        from markupsafe import Markup

        return Markup('<input type="hidden" name="token" value="{}">').format(form_token(self.session, self.key))

    def check_form(self, form: FormData) -> None:
        """Check that a form is ours.

        Raises:
            ForeignFormError: it is not, or it was made before another sign-in.
        """
        if not is_own_form(text_of(form, "token"), self.session, self.key):
            raise ForeignFormError("This form was not made by this page for you, or you signed in anew since. Go back, load the page again and repeat it.")


def begin_visit(desk: Desk, request: Request) -> Visit:
    """Begin a visit.

    Raises:
        SignInNeededError: nobody is signed in.
        LogDamagedError: the log does not verify.
    """
    log, now = desk.log, desk.clock()
    entries = log.entries()
    names = active_names(entries)
    header = desk.settings.review.identity_header
    vouched = request.headers.get(header, "").strip().lower() if header else ""
    if vouched:
        if vouched not in names:
            raise IdentityRefusedError(
                f"{vouched} is signed in at the proxy and is no reviewer here; a reviewer enrolls them: reconcile review enroll {vouched}"
            )
        return Visit(desk, request, now, vouched_session(ProxyIdentity(vouched, header), now), log.key, entries)
    session = read_session(request.cookies.get(COOKIE, ""), log.key, now) if log.key else None
    if session is None or session.reviewer not in names:
        raise SignInNeededError("Sign in to read this page.")
    return Visit(desk, request, now, session, log.key, entries)


def set_cookie(response: Response, session: Session, key: str, *, is_secure: bool) -> None:
    """Give the reader their session."""
    response.set_cookie(COOKIE, seal_session(session, key), max_age=READ_HOURS * 3600, path=ROOT, httponly=True, samesite="strict", secure=is_secure)


def check_origin(request: Request) -> None:
    """Check that a change is asked for by a page of this server.

    Raises:
        ForeignFormError: another site asks.
    """
    origin = request.headers.get("origin", "")
    if origin and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise ForeignFormError("This was sent from another site and nothing was done.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForeignFormError("This was sent from another site and nothing was done.")


def own_address(address: str) -> str:
    r"""Return an address of this page, or its front where the given one leads elsewhere.

    >>> own_address("/review/?tab=all"), own_address("//evil.example/review"), own_address("/review/\r\nX: y")
    ('/review/?tab=all', '/review/', '/review/')
    """
    is_own = address.startswith(f"{ROOT}/") and "\\" not in address and address.isprintable()
    return address if is_own else f"{ROOT}/"


def text_of(form: FormData, name: str, *, limit: int = 4000) -> str:
    """Return a text field of a form, trimmed and cut at a limit."""
    value = form.get(name, "")
    return value.strip()[:limit] if isinstance(value, str) else ""
