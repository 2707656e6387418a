"""Writes docs/results.md from the results of evaluations.

    python benches/results.py docs/results.md scaletot-evaluate/*/results.json --search strategies.json game24.json --transcripts target/transcripts/*.txt

`--served` takes runs that have the arm `served`. What stands between marks of other programs (`benches/few_label`) is kept, at the end. `--search` takes what the examples `strategies` and `game24` print with `--json`, `--transcripts` what `benches/transcripts.sh` writes. Needs nothing but Python. Runs of one task are put together: the seeds of the whole method first, then what was taken out of it.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

FORMAT = 1
OURS = "scaletot"
REASONING = ("scaletot", "served", "student", "teacher")
METRICS = (("spearman", "Spearman"), ("normalised_gini", "Normalised Gini"))


def read(path):
    results = json.loads(path.read_text())
    if results.get("format") != FORMAT:
        sys.exit(f"{path}: expected a results.json of format {FORMAT}, found {results.get('format')}")
    return results


def of_teacher(planted):
    errors = planted.get("field_errors", "none")
    return f"of noise {planted['noise']}" + ("" if errors == "none" else f" that errs by field ({errors})")


def title(results):
    """The task and its teacher: the same task with another teacher is another table, by the noise where each world has a teacher of its own."""
    planted = results["planted"]
    teacher = f"teacher {of_teacher(planted)}" if planted else results["run"]["teacher"]
    return f"{results['task']['name']}, {teacher}"


def size(labels):
    """0, 50, ..., or infinity for all; the file says {"count": 50} or "all"."""
    return float("inf") if labels == "all" else labels["count"]


def name_of(labels):
    return "all" if labels == float("inf") else f"{labels:,}"


def points(results, metric):
    return {(p["arm"], size(p["labels"])): p for p in results["curves"] if p["metric"] == metric}


def sizes(results):
    return sorted({size(p["labels"]) for p in results["curves"]})


def baselines(results):
    return [arm["name"] for arm in results["arms"] if arm["name"] not in REASONING]


def strongest(results, metric, labels):
    """The baseline with the best mean, and our paired difference to it."""
    at = points(results, metric)
    known = [arm for arm in baselines(results) if (arm, labels) in at]
    ours = at.get((OURS, labels))
    if not known or ours is None:
        return None
    best = max(known, key=lambda arm: at[arm, labels]["mean"])
    paired = [p for p in ours["against"] if p["baseline"] == best]
    return (best, paired[0]) if paired else None


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def curve_table(results, metric, title):
    at, columns = points(results, metric), sizes(results)
    if not at:
        return ""
    rows = []
    for arm in results["arms"]:
        cells = [f"{at[arm['name'], n]['mean']:.3f}" if (arm["name"], n) in at else "–" for n in columns]
        rows.append([arm["name"], *cells])
    return table([title, *map(name_of, columns)], rows)


def difference_table(results, metric, title):
    rows = []
    for n in sizes(results):
        found = strongest(results, metric, n)
        if found is None:
            continue
        best, paired = found
        low, high = paired["interval"]["low"], paired["interval"]["high"]
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        rows.append([
            name_of(n), best, f"{paired['difference']:+.3f}", f"{paired['error']:.3f}", f"[{low:+.3f}, {high:+.3f}]", verdict,
        ])
    if not rows:
        return ""
    return table([f"Labels ({title})", "strongest baseline", f"{OURS} minus it", "paired error", "95 %", "shown"], rows)


def served_table(results):
    """What an artifact serves beside the model it was made from; their paired error, and for scale that against the strongest baseline."""
    metric, title = METRICS[0]
    at, rows = points(results, metric), []
    for n in sizes(results):
        ours, served = at.get((OURS, n)), at.get(("served", n))
        if ours is None or served is None:
            continue
        paired = next(p for p in served["against"] if p["baseline"] == OURS)
        best = strongest(results, metric, n)
        rows.append([
            name_of(n), f"{ours['mean']:.4f}", f"{served['mean']:.4f}", f"{paired['difference']:+.4f}", f"{paired['error']:.4f}",
            f"{best[1]['error']:.4f}" if best else "–",
        ])
    if not rows:
        return ""
    header = [f"Labels ({title})", OURS, "served", f"served minus {OURS}", "paired error", f"paired error of {OURS} minus the strongest baseline"]
    return table(header, rows)


def command(run):
    """The command without where it wrote, and files by their names: where they lay says nothing."""
    words, kept = run["command"].split(" "), []
    while words:
        word = words.pop(0)
        if word == "--out":
            words.pop(0)
        elif not word.startswith("--out="):
            # --data=DIR/FILE and replay:DIR/FILE keep what stands before the path.
            kept.append(re.sub(r"(^|[=:])[^=:]*/", r"\1", word))
    return " ".join(kept)


def provenance(results):
    run = results["run"]
    folds = f"{run['folds']} folds × {run['repeats']}" if results["planted"] is None else "one split"
    return (
        f"`scaletot {command(run)}`\n\n{run['date']}, commit {run['commit'] or 'unknown'}, {run['machine']}; {run['seconds'] / 60:.0f} min; "
        f"{folds}; teacher {run['teacher']}, {run['coverage']:.2%} of users reasoned about.\n"
    )


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else float("nan")


def signals(results):
    lines = []
    ledger = results["ledger"]
    if ledger["reasoned"]:
        per_user = ledger["questions"] / ledger["reasoned"]
        lines.append(
            f"- Teacher: {ledger['reasoned']:,} searches over all folds, {per_user:.1f} questions each, {ledger['saved']:,} of "
            f"{ledger['questions']:,} answered without a model call. The encoder scores a million users in "
            f"{ledger['encoder_seconds_per_million']:.1f} s on one thread."
        )
    transfer = results["transfer"]
    if transfer:
        agreement = mean(mean(t["agreement"]) for t in transfer)
        lines.append(
            f"- Transfer to held-out users: {agreement:.1%} of states agree between student and encoder, cosine "
            f"{mean(t['cosine'] for t in transfer):.2f}, CKA {mean(t['cka'] for t in transfer):.2f}."
        )
    entropy = results["entropy"]
    if entropy:
        lines.append(
            f"- Refinement: mean entropy of the states {mean(entropy['before']):.2f} before and {mean(entropy['after']):.2f} after; "
            f"{entropy['changed']:.0%} of the drafts were changed."
        )
    return "\n".join(lines) + "\n"


def planted(results):
    found = results["planted"]
    if found is None:
        return ""
    accuracy = ", ".join(f"{name} {value:.3f}" for name, value in found["accuracy"])
    oracle = ", ".join(f"{name} {value:.3f}" for name, value in found["oracle"])
    rows = [
        [f"{p['noise']}, {p['missing']:.0%}", f"{p['greedy']:.3f}", f"{p['refined']:.3f}", f"{p['greedy_questions']:.1f}",
         f"{p['refined_questions']:.1f}"]
        for p in found["refinement"]
    ]
    header = ["Noise, missing cells", "greedy accuracy", "refined accuracy", "greedy questions", "refined questions"]
    return (
        f"State accuracy with a teacher of noise {found['noise']} (nobody who sees the profile alone can pass {found['bayes']:.3f}): {accuracy}. "
        f"Oracle, who knows the posterior: {oracle}.\n\n" + table(header, rows)
    )


def experiment(results):
    found = results["experiment"]
    if found is None:
        return ""
    rows = []
    for p in found["policies"]:
        at, other = p["incremental"], p["against_profile"]
        rows.append([
            f"{p['outcome']}, {p['share']:.0%}", p["arm"], f"{at['estimate']:.4f} [{at['low']:.4f}, {at['high']:.4f}]",
            "–" if other is None else f"{other['estimate']:+.4f} [{other['low']:+.4f}, {other['high']:+.4f}]",
        ])
    header = ["Outcome, share treated", "ranked by", "incremental per customer", "against profile"]
    return f"Simulated test ({found['treatment']}; {found['users'][0]:,} treated, {found['users'][1]:,} not):\n\n" + table(header, rows)


def coverage(results):
    if not results["coverage"]:
        return ""
    at = {(p["coverage"], size(p["labels"])): dict(map(tuple, p["metrics"])) for p in results["coverage"]}
    columns = sorted({labels for _, labels in at})
    rows = [
        [f"{share:.2%}", *(f"{at[share, n].get('spearman', float('nan')):.3f}" for n in columns)]
        for share in sorted({share for share, _ in at})
    ]
    return f"Share of users reasoned about (no OSIPO, first draw of labels, Spearman), `scaletot {command(results['run'])}`:\n\n" + table(["Coverage", *map(name_of, columns)], rows)


def seeds(runs, metric, title):
    """Our difference to the strongest baseline, in paired errors, per seed."""
    columns = sizes(runs[0])
    rows = []
    for results in runs:
        cells = []
        for n in columns:
            found = strongest(results, metric, n)
            if found is None:
                cells.append("–")
            else:
                best, paired = found
                errors = paired["difference"] / paired["error"] if paired["error"] else float("nan")
                cells.append(f"{paired['difference']:+.3f} ({errors:+.1f})")
        rows.append([f"seed {results['run']['seed']}", *cells])
    return f"{title}, {OURS} minus the strongest baseline (in paired errors):\n\n" + table(["", *map(name_of, columns)], rows)


def ablations(main, others):
    """The seeds that both have, as pairs."""
    columns = sizes(main[0])
    rows = []
    for what in sorted({variant(r) for r in others}):
        runs = {r["run"]["seed"]: r for r in others if variant(r) == what}
        pairs = [(r, runs[r["run"]["seed"]]) for r in main if r["run"]["seed"] in runs]
        if not pairs:
            continue
        cells = []
        for n in columns:
            both = [(points(a, "spearman").get((OURS, n)), points(b, "spearman").get((OURS, n))) for a, b in pairs]
            both = [(a["mean"], b["mean"]) for a, b in both if a and b]
            cells.append(f"{mean(b for _, b in both):.3f} ({mean(b - a for a, b in both):+.3f})" if both else "–")
        rows.append([f"{what}, {len(pairs)} seed{'s' if len(pairs) > 1 else ''}", *cells])
    return f"Taken out, Spearman of {OURS} (difference to the whole method on the same seeds):\n\n" + table(["", *map(name_of, columns)], rows)


def variant(results):
    run = results["run"]
    return " + ".join(f"--{flag}" for flag in run["ablations"])


def teacher(results):
    """Which teacher answered, and what its answers alone are worth."""
    who = results["run"]["teacher"]
    if results["planted"]:
        kind = "knows the world but for its errors"
    elif who.startswith("rules:"):
        kind = "a rules file, priors that were asked for once, for the schema"
    else:
        kind = "a language model that is asked about users"
    at = points(results, METRICS[0][0])
    alone = [
        f"{at[arm, 0]['mean']:.3f} {how}"
        for arm, how in (("teacher", "asked about every test user"), (OURS, "through the encoder"))
        if (arm, 0) in at
    ]
    worth = f" Its level alone, without labels, has a Spearman of {' and '.join(alone)}." if alone else ""
    return f"Teacher: `{who}`, {kind}.{worth}\n"


def section(name, runs, served=None):
    whole = sorted((r for r in runs if not variant(r)), key=lambda r: len(sizes(r)))
    # Of several runs of one seed the one with the most numbers of labels is shown; another may be there for its coverage curve alone.
    main = [r for _, r in sorted({r["run"]["seed"]: r for r in whole}.items())]
    unseen = [r for r in whole if r not in main and not r["coverage"]]
    if unseen:
        sys.exit(f"{name}: expected one run per seed, found another: scaletot {command(unseen[0]['run'])}")
    others = [r for r in runs if variant(r)]
    if not main:
        sys.exit(f"{name}: expected a run of the whole method beside those with something taken out")
    first = main[0]
    task = first["task"]
    text = [
        f"## {name}\n\n{task['title']}. {task['labelled']:,} users with a known outcome, {task['zero_share']:.1%} of them 0, mean "
        f"{task['mean_outcome']:.4g}{' ' + task['unit'] if task['unit'] else ''}; {len(task['fields'])} fields.\n",
        provenance(first),
        teacher(first),
    ]
    if len(main) > 1:
        text += [seeds(main, *METRICS[0])]
        if first["planted"]:
            header = ["", "limit", *(who for who, _ in first["planted"]["accuracy"])]
            rows = [
                [f"seed {r['run']['seed']}", f"{r['planted']['bayes']:.3f}", *(f"{v:.3f}" for _, v in r["planted"]["accuracy"])] for r in main
            ]
            text += [f"State accuracy, teacher {of_teacher(first['planted'])}:\n\n" + table(header, rows)]
        text += [f"Seed {first['run']['seed']} in full:\n"]
    for metric, title in METRICS:
        text += [curve_table(first, metric, title), difference_table(first, metric, title)]
    text += [served_table(first), signals(first), *map(coverage, whole), planted(first), experiment(first)]
    if others:
        text += [ablations(main, others)]
    text += ["\n".join(f"- {note}" for note in first["notes"]) + "\n" if first["notes"] else ""]
    if served:
        where = provenance(served).strip().replace("\n\n", ", ")
        text += [f"What is served of it, in a run of its own, {where}\n\n{served_table(served)}"]
    return "\n".join(part for part in text if part)


def bound(row):
    return "–" if row["bound"] is None else f"{row['bound']:,}"


def better(row):
    """By how much refinement is better at the same bound, with the interval."""
    if row["refine_better"] is None:
        return "–"
    return "{:+.4f} ({:+.4f} to {:+.4f})".format(*row["refine_better"])


def strategies(run):
    """What each search strategy reaches with a teacher's questions."""
    header = ["Strategy", "most questions", "questions", "mean score", "gain", "optimal", "refine better by"]
    known = any(row["accuracy"] is not None for row in run["rows"])
    rows = [
        [row["strategy"], bound(row), f"{row['queries']:.1f}", f"{row['score']:.4f}", f"{row['gain']:.1%}", f"{row['optimal']:.1%}", better(row)]
        + ([f"{row['accuracy']:.3f}"] if known else [])
        for row in run["rows"]
    ]
    full = next(row for row in run["rows"] if row["strategy"] == "full breadth-first")
    refine = next(row for row in run["rows"] if row["strategy"] == "refine" and row["bound"] is None)
    # Scores are negative; the share is that of the geometric mean probability, or how much longer the logarithm is.
    reached = full["score"] / refine["score"]
    return (
        f"## Search strategies: {run['task']}, {run['teacher']}\n\n{run['users']:,} users. The score of a chain is the mean log-probability of "
        f"its states less a tenth of their mean entropy; gain is the share of what the full breadth-first search gains over the greedy chain, optimal "
        f"the share of users whose best chain is as good as the full search's; the last differences are of mean scores at the same "
        f"bound, users paired, with 95 % intervals. Refinement reaches {reached:.1%} of the full search's mean score "
        f"with {refine['queries'] / full['queries']:.1%} of its questions.\n\n`{command(run)}`\n\n"
        + table(header + (["states right"] if known else []), rows)
    )


