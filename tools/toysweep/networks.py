"""Models in numpy, from their trained parameters by name (W_x, W_y, W, W_U, ... of an mlp; W_E, W_pos, ... of a
transformer; W, W_dec, b of an autoencoder, which is asked for by its class).

Tokens are numbers or arrays of numbers, which broadcast as numpy's do. Everything is computed in float64.
"""

import math

import numpy as np

PUBLISHED = {  # names in exported files: those of TransformerLens
    "embed.W_E": "W_E", "pos_embed.W_pos": "W_pos", "blocks.0.attn.W_Q": "W_Q", "blocks.0.attn.W_K": "W_K",
    "blocks.0.attn.W_V": "W_V", "blocks.0.attn.W_O": "W_O", "blocks.0.mlp.W_in": "W_in",
    "blocks.0.mlp.W_out": "W_out", "unembed.W_U": "W_U",
}
TRANSFORMER = tuple(PUBLISHED.values())
MLP = {("W_x", "W_y", "W"), ("W_E", "W"), ("U",), ("U", "V")}  # by `embedding`, what there is beside W_U and biases
BIASES = {"b", "b_U"}
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0), "square": np.square, "cube": lambda x: x ** 3, "abs": np.abs,
    "gelu": lambda x: x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2, "tanh": np.tanh,
    "identity": lambda x: x,
}
OF_LAYERS = {"attn": ("W_Q", "W_K", "W_V", "W_O"), "mlp": ("W_in", "W_out", "b_in", "b_out"), "ln1": ("w", "b"),
             "ln2": ("w", "b")}  # TransformerLens' names in a block
MOST_LAYERS = 4
# What of a transformer's keys weights do not tell, where it is not the default.
DEFAULTS = {"attention_rate": 1, "separate_vocabulary": False}


def own_name(name):
    """The results file's name of a parameter by its published one, where there is one layer: `b_in` of
    `blocks.0.mlp.b_in`; `W_Q_1` of `blocks.1.attn.W_Q`."""
    parts = name.split(".")
    if name in PUBLISHED:
        return PUBLISHED[name]
    if len(parts) == 4 and parts[0] == "blocks" and parts[3] in OF_LAYERS.get(parts[2], ()):
        own = parts[3] if parts[3][1:2] == "_" else f"{parts[2]}_{parts[3]}"
        return own if parts[1] == "0" else f"{own}_{parts[1]}"
    return {"ln_final.w": "ln_final_w", "ln_final.b": "ln_final_b"}.get(name, name)


def published_name(name):
    """The other way round, as exported files have it; the results file's where there is no other."""
    plain, _, layer = name.rpartition("_") if name[-2:-1] == "_" and name[-1].isdigit() else (name, "", "0")
    whole = {own: published for published, own in PUBLISHED.items()} | {
        "ln_final_w": "ln_final.w", "ln_final_b": "ln_final.b"}
    if plain in whole:
        return whole[plain].replace("blocks.0.", f"blocks.{layer}.")
    for part, names in OF_LAYERS.items():
        for one in names:
            if plain == (one if one[1:2] == "_" else f"{part}_{one}"):
                return f"blocks.{layer}.{part}.{one}"
    return name


def own_names(weights):
    """Weights by the names of the results file, whatever they have."""
    weights = {own_name(name): values for name, values in weights.items()}
    if any(f"{name}_1" in weights for name in TRANSFORMER):  # several layers: the first has a number, too
        first = [name for name in weights if f"{name}_1" in weights]
        weights = {f"{name}_0" if name in first else name: values for name, values in weights.items()}
    return weights


def network(weights, keys=None):
    """The network with these parameters, of an instance with these keys (toysweep.Results.resolved; None: they are the
    default); None if they are those of no table model."""
    weights, keys = {name: np.asarray(values, dtype=np.float64) for name, values in weights.items()}, keys or {}
    activation = ACTIVATIONS[keys.get("activation", "relu")]
    if is_transformer(weights):
        return AnyTransformer(weights, keys) if differs(weights, keys) else Transformer(weights, activation)
    return Mlp(weights, activation) if is_mlp(weights) else None


def differs(weights, keys):
    """Is a transformer more than one layer without biases on a, b and "=", and as many outputs?"""
    return (set(weights) != set(TRANSFORMER) or len(weights["W_pos"]) != 3 or
            keys.get("outputs", 0) not in (0, "classes") or
            not keys and len(weights["W_E"]) != weights["W_U"].shape[1] + 1 or
            any(keys.get(name, usual) != usual for name, usual in DEFAULTS.items()))


def is_transformer(names):
    names = set(names)
    return {"W_E", "W_pos", "W_U"} <= names and ("W_in" in names or "W_in_0" in names)


def is_mlp(names):
    """Are these the parameters of an mlp?"""
    return any(set(names) - BIASES == {*mlp, "W_U"} for mlp in MLP)


def is_known(names):
    """Are these the parameters of a table model?"""
    return is_transformer(names) or is_mlp(names)


