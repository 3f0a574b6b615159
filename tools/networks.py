"""Models in numpy, from their trained parameters by name (W_x, W_y, W, W_U of an mlp; W_E, ... of a transformer; W, W_dec,
b of an autoencoder, which is asked for by its class).

Tokens are numbers or arrays of numbers, which broadcast as numpy's do. Everything is computed in float64.
"""

import math

import numpy as np

PUBLISHED = {  # names in exported files: those of TransformerLens
    "embed.W_E": "W_E", "pos_embed.W_pos": "W_pos", "blocks.0.attn.W_Q": "W_Q", "blocks.0.attn.W_K": "W_K",
    "blocks.0.attn.W_V": "W_V", "blocks.0.attn.W_O": "W_O", "blocks.0.mlp.W_in": "W_in",
    "blocks.0.mlp.W_out": "W_out", "unembed.W_U": "W_U",
}
MLP = ("W_x", "W_y", "W", "W_U")
TRANSFORMER = tuple(PUBLISHED.values())


def network(weights):
    """The network with these parameters; None if they are those of no table model."""
    weights = {name: np.asarray(values, dtype=np.float64) for name, values in weights.items()}
    for names, kind in ((TRANSFORMER, Transformer), (MLP, Mlp)):
        if set(names) == set(weights):
            return kind(weights)
    return None


def is_known(names):
    """Are these the parameters of a table model?"""
    return set(names) in (set(TRANSFORMER), set(MLP))


class Mlp:
    """hidden = relu([W_x[a], W_y[b]] W), logits = hidden W_U."""

    def __init__(self, weights):
        self.weights = weights
        self.tokens = len(weights["W_x"])
        embed = weights["W_x"].shape[1]
        self.left = weights["W_x"] @ weights["W"][:embed]   # (n, hidden)
        self.right = weights["W_y"] @ weights["W"][embed:]  # (n, hidden)
        self.unembedding = weights["W_U"]                   # (hidden, outputs)

    def hidden(self, a, b, neurons=slice(None)):
        """(..., neurons): of all, or of some."""
        return np.maximum(self.left[:, neurons][a] + self.right[:, neurons][b], 0)

    def logits(self, a, b, readout=None):
        """(..., outputs), or times `readout` (outputs, columns), which takes less time."""
        return self.hidden(a, b) @ (self.unembedding if readout is None else self.unembedding @ readout)


class Transformer:
    """One layer, of which only the last position ("=") is read: its query is the same for all pairs."""

    def __init__(self, weights):
        self.weights = w = weights
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
        return np.maximum(total, 0)

    def logits(self, a, b, readout=None):
        """(..., outputs), or times `readout` (outputs, columns), which takes less time."""
        direct, hidden = self.weights["W_U"], self.unembedding
        if readout is not None:
            direct, hidden = direct @ readout, hidden @ readout
        return self.residual(a, b) @ direct + self.hidden(a, b) @ hidden


ACTIVATIONS = {  # of hidden layers, by the names of sweeps
    "identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "square": np.square, "cube": lambda x: x ** 3,
    "abs": np.abs, "gelu": lambda x: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2, "tanh": np.tanh,
}


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
