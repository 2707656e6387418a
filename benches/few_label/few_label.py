"""Few labels on public tables: logistic regression and LightGBM by the protocol of FeatLLM, and `scaletot` beside them.

    pip install -r benches/peers/requirements.txt
    python benches/few_label/few_label.py --tables DIR --bank clients.parquet --out target/few_label --write docs/results.md
    python benches/few_label/few_label.py ... --scaletot target/release/scaletot --teacher rules --teacher gguf:MODEL

DIR holds `blood.csv`, `car.csv`, `communities.csv`, `credit-g.csv` and `diabetes.csv` as <https://github.com/Sungwon-Han/FeatLLM> has them in `data/`;
`clients.parquet` is the table of the task bank-deposit. What is done already is found in --out and not done again. The tables go between two marks of the page.

The protocol is that of Han, Yoon, Arik and Pfister (ICML 2024): a fifth of the rows, stratified, is tested; of the others 4, 8, 16, 32 or 64 are
labelled, as many of each class as of the next; AUC, of more than two classes one-versus-rest and the mean over classes; the mean over seeds.
"""

import argparse
import datetime
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SHOTS = (4, 8, 16, 32, 64)
# The program learns from 20 labels on; without any it ranks by the level of the last state.
OUR_LABELS = (0, 32, 64)
# The column of the class, its values from the least, and columns that name a row.
CLASSES = {
    "blood": ("Class", ["no", "yes"], []),
    "car": ("class", ["unacceptable", "acceptable", "good", "very good"], []),
    "communities": ("ViolentCrimesPerPop", ["low", "medium", "high"], ["communityname", "fold"]),
    "credit-g": ("class", ["no", "yes"], []),
    "diabetes": ("Outcome", ["no", "yes"], []),
    "bank": ("subscribed", [0.0, 1.0], ["client_id"]),
}
BEGIN, END = "<!-- few labels: begin -->", "<!-- few labels: end -->"
SMALL = 1e-12


def read(name, path):
    """Fields and classes of a table; a class is its place in the order, from 0."""
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, keep_default_na=False)
    column, order, left_out = CLASSES[name]
    if column not in table:
        sys.exit(f"{path}: expected a column `{column}`, found {', '.join(table)}")
    classes = table[column].map({value: place for place, value in enumerate(order)})
    if classes.isna().any():
        sys.exit(f"{path}, column `{column}`: expected {', '.join(map(str, order))}, found {sorted(set(table[column]))}")
    return table.drop(columns=[column, *left_out]), classes.to_numpy(int)


