import pytest

from reconciliation.config import Settings
from reconciliation.errors import DecisionRefusedError
from reconciliation.review.controls import list_controls, settings_in_force
from tests.office import Office


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path, "anna", "boris")


def company(**review):
    close = {"materiality": review.pop("materiality", "25.00")}
    entity = {"name": "Example Ltd", "timezone": "Europe/London", "currency": "GBP"}
    return Settings.model_validate({"entity": entity, "start": {"period": "2026-10"}, "review": review, "close": close})


def test_a_looser_setting_waits_for_two_people(office):
    settings = company(mode="autonomous", four_eyes_above="5000.00", target_recall=0.9, auto_clear_cap="100.00", materiality="10.00")
    in_force = settings_in_force(settings, office.log.entries())
    assert (in_force.review.mode, in_force.review.four_eyes_above, in_force.review.target_recall) == ("observe", "1000.00", 0.99)
    assert (in_force.review.auto_clear_cap, in_force.close.materiality) == ("100.00", "10.00")
    assert [one.name for one in list_controls(settings, []) if one.is_waiting] == ["review.mode", "review.four_eyes_above", "review.target_recall"]


def test_two_people_make_it_count_and_one_does_not(office):
    settings = company(mode="copilot", four_eyes_above="5000.00")
    entry = office.decide("settings", "anna", None, settings={"review.mode": "autonomous", "review.four_eyes_above": "2000.00"})
    assert settings_in_force(settings, office.log.entries()).review.mode == "observe"
    office.decide("approve", "boris", None, targets=(entry.number,))
    in_force = settings_in_force(settings, office.log.entries())
    assert (in_force.review.mode, in_force.review.four_eyes_above) == ("copilot", "2000.00")


def test_the_default_settings_are_in_force_as_they_are():
    assert settings_in_force(company(), []) == company()


@pytest.mark.parametrize("changes", [{}, {"entity.name": "x"}, {"review.mode": "wild"}, {"review.four_eyes_above": "many"}, {"review.target_recall": "1.5"}])
def test_what_is_no_control_is_refused(office, changes):
    with pytest.raises(DecisionRefusedError):
        office.decide("settings", "anna", None, settings=changes)
