"""The workbook and the report of a package: formulas that re-add it, texts that stay texts, the same bytes twice, no network."""

import base64
import html
import re
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from reconciliation.classifier.policy import Certificate, Limits, Proofs, decide_dispositions
from reconciliation.close import package, report, show, workbook
from reconciliation.close.manifest import combine
from reconciliation.close.records import Records
from reconciliation.months import month_scope, read_state

sys.path.insert(0, str(Path(__file__).parent))
from erp_systems import golden_postings
from test_journals_return import GOLDEN, OPENING, Company

PAYLOADS = [
    f"{start}{rest}"
    for start in ("=", "+", "-", "@", "\t=", "＝", "{=", "'=")
    for rest in ("1+1", "cmd|' /C calc'!A0", 'HYPERLINK("http://x","y")', "SUM(A1:A9)", "IMPORTXML(A1)", "A1", 'WEBSERVICE("x")', "2*3", "DDE(1)", "NOW()", "INFO(1)", "T(1)", "N(1)")
]  # fmt: skip


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """October of the worked months as the package shows it."""
    company = Company(tmp_path_factory.mktemp("october"), "netsuite")
    company.run("2026-10", (golden_postings((GOLDEN / "ledger" / "2026-10_first.csv").read_bytes()), OPENING))
    state = read_state(company.lake, month_scope("main", "2026-10"))
    caught = []
    package.package_files([state], combine([state.facts]), Records(), company.settings, show=lambda told: caught.append(told) or {})
    return caught[0]


def sheets(book):
    """Return tab -> {cell: (formula or None, value)} of a workbook's bytes."""
    with zipfile.ZipFile(BytesIO(book)) as archive:
        names = re.findall(r'<sheet name="([^"]+)"', archive.read("xl/workbook.xml").decode())
        shared = re.findall(r"<si>(.*?)</si>", archive.read("xl/sharedStrings.xml").decode(), re.DOTALL)
        texts = ["".join(re.findall(r"<t[^>]*>(.*?)</t>", item, re.DOTALL)) for item in shared]
        found = {}
        for number, name in enumerate(names, start=1):
            cells = {}
            page = archive.read(f"xl/worksheets/sheet{number}.xml").decode()
            for place, attributes, inner in re.findall(r'<c r="([A-Z]+\d+)"([^>]*?)(?:/>|>(.*?)</c>)', page, re.DOTALL):
                formula, value = (re.search(f"<{tag}[^>]*>(.*?)</{tag}>", inner, re.DOTALL) for tag in ("f", "v"))
                text = value.group(1) if value else ""
                cells[place] = (formula.group(1) if formula else None, texts[int(text)] if 't="s"' in attributes else text)
            found[name] = cells
        return found


def test_the_tabs_stand_in_the_order_in_which_a_controller_reads(content):
    assert list(sheets(workbook.make_workbook(content))) == [
        "Summary", "Bridge", "Roll-forward", "Open items", "Payouts", "Exceptions", "Accepted", "Disputes and reserves", "Fees", "Journals", "Controls and inputs",
        "Decisions", "Matches", "Definitions",
    ]  # fmt: skip


def test_the_same_content_gives_the_same_bytes(content):
    assert workbook.make_workbook(content) == workbook.make_workbook(content)
    assert report.make_report(content) == report.make_report(content)


def test_every_formula_comes_to_the_value_that_is_stored_with_it(content, tmp_path):
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed: apt install libreoffice-calc")
    book = workbook.make_workbook(content)
    stored = sheets(book)
    bare = tmp_path / "bare.xlsx"
    with zipfile.ZipFile(BytesIO(book)) as source, zipfile.ZipFile(bare, "w") as target:
        for name in source.namelist():
            page = source.read(name)
            target.writestr(name, re.sub(rb"</f><v>[^<]*</v>", b"</f>", page) if "/worksheets/" in name else page)
    command = [
        "soffice",
        f"-env:UserInstallation=file://{tmp_path}/profile",
        "--headless",
        "--convert-to",
        "xlsx:Calc MS Excel 2007 XML",
        "--outdir",
        tmp_path / "out",
        bare,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=150)
    computed = sheets((tmp_path / "out" / "bare.xlsx").read_bytes())
    checks = 0
    for name, cells in stored.items():
        for place, (formula, value) in cells.items():
            if formula is None:
                continue
            again = computed[name][place][1]
            assert abs(float(again) - float(value)) < 0.005, f"{name}!{place} ={formula}: stored {value}, LibreOffice {again}"
            if formula.startswith("ROUND("):
                checks += 1
                assert float(again) == 0, f"{name}!{place} ={formula} is {again}"
    assert checks >= 15


