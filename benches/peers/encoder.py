"""ONNX Runtime, LightGBM and OpenBLAS beside the example `encoder_speed`: the same network with the same weights, the same users.

    pip install -r benches/peers/requirements.txt
    cargo run --release -p scaletot-encoder --no-default-features --example encoder_speed -- target/encoder_speed
    python benches/peers/encoder.py target/encoder_speed [--rounds 3] [--artifact DIR]

Prints a line of JSON for each figure. With --rounds the example is run again before each round, so that both see the same moments of
the machine: ours, theirs, ours, theirs; a table of the rounds' medians follows, with ratios to ONNX Runtime in 32-bit floats of the
same round. --artifact is what the example was given, if it was. ONNX Runtime's outputs must be ours to 1e-4, or this stops.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits


def times(calls, call):
    """The sorted seconds of so many calls, after a tenth as many that do not count."""
    for _ in range(calls // 10):
        call()
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return sorted(found)


ROUNDS = []


def say(**figures):
    print(json.dumps(figures), flush=True)
    if ROUNDS:
        ROUNDS[-1].append(figures)


def network(weights, rows, path):
    """The network as an ONNX graph of codes `[n, fields]` to the outcome head's three numbers; `rows` of each field's embeddings."""
    tensors, nodes, fields = [], [], len(rows)

    def constant(name, values):
        tensors.append(numpy_helper.from_array(values, name))
        return name

    embedding = weights["embedding.weight"]
    width = embedding.shape[1]
    constant("embedding", embedding)
    constant("first", np.cumsum([0] + rows[:-1]).astype(np.int64).reshape(1, fields))
    constant("flat", np.array([-1, fields * width], dtype=np.int64))
    nodes.append(helper.make_node("Add", ["codes", "first"], ["places"]))
    nodes.append(helper.make_node("Gather", ["embedding", "places"], ["embedded"], axis=0))
    nodes.append(helper.make_node("Reshape", ["embedded", "flat"], ["x"]))
    x = "x"
    for name in sorted(key[: -len(".weight")] for key in weights if key.startswith("trunk.") and key.endswith(".weight")):
        inputs = [x, constant(f"{name}.weight", weights[f"{name}.weight"]), constant(f"{name}.bias", weights[f"{name}.bias"])]
        nodes.append(helper.make_node("Gemm", inputs, [f"{name}.sum"]))
        nodes.append(helper.make_node("Relu", [f"{name}.sum"], [name]))
        x = name
    inputs = [x, constant("outcome.weight", weights["outcome.weight"]), constant("outcome.bias", weights["outcome.bias"])]
    nodes.append(helper.make_node("Gemm", inputs, ["outcome"]))
    codes = helper.make_tensor_value_info("codes", TensorProto.INT64, ["n", fields])
    outcome = helper.make_tensor_value_info("outcome", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph(nodes, "encoder", [codes], [outcome], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def batch(library, what, threads, users, calls, call):
    seconds = times(calls, call)
    rate = lambda share: users / seconds[int(share * (calls - 1))]
    say(library=library, what=what, threads=threads, batch=users, users_per_second=rate(0.5), slower_decile=rate(0.9), faster_decile=rate(0.1))


def onnx_runtime(path, what, codes, expected, calls, singles):
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        found = session.run(None, {"codes": codes})[0]
        worst = float(np.max(np.abs(found - expected) / (1 + np.abs(expected))))
        if what == "f32" and not worst <= 1e-4:
            raise SystemExit(f"ONNX Runtime differs by {worst}: this is not the same network")
        batch("onnxruntime", what, threads, len(codes), calls, lambda: session.run(None, {"codes": codes}))
        if threads == 1:
            one = codes[17:18]
            seconds = times(singles, lambda: session.run(None, {"codes": one}))
            say(library="onnxruntime", what=what, single_user_median_us=seconds[singles // 2] * 1e6,
                single_user_p99_us=seconds[singles * 99 // 100] * 1e6, largest_difference=worst)


def light_gbm(codes, target, calls):
    """A booster of 100 trees with 31 leaves on the same codes, and its raw predictions."""
    data = lightgbm.Dataset(codes.astype(np.float64), target, params={"verbose": -1})
    settings = {"objective": "regression", "num_leaves": 31, "verbose": -1, "num_threads": 2, "min_data_in_leaf": 5}
    booster = lightgbm.train(settings, data, 100)
    rows = codes.astype(np.float64)
    for threads in (1, 2):
        batch("lightgbm", "100 trees of 31 leaves", threads, len(rows), calls, lambda: booster.predict(rows, num_threads=threads))


def gemm(calls):
    """What a large product of 32-bit floats reaches: `[1024, 1024] · [1024, 1024]`."""
    a = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    out = np.empty_like(a)
    for threads in (1, 2):
        with threadpool_limits(threads):
            seconds = times(calls, lambda: np.matmul(a, a, out=out))
        say(library="openblas", what="f32 product", threads=threads, gflops=2 * 1024**3 / seconds[len(seconds) // 2] / 1e9)


def summary():
    """The rounds' medians as a table, with the least and the largest."""
    def figure(found, key, threads=None):
        return {(line["library"], line["what"]): line[key] for line in found if key in line and threads in (None, line.get("threads"))}

    columns = [("users/s, 1 thread", "users_per_second", 1, 1e6, "M"), ("users/s, 2 threads", "users_per_second", 2, 1e6, "M"),
               ("one user, median", "single_user_median_us", None, 1, "µs"), ("one user, p99", "single_user_p99_us", None, 1, "µs"),
               ("f32 products, 1 thread", "gflops", 1, 1, "GFLOP/s")]
    print("\n| | " + " | ".join(f"{title} | ratio" for title, *_ in columns) + " |")
    print("| --- |" + " ---: |" * 2 * len(columns))
    names = dict.fromkeys((line["library"], line["what"]) for found in ROUNDS for line in found)
    for name in names:
        cells = []
        for _, key, threads, unit, called in columns:
            rounds = [figure(found, key, threads) for found in ROUNDS]
            values = [found[name] / unit for found in rounds if name in found]
            peer = ("openblas", "f32 product") if key == "gflops" else ("onnxruntime", "f32")
            ratios = [found[name] / found[peer] for found in rounds if name in found and peer in found]
            spread = lambda values: f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
            cells += [f"{spread(values)} {called}", spread(ratios)] if values and ratios else ["", ""]
        if any(cells):
            print(f"| {' '.join(name)} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--example", default="target/release/examples/encoder_speed")
    arguments = parser.parse_args()
    users = json.load(open(arguments.directory / "users.json"))
    codes = np.ascontiguousarray(np.array(users["codes"], dtype=np.int64).T)
    expected = np.array(users["outcome"], dtype=np.float32)
    weights = load_file(arguments.directory / "artifact" / "weights.safetensors")
    plain, small = str(arguments.directory / "f32.onnx"), str(arguments.directory / "int8.onnx")
    network(weights, users["rows_per_field"], plain)
    quantize_dynamic(plain, small, weight_type=QuantType.QInt8)
    for number in range(arguments.rounds):
        if arguments.rounds > 1:
            command = [arguments.example, arguments.directory, *filter(None, [arguments.artifact])]
            ours = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            ROUNDS.append([])
            for line in ours.splitlines():
                say(**json.loads(line))
        onnx_runtime(plain, "f32", codes, expected, users["repeats"], users["singles"])
        onnx_runtime(small, "int8", codes, expected, users["repeats"], users["singles"])
        light_gbm(codes, expected[:, 1], users["repeats"] // 4)
        gemm(21)
    if ROUNDS:
        summary()


if __name__ == "__main__":
    main()
