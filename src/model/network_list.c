#include "model/network_list.h"

#include <string.h>

#define SCALAR(name_, loss_, help_, units_)                                                                  \
    { .name = (name_), .curve = true, .final = true, .loss = (loss_), .help = (help_), .units = (units_) }
#define SCALAR_OF(needs_, name_, loss_, help_)                                                               \
    {                                                                                                        \
        .name = (name_), .needs = (needs_), .curve = true, .final = true, .loss = (loss_), .help = (help_),  \
        .units = (loss_) ? "nat" : NULL                                                                      \
    }
#define CURVE_OF(needs_, name_, loss_, help_)                                                                \
    {                                                                                                        \
        .name = (name_), .dimension = {"irrep"}, .needs = (needs_), .curve = true, .loss = (loss_),          \
        .help = (help_), .units = (loss_) ? "nat" : NULL                                                     \
    }
#define FINAL_OF(needs_, name_, dimension_, help_)                                                           \
    { .name = (name_), .dimension = {dimension_}, .needs = (needs_), .final = true, .help = (help_) }

// Once for each chart: `needs` is the dimension or chart that must be there, `in` what a, b stand for.
#define GROUP_SCALAR_ROWS(base, needs, prefix, in)                                                           \
    [base +                                                                                                  \
        TS_LOGITS_EXPLAINED] =                                                                               \
        SCALAR_OF(needs, prefix "logits_explained", false,                                                   \
                  "sum of squared logit similarities over all irreps but the trivial one" in),               \
        [base + TS_TOTAL_EXCLUDED_LOSS] =                                                                    \
            SCALAR_OF(needs, prefix "total_excluded_loss", true,                                             \
                      "training loss without the key irreps' functions of a b in the hidden layer" in),      \
        [base + TS_TOTAL_RESTRICTED_LOSS] =                                                                  \
            SCALAR_OF(needs, prefix "total_restricted_loss", true,                                           \
                      "loss with only the key irreps' functions of a b in the hidden layer" in),             \
        [base + TS_TOTAL_LOGIT_EXCLUDED_LOSS] =                                                              \
            SCALAR_OF(needs, prefix "total_logit_excluded_loss", true,                                       \
                      "training loss without the logits' components along the key irreps" in),               \
        [base + TS_TOTAL_LOGIT_RESTRICTED_LOSS] =                                                            \
            SCALAR_OF(needs, prefix "total_logit_restricted_loss", true,                                     \
                      "loss with only the logits' components along the key irreps" in),                      \
        [base + TS_EMBED_LEFT_EXPLAINED] = SCALAR_OF(needs, prefix "embed_left_explained", false,            \
                                                     "embed_left_fraction summed over the key irreps" in),   \
        [base + TS_EMBED_RIGHT_EXPLAINED] = SCALAR_OF(needs, prefix "embed_right_explained", false,          \
                                                      "embed_right_fraction summed over the key irreps" in), \
        [base + TS_UNEMBED_EXPLAINED] = SCALAR_OF(needs, prefix "unembed_explained", false,                  \
                                                  "unembed_fraction summed over the key irreps" in),         \
        [base + TS_HIDDEN_EXPLAINED] =                                                                       \
            SCALAR_OF(needs, prefix "hidden_explained", false,                                               \
                      "all three hidden fractions summed over the key irreps" in),                           \
        [base + TS_HIDDEN_PRODUCT_EXPLAINED] =                                                               \
            SCALAR_OF(needs, prefix "hidden_product_explained", false,                                       \
                      "hidden_product_fraction summed over the key irreps" in),                              \
        [base + TS_FIT_CONSTANT] = SCALAR_OF(needs, prefix "fit_constant", false,                            \
                                             "constant of the least-squares fit of the logits" in),          \
        [base + TS_FIT_EXPLAINED] =                                                                          \
            SCALAR_OF(needs, prefix "fit_explained", false,                                                  \
                      "share of the logits' variance that a fit of the key irreps' chi cubes explains" in)

