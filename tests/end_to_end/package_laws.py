"""One close package (and the month before) -> the laws it breaks, in words. Standard library only.

The laws are those of the close package: each item matched or open once, every open item in one break, a statement that foots and
re-adds from the items, a roll-forward, journals that balance, and a manifest that tells the truth. Nothing of the product is imported,
so that a defect there cannot excuse itself here. What a package does not show (that the inputs are complete, that a match is right)
is not judged. Run it alone: `python tests/end_to_end/package_laws.py close/2026-11/draft --before close/2026-10/v1`.
"""

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from package_reading import Block, Package, Row, effect, grouped, listed, minor, read_package, total

SIDES = {"books": {"stripe", "ledger", "residual", "opening"}, "cash": {"stripe", "bank", "residual"}}
NATURES = ["timing", "entry", "reclass", "correction", "claim", "restatement", "none", ""]
TO_REVIEW = {"needs_review", "awaiting_second", "confirmed_exception", "reopened", "proposed_clear"}
ACCEPTED = {"auto_cleared", "cleared_by_reviewer", "written_off", "settled"}
AGE_BUCKETS = ((3, "0-3"), (7, "4-7"), (30, "8-30"), (60, "31-60"), (90, "61-90"), (10**9, "91+"))


def check_package(folder: Path, *, before: Path | None) -> list[str]:
    """Return every law that a close package breaks, in words; empty when all hold.

    Args:
        folder: the package (`<period>/draft` or `<period>/v1`).
        before: the package of the month before, as locked where it was; None: the package is taken for the first month.
    """
    package, faults = read_package(folder)
    earlier = None
    if before is not None:
        earlier, faults_before = read_package(before)
        faults += [f"month before: {fault}" for fault in faults_before]
    if package is None or (before is not None and earlier is None):
        return [*faults, "the laws were not checked: the package cannot be read"]
    package.before = earlier
    checks = (
        check_identity, check_matches, check_residuals, check_breaks, check_break_lists, check_match_breaks, check_ages, check_statement_shape, check_books,
        check_bridge, check_cash, check_population, check_roll_forward, check_carried, check_journals, check_law_5, check_payouts, check_set_aside,
        check_manifest, check_rows_read,
    )  # fmt: skip
    return faults + [fault for check in checks for fault in check(package)]


# --- items, matches, residuals ------------------------------------------------------------------------------------


def check_identity(package: Package) -> Iterator[str]:
    """Law 1: each item stands once, in matches or in open items; an item's id says where it comes from."""
    rows = package.tables["matches.csv"] + package.tables["open_items.csv"]
    for (leg, item), count in Counter((row["leg"], row["item_id"]) for row in rows).items():
        if count > 1:
            yield f"law 1: {item} stands {count} times in the {leg} leg, not once"
    for row in rows:
        if row["leg"] not in SIDES or row["side"] not in SIDES[row["leg"]]:
            yield f"{row['item_id']}: side {row['side']!r} does not exist in leg {row['leg']!r}"
        elif row["side"] == "stripe":
            if row["leg"] == "books" and row["item_id"] != f"{row['balance_transaction_id']}/{row['component']}":
                yield f"{row['item_id']}: is not its balance transaction and component {row['balance_transaction_id']}/{row['component']}"
            if row["leg"] == "cash" and not row["item_id"].startswith("tu_") and row["item_id"].removesuffix("/returned") != row["payout_id"]:
                yield f"{row['item_id']}: is not its payout {row['payout_id']}"


def check_matches(package: Package) -> Iterator[str]:
    """Yield matches that cross a leg, book or currency, do not add up, or are one-sided and do not cancel."""
    order = [row["match_id"] for row in package.tables["matches.csv"]]
    runs = Counter(match for place, match in enumerate(order) if place == 0 or order[place - 1] != match)
    yield from (f"{match}: its rows do not stand together" for match, count in runs.items() if count > 1)
    for match, rows in package.matches.items():
        if len({(row["leg"], row["book"], row["currency"]) for row in rows}) > 1:
            yield f"{match}: its members are not of one leg, book and currency"
        if len({(row["strategy"], row["score"]) for row in rows}) > 1:
            yield f"{match}: strategy or score changes within the match"
        if len(rows) < 2:
            yield f"{match}: has one member only"
        if not rows[0]["match_difference"] or any(row["match_difference"] or row["evidence"] for row in rows[1:]):
            yield f"{match}: match_difference and evidence do not stand on the first row, and there only"
        difference = sum(map(effect, rows))
        if minor(rows[0]["match_difference"]) != difference:
            yield f"{match}: match_difference {rows[0]['match_difference']} is not the {difference} minor units that its members leave"
        left = [row for row in rows if row["side"] not in ("ledger", "bank")]
        right = [row for row in rows if row["side"] in ("ledger", "bank")]
        if (not left or not right) and difference:
            yield f"{match}: lies on one side and does not cancel"
        if len(left) == len(right) == 1 and total(left) * total(right) < 0:
            yield f"{match}: a pair that crosses sign"


