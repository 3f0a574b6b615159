#!/usr/bin/env bash
# The Python tools with the newest packages of PyPI: what a user's pip installs, beside Debian's in the other tests.
#   tests/tools/newest.sh VENV FEATURE.h5 TABLE.h5
# VENV is made, or brought up to date. Only the tests that go through most of the tools are run.
set -euo pipefail

venv=$1 feature=$2 table=$3
here=$(dirname "${BASH_SOURCE[0]}")

[[ -x $venv/bin/pip ]] || python3 -m venv "$venv"
log=$venv/pip.log
if ! "$venv/bin/pip" install -q -U --disable-pip-version-check --timeout 15 --retries 1 \
    numpy h5py matplotlib xarray h5netcdf netCDF4 PyYAML tqdm >"$log" 2>&1; then
    cat "$log"
    if grep -q 'from versions: none' "$log"; then # no list of versions was had: not even of one package
        echo "skipped: PyPI cannot be reached"
        exit 0
    fi
    exit 1
fi
"$venv/bin/python" -c 'import numpy, h5py, matplotlib, xarray
print(*(f"{one.__name__} {one.__version__}" for one in (numpy, h5py, matplotlib, xarray)), sep=", ")'

code=0
"$venv/bin/python" "$here/test_load.py" "$feature" "$table" test_axes_are_the_sweeps_own \
    test_files_that_point_elsewhere_are_refused test_curves_are_loaded_where_shapes_are_equal test_weights_by_instance \
    test_xarray_opens_it_with_both_engines test_table_is_loaded_on_its_own_axes || code=1
"$venv/bin/python" "$here/test_figures.py" "$feature" "$table" test_figures_and_index_are_made \
    test_titles_fit_their_pictures test_table_figures_and_index_are_made test_powers_get_their_figures || code=1
"$venv/bin/python" "$here/test_package.py" "$feature" "$table" test_table_is_a_lazy_tree \
    test_a_tree_that_points_elsewhere_is_refused test_run_trains_continues_and_gives_results \
    test_figures_are_functions_of_results test_heatmaps_are_of_arrays_or_files || code=1
exit "$code"