def sizes(shapes):
    """(neurons, outputs) of a network whose parameters have these shapes (or such, of one of many)."""
    layer = next((name for name in ("W_in", "W_in_0") if name in shapes), None)
    return shapes[layer][-1] if layer else shapes["W_U"][-2], shapes["W_U"][-1]


class Mlp:
    """hidden = f([W_x[a], W_y[b]] W + b), logits = hidden W_U + b_U; W_E for W_x and W_y; U[a] + V[b], or U[a] + U[b],
    for the product with W."""

    def __init__(self, weights, activation):
        self.weights, self.activation = weights, activation
        w = weights
        left, right = w.get("W_x", w.get("W_E", w.get("U"))), w.get("W_y", w.get("W_E", w.get("V", w.get("U"))))
        self.tokens, embed = left.shape
        self.left = left @ w["W"][:embed] if "W" in w else left      # (n, hidden)
        self.right = right @ w["W"][embed:] if "W" in w else right   # (n, hidden)
        self.unembedding = w["W_U"]                                  # (hidden, outputs)
        self.bias = w.get("b", np.zeros(len(self.unembedding)))
        self.output_bias = w.get("b_U", np.zeros(self.unembedding.shape[1]))

    def hidden(self, a, b, neurons=slice(None)):
        """(..., neurons): of all, or of some."""
        return self.activation(self.left[:, neurons][a] + self.right[:, neurons][b] + self.bias[neurons])

    def logits(self, a, b, readout=None):
        """(..., outputs), or times `readout` (outputs, columns), which takes less time."""
        by, bias = self.unembedding, self.output_bias
        if readout is not None:
            by, bias = by @ readout, bias @ readout
        return self.hidden(a, b) @ by + bias


class Transformer:
    """One layer, of which only the last position ("=") is read: its query is the same for all pairs."""

    def __init__(self, weights, activation):
        self.weights, self.activation = weights, activation
        w = weights
        self.tokens = n = len(w["W_E"]) - 1
        self.left = self.right = w["W_E"][:n]          # (n, model)
        self.unembedding = w["W_out"] @ w["W_U"]       # (neurons, outputs)
        self.heads, _, width = w["W_Q"].shape
        at = w["W_E"][None] + w["W_pos"][:, None]      # (position, token, model)
        self.last = at[2, n]                           # (model)
        queries = np.einsum("m,hmk->hk", self.last, w["W_Q"])
        keys = at[:, None] @ w["W_K"]                  # (position, head, token, width)
        self.scores = np.einsum("hk,phtk->pht", queries, keys) / np.sqrt(width)  # (position, head, token)
        self.values = at[:, None] @ w["W_V"] @ w["W_O"]                          # (position, head, token, model)
        self.written = self.values @ w["W_in"]                                   # (position, head, token, neuron)

    def attention(self, a, b):
        """(..., head, source): weights of the last position on a, b and "="."""
        a, b = np.broadcast_arrays(a, b)
        scores = np.stack([np.moveaxis(self.scores[position][:, token], 0, -1)
                           for position, token in enumerate((a, b, np.full_like(a, self.tokens)))], axis=-1)
        exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return exponents / exponents.sum(axis=-1, keepdims=True)

    def residual(self, a, b):
        """(..., model): the residual stream before the MLP."""
        a, b = np.broadcast_arrays(a, b)
        if a.ndim > 1:  # a row at a time stays in the processor's cache
            return np.stack([self.residual(*row) for row in zip(a, b)])
        attention, total = self.attention(a, b), self.last
        for position, token in enumerate((a, b, np.full_like(a, self.tokens))):
            for head in range(self.heads):
                total = total + attention[..., head, position, None] * self.values[position, head][token]
        return total

    def hidden(self, a, b, neurons=slice(None)):
        """(..., neurons): of all, or of some."""
        a, b = np.broadcast_arrays(a, b)
        if a.ndim > 1:
            return np.stack([self.hidden(*row, neurons) for row in zip(a, b)])
        attention, written = self.attention(a, b), self.written[..., neurons]
        total = self.last @ self.weights["W_in"][:, neurons] + attention[..., 2] @ written[2, :, self.tokens]
        for position, token in enumerate((a, b)):
            for head in range(self.heads):
                total = total + attention[..., head, position, None] * written[position, head][token]
        return self.activation(total)

    def logits(self, a, b, readout=None):
        """(..., outputs), or times `readout` (outputs, columns), which takes less time."""
        direct, hidden = self.weights["W_U"], self.unembedding
        if readout is not None:
            direct, hidden = direct @ readout, hidden @ readout
        return self.residual(a, b) @ direct + self.hidden(a, b) @ hidden


