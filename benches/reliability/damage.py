"""Flips, cuts and swaps in files that were written: noticed, or without any effect on what comes out."""

import shutil
from pathlib import Path

from world import differing


def _spoil(data, random, kind):
    data = bytearray(data)
    if kind == "flip":
        at = random.randrange(len(data))
        data[at] ^= 1 << random.randrange(8)
        return bytes(data), f"bit flipped at byte {at}"
    if kind == "cut":
        left = random.choice([0, 1, len(data) // 2, len(data) - 1])
        return bytes(data[:left]), f"cut to {left} of {len(data)} bytes"
    at = random.randrange(len(data))
    return bytes(data[:at] + b"\0" * min(512, len(data) - at) + data[at + 512 :]), f"block of zeros at byte {at}"


def files(world, cases):
    """Damages one file of a finished run, runs it again, and scores with its artifact."""
    whole = sorted(p for p in (world.place / "whole").rglob("*") if p.is_file() and p.stat().st_size and p.name != ".lock")
    for case in range(cases):
        path = whole[case % len(whole)]
        name = path.relative_to(world.place / "whole")
        kind = ("flip", "cut", "zeros")[world.random.randrange(3)]
        damaged, what = _spoil(path.read_bytes(), world.random, kind)
        out = world.copy("damaged")
        (out / name).write_bytes(damaged)
        yield f"{name}: {what}", _noticed(world, out, name, damaged) or _no_wrong_scores(world, out, name)


def _noticed(world, out, name, damaged):
    """Whether the run names the damaged file, or makes it anew."""
    ended = world.call(*world.run_command("damaged"))
    if ended.crash():
        return ended.crash()
    if ended.code == 1:
        named = str(name).split("/")[0].encode()
        return "" if named in ended.output else f"refused without its name: {ended.last_line()}"
    names = differing(out, world.place / "whole")
    if str(name) == "corpus.jsonl" and _same_lines(out / name, world.place / "whole" / name):
        # Answers that were lost were asked for again, behind those that were kept, and the record of stages knows the file's hash.
        names = sorted({*names} - {"corpus.jsonl", "stages.json"})
    if not names:
        return ""
    if str(name) in names and (out / name).read_bytes() == damaged:
        return f"ended with {ended.code} and left it as it was"
    return f"ended with {ended.code} and other files: {', '.join(names[:4])}"


def _same_lines(one, other):
    return sorted(one.read_bytes().splitlines()) == sorted(other.read_bytes().splitlines())


def _no_wrong_scores(world, out, name):
    """Scores with the artifact, if it was the one that was damaged: refused, or the scores of the sound one."""
    if not str(name).startswith("artifact"):
        return ""
    shutil.rmtree(world.place / "rescored", ignore_errors=True)
    ended = world.call(*world.score_command("damaged/artifact", "users.csv", "rescored"))
    if ended.crash():
        return f"score {ended.crash()}"
    if ended.code == 0 and differing(world.place / "rescored", world.place / "scores"):
        return "score gave other scores"
    return ""


def tables(world, cases):
    """Damages a Parquet table of users and scores it, and leaves out what cannot be read: the file is named, or its users are scored.

    Whether a value was changed cannot be told of a table without checksums of its pages.
    """
    sound = Path(__file__).resolve().parents[2] / "crates/scaletot-pipeline/data/complete_journey.parquet"
    world.must("demo", "--out", "demo")
    table, out = world.place / "table.parquet", world.place / "of-table"
    for case in range(cases):
        damaged, what = _spoil(sound.read_bytes(), world.random, ("flip", "cut", "zeros")[case % 3])
        table.write_bytes(damaged)
        shutil.rmtree(out, ignore_errors=True)
        more, codes = ([], (0, 1)) if case % 2 else (["--on-error", "quarantine"], (0, 1, 4))
        ended = world.call(*world.score_command("demo/artifact", table.name, out.name, *more))
        wrong = ended.crash()
        if not wrong and ended.code not in codes:
            wrong = f"ended with {ended.code}: {ended.last_line()}"
        listed = (out / "quarantine.json").read_bytes() if (out / "quarantine.json").exists() else b""
        if not wrong and ended.code and table.name.encode() not in ended.output + listed:
            wrong = f"does not name the file: {ended.last_line()}"
        yield f"a table: {what}", wrong


def scores(world, cases):
    """Damages scores that are done: scoring again ends with the sound ones."""
    written = sorted(p for p in (world.place / "scores").rglob("*.parquet"))
    for _ in range(cases):
        path = world.random.choice(written)
        damaged, what = _spoil(path.read_bytes(), world.random, world.random.choice(["flip", "cut", "zeros"]))
        out = world.copy("damaged-scores", "scores")
        (out / path.relative_to(world.place / "scores")).write_bytes(damaged)
        ended = world.call(*world.score_command("whole/artifact", "users.csv", "damaged-scores"))
        wrong = ended.crash()
        names = [] if wrong else differing(out, world.place / "scores")
        if names and ended.code == 0:
            wrong = f"ended with 0 and left {', '.join(names)}"
        yield f"{path.name}: {what}", wrong


def inputs_changed(world, cases):
    """Changes one age of a table that was scored: it is seen, though length and layout are the same."""
    lines = (world.place / "users.csv").read_text().splitlines()
    for case in range(cases):
        changed = list(lines)
        row = world.random.randrange(1, len(lines))
        cells = changed[row].split(",")
        cells[1] = str(int(cells[1]) % 80 + 11)[-2:]
        changed[row] = ",".join(cells)
        (world.place / "changed.csv").write_text("\n".join(lines) + "\n")
        shutil.rmtree(world.place / "changed", ignore_errors=True)
        world.must(*world.score_command("whole/artifact", "changed.csv", "changed"))
        (world.place / "changed.csv").write_text("\n".join(changed) + "\n")
        again = world.call(*world.score_command("whole/artifact", "changed.csv", "changed"))
        shutil.rmtree(world.place / "anew", ignore_errors=True)
        world.must(*world.score_command("whole/artifact", "changed.csv", "anew"))
        names = differing(world.place / "changed", world.place / "anew")
        wrong = again.crash() or (f"stale {', '.join(names)}, exit {again.code}" if names and again.code == 0 else "")
        yield f"one age corrected in row {row}", wrong
