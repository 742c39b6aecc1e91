import pandas as pd
import pytest
from deltatune.compare import fact, family, table


@pytest.mark.parametrize("name", ["NA", "nan", "null", "None", "007", "1e5", "1", "true", "inf"])
def test_names_stay_names(name, tmp_path):
    row = dict.fromkeys(table.COLUMNS, 0.5) | dict.fromkeys(table.TEXT, "")
    row |= {"experiment": name, "task": name, "model": name, "metric": "accuracy", "p_value": None}
    row |= {**dict.fromkeys(table.FLAGS, True), "n": 3, "seeds": 1, "ci_low": float("-inf")}
    path = tmp_path / "comparison.csv"
    pd.DataFrame([row | {"most": 1.0}]).to_csv(path, index=False)
    (row,) = table.read(path).to_dict("records")
    assert row["experiment"] == row["task"] == row["model"] == name
    assert row["higher_is_better"] is True and row["n"] == 3
    assert pd.isna(row["p_value"]) and row["ci_low"] == float("-inf")
    assert family.join([table.read(path)], 0.95)["experiment"].tolist() == [name]
    (one,) = fact.read(path)
    assert (one.experiment, one.p_value, one.source) == (name, None, "comparison.csv")


def test_facts_have_the_columns_of_the_tables():
    assert fact.FIELDS == table.COLUMNS
