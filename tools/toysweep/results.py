"""Results files in Python: opened with care, and read instance by instance."""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Union


BY_SETUP = {"numpy", "h5py", "xarray", "h5netcdf", "pandas"}  # what tools/setup.sh installs of what is asked for below


def _need(*modules):
    """As tools/needs.py, but without starting another Python: that is for who imports this to choose."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        setup = "run tools/setup.sh of a clone, or " if set(missing) <= BY_SETUP else ""
        raise ModuleNotFoundError(
            f"toysweep needs {' and '.join(missing)}, which {sys.executable} lacks: {setup}install with "
            f"{sys.executable} -m pip install {' '.join(missing)}", name=missing[0])


_need("h5py", "numpy")

import h5py
import numpy as np

if TYPE_CHECKING:
    import xarray

Path = Union[str, "os.PathLike[str]"]
FORMATS = 1, 2  # files of format 1 lack what cases learn: see Results.kinds
PENDING, DONE, FAILED = 0, 1, 2


class ResultsError(Exception):
    """Says in one line why a file cannot be used."""


def path_of(results: Any) -> str:
    """Of what a function takes as a results file: its path, or toysweep.Results."""
    found = results.path if isinstance(results, Results) else results
    if not isinstance(found, (str, os.PathLike)):
        raise TypeError(f"a results file is wanted, as its path or toysweep.Results; this is a {type(found).__name__}")
    return os.fspath(found)


def level_of_caller() -> int:
    """stacklevel of a warning, given where this is called, that names the line which called this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "toysweep":
        frame, level = frame.f_back, level + 1
    return level


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def open_file(path):
    """A file that can be read without another one being opened or waited for, whatever it holds: HDF5 would follow its
    links, and read data that datasets keep elsewhere."""
    if not os.path.isfile(path):
        raise ResultsError(f"{path}: {'not a file' if os.path.exists(path) else 'no such file'}")
    try:
        file = File(path, "r")
    except OSError:  # a run is writing and holds HDF5's own lock
        os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
        file = File(path, "r")
    # Goes into groups by hard links only, and into each once; stops at the first that gives something.
    try:
        found = file.id.links.visit(lambda name, link: None if link.type == h5py.h5l.TYPE_HARD else (name, link), info=True)
    except RuntimeError as fault:
        file.close()
        raise ResultsError(f"{path} is damaged ({fault}); train its sweep again into another file, or go back to a copy "
                           "of this one") from fault
    if found:
        file.close()
        kind = "soft link, which is" if found[1].type == h5py.h5l.TYPE_SOFT else "link to another file, and those are"
        raise ResultsError(f"{path}: {text(found[0])} is a {kind} not followed; write a copy of the data")
    return file


def check_data(dataset):
    """Refuses a dataset of h5py's lower layer that has its data elsewhere. Before its shape is asked for: that alone
    opens the sources of a virtual one."""
    if dataset.get_offset() is not None:  # in one piece, in this file
        return
    plan = dataset.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        path, name = (text(found(dataset)) for found in (h5py.h5f.get_name, h5py.h5i.get_name))
        raise ResultsError(f"{path}: {name.lstrip('/')} keeps its data in other files, and those are not read; write a "
                           "copy of the data")


class _Checked:
    """Gives only what check_data() lets pass."""

    def __getitem__(self, name):
        return _checked(super().__getitem__(name))

    def get(self, name, default=None, **wanted):
        """What values() and items() go through, too; newer h5py (3.16) opens things there without __getitem__."""
        if wanted:  # a class or a link
            return super().get(name, default, **wanted)
        return self[name] if name in self else default


class Group(_Checked, h5py.Group):
    pass


class File(_Checked, h5py.File):
    pass


def _checked(item):
    if isinstance(item, h5py.Group):
        return Group(item.id)
    if isinstance(item, h5py.Dataset):
        check_data(item.id)
    return item


def links(group):
    """Names in a group in the order in which they were made, which is the order of the sweep's keys."""
    if isinstance(group, h5py.File):
        group = group["/"]  # the file's own list says that it tracks no order
    tracked = group.id.get_create_plist().get_link_creation_order() & h5py.h5p.CRT_ORDER_TRACKED
    names = []
    group.id.links.iterate(names.append, idx_type=h5py.h5.INDEX_CRT_ORDER if tracked else h5py.h5.INDEX_NAME)
    return [text(name) for name in names]


