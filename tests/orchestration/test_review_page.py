"""The review page as a person uses it: forms and links only, on a small company's first month."""

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import polars as pl
import pyotp
import pytest
import xlsxwriter
from starlette.applications import Starlette
from starlette.routing import Mount

from reconciliation.config import read_settings
from reconciliation.connectors.tabular.cells import open_grids
from reconciliation.keeper import MonthKeeper
from reconciliation.review.controls import settings_in_force
from reconciliation.review.desk import Desk
from reconciliation.review.filters import Filters, filter_cases
from reconciliation.review.page.app import READ, WRITE, build_app
from reconciliation.review.page.rendering import render, show_case
from reconciliation.review.queue import list_root_causes
from reconciliation.review.reviewers import begin_enrollment, enroll
from reconciliation.review.spreadsheet import OWN_COLUMNS, read_filled, take_signed, write_review
from tests.office import KEY, START
from tests.visitor import Answer, Visitor, served

PERIOD = "2026-08"
ORCHESTRATOR = re.compile(r"\b(asset|assets|partition|partitions|materializ\w+|dagster|op|launchpad)\b", re.IGNORECASE)


@dataclass
class Office:
    """The page, a clock that tests turn, and reviewers with their phones."""

    desk: Desk
    base: str
    phones: dict[str, pyotp.TOTP]
    clock: list[datetime]

    def later(self, **span: float) -> None:
        self.clock[0] += timedelta(**(span or {"seconds": 61}))

    def code(self, name: str) -> str:
        self.later()
        return self.phones[name].at(self.clock[0])

    def visitor(self, name: str) -> Visitor:
        visitor = Visitor(self.base)
        page = visitor.get("/review/")
        answer = visitor.send(page.form("/sign-in"), reviewer=name, code=self.code(name))
        assert answer.status == 200, answer.words
        return visitor

    def cases(self, tab: str = "all") -> pl.DataFrame:
        return filter_cases(self.desk.view(PERIOD).cases, Filters(tab=tab), reviewer="anna", materiality_minor=2500)

    def decided(self) -> list[str]:
        return [entry.kind for entry in self.desk.log.entries() if entry.kind not in ("enroll", "session", "sign_out")]


@contextmanager
def open_office(config: Path) -> Iterator[Office]:
    clock = [START]
    desk = Desk(lambda: read_settings(config), lambda: clock[0], MonthKeeper(lambda: read_settings(config)))
    office = Office(desk, "", {}, clock)
    for name in ("anna", "ben"):
        enrollment = begin_enrollment(KEY, name, issuer="Example Ltd")
        office.phones[name] = pyotp.parse_uri(enrollment.uri)
        enroll(desk.log, enrollment, code=office.code(name), at=clock[0], is_bootstrap=True)
    with served(Starlette(routes=[Mount("/review", app=build_app(desk))])) as office.base:
        yield office


@pytest.fixture
def office(busy, tmp_path, monkeypatch) -> Iterator[Office]:
    monkeypatch.setenv("RECONCILIATION_REVIEW_KEY", KEY)

    folder = tmp_path / "company"
    shutil.copytree(busy.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".dagster"))
    config = folder / "reconciliation.toml"
    config.write_text(config.read_text().replace("[review]", '[review]\nfour_eyes_above = "500.00"'))
    with open_office(config) as made:
        yield made


def rows(answer: Answer) -> list[str]:
    return re.findall(r'name="pick" value="([^"]+)"', answer.text)


def test_reading_takes_a_session_and_every_answer_has_strict_headers(office):
    stranger = Visitor(office.base)
    for path in READ:
        answer = stranger.get("/review" + path.format(break_id="br_1", digest="0" * 64, name="manifest.json"))
        assert "/sign-in" in answer.address
        assert "One-time code" in answer.words
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert (answer.headers["x-frame-options"], answer.headers["cache-control"]) == ("DENY", "no-store")
    for path in WRITE:
        assert "/sign-in" in stranger.post("/review" + path, {"pick": "br_1:0"}).address
    assert office.decided() == []


def test_a_wrong_or_used_code_opens_nothing(office):
    visitor = Visitor(office.base)
    page = visitor.get("/review/")
    assert visitor.send(page.form("/sign-in"), reviewer="anna", code="000000").status == 403
    code = office.code("anna")
    assert visitor.send(page.form("/sign-in"), reviewer="anna", code=code).status == 200
    assert Visitor(office.base).send(page.form("/sign-in"), reviewer="anna", code=code).status == 403


