"""The peers see what a profile holds, and not where it stands in the table.

    python -m unittest discover benches/peers
"""

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd

import peers

USERS = 600


def table(seed):
    """A table sorted by its outcome, which its profile hardly tells: numbers with many ties, few values, holes, texts and lists."""
    draws = np.random.default_rng(seed)
    amounts = np.where(draws.random(USERS) < 0.7, 0.0, np.round(draws.lognormal(3, 1, USERS)))
    users = pd.DataFrame(
        {
            "amount": np.where(draws.random(USERS) < 0.1, np.nan, amounts),
            "count": draws.integers(0, 3, USERS).astype(float),
            "flag": draws.random(USERS) < 0.02,
            "same": 7.0,
            "place": draws.choice(["north", "south", "east"], USERS),
            "tags": [list(draws.choice(["a", "b"], draws.integers(0, 3), replace=False)) for _ in range(USERS)],
            "outcome": np.sort(draws.exponential(size=USERS)),
        }
    )
    users.insert(0, "row", range(USERS))
    return users


def draws_of(test, trains):
    return {"test": test, "draws": [{"labels": len(t), "draw": at, "train": t} for at, t in enumerate(trains)]}


def scores(users, draws):
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        users.to_parquet(directory / "users.parquet")
        (directory / "draws.json").write_text(json.dumps(draws))
        peers.fold(directory)
        arms = json.loads((directory / "peers.json").read_text())["arms"]
    return {arm["name"]: np.array([p["scores"] for p in arm["predictions"]]) for arm in arms}


class Peers(unittest.TestCase):
    def test_users_of_equal_profiles_have_equal_features(self):
        for seed in range(3):
            users = table(seed)
            _, linear = peers.features(users)
            profile = users.drop(columns=["row", "outcome"])
            profile["tags"] = profile["tags"].map(sorted).map(tuple)
            groups = profile.groupby(list(profile), dropna=False).indices.values()
            self.assertTrue(any(len(rows) > 5 for rows in groups))
            for rows in groups:
                self.assertTrue((linear[rows] == linear[rows[0]]).all())

    def test_the_order_of_rows_changes_no_prediction(self):
        users = table(7)
        order = np.random.default_rng(1).permutation(USERS)
        now_at = np.argsort(order)
        rows = np.random.default_rng(2).permutation(USERS)
        test, trains = rows[:200], [rows[200:250], rows[200:]]
        as_it_is = scores(users, draws_of(test.tolist(), [t.tolist() for t in trains]))
        moved = draws_of(now_at[test].tolist(), [now_at[t].tolist() for t in trains])
        shuffled = scores(users.iloc[order].reset_index(drop=True), moved)
        self.assertEqual(set(as_it_is), set(peers.DESCRIPTIONS))
        for name, found in as_it_is.items():
            for one, other in zip(found, shuffled[name]):
                np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7, err_msg=name)

    def test_a_sorted_table_gives_its_order_away_to_nobody(self):
        draws = np.random.default_rng(3)
        users = table(3)
        # Nothing in the profile has to do with the outcome, and nearly all users tie.
        users["amount"] = np.where(draws.random(USERS) < 0.95, 0.0, draws.lognormal(size=USERS))
        users = users[["row", "amount", "outcome"]]
        rows = draws.permutation(USERS)
        found = scores(users, draws_of(rows[:200].tolist(), [rows[200:].tolist()]))
        tied = users["amount"].to_numpy()[rows[:200]] == 0
        for name, of_draw in found.items():
            self.assertEqual(len(np.unique(of_draw[0][tied])), 1, name)

    def test_bins_are_of_values_and_of_about_equal_size(self):
        few = pd.Series([3.0, 1.0, np.nan, 3.0])
        self.assertEqual(peers.bins(few).dropna().tolist(), [3.0, 1.0, 3.0])
        many = pd.Series(np.random.default_rng(0).permutation(1000).astype(float))
        self.assertEqual(peers.bins(many).value_counts().tolist(), [100] * 10)
        heavy = pd.Series([0.0] * 65 + list(range(1, 36)))
        self.assertEqual(peers.bins(heavy).iloc[[0, 64, 65, 99]].tolist(), [0.0, 0.0, 6.0, 9.0])


if __name__ == "__main__":
    unittest.main()
