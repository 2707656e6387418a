"""What the attacks are made on: a table of users, a task, and the files of one run that nobody disturbed."""

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# No attack may take longer, or more memory; both are far above what the undisturbed runs take.
SECONDS = 120
BYTES = 2 << 30
# Bytes by which a call of the program is known to have ended badly, whatever its exit status.
CRASHES = [b"panicked", b"RUST_BACKTRACE", b"memory allocation of"]


@dataclass
class Ended:
    """How a call of the program ended."""

    code: int | None  # None: it did not end in time
    output: bytes  # standard output and standard error
    seconds: float
    megabytes: float  # the largest resident set

    def crash(self):
        """What is wrong with the way it ended, whatever it was asked; an empty text if nothing is."""
        if self.code is None:
            return f"did not end within {self.seconds:.0f} s"
        if self.code < 0:
            return f"ended by signal {-self.code}"
        for text in CRASHES:
            if text in self.output:
                return f"said `{text.decode()}`"
        if self.megabytes > BYTES >> 20:
            return f"took {self.megabytes:.0f} MB"
        return ""

    def last_line(self):
        lines = self.output.decode("utf8", "replace").strip().splitlines()
        return lines[-1][:160] if lines else "(silent)"


class World:
    """A directory with `users.csv`, its task, a finished run in `whole` and its users' scores in `scores`."""

    def __init__(self, program, place, seed, users=600):
        self.program = str(Path(program).resolve())
        self.place = Path(place)
        self.random = random.Random(seed)
        self.place.mkdir(parents=True, exist_ok=True)
        self.table(self.place / "users.csv", users)
        self.must("init", "users.csv", "--outcome", "spend", "--subject", "A customer")
        self.must(*self.run_command("whole"))
        self.must(*self.score_command("whole/artifact", "users.csv", "scores"))

    @staticmethod
    def table(path, users, seed=7):
        draw = random.Random(seed)
        with open(path, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["user", "age", "city", "plan", "visits", "spend"])
            for user in range(users):
                age, plan = draw.randint(18, 80), draw.choice(["basic", "family", "premium"])
                visits = draw.choice(["", *range(12)])
                spend = max(0.0, draw.gauss(30 * (plan == "premium") + age / 4 - 10, 12))
                city = draw.choice(["north", "south", "east", "west"])
                rows.writerow([f"u{user}", age, city, plan, visits, f"{spend:.2f}"])

    def run_command(self, out, *more):
        return ["run", "--task", "users.task.toml", "--coverage", "0.3", "--out", out, *more]

    @staticmethod
    def score_command(artifact, users, out, *more):
        return ["score", "--artifact", artifact, "--input", str(users), "--output", str(out), *more]

    def call(self, *arguments, seconds=SECONDS, signals=(), environment=None, limits=None, cwd=None):
        """Runs the program to its end; `signals` are pairs of seconds after the start and a signal."""
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen(
                [self.program, *map(str, arguments)],
                cwd=cwd or self.place,
                env={**os.environ, "RUST_BACKTRACE": "0", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: begin(limits),
                restore_signals=False,
            )
            waiting = sorted(signals)
            code, usage = None, None
            while usage is None and time.monotonic() - began < seconds:
                pid, status, found = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    code, usage = os.waitstatus_to_exitcode(status), found
                    break
                while waiting and time.monotonic() - began >= waiting[0][0]:
                    os.kill(child.pid, waiting.pop(0)[1])
                time.sleep(0.002)
            if usage is None:
                os.kill(child.pid, signal.SIGKILL)
                usage = os.wait4(child.pid, 0)[2]
            child.returncode = code if code is not None else -9
            output.seek(0)
            return Ended(code, output.read(8 << 20), time.monotonic() - began, usage.ru_maxrss / 1024)

    def must(self, *arguments):
        ended = self.call(*arguments, seconds=600)
        if ended.code != 0:
            raise SystemExit(f"{' '.join(arguments)} failed with {ended.code}:\n{ended.output.decode('utf8', 'replace')}")
        return ended

    def copy(self, name, of="whole"):
        """A copy of a directory, under a name that is free."""
        place = self.place / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.place / of, place, symlinks=True)
        return place


def figures(value):
    """A JSON value without what differs from run to run: wall time, and what was asked in this call."""
    if isinstance(value, dict):
        left_out = {"seconds", "calls", "cache_hits", "resumed", "date", "started"}
        return {key: figures(item) for key, item in value.items() if key not in left_out}
    return [figures(item) for item in value] if isinstance(value, list) else value


def contents(directory):
    """The files below a directory with what must be equal in two runs."""
    files = {}
    for path in sorted(Path(directory).rglob("*")):
        name = str(path.relative_to(directory))
        # A training checkpoint names weights by numbers that are drawn anew in every process; a lock tells nothing when nobody holds it.
        if not path.is_file() or path.suffix == ".checkpoint" or path.name == ".lock":
            continue
        data = path.read_bytes()
        files[name] = figures(json.loads(data)) if name in ("summary.json", "stages.json") else data
    return files


def differing(one, other):
    """Names of files that are in one of two directories alone, or differ."""
    one, other = contents(one), contents(other)
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def begin(limits):
    """What a child does before the program: it hears signals, also where this script runs in the background and ignores them."""
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, signal.SIG_DFL)
    if limits:
        limits()


def file_size_limit(most):
    """Limits the size of the files that a child writes: a disk that is full, for whom there is no other."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return limit
