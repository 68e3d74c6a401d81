from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from reconciliation.errors import DecisionRefusedError, IdentityRefusedError
from reconciliation.review.log import DecisionLog, Draft
from reconciliation.review.reviewers import (
    OneTimeCode,
    ProxyIdentity,
    SessionToken,
    active_names,
    begin_enrollment,
    close_session,
    enroll,
    enroll_by_proxy,
    open_session,
    prove,
    revoke,
    session_owner,
)

KEY = "k" * 40
NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


class Phone:
    """A reviewer's authenticator: it has seen the QR code and nothing else."""

    def __init__(self, log, name):
        self.enrollment = begin_enrollment(log.key, name, issuer="Example Ltd")
        self.generator = pyotp.parse_uri(self.enrollment.uri)

    def code(self, at):
        return self.generator.at(at)


@pytest.fixture
def log(tmp_path):
    return DecisionLog(tmp_path / "review", KEY)


@pytest.fixture
def anna(log):
    phone = Phone(log, "anna")
    enroll(log, phone.enrollment, code=phone.code(NOW), at=NOW, is_bootstrap=True)
    return phone


@pytest.fixture
def boris(log, anna):
    phone = Phone(log, "boris")
    enroll(log, phone.enrollment, code=phone.code(NOW), at=NOW, is_bootstrap=True)
    return phone


def proven(log, name, proof, at, *, is_fresh=True):
    """Prove within the log's lock, and write it down."""
    return log.append_made(lambda entries: Draft("comment", name, {"proof": prove(log, entries, name, proof, at=at, is_fresh=is_fresh)}), at=at)


def test_a_code_is_good_once(log, anna):
    at = after(60)
    proven(log, "anna", OneTimeCode(anna.code(at)), at)
    with pytest.raises(IdentityRefusedError, match="used before"):
        proven(log, "anna", OneTimeCode(anna.code(at)), at)
    proven(log, "anna", OneTimeCode(anna.code(after(120))), after(120))


def test_an_older_code_is_not_good_after_a_newer_one(log, anna):
    proven(log, "anna", OneTimeCode(anna.code(after(90))), after(75))
    with pytest.raises(IdentityRefusedError, match="used before"):
        proven(log, "anna", OneTimeCode(anna.code(after(60))), after(76))


def test_the_code_of_the_enrollment_is_used_up_by_it(log, anna):
    with pytest.raises(IdentityRefusedError, match="used before"):
        proven(log, "anna", OneTimeCode(anna.code(NOW)), NOW)


def test_a_wrong_code_and_five_of_them(log, anna):
    at = after(60)
    wrong = f"{(int(anna.code(at)) + 1) % 1_000_000:06d}"
    for _ in range(5):
        with pytest.raises(IdentityRefusedError, match="wrong or too old"):
            proven(log, "anna", OneTimeCode(wrong), at)
    with pytest.raises(IdentityRefusedError, match="5 wrong codes"):
        proven(log, "anna", OneTimeCode(anna.code(at)), at)
    proven(log, "anna", OneTimeCode(anna.code(after(700))), after(700))


@pytest.mark.parametrize("code", ["", "12345", "ü23456", "１２３４５６", "a" * 10_000])
def test_what_is_no_code_is_refused_and_not_a_crash(log, anna, code):
    with pytest.raises(IdentityRefusedError):
        proven(log, "anna", OneTimeCode(code), after(60))


def test_the_first_two_enroll_themselves_and_nobody_else(log, anna, boris):
    assert active_names(log.entries()) == ["anna", "boris"]
    phone = Phone(log, "carla")
    with pytest.raises(DecisionRefusedError, match="approval of one of: anna, boris"):
        enroll(log, phone.enrollment, code=phone.code(NOW), at=NOW, is_bootstrap=True)
    enroll(log, phone.enrollment, code=phone.code(NOW), at=NOW)
    assert active_names(log.entries()) == ["anna", "boris"]
    with pytest.raises(IdentityRefusedError, match="waits for another"):
        proven(log, "carla", OneTimeCode(phone.code(after(60))), after(60))