def check_residuals(package: Package) -> Iterator[str]:
    """Yield differences of matches without their residual, and residuals without their difference."""
    for match, rows in package.matches.items():
        residual = package.everything.get((rows[0]["leg"], match))
        difference = minor(rows[0]["match_difference"])
        if residual is None:
            if difference:
                yield f"{match}: leaves {rows[0]['match_difference']} and no residual of that id is open or matched"
            continue
        if residual["side"] != "residual" or not difference or minor(residual["amount"]) != difference:
            yield f"{match}: the item of that id is no residual of {rows[0]['match_difference']}"
        if (residual["book"], residual["currency"]) != (rows[0]["book"], rows[0]["currency"]) or residual.get("match_id") == match:
            yield f"{match}: its residual stands in another book or currency, or in the match itself"
    for key, row in package.everything.items():
        fresh = package.is_new(row) if package.before is not None else row.get("origin_period", "") == package.period
        if row["side"] == "residual" and key[1] not in package.matches and fresh:
            yield f"{key[1]}: a residual of no match of this month, and not carried in"


# --- breaks -------------------------------------------------------------------------------------------------------


def check_breaks(package: Package) -> Iterator[str]:
    """Law 3: every open item is in exactly one break, which names it and has its leg, book, currency, kind and disposition."""
    yield from (f"law 3: break {name} stands {n} times" for name, n in Counter(row["break_id"] for row in package.breaks).items() if n > 1)
    for name, known in (("exceptions.csv", TO_REVIEW), ("expected_variances.csv", ACCEPTED)):
        yield from (f"{name}: break {row['break_id']} is {row['disposition']}" for row in package.tables[name] if row["disposition"] not in known)
    breaks = {row["break_id"]: row for row in package.breaks}
    naming = Counter((row["leg"], item) for row in package.breaks for item in listed(row["item_ids"]))
    for key, item in package.open.items():
        found = breaks.get(item["break_id"])
        if found is None or item["item_id"] not in listed(found["item_ids"]) or naming[key] != 1:
            yield f"law 3: open item {key[1]} ({key[0]}) is named by {naming[key]} breaks; its own is {item['break_id']}"
            continue
        for column in ("leg", "book", "currency", "kind", "disposition"):
            if item[column] != found[column]:
                yield f"{key[1]}: {column} is {item[column]}, its break {item['break_id']} has {found[column]}"


def is_of_open_items(package: Package, row: Row) -> bool:
    """Tell whether a break stands for open items, not for a match across months."""
    return not row["match_id"] or all((row["leg"], item) in package.open for item in listed(row["item_ids"]))


def check_break_lists(package: Package) -> Iterator[str]:
    """Yield breaks whose amount, items, transactions or rows are not those of their open items."""
    columns = ("amount", "currency", "counter_amount", "counter_currency")
    partners = {tuple(row[column] for column in columns) for row in package.breaks if row["kind"] == "currency_difference"}
    for row in filter(lambda row: is_of_open_items(package, row), package.breaks):
        name = row["break_id"]
        items = [package.open.get((row["leg"], item)) for item in listed(row["item_ids"])]
        here = [item for item in items if item is not None and item["break_id"] == name]
        if len(here) < len(items):
            yield f"law 3: break {name} names items that are not open in it: {row['item_ids']}"
        if sum(map(effect, here)) != minor(row["amount"]):
            yield f"break {name}: amount {row['amount']} is not the {sum(map(effect, here))} minor units of its items"
        if not {item["balance_transaction_id"] for item in here} - {""} <= set(listed(row["balance_transaction_ids"])):
            yield f"break {name}: balance_transaction_ids leaves out some of its items'"
        if not {f"{item['source_file']}:{item['source_row']}" for item in here if item["source_row"]} <= set(listed(row["source_rows"])):
            yield f"break {name}: source_rows leaves out some of its items'"
        if not 0 <= minor(row["money_at_risk"]) <= abs(minor(row["amount"])):
            yield f"break {name}: money_at_risk {row['money_at_risk']} is not between zero and {row['amount']}"
        if row["kind"] == "currency_difference" and (row["counter_amount"], row["counter_currency"], row["amount"], row["currency"]) not in partners:
            yield f"break {name}: no currency_difference has its counter amount {row['counter_amount']} {row['counter_currency']}"
        if any(item["side"] == "residual" for item in here) and (len(here) > 1 or row["match_id"] != here[0]["item_id"]):
            yield f"break {name}: a residual's break has it alone and names its match"


