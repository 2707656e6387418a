"""Attacks the program and writes down how it stood: `python3 benches/reliability PROGRAM [--cases N] [--seed N] [--write docs/reliability.md]`.

Needs Python 3.9 on a Unix and a program built with `--features openai`; no package. Ends with 1 if an attack succeeded.
"""

import argparse
import tempfile
import time
from pathlib import Path

import damage
import disturbances
import inputs
import servers
from world import World

# Kinds of attack: a name, what is promised, what makes the cases, and the largest number of them.
KINDS = [
    ("kills", "killed three times at random moments, then run again: the files of an undisturbed run", disturbances.kills, 1000),
    ("kills within --fresh", "killed three times while it starts over, then run: the files of an undisturbed run", disturbances.fresh_kills, 1000),
    ("signals", "SIGINT, SIGTERM, SIGHUP: exit 3, and the files of an undisturbed run when run again", disturbances.signals, 1000),
    ("full disks", "writes refused at a random size: exit 1, the file named, and the files of an undisturbed run when run again", disturbances.full_disks, 1000),
    ("second writers", "two runs at once in one directory: one works, the other names the holder", disturbances.second_writers, 1000),
    ("damaged files", "a flip, a cut or zeros in any file of a run: refused by name, or made anew", damage.files, 1000),
    ("damaged tables", "a flip, a cut or zeros in a Parquet table of users: named, or its users scored", damage.tables, 1000),
    ("damaged scores", "the same in scores that are done: made anew", damage.scores, 1000),
    ("corrected inputs", "one cell of a scored table changed, length kept: scored again", damage.inputs_changed, 1000),
    ("hostile tables", "refused by name within 20 s and 1.5 GB, or read as what it is", inputs.tables, 100),
    ("hostile artifacts", "refused by name within 20 s and 1.5 GB, also with sums that fit", inputs.artifacts, 100),
    ("hostile servers", "an end within 90 s that is no success, and no trace of the key", servers.attacks, 100),
    ("silent servers", "stopped within 2 s of Ctrl-C", servers.silence, 100),
]
MARKS = ("<!-- scoreboard: written by benches/reliability -->", "<!-- end of the scoreboard -->")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the program `scaletot`")
    parser.add_argument("--cases", type=int, default=12, help="cases of each kind that is drawn at random (12)")
    parser.add_argument("--kinds", default="", help="kinds to run, separated by commas; all unless given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="the page whose scoreboard is replaced")
    arguments = parser.parse_args()
    wanted = [kind.strip() for kind in arguments.kinds.split(",") if kind.strip()]
    unknown = set(wanted) - {kind[0] for kind in KINDS}
    if unknown:
        parser.error(f"expected kinds of {', '.join(kind[0] for kind in KINDS)}, found {', '.join(unknown)}")

    lines, failures = ["| attack | promised | cases | stood |", "| --- | --- | --- | --- |"], []
    with tempfile.TemporaryDirectory() as place:
        world = World(arguments.program, place, arguments.seed)
        for name, promised, attack, most in KINDS:
            if wanted and name not in wanted:
                continue
            began, cases, stood = time.monotonic(), 0, 0
            for case, wrong in attack(world, min(arguments.cases, most) if most == 1000 else most):
                cases, stood = cases + 1, stood + (not wrong)
                if wrong:
                    failures.append(f"{name}: {case}: {wrong}")
                    print(f"FAILED {failures[-1]}", flush=True)
            print(f"{name}: {stood} of {cases} in {time.monotonic() - began:.0f} s", flush=True)
            lines.append(f"| {name} | {promised} | {cases} | {stood} |")
    if arguments.write:
        page = arguments.write.read_text()
        before, _, rest = page.partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        arguments.write.write_text(f"{before}{MARKS[0]}\n\n" + "\n".join(lines) + f"\n\n{MARKS[1]}{after}")
    print(f"{len(failures)} attacks succeeded" if failures else "every attack was withstood")
    raise SystemExit(bool(failures))


main()
