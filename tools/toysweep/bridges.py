"""Results in the programs that people compare runs with: Weights & Biases, MLflow, TensorBoard. Each instance becomes a
run: its parameters, its curves by step, its final measures. Nothing is sent that those programs do not send by
themselves: wandb with mode="offline", MLflow with a folder or database, and TensorBoard write to disk."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np

from toysweep.results import DONE, Results, _need
from toysweep.tables import Source, curves_of, finals_of, steps_of


class Run(NamedTuple):
    """What there is of an instance."""
    instance: int
    name: str
    parameters: dict[str, Any]
    steps: np.ndarray
    curves: dict[str, np.ndarray]  # NaN where nothing was measured
    finals: dict[str, float]

    def points(self) -> Iterator[tuple[int, dict[str, float]]]:
        """(step, {name: value}) of each checkpoint."""
        for k, step in enumerate(self.steps.tolist()):
            values = {name: float(curve[k]) for name, curve in self.curves.items() if np.isfinite(curve[k])}
            if values:
                yield step, values


def runs(results: Source, instances: Sequence[int] | None = None, curves: Sequence[str] = ()) -> Iterator[Run]:
    """Of finished instances. curves: measures with a number for each irrep, frequency, ... that are wanted too."""
    with contextlib.ExitStack() as stack:
        opened = results if isinstance(results, Results) else stack.enter_context(Results(results))
        wanted = np.flatnonzero(opened.table["status"] == DONE).tolist() if instances is None else instances
        for i in wanted:
            keys = opened.resolved(i)
            own = ",".join(f"{name}={opened.shown(keys.get(name, ''))}" for name in opened.varying) or f"instance={i}"
            found = {**curves_of(opened, i), **(curves_of(opened, i, curves) if curves else {})}
            yield Run(i, f"{opened.attribute('name')} {own}".strip(), keys, steps_of(opened, i), found, finals_of(opened, i))


def to_tensorboard(results: Source, folder: str | os.PathLike[str], *, instances: Sequence[int] | None = None,
                   curves: Sequence[str] = ()) -> int:
    """Writes event files, one folder for each instance, for `tensorboard --logdir folder`; returns how many. Final
    measures are under final/, at the last step, parameters a text. Needs tensorboard."""
    _need("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    count = 0
    for run in runs(results, instances, curves):
        writer = EventFileWriter(os.path.join(folder, f"{run.instance:06d} {run.name.replace('/', '-')}"))

        def write(step: int, values: list[Any], writer: EventFileWriter = writer) -> None:
            writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=values)))

        text = "\n".join(f"    {key}: {value}" for key, value in run.parameters.items())
        write(0, [Summary.Value(tag="parameters", metadata=SummaryMetadata(plugin_data={"plugin_name": "text"}),
                                tensor=TensorProto(dtype=DT_STRING, string_val=[text.encode()],
                                                   tensor_shape=TensorShapeProto(dim=[{"size": 1}])))])
        for step, values in run.points():
            write(step, [Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        last = int(run.steps[-1]) if len(run.steps) else 0
        write(last, [Summary.Value(tag=f"final/{name}", simple_value=value) for name, value in run.finals.items()])
        writer.close()
        count += 1
    return count


def to_wandb(results: Source, project: str, *, instances: Sequence[int] | None = None, curves: Sequence[str] = (),
             **options: Any) -> int:
    """Logs a run of Weights & Biases for each instance, in a group of the sweep's name; returns how many. options go to
    wandb.init: mode="offline" (then `wandb sync`), entity, dir, tags, ... Needs wandb."""
    _need("wandb")
    import wandb

    count = 0
    for run in runs(results, instances, curves):
        with wandb.init(project=project, name=run.name, config=run.parameters,
                        **{"group": run.name.split(" ")[0], "reinit": True, **options}) as logged:
            for step, values in run.points():
                logged.log(values, step=step, commit=True)
            logged.summary.update({f"final/{name}": value for name, value in run.finals.items()})
        count += 1
    return count


def to_mlflow(results: Source, experiment: str, *, instances: Sequence[int] | None = None, curves: Sequence[str] = (),
              tracking_uri: str | None = None) -> int:
    """Logs a run of MLflow for each instance; returns how many. tracking_uri: where to, as MLflow has it (a server, or
    sqlite:///runs.db); by default where MLflow is set to. Needs mlflow."""
    _need("mlflow")
    import mlflow
    from mlflow.entities import Metric, Param

    client = mlflow.MlflowClient(tracking_uri=tracking_uri)
    found = client.get_experiment_by_name(experiment)
    number = found.experiment_id if found else client.create_experiment(experiment)
    count = 0
    for run in runs(results, instances, curves):
        logged = client.create_run(number, run_name=run.name).info.run_id
        metrics = [Metric(_mlflow_name(name), value, 0, step) for step, values in run.points()
                   for name, value in values.items()]
        last = int(run.steps[-1]) if len(run.steps) else 0
        metrics += [Metric(f"final/{name}", value, 0, last) for name, value in run.finals.items()]
        params = [Param(key, str(value)[:6000]) for key, value in run.parameters.items()]
        client.log_batch(logged, params=params[:100])
        for begin in range(0, len(metrics), 1000):  # the most at once
            client.log_batch(logged, metrics=metrics[begin:begin + 1000])
        client.set_terminated(logged)
        count += 1
    return count


def _mlflow_name(name: str) -> str:
    """Of a metric: letters, digits, and a few signs."""
    return "".join(sign if sign.isalnum() or sign in "_-./ " else "_" for sign in name)