#define GROUP_CURVE_ROWS(base, needs, prefix, in)                                                            \
    [base +                                                                                                  \
        TS_EMBED_LEFT_FRACTION] =                                                                            \
        CURVE_OF(needs, prefix "embed_left_fraction", false, "|P_r E_x|^2 / |E_x|^2" in),                    \
        [base + TS_EMBED_RIGHT_FRACTION] =                                                                   \
            CURVE_OF(needs, prefix "embed_right_fraction", false, "|P_r E_y|^2 / |E_y|^2" in),               \
        [base + TS_UNEMBED_FRACTION] =                                                                       \
            CURVE_OF(needs, prefix "unembed_fraction", false, "|P_r U^T|^2 / |U|^2" in),                     \
        [base + TS_HIDDEN_LEFT_FRACTION] = CURVE_OF(needs, prefix "hidden_left_fraction", false,             \
                                                    "share of |H0|^2 in functions of a in the irrep" in),    \
        [base + TS_HIDDEN_RIGHT_FRACTION] = CURVE_OF(needs, prefix "hidden_right_fraction", false,           \
                                                     "share of |H0|^2 in functions of b in the irrep" in),   \
        [base + TS_HIDDEN_PRODUCT_FRACTION] =                                                                \
            CURVE_OF(needs, prefix "hidden_product_fraction", false,                                         \
                     "share of |H0|^2 in functions of a b in the irrep" in),                                 \
        [base + TS_LOGIT_SIMILARITY] = CURVE_OF(needs, prefix "logit_similarity", false,                     \
                                                "cosine between centred logits and chi_r(a b c^-1)" in),     \
        [base + TS_FIT_COEFFICIENT] =                                                                        \
            CURVE_OF(needs, prefix "fit_coefficient", false,                                                 \
                     "coefficient of chi_r(a b c^-1) in the least-squares fit of the logits" in),            \
        [base + TS_EXCLUDED_LOSS] = CURVE_OF(needs, prefix "excluded_loss", true,                            \
                                             "training loss without the irrep's functions of a b in H" in),  \
        [base + TS_RESTRICTED_LOSS] = CURVE_OF(needs, prefix "restricted_loss", true,                        \
                                               "loss with only the irrep's functions of a b in H" in),       \
        [base + TS_LOGIT_EXCLUDED_LOSS] =                                                                    \
            CURVE_OF(needs, prefix "logit_excluded_loss", true,                                              \
                     "training loss without the logits' component along chi_r" in),                          \
        [base + TS_LOGIT_RESTRICTED_LOSS] = CURVE_OF(needs, prefix "logit_restricted_loss", true,            \
                                                     "loss with only the logits' component along chi_r" in), \
        [base + TS_ABLATION_LEFT_LOSS] =                                                                     \
            CURVE_OF(needs, prefix "ablation_left_loss", true,                                               \
                     "loss after removing the irrep's functions of a from H" in),                            \
        [base + TS_ABLATION_RIGHT_LOSS] =                                                                    \
            CURVE_OF(needs, prefix "ablation_right_loss", true,                                              \
                     "loss after removing the irrep's functions of b from H" in),                            \
        [base + TS_ABLATION_PRODUCT_LOSS] =                                                                  \
            CURVE_OF(needs, prefix "ablation_product_loss", true,                                            \
                     "loss after removing the irrep's functions of a b from H" in)

#define GROUP_FINAL_ROWS(base, needs, prefix, in)                                                            \
    [base] = FINAL_OF(needs, prefix "key_irrep", "irrep",                                                    \
                      "1 for irreps with a final logit similarity over 0.005, but the trivial one" in),      \
    [base + 1] = FINAL_OF(needs, prefix "irrep_step", "irrep",                                               \
                          "first checkpoint with a logit similarity over 0.05; NaN: none" in),               \
    [base + 2] = FINAL_OF(needs, prefix "irrep_order", "irrep",                                              \
                          "key irreps numbered from 1 in the order of their irrep_step; NaN: not one" in),   \
    [base + 3] = FINAL_OF(needs, prefix "neuron_irrep", "neuron",                                            \
                          "irrep that holds most of the neuron's energy; -1: off" in),                       \
    [base + 4] = FINAL_OF(needs, prefix "neuron_irrep_fraction", "neuron",                                   \
                          "share of the neuron's energy that its irrep holds" in)

#define CIRCLE_OF(needs_, name_, dimension_, help_)                                                          \
    { .name = (name_), .dimension = {dimension_}, .needs = (needs_), .curve = true, .help = (help_) }

