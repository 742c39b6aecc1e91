import pandas as pd
import pytest
from deltatune.compare import paired, table


@pytest.mark.parametrize("name", ["NA", "nan", "null", "None", "007", "1e5", "1", "true", "inf"])
def test_names_stay_names(name, tmp_path):
    row = dict.fromkeys(table.COLUMNS, 0.5)
    row |= {"experiment": name, "task": name, "model": name, "metric": "accuracy", "p_value": None}
    row |= {"higher_is_better": True, "n": 3, "ci_low": float("-inf")}
    path = tmp_path / "comparison.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    (row,) = table.read(path).to_dict("records")
    assert row["experiment"] == row["task"] == row["model"] == name
    assert row["higher_is_better"] is True and row["n"] == 3
    assert pd.isna(row["p_value"]) and row["ci_low"] == float("-inf")
    assert paired.join([table.read(path)])["experiment"].tolist() == [name]
