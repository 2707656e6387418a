"""Kills, signals, full disks and second writers: a run that is disturbed ends, run again, with the files of one that was not."""

import signal
import threading

from world import differing, file_size_limit


def _ends_alike(world, out, reference="whole"):
    """Runs to the end what was disturbed; what is wrong with it then."""
    ended = world.call(*world.run_command(out))
    if ended.crash():
        return ended.crash()
    if ended.code != 0:
        return f"run again, it ended with {ended.code}: {ended.last_line()}"
    names = differing(world.place / out, world.place / reference)
    return f"other files after it: {', '.join(names[:5])}" if names else ""


def _whole_seconds(world):
    world.must(*world.run_command("timed"))
    return world.call(*world.run_command("timed", "--fresh")).seconds


def kills(world, cases):
    seconds = _whole_seconds(world)
    for case in range(cases):
        out = f"killed-{case}"
        # Several times in one directory: what the first kill left is in the way of the second.
        for _ in range(3):
            world.call(*world.run_command(out), signals=[(world.random.uniform(0.01, seconds), signal.SIGKILL)])
        yield f"run, killed three times ({case})", _ends_alike(world, out)


def fresh_kills(world, cases):
    """Kills within `--fresh`, most of them while it throws away what is there, then the same command without it."""
    begun = world.call("--version").seconds
    world.copy("cleared")
    cleared = world.call(*world.run_command("cleared", "--fresh")).seconds
    for case in range(cases):
        out = f"fresh-{case}"
        world.copy(out)
        for _ in range(3):
            # What is there is thrown away soon after the start.
            latest = cleared if case % 4 == 3 else begun + 0.15 * (cleared - begun)
            world.call(*world.run_command(out, "--fresh"), signals=[(world.random.uniform(begun / 2, latest), signal.SIGKILL)])
        yield f"run --fresh, killed three times ({case})", _ends_alike(world, out)


def signals(world, cases):
    seconds = _whole_seconds(world)
    for case in range(cases):
        kind = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[case % 3]
        out = f"stopped-{case}"
        ended = world.call(*world.run_command(out), signals=[(world.random.uniform(0.05, 0.8 * seconds), kind)])
        wrong = ended.crash()
        # 0: it was done before the signal came.
        if not wrong and ended.code not in (0, 3):
            wrong = f"ended with {ended.code}, expected 3: {ended.last_line()}"
        yield f"run, {kind.name} ({case})", wrong or _ends_alike(world, out)


def full_disks(world, cases):
    largest = max(path.stat().st_size for path in (world.place / "whole").rglob("*") if path.is_file())
    for case in range(cases):
        most = int(largest * world.random.uniform(0.0, 0.9))
        out = f"full-{case}"
        ended = world.call(*world.run_command(out), limits=file_size_limit(most))
        wrong = ended.crash()
        if not wrong and ended.code != 1:
            wrong = f"ended with {ended.code}, expected 1: {ended.last_line()}"
        if not wrong and out.encode() not in ended.output:
            wrong = f"does not name the file: {ended.last_line()}"
        yield f"run, no file may exceed {most} bytes", wrong or _ends_alike(world, out)


def second_writers(world, cases):
    for case in range(cases):
        out, ended = f"shared-{case}", []
        calls = [threading.Thread(target=lambda: ended.append(world.call(*world.run_command(out)))) for _ in range(2)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        codes = sorted(str(end.code) for end in ended)
        wrong = next((end.crash() for end in ended if end.crash()), "")
        refused = [end for end in ended if end.code == 1]
        if not wrong and codes not in (["0", "1"], ["0", "0"]):
            wrong = f"ended with {' and '.join(codes)}"
        if not wrong and refused and b"process" not in refused[0].output:
            wrong = f"the refusal does not name the holder: {refused[0].last_line()}"
        yield f"two runs at once in one directory ({case})", wrong or _ends_alike(world, out)
