"""saved_policies: ids are made here, and nothing outside the folder can be reached."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mddit_ui.core.errors import StoreError
from mddit_ui.core.policy import MAX_NAME, Policy
from mddit_ui.store import library


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MDDIT_POLICIES", str(tmp_path / "saved"))
    return tmp_path / "saved"


def test_save_list_load_delete():
    policy = Policy.from_rows(["##", "=."], name="Half the depth")
    policy_id = library.save(policy)
    assert policy_id == f"half-the-depth-{policy.digest[:8]}"
    assert library.save(policy) == policy_id
    assert [(saved.id, saved.policy) for saved in library.list_policies()] == [(policy_id, policy)]
    assert library.load(policy_id).name == "Half the depth"
    library.delete(policy_id)
    assert library.list_policies() == []


def test_a_broken_file_does_not_hide_the_others(folder, caplog):
    policy_id = library.save(Policy.full(2, 2))
    (folder / "broken.json").write_text("{")
    (folder / "Ünsafe name.json").write_text("{}")
    assert [saved.id for saved in library.list_policies()] == [policy_id]
    assert "broken.json is left out" in caplog.text


@pytest.mark.parametrize("policy_id", ["", "../secret", "a/b", "..", ".hidden", "a\0b", "x" * 200, "missing"])
def test_ids_that_are_none(folder, policy_id):
    folder.mkdir()
    Policy.full(2, 2).save(folder.parent / "secret.json")
    for verb in (library.load, library.delete):
        with pytest.raises(StoreError, match="no saved policy"):
            verb(policy_id)
    assert (folder.parent / "secret.json").exists()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_NAME))
def test_any_name_makes_a_file_of_the_folder(folder, name):
    policy_id = library.save(Policy.full(1, 1, name=name))
    assert (folder / f"{policy_id}.json").is_file()
    assert library.load(policy_id).name == name
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]
