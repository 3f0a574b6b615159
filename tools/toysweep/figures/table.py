"""Figures of tables, in the order of the page."""

from toysweep.figures import (attention, cosets, curves, diagrams, embedding, fourier, groups, hypotheses, irreps,
                              neurons, pizza, power, weights)
from toysweep.figures.cells import View

FIGURES = [
    diagrams.phase_diagram, power.by_exponents, power.by_relation,
    curves.loss_curves, curves.accuracy_curves, curves.weight_norm, curves.grokking_steps,
    curves.steps_over_train_fraction, curves.concentration, pizza.clock_and_pizza, pizza.clock_and_pizza_medians,
    cosets.coset_minima, cosets.coset_subgroups, cosets.interventions,
    irreps.logit_similarity, irreps.value_logit_similarity, irreps.irrep_fractions, irreps.value_irrep_fractions,
    irreps.restricted_and_excluded_loss, irreps.value_restricted_and_excluded_loss,
    irreps.losses_per_irrep, irreps.value_losses_per_irrep,
    irreps.key_irreps_across_seeds, irreps.value_key_irreps_across_seeds,
    irreps.order_of_irreps, irreps.value_order_of_irreps, irreps.region_measures,
    fourier.embedding_fourier_norms, fourier.value_embedding_fourier_norms, fourier.dihedral_fourier_norms,
    fourier.embedding_fourier_norms_over_time, fourier.value_embedding_fourier_norms_over_time,
    embedding.embedding_in_the_fourier_basis, embedding.value_embedding_in_the_fourier_basis,
    embedding.principal_components, embedding.value_principal_components,
    embedding.key_frequency_products, embedding.value_key_frequency_products,
    fourier.logit_cosines, fourier.value_logit_cosines,
    fourier.key_frequency_losses, fourier.value_key_frequency_losses,
    fourier.neuron_frequencies, fourier.value_neuron_frequencies,
    fourier.neurons_in_two_dimensions, fourier.value_neurons_in_two_dimensions,
    fourier.mean_fourier_norms, fourier.value_mean_fourier_norms, fourier.region_mean_fourier_norms,
    embedding.neuron_rows, embedding.value_neuron_rows,
    neurons.neuron_clusters, neurons.value_neuron_clusters,
    neurons.shares_of_clusters, neurons.value_shares_of_clusters, neurons.unembedding_by_irrep,
    attention.attention_over_time, attention.attention_by_pair,
    embedding.attention_rows, embedding.value_attention_rows,
    groups.neuron_maps, groups.sign_neurons, weights.logit_slices, hypotheses.logit_hypotheses, groups.representation,
    weights.singular_values,
]


def views(results, rows, loss):
    """One view: cells of different groups are compared in one figure. (`loss` is for other families.)"""
    view = View(results, rows)
    return [view] if view.finished else []