def check_match_breaks(package: Package) -> Iterator[str]:
    """Law 3 for matches across months: one break each, without an amount, that names the match and members of it."""
    named: Counter[str] = Counter()
    for row in package.breaks:
        if is_of_open_items(package, row):
            continue
        named[row["match_id"]] += 1
        members = {member["item_id"] for member in package.matches.get(row["match_id"], []) if member["leg"] == row["leg"]}
        if not members or not set(listed(row["item_ids"])) <= members:
            yield f"law 3: break {row['break_id']} names {row['match_id']} and items that are neither open nor its members"
        if minor(row["amount"]):
            yield f"break {row['break_id']}: a match across months has no amount of its own, {row['amount']} is given"
    yield from (f"law 3: match {match} stands in {count} breaks" for match, count in named.items() if count > 1)
    if package.before is None or not any(int(b["books"].get("posted_into_locked_month", {}).get("items") or 0) for b in package.blocks.values()):
        return
    for match, rows in package.matches.items():
        fresh = [row for row in rows if package.is_new(row)]
        late = any(row["side"] == "ledger" and row["date"][:7] < package.period for row in fresh)
        if late and any(row["side"] == "stripe" and row["date"][:7] >= package.period for row in fresh) and not named[match]:
            yield f"law 3: match {match} reaches into a locked month and stands in no break"


def check_ages(package: Package) -> Iterator[str]:
    """Yield ages that are not counted to one and the same cut-off, and buckets that are not the age's."""
    rows = package.tables["open_items.csv"]
    # An item dated after the cut-off (its posting period is earlier) may be shown with age 0.
    ends = {date.fromisoformat(row["date"][:10]) + timedelta(days=int(row["age_days"])) for row in rows if int(row["age_days"])}
    yield from (f"{row['item_id']}: is older than 0 days" for row in rows if row["age_days"] == "0" and any(row["date"] < str(end) for end in ends))
    if len(ends) > 1:
        yield f"open_items.csv: ages are counted to different days: {', '.join(sorted(map(str, ends)))}"
    for row in rows:
        bucket = next(name for last, name in AGE_BUCKETS if int(row["age_days"]) <= last)
        if row["age_bucket"] != bucket:
            yield f"{row['item_id']}: {row['age_days']} days are not in bucket {row['age_bucket']}"
        if row["origin_period"] > package.period:
            yield f"{row['item_id']}: origin_period {row['origin_period']} lies after {package.period}"


# --- statement ----------------------------------------------------------------------------------------------------

FIXED_LINES = {
    "books": ("opening", "posted_into_locked_month", "ledger_only", "closing"),
    "bridge": ("undetermined", "unexplained", "total"),
    "cash": ("in_transit_opening", "paid_out", "returned", "arrived", "in_transit_closing"),
}


def check_statement_shape(package: Package) -> Iterator[str]:
    """Yield missing blocks and lines, lines that stand twice, and lines out of order."""
    rows = package.tables["statement.csv"]
    for line, count in Counter((row["book"], row["currency"], row["section"], row["line"]) for row in rows).items():
        if count > 1:
            yield f"statement: {' '.join(line)} stands {count} times"
    have = {(row["book"], row["currency"]) for name in ("matches.csv", "open_items.csv") for row in package.tables[name]}
    yield from (f"statement: nothing for {' '.join(block)}, which has items" for block in sorted(have - package.blocks.keys()))
    places = [(row["book"], row["currency"], list(FIXED_LINES).index(row["section"]) if row["section"] in FIXED_LINES else 9, *line_place(row)) for row in rows]
    if places != sorted(places):
        yield "statement: the lines are out of order"
    for block, sections in package.blocks.items():
        for section, lines in FIXED_LINES.items():
            yield from (f"statement {' '.join(block)}: {section} has no line {line}" for line in lines if line not in sections[section])