// Of a cyclic group, once for each chart.
#define FOURIER_ROWS(base, needs, prefix, in)                                                                \
    [base + TS_LOGIT_RESIDUAL_FRACTION] = SCALAR_OF(                                                         \
        needs, prefix "logit_residual_fraction", false,                                                      \
        "norm of the centred logits without their components along all cosine cubes, over their own" in),    \
            [base + TS_KEY_RESTRICTED_LOSS] =                                                                \
                SCALAR_OF(needs, prefix "key_restricted_loss", true,                                         \
                          "loss with only the key frequencies' functions of a + b in the hidden layer, and " \
                          "the mean logits" in),                                                             \
            [base + TS_KEY_EXCLUDED_LOSS] = SCALAR_OF(                                                       \
                needs, prefix "key_excluded_loss", true,                                                     \
                "training loss without the key frequencies' functions of a + b in the hidden layer" in),     \
            [base + TS_EMBED_FOURIER_NORM] =                                                                 \
                CIRCLE_OF(needs, prefix "embed_fourier_norm", "component",                                   \
                          "norm of the left embedding's Fourier components over tokens" in),                 \
            [base + TS_EMBED_RIGHT_FOURIER_NORM] =                                                           \
                CIRCLE_OF(needs, prefix "embed_right_fourier_norm", "component",                             \
                          "norm of the right embedding's Fourier components over tokens" in),                \
            [base + TS_LOGIT_COS_COEFFICIENT] =                                                              \
                CIRCLE_OF(needs, prefix "logit_cos_coefficient", "frequency",                                \
                          "coefficient of cos(2 pi k (a + b - c) / n) in the centred logits" in),            \
            [base + TS_LOGIT_COS_SIMILARITY] =                                                               \
                CIRCLE_OF(needs, prefix "logit_cos_similarity", "frequency",                                 \
                          "cosine between the centred logits and cos(2 pi k (a + b - c) / n)" in)

#define CLUSTER_ROWS(base, needs, prefix, in)                                                                \
    [base] = FINAL_OF(needs, prefix "neuron_frequency", "neuron",                                            \
                      "frequency whose 2-D Fourier terms hold most of the neuron's variation; -1: none" in), \
    [base + 1] = FINAL_OF(needs, prefix "neuron_frequency_fraction", "neuron",                               \
                          "share of the neuron's variation that its frequency holds" in),                    \
    [base + 2] = FINAL_OF(needs, prefix "key_frequency", "frequency",                                        \
                          "1 for frequencies that own a neuron with a share over 0.85" in)

#define HALF_ROW(at, name, half, of)                                                                         \
    [TS_NET_DIHEDRAL + at] =                                                                                 \
        CIRCLE_OF("dihedral", name, "component", "norm of the Fourier components of " of ", of " half)
#define REGION_ROW(at, name_, help_)                                                                         \
    [TS_NET_DIHEDRAL + at] = {.name = (name_),                                                               \
                              .dimension = {"region", "irrep"},                                              \
                              .needs = "dihedral",                                                           \
                              .curve = true,                                                                 \
                              .help = (help_)}

#define IN_VALUES ", with a^m and b^n mod p for a and b"

const ts_measure ts_network_measures[] = {
    [TS_NET_TRAIN_LOSS] = SCALAR("train_loss", true, "mean cross-entropy on the training pairs", "nat"),
    [TS_NET_TEST_LOSS] = SCALAR("test_loss", true, "mean cross-entropy on the other pairs", "nat"),
    [TS_NET_TRAIN_ACCURACY] = SCALAR("train_accuracy", false, "share of training pairs that are right", NULL),
    [TS_NET_TEST_ACCURACY] = SCALAR("test_accuracy", false, "share of the other pairs that are right", NULL),
    [TS_NET_ALL_LOSS] = SCALAR("all_loss", true, "mean cross-entropy on all pairs", "nat"),
    [TS_NET_WEIGHT_NORM2] = SCALAR("weight_norm2", false, "sum of squares of all weights", NULL),
    [TS_NET_GROKKED_STEP] = {.name = "grokked_step",
                             .final = true,
                             .help = "first checkpoint with a test accuracy of 0.99; NaN: none"},
    GROUP_SCALAR_ROWS(TS_NET_GROUP_SCALARS, "irrep", "", ""),
    GROUP_SCALAR_ROWS(TS_NET_VALUE_SCALARS, "value", "value_", IN_VALUES),
    GROUP_CURVE_ROWS(TS_NET_GROUP_CURVES, "irrep", "", ""),
    GROUP_CURVE_ROWS(TS_NET_VALUE_CURVES, "value", "value_", IN_VALUES),
    GROUP_FINAL_ROWS(TS_NET_KEY_IRREP, "irrep", "", ""),
    GROUP_FINAL_ROWS(TS_NET_VALUE_KEY_IRREP, "value", "value_", IN_VALUES),
    FOURIER_ROWS(TS_NET_FOURIER, "cyclic", "", ""),
    FOURIER_ROWS(TS_NET_VALUE_FOURIER, "value", "value_", IN_VALUES),
    [TS_NET_DIHEDRAL + TS_REFLECTION_CORRECTED_LOSS] = SCALAR_OF(
        "dihedral", "reflection_corrected_loss", true,
        "loss without the logits' key-frequency components on elements that are a reflection where the "
        "product is none, or none where it is one"),
    HALF_ROW(TS_EMBED_ROTATION_FOURIER_NORM, "embed_rotation_fourier_norm", "rotations",
             "the left embedding"),
    HALF_ROW(TS_EMBED_REFLECTION_FOURIER_NORM, "embed_reflection_fourier_norm", "reflections",
             "the left embedding"),
    HALF_ROW(TS_EMBED_RIGHT_ROTATION_FOURIER_NORM, "embed_right_rotation_fourier_norm", "rotations",
             "the right embedding"),
    HALF_ROW(TS_EMBED_RIGHT_REFLECTION_FOURIER_NORM, "embed_right_reflection_fourier_norm", "reflections",
             "the right embedding"),
    HALF_ROW(TS_UNEMBED_ROTATION_FOURIER_NORM, "unembed_rotation_fourier_norm", "rotations",
             "the unembedding"),
    HALF_ROW(TS_UNEMBED_REFLECTION_FOURIER_NORM, "unembed_reflection_fourier_norm", "reflections",
             "the unembedding"),
    REGION_ROW(TS_REGION_HIDDEN_LEFT_FRACTION, "region_hidden_left_fraction",
               "share of the region's |H0|^2 in functions of a in the irrep"),
    REGION_ROW(TS_REGION_HIDDEN_RIGHT_FRACTION, "region_hidden_right_fraction",
               "share of the region's |H0|^2 in functions of b in the irrep"),
    REGION_ROW(TS_REGION_HIDDEN_PRODUCT_FRACTION, "region_hidden_product_fraction",
               "share of the region's |H0|^2 in functions of a b in the irrep"),
    REGION_ROW(TS_REGION_LOGIT_SIMILARITY, "region_logit_similarity",
               "cosine between the region's centred logits and chi_r(a b c^-1)"),
    CLUSTER_ROWS(TS_NET_CLUSTERS, "frequency", "", ""),
    CLUSTER_ROWS(TS_NET_VALUE_CLUSTERS, "value", "value_", IN_VALUES),
    [TS_NET_ATTENTION] = {.name = "attention",
                          .dimension = {"head", "source"},
                          .curve = true,
                          .help = "attention of the last position, mean over all pairs"},
    [TS_NET_MEASURES] = {0},
};