def test_the_queue_lists_every_case_most_money_at_risk_first(office):
    answer = office.visitor("anna").get("/review/?tab=all")
    cases = office.cases()
    assert [pick.partition(":")[0] for pick in rows(answer)] == cases["break_id"].to_list()
    assert cases["money_at_risk_minor"].to_list() == sorted(cases["money_at_risk_minor"], reverse=True)
    assert list_root_causes(cases)["cases"].sum() == cases.height == office.desk.view(PERIOD).cases.height


def test_an_amount_typed_as_a_number_finds_its_case(office):
    visitor = office.visitor("anna")
    for row in office.cases().head(8).to_dicts():
        size = abs(row["amount_minor"])
        typed = f"{size // 100}.{size % 100 // 10}"
        assert row["break_id"] in visitor.get(f"/review/?tab=all&q={typed}").text


def test_one_case_is_decided_is_gone_and_comes_back_when_undone(office):
    visitor = office.visitor("anna")
    small = next(row for row in office.cases().to_dicts() if abs(row["amount_minor"]) < 40_000 and row["cause"] == "timing")
    case = visitor.get(f"/review/case/{small['break_id']}")
    assert all(word in case.words for word in ("Stripe", "Ledger", "Bank", "Why", "The entry it would create", "What happened"))
    done = visitor.send(case.form("/decide"), do="accept", reason="Posted on the second.")
    assert "anna accepted the explanation of 1 case" in done.words
    assert small["break_id"] not in office.cases()["break_id"].to_list()
    assert office.cases("decided")["decision_reason"].to_list() == ["Posted on the second."]
    back = visitor.send(done.form("/undo"))
    assert "undid entry" in back.words
    assert small["break_id"] in office.cases()["break_id"].to_list()
    assert office.decided() == ["accept", "undo"]


def test_totals_stand_before_a_decision_about_many(office):
    visitor = office.visitor("anna")
    queue = visitor.get("/review/?tab=all&cause=timing")
    chosen = rows(queue)[:4]
    form = queue.form("/confirm")
    confirm = visitor.post(form.action, [*form.fields, *(("pick", pick) for pick in chosen), ("do", "accept")])
    amounts = office.cases().filter(pl.col("break_id").is_in([pick.partition(":")[0] for pick in chosen]))["amount_minor"]
    net, gross = (f"{abs(total) // 100:,}.{abs(total) % 100:02d}" for total in (int(amounts.sum()), int(amounts.abs().sum())))
    assert f"4 cases, {'−' if amounts.sum() < 0 else ''}{net} GBP net, {gross} gross" in confirm.words
    assert office.decided() == []
    visitor.send(confirm.form("/decide"), reason="All posted in the first days of September.")
    assert office.decided() == ["accept"]
    assert len(office.desk.log.entries()[-1].body["shown"]) == 4


def test_a_root_cause_is_decided_as_a_whole(office):
    visitor = office.visitor("anna")
    roots = visitor.get("/review/?tab=root")
    before = office.cases()
    confirm = visitor.send(roots.form("/confirm", 0))
    picked = [value for name, value in confirm.form("/decide").fields if name == "pick"]
    assert len(picked) == list_root_causes(before)["cases"][0]


@pytest.mark.parametrize("how", ["no token", "another token", "another origin", "another site"])
def test_a_form_from_elsewhere_does_nothing(office, how):
    visitor = office.visitor("anna")
    form = visitor.get(f"/review/case/{office.cases()['break_id'][0]}").form("/decide")
    fields = dict(form.fields) | {"do": "accept", "reason": "x"}
    headers = {"another origin": {"Origin": "https://evil.example"}, "another site": {"Sec_Fetch_Site": "cross-site"}}.get(how, {})
    if how == "no token":
        del fields["token"]
    if how == "another token":
        fields["token"] = "0" * 64
    answer = visitor.post(form.action, fields, **headers)
    assert answer.status == 403
    assert office.decided() == []


def test_what_changed_meanwhile_is_refused(office):
    anna, ben = office.visitor("anna"), office.visitor("ben")
    address = f"/review/case/{office.cases('root').filter(pl.col('cause') == 'timing')['break_id'][-1]}"
    hers, his = anna.get(address).form("/decide"), ben.get(address).form("/decide")
    assert anna.send(hers, do="accept", reason="first").status == 200
    refused = ben.send(his, do="carry_forward", reason="second")
    assert refused.status == 409
    assert "what was shown has changed" in refused.words
    assert office.decided() == ["accept"]


