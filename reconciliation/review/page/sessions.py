"""Who is reading: a sealed cookie, and the token every form carries.

One code opens a session of the log (`review.reviewers`), which is good for preparing for half an hour; the cookie carries it, and goes on for
reading for `READ_HOURS`. It is sealed with a key derived from the log's; nothing is stored here, so that a restart signs nobody out. Forms carry
a token made from the session that another site cannot know.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciliation.review.log import derive_key
from reconciliation.review.reviewers import SESSION_MINUTES, ProxyIdentity, SessionToken

COOKIE = "review_session"
READ_HOURS = 10


@dataclass(frozen=True)
class Session:
    """A reviewer who is signed in.

    Attributes:
        reviewer: who.
        proof: what decisions are prepared with.
        prepares_until: until when; None where a proxy vouches for every request.
        reads_until: until when the page may be read.
        nonce: tells two sessions of one person apart.
    """

    reviewer: str
    proof: SessionToken | ProxyIdentity
    prepares_until: datetime | None
    reads_until: datetime
    nonce: str

    def may_prepare(self, now: datetime) -> bool:
        """Whether decisions need no new code now."""
        return self.prepares_until is None or now < self.prepares_until

    def minutes_left(self, now: datetime) -> int | None:
        """Return the whole minutes left for preparing, None where they do not end."""
        return None if self.prepares_until is None else max(0, -int((now - self.prepares_until).total_seconds() // 60))


def begin_session(reviewer: str, token: SessionToken, now: datetime) -> Session:
    """Begin the page's session of a reviewer who has just proven who they are."""
    return Session(reviewer, token, now + timedelta(minutes=SESSION_MINUTES), now + timedelta(hours=READ_HOURS), secrets.token_urlsafe(12))


def vouched_session(identity: ProxyIdentity, now: datetime) -> Session:
    """Return the session of somebody whom the reverse proxy names in this very request."""
    return Session(identity.name.strip().lower(), identity, None, now + timedelta(hours=READ_HOURS), "proxy")


def seal_session(session: Session, key: str) -> str:
    """Write a session of codes as a cookie."""
    token = session.proof.token if isinstance(session.proof, SessionToken) else ""
    until = int(session.prepares_until.timestamp()) if session.prepares_until else 0
    content = [session.reviewer, token, until, int(session.reads_until.timestamp()), session.nonce]
    payload = base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{payload}.{_seal(key, 'cookie', payload)}"


def read_session(cookie: str, key: str, now: datetime) -> Session | None:
    """Return the session of a cookie, or None where it is forged, damaged or over."""
    payload, _, seal = cookie.partition(".")
    if not hmac.compare_digest(seal.encode(), _seal(key, "cookie", payload).encode()):
        return None
    reviewer, token, prepares, reads, nonce = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    session = Session(reviewer, SessionToken(token), datetime.fromtimestamp(prepares, UTC), datetime.fromtimestamp(reads, UTC), nonce)
    return session if now < session.reads_until else None


def form_token(session: Session, key: str) -> str:
    """Return the token that a form of this session carries."""
    return _seal(key, "form", f"{session.reviewer}|{session.nonce}")


def is_own_form(token: str, session: Session, key: str) -> bool:
    """Whether a form was made for this session."""
    return hmac.compare_digest(token.encode(), form_token(session, key).encode())


def _seal(key: str, purpose: str, text: str) -> str:
    return hmac.new(derive_key(key, f"page-{purpose}"), text.encode(), hashlib.sha256).hexdigest()
