"""Makes a model for PyTorch from an instance that `toysweep export` wrote (safetensors or HDF5).

  tools/to_transformer_lens.py powers-17.safetensors            writes powers-17.pt, a state dict
  tools/to_transformer_lens.py powers-17.safetensors --check    compares logits with numpy's, writes nothing

In Python:

  from toysweep import transformer_lens
  model = transformer_lens.hooked("powers-17.safetensors")      # a HookedTransformer; of TransformerLens 4 its bridge
  model = transformer_lens.module("groups-3.safetensors")       # a plain torch module, of either table model
  model = toysweep.to_pytorch("groups.h5", 3)                   # the same without an exported file
  logits = model(torch.tensor([[3, 5]]))                        # one row of outputs for each pair (a, b)

All need PyTorch, hooked() TransformerLens too (pip install torch transformer-lens). Its model reads three tokens: a, b
and "=", which has the number after the last element; its last position's logits are the answer. Biases, which these
models lack, are zeros in its state dict, which is that of HookedTransformer (TransformerLens 4 reads it with
transformer_lens.utilities.tl_checkpoint_conversion).
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import struct
import sys
from typing import NamedTuple

import numpy as np

from toysweep import networks


class Instance(NamedTuple):
    """One of a results file, in place of an exported file."""
    path: str     # of what is said of it
    weights: dict
    keys: dict

    @classmethod
    def of(cls, results, instance, step=None):
        return cls(f"{results.path}, instance {instance}", results.weights(instance, step), results.resolved(instance))


DTYPES = {"F32": "<f4", "F64": "<f8"}
TOLERANCE = 1e-4  # of the largest logit: float32 against float64


class ExportError(Exception):
    """Says in one line why a file cannot be used."""


def need_module(name, package):
    try:
        return importlib.import_module(name)
    except ImportError as fault:
        raise ExportError(f"needs {name}: {sys.executable} -m pip install {package} ({fault})") from fault


# --- Reading -------------------------------------------------------------------------------------------------------

def read(source):
    """(parameters by the names of the results file, the instance's resolved keys) of an exported file; or as they are, of
    an Instance."""
    if isinstance(source, Instance):
        return check(source.path, source.weights, source.keys)
    path = source
    if os.path.exists(path) and not os.path.isfile(path):
        raise ExportError(f"{path}: not a file")  # but a pipe, at which opening waits
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            weights, keys = read_hdf5(path) if head == b"\x89HDF\r\n\x1a\n" else read_safetensors(path)
    except (OSError, ValueError, KeyError, struct.error) as fault:
        raise ExportError(f"{path}: not a file of `toysweep export` ({fault})") from fault
    return check(path, networks.own_names(weights), keys)


def check(path, weights, keys):
    """Refuses what no module is made of."""
    if networks.is_transformer(weights) and networks.differs(weights, keys):
        raise ExportError(f"{path}: a transformer with other keys than the published one (layers, context, bias, ...), of "
                          "which this tool makes no module; toysweep.networks computes it in numpy")
    if not networks.is_known(weights):
        raise ExportError(f"{path}: parameters {', '.join(weights)} are those of no table model (mlp, transformer)")
    return weights, keys


def read_hdf5(path):
    h5py = need_module("h5py", "h5py")
    import toysweep

    try:
        with toysweep.open_file(path) as file:
            if any(isinstance(item, h5py.Group) for item in file.values()):
                raise ValueError("it has groups: a results file? Export an instance first")
            keys = file.attrs.get("parameters", b"{}")
            return {name: item[...] for name, item in file.items()}, json.loads(keys)
    except toysweep.ResultsError as fault:
        raise ExportError(str(fault)) from fault


def read_safetensors(path):
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        if size > os.path.getsize(path):
            raise ValueError("no safetensors header")
        header, data = json.loads(file.read(size)), file.read()
    keys = json.loads(header.pop("__metadata__", {}).get("toysweep", "{}"))
    weights = {}
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        weights[name] = np.frombuffer(data[begin:end], dtype=DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return weights, keys


# --- Models --------------------------------------------------------------------------------------------------------

def module(path):
    """A torch module: pairs (..., 2) of tokens -> logits (..., outputs)."""
    need_module("torch", "torch")
    weights, keys = read(path)
    return (mlp_module if networks.is_mlp(weights) else transformer_module)(weights, keys.get("activation", "relu"))


SIDES = {"W_x": ("W_x", "W_y"), "W_E": ("W_E", "W_E"), "U": ("U", "V")}  # embeddings; of both where there is no second


def activation_of(name):
    import torch

    return {"relu": torch.relu, "square": torch.square, "cube": lambda x: x ** 3, "abs": torch.abs,
            "gelu": torch.nn.functional.gelu, "tanh": torch.tanh, "identity": lambda x: x}[name]


def parameters(weights):
    import torch

    return torch.nn.ParameterDict({name: torch.nn.Parameter(torch.tensor(np.asarray(values, dtype=np.float32)))
                                   for name, values in weights.items()})


def mlp_module(weights, activation):
    import torch

    class Mlp(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parameter = parameters(weights)

        def forward(self, pairs):
            w = self.parameter
            left, right = next(names for first, names in SIDES.items() if first in w)
            left, right = w[left][pairs[..., 0]], w[right if right in w else left][pairs[..., 1]]
            given = torch.cat([left, right], dim=-1) @ w["W"] if "W" in w else left + right
            given = given + w["b"] if "b" in w else given
            logits = activation_of(activation)(given) @ w["W_U"]
            return logits + w["b_U"] if "b_U" in w else logits

    return Mlp()


def transformer_module(weights, activation):
    import torch

    class Transformer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.parameter = parameters(weights)

        def forward(self, pairs):
            w = self.parameter
            equals = torch.full_like(pairs[..., :1], len(w["W_E"]) - 1)
            x = w["W_E"][torch.cat([pairs, equals], dim=-1)] + w["W_pos"]  # (..., position, model)
            q, k, v = (torch.einsum("...pm,hmk->...hpk", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            mixed = scores.masked_fill(future, -torch.inf).softmax(dim=-1) @ v
            x = x + torch.einsum("...hpk,hkm->...pm", mixed, w["W_O"])
            x = x + activation_of(activation)(x @ w["W_in"]) @ w["W_out"]
            return (x @ w["W_U"])[..., -1, :]

    return Transformer()


def state_dict(path):
    """Arrays under the names of HookedTransformer; of an mlp under those of the results file."""
    weights, _ = read(path)
    if networks.is_mlp(weights):
        return {f"parameter.{name}": values for name, values in weights.items()}
    state = {published: weights[name] for published, name in networks.PUBLISHED.items()}
    heads, model, width = weights["W_Q"].shape
    neurons, outputs = len(weights["W_out"]), weights["W_U"].shape[1]
    zeros = {f"attn.b_{name}": (heads, width) for name in "QKV"} | {
        "attn.b_O": (model,), "mlp.b_in": (neurons,), "mlp.b_out": (model,)}
    state |= {f"blocks.0.{name}": np.zeros(shape, np.float32) for name, shape in zeros.items()}
    return state | {"unembed.b_U": np.zeros(outputs, np.float32)}


def hooked(path):
    """A model of TransformerLens, without layer norm, that reads a, b and "=": a HookedTransformer, or of version 4,
    which has none, a TransformerBridge."""
    torch, transformer_lens = need_module("torch", "torch"), need_module("transformer_lens", "transformer-lens")
    weights, keys = read(path)
    if networks.is_mlp(weights):
        raise ExportError(f"{path}: an mlp; TransformerLens takes transformers only. module() takes both")
    if keys.get("activation", "relu") not in ("relu", "gelu"):
        raise ExportError(f"{path}: TransformerLens has no activation {keys['activation']}; module() takes it")
    heads, model, width = weights["W_Q"].shape
    shapes = {"n_layers": 1, "n_ctx": 3, "d_model": model, "n_heads": heads, "d_head": width,
              "d_mlp": len(weights["W_out"]), "act_fn": keys.get("activation", "relu"), "d_vocab": len(weights["W_E"]),
              "d_vocab_out": weights["W_U"].shape[1], "normalization_type": None, "seed": keys.get("seed", 0)}
    state = {name: torch.tensor(np.array(values)) for name, values in state_dict(path).items()}
    if int(importlib.metadata.version("transformer_lens").split(".")[0]) < 4:
        config = transformer_lens.HookedTransformerConfig(**shapes, device="cpu")
        found = transformer_lens.HookedTransformer(config)
    else:
        from transformer_lens.utilities.tl_checkpoint_conversion import convert_tl_checkpoint

        config = transformer_lens.TransformerBridgeConfig(**shapes, architecture="TransformerLensNative")
        found = transformer_lens.TransformerBridge.boot_native(config, device="cpu")
        state = convert_tl_checkpoint(state, config)
    load(found, state)
    return found


def load(model, state):
    """Every parameter of both, by name. What is no parameter (a mask) is the model's own."""
    result = model.load_state_dict(state, strict=False)
    needed = {name for name, _ in model.named_parameters()}
    if result.unexpected_keys or needed & set(result.missing_keys):
        raise ExportError("this version of TransformerLens has other parameters: "
                          f"{', '.join([*result.unexpected_keys, *sorted(needed & set(result.missing_keys))])}")


# --- Check ---------------------------------------------------------------------------------------------------------

def ask_module(path):
    model = module(path)
    return lambda torch, pairs, equals: model(torch.tensor(pairs))


def ask_hooked(path):
    model = hooked(path)
    return lambda torch, pairs, equals: model(torch.tensor([[*pair, equals] for pair in pairs]))[:, -1]


def largest_difference(path, ask):
    """(largest difference of a model's logits and numpy's over all pairs, largest logit)."""
    torch = need_module("torch", "torch")
    network, logits = networks.network(*read(path)), ask(path)
    every, difference, largest = np.arange(network.tokens), 0.0, 0.0
    for a in every:
        expected = network.logits(a, every)
        with torch.no_grad():
            found = np.array(logits(torch, [[int(a), int(b)] for b in every], network.tokens).tolist())
        difference = max(difference, float(np.abs(found - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    return difference, largest


def check_logits(path):
    """The torch module, and where TransformerLens is installed, its model of a transformer."""
    models = [("", ask_module)]
    if "W_E" in read(path)[0] and importlib.util.find_spec("transformer_lens"):
        models.append((f"TransformerLens {importlib.metadata.version('transformer_lens')}, ", ask_hooked))
    for name, ask in models:
        difference, largest = largest_difference(path, ask)
        print(f"{path}: {name}logits up to {largest:.4g} differ by at most {difference:.2g}")
        if not difference <= TOLERANCE * largest:
            raise ExportError(f"{path}: {name}the module and numpy disagree")


def main():
    parser = argparse.ArgumentParser(prog="to_transformer_lens.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", help="what `toysweep export` wrote")
    parser.add_argument("-o", "--output", metavar="FILE.pt",
                        help="state dict for torch.load (default: FILE's name, with .pt)")
    parser.add_argument("--check", action="store_true", help="compare logits with numpy, and write nothing")
    options = parser.parse_args()
    try:
        torch = need_module("torch", "torch")
        if options.check:
            return check_logits(options.file)
        output = options.output or os.path.splitext(options.file)[0] + ".pt"
        state = {name: torch.tensor(np.array(values).tolist()) for name, values in state_dict(options.file).items()}
        torch.save(state, output)
        print(f"{output}: {len(state)} parameters")
    except (ExportError, OSError) as fault:
        sys.exit(f"to_transformer_lens.py: {fault}")


if __name__ == "__main__":
    main()
