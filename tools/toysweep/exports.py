"""An instance's network in other programs."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Iterator, Union

import numpy as np

from toysweep import networks, transformer_lens
from toysweep.results import Results, ResultsError, _need
from toysweep.tables import Source

Which = Union[int, str]


@contextlib.contextmanager
def _instance(source: Source, which: Which, step: int | None) -> Iterator[tuple[Results, transformer_lens.Instance]]:
    with contextlib.ExitStack() as stack:
        results = source if isinstance(source, Results) else stack.enter_context(Results(source))
        number = results.best() if which == "best" else int(which)
        instance = transformer_lens.Instance.of(results, number, step)
        if not instance.weights:
            raise ResultsError(f"{results.path}: keeps no weights; run its sweep again with `save: final`")
        yield results, instance


def to_pytorch(results: Source, instance: Which = "best", step: int | None = None) -> Any:
    """A torch module of an mlp or transformer on tables: pairs (..., 2) of tokens -> logits. Needs PyTorch."""
    with _instance(results, instance, step) as (_, of):
        return transformer_lens.module(of)


def to_transformer_lens(results: Source, instance: Which = "best", step: int | None = None) -> Any:
    """A HookedTransformer of TransformerLens 3, or a TransformerBridge of TransformerLens 4, of a transformer. Needs
    both PyTorch and TransformerLens."""
    with _instance(results, instance, step) as (_, of):
        return transformer_lens.hooked(of)


def to_safetensors(results: Source, path: str | os.PathLike[str], instance: Which = "best",
                   step: int | None = None) -> str:
    """Writes an instance's weights under the names of `toysweep export`, with its parameters as metadata; returns the
    path. (`toysweep export` adds keys that have their default.) Needs safetensors."""
    _need("safetensors")
    from safetensors.numpy import save_file

    with _instance(results, instance, step) as (_, of):
        tensors = {networks.published_name(name): np.ascontiguousarray(values) for name, values in of.weights.items()}
        save_file(tensors, os.fspath(path), {"toysweep": json.dumps(of.keys, separators=(",", ":"), sort_keys=True)})
    return os.fspath(path)