def line_place(row: Row) -> tuple[int, str, int, str]:
    """Return where a line stands within its section: opening, what came without lines, activity by category (gross first, fee last), the rest."""
    line = row["line"]
    if row["section"] == "books":
        ends = {"opening": 0, "posted_into_locked_month": 1, "without_lines": 2, "ledger_only": 4, "closing": 5}
        category, _, component = line.partition(".")
        return ends.get(line, 3), category, {"gross": 0, "fee": 2}.get(component, 1), component
    if row["section"] == "bridge":
        last = {"undetermined": 90, "unexplained": 91, "total": 92}
        return last.get(line, NATURES.index(row["nature"]) if row["nature"] in NATURES else 80), row["cause"], 0, ""
    return FIXED_LINES["cash"].index(line) if line in FIXED_LINES["cash"] else 99, "", 0, ""


def check_books(package: Package) -> Iterator[str]:
    """Law 4: the books section foots down and across, and its closing difference is what is open plus what is unexplained."""
    for block, sections in package.blocks.items():
        place, books = " ".join(block), sections["books"]
        closing = books.get("closing")
        if closing is None or "unexplained" not in sections["bridge"]:
            continue
        for row in books.values():
            if minor(row["stripe"]) - minor(row["ledger"]) != minor(row["difference"]) or row["stripe"] == "" or row["ledger"] == "":
                yield f"statement {place}: {row['line']} does not foot across"
        for column in ("stripe", "ledger", "difference"):
            if sum(minor(row[column]) for line, row in books.items() if line != "closing") != minor(closing[column]):
                yield f"statement {place}: column {column} of the books does not foot to its closing {closing[column]}"
        still_open = sum(effect(row) for row in package.open.values() if row["leg"] == "books" and (row["book"], row["currency"]) == block)
        unexplained = minor(sections["bridge"]["unexplained"]["difference"])
        if minor(closing["difference"]) != still_open + unexplained:
            yield f"law 4, {place}: closing difference {closing['difference']} is not the open items ({still_open}) plus unexplained ({unexplained})"
        before = package.before.blocks.get(block) if package.before is not None else None
        brought = minor(before["bridge"].get("unexplained", {}).get("difference", "")) if before else 0
        if unexplained != brought + minor(books.get("without_lines", {}).get("difference", "")):
            yield f"law 4, {place}: unexplained is not last month's plus what came without lines"


def check_bridge(package: Package) -> Iterator[str]:
    """Yield bridge lines that do not re-add from the open items by nature and cause."""
    for block, sections in package.blocks.items():
        place, bridge = " ".join(block), sections["bridge"]
        sums: dict[str, list[int]] = {"undetermined": [0, 0, 0]}
        for row in package.open.values():
            if row["leg"] == "books" and (row["book"], row["currency"]) == block:
                unnatural = row["nature"] == "" or row["cause"] in ("opening_difference", "undetermined")
                line = row["cause"] if unnatural else f"{row['nature']}.{row['cause']}"
                accepted = effect(row) if row["disposition"] in ACCEPTED else 0
                sums[line] = [a + b for a, b in zip(sums.get(line, [0, 0, 0]), (1, effect(row), accepted), strict=True)]
        unexplained = minor(bridge.get("unexplained", {}).get("difference", ""))
        sums["unexplained"] = [0, unexplained, 0]
        sums["total"] = [sum(column) for column in zip(*sums.values(), strict=True)]
        for line in sums.keys() | bridge.keys():
            shown = bridge.get(line)
            if shown is None or line not in sums:
                yield f"statement {place}: bridge line {line} " + ("is missing" if shown is None else "has no open item")
                continue
            if [int(shown["items"] or 0), minor(shown["difference"]), minor(shown["accepted"])] != sums[line]:
                observed = f"{shown['items']} items, {shown['difference']}, accepted {shown['accepted']}"
                yield f"statement {place}: bridge line {line} shows {observed}; the open items give {sums[line]}"
            if minor(shown["accepted"]) + minor(shown["awaiting"]) != minor(shown["difference"]):
                yield f"statement {place}: accepted and awaiting of {line} do not add to its difference"
        if "closing" in sections["books"] and "total" in bridge and bridge["total"]["difference"] != sections["books"]["closing"]["difference"]:
            yield f"statement {place}: the bridge's total {bridge['total']['difference']} is not the closing difference"


