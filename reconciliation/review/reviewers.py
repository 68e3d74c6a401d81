"""Entries of the log + a one-time code, a session or a proxy's word -> who decides, proven, or a refusal.

Nobody's secret is stored: a reviewer's is derived from `RECONCILIATION_REVIEW_KEY` and the number drawn at enrollment, so a new
enrollment ends the old one and a leaked log gives no code away. A code is good once: the step of 30 seconds it belongs to goes into the
entry it proves, and none at or before a used step is taken again (RFC 6238, 5.2).

Enrolling and revoking are entries that another reviewer approves. Only the first two may enroll themselves, which they must ask for by name.
"""

import hashlib
import hmac
import io
import json
import re
import secrets
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyotp
import segno

from reconciliation.errors import DecisionRefusedError, IdentityRefusedError
from reconciliation.lake import write_atomically
from reconciliation.review.log import DecisionLog, Draft, Entry, canonical, derive_key

STEP_SECONDS = 30
STEPS_AROUND = 1
"""A phone's clock may be off by one step either way."""
SESSION_MINUTES = 30
BOOTSTRAPPED_MAX = 2
FAILURES_MAX = 5
FAILURES_MINUTES = 10
"""Five wrong codes in ten minutes, then none is looked at: guessing one of a million takes years."""
NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")

Method = Literal["code", "proxy"]


@dataclass(frozen=True)
class OneTimeCode:
    """Six digits from the reviewer's authenticator."""

    code: str


@dataclass(frozen=True)
class SessionToken:
    """What `open_session` gave; good for preparing, not for approving."""

    token: str


@dataclass(frozen=True)
class ProxyIdentity:
    """The name that the reverse proxy's header carried; the caller has read it from the configured header itself."""

    name: str
    header: str


Proof = OneTimeCode | SessionToken | ProxyIdentity


@dataclass(frozen=True)
class Reviewer:
    """Somebody who may decide, or might once.

    Attributes:
        name: lower case.
        method: how they prove themselves.
        nonce: the number drawn at the enrollment in force.
        header: in which the proxy names them; empty for codes.
        enrolled_at: when that enrollment was asked for.
        approved_by: who approved it; empty for the first two.
        is_active: enrolled, approved and not revoked.
        revoked_at: when the revocation was approved.
    """

    name: str
    method: Method
    nonce: str
    header: str
    enrolled_at: datetime
    approved_by: str
    is_active: bool
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class Enrollment:
    """An enrollment before it is proven: what the authenticator must know."""

    name: str
    nonce: str
    uri: str

    def qr_text(self) -> str:
        """Return the QR code as text for a terminal."""
        out = io.StringIO()
        segno.make(self.uri, error="m").terminal(out, compact=True)
        return out.getvalue()

    def qr_svg(self) -> str:
        """Return the QR code as an SVG element for a page."""
        return str(segno.make(self.uri, error="m").svg_inline(scale=5))


def check_name(name: str) -> str:
    """Return a reviewer's name in lower case.

    Raises:
        DecisionRefusedError: it is no name: look-alike letters and blanks would make two people of one.
    """
    lowered = name.strip().lower()
    if not NAME.fullmatch(lowered):
        raise DecisionRefusedError(f"{name!r} is no reviewer's name; use 2 to 64 of a-z, 0-9 and . _ @ + -, such as anna.smith or anna@example.com")
    return lowered


def known_reviewers(entries: Sequence[Entry]) -> dict[str, Reviewer]:
    """Return everybody who was ever enrolled, by name, as the log stands."""
    asked = {entry.number: entry for entry in entries if entry.kind in ("enroll", "revoke")}
    known: dict[str, Reviewer] = {}
    for entry in entries:
        if entry.kind == "enroll" and entry.body["is_bootstrap"]:
            known[entry.body["reviewer"]] = _enrolled(entry, approved_by="")
        elif entry.kind == "approve":
            for target in (asked[number] for number in entry.body["targets"] if number in asked):
                name = target.body["reviewer"]
                if target.kind == "enroll":
                    known[name] = _enrolled(target, approved_by=entry.by)
                elif name in known:
                    known[name] = replace(known[name], is_active=False, revoked_at=entry.at)
    return known


