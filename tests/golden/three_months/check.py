"""Re-add the three-month fixture from its inputs and compare with `expected/`. Standard library only."""

# ruff: noqa: E501

import csv
import json
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).resolve().parent
ZERO = Decimal("0.00")
GBP_ACCOUNT, EUR_ACCOUNT = "1050 Stripe Clearing", "1051 Stripe Clearing EUR"
STEPS = {  # step: month, ledger exports of the month, the step it carries in from, months locked before it
    "october_first": ("2026-10", ["2026-10_first"], None, []),
    "october_after_entries": ("2026-10", ["2026-10_final"], None, []),
    "november": ("2026-11", ["2026-11"], "october_after_entries", ["2026-10_late"]),
    "december": ("2026-12", ["2026-12", "2026-12_1051"], "november", []),
}
TOTALS = {  # stripe, ledger, difference, in transit (GBP)
    "october_first": ("203.91", "2022.20", "-1818.29", "736.00"),
    "october_after_entries": ("203.91", "215.91", "-12.00", "736.00"),
    "november": ("494.02", "306.00", "188.02", "0.00"),
    "december": ("100.00", "571.70", "-471.70", "471.70"),
}
NATURES = ["timing", "entry", "reclass", "correction", "claim", "restatement", ""]
MONTHS = {"Oct": "10", "Nov": "11", "Dec": "12"}
failures = 0


def check(name, holds, detail=""):
    global failures
    failures += not holds
    print(("OK    " if holds else "WRONG ") + name + (f": {detail}" if detail and not holds else ""))


