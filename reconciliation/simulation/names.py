"""Random numbers -> names of customers. Surnames and trading names are invented; no list of real people stands behind them."""

import numpy as np

_GIVEN = (
    "Ada Alva Amos Anya Arlo Bea Bran Cai Cleo Cora Dara Dov Edda Eino Elba Enid Esme Ezra Faye Finn Flora Gita Gwen Hale Hana Ida Imre Ines Iris "
    "Ivo Jago Joss Juno Kaia Kit Lena Leo Lior Lowri Luca Mabel Mara Milo Mina Nell Nico Noor Odette Omar Orla Otis Pia Quin Rafe Remi Rhea Roma "
    "Ruth Saul Sena Silas Suri Tam Tess Theo Tilda Una Vera Wren Yara Zeb Zora"
).split()
_HEADS = ("Ash Bar Beck Brom Cald Corm Dray Eld Fen Garr Hask Hol Ild Kest Lang Marl Nor Oak Pell Quar Rav Sed Thorn Ulm Vant Wex Yard").split()
_TAILS = ("bourne by cott dale den fell ford gate ham hurst ley low mere more ridge stow ter ton wick win worth").split()
_TRADES = ("Bakery Bindery Books Ceramics Cycles Florists Gardens Interiors Joinery Lighting Optics Outfitters Pantry Printworks Studio Textiles Toys").split()
_FORMS = ("Ltd", "Ltd", "LLP", "& Sons", "& Co")
COMPANY_SHARE = 0.12


def make_names(generator: np.random.Generator, count: int) -> list[str]:
    """Make names of customers: mostly people, some companies; a few names are shared by two customers, as in life."""
    given, heads, tails = (generator.integers(0, len(words), count) for words in (_GIVEN, _HEADS, _TAILS))
    trades, forms = (generator.integers(0, len(words), count) for words in (_TRADES, _FORMS))
    is_company = generator.random(count) < COMPANY_SHARE
    return [
        f"{_HEADS[heads[i]]}{_TAILS[tails[i]]} {_TRADES[trades[i]]} {_FORMS[forms[i]]}"
        if is_company[i]
        else f"{_GIVEN[given[i]]} {_HEADS[heads[i]]}{_TAILS[tails[i]]}"
        for i in range(count)
    ]