def check_cash(package: Package) -> Iterator[str]:
    """Yield a cash section that does not foot, or whose closing is not the sum of the open cash items."""
    for block, sections in package.blocks.items():
        place, cash = " ".join(block), sections["cash"]
        if cash.keys() != set(FIXED_LINES["cash"]):
            yield f"statement {place}: cash has the lines {', '.join(cash)}"
            continue
        closing = cash["in_transit_closing"]
        for line, row in cash.items():
            if line != "in_transit_closing" and minor(row["stripe"]) - minor(row["bank"]) != minor(row["difference"]):
                yield f"statement {place}: {line} does not foot across"
        if sum(minor(row["difference"]) for line, row in cash.items() if line != "in_transit_closing") != minor(closing["difference"]):
            yield f"statement {place}: cash does not foot to in_transit_closing {closing['difference']}"
        still_open = [row for row in package.open.values() if row["leg"] == "cash" and (row["book"], row["currency"]) == block]
        if minor(closing["difference"]) != sum(map(effect, still_open)) or int(closing["items"] or 0) != len(still_open):
            yield f"statement {place}: in_transit_closing is not the sum of the {len(still_open)} open cash items"


def check_population(package: Package) -> Iterator[str]:
    """Law 2: what the statement says came in this month is what stands in matches and open items, in count and amount."""
    for block, sections in package.blocks.items():
        if any(line not in sections[section] for section, lines in FIXED_LINES.items() for line in lines):
            continue
        place, books, cash = " ".join(block), sections["books"], sections["cash"]
        moves = [row for line, row in books.items() if line not in ("opening", "without_lines", "closing")]
        moved = {side: total(moves, side) for side in ("stripe", "ledger")}
        fresh = {side: [row for row in package.items(block, "books", side) if package.is_new(row)] for side in ("stripe", "ledger")}
        early = package.before is None and any(row["date"][:7] < package.period for row in package.items(block, "books", "ledger"))
        for side in ("stripe",) if early else ("stripe", "ledger"):
            if moved[side] != total(fresh[side]):
                yield f"law 2, {place}: the {side} items of the month come to {total(fresh[side])} minor units, the statement moves by {moved[side]}"
        for component in {row["component"] for row in fresh["stripe"]} | {line.partition(".")[2] for line in books if "." in line}:
            rows = [row for row in fresh["stripe"] if row["component"] == component and row["date"][:7] >= package.period]
            lines = [row for line, row in books.items() if line.partition(".")[2] == component and component]
            if (sum(int(row["items"] or 0) for row in lines), total(lines, "stripe")) != (len(rows), total(rows)):
                yield f"law 2, {place}: the lines of component {component} do not show its {len(rows)} items of {total(rows)} minor units"
        alone = [row for row in fresh["ledger"] if not on_component_line(package, row)]
        shown = (minor(books["ledger_only"]["ledger"]), int(books["ledger_only"]["items"] or 0))
        if shown != (total(alone), len(alone)) and not early and not any(row["date"][:7] < package.period for row in alone):
            yield f"law 2, {place}: ledger_only is not the {len(alone)} ledger lines of {total(alone)} minor units that stand on no component"
        yield from cash_population(package, block, cash)


def on_component_line(package: Package, row: Row) -> bool:
    """Tell whether a ledger line is matched to a component or to a residual, on whose line of the statement it then stands."""
    members = package.matches.get(row.get("match_id", ""), [])
    return any(member["side"] in ("stripe", "residual") for member in members)


def cash_population(package: Package, block: Block, cash: dict[str, Row]) -> Iterator[str]:
    """Yield lines of the cash section that are not the payouts, returns and bank lines of the month, or what was carried in."""
    items = package.items(block, "cash", "stripe", "bank", "residual")
    fresh = [row for row in items if package.is_new(row)]
    stripe = [row for row in fresh if row["side"] == "stripe"]
    expected = {
        "in_transit_opening": [row for row in items if not package.is_new(row)],
        "paid_out": [row for row in stripe if not row["item_id"].endswith("/returned")],
        "returned": [row for row in stripe if row["item_id"].endswith("/returned")],
        "arrived": [row for row in fresh if row["side"] == "bank"],
    }
    for line, rows in expected.items():
        if (minor(cash[line]["difference"]), int(cash[line]["items"] or 0)) != (sum(map(effect, rows)), len(rows)):
            yield f"law 2, {' '.join(block)}: {line} is not the {len(rows)} cash items of {sum(map(effect, rows))} minor units"


# --- from month to month ------------------------------------------------------------------------------------------


