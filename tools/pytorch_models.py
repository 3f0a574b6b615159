#!/usr/bin/env python3
"""The published models in PyTorch, to be timed by bench_pytorch.py: one training step each, two ways.

  pytorch_models.py WORKLOAD WAY THREADS DEVICE [INSTANCES]     prints the version; then, for each number of steps read,
                                                      seconds per step of one instance, of the clock and of processors

Ways: `published` is what the notebooks do. `algebra` uses what toysweep uses about the structure of a table task, with
autograd and PyTorch's optimiser, a float32 loss, and no test loss: what PyTorch gains by that alone. `compiled` is the
same for several instances at once, by torch.func.vmap and torch.compile, `compiled-published` that of the published
network; seconds are those of one instance's step.
"""

import itertools
import sys
import time

from needs import need

need("torch")
import torch
from torch.nn.functional import cross_entropy

TREE_INSTANCES, TREE_BATCH = 5, 1024
TOGETHER, TOGETHER_GPU = 2, 132  # instances that are trained at once when compiled


# --- Trees ---------------------------------------------------------------------------------------------------------

class Tree:
    """1024 samples for each of 5 stacked instances, x_hat = relu(W^T W x + b) by einsum, autograd, Adam."""

    def __init__(self, point):
        self.depth, hidden = (int(number) for number in point.split("x"))
        features = 2 ** (self.depth + 1) - 2
        self.W = torch.nn.Parameter(torch.empty(TREE_INSTANCES, hidden, features))
        torch.nn.init.xavier_normal_(self.W)
        self.b = torch.nn.Parameter(torch.zeros(TREE_INSTANCES, features))
        self.importance = torch.ones(features)
        self.adam = torch.optim.Adam([self.W, self.b], lr=1e-3)

    def draw_samples(self):
        """(batch, instances, features): features that are on, level by level; a child is on if its parent is, its own
        coin shows 1 and its sibling's 0."""
        levels, on = [], torch.ones(TREE_BATCH, TREE_INSTANCES, 1, dtype=torch.bool)
        for _ in range(self.depth):
            coins = torch.rand(TREE_BATCH, TREE_INSTANCES, on.shape[2], 2) < 0.5
            children = on[..., None] & coins & ~coins.flip(-1)
            on = children.flatten(2)
            levels.append(on)
        return torch.cat(levels, dim=2).float()

    def step(self):
        x = self.draw_samples()
        hidden = torch.einsum("bif,ihf->bih", x, self.W)
        x_hat = torch.relu(torch.einsum("bih,ihf->bif", hidden, self.W) + self.b)
        loss = (self.importance * (x - x_hat) ** 2).mean(dim=(0, 2)).sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


# --- Table tasks ---------------------------------------------------------------------------------------------------

def one_hot(tokens, n):
    """(..., n); torch.nn.functional's looks at the numbers, which vmap does not allow."""
    return (tokens[..., None] == torch.arange(n)).float()


def table_of(name):
    """(n, n): S5, S_n in lexicographic order, x y being x first, then y; C31 or 31, sums modulo 31."""
    if name.startswith("S"):
        elements = list(itertools.permutations(range(int(name[1:]))))
        index = {element: i for i, element in enumerate(elements)}
        return torch.tensor([[index[tuple(y[i] for i in x)] for y in elements] for x in elements])
    each = torch.arange(int(name.lstrip("C")))
    return (each[:, None] + each) % len(each)


