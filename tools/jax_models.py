#!/usr/bin/env python3
"""The published models in JAX, to be timed by bench_pytorch.py: training steps, two ways.

  jax_models.py WORKLOAD WAY THREADS DEVICE [INSTANCES]     prints the version; then, for each number of steps read,
                                                  seconds per step of one instance, of the clock and of processors

All instances at once by vmap, steps by scan, all of it compiled by jit; gradients by grad, steps by optax. Ways:
`published` is the network of the notebooks, in float32 and without their test losses. `algebra` uses what toysweep uses
about the structure of a table task.
"""

import itertools
import os
import sys
import time

from needs import need

need("jax", "optax")
if sys.argv[3:4] == ["1"]:  # XLA has no number of threads to set but one
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax
import jax.numpy as jnp
import optax

SCAN = 10  # steps of a call
TREE_BATCH = 1024
TOGETHER, TOGETHER_GPU = {"tree": 5}, {"tree": 1056}  # instances, as toysweep trains beside it; of tables:
TABLES, TABLES_GPU = 2, 132


def normal(key, deviation, *shape):
    return deviation * jax.random.normal(key, shape)


class Tree:
    """1024 samples a step, x_hat = relu(W^T W x + b), Adam."""

    optimiser = optax.adam(1e-3)

    def __init__(self, point):
        self.depth, self.hidden = (int(number) for number in point.split("x"))
        self.features = 2 ** (self.depth + 1) - 2

    def parameters(self, key):
        return {"W": normal(key, 0.1, self.hidden, self.features), "b": jnp.zeros(self.features)}

    def draw_samples(self, key):
        """(batch, features): a child is on if its parent is, its own coin shows 1 and its sibling's 0."""
        levels, on = [], jnp.ones((TREE_BATCH, 1), bool)
        for level in jax.random.split(key, self.depth):
            coins = jax.random.bernoulli(level, shape=(TREE_BATCH, on.shape[1], 2))
            on = (on[..., None] & coins & ~coins[..., ::-1]).reshape(TREE_BATCH, -1)
            levels.append(on)
        return jnp.concatenate(levels, axis=1).astype(jnp.float32)

    def loss(self, w, _, key, way):
        x = self.draw_samples(key)
        x_hat = jax.nn.relu(x @ w["W"].T @ w["W"] + w["b"])
        return jnp.mean((x - x_hat) ** 2)


def table_of(name):
    """(n, n): S5, S_n in lexicographic order, x y being x first, then y; C31 or 31, sums modulo 31."""
    if name.startswith("S"):
        elements = list(itertools.permutations(range(int(name[1:]))))
        index = {element: i for i, element in enumerate(elements)}
        return jnp.array([[index[tuple(y[i] for i in x)] for y in elements] for x in elements])
    each = jnp.arange(int(name.lstrip("C")))
    return (each[:, None] + each) % len(each)


class Table:
    """Pairs of a table that are trained on; AdamW."""

    optimiser = optax.adamw(1e-3, b1=0.9, b2=0.98, weight_decay=1.0)

    def __init__(self, name, fraction):
        self.table, self.fraction = table_of(name), fraction
        self.n = len(self.table)

    def data(self, key):
        """a, b and label of each training pair."""
        pairs = jax.random.permutation(key, self.n * self.n)[:int(self.fraction * self.n * self.n)]
        a, b = pairs // self.n, pairs % self.n
        return a, b, self.table[a, b]

    def loss(self, w, data, key, way):
        a, b, label = data
        return self.loss_of(getattr(self, way)(w, a, b), label)

    def loss_of(self, logits, label):
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()