def test_above_the_limit_a_second_person_approves_with_a_fresh_code(office):
    anna, ben = office.visitor("anna"), office.visitor("ben")
    large = office.cases().filter((pl.col("amount_minor").abs() > 50_000) & (pl.col("cause") != "undetermined"))["break_id"][0]
    case = anna.get(f"/review/case/{large}")
    waits = anna.send(case.form("/decide"), do="accept", reason="In transit.")
    assert "waits for a second person" in waits.words
    assert office.cases("second")["break_id"].to_list() == [large]
    assert "Approve" not in anna.get(f"/review/case/{large}").words
    form = ben.get(f"/review/case/{large}").form("/decide")
    assert "fresh one-time code" in ben.send(form, button=("do", "approve")).words
    approved = ben.send(form, button=("do", "approve"), code=office.code("ben"))
    assert "approved entry" in approved.words
    assert office.decided() == ["accept", "approve"]
    assert large in office.cases("decided")["break_id"].to_list()


def test_after_half_an_hour_the_next_decision_takes_a_code_and_then_none(office):
    visitor = office.visitor("anna")
    office.later(minutes=31)
    ids = office.cases().filter((pl.col("cause") == "timing") & (pl.col("amount_minor").abs() < 40_000))["break_id"].to_list()[:2]
    form = visitor.get(f"/review/case/{ids[0]}").form("/decide")
    assert "type the one-time code" in visitor.send(form, do="accept", reason="x", code="").words
    assert office.decided() == []
    assert visitor.send(form, do="accept", reason="x", code=office.code("anna")).status == 200
    assert visitor.send(visitor.get(f"/review/case/{ids[1]}").form("/decide"), do="accept", reason="x").status == 200
    assert office.decided() == ["accept", "accept"]


def test_a_note_with_evidence_is_kept_and_given_back(office):
    visitor = office.visitor("anna")
    address = f"/review/case/{office.cases()['break_id'][0]}"
    visitor.upload(visitor.get(address).form("/comment"), [("../../mail <b>.txt", b"as agreed")], note="See the customer's mail.")
    case = visitor.get(address)
    assert "See the customer's mail." in unescape(case.words)
    link = re.search(r'href="(/review/evidence/[0-9a-f]{64})"', case.text)
    given = visitor.get(link[1])
    assert given.content == b"as agreed"
    assert given.headers["content-disposition"].startswith("attachment")
    assert visitor.get("/review/evidence/" + "0" * 64).status == 400


def test_a_match_by_hand_and_taking_one_apart_end_in_the_log(office):
    visitor = office.visitor("anna")
    view = office.desk.view(PERIOD)
    month = view.months["main"]
    matched = month.members.filter(pl.col("strategy") == "exact_reference")["match_id"][0]
    item = month.members.filter(pl.col("match_id") == matched).join(month.items, on=["leg", "item_id"]).filter(pl.col("side") == "stripe").row(0, named=True)
    case = visitor.get(f"/review/case/{office.cases()['break_id'][0]}")
    token = dict(case.form("/comment").fields)["token"]
    answer = visitor.post("/review/unmatch", {"token": token, "month": PERIOD, "match": matched, "reason": "Another customer's.", "back": "/review/"})
    assert "took apart a match" in answer.words, item
    assert office.decided() == ["unmatch"]


