// What other programs call our keys, in a list, and the order in which guesses are tried.
#include "sweep/synonyms.h"

#include "sweep/nearest.h"

#include <stdio.h>
#include <string.h>

_Static_assert(TS_MEANT_BYTES >= TS_MEANT_MAX * 60 + 30, "keys of at most 40 letters are named whole, with the note");

// The share of features that are off, where the key is the share that are on.
#define SPARSITIES "sparsity sparsities feature_sparsity sparsity_level"

static const struct {
    const char *keys;
    const char *words; // in lower case, with _
} SYNONYMS[] = {
    // clang-format off
    {"lr",
     "learning_rate learningrate lrate alpha eta step_size init_lr initial_lr base_lr max_lr "
     "peak_lr lr_max lr0 adam_lr"},
    {"beta1 beta2",
     "betas adam_betas adam_beta"},
    {"beta1",
     "beta_1 b1 adam_beta1 adam_b1"},
    {"beta2",
     "beta_2 b2 adam_beta2 adam_b2"},
    {"weight_decay",
     "wd decay l2 l2_reg l2_penalty l2_coeff lambda lamb reg regularization weightdecay "
     "adam_weight_decay"},
    {"warmup",
     "warm_up warmup_steps warm_up_steps n_warmup num_warmup_steps lr_warmup warmup_iters "
     "linear_warmup warmup_epochs"},
    {"momentum",
     "mu sgd_momentum muon_momentum nesterov"},
    {"grokfast",
     "gradfilter gradfilter_ema ema_filter grok_fast"},
    {"orthograd",
     "ortho_grad orthogonal_gradient orthogonal_gradients perp_grad"},
    {"schedule",
     "scheduler lr_schedule lr_scheduler lr_decay lr_schedule_type lr_scheduler_type annealing "
     "decay_schedule"},
    {"steps",
     "epochs epoch num_epochs n_epochs nepochs nb_epochs n_steps num_steps nsteps max_steps "
     "max_epochs total_steps train_steps training_steps num_train_steps num_training_steps "
     "iterations iters n_iters num_iterations max_iters max_iterations num_updates updates"},
    {"seed",
     "random_seed rng_seed random_state torch_seed manual_seed model_seed rng"},
    {"instances",
     "n_seeds num_seeds nseeds runs n_runs num_runs repeats n_repeats num_repeats "
     "replicates replicas trials n_trials num_trials repetitions n_instances num_instances "
     "n_inst"},
    {"seed instances", "seeds"},
    {"split_seed",
     "data_seed dataset_seed split_random_state train_test_seed shuffle_seed"},
    {"optimizer",
     "optimiser optim opt optimizer_name optimizer_type"},
    {"init_seed",
     "initialization_seed weight_seed weights_seed"},
    {"train_fraction",
     "train_frac frac_train fraction_train training_fraction fraction train_split "
     "train_test_split train_ratio train_size split_ratio data_fraction frac train_percent "
     "train_pct train_proportion train_share"},
    {"stop",
     "stopping patience stop_thresh stop_threshold stopping_criterion stop_loss "
     "target_loss loss_threshold"},
    {"stop early_stopping",
     "early_stop stop_early earlystopping early_stopping_patience"},
    {"feature_probability",
     "feature_prob feature_probs probability probabilities feature_probabilities "
     "feature_density density activation_probability p_active prob p_feature"},
    {"features",
     "n_features num_features nfeatures n_feature n_feat n_feats d_features n_input n_inputs "
     "num_inputs input_dim d_in d_input in_features"},
    {"feature_probability", SPARSITIES},
    {"importance",
     "importances feature_importance feature_importances importance_decay loss_weights"},
    {"correlated_pairs",
     "n_correlated_pairs num_correlated_pairs correlated n_correlated"},
    {"anticorrelated_pairs",
     "n_anticorrelated_pairs num_anticorrelated_pairs anticorrelated n_anticorrelated"},
    {"hidden d_mlp",
     "n_hidden num_hidden d_hidden hidden_dim hidden_dims hidden_size hidden_width "
     "hidden_units hidden_layer_size hidden_features num_hidden_units n_hidden_units nhidden "
     "hiddens bottleneck latent_dim n_latent d_latent width"},
    {"d_mlp",
     "d_ff ffn_dim mlp_dim d_ffn dff n_neurons num_neurons neurons mlp_size mlp_hidden d_inner "
     "intermediate_size"},
    {"d_model embed",
     "embed_dim embedding_dim d_embed emb_dim n_embd n_embed embedding_size emb_size embedding "
     "d_emb embed_size model_dim dim d_resid d_residual residual_dim"},
    {"d_model",
     "dmodel d_m"},
    {"heads",
     "n_heads num_heads nheads n_head num_attention_heads attention_heads nhead"},
    {"d_head",
     "head_dim d_heads dhead head_size d_k"},
    {"batch",
     "batch_size batchsize bs minibatch mini_batch minibatch_size n_batch num_samples "
     "n_samples"},
    {"samples",
     "n_train num_train train_samples training_samples dataset_size data_size n_data"},
    {"values",
     "value_range feature_values feature_range value_low value_high"},
    {"floor",
     "min_lr lr_min eta_min min_lr_ratio lr_floor final_lr min_lr_fraction"},
    {"l1",
     "l1_coeff l1_coef l1_coefficient l1_penalty l1_reg l1_lambda lambda_l1 sparsity_penalty"},
    {"tied",
     "tied_weights tie_weights tied_embeddings weight_tying"},
    {"init",
     "initialization initializer initialisation init_scheme init_method weight_init init_type "
     "init_mode"},
    {"init_from",
     "init_weights initial_weights start_weights weights pretrained pretrained_weights load_weights load_from "
     "resume_from warm_start init_checkpoint"},
    {"stacked_instances",
     "n_stacked stack"},
    {"checkpoints",
     "checkpoint checkpoint_every checkpoint_interval save_every save_interval log_every "
     "log_interval eval_every eval_interval eval_freq log_freq save_freq checkpoint_freq "
     "measure_every n_checkpoints num_checkpoints log_steps test_every validate_every "
     "val_interval save_steps"},
    {"save",
     "save_weights save_models save_model save_checkpoints keep store store_weights"},
    {"depth",
     "tree_depth levels n_levels num_levels max_depth height tree_height"},
    {"branching",
     "branching_factor branch branches arity n_children num_children children fanout fan_out "
     "n_ary"},
    {"early_stopping",
     "stop_anywhere"},
    {"p",
     "prime modulus mod mod_p modulo prime_modulus p_mod vocab_size n_vocab d_vocab"},
    {"m",
     "exponent exponent_m exponent_a power_a"},
    {"n",
     "exponent_n exponent_b power_b"},
    {"group",
     "group_name group_type groupname"},
    {"cayley",
     "table cayley_table multiplication_table table_file csv"},
    {"element_order",
     "elements order_file elements_order ordering"},
    {"task",
     "dataset data problem task_name dataset_name"},
    {"model",
     "architecture arch model_type network model_name net"},
    {"name",
     "title output out output_file out_file run_name experiment experiment_name wandb_name "
     "results_file filename"},
    {"grid",
     "sweep parameters params hyperparameters grid_search search_space matrix product "
     "combinations config"},
    {"zip",
     "zipped paired together lockstep"},
    {"cases",
     "include experiments variants"},
    {"where",
     "filter condition constraint constraints keep_if only_if if subject_to"},
    {"exclude",
     "skip drop ignore exclusions without"},
    // clang-format on
};