def game24(run):
    """Puzzles solved by each strategy, by the number of queries."""
    rows = [
        [row["strategy"], bound(row), f"{row['mean_queries']:.1f}", f"{row['solved']} of {row['solvable']}", f"{row['solved_share']:.1%}"]
        + [f"{row['proved']} of {row['puzzles'] - row['solvable']}"]
        for row in run["rows"]
    ]
    words = run["command"].split()
    teacher = words[words.index("--evaluator") + 1] if "--evaluator" in words else "exact"
    return f"## Game of 24, {teacher} teacher: {', '.join(dict.fromkeys(row['strategy'] for row in run['rows']))}\n\n`{command(run)}`\n\n" + table(["Strategy", "most queries", "queries", "solved", "share", "proved unsolvable"], rows)


def search(path):
    run = json.loads(path.read_text())
    return strategies(run) if "teacher" in run else game24(run)


def transcript(path):
    """A measurement as its command printed it: a heading on the first line, then the commands and what they said."""
    title, _, said = path.read_text().partition("\n")
    return f"## {title}\n\n```text\n{said.strip()}\n```\n"


HEAD = f"""# Results

Written by `benches/results.py` from the `results.json` of each run; no figure is typed by hand. Columns are numbers of labelled training
users; every arm sees the same draws of them on the same folds, and test users are served without any teacher call. `{OURS}` is the method;
`student` and `teacher` are its ceilings, which would cost a model call for every user; all others are baselines that see the profile alone.
A paired error is the standard error of a difference on the same folds, draws and users. "Better" and "worse" say that its 95 % bootstrap
interval excludes 0; nothing is corrected for the number of comparisons. What is served was measured in runs of its own: their `scaletot` is that of their
commit, and differs from that of the tables above it by what changed in between.
"""