def test_a_month_is_certified_locked_and_reopened_on_the_page(office):
    anna, ben = office.visitor("anna"), office.visitor("ben")
    page = anna.get(f"/review/close?month={PERIOD}")
    assert "certified the package of August 2026 as preparer" in anna.send(page.form("/certify"), code=office.code("anna")).words
    again = anna.get(f"/review/close?month={PERIOD}")
    assert "/certify" not in again.text
    assert "certified as preparer by anna already" in anna.send(page.form("/certify"), code=office.code("anna")).words
    forced = dict(page.form("/certify").fields) | {"role": "reviewer", "code": office.code("anna")}
    assert "another reviewer certifies" in anna.post("/review/certify", forced).words
    assert ben.send(ben.get(f"/review/close?month={PERIOD}").form("/certify"), code=office.code("ben")).status == 200
    locked = ben.send(ben.get(f"/review/close?month={PERIOD}").form("/lock"), button=("do", "lock"))
    assert "its figures never change" in locked.words
    folder = office.desk.settings.path(office.desk.settings.close.folder) / PERIOD
    assert (folder / "latest").resolve().name == "v1"

    asked = anna.send(locked_page(anna).form("/unlock"), reason="A late sale.", code=office.code("anna"))
    assert "Somebody else approves it" in asked.words
    mine = dict(locked_page(ben).form("/answer").fields) | {
        "token": dict(asked.form("/sign-out").fields)["token"],
        "do": "approve",
        "code": office.code("anna"),
    }
    assert "another reviewer approves it" in anna.post("/review/answer", mine).words
    assert ben.send(locked_page(ben).form("/answer"), button=("do", "approve"), code=office.code("ben")).status == 200
    assert "Lock open." in ben.send(locked_page(ben).form("/lock"), button=("do", "reopen")).words
    assert office.decided() == ["certify", "certify", "unlock", "approve"]


def locked_page(visitor: Visitor) -> Answer:
    return visitor.get(f"/review/close?month={PERIOD}")


def test_the_package_is_fetched_from_the_page(office):
    visitor = office.visitor("anna")
    folder = office.desk.settings.path(office.desk.settings.close.folder) / PERIOD / "latest"
    assert visitor.get(f"/review/package/statement.csv?month={PERIOD}").content == (folder / "statement.csv").read_bytes()
    with zipfile.ZipFile(io.BytesIO(visitor.get(f"/review/package/package.zip?month={PERIOD}").content)) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {path.name: path.read_bytes() for path in folder.iterdir()}
    report = visitor.get(f"/review/package/report.html?month={PERIOD}")
    assert "sandbox" in report.headers["content-security-policy"]
    assert "script-src" not in report.headers["content-security-policy"]
    for name in ("..%2Fmanifest.json", "reconciliation.toml", "%2Fetc%2Fpasswd"):
        assert visitor.get(f"/review/package/{name}?month={PERIOD}").status in (400, 404)


def test_a_looser_setting_counts_when_a_second_person_has_approved_it_on_the_page(office):
    anna, ben = office.visitor("anna"), office.visitor("ben")
    config = office.desk.settings.folder / "reconciliation.toml"
    config.write_text(config.read_text().replace('materiality = "25.00"', 'materiality = "90.00"'))
    page = anna.get(f"/review/close?month={PERIOD}")
    assert "close.materiality : the file says 90.00, in force is 25.00" in page.words
    anna.send(page.form("/settings"), reason="Agreed with the auditor.", code=office.code("anna"))
    assert settings_in_force(office.desk.settings, office.desk.log.entries()).close.materiality == "25.00"
    ben.send(ben.get(f"/review/close?month={PERIOD}").form("/answer"), button=("do", "approve"), code=office.code("ben"))
    assert settings_in_force(office.desk.settings, office.desk.log.entries()).close.materiality == "90.00"


def test_no_page_speaks_of_the_orchestrator_or_probabilities(office):
    visitor = office.visitor("anna")
    visitor.send(visitor.get(f"/review/case/{office.cases()['break_id'][-1]}").form("/decide"), do="carry_forward", reason="x")
    for path in ["/?tab=root", "/?tab=all", "/?tab=second", "/files", "/log", "/help", "/close", f"/case/{office.cases()['break_id'][0]}"]:
        words = visitor.get("/review" + path).words
        assert not ORCHESTRATOR.search(words), ORCHESTRATOR.search(words)
        assert "calibrated" not in words


def test_hostile_text_stays_text(office):
    row = office.cases().row(0, named=True) | {"counterparty": "<script>alert(1)</script>", "reference": '"><img src=x onerror=alert(1)>'}
    page = render("confirm.html", {
        "entity": "A & B", "hidden": lambda: "", "notice": None, "action": None, "sums": [], "remarks": ["<b>"], "period": PERIOD, "view": "", "back": "/review/",
        "picks": ["br:1"], "actions": [], "preset": "", "causes": [], "reason": "'\"<", "needs_reason": False, "needs_code": False, "total_line": "", "left_out": 0,
        "cases": [show_case(row)], "periods": [], "here": "", "owed": 0, "figures": [], "through": "", "reviewer": "<i>", "minutes_left": None,
    })  # fmt: skip
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<i>" not in page


