"""Exact money: text <-> signed integers in minor units, per currency.

The exponent table is Stripe's, not ISO 4217's: Stripe carries ISK and UGX with two decimals and MGA with none
(https://docs.stripe.com/currencies). Ledger and bank amounts use the same exponents so that both sides compare as
integers. No float is ever involved.
"""

import re

import polars as pl

AMOUNT_MINOR_MAX = 10**15
"""Largest accepted magnitude of one row: 9,000 such rows still fit a 64-bit sum."""

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
THREE_DECIMAL = frozenset("BHD IQD JOD KWD LYD OMR TND".split())

CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE
    CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW
    KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR
    PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU
    UYW UZS VED VES VND VUV WST XAD XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()
)
"""ISO 4217, list one of 2026-01-01, without metals and test codes: tells a currency beside a header from any other three letters."""

_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?")


def currency_exponent(currency: str) -> int:
    """Return the number of decimals that Stripe uses for a currency.

    >>> [currency_exponent(code) for code in ("GBP", "JPY", "KWD", "ISK")]
    [2, 0, 3, 2]
    """
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def exponents_of(column: str) -> pl.Expr:
    """Return the number of decimals of each currency in a column.

    >>> pl.DataFrame({"currency": ["GBP", "JPY", "KWD"]}).select(exponents_of("currency")).to_series().to_list()
    [2, 0, 3]
    """
    return pl.col(column).replace_strict({**dict.fromkeys(ZERO_DECIMAL, 0), **dict.fromkeys(THREE_DECIMAL, 3)}, default=2, return_dtype=pl.Int64)


def parse_minor(text: str, currency: str) -> int:
    """Parse a plain decimal string into minor units, exactly.

    Args:
        text: optional sign, digits, optional point and digits: `-1234.5`. No grouping, no exponent.
        currency: upper-case code; decides how many decimals are allowed.

    Raises:
        ValueError: not a plain decimal, more decimals than the currency has (unless zero), or beyond the bound.

    >>> parse_minor("-12.3", "GBP"), parse_minor("500", "JPY"), parse_minor("1.005", "KWD")
    (-1230, 500, 1005)
    """
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain decimal number")
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("+-").partition(".")
    exponent = currency_exponent(currency)
    if fraction[exponent:].strip("0"):
        raise ValueError(f"{text!r} has more than the {exponent} decimals of {currency}")
    minor = int(whole + fraction[:exponent].ljust(exponent, "0"))
    if minor > AMOUNT_MINOR_MAX:
        raise ValueError(f"{text!r} is larger than any amount that is accepted")
    return -minor if negative else minor


def format_minor(amount_minor: int, currency: str) -> str:
    """Write minor units as a plain decimal string with exactly the currency's decimals.

    >>> format_minor(-5, "GBP"), format_minor(500, "JPY"), format_minor(0, "KWD")
    ('-0.05', '500', '0.000')
    """
    exponent = currency_exponent(currency)
    digits = str(abs(amount_minor)).rjust(exponent + 1, "0")
    sign = "-" if amount_minor < 0 else ""
    return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)


def readable_money(amount_minor: int, currency: str) -> str:
    """Write minor units as people read them.

    >>> readable_money(-123456789, "GBP"), readable_money(-5, "GBP"), readable_money(1000, "JPY")
    ('-1,234,567.89', '-0.05', '1,000')
    """
    whole, point, fraction = format_minor(abs(amount_minor), currency).partition(".")
    return ("-" if amount_minor < 0 else "") + f"{int(whole):,}" + point + fraction