class Table:
    """Pairs of a table split for training and test; a network's weights and AdamW."""

    def __init__(self, name, fraction):
        table = table_of(name)
        self.n = n = len(table)
        every = torch.randperm(n * n)
        a, b = torch.div(every, n, rounding_mode="floor"), every % n
        cut = int(fraction * n * n)
        labels = table[a, b]
        self.train, self.test = (a[:cut], b[:cut], labels[:cut]), (a[cut:], b[cut:], labels[cut:])
        self.weights = {}

    def draw(self, **tensors):
        """Each (deviation, shape)."""
        for name, (deviation, shape) in tensors.items():
            self.weights[name] = torch.nn.Parameter(torch.randn(*shape) * deviation)
        self.optimise()

    def optimise(self, **how):
        self.adamw = torch.optim.AdamW(self.weights.values(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0, **how)

    def descend(self, loss):
        self.adamw.zero_grad()
        loss.backward()
        self.adamw.step()

    def loss(self, logits, labels):
        return cross_entropy(logits, labels)

    def published_loss(self, a, b, labels):
        logits = self.published(self.weights, a, b)
        chosen = torch.log_softmax(logits.to(torch.float64), dim=-1).gather(-1, labels[:, None])
        return -chosen.mean()

    def published_step(self):
        self.descend(self.published_loss(*self.train))
        with torch.no_grad():
            self.published_loss(*self.test)

    def algebra_step(self):
        a, b, labels = self.train
        self.descend(self.loss(self.algebra(self.weights, a, b), labels))

    def compile(self, network, instances):
        """Makes a compiled step of so many instances with weights of their own."""
        def loss(weights, a, b, labels):
            return self.loss(network(weights, a, b), labels)

        gradient = torch.compile(torch.func.vmap(torch.func.grad(loss)))
        batch = [torch.stack([part] * instances) for part in self.train]
        self.weights = {name: torch.nn.Parameter(torch.stack([value.data] * instances))
                        for name, value in self.weights.items()}
        self.optimise(fused=True)

        def step():
            for name, of in gradient({name: p.data for name, p in self.weights.items()}, *batch).items():
                self.weights[name].grad = of
            self.adamw.step()

        return step


class Mlp(Table):
    """Trained on 40 % of the pairs; embeddings of 256, hidden layer of 128, or as given."""

    def __init__(self, group, embed=256, hidden=128):
        super().__init__(group, 0.4)
        self.embed = embed
        self.draw(W_x=(embed ** -0.5, (self.n, embed)), W_y=(embed ** -0.5, (self.n, embed)),
                  W=((2 * embed) ** -0.5, (2 * embed, hidden)), W_U=(hidden ** -0.5, (hidden, self.n)))

    def published(self, w, a, b):
        embedded = torch.cat([w["W_x"][a], w["W_y"][b]], dim=-1)
        return torch.relu(embedded @ w["W"]) @ w["W_U"]

    def algebra(self, w, a, b):
        left, right = w["W_x"] @ w["W"][:self.embed], w["W_y"] @ w["W"][self.embed:]
        return torch.relu(left[a] + right[b]) @ w["W_U"]


class Mlp2(Table):
    """The same with two hidden layers."""

    def __init__(self, group, embed=256, inner=128, hidden=128):
        super().__init__(group, 0.4)
        self.embed = embed
        self.draw(W_x=(embed ** -0.5, (self.n, embed)), W_y=(embed ** -0.5, (self.n, embed)),
                  W_1=((2 * embed) ** -0.5, (2 * embed, inner)), W_2=(inner ** -0.5, (inner, hidden)),
                  W_U=(hidden ** -0.5, (hidden, self.n)))

    def published(self, w, a, b):
        embedded = torch.cat([w["W_x"][a], w["W_y"][b]], dim=-1)
        return torch.relu(torch.relu(embedded @ w["W_1"]) @ w["W_2"]) @ w["W_U"]

    def algebra(self, w, a, b):
        left, right = w["W_x"] @ w["W_1"][:self.embed], w["W_y"] @ w["W_1"][self.embed:]
        return torch.relu(torch.relu(left[a] + right[b]) @ w["W_2"]) @ w["W_U"]


class Quadratic(Table):
    """(U[a] + U[b])^2 W_U, trained on 40 % of the pairs to give the answer's one-hot vector."""

    def __init__(self, group, hidden):
        super().__init__(group, 0.4)
        self.draw(U=(self.n ** -0.5, (self.n, hidden)), W_U=(hidden ** -0.5, (hidden, self.n)))

    def loss(self, logits, labels):
        return ((logits - one_hot(labels, self.n)) ** 2).sum(dim=-1).mean()

    def published_loss(self, a, b, labels):
        return self.loss(self.published(self.weights, a, b), labels)

    def published(self, w, a, b):
        inputs = one_hot(a, self.n) + one_hot(b, self.n)
        return (inputs @ w["U"]) ** 2 @ w["W_U"]

    def algebra(self, w, a, b):
        return (w["U"][a] + w["U"][b]) ** 2 @ w["W_U"]


class Transformer(Table):
    """Sums modulo p or a group, trained on 30 % of the pairs; one layer of width 128, 4 heads of 32, 512 neurons."""

    def __init__(self, table, model=128, heads=4, width=32, neurons=512):
        super().__init__(table, 0.3)
        shapes = {"W_E": (self.n + 1, model), "W_pos": (3, model), "W_Q": (heads, model, width),
                  "W_K": (heads, model, width), "W_V": (heads, model, width), "W_O": (heads, width, model),
                  "W_in": (model, neurons), "W_out": (neurons, model), "W_U": (model, self.n)}
        self.width, self.future = width, torch.ones(3, 3, dtype=torch.bool).triu(1)
        self.draw(**{name: (0.8 / model ** 0.5, shape) for name, shape in shapes.items()})

    def published(self, w, a, b):
        tokens = torch.stack([a, b, torch.full_like(a, self.n)], dim=1)
        x = w["W_E"][tokens] + w["W_pos"]
        q, k, v = (torch.einsum("bpm,hmk->bhpk", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = torch.einsum("bhpk,bhqk->bhpq", q, k) / self.width ** 0.5
        mixed = torch.einsum("bhpq,bhqk->bhpk", scores.masked_fill(self.future, -1e10).softmax(dim=-1), v)
        x = x + torch.einsum("bhpk,hkm->bpm", mixed, w["W_O"])
        x = x + torch.relu(x @ w["W_in"]) @ w["W_out"]
        return (x @ w["W_U"])[:, -1]

    def algebra(self, w, a, b):
        """The last position only: its query is one vector, scores and what heads write are tables over tokens."""
        at = w["W_E"] + w["W_pos"][:, None]  # (position, token, model)
        last = at[2, self.n]
        queries = torch.einsum("m,hmk->hk", last, w["W_Q"])
        scores = torch.einsum("ptm,hm->pth", at, torch.einsum("hmk,hk->hm", w["W_K"], queries)) / self.width ** 0.5
        written = torch.einsum("ptm,hmd->pthd", at, w["W_V"] @ w["W_O"])
        third = scores[2, self.n].expand(len(a), -1)
        attention = torch.stack([scores[0][a], scores[1][b], third], dim=-1).softmax(dim=-1)  # (pair, head, source)
        r = last + (attention[..., 0, None] * written[0][a] + attention[..., 1, None] * written[1][b]).sum(dim=1)
        r = r + attention[..., 2] @ written[2, self.n]
        return (r + torch.relu(r @ w["W_in"]) @ w["W_out"]) @ w["W_U"]


MODELS = {"tree": Tree, "mlp": Mlp, "mlp2": Mlp2, "quadratic": Quadratic, "transformer": Transformer}


def step_of(workload, way, together):
    """A step, and how many instances take it."""
    kind, *words = workload.split(":")
    if kind == "tree":
        return Tree(words[0]).step, TREE_INSTANCES
    made = MODELS[kind](words[0], *(int(size) for word in words[1:] for size in word.split("x")))
    if way.startswith("compiled"):
        return made.compile(made.published if way == "compiled-published" else made.algebra, together), together
    return {"published": made.published_step, "algebra": made.algebra_step}[way], 1


def main():
    workload, way, threads, device, *together = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if device != "cpu":  # Debian's PyTorch does not know the function
        torch.set_default_device(device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    together = int(together[0]) if together else TOGETHER_GPU if device == "cuda" else TOGETHER
    step, instances = step_of(workload, way, together)
    step()
    wait()
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        begin, used = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            step()
        wait()
        taken = int(line) * instances
        print((time.perf_counter() - begin) / taken, (time.process_time() - used) / taken, flush=True)


if __name__ == "__main__":
    main()
