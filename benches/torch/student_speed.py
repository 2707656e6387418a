"""Does with PyTorch what `student_speed` did, on what it wrote, and prints the same lines of JSON.

    python benches/torch/student_speed.py target/student_speed.json --threads 1

Training: the same sequences, batch size, loss, optimizer, clipping and float32. Inference: greedy chains over the values of each state
with a cache of keys and values, users sorted by the lengths of their profiles, posteriors kept. Attention through
`scaled_dot_product_attention`, which chooses PyTorch's fastest kernel. `--compile` adds `torch.compile` to training.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv, self.size = c["heads"], c["kv_heads"], c["width"] // c["heads"]
        self.before, self.after = Norm(c["width"], c["eps"]), Norm(c["width"], c["eps"])
        self.qkv = nn.Linear(c["width"], (self.heads + 2 * self.kv) * self.size, bias=False)
        self.out = nn.Linear(c["width"], c["width"], bias=False)
        self.gate_up = nn.Linear(c["width"], 2 * c["ff"], bias=False)
        self.down = nn.Linear(c["ff"], c["width"], bias=False)

    def forward(self, x, cos, sin, mask, cache=None):
        rows, length, width = x.shape
        qkv = self.qkv(self.before(x)).view(rows, length, self.heads + 2 * self.kv, self.size).transpose(1, 2)
        qk, v = qkv[:, : self.heads + self.kv], qkv[:, self.heads + self.kv :]
        first, second = qk.chunk(2, dim=-1)
        qk = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        q, k = qk[:, : self.heads], qk[:, self.heads :]
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
            cache[:] = [k, v]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        gate, up = self.gate_up(self.after(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed = nn.Embedding(c["vocab"], c["width"])
        nn.init.normal_(self.embed.weight, std=c["width"] ** -0.5)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm, self.c = Norm(c["width"], c["eps"]), c

    def hidden(self, ids, valid, caches=None):
        """States of `ids`, the last columns of `valid`, after what the caches hold."""
        keys, length, half = valid.shape[1], ids.shape[1], self.c["width"] // self.c["heads"] // 2
        positions = torch.arange(keys - length, keys)
        angles = positions[:, None] * self.c["theta"] ** (-torch.arange(half) / half)[None]
        causal = torch.arange(keys)[None] <= positions[:, None]
        # A padded query sees itself, so that no row of the softmax is empty.
        mask = (valid[:, None, :] & causal | (torch.arange(keys)[None] == positions[:, None]))[:, None]
        x = self.embed(ids)
        for layer, cache in zip(self.layers, caches or [None] * len(self.layers)):
            x = layer(x, angles.cos(), angles.sin(), mask, cache)
        return self.norm(x)

    def forward(self, ids, valid):
        return self.hidden(ids, valid)[:, -self.c["chain"] :] @ self.embed.weight.T


def padded(sequences):
    length = max(map(len, sequences))
    ids = torch.tensor([[0] * (length - len(s)) + s for s in sequences])
    valid = torch.tensor([[False] * (length - len(s)) + [True] * len(s) for s in sequences])
    return ids, valid


@torch.inference_mode()
def infer(model, c, prompts):
    """The greedy chain of each user, in the order of `prompts`, with the posteriors of its values."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    chains = [None] * len(prompts)
    kept = []
    for at in range(0, len(order), c["infer_batch"]):
        users = order[at : at + c["infer_batch"]]
        ids, valid = padded([prompts[i] for i in users])
        caches, values = [[] for _ in range(c["layers"])], []
        for state, (name, domain) in enumerate(c["states"]):
            columns = [ids if state == 0 else chosen[:, None], torch.full((len(users), 1), name)]
            ids = torch.cat(columns, dim=1)
            new = ids.shape[1] - (columns[0].shape[1] if state == 0 else 0)
            valid = torch.cat([valid, torch.ones(len(users), new, dtype=torch.bool)], dim=1)
            hidden = model.hidden(ids, valid, caches)
            first, end = domain["start"], domain["end"]
            posterior = (hidden[:, -1] @ model.embed.weight[first:end].T).softmax(-1)
            kept.append(posterior)
            chosen = posterior.argmax(-1) + first
            values.append(posterior.argmax(-1))
        for i, chain in zip(users, torch.stack(values, 1).tolist()):
            chains[i] = chain
    return chains


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    c = json.load(open(options.data))
    model = Decoder(c)
    forward = torch.compile(model, dynamic=True) if options.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=c["learning_rate"], weight_decay=c["weight_decay"])
    sequences = c["sequences"]
    tokens, seconds = sum(map(len, sequences)), []
    for epoch in range(c["epochs"]):
        began, losses = time.perf_counter(), []
        order = torch.randperm(len(sequences)).tolist()
        for at in range(0, len(order), c["batch"]):
            ids, valid = padded([sequences[i] for i in order[at : at + c["batch"]]])
            # Nothing follows the last token.
            logits = forward(ids[:, :-1], valid[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, -c["chain"] :].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), c["clip_norm"])
            optimizer.step()
            losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
    median = statistics.median_high(seconds[1:])
    print(json.dumps({
        "library": f"torch {torch.__version__}" + (", compiled" if options.compile else ""), "what": "train", "width": c["width"], "layers": c["layers"],
        "parameters": sum(p.numel() for p in model.parameters()), "tokens": tokens, "seconds": median,
        "fastest": min(seconds[1:]), "slowest": max(seconds[1:]), "tokens_per_second": tokens / median,
        "loss": sum(losses) / len(losses),
    }))

    prompts = [s[: -c["chain"]] for s in sequences]
    seconds = []
    for _ in range(c["infer_times"]):
        began = time.perf_counter()
        chains = infer(model, c, prompts)
        seconds.append(time.perf_counter() - began)
    median = statistics.median_high(seconds[1:])
    right = sum(chain == [(user + k) % 3 for k in range(len(c["states"]))] for user, chain in enumerate(chains))
    print(json.dumps({
        "library": f"torch {torch.__version__}", "what": "infer", "width": c["width"], "layers": c["layers"], "users": len(prompts),
        "seconds": median, "fastest": min(seconds[1:]), "slowest": max(seconds[1:]), "users_per_second": len(prompts) / median,
        "right": right / len(prompts),
    }))


if __name__ == "__main__":
    main()