def test_the_summary_states_the_worked_month(content):
    cells = sheets(workbook.make_workbook(content))["Summary"]
    labels = {value: re.sub("[A-Z]", "", place) for place, (_, value) in cells.items() if place.startswith("A")}
    closing = labels["closing balance"]
    assert [float(cells[f"{column}{closing}"][1]) for column in "CDF"] == [203.91, 2022.2, -1818.29]
    assert float(cells[f"F{labels['unexplained']}"][1]) == 0
    assert float(cells[f"F{labels['in transit closing']}"][1]) == 736


def test_a_text_that_looks_like_a_formula_stays_a_text_and_a_number_stays_a_number(content):
    assert len(PAYLOADS) >= 100
    items = content.table("open_items.csv")
    many = pl.concat([items.head(1)] * len(PAYLOADS)).with_columns(
        description=pl.Series(PAYLOADS),
        counterparty=pl.Series(PAYLOADS),
        reference=pl.Series(PAYLOADS),
        item_id=pl.Series([f"txn_{n}" for n in range(len(PAYLOADS))]),
    )
    hostile = type(content)({**content.tables, "open_items.csv": many}, content.money, content.manifest)
    cells = sheets(workbook.make_workbook(hostile))["Open items"]
    seen = {value for formula, value in cells.values() if formula is None}
    unescaped = {text.replace("&quot;", '"').replace("&amp;", "&") for text in seen}
    assert {payload.strip("\t") for payload in PAYLOADS} <= {text.strip("\t") for text in unescaped}
    assert all(formula.startswith(("SUBTOTAL(109,", "SUMIFS(")) for formula, _ in cells.values() if formula)
    amounts = [value for place, (_, value) in cells.items() if re.fullmatch(r"J\d+", place) and int(place[1:]) > 4]
    assert len(amounts) == len(PAYLOADS)
    assert all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in amounts)


def test_the_largest_rows_are_kept_and_the_csv_is_named(content, monkeypatch):
    from reconciliation.close import sheet

    monkeypatch.setattr(sheet, "ROWS_MAX", 3)
    cells = sheets(workbook.make_workbook(content))["Open items"]
    assert cells["A2"][1] == "the 3 largest of 8 rows; all of them in open_items.csv"


def test_the_report_needs_no_network_and_shows_the_figures_as_text(content):
    page = report.make_report(content).decode()
    assert not re.findall(r"<(?:script|link|iframe|object|embed)\b|@import|url\(", page)
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) >= 5
    for source in sources:
        kind, _, picture = source.partition("base64,")
        assert kind == "data:image/svg+xml;"
        svg = base64.b64decode(picture).decode()
        assert svg.startswith("<svg")
        assert "href=" not in svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    for figure in ("203.91", "2,022.20", "-1,818.29", "736.00"):
        assert figure in page


def test_the_report_prints_both_bounds_and_which_acted(content):
    judged = pl.DataFrame(
        {
            "break_id": ["b1", "b2"],
            "kind": "missing_in_ledger",
            "cause": "timing",
            "exposure_minor": [10, 20],
            "currency": "GBP",
            "probability_true_exception": [0.001, 0.9],
        }
    )
    simulated = Certificate("simulated", 0.01, 2_000, 4, 0.99, 0.99, 0.95, "w", companies=60, companies_below=1)
    audited = Certificate("audited", 0.02, 300, 0, 0.99, 0.99, 0.95, "w")
    limits = Limits("autonomous", 0.99, {"GBP": 2_500}, {"GBP": 100_000})
    clearing = decide_dispositions(judged, limits=limits, proofs=Proofs(simulated, audited)).to_json()
    manifest = {**content.manifest, "books": [{**book, "clearing": clearing} for book in content.manifest["books"]]}
    page = html.unescape(report.make_report(type(content)(content.tables, content.money, manifest)).decode())
    assert "Of 2 breaks that the policy looked at 1 accepted; 0 proposed, for a person to confirm; 1 left to a person." in page
    assert "Accepted without a person on the audited certificate" in page
    assert "simulated at least 99.00% in 90% of companies at 95% confidence (n = 2,000, 4 missed; 60 companies, 1 below)" in page
    assert "audited at least 99.00% at 95% confidence (n = 300, 0 missed)" in page


def test_a_name_from_outside_cannot_become_markup(content):
    frame = content.table("exceptions.csv").with_columns(reference=pl.lit("<script>alert(1)</script>"))
    page = report.make_report(type(content)({**content.tables, "exceptions.csv": frame}, content.money, content.manifest)).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_draft_and_the_version_locked_from_it_are_shown_once(content):
    assert show.show_package(content)["workbook.xlsx"] is show.show_package(content)["workbook.xlsx"]