bool ts_network_has_chart(const ts_data *data, int chart) {
    return data->symmetry && chart < data->symmetry->charts;
}

static int circles(const ts_data *data) {
    return data->symmetry ? data->symmetry->circles : 0;
}

int64_t ts_network_dimension(const ts_parameter_layout *layout, int hidden, int heads, const ts_data *data,
                             const char *name) {
    if (strcmp(name, "irrep") == 0)
        return ts_network_has_chart(data, 0) ? data->symmetry->irreps->count : 0;
    if (strcmp(name, "value") == 0) // no dimension of data: whether there is a value chart
        return ts_network_has_chart(data, 1);
    if (strcmp(name, "cyclic") == 0) // likewise: whether there is one circle, or two
        return circles(data) == 1;
    if (strcmp(name, "dihedral") == 0)
        return circles(data) == 2;
    if (strcmp(name, "component") == 0)
        return circles(data) > 0 ? data->symmetry->circle : 0;
    if (strcmp(name, "frequency") == 0)
        return circles(data) > 0 ? data->symmetry->circle / 2 : 0;
    if (strcmp(name, "region") == 0)
        return circles(data) == 2 ? TS_REGIONS : 0;
    if (strcmp(name, "neuron") == 0)
        return hidden;
    if (strcmp(name, "head") == 0)
        return heads;
    if (strcmp(name, "source") == 0)
        return TS_SOURCES;
    for (int i = 0; i < layout->count; i++)
        for (int d = 0; d < layout->tensor[i].rank; d++)
            if (strcmp(layout->tensor[i].dimension[d], name) == 0)
                return layout->tensor[i].size[d];
    return 0;
}

const char *ts_network_label(const ts_data *data, const char *dimension, int64_t index) {
    static const char *const SOURCES[TS_SOURCES] = {"a", "b", "="};
    if (strcmp(dimension, "irrep") == 0 && data->symmetry)
        return data->symmetry->irreps->irrep[index].name;
    if (strcmp(dimension, "irrep_alias") == 0 && data->symmetry)
        return data->symmetry->irreps->irrep[index].alias;
    if (strcmp(dimension, "component") == 0 && circles(data) > 0)
        return data->symmetry->component[index];
    if (strcmp(dimension, "frequency") == 0 && circles(data) > 0)
        return data->symmetry->frequency[index];
    if (strcmp(dimension, "region") == 0 && circles(data) == 2)
        return ts_region_names[index];
    return strcmp(dimension, "source") == 0 ? SOURCES[index] : NULL;
}