enum { ROWS = sizeof SYNONYMS / sizeof *SYNONYMS, MAX_WORD = 64 };

// Whether the list, separated by blanks, has the word of this length.
static bool has_word(const char *list, const char *word, size_t length) {
    while (*list) {
        size_t one = strcspn(list, " ");
        if (one == length && memcmp(list, word, length) == 0)
            return true;
        list += one + (list[one] == ' ');
    }
    return false;
}

// The row that has the word; -1: none.
static int find_row(const char *word) {
    char plain[MAX_WORD];
    size_t length = strlen(word);
    if (length == 0 || length >= sizeof plain)
        return -1;
    for (size_t i = 0; i < length; i++) {
        char c = word[i];
        plain[i] = (char)(c == '-' || c == ' ' ? '_' : c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    for (int i = 0; i < ROWS; i++)
        if (has_word(SYNONYMS[i].words, plain, length))
            return i;
    return -1;
}

ts_meant ts_meant_by(const char *word, const char *const *known) {
    int row = find_row(word), n = 0;
    ts_meant meant = {0};
    for (const char *key = row < 0 ? "" : SYNONYMS[row].keys; *key && n < TS_MEANT_MAX;) {
        size_t length = strcspn(key, " ");
        for (const char *const *one = known; *one; one++)
            if (strlen(*one) == length && memcmp(*one, key, length) == 0) {
                meant.key[n++] = *one;
                break;
            }
        key += length + (key[length] == ' ');
    }
    if (n) {
        meant.note = strcmp(SYNONYMS[row].words, SPARSITIES) == 0 ? "1 - sparsity" : NULL;
        return meant;
    }
    meant.key[0] = ts_nearest(word, known);
    meant.guessed = true;
    return meant;
}

const char *ts_meant_text(const ts_meant *meant, char out[TS_MEANT_BYTES]) {
    int at = 0;
    out[0] = 0;
    for (int i = 0; i < TS_MEANT_MAX && meant->key[i]; i++)
        at +=
            snprintf(out + at, (size_t)(TS_MEANT_BYTES - at), "%s'%.40s'", i ? " or " : "did you mean ", meant->key[i]);
    if (at)
        snprintf(out + at, (size_t)(TS_MEANT_BYTES - at), "%s%s%s?", meant->note ? " (" : "",
                 meant->note ? meant->note : "", meant->note ? ")" : "");
    return out;
}