def kept(path):
    """What other programs have written into the page between marks of their own, which stays."""
    text = path.read_text() if path.exists() else ""
    return "".join(block.group() for block in re.finditer(r"<!-- ([\w ]+): begin -->\n.*?<!-- \1: end -->\n", text, re.DOTALL))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="Markdown file to write")
    parser.add_argument("results", type=Path, nargs="+", help="results.json files of evaluations")
    parser.add_argument("--served", type=Path, nargs="+", default=[], help="results.json of runs with the arm served, for tasks whose other runs have none")
    parser.add_argument("--search", type=Path, nargs="+", default=[], help="output of strategies or game24 with --json")
    parser.add_argument("--transcripts", type=Path, nargs="+", default=[], help="measurements to be quoted: a heading, then commands and what they printed")
    options = parser.parse_args()
    tasks = {}
    for results in map(read, options.results):
        tasks.setdefault(title(results), []).append(results)
    served = {title(results): results for results in map(read, options.served)}
    text = "\n".join([HEAD, *(section(name, runs, served.get(name)) for name, runs in sorted(tasks.items())), *map(search, options.search), *map(transcript, options.transcripts)])
    text = "\n".join(filter(None, [text, kept(options.out)]))
    part = options.out.with_name(options.out.name + ".part")
    part.write_text(text)
    os.replace(part, options.out)


if __name__ == "__main__":
    main()