class Mlp(Table):
    """Trained on 40 % of the pairs; embeddings of 256, hidden layer of 128, or as given."""

    def __init__(self, group, embed=256, hidden=128):
        super().__init__(group, 0.4)
        self.embed, self.hidden = embed, hidden

    def parameters(self, key):
        x, y, w, u = jax.random.split(key, 4)
        return {"W_x": normal(x, self.embed ** -0.5, self.n, self.embed),
                "W_y": normal(y, self.embed ** -0.5, self.n, self.embed),
                "W": normal(w, (2 * self.embed) ** -0.5, 2 * self.embed, self.hidden),
                "W_U": normal(u, self.hidden ** -0.5, self.hidden, self.n)}

    def published(self, w, a, b):
        embedded = jnp.concatenate([w["W_x"][a], w["W_y"][b]], axis=-1)
        return jax.nn.relu(embedded @ w["W"]) @ w["W_U"]

    def algebra(self, w, a, b):
        left, right = w["W_x"] @ w["W"][:self.embed], w["W_y"] @ w["W"][self.embed:]
        return jax.nn.relu(left[a] + right[b]) @ w["W_U"]


class Mlp2(Table):
    """The same with two hidden layers."""

    def __init__(self, group, embed=256, inner=128, hidden=128):
        super().__init__(group, 0.4)
        self.embed, self.inner, self.hidden = embed, inner, hidden

    def parameters(self, key):
        x, y, first, second, u = jax.random.split(key, 5)
        return {"W_x": normal(x, self.embed ** -0.5, self.n, self.embed),
                "W_y": normal(y, self.embed ** -0.5, self.n, self.embed),
                "W_1": normal(first, (2 * self.embed) ** -0.5, 2 * self.embed, self.inner),
                "W_2": normal(second, self.inner ** -0.5, self.inner, self.hidden),
                "W_U": normal(u, self.hidden ** -0.5, self.hidden, self.n)}

    def published(self, w, a, b):
        embedded = jnp.concatenate([w["W_x"][a], w["W_y"][b]], axis=-1)
        return jax.nn.relu(jax.nn.relu(embedded @ w["W_1"]) @ w["W_2"]) @ w["W_U"]

    def algebra(self, w, a, b):
        left, right = w["W_x"] @ w["W_1"][:self.embed], w["W_y"] @ w["W_1"][self.embed:]
        return jax.nn.relu(jax.nn.relu(left[a] + right[b]) @ w["W_2"]) @ w["W_U"]


class Quadratic(Table):
    """(U[a] + U[b])^2 W_U, trained on 40 % of the pairs to give the answer's one-hot vector."""

    def __init__(self, group, hidden):
        super().__init__(group, 0.4)
        self.hidden = hidden

    def parameters(self, key):
        first, second = jax.random.split(key)
        return {"U": normal(first, self.n ** -0.5, self.n, self.hidden),
                "W_U": normal(second, self.hidden ** -0.5, self.hidden, self.n)}

    def loss_of(self, logits, label):
        return jnp.sum((logits - jax.nn.one_hot(label, self.n)) ** 2, axis=-1).mean()

    def published(self, w, a, b):
        inputs = jax.nn.one_hot(a, self.n) + jax.nn.one_hot(b, self.n)
        return (inputs @ w["U"]) ** 2 @ w["W_U"]

    def algebra(self, w, a, b):
        return (w["U"][a] + w["U"][b]) ** 2 @ w["W_U"]