def begin_enrollment(key: str, name: str, *, issuer: str) -> Enrollment:
    """Draw a new secret for a reviewer; nothing is written until `enroll` sees a code made with it."""
    nonce = secrets.token_hex(16)
    name = check_name(name)
    return Enrollment(name, nonce, pyotp.TOTP(_secret(key, name, nonce)).provisioning_uri(name=name, issuer_name=issuer))


def enroll(log: DecisionLog, enrollment: Enrollment, *, code: str, at: datetime, is_bootstrap: bool = False) -> Entry:
    """Ask for a reviewer, whose authenticator has shown that it works; another reviewer approves with `decide`.

    Args:
        log: the log.
        enrollment: from `begin_enrollment`.
        code: the first code of the authenticator.
        at: now.
        is_bootstrap: be a reviewer at once, which only the first two may.

    Raises:
        IdentityRefusedError: the code is not one of this enrollment.
        DecisionRefusedError: two reviewers were there before, so one of them must approve.
    """

    def make(entries: Sequence[Entry]) -> Draft:
        step = _matching_step(log.key, enrollment.name, enrollment.nonce, code, at)
        if step is None:
            raise IdentityRefusedError(f"{enrollment.name}: the code does not belong to this enrollment; scan the new QR code and type the code it shows now")
        _check_bootstrap(entries, is_bootstrap=is_bootstrap)
        proof = {"method": "code", "step": step}
        return Draft("enroll", enrollment.name, _enrollment_body(enrollment.name, "code", enrollment.nonce, is_bootstrap=is_bootstrap) | {"proof": proof})

    return log.append_made(make, at=at)


def enroll_by_proxy(log: DecisionLog, name: str, *, header: str, at: datetime, is_bootstrap: bool = False) -> Entry:
    """Ask for a reviewer who is signed in by the reverse proxy and has no authenticator here.

    Raises:
        DecisionRefusedError: no header is configured, or two reviewers were there before.
    """
    if not header:
        raise DecisionRefusedError("no [review] identity_header is set, so no proxy can say who somebody is; enroll with a QR code")
    name = check_name(name)

    def make(entries: Sequence[Entry]) -> Draft:
        _check_bootstrap(entries, is_bootstrap=is_bootstrap)
        return Draft("enroll", name, _enrollment_body(name, "proxy", "", is_bootstrap=is_bootstrap) | {"proof": {"method": "proxy", "header": header}})

    return log.append_made(make, at=at)


def revoke(log: DecisionLog, name: str, *, by: str, proof: Proof, reason: str, at: datetime) -> Entry:
    """Ask that a reviewer may decide no more; another reviewer approves with `decide`.

    Raises:
        IdentityRefusedError: who asks is not proven.
        DecisionRefusedError: there is no such reviewer.
    """

    def make(entries: Sequence[Entry]) -> Draft:
        proven = prove(log, entries, by, proof, at=at, is_fresh=True)
        target = known_reviewers(entries).get(check_name(name))
        if target is None or not target.is_active:
            raise DecisionRefusedError(f"{name!r} is no reviewer; there are: {', '.join(active_names(entries)) or 'none'}")
        return Draft(
            "revoke", check_name(by), {"reviewer": target.name, "reason": reason, "needs_second": "another reviewer approves a revocation", "proof": proven}
        )

    return log.append_made(make, at=at)


def active_names(entries: Sequence[Entry]) -> list[str]:
    """Return the names of those who may decide."""
    return sorted(name for name, reviewer in known_reviewers(entries).items() if reviewer.is_active)


