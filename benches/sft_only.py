"""What OSIPO adds to SFT on real tables: pairs of `evaluate` runs on the same folds and draws, with and without `--sft-only`.

    python benches/sft_only.py WITH/results.json WITHOUT/results.json [WITH WITHOUT ...]

Prints Markdown: Spearman of the arms `scaletot` and `student` for every number of labelled users, SFT only and SFT with OSIPO, and the
paired difference with a 95 % interval over the folds (Student's t; a fold's value is the mean over its draws).
"""

import json
import statistics
import sys

# 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom.
T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]


def spearman(path):
    """The run, and by arm, labels and fold the mean Spearman over the draws."""
    results = json.load(open(path))
    found = {}
    for cell in results["cells"]:
        value = dict(cell["metrics"]).get("spearman")
        labels = cell["labels"]["count"] if isinstance(cell["labels"], dict) else cell["labels"]
        if value is not None:
            found.setdefault((cell["arm"], labels), {}).setdefault((cell["repeat"], cell["fold"]), []).append(value)
    return results, {key: {fold: statistics.fmean(values) for fold, values in folds.items()} for key, folds in found.items()}


def row(arm, labels, with_osipo, without):
    folds = sorted(with_osipo.keys() & without.keys())
    differences = [with_osipo[fold] - without[fold] for fold in folds]
    mean = statistics.fmean(differences)
    cells = [statistics.fmean(without[fold] for fold in folds), statistics.fmean(with_osipo[fold] for fold in folds)]
    if len(folds) > 1:
        half = T[len(folds) - 2] * statistics.stdev(differences) / len(folds) ** 0.5
        verdict = "better" if mean > half else "**worse**" if mean < -half else "no difference shown"
        change = f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}] | {verdict}"
    else:
        change = f"{mean:+.4f} | one fold"
    count = "all" if labels == "all" else f"{labels:,}"
    return f"| `{arm}` | {count} | {cells[0]:.4f} | {cells[1]:.4f} | {change} |"


def main():
    paths = sys.argv[1:]
    if not paths or len(paths) % 2:
        sys.exit(__doc__)
    for with_path, without_path in zip(paths[::2], paths[1::2]):
        (results, with_osipo), (other, without) = spearman(with_path), spearman(without_path)
        if "sft-only" not in other["run"]["ablations"] or results["run"]["ablations"]:
            sys.exit(f"{with_path} {without_path}: expected a run by the defaults and one with --sft-only")
        task = results["task"]["name"] if isinstance(results["task"], dict) else results["task"]
        print(f"\n**{task}**, {results['run']['folds']} folds, teacher {results['run']['teacher']}, commit {results['run']['commit']}:\n")
        print("| arm | labels | SFT only | SFT + OSIPO | difference | |\n| --- | ---: | ---: | ---: | ---: | --- |")
        order = lambda key: (key[0], float("inf") if key[1] == "all" else key[1])
        for key in sorted(with_osipo.keys() & without.keys(), key=order):
            if key[0] in ("scaletot", "student"):
                print(row(*key, with_osipo[key], without[key]))


if __name__ == "__main__":
    main()
