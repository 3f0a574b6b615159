"""Figures of the table tasks (group, cayley, power), in the order of the page."""

from figures import curves, irreps, neurons, weights
from figures.cells import View

FIGURES = [
    curves.loss_curves, curves.accuracy_curves, curves.weight_norm, curves.grokking_steps,
    irreps.logit_similarity, irreps.value_logit_similarity, irreps.irrep_fractions, irreps.value_irrep_fractions,
    irreps.restricted_and_excluded_loss, irreps.value_restricted_and_excluded_loss, irreps.losses_per_irrep,
    irreps.value_losses_per_irrep, irreps.key_irreps_across_seeds, irreps.value_key_irreps_across_seeds,
    irreps.order_of_irreps, irreps.value_order_of_irreps, irreps.region_measures,
    neurons.neuron_clusters, neurons.unembedding_by_irrep, weights.logit_slices, weights.standard_representation,
    weights.singular_values,
]


def views(results, rows, loss):
    """One view: cells of different groups are compared in one figure. (`loss` is for other families.)"""
    view = View(results, rows)
    return [view] if view.finished else []