class AnyTransformer:
    """A transformer of any number of layers, position by position: slower than the one above, and as a model's keys say
    it. Attention and the hidden layer are those of the last layer, at the last position."""

    def __init__(self, weights, keys):
        self.weights, self.keys = weights, keys
        self.layers = 1 if "W_in" in weights else sum(f"W_in_{layer}" in weights for layer in range(MOST_LAYERS))
        self.positions = len(weights["W_pos"])
        self.separate = bool(keys.get("separate_vocabulary", False))
        self.rate, self.mask = keys.get("attention_rate", 1), bool(keys.get("mask", True))
        self.activation = ACTIVATIONS[keys.get("activation", "relu")]
        self.tokens = n = (len(weights["W_E"]) - (self.positions - 2)) // (2 if self.separate else 1)
        self.left = weights["W_E"][:n]  # (n, model)
        self.right = weights["W_E"][n:2 * n] if self.separate else self.left
        self.heads = self.of("W_Q", 0).shape[0]
        self.classes = weights["W_U"].shape[1]
        if not keys or keys.get("outputs", 0) not in (0, "classes"):  # those beyond are no classes
            self.classes = keys["p"] if keys.get("task") == "expression" else n
        self.unembedding = self.of("W_out", self.layers - 1) @ weights["W_U"][:, :self.classes]  # (neurons, classes)

    def of(self, name, layer):
        return self.weights.get(name if self.layers == 1 else f"{name}_{layer}")

    def normalised(self, x, name, layer=None):
        gain, shift = ((self.weights.get(f"{name}_{part}") if layer is None else self.of(f"{name}_{part}", layer))
                       for part in "wb")
        if gain is None:
            return x
        centred = x - x.mean(axis=-1, keepdims=True)
        return gain * centred / np.sqrt((centred ** 2).mean(axis=-1, keepdims=True) + 1e-5) + shift

    def attend(self, x, layer):
        """(weights (..., head, position, source), what attention adds to the streams x (..., position, model))."""
        y = self.normalised(x, "ln1", layer)[..., None, :, :]
        q, k, v = (y @ self.of(name, layer) for name in ("W_Q", "W_K", "W_V"))
        scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])  # (..., head, position, source)
        seen = np.tri(self.positions, dtype=bool) if self.mask else np.ones((self.positions,) * 2, dtype=bool)
        exponents = np.where(seen, np.exp(scores - np.where(seen, scores, -np.inf).max(axis=-1, keepdims=True)), 0)
        weights = self.rate * exponents / exponents.sum(axis=-1, keepdims=True) + (1 - self.rate) * seen
        return weights, (weights @ v @ self.of("W_O", layer)).sum(axis=-3)

    def pass_through(self, a, b):
        """Of pairs (...): attention (..., head, source), the stream before the last hidden layer, that, all outputs."""
        x = [self.left[a], self.right[b]]
        if self.positions > 2:
            x.append(np.broadcast_to(self.weights["W_E"][-1], x[0].shape))
        x = np.stack(x, axis=-2) + self.weights["W_pos"]
        for layer in range(self.layers):
            weights, added = self.attend(x, layer)
            before = x + added
            read = self.normalised(before, "ln2", layer) @ self.of("W_in", layer)
            b_in, b_out = self.of("b_in", layer), self.of("b_out", layer)
            hidden = self.activation(read if b_in is None else read + b_in)
            x = before + hidden @ self.of("W_out", layer)
            x = x if b_out is None else x + b_out
        outputs = self.normalised(x[..., -1, :], "ln_final") @ self.weights["W_U"]
        return weights[..., -1, :], before[..., -1, :], hidden[..., -1, :], outputs

    def part(self, which, a, b):
        a, b = np.broadcast_arrays(a, b)
        if a.ndim > 1:
            return np.stack([self.part(which, *row) for row in zip(a, b)])
        return self.pass_through(a, b)[which]

    def attention(self, a, b):
        """(..., head, source): weights of the last position on a, b and, if it is there, "="."""
        return self.part(0, a, b)

    def residual(self, a, b):
        """(..., model): the residual stream before the last hidden layer."""
        return self.part(1, a, b)

    def hidden(self, a, b, neurons=slice(None)):
        """(..., neurons): of all, or of some."""
        return self.part(2, a, b)[..., neurons]

    def outputs(self, a, b):
        """(..., outputs), those beyond the classes too."""
        return self.part(3, a, b)

    def logits(self, a, b, readout=None):
        """(..., classes), or times `readout` (classes, columns)."""
        logits = self.outputs(a, b)[..., :self.classes]
        return logits if readout is None else logits @ readout


class Autoencoder:
    """hidden = f(W x), x_hat = relu(D^T hidden + b): D is W_dec, or W where there is none; b may be missing."""

    def __init__(self, weights, hidden_activation="identity"):
        weights = {name: np.asarray(values, dtype=np.float64) for name, values in weights.items()}
        self.encoder = weights["W"]                            # (hidden, features)
        self.decoder = weights.get("W_dec", self.encoder)      # (hidden, features)
        self.bias = weights.get("b", np.zeros(self.encoder.shape[1]))
        self.activation = ACTIVATIONS[hidden_activation]

    def hidden(self, x):
        """(..., hidden) of x (..., features)."""
        return self.activation(np.asarray(x) @ self.encoder.T)

    def reconstruct(self, x):
        """x_hat (..., features) of x (..., features)."""
        return np.maximum(self.hidden(x) @ self.decoder + self.bias, 0)