def dimensions(dataset):
    """Names of a dataset's dimensions, from its dimension scales (of which HDF5 would look for the path at length)."""
    return [text(h5py.h5ds.get_scale_name(dim[0].id)) if len(dim) else f"dim_{i}"
            for i, dim in enumerate(dataset.dims)]


def numbers_if_all(words):
    """Numbers, where a key that may be a list or a name (and so is stored as text) is a number in all instances."""
    try:
        return np.array([float(word) if word else np.nan for word in words])
    except ValueError:
        return words


def distinct(values):
    """Different values: numbers sorted, names in the order in which they first appear. Where instances lack the key
    (the sweep mixes tasks), that is a value too: -1, NaN, an empty name, or 255 among flags."""
    if values.dtype.kind in "biuf":
        return np.unique(values)
    return np.array(list(dict.fromkeys(values)), dtype=object)


def file_names(lines):
    """{"sha256:...": name} of the lines of sweep/paths: a file's own name, with as many digits of its digest, four at
    least, as tell it from others of that name. So have labels."""
    paths = {}
    for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", lines, re.MULTILINE):
        paths.setdefault(digest, os.path.basename(path))
    names = {}
    for digest, name in paths.items():
        others = [other for other in paths if other != digest and paths[other] == name]
        digits = max([4] + [len(os.path.commonprefix([digest, other])) + 1 for other in others])
        names[f"sha256:{digest}"] = f"{name}@{digest[:digits]}" if others else name
    return names


def weights_names(lines):
    """{value of init_from in a column: name} of the lines of sweep/initial_weights, as labels have them: the file's own
    name (its path, where another has that name), with instance and step as the sweep gives them."""
    notes = [json.loads(line) for line in lines.splitlines()]
    paths, names = {note["file"] for note in notes}, {}
    for note in notes:
        name = os.path.basename(note["file"])
        if any(path != note["file"] and os.path.basename(path) == name for path in paths):
            name = note["file"]
        name += "".join(f" {sign}{note[key]}" for key, sign in (("instance", "#"), ("step", "@")) if key in note)
        names.setdefault(note.get("column", note["weights"]), name)
    return names


