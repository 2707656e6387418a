"""The protocol of the few-label benchmark, and that its page keeps what others wrote.

    python -m unittest discover benches/few_label
"""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import few_label

sys.path.insert(0, str(Path(__file__).parent.parent))
import results


class FewLabels(unittest.TestCase):
    def test_draws_are_balanced_and_never_tested(self):
        classes = np.repeat([0, 1, 2], [300, 120, 80])
        for shots in few_label.SHOTS:
            for seed in range(5):
                train, test = few_label.draw(classes, shots, seed)
                counts = np.bincount(classes[train], minlength=3)
                self.assertEqual((len(train), len(test), counts.max() - counts.min() <= 1), (shots, 100, True))
                self.assertEqual((len(set(train)), set(train) & set(test)), (shots, set()))
                self.assertEqual(np.bincount(classes[test]).tolist(), [60, 24, 16])
                again, _ = few_label.draw(classes, shots, seed)
                self.assertEqual(again.tolist(), train.tolist())

    def test_no_peer_sees_the_class_of_a_row_that_is_not_labelled(self):
        random = np.random.default_rng(1)
        fields = pd.DataFrame({"a": random.normal(size=200), "b": random.choice(["x", "y", "z"], 200)})
        classes = (fields["a"] + random.normal(size=200) > 0).to_numpy(int)
        train, test = few_label.draw(classes, 16, 0)
        others = classes.copy()
        hidden = np.setdiff1d(np.arange(200), train)
        others[hidden] = 1 - others[hidden]
        for name, fit in few_label.PEERS.items():
            one, other = (few_label.probabilities(*fit(fields, c, train), test, 2) for c in (classes, others))
            np.testing.assert_array_equal(one, other, err_msg=name)

    def test_the_order_of_rows_changes_nothing(self):
        random = np.random.default_rng(2)
        # Sorted by the class, with ties: whoever looks at the order of rows knows everything.
        fields = pd.DataFrame({"a": random.integers(0, 3, 300), "b": random.choice(["x", "y"], 300)})
        classes = np.repeat([0, 1], 150)
        train, test = few_label.draw(classes, 64, 0)
        order = random.permutation(300)
        at = np.argsort(order)
        for name, fit in few_label.PEERS.items():
            one = few_label.probabilities(*fit(fields, classes, train), test, 2)
            shuffled = fields.iloc[order].reset_index(drop=True)
            other = few_label.probabilities(*fit(shuffled, classes[order], at[train]), at[test], 2)
            np.testing.assert_allclose(one, other, atol=1e-9, err_msg=name)

    def test_areas_are_those_of_the_protocol(self):
        random = np.random.default_rng(3)
        truth = np.arange(90) % 3
        p = random.dirichlet([1, 1, 1], 90)
        of_all, above = few_label.areas(p, truth)
        one_by_one = [roc_auc_score(truth == kind, p[:, kind]) for kind in range(3)]
        self.assertAlmostEqual(of_all, np.mean(one_by_one))
        self.assertAlmostEqual(above, roc_auc_score(truth > 0, 1 - p[:, 0]))
        two = np.column_stack([1 - p[:, 0], p[:, 0]])
        self.assertEqual(*few_label.areas(two, truth % 2))

    def test_a_class_that_no_labelled_row_has_is_given_no_probability(self):
        class Model:
            classes_ = np.array([0, 2])

            def predict_proba(self, rows):
                return np.tile([0.25, 0.75], (len(rows), 1))

        p = few_label.probabilities(Model(), np.zeros((5, 1)), np.array([1, 3]), 3)
        self.assertEqual(p.tolist(), [[0.25, 0.0, 0.75]] * 2)

    def test_the_page_keeps_what_others_wrote(self):
        page = "# Results\n\nother\n"
        once = few_label.splice(page, "one")
        self.assertEqual(few_label.splice(once, "one"), once)
        self.assertEqual(few_label.splice(once, "two"), once.replace("one", "two"))
        self.assertTrue(once.startswith(page))
        behind = few_label.splice(once + "\n## Behind\n", "two")
        self.assertTrue(behind.endswith("## Behind\n") and "two" in behind)
        with self.assertRaises(SystemExit):
            few_label.splice(page + few_label.BEGIN, "one")

    def test_results_py_keeps_the_block(self):
        with tempfile.TemporaryDirectory() as place:
            page = Path(place) / "results.md"
            self.assertEqual(results.kept(page), "")
            block = few_label.splice("", "one")
            page.write_text("# Old\n\n" + block + "\nmore\n")
            self.assertEqual(results.kept(page), block)

    def test_every_table_has_a_task_with_its_fields(self):
        import tomllib

        for name in few_label.CLASSES.keys() - {"bank"}:
            task = tomllib.loads((few_label.HERE / "tasks" / f"{name}.task.toml").read_text())
            self.assertEqual((task["name"], task["outcome"], task["rules"]), (name, "outcome", f"{name}.rules.toml"))
            fields = {f["name"] for f in tomllib.loads((few_label.HERE / "tasks" / f"{name}.profile.toml").read_text())["field"]}
            self.assertNotIn(few_label.CLASSES[name][0], fields)
            ruled = tomllib.loads(few_label.rules(name).read_text())["rule"]
            self.assertLessEqual({field for rule in ruled for field in rule.get("when", {})}, fields)
        self.assertTrue(few_label.rules("bank").is_file())


if __name__ == "__main__":
    unittest.main()