def draw(classes, shots, seed):
    """Rows that are labelled and rows that are tested: as many of each class as of the next, the first classes one more where it does not come out even."""
    train, test = train_test_split(np.arange(len(classes)), test_size=0.2, random_state=seed, stratify=classes)
    random = np.random.default_rng([seed, shots])
    kinds = np.unique(classes)
    counts = [shots // len(kinds) + (place < shots % len(kinds)) for place in range(len(kinds))]
    rows = [random.choice(train[classes[train] == kind], count, replace=False) for kind, count in zip(kinds, counts)]
    return np.concatenate(rows), test


def linear(fields):
    """Numbers as they are, and one column per value of all others."""
    return pd.get_dummies(fields, dummy_na=False, dtype=float).to_numpy(float)


def logistic_regression(fields, classes, train):
    x = linear(fields)
    # By the labelled rows alone: a column that does not vary among them tells nothing.
    mean, deviation = x[train].mean(0), x[train].std(0)
    kept = deviation > SMALL
    scaled = (x[:, kept] - mean[kept]) / deviation[kept]
    model = LogisticRegression(max_iter=1000).fit(scaled[train], classes[train])
    return model, scaled


def boosted_trees(fields, classes, train):
    x = fields.apply(lambda c: c if pd.api.types.is_numeric_dtype(c) else c.astype("string").astype("category"))
    settings = dict(n_estimators=50, num_leaves=4, min_child_samples=max(1, len(train) // 16), min_data_per_group=1, cat_smooth=1.0)
    model = lightgbm.LGBMClassifier(**settings, random_state=0, n_jobs=int(os.environ.get("PEERS_THREADS", "2")), verbose=-1)
    return model.fit(x.iloc[train], classes[train]), x.reset_index(drop=True)


PEERS = {"logistic regression": logistic_regression, "LightGBM": boosted_trees}


def probabilities(model, x, test, classes):
    """Of every class, also of one that no labelled row has."""
    rows = x.iloc[test] if isinstance(x, pd.DataFrame) else x[test]
    p = np.zeros((len(test), classes))
    p[:, model.classes_] = model.predict_proba(rows)
    return p


def areas(p, truth):
    """AUC as FeatLLM has it, and that of whether a class is above the lowest, which ranks by one number as `scaletot` does."""
    above = roc_auc_score(truth > 0, p[:, 1:].sum(1))
    return (above if p.shape[1] == 2 else roc_auc_score(truth, p, multi_class="ovr", average="macro")), above


def measure(fields, classes, seeds):
    found = {name: {} for name in PEERS}
    for shots in SHOTS:
        for seed in range(seeds):
            train, test = draw(classes, shots, seed)
            for name, fit in PEERS.items():
                p = probabilities(*fit(fields, classes, train), test, classes.max() + 1)
                found[name].setdefault(str(shots), []).append(areas(p, classes[test]))
    return found


def of_peers(name, path, out, seeds):
    """The peers' figures and how they were made: measured, or found in --out if they are of this table, these seeds and this script."""
    digest = hashlib.sha256(path.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    file, inputs = out / f"{name}.peers.json", {"inputs": digest, "seeds": seeds}
    if file.exists() and (done := json.loads(file.read_text()))["of"] == inputs:
        return done["areas"], done["made"]
    found = measure(*read(name, path), seeds)
    made = f"{datetime.date.today()}, commit {commit()}, scikit-learn {sklearn.__version__}, LightGBM {lightgbm.__version__}"
    file.write_text(json.dumps({"of": inputs, "made": made, "areas": found}))
    return found, made


def commit():
    describe = ["git", "-C", HERE, "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(describe, capture_output=True, text=True).stdout.strip() or "unknown"


def of_scaletot(name, path, out, program, teacher):
    """AUC of whether a class is above the lowest, by number of labels, of every fold and draw of an evaluation, and the evaluation's own account of itself."""
    data, task = path, "bank-deposit"
    if name != "bank":
        fields, classes = read(name, path)
        data, task = out / f"{name}.csv", str(HERE / "tasks" / f"{name}.task.toml")
        fields.assign(outcome=classes).to_csv(data, index=False)
    spec = f"rules:{rules(name)}" if teacher == "rules" else teacher
    place = out / f"{name}-{label(teacher)}"
    command = [program, "evaluate", "--task", task, "--data", str(data), "--teacher", spec, "--out", str(place)]
    command += ["--labels", ",".join(map(str, OUR_LABELS)), "--folds", "5", "--coverage", "0.2"]
    if subprocess.run(command, stdout=sys.stderr).returncode:
        sys.exit(f"{name}: `{' '.join(command)}` failed; what it wrote is in {place}")
    results = json.loads((place / "results.json").read_text())
    found = {}
    for cell in results["cells"]:
        area = dict(cell["metrics"]).get("auc_of_positive")
        if area is not None and cell["labels"] != "all":
            found.setdefault(cell["arm"], {}).setdefault(str(cell["labels"]["count"]), []).append(area)
    return {arm: found[arm] for arm in ("scaletot", "stack") if arm in found}, results["run"]


def label(teacher):
    """A short name, another one for each teacher."""
    return teacher if teacher == "rules" else f"{teacher.split(':')[0]}-{hashlib.sha256(teacher.encode()).hexdigest()[:6]}"


def rules(name):
    return HERE.parent.parent / "crates/scaletot-pipeline/tasks/bank/rules.toml" if name == "bank" else HERE / "tasks" / f"{name}.rules.toml"


def figure(values):
    """Mean and its standard error."""
    values = np.asarray(values)
    error = f" ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{error}"


def row(name, by_labels, columns):
    return f"| {name} | " + " | ".join(figure(by_labels[n]) if n in by_labels else "–" for n in columns) + " |"


def section(name, peers, made, ours):
    """One table's figures in Markdown, and below them how they were made."""
    columns = [str(n) for n in sorted({*SHOTS, *OUR_LABELS})]
    header = [f"| {name} | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    lines = []
    several = len(CLASSES[name][1]) > 2
    for at, what in enumerate(("AUC, one class against the rest", "AUC, above the lowest class") if several else ("AUC",)):
        for peer, by_shots in peers.items():
            lines.append(row(f"{peer}, {what}", {n: [pair[at] for pair in pairs] for n, pairs in by_shots.items()}, columns))
    remarks = [f"Peers: {made}."]
    for teacher, (arms, run) in ours.items():
        for arm, by_labels in arms.items():
            who = {"scaletot": f"scaletot, teacher {teacher}", "stack": f"stack, beside teacher {teacher}"}[arm]
            lines.append(row(f"{who}, AUC{', above the lowest class' if several else ''}", by_labels, columns))
        remarks.append(f"`scaletot` with teacher {teacher}: " + "{teacher}, {date}, commit {commit}, {seconds:.0f} s, {machine}.".format(**run))
    return "\n".join([*header, *lines, "", *remarks])


def page(sections, seeds):
    return "\n\n".join(
        [
            "## Few labels on public tables",
            f"`python benches/few_label/few_label.py --seeds {seeds}`, with the paths of the tables and, for `scaletot`, of the program.",
            f"Peers by the protocol of FeatLLM (Han et al., ICML 2024): stratified 80/20 splits, 4 to 64 labelled rows of balanced classes, mean over {seeds} seeds, or over folds and draws, ± "
            "its standard error. Logistic regression (C = 1) on numbers standardised by the labelled rows and one column per value; LightGBM with 50 trees of four leaves. "
            "Both see every column but names of rows. `scaletot` and `stack` (its model without signals) are of `evaluate`: five folds, so that a fifth of the rows is tested too, ten draws "
            "that are random and not balanced, and at most the fields that the task lists. It learns from 20 labels on; at 0 it is the teacher's level, which no label has touched. "
            "`bank` is the table of the task bank-deposit, without anything about the call, and so much harder than the `bank` of that paper. TabPFN v2 was not run: its package brings no weights, and "
            "fetches them from a hub. No figure of the paper is repeated here: splits and draws differ.",
            *sections,
        ]
    )


def splice(text, block):
    """The page with the block between its marks, at the end where there are none."""
    marked = f"{BEGIN}\n{block.strip()}\n{END}\n"
    if (BEGIN in text) != (END in text) or text.count(BEGIN) > 1:
        sys.exit(f"expected one `{BEGIN}` followed by one `{END}`, or neither")
    if BEGIN not in text:
        return f"{text.rstrip()}\n\n{marked}" if text.strip() else marked
    before, rest = text.split(BEGIN)
    return before + marked + rest.split(END)[1].lstrip("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="directory of the five tables")
    parser.add_argument("--bank", type=Path, help="clients.parquet; without it the bank is left out")
    parser.add_argument("--out", type=Path, default=Path("target/few_label"), help="directory of what was measured")
    parser.add_argument("--seeds", type=int, default=15, help="splits and draws of the peers")
    parser.add_argument("--scaletot", help="the program; without it the peers alone are measured")
    parser.add_argument("--teacher", action="append", help="rules, or a teacher as `evaluate` takes it; may be given several times")
    parser.add_argument("--write", type=Path, help="page that the tables go into, between marks; else they are printed")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        sys.exit(f"--seeds: expected at least 2, found {arguments.seeds}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    paths = {name: arguments.tables / f"{name}.csv" for name in CLASSES if name != "bank"}
    if arguments.bank:
        paths["bank"] = arguments.bank
    for path in paths.values():
        if not path.is_file():
            sys.exit(f"{path}: there is no such file; --help says where it is offered")
    sections = []
    for name, path in paths.items():
        ours = {}
        for teacher in (arguments.teacher or ["rules"]) if arguments.scaletot else []:
            ours[label(teacher)] = of_scaletot(name, path, arguments.out, arguments.scaletot, teacher)
        sections.append(section(name, *of_peers(name, path, arguments.out, arguments.seeds), ours))
        print(f"{name}: done", file=sys.stderr)
    text = page(sections, arguments.seeds)
    if arguments.write:
        old = arguments.write.read_text() if arguments.write.exists() else ""
        arguments.write.write_text(splice(old, text))
    else:
        print(text)


if __name__ == "__main__":
    main()
