"""Hostile files: each ends with an error that names it, in bounded time and memory, or is read as what it is."""

import gzip
import json
import os
import shutil
import struct
from pathlib import Path

# What a refused input may cost.
SECONDS, MEGABYTES = 20, 1500


def _tables(place):
    """Files that are given as tables of users: a name, and a maker."""

    def text(content):
        return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode())

    header = "user,age,city,plan,visits,spend\n"
    row = "u1,30,north,basic,2,5.0\n"

    def sparse(path):
        with open(path, "wb") as file:
            file.truncate(64 << 30)

    def long_header(path):
        path.write_text("user,age,city,plan,visits,spend," + "x" * (100 << 20) + "\n" + row)

    def bomb(path):
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(header.encode())
            for _ in range(4 << 10):
                file.write(b" " * (1 << 20))

    return [
        ("a pipe", "pipe.csv", os.mkfifo),
        ("a device without an end", "zero.csv", lambda path: path.symlink_to("/dev/zero")),
        ("a directory", "directory.csv", lambda path: path.mkdir()),
        ("an empty file", "empty.csv", text("")),
        ("a header alone", "header.csv", text(header)),
        ("a header of 100 MB", "long-header.csv", long_header),
        ("64 GB of nothing", "sparse.csv", sparse),
        ("64 GB of nothing called Parquet", "sparse.parquet", sparse),
        ("text called Parquet", "text.parquet", text(header + row)),
        ("a Parquet file of its magic numbers", "magic.parquet", text(b"PAR1PAR1")),
        ("a Parquet directory longer than the file", "directory.parquet", text(b"PAR1" + struct.pack("<I", 1 << 31) + b"PAR1")),
        ("gzip of four gigabytes of spaces", "bomb.csv.gz", bomb),
        ("gzip that is cut", "cut.csv.gz", text(gzip.compress((header + row).encode())[:-9])),
        ("UTF-16", "utf16.csv", text((header + row).encode("utf16"))),
        ("Latin-1", "latin.csv", text((header + "u1,30,nörth,basic,2,5.0\n").encode("latin1"))),
        ("a quote that never ends", "quote.csv", text(header + '"u1,30,north,basic,2,5.0\n' + row * 100)),
        ("text after a closing quote", "after.csv", text(header + '"u1"x,30,north,basic,2,5.0\n')),
        ("a row that is too short", "short.csv", text(header + "u1,30\n")),
        ("escape codes in a cell", "escape.csv", text(header + "u1,\x1b[2J\x1b]0;t\x07,north,basic,2,5.0\n")),
        ("a number beyond all", "beyond.csv", text(header + "u1,1e999,north,basic,2,5.0\n")),
        ("a column twice", "twice.csv", text("user,age,age,city,plan,visits\nu1,30,31,north,basic,2\n")),
    ]


def tables(world, cases):
    place = world.place / "hostile"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for what, name, make in _tables(place)[:cases]:
        path = place / name
        make(path)
        for verb, call in [
            ("score", world.score_command("whole/artifact", path, "hostile-scores")),
            ("init", ["init", str(path), "--name", "hostile", "--force", "--out", str(place / "drafts")]),
        ]:
            ended = world.call(*call, seconds=SECONDS)
            yield f"{verb}: {what}", _refused(ended, name)
        path.unlink() if not path.is_dir() else path.rmdir()


def _refused(ended, name):
    wrong = ended.crash()
    if not wrong and ended.megabytes > MEGABYTES:
        wrong = f"took {ended.megabytes:.0f} MB"
    if not wrong and ended.code == 1 and name.split(".")[0].encode() not in ended.output:
        wrong = f"does not name the file: {ended.last_line()}"
    if not wrong and ended.code not in (0, 1, 4):
        wrong = f"ended with {ended.code}: {ended.last_line()}"
    if not wrong and (b"\x1b[2J" in ended.output or b"\x07" in ended.output):
        wrong = "escape codes of a cell reached the terminal"
    if not wrong and len(ended.output) > 20_000:
        wrong = f"a message of {len(ended.output)} bytes"
    return wrong


def artifacts(world, cases):
    """Artifacts whose files were made by somebody else, sums and all."""

    def manifest(change):
        def spoil(artifact):
            path = artifact / "manifest.json"
            value = json.loads(path.read_text())
            change(value)
            path.write_text(json.dumps(value))

        return spoil

    def weights(spoil):
        return lambda artifact: spoil(next(Path(artifact).glob("*.safetensors")))

    def huge_numbers(path):
        data = bytearray(path.read_bytes())
        start = 8 + struct.unpack("<Q", data[:8])[0]
        for at in range(start, len(data) - 3, 4):
            data[at : at + 4] = struct.pack("<f", 3e38)
        path.write_bytes(data)

    def sparse(path):
        os.truncate(path, 6 << 30)

    def claimed(path):
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + length])
        for tensor in header.values():
            if "shape" in tensor:
                tensor["shape"] = [1 << 40, *tensor["shape"]]
                break
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    def pipe(path):
        path.unlink()
        os.mkfifo(path)

    spoilt = [
        ("weights of 3e38", weights(huge_numbers)),
        ("six sparse gigabytes of weights", weights(sparse)),
        ("a tensor that claims 2^40 rows", weights(claimed)),
        ("weights that are a pipe", weights(pipe)),
        ("a manifest that is a pipe", lambda artifact: pipe(artifact / "manifest.json")),
        ("an unknown key in the manifest", manifest(lambda value: value.update(surprise=1))),
        ("no sums", lambda artifact: (artifact / "SHA256SUMS").unlink()),
    ]
    for what, spoil in spoilt[:cases]:
        artifact = world.copy("spoilt", "whole/artifact")
        spoil(artifact)
        # Whoever writes the files writes their sums too.
        sums = artifact / "SHA256SUMS"
        if sums.exists() and not any(p.is_fifo() or p.stat().st_size > 1 << 30 for p in artifact.iterdir()):
            _sign(artifact, sums)
        shutil.rmtree(world.place / "spoilt-scores", ignore_errors=True)
        ended = world.call(*world.score_command("spoilt", "users.csv", "spoilt-scores"), seconds=SECONDS)
        wrong = ended.crash()
        if not wrong and ended.code == 0:
            wrong = "scored with it" if any((world.place / "spoilt-scores").rglob("*.parquet")) else ""
        yield f"score: {what}", wrong or _refused(ended, "spoilt")


def _sign(artifact, sums):
    import hashlib

    lines = []
    for line in sums.read_text().splitlines():
        name = line.split()[-1].lstrip("*")
        lines.append(f"{hashlib.sha256((artifact / name).read_bytes()).hexdigest()}  {name}")
    sums.write_text("\n".join(lines) + "\n")
