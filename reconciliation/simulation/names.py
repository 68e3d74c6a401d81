"""Random numbers -> names of customers. Surnames and trading names are invented; no list of real people stands behind them."""

import numpy as np

_GIVEN = (
    "Ada Alva Amos Anya Arlo Bea Bran Cai Cleo Cora Dara Dov Edda Eino Elba Enid Esme Ezra Faye Finn Flora Gita Gwen Hale Hana Ida Imre Ines Iris "
    "Ivo Jago Joss Juno Kaia Kit Lena Leo Lior Lowri Luca Mabel Mara Milo Mina Nell Nico Noor Odette Omar Orla Otis Pia Quin Rafe Remi Rhea Roma "
    "Ruth Saul Sena Silas Suri Tam Tess Theo Tilda Una Vera Wren Yara Zeb Zora"
)
_HEADS = "Ash Bar Beck Brom Cald Corm Dray Eld Fen Garr Hask Hol Ild Kest Lang Marl Nor Oak Pell Quar Rav Sed Thorn Ulm Vant Wex Yard"
_TAILS = "bourne by cott dale den fell ford gate ham hurst ley low mere more ridge stow ter ton wick win worth"
_TRADES = "Bakery Bindery Books Ceramics Cycles Florists Gardens Interiors Joinery Lighting Optics Outfitters Pantry Printworks Studio Textiles Toys"
_WORDS = tuple(text.split() for text in (_GIVEN, _HEADS, _TAILS, _TRADES))
_FORMS = ("Ltd", "Ltd", "LLP", "& Sons", "& Co")
COMPANY_SHARE = 0.12


def make_names(generator: np.random.Generator, count: int) -> list[str]:
    """Make names of customers: mostly people, some companies; a few names are shared by two customers, as in life."""
    given_names, first_parts, last_parts, trade_words = _WORDS
    given, heads, tails, trades, forms = (generator.integers(0, len(words), count) for words in (*_WORDS, _FORMS))
    is_company = generator.random(count) < COMPANY_SHARE
    places = [first_parts[head] + last_parts[tail] for head, tail in zip(heads, tails, strict=True)]
    companies = [f"{place} {trade_words[trades[i]]} {_FORMS[forms[i]]}" for i, place in enumerate(places)]
    people = [f"{given_names[given[i]]} {place}" for i, place in enumerate(places)]
    return [companies[i] if is_company[i] else people[i] for i in range(count)]
