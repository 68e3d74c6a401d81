"""Settings are checked whole, and every fault names its place and the next step."""

import pytest

from reconciliation.config import read_settings, stripe_key
from reconciliation.errors import SettingsError

GOOD = '[entity]\nname = "X"\ntimezone = "Europe/London"\ncurrency = "GBP"\n[start]\nperiod = "2026-10"\n'


def settings_file(tmp_path, text):
    path = tmp_path / "reconciliation.toml"
    path.write_text(text)
    return path


def test_what_is_not_written_has_its_default(tmp_path):
    settings = read_settings(settings_file(tmp_path, GOOD))
    assert settings.stripe.lookback_days == 45
    assert settings.books[0].stripe_accounts == ("self",)
    assert settings.path("data/lake") == tmp_path / "data/lake"


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        ('[ledgers]\ninbox = "x"\n', "did you mean 'ledger'"),
        ('[ledger]\ninbx = "x"\n', "did you mean 'inbox'"),
        ('[[books]]\nname = "a"\nbank_mach = ["S"]\n', "did you mean 'bank_match'"),
        ('[review]\nmode = "bold"\n', "review.mode"),
    ],
    ids=["section", "key", "key in a list", "value"],
)
def test_a_fault_names_the_key_and_the_nearest_known_one(tmp_path, addition, expected):
    with pytest.raises(SettingsError, match=expected):
        read_settings(settings_file(tmp_path, GOOD + addition))


def test_all_faults_are_told_at_once(tmp_path):
    with pytest.raises(SettingsError) as caught:
        read_settings(settings_file(tmp_path, GOOD + '[close]\nfoldr = "x"\n[bank]\ninbx = "y"\n'))
    assert len(str(caught.value).splitlines()) == 2


def test_an_account_in_two_books_is_refused(tmp_path):
    text = GOOD + '[[books]]\nname = "a"\n[[books]]\nname = "b"\n'
    with pytest.raises(SettingsError, match="again in 'b'"):
        read_settings(settings_file(tmp_path, text))


def test_a_missing_file_names_the_flag_and_an_example(tmp_path):
    with pytest.raises(SettingsError, match="--config"):
        read_settings(tmp_path / "none.toml")


def test_a_missing_key_says_where_to_get_one(monkeypatch):
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="restricted"):
        stripe_key()
