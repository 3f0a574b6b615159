#!/usr/bin/env python3
"""The published models in PyTorch, to be timed by bench_pytorch.py: one training step each, two ways.

  pytorch_models.py WORKLOAD WAY THREADS DEVICE     prints the version; then, for each number of steps read, seconds per
                                                      step of one instance, of the clock and of processors

Ways: `published` is what the notebooks do. `algebra` uses what toysweep uses about the structure of a table task, with
autograd and PyTorch's optimiser, a float32 loss, and no test loss: what PyTorch gains by that alone. `compiled` is the
same for several instances at once, by torch.func.vmap and torch.compile; seconds are those of one instance's step.
"""

import copy
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

def permutation_table(degree):
    """(n, n) of S_n in lexicographic order, x y being x first, then y."""
    elements = list(itertools.permutations(range(degree)))
    index = {element: i for i, element in enumerate(elements)}
    return torch.tensor([[index[tuple(y[i] for i in x)] for y in elements] for x in elements])


class Table:
    """Pairs of a table split for training and test; a network's parameters and AdamW."""

    def __init__(self, table, fraction):
        n = len(table)
        every = torch.randperm(n * n)
        a, b = torch.div(every, n, rounding_mode="floor"), every % n
        cut = int(fraction * n * n)
        self.n, labels = n, table[a, b]
        self.train, self.test = (a[:cut], b[:cut], labels[:cut]), (a[cut:], b[cut:], labels[cut:])
        self.parameters = []

    def draw(self, deviation, *shape):
        self.parameters.append(torch.nn.Parameter(torch.randn(*shape) * deviation))
        return self.parameters[-1]

    def optimise(self, betas=(0.9, 0.98)):
        self.adamw = torch.optim.AdamW(self.parameters, lr=1e-3, betas=betas, weight_decay=1.0)

    def descend(self, loss):
        self.adamw.zero_grad()
        loss.backward()
        self.adamw.step()

    def published_step(self):
        loss = self.published_loss(*self.train)
        self.descend(loss)
        with torch.no_grad():
            self.published_loss(*self.test)

    def algebra_step(self):
        a, b, labels = self.train
        self.descend(cross_entropy(self.algebra_logits(a, b), labels))

    def compile(self, instances):
        """Loss and gradient of so many instances with weights of their own, as one compiled function."""
        self.names = [name for name, value in vars(self).items() if isinstance(value, torch.nn.Parameter)]

        def loss(weights, a, b, labels):
            instance = copy.copy(self)
            vars(instance).update(weights)
            return cross_entropy(instance.algebra_logits(a, b), labels)

        self.gradient = torch.compile(torch.func.vmap(torch.func.grad(loss)))
        self.parameters = [torch.nn.Parameter(torch.stack([getattr(self, name).data] * instances))
                           for name in self.names]
        self.batch = [torch.stack([part] * instances) for part in self.train]
        self.optimise()

    def compiled_step(self):
        gradient = self.gradient({name: p.data for name, p in zip(self.names, self.parameters)}, *self.batch)
        for name, parameter in zip(self.names, self.parameters):
            parameter.grad = gradient[name]
        self.adamw.step()

    def published_loss(self, a, b, labels):
        logits = self.published_logits(a, b)
        chosen = torch.log_softmax(logits.to(torch.float64), dim=-1).gather(-1, labels[:, None])
        return -chosen.mean()


class Mlp(Table):
    """S_n, e.g. S5, trained on 40 % of the pairs; embeddings of 256, hidden layer of 128."""

    def __init__(self, group, embed=256, hidden=128):
        table = permutation_table(int(group[1:]))
        super().__init__(table, 0.4)
        n, self.embed = len(table), embed
        self.W_x, self.W_y = self.draw(embed ** -0.5, n, embed), self.draw(embed ** -0.5, n, embed)
        self.W = self.draw((2 * embed) ** -0.5, 2 * embed, hidden)
        self.W_U = self.draw(hidden ** -0.5, hidden, n)
        self.optimise()

    def published_logits(self, a, b):
        embedded = torch.cat([self.W_x[a], self.W_y[b]], dim=-1)
        return torch.relu(embedded @ self.W) @ self.W_U

    def algebra_logits(self, a, b):
        left, right = self.W_x @ self.W[:self.embed], self.W_y @ self.W[self.embed:]
        return torch.relu(left[a] + right[b]) @ self.W_U