def check_roll_forward(package: Package) -> Iterator[str]:
    """Yield causes whose carried in, new and settled do not give carried out, or whose carried out is not what is open."""
    columns = ("book", "leg", "currency", "cause")
    still_open, shown = grouped(package.tables["open_items.csv"], *columns), grouped(package.tables["rollforward.csv"], *columns)
    for cause in still_open.keys() | shown.keys():
        rows, items = shown.get(cause, []), still_open.get(cause, [])
        if len(rows) != 1:
            yield f"roll-forward: {cause} stands {len(rows)} times"
            continue
        row = rows[0]
        if minor(row["carried_in"]) + minor(row["new"]) - minor(row["settled"]) != minor(row["carried_out"]):
            yield f"roll-forward: {cause} does not add"
        if int(row["carried_in_count"]) + int(row["new_count"]) - int(row["settled_count"]) != int(row["carried_out_count"]):
            yield f"roll-forward: the counts of {cause} do not add"
        if (minor(row["carried_out"]), int(row["carried_out_count"])) != (sum(map(effect, items)), len(items)):
            yield f"roll-forward: carried out of {cause} is not its {len(items)} open items"
    for block, sections in package.blocks.items():
        rows = [row for row in package.tables["rollforward.csv"] if (row["book"], row["currency"], row["leg"]) == (*block, "books")]
        carried = total(rows, "carried_in")
        brought = 0
        if package.before is not None and block in package.before.blocks:
            brought = minor(package.before.blocks[block]["bridge"].get("unexplained", {}).get("difference", ""))
        if carried + brought != minor(sections["books"].get("opening", {}).get("difference", "")):
            yield f"roll-forward {' '.join(block)}: carried in ({carried} minor units) is not the opening difference"


def check_carried(package: Package) -> Iterator[str]:
    """Law 7: what this month carries in is what the month before carried out, item by item, and its closing is this opening."""
    before = package.before
    if before is None:
        return
    if before.period >= package.period:
        yield f"law 7: the month before is {before.period}, this one {package.period}"
    for key, old in before.open.items():
        new = package.everything.get(key)
        if new is None:
            yield f"law 7: {key[1]} ({key[0]}) was carried out of {before.period} and is neither matched nor open"
        elif any(new.get(column, old[column]) != old[column] for column in ("book", "side", "amount", "currency", "date", "origin_period")):
            yield f"law 7: {key[1]} ({key[0]}) is not as {before.period} carried it out: {old['amount']} {old['currency']} {old['date']}"
    for block in package.blocks.keys() | before.blocks.keys():
        here, there = (blocks.get(block, {}) for blocks in (package.blocks, before.blocks))
        for section, opening, closing in (("books", "opening", "closing"), ("cash", "in_transit_opening", "in_transit_closing")):
            now, then = here.get(section, {}).get(opening, {}), there.get(section, {}).get(closing, {})
            columns = ("stripe", "ledger", "difference") if section == "books" else ("difference",)
            if any(minor(now.get(column, "")) != minor(then.get(column, "")) for column in columns):
                yield f"law 7, {' '.join(block)}: {opening} is not {before.period}'s {closing}"
    now_in, then_out = (grouped(each.tables["rollforward.csv"], "book", "leg", "currency", "cause") for each in (package, before))
    for cause in now_in.keys() | then_out.keys():
        carried = [(minor(row["carried_in"]), int(row["carried_in_count"])) for row in now_in.get(cause, [])] or [(0, 0)]
        brought = [(minor(row["carried_out"]), int(row["carried_out_count"])) for row in then_out.get(cause, [])] or [(0, 0)]
        if carried != brought:
            yield f"law 7: {cause} carries in {carried}, {before.period} carried out {brought}"


# --- journals, payouts, rows set aside, manifest --------------------------------------------------------------------


def check_journals(package: Package) -> Iterator[str]:
    """Law 5, first half: every journal balances, line by line either debit or credit."""
    for journal, rows in grouped(package.tables["journal_entries.csv"], "journal_id").items():
        if total(rows, "debit") != total(rows, "credit") or len({row["currency"] for row in rows}) > 1:
            yield f"law 5: journal {journal} does not balance in one currency"
        if any(bool(minor(row["debit"])) == bool(minor(row["credit"])) or minor(row["debit"]) < 0 or minor(row["credit"]) < 0 for row in rows):
            yield f"law 5: journal {journal} has a line that is not either debit or credit"
        if sorted(row["line"] for row in rows) != sorted(str(number) for number in range(1, len(rows) + 1)):
            yield f"journal {journal}: its lines are not numbered 1 to {len(rows)}"
        if len({(row["status"], row["posting_date"], row["period"], row["type"]) for row in rows}) > 1 or any(journal not in row["memo"] for row in rows):
            yield f"journal {journal}: status, type, date or period changes within it, or a memo does not carry its id"
        named = {name for row in rows if row["status"] == "proposed" and not row["reverses_journal"] for name in listed(row["break_ids"])}
        if unknown := named - {row["break_id"] for row in package.breaks}:
            yield f"journal {journal}: proposed for breaks that do not exist: {', '.join(sorted(unknown))}"


