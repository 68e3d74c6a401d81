"""Free text -> the same text without what no accountant needs in full: e-mail addresses, IBANs, card numbers.

What is masked keeps enough to be recognized by somebody who has the original: the first letter and the domain of an address, the country and
the last three digits of an IBAN, the last three digits of a card. Three, because four would be taken for the number of an invoice.
An IBAN has the length of its country and right check digits (ISO 13616), a card number a known issuer and a right check digit (ISO/IEC 7812), so
that other numbers stay as they are. Fields that hold a reference, an account or a document are never masked, only texts.
"""

import re
from collections.abc import Sequence

import polars as pl

# Bounded, so that no text takes more than linear time.
_EMAIL = re.compile(r"(?<![A-Za-z0-9._%+-])([A-Za-z0-9])[A-Za-z0-9._%+-]{0,63}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})")
_CARD = re.compile(r"(?<![A-Za-z0-9])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -])\d{6}\2\d{5})(?![A-Za-z0-9])")
_ISSUER = re.compile(r"4(?:.{12}|.{15}|.{18})|(?:5[1-5]|2[2-7]|6[045]|35|62).{14}|3[47].{13}|3[068].{12}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})\d{2}(?: ?[A-Za-z0-9]){11,30}")
_MAY_BE = r"[A-Za-z0-9]@[A-Za-z0-9]|\d{13}|\d{4}[ -]\d{4}[ -]\d{4}|\d{4}[ -]\d{6}[ -]\d{5}|[A-Za-z]{2}\d{2} ?[A-Za-z0-9]{4} ?[A-Za-z0-9]{4}"
_SHORTEST = 13
_WORD = re.compile(r"[^\W\d_]{3,}")

# Registry of IBAN formats, release 99 (swift.com): country and length.
_IBAN_LENGTHS = {
    text[:2]: int(text[2:])
    for text in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 "
        "GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 "
        "PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
    ).split()
}


def mask_text(text: str) -> str:
    """Mask the personal numbers and addresses of a text.

    >>> mask_text("Jo Li jo.li@shop.example DE89 3704 0044 0532 0130 00 paid with 4242 4242 4242 4242")
    'Jo Li j…@shop.example DE…000 paid with …242'
    >>> mask_text("Invoice 4242424242424243, DE89370400440532013001, po_1Nq at 10:42")
    'Invoice 4242424242424243, DE89370400440532013001, po_1Nq at 10:42'
    """
    if len(text) < _SHORTEST and "@" not in text:
        return text
    return _CARD.sub(_mask_card, _IBAN.sub(_mask_iban, _EMAIL.sub(r"\1…@\2", text)))


def mask_personal(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Mask the personal numbers and addresses in the text columns of a frame.

    Only texts that may hold one are looked at one by one, each wording once.
    """
    for column in columns:
        suspects = frame.filter(pl.col(column).str.contains(_MAY_BE))[column].unique().to_list()
        masked = {text: short for text in suspects if (short := mask_text(text)) != text}
        if masked:
            frame = frame.with_columns(pl.col(column).replace(masked))
    return frame


def mask_cell(text: str) -> str:
    """Mask a cell that a message quotes: one that holds several words may be a person's name, which got into the wrong column.

    >>> [mask_cell(text) for text in ("1.234,5O", "Haben", "30 Feb 2026", "Jane Roe 12", "ann@shop.example")]
    ['1.234,5O', 'Haben', '30 Feb 2026', 'J… R… 12', 'a…@s….e…']
    """
    masked = mask_text(text)
    return _WORD.sub(lambda word: word[0][0] + "…", masked) if len(_WORD.findall(text)) > 1 else masked


def _mask_card(found: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", found[0])
    return f"…{digits[-3:]}" if _ISSUER.fullmatch(digits) and _passes_luhn(digits) else found[0]


def _passes_luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0


def _mask_iban(found: re.Match[str]) -> str:
    # The pattern takes the words that follow too; the country says where the number ends.
    length = _IBAN_LENGTHS.get(found[1].upper(), 0)
    places = [place for place, letter in enumerate(found[0]) if letter != " "]
    if not 0 < length <= len(places):
        return found[0]
    end = places[length - 1] + 1
    bare, rest = found[0][:end].replace(" ", "").upper(), found[0][end:]
    turned = "".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])
    is_iban = int(turned) % 97 == 1 and not rest[:1].isalnum()
    return f"{bare[:2]}…{bare[-3:]}{rest}" if is_iban else found[0]