class Transformer(Table):
    """Sums modulo p or a group, trained on 30 % of the pairs; one layer of width 128, 4 heads of 32, 512 neurons."""

    model, heads, width, neurons = 128, 4, 32, 512

    def __init__(self, table):
        super().__init__(table, 0.3)

    def parameters(self, key):
        shapes = {"W_E": (self.n + 1, self.model), "W_pos": (3, self.model),
                  "W_Q": (self.heads, self.model, self.width), "W_K": (self.heads, self.model, self.width),
                  "W_V": (self.heads, self.model, self.width), "W_O": (self.heads, self.width, self.model),
                  "W_in": (self.model, self.neurons), "W_out": (self.neurons, self.model),
                  "W_U": (self.model, self.n)}
        keys = jax.random.split(key, len(shapes))
        return {name: normal(k, 0.8 / self.model ** 0.5, *shape) for k, (name, shape) in zip(keys, shapes.items())}

    def published(self, w, a, b):
        tokens = jnp.stack([a, b, jnp.full_like(a, self.n)], axis=1)
        x = w["W_E"][tokens] + w["W_pos"]
        q, k, v = (jnp.einsum("bpm,hmk->bhpk", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = jnp.einsum("bhpk,bhqk->bhpq", q, k) / self.width ** 0.5
        future = jnp.triu(jnp.ones((3, 3), bool), 1)
        mixed = jnp.einsum("bhpq,bhqk->bhpk", jax.nn.softmax(jnp.where(future, -1e10, scores)), v)
        x = x + jnp.einsum("bhpk,hkm->bpm", mixed, w["W_O"])
        x = x + jax.nn.relu(x @ w["W_in"]) @ w["W_out"]
        return (x @ w["W_U"])[:, -1]

    def algebra(self, w, a, b):
        """The last position only: its query is one vector, scores and what heads write are tables over tokens."""
        at = w["W_E"] + w["W_pos"][:, None]  # (position, token, model)
        last = at[2, self.n]
        queries = jnp.einsum("m,hmk->hk", last, w["W_Q"])
        scores = jnp.einsum("ptm,hm->pth", at, jnp.einsum("hmk,hk->hm", w["W_K"], queries)) / self.width ** 0.5
        written = jnp.einsum("ptm,hmd->pthd", at, w["W_V"] @ w["W_O"])
        third = jnp.broadcast_to(scores[2, self.n], (len(a), self.heads))
        attention = jax.nn.softmax(jnp.stack([scores[0][a], scores[1][b], third], axis=-1))  # (pair, head, source)
        r = last + (attention[..., 0, None] * written[0][a] + attention[..., 1, None] * written[1][b]).sum(axis=1)
        r = r + attention[..., 2] @ written[2, self.n]
        return (r + jax.nn.relu(r @ w["W_in"]) @ w["W_out"]) @ w["W_U"]


MODELS = {"tree": Tree, "mlp": Mlp, "mlp2": Mlp2, "quadratic": Quadratic, "transformer": Transformer}


def model_of(kind, words):
    if kind == "tree":
        return Tree(words[0])
    return MODELS[kind](words[0], *(int(size) for word in words[1:] for size in word.split("x")))


class Training:
    """So many instances, from a key each."""

    def __init__(self, model, way, instances):
        keys = jax.random.split(jax.random.PRNGKey(0), instances)
        weights = jax.vmap(model.parameters)(keys)
        self.state = weights, jax.vmap(model.optimiser.init)(weights), keys
        self.data = jax.vmap(model.data)(keys) if hasattr(model, "data") else None

        def step(state, data):
            weights, moments, key = state
            key, now = jax.random.split(key)
            gradient = jax.grad(model.loss)(weights, data, now, way)
            change, moments = model.optimiser.update(gradient, moments, weights)
            return (optax.apply_updates(weights, change), moments, key), None

        def steps(state, data):
            return jax.lax.scan(lambda now, _: step(now, data), state, length=SCAN)[0]

        self.call = jax.jit(jax.vmap(steps), donate_argnums=0)

    def train(self, calls):
        for _ in range(calls):
            self.state = self.call(self.state, self.data)
        jax.block_until_ready(self.state)


def main():
    workload, way, _, device, *instances = sys.argv[1:]
    kind, *words = workload.split(":")
    jax.config.update("jax_platforms", device)
    usual = TOGETHER_GPU.get(kind, TABLES_GPU) if device == "cuda" else TOGETHER.get(kind, TABLES)
    instances = int(instances[0]) if instances else usual
    training = Training(model_of(kind, words), way, instances)
    training.train(1)
    print(jax.__version__, flush=True)
    for line in sys.stdin:
        calls = -(-int(line) // SCAN)
        begin, used = time.perf_counter(), time.process_time()
        training.train(calls)
        taken = calls * SCAN * instances
        print((time.perf_counter() - begin) / taken, (time.process_time() - used) / taken, flush=True)


if __name__ == "__main__":
    main()