def check_law_5(package: Package) -> Iterator[str]:
    """Law 5, second half: ledger closing and the entries to post come to Stripe's closing less what has no entry."""
    lines = [row for row in package.tables["journal_entries.csv"] if row["status"] != "posted" and row["period"] <= package.period]
    entries = [row for row in lines if row["account_role"] == "clearing"]
    for currency in {currency for _, currency in package.blocks}:
        blocks = [sections for (_, code), sections in package.blocks.items() if code == currency]
        if any("closing" not in sections["books"] or "unexplained" not in sections["bridge"] for sections in blocks):
            continue
        to_post = sum(minor(row["debit"]) - minor(row["credit"]) for row in entries if row["currency"] == currency)
        left = sum(effect(row) for row in package.open.values() if row["leg"] == "books" and row["currency"] == currency and not row["journal_id"])
        difference = sum(minor(sections["books"]["closing"]["difference"]) - minor(sections["bridge"]["unexplained"]["difference"]) for sections in blocks)
        if difference - to_post != left:
            yield f"law 5, {currency}: entries to post of {to_post} minor units leave {difference - to_post}, the items without an entry come to {left}"


def check_payouts(package: Package) -> Iterator[str]:
    """Yield payouts whose own arithmetic does not hold, or that do not agree with their item and bank line."""
    for (_, payout), count in Counter((row["stripe_account"], row["payout_id"]) for row in package.tables["payouts.csv"]).items():
        if count > 1:
            yield f"payouts: {payout} stands {count} times"
    for row in package.tables["payouts.csv"]:
        name, amount = row["payout_id"], minor(row["amount"])
        yield from payout_arithmetic(row)
        members = package.matches.get(package.matched.get(("cash", name), {}).get("match_id", ""), [])
        bank = [[member[column] for column in ("source_file", "source_row", "amount")] for member in members if member["side"] == "bank"]
        if len(members) == 2 and len(bank) == 1 and [row["bank_file"], row["bank_row"], row["bank_amount"]] != bank[0]:
            yield f"payout {name}: its bank line is not the one it is matched with"
        item = package.everything.get(("cash", name))
        if item is not None and (amount, row["currency"], row["book"]) != (minor(item["amount"]), item["currency"], item["book"]):
            yield f"payout {name}: amount, currency or book is not that of its item"
        if minor(row["in_transit_at_cutoff"]) != (amount if ("cash", name) in package.open else 0):
            yield f"payout {name}: in_transit_at_cutoff {row['in_transit_at_cutoff']} does not agree with the open items"


def payout_arithmetic(row: Row) -> Iterator[str]:
    """Yield differences of a payout that are not the amount less its lines, its bank line or its ledger line."""
    name, amount = row["payout_id"], minor(row["amount"])
    if row["lines_net"]:
        if sum(minor(row[column]) for column in ("gross", "fees", "refunds", "disputes", "other")) != minor(row["lines_net"]):
            yield f"payout {name}: gross, fees, refunds, disputes and other do not add to lines_net"
        if amount - minor(row["lines_net"]) != minor(row["lines_difference"]) or not row["lines_difference"]:
            yield f"payout {name}: lines_difference {row['lines_difference']} is not amount - lines_net"
    elif row["itemised"] == "stripe" or row["lines_difference"]:
        yield f"payout {name}: itemised by Stripe, or with a lines_difference, and without lines_net"
    if row["bank_amount"] and (amount - minor(row["bank_amount"]) != minor(row["bank_difference"]) or not row["bank_difference"]):
        yield f"payout {name}: bank_difference {row['bank_difference']} is not amount - bank_amount"
    # The ledger's amount is shown as posted: a payout is a credit to clearing, so the two add to zero.
    if row["ledger_amount"] and (amount + minor(row["ledger_amount"]) != minor(row["ledger_difference"]) or not row["ledger_difference"]):
        yield f"payout {name}: ledger_difference {row['ledger_difference']} is not amount + ledger_amount"