class Transformer(Table):
    """Sums modulo p, e.g. 113, trained on 30 % of the pairs; one layer of width 128, 4 heads of 32, 512 neurons."""

    def __init__(self, p, model=128, heads=4, width=32, neurons=512):
        p = int(p)
        super().__init__((torch.arange(p)[:, None] + torch.arange(p)) % p, 0.3)
        deviation, self.width = 0.8 / model ** 0.5, width
        self.W_E, self.W_pos = self.draw(deviation, p + 1, model), self.draw(deviation, 3, model)
        self.W_Q, self.W_K, self.W_V = (self.draw(deviation, heads, model, width) for _ in range(3))
        self.W_O = self.draw(deviation, heads, width, model)
        self.W_in, self.W_out = self.draw(deviation, model, neurons), self.draw(deviation, neurons, model)
        self.W_U = self.draw(deviation, model, p)
        self.future = torch.ones(3, 3, dtype=torch.bool).triu(1)
        self.optimise()

    def published_logits(self, a, b):
        tokens = torch.stack([a, b, torch.full_like(a, self.n)], dim=1)
        x = self.W_E[tokens] + self.W_pos
        q, k, v = (torch.einsum("bpm,hmk->bhpk", x, W) for W in (self.W_Q, self.W_K, self.W_V))
        scores = torch.einsum("bhpk,bhqk->bhpq", q, k) / self.width ** 0.5
        mixed = torch.einsum("bhpq,bhqk->bhpk", scores.masked_fill(self.future, -1e10).softmax(dim=-1), v)
        x = x + torch.einsum("bhpk,hkm->bpm", mixed, self.W_O)
        x = x + torch.relu(x @ self.W_in) @ self.W_out
        return (x @ self.W_U)[:, -1]

    def algebra_logits(self, a, b):
        """The last position only: its query is one vector, scores and what heads write are tables over tokens."""
        at = self.W_E + self.W_pos[:, None]  # (position, token, model)
        last = at[2, self.n]
        queries = torch.einsum("m,hmk->hk", last, self.W_Q)
        scores = torch.einsum("ptm,hm->pth", at, torch.einsum("hmk,hk->hm", self.W_K, queries)) / self.width ** 0.5
        written = torch.einsum("ptm,hmd->pthd", at, self.W_V @ self.W_O)
        third = scores[2, self.n].expand(len(a), -1)
        attention = torch.stack([scores[0][a], scores[1][b], third], dim=-1).softmax(dim=-1)  # (pair, head, source)
        r = last + (attention[..., 0, None] * written[0][a] + attention[..., 1, None] * written[1][b]).sum(dim=1)
        r = r + attention[..., 2] @ written[2, self.n]
        return (r + torch.relu(r @ self.W_in) @ self.W_out) @ self.W_U


MODELS = {"tree": Tree, "mlp": Mlp, "transformer": Transformer}


def step_of(workload, way, together):
    """A step, and how many instances take it."""
    kind, size = workload.split(":")
    made = MODELS[kind](size)
    if kind == "tree":
        return made.step, TREE_INSTANCES
    if way == "compiled":
        made.compile(together)
        return made.compiled_step, together
    return {"published": made.published_step, "algebra": made.algebra_step}[way], 1


def main():
    workload, way, threads, device = sys.argv[1:]
    torch.set_num_threads(int(threads))
    if device != "cpu":  # Debian's PyTorch does not know the function
        torch.set_default_device(device)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    step, instances = step_of(workload, way, TOGETHER_GPU if device == "cuda" else TOGETHER)
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