def test_the_first_must_ask_for_it(log):
    phone = Phone(log, "anna")
    with pytest.raises(DecisionRefusedError, match="--first"):
        enroll(log, phone.enrollment, code=phone.code(NOW), at=NOW)


def test_enrolling_needs_a_code_of_the_new_secret(log):
    phone, other = Phone(log, "anna"), Phone(log, "anna")
    with pytest.raises(IdentityRefusedError, match="scan the new QR code"):
        enroll(log, phone.enrollment, code=other.code(NOW), at=NOW, is_bootstrap=True)
    assert log.entries() == []


def test_the_log_holds_no_secret(log, anna):
    stored = b"".join(path.read_bytes() for path in log.root.rglob("*.json"))
    assert anna.generator.secret.encode() not in stored
    assert KEY.encode() not in stored


def test_a_session_prepares_and_does_not_approve(log, anna):
    _, token = open_session(log, "anna", OneTimeCode(anna.code(after(60))), at=after(60))
    assert session_owner(log, log.entries(), token, at=after(120)) == "anna"
    proven(log, "anna", token, after(120), is_fresh=False)
    with pytest.raises(IdentityRefusedError, match="fresh one-time code"):
        proven(log, "anna", token, after(120))
    with pytest.raises(IdentityRefusedError, match="has ended"):
        proven(log, "anna", token, after(60 + 1800), is_fresh=False)


def test_a_session_is_its_owners_alone_and_ends_with_signing_out(log, anna, boris):
    _, token = open_session(log, "anna", OneTimeCode(anna.code(after(60))), at=after(60))
    with pytest.raises(IdentityRefusedError, match="not a session of boris"):
        proven(log, "boris", token, after(70), is_fresh=False)
    with pytest.raises(IdentityRefusedError, match="no session"):
        proven(log, "anna", SessionToken(token.token[:-1] + ("0" if token.token[-1] != "0" else "1")), after(70), is_fresh=False)
    close_session(log, "anna", token, at=after(80))
    with pytest.raises(IdentityRefusedError, match="has ended"):
        proven(log, "anna", token, after(90), is_fresh=False)


def test_a_proxys_word_counts_for_those_enrolled_for_it_only(log, anna):
    enroll_by_proxy(log, "Dora@Example.com", header="X-Forwarded-User", at=NOW, is_bootstrap=True)
    proven(log, "dora@example.com", ProxyIdentity("dora@example.com", "X-Forwarded-User"), after(10))
    with pytest.raises(IdentityRefusedError):
        proven(log, "anna", ProxyIdentity("anna", "X-Forwarded-User"), after(20))
    with pytest.raises(IdentityRefusedError):
        proven(log, "dora@example.com", ProxyIdentity("anna", "X-Forwarded-User"), after(20))
    with pytest.raises(DecisionRefusedError, match="identity_header"):
        enroll_by_proxy(log, "emil", header="", at=NOW)


def test_a_revocation_waits_for_another_reviewer(log, anna, boris):
    revoke(log, "boris", by="anna", proof=OneTimeCode(anna.code(after(60))), reason="left the company", at=after(60))
    assert active_names(log.entries()) == ["anna", "boris"]
    with pytest.raises(DecisionRefusedError, match="there are: anna, boris"):
        revoke(log, "nobody", by="anna", proof=OneTimeCode(anna.code(after(120))), reason="x", at=after(120))


@pytest.mark.parametrize("name", ["", "a", "anna smith", "аnna", "../anna", "anna;boris", "=anna()"])
def test_names_that_could_be_taken_for_another_are_refused(log, name):
    with pytest.raises(DecisionRefusedError, match="no reviewer's name"):
        begin_enrollment(KEY, name, issuer="Example Ltd")


def test_the_qr_code_can_be_shown(log):
    enrollment = begin_enrollment(KEY, "Anna", issuer="Example Ltd")
    assert enrollment.name == "anna"
    assert enrollment.uri.startswith("otpauth://totp/Example%20Ltd:anna?secret=")
    assert len(enrollment.qr_text().splitlines()) > 15
    assert enrollment.qr_svg().startswith("<svg")