def open_session(log: DecisionLog, by: str, proof: Proof, *, at: datetime) -> tuple[Entry, SessionToken]:
    """Open half an hour of preparing for one code.

    Returns:
        The entry, and the token that proves the session.

    Raises:
        IdentityRefusedError: who asks is not proven.
    """
    expires = (at + timedelta(minutes=SESSION_MINUTES)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def make(entries: Sequence[Entry]) -> Draft:
        return Draft("session", check_name(by), {"expires_at": expires, "proof": prove(log, entries, by, proof, at=at, is_fresh=True)})

    entry = log.append_made(make, at=at)
    return entry, SessionToken(f"{entry.number}.{_session_mark(log.key, entry)}")


def close_session(log: DecisionLog, by: str, token: SessionToken, *, at: datetime) -> Entry:
    """End a session before its time."""

    def make(entries: Sequence[Entry]) -> Draft:
        proven = prove(log, entries, by, token, at=at, is_fresh=False)
        return Draft("sign_out", check_name(by), {"proof": proven})

    return log.append_made(make, at=at)


def session_owner(log: DecisionLog, entries: Sequence[Entry], token: SessionToken, *, at: datetime) -> str:
    """Return whose session a token is.

    Raises:
        IdentityRefusedError: no session, ended, or of somebody who is no reviewer any more.
    """
    number, _, mark = token.token.partition(".")
    entry = entries[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(entries) else None
    if entry is None or entry.kind != "session" or not hmac.compare_digest(mark.encode(), _session_mark(log.key, entry).encode()):
        raise IdentityRefusedError("this is no session of the review; sign in with a new code")
    ended = any(later.kind == "sign_out" and later.body["proof"].get("session") == entry.number for later in entries[entry.number :])
    if ended or at.strftime("%Y-%m-%dT%H:%M:%SZ") >= entry.body["expires_at"]:
        raise IdentityRefusedError(f"the session of {entry.by} has ended (a session lasts {SESSION_MINUTES} minutes); sign in with a new code")
    reviewer = known_reviewers(entries).get(entry.by)
    if reviewer is None or not reviewer.is_active or reviewer.enrolled_at > entry.at:
        raise IdentityRefusedError(f"{entry.by} was revoked or enrolled anew since this session began; sign in again")
    return entry.by


def prove(log: DecisionLog, entries: Sequence[Entry], by: str, proof: Proof, *, at: datetime, is_fresh: bool) -> dict[str, Any]:
    """Check that it is this reviewer who acts.

    Args:
        log: whose key the codes come from, and beside which wrong codes are counted.
        entries: the verified log; the caller writes its entry before anybody else can.
        by: who they say they are.
        proof: what shows it.
        at: now.
        is_fresh: a session is not enough: approving, certifying and re-opening take a code of their own.

    Returns:
        How it was proven, for the entry: it is what makes a code single-use.

    Raises:
        IdentityRefusedError: it is not proven.
    """
    name = check_name(by)
    reviewer = known_reviewers(entries).get(name)
    if reviewer is None or not reviewer.is_active:
        waiting = any(entry.kind == "enroll" and entry.body["reviewer"] == name for entry in entries)
        because = "their enrollment waits for another reviewer's approval, or was revoked" if waiting else f"enroll them: reconcile review enroll {name}"
        raise IdentityRefusedError(f"{name} is no reviewer; {because}")
    if isinstance(proof, ProxyIdentity):
        if reviewer.method != "proxy" or check_name(proof.name) != name or proof.header != reviewer.header:
            raise IdentityRefusedError(f"{name} is not who the proxy signed in, or was not enrolled for the proxy")
        return {"method": "proxy", "header": proof.header}
    if isinstance(proof, SessionToken):
        if is_fresh:
            raise IdentityRefusedError("a session is for preparing; this takes a fresh one-time code")
        if session_owner(log, entries, proof, at=at) != name:
            raise IdentityRefusedError(f"this is not a session of {name}")
        return {"method": "session", "session": int(proof.token.partition(".")[0])}
    return {"method": "code", "step": _spend_code(log, entries, reviewer, proof.code, at=at)}


def _spend_code(log: DecisionLog, entries: Sequence[Entry], reviewer: Reviewer, code: str, *, at: datetime) -> int:
    if reviewer.method != "code":
        raise IdentityRefusedError(f"{reviewer.name} is signed in by the reverse proxy and has no one-time codes")
    failures = _recent_failures(log.root, at)
    if len(failures.get(reviewer.name, [])) >= FAILURES_MAX:
        raise IdentityRefusedError(f"{reviewer.name}: {FAILURES_MAX} wrong codes in {FAILURES_MINUTES} minutes; wait, then use the code shown then")
    step = _matching_step(log.key, reviewer.name, reviewer.nonce, code, at)
    if step is None:
        failures.setdefault(reviewer.name, []).append(int(at.timestamp()))
        write_atomically(log.root / "wrong_codes.json", canonical(failures))
        raise IdentityRefusedError(f"{reviewer.name}: the code is wrong or too old; type the one your authenticator shows now")
    used = max((entry.body["proof"]["step"] for entry in entries if entry.by == reviewer.name and "step" in entry.body.get("proof", {})), default=0)
    if step <= used:
        raise IdentityRefusedError(f"{reviewer.name}: this code was used before; wait up to {STEP_SECONDS} seconds for the next one")
    return step


def _recent_failures(root: Path, at: datetime) -> dict[str, list[int]]:
    path = root / "wrong_codes.json"
    known: dict[str, list[int]] = json.loads(path.read_bytes()) if path.exists() else {}
    since = int((at - timedelta(minutes=FAILURES_MINUTES)).timestamp())
    recent = {name: [moment for moment in moments if moment > since] for name, moments in known.items()}
    return {name: moments for name, moments in recent.items() if moments}


def _check_bootstrap(entries: Sequence[Entry], *, is_bootstrap: bool) -> None:
    known = known_reviewers(entries)
    if is_bootstrap and len(known) >= BOOTSTRAPPED_MAX:
        raise DecisionRefusedError(f"{len(known)} reviewers are known, so an enrollment takes the approval of one of: {', '.join(active_names(entries))}")
    if not is_bootstrap and not active_names(entries):
        raise DecisionRefusedError("there is no reviewer yet who could approve an enrollment; the first two enroll themselves with --first")


def _enrollment_body(name: str, method: Method, nonce: str, *, is_bootstrap: bool) -> dict[str, Any]:
    needs_second = "" if is_bootstrap else "another reviewer approves an enrollment"
    return {"reviewer": name, "method": method, "nonce": nonce, "is_bootstrap": is_bootstrap, "needs_second": needs_second}


def _enrolled(entry: Entry, *, approved_by: str) -> Reviewer:
    body = entry.body
    return Reviewer(body["reviewer"], body["method"], body["nonce"], body["proof"].get("header", ""), entry.at, approved_by, is_active=True)


def _secret(key: str, name: str, nonce: str) -> str:
    return b32encode(hmac.new(derive_key(key, "one-time-code"), f"{name}|{nonce}".encode(), hashlib.sha256).digest()[:20]).decode()


def _matching_step(key: str, name: str, nonce: str, code: str, at: datetime) -> int | None:
    """Return the step of 30 seconds a code belongs to, the latest first, or None."""
    generator = pyotp.HOTP(_secret(key, name, nonce))
    now = int(at.timestamp()) // STEP_SECONDS
    given = code.replace(" ", "").encode()
    for step in range(now + STEPS_AROUND, now - STEPS_AROUND - 1, -1):
        if hmac.compare_digest(generator.at(step).encode(), given):
            return step
    return None


def _session_mark(key: str, entry: Entry) -> str:
    return hmac.new(derive_key(key, "session"), f"{entry.number}|{entry.digest}".encode(), hashlib.sha256).hexdigest()