def test_uploads_are_checked_as_the_inbox_is_and_what_is_refused_is_not_kept(office):
    visitor = office.visitor("anna")
    settings = office.desk.settings
    inbox = settings.path(settings.ledger.inbox)
    good = next(inbox.rglob("*.csv"))
    content = good.read_bytes()
    form = visitor.get("/review/files").form("/upload")
    assert "Is there already" in visitor.upload(form, [("again.csv", content)]).words
    good.unlink()
    answer = visitor.upload(form, [("../../../evil.csv", content), ("cut.csv", content[: len(content) // 2] + b'"'), ("tool.exe", b"MZ")])
    assert "Kept." in answer.words
    assert answer.words.count("Refused, and not kept") == 2
    assert [path.name for path in inbox.rglob("*") if path.is_file()] == ["evil.csv"]
    assert (inbox / "evil.csv").read_bytes() == content


def fill(content: bytes, decide) -> bytes:
    """Fill in a spreadsheet as a person would: `decide` gets a row as a dictionary and returns what to change."""
    sheets = {grid.file.rpartition("!")[2]: grid.head(delimiter="", count=10_000) for grid in open_grids("review.xlsx", content)}
    from io import BytesIO

    buffer = BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    for title, table in sheets.items():
        sheet = book.add_worksheet(title)
        for number, cells in enumerate(table):
            row = dict(zip(table[0], cells, strict=True)) if title == "Review" else {}
            changed = {**row, **decide(row)} if title == "Review" and number else row
            for index, cell in enumerate(changed.values() if changed else cells):
                sheet.write_string(number, index, cell)
    book.close()
    return buffer.getvalue()


def test_a_spreadsheet_comes_back_row_by_row(office):
    visitor = office.visitor("anna")
    exported = visitor.get(f"/review/review.xlsx?month={PERIOD}&tab=all&cause=timing").content
    period, filled, blank = read_filled("review.xlsx", exported)
    cases = office.cases().filter(pl.col("cause") == "timing")
    assert (period, filled, blank) == (PERIOD, [], cases.height)
    form = visitor.get("/review/files").form("/import")
    assert "0 rows taken" in visitor.upload(form, [("review.xlsx", exported)]).words
    gone = cases["break_id"][0]
    visitor.send(visitor.get(f"/review/case/{gone}").form("/decide"), do="accept", reason="Meanwhile.")
    small = cases.filter(pl.col("amount_minor").abs() < 20_000)["break_id"].to_list()

    def decide(row):
        break_id = row["key"].split("|")[1]
        if break_id in (gone, *small[:3]):
            return {"decision": "Accept explanation", "reason": "=HYPERLINK(1)"}
        return {"decision": "Nonsense"} if break_id == small[3] else {}

    answer = visitor.upload(form, [("review.xlsx", fill(exported, decide))])
    taken = len({*small[:3]} - {gone})
    assert f"{taken} rows taken as 1 entries, {2 - (gone == small[3])} refused" in answer.words
    assert "decided meanwhile" in answer.words
    assert "is no decision" in answer.words
    assert office.decided() == ["accept", "accept"]
    assert set(OWN_COLUMNS) <= set(open_grids("r.xlsx", exported)[0].head(delimiter="", count=1)[0])


def test_a_signed_spreadsheet_of_the_inbox_is_taken_and_an_unsigned_one_waits(office):
    view = office.desk.view(PERIOD)
    cases = office.cases().filter((pl.col("cause") == "timing") & (pl.col("amount_minor").abs() < 20_000)).head(2)
    digests = view.digests(cases["break_id"])
    content = write_review(cases, digests, entity="Example Ltd", period=PERIOD)
    assert content == write_review(cases, digests, entity="Example Ltd", period=PERIOD)
    settings = office.desk.settings
    inbox = settings.path(settings.review.inbox)
    inbox.mkdir(parents=True)
    (inbox / "filled.xlsx").write_bytes(fill(content, lambda row: {"decision": "Carry forward", "reason": "Clears in September."}))
    assert list(take_signed(office.desk, [inbox / "filled.xlsx"])) == []
    visitor = office.visitor("ben")
    page = visitor.get("/review/files")
    assert "filled.xlsx lies in the inbox" in page.words
    taken = visitor.send(page.form("/import", 1))
    assert "2 rows taken as 1 entries" in taken.words
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["filled-result.xlsx", "filled.xlsx"]
    assert office.desk.log.entries()[-1].by == "ben"