class Results:
    """An open results file. `table`: the root's columns, one value per instance; `varying`: those of them that the
    sweep varies, slowest first, `seed` last; `derived`: those that follow from keys (gcd_m, relation, ...); `cases`:
    name -> (group, instances of its rows); `files`: digest -> name of the files that the sweep names; `initial_weights`:
    where weights to begin with (`init_from`) came from, a dict each."""

    def __init__(self, path: Path):
        self.path = path_of(path)
        try:
            self.file = open_file(self.path)
        except OSError as fault:
            raise ResultsError(f"{self.path}: not a results file of toysweep (not HDF5, or broken: {fault})")
        if text(self.file.attrs.get("program", "")) != "toysweep":
            raise ResultsError(f"{self.path}: an HDF5 file, but not a results file of toysweep")
        found = int(self.file.attrs.get("format", 0))
        if found not in FORMATS:
            raise ResultsError(f"{self.path}: its format is {found}, this tool reads {FORMATS[0]} to {FORMATS[-1]}; "
                               "use the tools of the version that wrote it")
        self.count = len(self.file["instance"])
        self.files = file_names(text(self.file["sweep/paths"][()])) if "sweep/paths" in self.file else {}
        notes = text(self.file["sweep/initial_weights"][()]) if "sweep/initial_weights" in self.file else ""
        self.files.update(weights_names(notes))
        self.initial_weights = [json.loads(line) for line in notes.splitlines()]
        self.table = {name: self._column(name) for name in links(self.file)
                      if isinstance(self.file[name], h5py.Dataset) and self.file[name].shape == (self.count,)
                      and name != "instance"}
        cases = self.file["cases"]
        self.cases = {name: (group, _read(group.id, "instance")) for name, group in
                      ((name, _group(cases, name)) for name in links(cases))}
        keys, columns = self._keys(), list(self.table)
        self.parameters = [name for name in columns if name in keys and name != "seed"]
        self.derived = [name for name in columns[:columns.index("status")]
                        if name not in keys and name not in ("case", "identity", "stacked_loss")]
        self.varying = [name for name in self.parameters if len(distinct(self.table[name])) > 1]
        if "seed" in self.table and len(distinct(self.table["seed"])) > 1:
            self.varying.append("seed")

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *fault: object) -> None:
        self.file.close()

    def _column(self, name):
        values = self.file[name][...]
        if values.dtype.kind not in "SO":
            return values
        values = np.array([text(v) for v in values], dtype=object)
        if name == "identity":
            return values
        values = numbers_if_all(values)
        return np.array([self.shown(value) for value in values], dtype=object) if values.dtype == object else values

    def shown(self, value: Any) -> Any:
        """A key's value as `table` and figures have it: resolved() knows files by the SHA-256 of what they hold, people
        by their names."""
        return self.files.get(value, value) if isinstance(value, str) else value

    @functools.cached_property
    def kinds(self):
        """[case]: the kind of data that its instances learn, "features" or "table"."""
        return self._of_cases("kind", lambda group, rows: "features" if "feature" in group else "table")

    @functools.cached_property
    def labels(self):
        """[case]: what its instances learn, for people, as "S5" or "(a^2 + b^3) mod 7"."""
        return self._of_cases("label", lambda group, rows: self._label_before_labels(self.resolved(int(rows[0]))))

    def _of_cases(self, attribute, otherwise):
        return np.array([text(group.attrs[attribute]) if attribute in group.attrs else otherwise(group, rows)
                         for group, rows in self.cases.values()] + [None], dtype=object)[:-1]

    def _label_before_labels(self, keys):
        """Of what there was to learn when files had no labels."""
        if "m" in keys:
            return f"(a^{keys['m']} + b^{keys['n']}) mod {keys['p']}"
        return str(self.shown(keys.get("group", keys.get("cayley", keys["task"]))))

    def _keys(self):
        """Names of every parameter of the sweep: those of one instance of each case, and of one more where a column is
        none of them: a key that came later stands only where it is not its default."""
        keys = {key for _, rows in self.cases.values() for key in self.resolved(int(rows[0]))}
        for name, column in self.table.items():
            if name == "status":
                break
            others = [] if name in keys else np.flatnonzero(column != column[0])
            if name not in ("case", "identity") and len(others):
                keys.update(self.resolved(int(others[0])))
        return keys

    def resolved(self, instance: int) -> dict[str, Any]:
        """All parameters of an instance, defaults included."""
        if not 0 <= instance < self.count:
            raise self._no_instance(instance)
        return json.loads(text(self._resolved[instance]))

    @functools.cached_property
    def _resolved(self):
        """[instance]: its line; read once, as all of them are one text."""
        stored = self.file["sweep/resolved"]
        return stored[...] if stored.ndim else text(stored[()]).splitlines()

    def attribute(self, name: str) -> str:
        return text(self.file.attrs.get(name, ""))

    def case_of(self, instance: int) -> tuple[Group, int]:
        """(group, row) of an instance."""
        if instance not in self._places:
            raise self._no_instance(instance)
        return self._places[instance]

    def _no_instance(self, instance: Any) -> ResultsError:
        return ResultsError(f"{self.path}: there is no instance {instance}; it has {self.count}, from 0")

    @functools.cached_property
    def _places(self):
        """{instance: (group, row)}; a search through the cases takes long where there are a thousand."""
        return {instance: (group, row) for group, rows in self.cases.values()
                for row, instance in enumerate(rows.tolist())}

    def weights(self, instance: int, step: int | None = None) -> dict[str, np.ndarray]:
        """Trained parameters of an instance by name, as `toysweep export` writes them: those of its end, or (`save:
        checkpoints`) after `step` updates. Empty if the sweep keeps none and no step is asked for."""
        group, row = self.case_of(instance)
        stored = {name: group["weights"][name] for name in links(group["weights"])} if "weights" in group else {}
        if step is not None and not stored:
            raise ResultsError(f"{self.path}: keeps no weights; run its sweep again with `save: checkpoints`")
        done = int(self.table["steps_done"][instance])
        if self.resolved(instance).get("save") != "checkpoints":
            if step not in (None, done):
                raise ResultsError(f"{self.path}: instance {instance} has no weights of step {step}, only those of its "
                                   f"last step, {done}; run its sweep again with `save: checkpoints`")
            return {name: values[row] for name, values in stored.items()}
        steps = group["step"][...]
        at = np.flatnonzero(steps == (done if step is None else step))
        found = {name: values[row, at[0] if len(at) else -1] for name, values in stored.items()}
        if step is not None and (len(at) == 0 or _are_unknown(found.values())):
            there = [str(s) for k, s in enumerate(steps) if not _are_unknown(v[row, k] for v in stored.values())]
            raise ResultsError(f"{self.path}: instance {instance} has no weights of step {step}; there are those of "
                               f"step{'s' * (len(there) != 1)} {', '.join(there) or '(none)'}")
        return found

    def best(self, quantity: str | None = None) -> int:
        """Number of the finished instance with the lowest value of a column; by default of the loss on test pairs, or of
        features the best loss that is known. The first of equals."""
        names = [quantity] if quantity else ["test_loss", "exact_loss", "estimated_loss", "final_loss", "train_loss"]
        values = np.full(self.count, np.nan)
        for name in names:
            if quantity and name not in self.table:
                near = difflib.get_close_matches(name, self.table, 3) or list(self.table)
                raise ResultsError(f"{self.path}: has no column {name}; there are {', '.join(near)}")
            found = np.asarray(self.table.get(name, values), dtype=float)
            values = np.where(np.isnan(values), found, values)
        values = np.where(self.table["status"] == DONE, values, np.nan)
        if np.isnan(values).all():
            raise ResultsError(f"{self.path}: no instance is finished that has {' or '.join(names)}")
        return int(np.nanargmin(values))

    def load(self, **options: bool) -> "xarray.Dataset":
        """As toysweep.load()."""
        from toysweep.dataset import load

        return load(self.path, **options)

    def __repr__(self) -> str:
        status = self.table["status"]
        return (f"<toysweep.Results {self.path}: {(status == DONE).sum()} of {self.count} instances done, varying "
                f"{', '.join(self.varying) or 'nothing'}>")

    def clusters(self, instance: int, embed: float = 1, hidden: float = 100, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Neurons by irrep: {irrep: {"neurons": their numbers, "embed_energy", "hidden_energy", and of the latter the
        shares "left", "right", "product", "constant"}}. A neuron is in the cluster of the irrep with most of its
        energy if it has at least `embed` of it over all irreps, and after the activation `hidden` in functions of a b
        in that irrep; else it is off, and in none. prefix: "value_" for powers (docs/workloads.md, "Neurons by
        irrep")."""
        group, row = self.case_of(instance)
        if prefix + "neuron_irrep_energy" not in group:
            raise ResultsError(f"{self.path}: instance {instance} has no {prefix}neuron_irrep_energy: networks on "
                               "groups have it that keep weights, older files after `toysweep measure FILE -o NEW`")
        before, after, energy = (group[prefix + name][row].astype(float) for name in
                                 ("neuron_irrep_energy", "neuron_product_energy", "neuron_energy"))
        shares = {name: group[f"{prefix}neuron_{name}_fraction"][row].astype(float)
                  for name in ("left", "right", "product", "constant")}
        owner = before.argmax(axis=0)
        is_on = (before.sum(axis=0) >= embed) & (after[owner, np.arange(len(owner))] >= hidden)
        found = {}
        for r, irrep in enumerate(group["irrep"][...]):
            own = np.flatnonzero(is_on & (owner == r))
            total = energy[own].sum()
            found[text(irrep)] = {
                "neurons": own, "embed_energy": before[r, own].sum(), "hidden_energy": total,
                **{name: float((share[own] * energy[own]).sum() / total) if total > 0 else float("nan")
                   for name, share in shares.items()}}
        return found


def _are_unknown(tensors):
    return all(np.isnan(values).all() for values in tensors)


def _group(parent, name):
    """One that is there, without the ways that h5py asks for names by."""
    try:
        return Group(h5py.h5g.open(parent.id, name.encode()))
    except (KeyError, ValueError, RuntimeError):  # none of ours: as h5py says it
        return parent[name]


def _read(group, name):
    dataset = _open(group, name)
    return _values(dataset, dataset.shape, dataset.dtype)


def _open(group, name):
    dataset = h5py.h5d.open(group, name.encode())
    check_data(dataset)
    return dataset


def _values(dataset, shape, dtype, read_as=None):
    values = np.empty(shape, dtype=dtype)
    if values.size:
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values, read_as)
    return values if values.dtype.kind in "fiu" else np.array([text(value) for value in values])
