#!/usr/bin/env bash
# Measures the engine and the driver and writes what the commands print, for `benches/results.py --transcripts`: overhead per node
# (criterion), memory of a million nodes, and how busy 64 users keep a server. Run it on an otherwise idle machine.
#
#     bash benches/transcripts.sh target/transcripts
set -euo pipefail
out=${1:?a folder to write to}
mkdir -p "$out"
out=$(realpath "$out")
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never

machine() {
  printf '%s, %s cores, commit %s, %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)" \
    "$(git rev-parse --short HEAD)" "$(date -u +%F)"
}
# measure FILE HEADING FILTER COMMAND...
measure() {
  local file=$out/$1 heading=$2 filter=$3
  shift 3
  local said
  if ! said=$("$@" 2>&1); then
    echo "$said" >&2
    return 1
  fi
  { echo "$heading"; machine; echo "\$ $*"; grep -E "$filter" <<<"$said"; } >"$file.part"
  mv "$file.part" "$file"
}

measure nodes.txt 'Engine: overhead per node (criterion: low, estimate, high; elements are nodes)' \
  '^search_node|^ +time: .*[nµm]s|^ +thrpt: .*elem/s' \
  cargo bench -p scaletot-benches --bench search -- --noplot
measure memory.txt 'Engine: memory of a million nodes, with values and the whole trace' 'nodes, peak' \
  cargo test --release -p scaletot-search --test memory -- --nocapture
measure capacity.txt 'Driver: 64 users against a server that takes 20 ms a request' 'places:' \
  cargo test --release -p scaletot-teacher --features openai --test openai -- --ignored capacity --nocapture
