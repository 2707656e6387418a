"""Trains the architecture of a student with PyTorch on what `train_speed` wrote, and prints the same line of JSON.

    python benches/torch/train_speed.py target/train_speed.json --threads 1

The same sequences, batch size, loss, optimizer, clipping and float32; attention through `scaled_dot_product_attention`, which
chooses PyTorch's fastest kernel. `--compile` adds `torch.compile`.
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

    def forward(self, x, cos, sin, mask):
        rows, length, width = x.shape
        qkv = self.qkv(self.before(x)).view(rows, length, self.heads + 2 * self.kv, self.size).transpose(1, 2)
        qk, v = qkv[:, : self.heads + self.kv], qkv[:, self.heads + self.kv :]
        first, second = qk.chunk(2, dim=-1)
        qk = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
        q, k = qk[:, : self.heads], qk[:, self.heads :]
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

    def forward(self, ids, valid):
        length, half = ids.shape[1], self.c["width"] // self.c["heads"] // 2
        angles = torch.arange(length)[:, None] * self.c["theta"] ** (-torch.arange(half) / half)[None]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        # A padded query sees itself, so that no row of the softmax is empty.
        mask = (valid[:, None, :] & causal | torch.eye(length, dtype=torch.bool))[:, None]
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin(), mask)
        hidden = self.norm(x)[:, -self.c["chain"] :]
        return hidden @ self.embed.weight.T


def padded(sequences):
    length = max(map(len, sequences))
    ids = torch.tensor([[0] * (length - len(s)) + s for s in sequences])
    valid = torch.tensor([[False] * (length - len(s)) + [True] * len(s) for s in sequences])
    return ids, valid


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
        "library": f"torch {torch.__version__}" + (", compiled" if options.compile else ""), "width": c["width"], "layers": c["layers"],
        "parameters": sum(p.numel() for p in model.parameters()), "tokens": tokens, "seconds": median,
        "fastest": min(seconds[1:]), "slowest": max(seconds[1:]), "tokens_per_second": tokens / median,
        "loss": sum(losses) / len(losses),
    }))


if __name__ == "__main__":
    main()