def check_set_aside(package: Package) -> Iterator[str]:
    """Law 1 for rows out of scope: each stands once, and in no match and no open item of the month."""
    rows = package.tables["set_aside.csv"]
    places = Counter((row["source_file"], row["source_row"]) for row in rows)
    yield from (f"set_aside.csv: {file}:{number} stands {count} times" for (file, number), count in places.items() if count > 1)
    for row in [*package.matched.values(), *package.open.values()]:
        if row["source_row"] and (row["source_file"], row["source_row"]) in places and package.is_new(row):
            yield f"law 1: {row['source_file']}:{row['source_row']} is set aside and also item {row['item_id']}"


def check_manifest(package: Package) -> Iterator[str]:
    """Yield a period that is not the folder's, and outputs that are not as the manifest says."""
    folder = package.folder.resolve().parent.name
    if not re.fullmatch(r"\d{4}-\d{2}", package.period) or (re.fullmatch(r"\d{4}-\d{2}", folder) and folder != package.period):
        yield f"manifest.json: period {package.period!r} is not that of the folder {folder}"
    outputs = {Path(path).name: entry for path, entry in manifest_entries(package.manifest.get("outputs"))}
    present = {path.name for path in package.folder.iterdir() if path.is_file() and path.name != "manifest.json"}
    yield from (f"manifest.json: {name} is in the package and not in outputs" for name in sorted(present - outputs.keys()))
    yield from (f"manifest.json: output {name} is not in the package" for name in sorted(outputs.keys() - present))
    for name in sorted(present & outputs.keys()):
        if hashlib.sha256((package.folder / name).read_bytes()).hexdigest() != outputs[name].get("sha256"):
            yield f"manifest.json: the hash of {name} is another"
        if name in package.tables and outputs[name].get("rows") != len(package.tables[name]):
            yield f"manifest.json: {name} has {len(package.tables[name])} rows, not {outputs[name].get('rows')}"


def check_rows_read(package: Package) -> Iterator[str]:
    """Law 2 for the files that the package or its books name: read = used + set aside + retired, and set_aside.csv has no more rows of a file."""
    books = package.manifest.get("books")
    sections = [package.manifest.get("inputs"), *(book.get("inputs") for book in (books if isinstance(books, list) else []) if isinstance(book, dict))]
    inputs = {path: entry for section in sections for path, entry in manifest_entries(section)}
    if not inputs:
        yield "manifest.json: names no inputs"
    counted = {path: [first_of(entry, *names) for names in ROW_COUNTS] for path, entry in inputs.items()}
    counted = {path: counts for path, counts in counted.items() if counts[1] is not None}
    for path, (read, used, aside, retired) in counted.items():
        if (read or 0) != (used or 0) + (aside or 0) + (retired or 0):
            yield f"law 2: of {path} {read} rows were read, {used} used, {aside} set aside, {retired} retired"
    for file, rows in grouped(package.tables["set_aside.csv"], "source_file").items():
        counts = counted.get(file.partition("!")[0])
        if counts is None or len(rows) > (counts[2] or 0) + (counts[3] or 0):
            yield f"law 2: set_aside.csv has {len(rows)} rows of {file}, the manifest {'does not count them' if counts is None else counts[2]}"


ROW_COUNTS = (("rows", "rows_read", "rows_in"), ("rows_used", "used"), ("rows_set_aside", "set_aside"), ("rows_retired", "retired"))


def manifest_entries(section: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (path, entry) of a section of the manifest, a list of objects with a path or an object by path."""
    if isinstance(section, dict):
        yield from ((path, entry) for path, entry in section.items() if isinstance(entry, dict))
    elif isinstance(section, list):
        yield from ((str(entry.get("path") or entry.get("source_file")), entry) for entry in section if isinstance(entry, dict))


def first_of(entry: dict[str, object], *names: str) -> int | None:
    """Return the first of some counts that an entry has."""
    return next((value for name in names if isinstance(value := entry.get(name), int)), None)


def main() -> int:
    """Check one package from the command line; exit 1 when a law is broken."""
    parser = argparse.ArgumentParser(description="Check the laws of a close package.", epilog="example: package_laws.py 2026-11/draft --before 2026-10/v1")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--before", type=Path, default=None, help="the package of the month before")
    arguments = parser.parse_args()
    violations = check_package(arguments.folder, before=arguments.before)
    print("\n".join(violations) if violations else "all laws hold")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
