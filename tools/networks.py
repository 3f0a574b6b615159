"""Table models in numpy, from their trained parameters by name (W_x, W_y, W, W_U, ... of an mlp; W_E, W_pos, ... of a
transformer).

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


def network(weights, keys=None):
    """The network with these parameters, of an instance with these keys (toysweep.Results.resolved; None: `activation`
    is relu); None if they are those of no table model."""
    weights = {name: np.asarray(values, dtype=np.float64) for name, values in weights.items()}
    activation = ACTIVATIONS[(keys or {}).get("activation", "relu")]
    if set(TRANSFORMER) == set(weights):
        return Transformer(weights, activation)
    return Mlp(weights, activation) if is_mlp(weights) else None


def is_mlp(names):
    """Are these the parameters of an mlp?"""
    return any(set(names) - BIASES == {*mlp, "W_U"} for mlp in MLP)


def is_known(names):
    """Are these the parameters of a table model?"""
    return set(names) == set(TRANSFORMER) or is_mlp(names)


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