def table(path):
    with open(HERE / path, encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def lines(name):
    return [json.loads(text) for text in (HERE / "stripe" / name).read_text(encoding="utf-8").splitlines()]


def money(text):
    return Decimal(text or "0.00")


def london(epoch):
    """London's calendar day; summer time ended on 25 October 2026 at 01:00 UTC."""
    utc = datetime.fromtimestamp(epoch, UTC)
    return (utc + timedelta(hours=1 if utc < datetime(2026, 10, 25, 1, tzinfo=UTC) else 0)).date().isoformat()


def ledger(name):
    rows = []
    for number, row in enumerate(table(f"ledger/{name}.csv"), 2):
        day, month, year = row["Date"].split("/")
        text, year_of_period = row["Period"].split()
        base = money(row["Debit"]) - money(row["Credit"])
        amount = money(row["Amount (Foreign Currency)"]) if "Amount (Foreign Currency)" in row else base
        rows.append(
            {
                "doc": row["Document Number"],
                "id": row["Internal ID"],
                "date": f"{year}-{month}-{day}",
                "account": row["Account"],
                "period": f"{year_of_period}-{MONTHS[text]}",
                "amount": amount,
                "base": base,
                "currency": row["Currency"],
                "revaluation": row["Type"] == "Currency Revaluation",
                "row": number,
                "file": f"ledger/{name}.csv",
                "raw": row,
            }
        )
    return rows


def total(rows, key="amount"):
    return sum((row[key] for row in rows), ZERO)


# --- Stripe objects -----------------------------------------------------------------------------------------------
transactions = {row["id"]: row for row in lines("balance_transactions.jsonl")}
payouts = {row["id"]: row for row in lines("payouts.jsonl")}
charges, refunds, disputes = lines("charges.jsonl"), lines("refunds.jsonl"), lines("disputes.jsonl")
members = json.loads((HERE / "stripe/payout_balance_transactions.json").read_text(encoding="utf-8"))
balance = json.loads((HERE / "stripe/balance.json").read_text(encoding="utf-8"))
components = {}
for row in transactions.values():
    parts = {"gross": row["amount"], "fee": -row["fee"]}
    for part, minor in parts.items():
        if minor or (part == "gross" and not any(parts.values())):
            components[f"{row['id']}/{part}"] = {
                "amount": Decimal(minor) / 100,
                "currency": row["currency"].upper(),
                "date": london(row["created"]),
                "line": f"{row['reporting_category']}.{part}",
            }
check("ids are unique", len(transactions) == len(lines("balance_transactions.jsonl")) and len(payouts) == len(lines("payouts.jsonl")))
check("net is amount minus fee", all(r["net"] == r["amount"] - r["fee"] for r in transactions.values()))
check("fee is the sum of fee_details", all(r["fee"] == sum(d["amount"] for d in r["fee_details"]) for r in transactions.values()))
check("components add to net", sum(c["amount"] for c in components.values()) * 100 == sum(r["net"] for r in transactions.values()))
check(
    "charges, refunds and disputes agree with their transactions",
    all(c["currency"] != transactions[c["balance_transaction"]]["currency"] or c["amount"] == transactions[c["balance_transaction"]]["amount"] for c in charges)
    and all(-r["amount"] == transactions[r["balance_transaction"]]["amount"] for r in refunds)
    and all(t == transactions[t["id"]] for d in disputes for t in d["balance_transactions"]),
)
sources = {o["id"] for o in [*charges, *refunds, *disputes, *payouts.values()]}
check("every source was given", all(r["source"] is None or r["source"] in sources for r in transactions.values()))
for payout in payouts.values():
    own = transactions[payout["balance_transaction"]]
    listed = [transactions[t] for t in members.get(payout["id"], [])]
    holds = own["amount"] == -payout["amount"] and bool(listed) == payout["automatic"]
    if listed:
        holds = holds and own in listed and sum(r["net"] for r in listed) == 0
    failure = transactions.get(payout["failure_balance_transaction"])
    check(
        f"{payout['id']} {Decimal(payout['amount']) / 100} equals its lines" if listed else f"{payout['id']} manual, no lines",
        holds and (failure is None or failure["amount"] == payout["amount"]),
    )
check("a transaction is in one payout at most", max(Counter(t for m in members.values() for t in m).values()) == 1)


def balance_at(day, currency, kinds):
    """Snapshot at the end of the story minus everything dated on or after `day`; risk_reserved is not in the snapshot."""
    now = sum(part["amount"] for key in ("available", "pending") for part in balance[key] if part["currency"] == currency)
    rows = [r for r in transactions.values() if r["currency"] == currency]
    later = sum(r["net"] for r in rows if r["balance_type"] == "payments" and london(r["created"]) >= day)
    reserved = sum(r["net"] for r in rows if r["balance_type"] == "risk_reserved" and london(r["created"]) < day)
    return Decimal((now - later) + (reserved if "risk_reserved" in kinds else 0)) / 100


ALL = ("payments", "risk_reserved")
for day, currency, kinds, wanted in (
    ("2026-09-01", "gbp", ALL, "0.00"),
    ("2026-10-01", "gbp", ALL, "500.00"),
    ("2026-11-01", "gbp", ALL, "203.91"),
    ("2026-12-01", "gbp", ALL, "494.02"),
    ("2027-01-01", "gbp", ("payments",), "0.00"),
    ("2027-01-01", "gbp", ALL, "100.00"),
    ("2026-12-01", "eur", ALL, "0.00"),
    ("2027-01-01", "eur", ALL, "985.00"),
):
    check(
        f"snapshot back to {day} {currency} {'+'.join(kinds)} = {wanted}",
        balance_at(day, currency, kinds) == Decimal(wanted),
        str(balance_at(day, currency, kinds)),
    )

# --- Ledger, trial balance, bank ----------------------------------------------------------------------------------
exports = {name: ledger(name) for name in ("2026-10_first", "2026-10_final", "2026-10_late", "2026-11", "2026-12", "2026-12_1051")}
for older, newer, added in (("2026-10_first", "2026-10_final", 6), ("2026-10_final", "2026-10_late", 1)):
    old, new = ({r["id"]: r["raw"] for r in exports[name]} for name in (older, newer))
    check(f"{newer} repeats {older} unchanged and adds {added}", all(new.get(k) == v for k, v in old.items()) and len(new) == len(old) + added)
check("document numbers are unique", max(Counter(r["doc"] for n in ("2026-10_late", "2026-11", "2026-12", "2026-12_1051") for r in exports[n]).values()) == 1)
trial = {step: {(r["account"], r["period"]): money(r["closing_balance"]) for r in table(f"balances/{step}.csv")} for step in STEPS}
locked = {(r["account"], r["period"]): money(r["closing_balance"]) for r in table("balances.csv")}
check("September trial balance 1312.00", all(t[GBP_ACCOUNT, "2026-09"] == Decimal("1312.00") for t in [*trial.values(), locked]))
for step, period, name, before in (
    ("october_first", "2026-10", "2026-10_first", "2026-09"),
    ("october_after_entries", "2026-10", "2026-10_final", "2026-09"),
    ("november", "2026-10", "2026-10_late", "2026-09"),
    ("november", "2026-11", "2026-11", "2026-10"),
    ("december", "2026-12", "2026-12", "2026-11"),
):
    check(f"ledger {name} moves the trial balance of {period}", trial[step][GBP_ACCOUNT, before] + total(exports[name]) == trial[step][GBP_ACCOUNT, period])
check("balances.csv as locked", [locked[GBP_ACCOUNT, f"2026-{m}"] for m in (10, 11, 12)] == [Decimal(v) for v in ("215.91", "306.00", "571.70")])
euro = exports["2026-12_1051"]
check("1051 closes at EUR 985.00", total(euro) == trial["december"][EUR_ACCOUNT, "2026-12"] == Decimal("985.00"))
check(
    "1051 carries GBP 837.25, revalued by 19.70 to 856.95",
    [r["base"] for r in euro] == [Decimal("837.25"), Decimal("19.70")] and total(euro, "base") == Decimal("856.95") and euro[1]["amount"] == 0,
)
bank, running = {}, Decimal("10000.00")
for month in ("2026-10", "2026-11", "2026-12", "2027-01"):
    for number, row in enumerate(table(f"bank/{month}.csv"), 2):
        running += money(row["amount"])
        check(f"bank {row['date']} balance {row['balance']}", running == money(row["balance"]))
        bank[f"bank/{month}.csv:{number}"] = {
            "amount": money(row["amount"]),
            "currency": row["currency"],
            "date": row["date"],
            "scope": "STRIPE" in row["description"],
        }
opening_items = table("opening_items.csv")
check(
    "opening items: po_0 in both legs",
    [(r["leg"], r["item_id"], r["amount"]) for r in opening_items] == [("books", "txn_po_0/gross", "-800.00"), ("cash", "po_0", "800.00")],
)
check("500.00 - 1312.00 = -800.00 (po_0) - 12.00", Decimal("500.00") - Decimal("1312.00") == components["txn_po_0/gross"]["amount"] + Decimal("-12.00"))

# --- Steps --------------------------------------------------------------------------------------------------------
RETURNS = {f"{p['id']}/returned": transactions[p["failure_balance_transaction"]] for p in payouts.values() if p["failure_balance_transaction"]}


def key(row):
    return row["leg"], row["side"], row["item"]


def carried_items(step):
    before = STEPS[step][2]
    if before:
        return {key(r): money(r["amount"]) for r in table(f"expected/{before}/open_items.csv")}
    items = {(r["leg"], r["side"], r["item_id"]): money(r["amount"]) for r in opening_items}
    items["books", "opening", "opening:1050"] = Decimal("500.00") - Decimal("1312.00") - components["txn_po_0/gross"]["amount"]
    return items


def new_items(step):
    month, names, _, late = STEPS[step]
    items = {("books", "stripe", k): c["amount"] for k, c in components.items() if c["date"][:7] == month}
    items |= {("cash", "stripe", p["id"]): Decimal(p["amount"]) / 100 for p in payouts.values() if london(p["created"])[:7] == month}
    items |= {("cash", "stripe", k): Decimal(-t["amount"]) / 100 for k, t in RETURNS.items() if london(t["created"])[:7] == month}
    items |= {("cash", "bank", k): b["amount"] for k, b in bank.items() if b["date"][:7] == month and b["scope"]}
    posted = {r["doc"]: r for n in names for r in exports[n] if not r["revaluation"]}
    seen = {r["doc"] for r in exports["2026-10_final"]}
    into_locked = {r["doc"]: r for n in late for r in exports[n] if r["doc"] not in seen}
    items |= {("books", "ledger", doc): r["amount"] for doc, r in {**posted, **into_locked}.items()}
    return items, posted, into_locked


for step, (month, names, before, _) in STEPS.items():
    expected_open, matches, statement = (table(f"expected/{step}/{f}.csv") for f in ("open_items", "matches", "statement"))
    carried, (new, posted, into_locked) = carried_items(step), new_items(step)
    # Set aside, and rows read = used + set aside.
    aside = table(f"expected/{step}/set_aside.csv")
    wanted_aside = {k for k, b in bank.items() if b["date"][:7] == month and not b["scope"]} | {
        f"{r['file']}:{r['row']}" for n in names for r in exports[n] if r["revaluation"]
    }
    check(
        f"{step}: rows set aside",
        {f"{r['source_file']}:{r['source_row']}" for r in aside} == wanted_aside
        and all(money(r["amount"]) == (bank[f"{r['source_file']}:{r['source_row']}"]["amount"] if r["side"] == "bank" else ZERO) for r in aside),
    )
    # Matches: differences become residuals.
    groups, residuals = defaultdict(list), {}
    for row in matches:
        groups[row["match"]].append(row)
    good = True
    for rows in groups.values():
        good &= len({(r["leg"], r["currency"]) for r in rows}) == 1
        sides = {r["side"] for r in rows}
        signed = sum((money(r["amount"]) if r["side"] not in ("ledger", "bank") else -money(r["amount"]) for r in rows), ZERO)
        good &= money(rows[0]["match_difference"]) == signed and (len(sides) > 1 or signed == 0)
        if signed:
            residuals["books", "residual", "residual:" + ";".join(r["item"] for r in rows)] = signed
    check(f"{step}: matches add up, one-sided ones cancel", good)
    population = {**carried, **new, **residuals}
    check(f"{step}: nothing carried in is new again", not (set(carried) & set(new)))
    used = [(key(r), money(r["amount"])) for r in matches] + [(key(r), money(r["amount"])) for r in expected_open]
    check(
        f"{step}: each item is matched or open, once, with its amount (laws 1 and 2)",
        len(used) == len(set(k for k, _ in used)) and dict(used) == population,
        str(set(population.items()) ^ set(used)),
    )
    if before:
        check(
            f"{step}: law 7, every item carried in is the one carried out before",
            set(carried) <= {k for k, _ in used} and all(dict(used)[k] == v for k, v in carried.items()),
        )
    # Rebuild the statement.
    first, next_first = f"{month}-01", {"2026-10": "2026-11-01", "2026-11": "2026-12-01", "2026-12": "2027-01-01"}[month]
    for currency in sorted({r["currency"] for r in statement}):
        account = GBP_ACCOUNT if currency == "GBP" else EUR_ACCOUNT
        part = [r for r in statement if r["currency"] == currency]
        ledger_open = (
            {"october_first": Decimal("1312.00"), "october_after_entries": Decimal("1312.00")}.get(step)
            if before is None
            else locked[account, {"2026-11": "2026-10", "2026-12": "2026-11"}[month]]
        )
        stripe_lines, ledger_lines = defaultdict(lambda: ZERO), defaultdict(lambda: ZERO)
        for c in components.values():
            if c["date"][:7] == month and c["currency"] == currency:
                stripe_lines[c["line"]] += c["amount"]
        residual_line = {}
        for earlier in ("october_first", "november", step):
            for row in table(f"expected/{earlier}/matches.csv"):
                if row["side"] == "stripe" and row["leg"] == "books":
                    residual_line.setdefault((earlier, row["match"]), []).append(row["item"])
        on_line = {}
        for (_, _), items in residual_line.items():
            largest = max(items, key=lambda i: abs(components[i]["amount"]))
            for item in items:
                on_line[item] = components[largest]["line"]
        placed = set()
        for rows in groups.values():
            docs = [r for r in rows if r["side"] == "ledger" and r["currency"] == currency]
            comps = [r for r in rows if r["side"] == "stripe" and r["leg"] == "books"]
            res = [r for r in rows if r["side"] == "residual"]
            if not docs or any(r["item"] in into_locked for r in docs) or not (comps or res):
                continue
            placed |= {r["item"] for r in docs}
            rest = sum((money(r["amount"]) for r in docs), ZERO)
            for row in comps:
                ledger_lines[components[row["item"]]["line"]] += money(row["amount"])
                rest -= money(row["amount"])
            ledger_lines[on_line[(comps or [{"item": res[0]["item"].split(":", 1)[1].split(";")[0]}])[0]["item"]]] += rest
        only = sum((r["amount"] for d, r in posted.items() if d not in placed and r["currency"] == currency), ZERO)
        late_sum = sum((r["amount"] for r in into_locked.values() if r["currency"] == currency), ZERO)
        books = {"opening": (balance_at(first, currency.lower(), ALL), ledger_open), "posted_into_locked_month": (ZERO, late_sum)}
        books |= {line: (stripe_lines[line], ledger_lines[line]) for line in {*stripe_lines, *ledger_lines}}
        books["ledger_only"] = (ZERO, only)
        closing = (balance_at(next_first, currency.lower(), ALL), trial[step][account, month])
        given = {r["line"]: (money(r["stripe"]), money(r["ledger"])) for r in part if r["section"] == "books"}
        check(
            f"{step} {currency}: books section follows from items and matches",
            given == {**books, "closing": closing},
            str(set(given.items()) ^ set({**books, "closing": closing}.items())),
        )
        for column in ("stripe", "ledger", "difference"):
            rows = [r for r in part if r["section"] == "books"]
            check(
                f"{step} {currency}: books {column} foots",
                sum((money(r[column]) for r in rows[:-1]), ZERO) == money(rows[-1][column]) and rows[-1]["line"] == "closing",
            )
        check(
            f"{step} {currency}: books foot across",
            all(money(r["stripe"]) - money(r["ledger"]) == money(r["difference"]) for r in part if r["section"] == "books"),
        )
        # Bridge and law 4.
        bridge, effect = defaultdict(lambda: [0, ZERO]), {"stripe": 1, "residual": 1, "opening": 1, "ledger": -1}
        law5 = ZERO
        for row in expected_open:
            if row["leg"] == "books" and row["currency"] == currency:
                line = f"{row['nature']}.{row['cause']}" if row["nature"] else row["cause"]
                bridge[line][0] += 1
                bridge[line][1] += effect[row["side"]] * money(row["amount"])
                law5 += 0 if row["journal_id"] else effect[row["side"]] * money(row["amount"])
        law4 = sum((v for _, v in bridge.values()), ZERO)
        movement = closing[0] - books["opening"][0] - sum((v for v in stripe_lines.values()), ZERO)
        unexplained = movement - (closing[1] - ledger_open - total([r for r in posted.values() if r["currency"] == currency]) - late_sum)
        check(f"{step} {currency}: law 4, unexplained {unexplained}", closing[0] - closing[1] == law4 + unexplained and unexplained == 0)
        rows = [r for r in part if r["section"] == "bridge"]
        check(
            f"{step} {currency}: bridge follows from the open items",
            {r["line"]: (int(r["items"]), money(r["difference"])) for r in rows[:-3]} == {k: tuple(v) for k, v in bridge.items()},
        )
        check(
            f"{step} {currency}: bridge in order, foots, accepted + awaiting = difference",
            [r["line"] for r in rows[-3:]] == ["undetermined", "unexplained", "total"]
            and [NATURES.index(r["nature"]) for r in rows[:-3]] == sorted(NATURES.index(r["nature"]) for r in rows[:-3])
            and sum((money(r["difference"]) for r in rows[:-1]), ZERO) == money(rows[-1]["difference"]) == closing[0] - closing[1]
            and all(money(r["accepted"]) + money(r["awaiting"]) == money(r["difference"]) for r in rows),
        )
        if step in ("october_first", "october_after_entries", "november") and currency == "GBP":
            entries = {
                "october_first": total([r for r in exports["2026-10_final"] if r["doc"].startswith("RC-")]),
                "november": total([r for r in exports["2026-12"] if r["doc"].startswith("RC-")]),
            }.get(step, ZERO)
            check(f"{step}: law 5, ledger + entries not yet posted = stripe - items without a journal", closing[1] + entries == closing[0] - law5)
        # Cash.
        transit_in = sum((v for (leg, side, _), v in carried.items() if leg == "cash" and side == "stripe"), ZERO) if currency == "GBP" else ZERO
        fresh = {k: v for k, v in new.items() if k[0] == "cash" and currency == "GBP"}
        paid = sum((v for k, v in fresh.items() if k[1] == "stripe" and k[2] in payouts), ZERO)
        back = sum((v for k, v in fresh.items() if k[2] in RETURNS), ZERO)
        came = sum((v for k, v in fresh.items() if k[1] == "bank"), ZERO)
        still = sum((money(r["amount"]) for r in expected_open if r["leg"] == "cash" and r["currency"] == currency), ZERO)
        cash = [(r["line"], money(r["difference"])) for r in part if r["section"] == "cash"]
        check(
            f"{step} {currency}: cash follows and foots",
            cash == [("in_transit_opening", transit_in), ("paid_out", paid), ("returned", back), ("arrived", -came), ("in_transit_closing", still)]
            and transit_in + paid + back - came == still,
            str(cash),
        )
    gbp = {(r["section"], r["line"]): r for r in statement if r["currency"] == "GBP"}
    close = gbp["books", "closing"]
    check(
        f"{step}: totals {' / '.join(TOTALS[step])}",
        (close["stripe"], close["ledger"], close["difference"], gbp["cash", "in_transit_closing"]["difference"]) == TOTALS[step],
    )

check("in transit 800.00 -> 736.00 -> 0.00 -> 471.70", money(opening_items[1]["amount"]) == Decimal("800.00"))
check("into the locked month 120.00", total([r for r in exports["2026-10_late"] if r["doc"] == "PYMT-2009"]) == Decimal("120.00"))
reopened = Decimal("1312.00") + total(exports["2026-10_late"])
check("October re-opened 203.91 / 335.91 / -132.00", (reopened, balance_at("2026-11-01", "gbp", ALL) - reopened) == (Decimal("335.91"), Decimal("-132.00")))
check(
    "December, payments only: -571.70 = -471.70 + -100.00",
    balance_at("2027-01-01", "gbp", ("payments",)) - Decimal("571.70") == Decimal("-471.70") + components["txn_R1_hold/gross"]["amount"],
)
print("FAILED: " + str(failures) if failures else "all checks hold")
sys.exit(1 if failures else 0)
