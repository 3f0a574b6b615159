// Malformed sweep files: each is refused with the right line and words, and nothing worse happens.
#include "support.h"

#include <stdio.h>

#define TREE        "task: tree\ndepth: 2\n" // 2 lines; hidden is missing
#define INDEPENDENT "task: independent\nfeatures: 4\nhidden: 2\n"
#define FULL        "task: tree\ndepth: 2\nhidden: 3\n"    // 3 lines; a sweep of one instance
#define GROUP_TASK  "task: group\ngroup: S3\n"             // 2 lines
#define MLP         "task: group\ngroup: C5\nmodel: mlp\n" // 3 lines; a sweep of one instance

typedef struct malformed {
    const char *text;
    int line; // 0: "bad.yaml: ", without a line
    const char *phrase;
} malformed;

static const malformed TABLE[] = {
    // YAML itself
    {"", 1, "key 'task': is missing; one of tree, independent"},
    {"# only a comment\n", 1, "key 'task': is missing"},
    {"just words\n", 1, "a sweep file is a mapping"},
    {"- a\n- b\n", 1, "a sweep file is a mapping"},
    {"task: [tree\n", 2, "not valid YAML"},
    {"task: tree\n depth: 2\n", 2, "not valid YAML"},
    {"task: 'tree\n", 2, "not valid YAML"},
    {"task: tree\n\tdepth: 2\n", 2, "not valid YAML"},
    {"task: tree\ndepth: {a: 1\n", 3, "not valid YAML"},
    {"task: &a tree\n", 1, "anchors (&a) are not allowed"},
    {"task: tree\ndepth: *a\n", 2, "aliases (*name) are not allowed"},
    {"&a [*a]\n", 1, "anchors (&a) are not allowed"},
    {"task: tree\ndepth: !!int 2\n", 2, "tags (tag:yaml.org,2002:int) are not allowed"},
    {"task: ! tree\n", 1, "tags (!) are not allowed"},
    {FULL "---\ntask: tree\n", 4, "a second document (---) is not allowed"},
    {"task: tree\ndepth: 2\ntask: tree\n", 3, "key 'task' is given twice: on line 1 and on line 3"},
    {TREE "grid: {hidden: 2, hidden: 3}\n", 3, "key 'hidden' is given twice"},
    {"? [a, b]\n: 1\n", 1, "a key must be a plain word"},
    {"? {a: b}\n: 1\n", 1, "a key must be a plain word"},
    {"task: \"tr\\0ee\"\n", 1, "NUL characters are not allowed"},
    {"task: tree\ndepth: \xff\n", 2, "not UTF-8 text"},
    {"task: tree\n\n# \xc3\x28\n", 3, "not UTF-8 text"},
    {"task: tree\ndepth: \x01\n", 2, "not UTF-8 text: control characters are not allowed"},
    {"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", 1, "nested more than 16 levels deep"},
    {"a:\n - - - - - - - - - - - - - - - - 1\n", 2, "nested more than 16 levels deep"},
    {"<<: {task: tree}\n" FULL, 1, "merge keys (<<) are not allowed; write the keys of the mapping out"},
    {FULL "cases: [{<<: *a, seed: 1}]\n", 4, "merge keys (<<) are not allowed"},
    // Unknown and missing keys
    {TREE "hiden: 2\n", 3, "key 'hiden': unknown; did you mean 'hidden'?"},
    {FULL "zzzzzzzz: 2\n", 4, "key 'zzzzzzzz': unknown; no task or model has it"},
    {FULL "grids: {seed: 1}\n", 4, "key 'grids': unknown; did you mean 'grid'?"},
    {FULL "grid: {sede: 1}\n", 4, "key 'sede': unknown; did you mean 'seed'?"},
    {FULL "zip: {sead: [1]}\n", 4, "key 'sead': unknown; did you mean 'seed'?"},
    {FULL "cases: [{stps: 3}]\n", 4, "key 'stps': unknown; did you mean 'steps'?"},
    {FULL "exclude: [{sed: 3}]\n", 4, "key 'sed': unknown; did you mean 'seed'?"},
    {FULL "SEED: 3\n", 4, "key 'SEED': unknown; did you mean 'seed'?"},
    // What other programs call them
    {FULL "learning_rate: 3\n", 4, "key 'learning_rate': unknown; did you mean 'lr'?"},
    {FULL "Learning-Rate: 3\n", 4, "key 'Learning-Rate': unknown; did you mean 'lr'?"},
    {FULL "train_frac: 0.3\n", 4, "key 'train_frac': unknown; did you mean 'train_fraction'?"},
    {FULL "frac_train: 0.3\n", 4, "did you mean 'train_fraction'?"},
    {FULL "sparsity: 0.3\n", 4, "key 'sparsity': unknown; did you mean 'feature_probability' (1 - sparsity)?"},
    {FULL "num_epochs: 3\n", 4, "did you mean 'steps'?"},
    {FULL "betas: [0.9, 0.98]\n", 4, "did you mean 'beta1' or 'beta2'?"},
    {FULL "early_stop: 3\n", 4, "did you mean 'stop' or 'early_stopping'?"},
    {FULL "wd: 1\n", 4, "did you mean 'weight_decay'?"},
    {FULL "prime: 7\n", 4, "did you mean 'p'?"},
    {FULL "batch_size: 7\n", 4, "did you mean 'batch'?"},
    {FULL "n_heads: 7\n", 4, "did you mean 'heads'?"},
    {FULL "grid: {embedding_dim: 7}\n", 4, "did you mean 'd_model' or 'embed'?"},
    {FULL "cases: [{n_features: 7}]\n", 4, "did you mean 'features'?"},
    {FULL "num_seeds: 7\n", 4, "did you mean 'instances'?"},
    {FULL "exclude: [{learning_rate: 3}]\n", 4, "did you mean 'lr'?"},
    {FULL "where: learning_rate < 3\n", 4, "'learning_rate' is unknown; did you mean 'lr'?"},
    {GROUP_TASK "thresholds: 0.9\n", 3, "key 'thresholds': '0.9' is not {memorised: X, grokked: Y}"},
    {GROUP_TASK "thresholds: {}\n", 3, "is not {memorised: X, grokked: Y}"},
    {GROUP_TASK "thresholds: {memorized: 0.9}\n", 3, "'memorized' is unknown; did you mean 'memorised'?"},
    {GROUP_TASK "thresholds: {grokked: 1.5}\n", 3, "key 'thresholds': 1.5 is above the maximum 1"},
    {GROUP_TASK "thresholds: {grokked: high}\n", 3, "is not a number"},
    {GROUP_TASK "delay: -1\n", 3, "key 'delay': -1 is below the minimum 0"},
    {GROUP_TASK "where: thresholds > 1\n", 3, "'thresholds' is several numbers and cannot be compared"},
    {FULL "features: 4\n", 4, "key 'features': does not apply to any task or model of this sweep"},
    {FULL "binary: true\n", 4, "key 'binary': does not apply"},
    {FULL "d_head: 1\n", 4, "does not apply to any task or model of this sweep; it is a key of model 'transformer'"},
    {FULL "init_seed: 1\n", 4, "; it is a key of model 'mlp', model 'transformer'"},
    {FULL "exclude: [{correlated_pairs: 3}]\n", 4, "key 'correlated_pairs': does not apply"},
    {"name: x\ntask: group\ngroup: C5\nsteps: 1\ncases:\n  - {model: mlp}\n  - {model: transformer, hidden: "
     "7}\n",
     7, "key 'hidden': does not apply to any task or model of its case"},
    {FULL "momentum: 0.5\n", 4,
     "key 'momentum': is a key of momentum and muon; with optimizer: adam it has no meaning: leave it out"},
    {"name: x\nsteps: 1\nhidden: 3\ncases:\n  - {task: tree, depth: 2, weight_decay: 1}\n  - {task: group, group: "
     "C5}\n",
     5,
     "key 'weight_decay': counts for adam, in a sweep where others have it too, only where it is chosen: add "
     "'optimizer: adam'"},
    {FULL "grokfast_alpha: 0.9\n", 4,
     "key 'grokfast_alpha': has no meaning without grokfast: add 'grokfast: true', or leave it out"},
    {FULL "grokfast: false\ngrid: {grokfast_lambda: [1, 2]}\n", 5, "'grokfast_lambda': has no meaning without"},
    {"name: x\ntask: tree\ndepth: 2\nhidden: 3\ncases:\n  - {grokfast: true, grokfast_alpha: 0.9}\n"
     "  - {grokfast_alpha: 0.8}\n",
     7, "key 'grokfast_alpha': has no meaning without grokfast"},
    {FULL "grid: {grokfast: [false, true], grokfast_alpha: [0.9, 0.98]}\n", 0,
     "instances 0 and 1 are the same: 'grokfast=false, grokfast_alpha=0.9' and 'grokfast=false, grokfast_alpha=0.98'"},
    {FULL "grokfast_beta: 1\n", 4, "key 'grokfast_beta': unknown; did you mean 'grokfast_alpha'"},
    {FULL "grokfast: 2\n", 4, "key 'grokfast': "},
    {FULL "warmup: -1\n", 4, "key 'warmup': "},
    {FULL "warmup_steps: 10\n", 4, "did you mean 'warmup'?"},
    {FULL "grokfast: true\ngrokfast_alpha: 1\n", 5, "key 'grokfast_alpha': "},
    {FULL "optimizer: momentum\nmomentum: 1\n", 5, "key 'momentum': "},
    {FULL "optimizer: sgd\nbeta1: 0.5\n", 5,
     "key 'beta1': is a key of adam, adamw and muon; with optimizer: sgd it has no meaning: leave it out"},
    {FULL "grid: {beta2: [0.5, 0.6], optimizer: [sgd]}\n", 4, "key 'beta2': is a key of adam, adamw and muon; with"},
    {FULL "optimizer: sgd\nexclude: [{beta1: 0.5}]\n", 5, "key 'beta1': is a key of adam, adamw and muon; with"},
    {"name: x\ntask: group\ngroup: C5\nsteps: 1\ncases:\n  - {optimizer: [sgd, adam], weight_decay: 1}\n"
     "  - {optimizer: sgd, lr: 1, beta1: 0.5}\n  - {beta1: 0.6}\n",
     7, "key 'beta1': is a key of adam, adamw and muon; with optimizer: sgd it has no meaning: leave it out"},
    {FULL "optimizer: sgdd\n", 4, "key 'optimizer': 'sgdd' is not one of adam, adamw, sgd, momentum, muon"},
    {FULL "optimiser: sgd\n", 4, "key 'optimiser': unknown; did you mean 'optimizer'?"},
    {FULL "optim: sgd\n", 4, "did you mean 'optimizer'?"},
    {FULL "grid: {optimizer: [adam, sgd], beta1: [0.5, 0.6]}\n", 0,
     "instances 2 and 3 are the same: 'optimizer=sgd, beta1=0.5' and 'optimizer=sgd, beta1=0.6' do not differ in any "
     "parameter of their task, "
     "model and optimizer"},
    {TREE "optimizer: [adam, sgd]\n", 1, "key 'hidden': is missing: model 'autoencoder' needs it"},
    {"task: tree\nhidden: 3\n", 1, "key 'depth': is missing: task 'tree' needs it"},
    {TREE, 1, "key 'hidden': is missing: model 'autoencoder' needs it"},
    {"task: tree\nhidden: 3\ncases:\n- {depth: 3}\n- {seed: 3}\n", 5, "key 'depth': is missing"},
    {"depth: 2\n", 1, "key 'task': is missing"},
    {"depth: 2\ncases:\n - {task: tree, hidden: 2}\n - {hidden: 3}\n", 4, "key 'task': is missing"},
    // Types
    {TREE "hidden: two\n", 3, "key 'hidden': 'two' is not an integer"},
    {TREE "hidden: 2.5\n", 3, "'2.5' is not an integer"},
    {TREE "hidden: '2'\n", 3, "'2' is not an integer"},
    {TREE "hidden: 0x10\n", 3, "'0x10' is not an integer"},
    {TREE "hidden: 010\n", 3, "'010' has a leading zero, which means octal elsewhere; write the number without it"},
    {TREE "hidden: -007\n", 3, "'-007' has a leading zero"},
    {TREE "hidden: 0o17\n", 3, "'0o17' is not an integer"},
    {TREE "hidden: 1_000\n", 3, "'1_000' is not a number; write its digits together"},
    {FULL "lr: 0,5\n", 4, "'0,5' is not a number; write its digits together, and a fraction behind a point"},
    {TREE "hidden: 00\n", 3, "'00' has a leading zero"},
    {TREE "hidden: [1, 02]\n", 3, "'02' has a leading zero"},
    {TREE "hidden: 01..3\n", 3, "'01..3' has a leading zero"},
    {TREE "hidden: 1..3..01\n", 3, "'1..3..01' has a leading zero"},
    {FULL "lr: 01e-3\n", 4, "'01e-3' has a leading zero"},
    {FULL "lr: 00.1\n", 4, "'00.1' has a leading zero"},
    {FULL "instances: 05\n", 4, "key 'instances': '05' has a leading zero"},
    {FULL "checkpoints: {log: 010}\n", 4, "'010' has a leading zero"},
    {FULL "importance: {base: 00.5}\n", 4, "'00.5' has a leading zero"},
    {FULL "where: hidden < 010\n", 4, "'010' has a leading zero"},
    {FULL "exclude: [{seed: 07}]\n", 4, "'07' has a leading zero"},
    {TREE "hidden: 1000.5\n", 3, "'1000.5' is not an integer"},
    {TREE "hidden: 1.000000000000000000000001\n", 3, "is not an integer"},
    {TREE "hidden: 99999999999999999999\n", 3, "is not within 2^53, where integers end"},
    {TREE "seed: 9007199254740993\n", 3, "is not within 2^53, where integers end"},
    {TREE "hidden:\n", 3, "key 'hidden': has no value"},
    {TREE "hidden: {a: 1}\n", 3, "a mapping ({...}) is not an integer"},
    {TREE "hidden: [1, [2]]\n", 3, "a list within a list is not an integer"},
    {TREE "hidden: []\n", 3, "the list is empty"},
    {TREE "hidden: ~\n", 3, "'~' is not an integer"},
    {FULL "lr: '0.1'\n", 4, "key 'lr': '0.1' is not a number but a word, as it stands in quotes; leave them out"},
    {FULL "seed: \"1\"\n", 4, "key 'seed': '1' is not an integer but a word, as it stands in quotes"},
    {FULL "grid:\n\tlr: [1, 2]\n", 5, "a tab where only blanks may stand; indent with blanks"},
    {FULL "lr: fast\n", 4, "key 'lr': 'fast' is not a number"},
    {FULL "lr: .inf\n", 4, "'.inf' is not a number"},
    {FULL "lr: .nan\n", 4, "'.nan' is not a number"},
    {FULL "lr: 1e999\n", 4, "'1e999' is not a number"},
    {FULL "lr: 1e\n", 4, "'1e' is not a number"},
    {FULL "lr: 1e-400\n", 4, "'1e-400' is too small to be kept: only 0 would be left of it"},
    {FULL "lr: -1e-999999\n", 4, "is too small to be kept"},
    {FULL "lr: 1e-400..1..0.1\n", 4, "is too small to be kept"},
    {FULL "lr: [1, 1e-400]\n", 4, "'1e-400' is too small to be kept"},
    {FULL "lr: {linspace: [1e-400, 1, 3]}\n", 4, "'1e-400' is too small to be kept"},
    {FULL "importance: {base: 1e-400}\n", 4, "'1e-400' is too small to be kept"},
    {FULL "where: lr > 1e-400\n", 4, "'1e-400' is too small to be kept"},
    {FULL "where: lr < 1e400\n", 4, "'1e400' is not a number that can be kept"},
    {FULL "early_stopping: maybe\n", 4, "'maybe' is not true or false"},
    {FULL "early_stopping: 1\n", 4, "'1' is not true or false"},
    {FULL "early_stopping: 'true'\n", 4, "'true' is not true or false"},
    {FULL "save: fnal\n", 4, "'fnal' is not one of none, final, checkpoints, state; did you mean 'final'?"},
    {FULL "save: [final, [none]]\n", 4, "a list within a list is not a name"},
    {"task: tre\nhidden: 2\n", 1, "; did you mean 'tree'?"},
    {"task: [tree,\n  oak]\ndepth: 1\nhidden: 1\n", 2, "'oak' is not one of tree, independent"},
    {FULL "model: mlpp\n", 4, "key 'model': 'mlpp' is not one of autoencoder"},
    {FULL "batch: exat\n", 4, "'exat' is not an integer"},
    // Ranges of values
    {TREE "hidden: 0\n", 3, "key 'hidden': 0 is below the minimum 1"},
    {TREE "hidden: 5000\n", 3, "5000 is above the maximum 4096"},
    {TREE "hidden: 4000..5000\n", 3, "5000 is above the maximum 4096"},
    {FULL "seed: -1\n", 4, "-1 is below the minimum 0"},
    {FULL "steps: 0\n", 4, "0 is below the minimum 1"},
    {FULL "beta1: 1\n", 4, "1 is above the maximum 0.999999"},
    {TREE "hidden: 4..2\n", 3, "'4..2' is empty"},
    {TREE "hidden: 2..4..-1\n", 3, "'2..4..-1' is empty"},
    {TREE "hidden: 2..4..0\n", 3, "'2..4..0' has step 0"},
    {TREE "hidden: 2..\n", 3, "'2..' is not a range; write a..b or a..b..step"},
    {TREE "hidden: a..b\n", 3, "'a..b' is not a range"},
    {TREE "hidden: 1..2..3..4\n", 3, "is not a range"},
    {TREE "hidden: 1..3..0.5\n", 3, "is not a range of integers"},
    {FULL "lr: 0.1..0.5\n", 4, "'0.1..0.5' needs a step"},
    {FULL "lr: 1..1e-30..1e-30\n", 4, "too many digits for a range"},
    // Evenly spaced values
    {TREE "hidden: {linspace: [1, 10, 5]}\n", 3, "linspace gives 3.25, which is not an integer"},
    {TREE "hidden: {logspace: [1, 10, 3]}\n", 3, "logspace gives 3.16227766017, which is not an integer"},
    {TREE "hidden: {linspace: [0.5, 10, 2]}\n", 3, "'0.5' is not an integer"},
    {TREE "hidden: {linspace: [1, 5000, 2]}\n", 3, "5000 is above the maximum 4096"},
    {TREE "hidden: {linspce: [1, 5, 2]}\n", 3, "a mapping ({...}) is not an integer; did you mean 'linspace'?"},
    {FULL "lr: {linspace: [0.1, 1]}\n", 4,
     "linspace takes first value, last value and how many: {linspace: [a, b, n]}"},
    {FULL "lr: {logspace: 3}\n", 4, "logspace takes first value, last value and how many"},
    {FULL "lr: {logspace: [-4, -1, 7]}\n", 4, "not their exponents: write {logspace: [1e-4, 1e-1, 7]}"},
    {FULL "lr: {logspace: [0.1, 1, 2.5]}\n", 4, "'2.5' is not an integer"},
    {FULL "lr: {logspace: [0.1, 1, 1]}\n", 4, "logspace needs 2 values or more"},
    {FULL "lr: {logspace: [0.1, 1, 1e9]}\n", 4, "logspace has at most 100000 values"},
    {FULL "lr: {logspace: [0, 1, 3]}\n", 4, "logspace needs ends above 0"},
    {FULL "lr: {logspace: [1, 1.0, 3]}\n", 4, "logspace has the same number at both ends"},
    {FULL "lr: {linspace: [1, 1.000000001, 1000]}\n", 4, "ends too near to each other"},
    {FULL "lr: {linspace: [1e-30, 1, 3]}\n", 4, "has numbers of too many digits"},
    {FULL "lr: {linspace: [0, 1, 2], logspace: [1, 2, 2]}\n", 4, "a mapping ({...}) is not a number"},
    // Numbers and steps
    {FULL "importance: [0.1, {base: 2}]\n", 4,
     "'{...}' is not a number (this list is one value; to sweep it, put it under grid)"},
    {FULL "importance: [0.1..0.3..0.1]\n", 4, "this list is one value; to sweep it, put it under grid"},
    {FULL "importance: [{linspace: [0, 1, 3]}]\n", 4, "this list is one value; to sweep it, put it under grid"},
    {FULL "checkpoints: [{log: 5}, {every: 5}]\n", 4, "this list is one value; to sweep it, put it under grid"},
    {FULL "importance: [1, 2]\n", 4,
     "a list of 2 numbers for 6 features: give one number a feature, or, to sweep it, put it under grid"},
    {FULL "importance: {bass: 2}\n", 4, "key 'importance': 'bass' is unknown; did you mean 'base'?"},
    {FULL "importance: {branching: 2}\n", 4,
     "'{...}' is not {base: B}, {base: B, branching: b} or {power: a, base: B}"},
    {FULL "importance: {power: 1, branching: 2}\n", 4,
     "'{...}' is not {base: B}, {base: B, branching: b} or {power: a, base: B}"},
    {FULL "importance: {power: -1}\n", 4, "-1 is below the minimum 0"},
    {FULL "importance: {power: 1, base: -1}\n", 4, "-1 is below the minimum 0"},
    {FULL "importance: {pwoer: 1}\n", 4, "key 'importance': 'pwoer' is unknown; did you mean 'power'?"},
    {FULL "importance: {base: 0.5, branching: 1}\n", 4, "branching must be between 2 and 1000000"},
    {FULL "importance: [1,\n  two]\n", 5, "'two' is not a number"},
    {FULL "importance: -1\n", 4, "-1 is below the minimum 0"},
    {FULL "importance: much\n", 4, "'much' is not a number"},
    {FULL "importance: []\n", 4, "the list is empty"},
    {FULL "floor: 0.2\n", 4, "0.2 is for 'schedule: cosine_floor', and this is 'constant'; leave it out there"},
    {FULL "samples: 10\nbatch: 20\n", 4, "leave one of 'samples' and 'batch' out"},
    {FULL "samples: 10\nbatch: exact\n", 4, "leave one of 'samples' and 'batch' out"},
    {FULL "weight_decay: -1\n", 4, "key 'weight_decay': -1 is below the minimum 0"}, // adamw's can be
    {FULL "hidden_activation: sigmoid\n", 4, "'sigmoid' is not one of relu, square, cube, abs, gelu, tanh, identity"},
    {"task: group\ngroup: C5\nweight_decay: -1\n", 3,
     "-1: only the directions of features grow, and this model has none; give 0 or more"},
    {INDEPENDENT "values: [1, 0]\n", 4, "[1, 0]: the first is not below the second"},
    {INDEPENDENT "values: [0, 1, 2]\n", 4, "it is not two numbers, [low, high]"},
    {INDEPENDENT "values: 2\n", 4, "it is not two numbers, [low, high]"},
    {INDEPENDENT "values: [0, 2]\nbinary: true\n", 4, "leave one of 'values' and 'binary' out"},
    {"task: one_hot\nfeatures: 3\nhidden: 2\nfeature_probability: 0\n", 4, "all of them are 0"},
    {"task: one_hot\nfeatures: 3\nhidden: 2\nfeature_probability: [1, 1]\n", 4, "a list of 2 numbers for 3 features"},
    {FULL "checkpoints: 10\n", 4, "'10' is not {log: N}, {every: N} or a list of steps"},
    {FULL "checkpoints: {log: 10, every: 10}\n", 4, "is not {log: N}, {every: N} or a list of steps"},
    {FULL "checkpoints: {evry: 10}\n", 4, "'evry' is unknown; did you mean 'every'?"},
    {FULL "checkpoints: {log: 0}\n", 4, "0 is below the minimum 1"},
    {FULL "checkpoints: {log: 1e8}\n", 4, "100000000 is above the maximum 1000000"},
    {FULL "checkpoints: {every: 1.5}\n", 4, "'1.5' is not an integer"},
    {FULL "checkpoints: [1, -2]\n", 4, "-2 is below the minimum 0"},
    {FULL "checkpoints:\n", 4, "key 'checkpoints': has no value"},
    {FULL "steps: 1e9\ncheckpoints: {every: 10}\n", 5, "more than 1000000 checkpoints"},
    {FULL "steps: 100\nwarmup: 101\n", 5,
     "key 'warmup': 101 steps are more than the 100 of training, and the learning rate would never get to lr; give at "
     "most 100, or raise 'steps'"},
    {FULL "warmup: 100\ngrid:\n  steps: [1000, 99, 100]\n", 4, "100 steps are more than the 99 of training"},
    {FULL "cases:\n  - {steps: 5}\n  - {steps: 3, warmup: 5}\n", 6, "5 steps are more than the 3 of training"},
    // name
    {FULL "name: a/b\n", 4, "key 'name': 'a/b' contains '/'"},
    {FULL "name: ''\n", 4, "'' is empty; it names the results file"},
    {FULL "name: .hidden\n", 4, "'.hidden' starts with '.'"},
    {FULL "name: 12345678901234567890123456789012345678901234567890123456789012345\n", 4, "longer than 64 bytes"},
    {FULL "name: [a]\n", 4, "key 'name': must be a word"},
    {FULL "name: \"a\\tb\"\n", 4, "contains a control character"},
    // Structure
    {TREE "grid: 3\n", 3, "key 'grid': must be a mapping of keys to values"},
    {FULL "grid: {}\n", 4, "key 'grid': must be a mapping"},
    {FULL "zip: [1, 2]\n", 4, "key 'zip': must be a mapping"},
    {FULL "cases: {depth: 2}\n", 4, "key 'cases': must be a list of mappings"},
    {FULL "cases: []\n", 4, "key 'cases': must be a list of mappings"},
    {FULL "cases:\n - {seed: 2}\n - 3\n", 6, "key 'cases': each entry must be a mapping"},
    {FULL "exclude: {seed: 2}\n", 4, "key 'exclude': must be a list of mappings"},
    {FULL "exclude: [{}]\n", 4, "key 'exclude': each entry must be a mapping"},
    {FULL "exclude: [{grid: 2}]\n", 4, "key 'grid': is not a parameter"},
    {FULL "exclude: [{seed: many}]\n", 4, "key 'seed': 'many' is not an integer"},
    {FULL "exclude: [{parameters: many}]\n", 4, "key 'parameters': 'many' is not a number"},
    {FULL "grid:\n  instances: 3\n", 5, "key 'instances': is not allowed in grid; write it at the top level"},
    {FULL "zip: {name: [a]}\n", 4, "key 'name': is not allowed in zip"},
    {FULL "cases: [{grid: {seed: 2}}]\n", 4, "key 'grid': is not allowed in cases"},
    {TREE "hidden: 2\ngrid: {hidden: 3}\n", 4,
     "key 'hidden': is given twice: on line 3 at the top level and on line 4 in grid; keep one"},
    {TREE "grid: {hidden: 3}\nzip: {hidden: [3]}\n", 4, "on line 3 in grid and on line 4 in zip"},
    {TREE "grid: {hidden: 3}\ncases:\n - {hidden: 3}\n", 5, "on line 3 in grid and on line 5 in cases"},
    {TREE "hidden: [2, 3]\ncases:\n - {hidden: 3}\n", 5, "on line 3 at the top level and on line 5 in cases"},
    {TREE "zip: {hidden: [2, 3]}\ncases:\n - {hidden: 3}\n", 5, "on line 3 in zip and on line 5 in cases"},
    {TREE "zip:\n  hidden: [2, 3]\n  seed: [1, 2, 3]\n", 5,
     "key 'seed': has 3 values in zip, but 'hidden' has 2; they must be equally many"},
    // instances
    {FULL "instances: 0\n", 4, "key 'instances': 0 is below the minimum 1"},
    {FULL "instances: 1..3\n", 4, "key 'instances': must be a whole number, like 5"},
    {FULL "instances: [1, 2]\n", 4, "must be a whole number, like 5"},
    {FULL "instances: 20000000\n", 4, "20000000 is more than the 10000000 that a sweep may have"},
    {FULL "instances: 3\nseed: 4\n", 5,
     "key 'seed': is given twice: on line 4 at the top level (as instances) and on line 5 at the top level"},
    {FULL "instances: 3\ncases:\n - {seed: 1}\n", 6, "key 'seed': is given twice"},
    {FULL "cases:\n - {seed: 1, instances: 3}\n", 5, "key 'seed': is given twice"},
    // Sizes
    {TREE "hidden: 1..4096\nseed: 1..4096\n", 0, "the sweep has 16777216 instances; at most 10000000 are allowed"},
    {TREE "hidden: 1..4096\nseed: 0..9007199254740991\n", 4, "9007199254740992 values are too many"},
    {TREE "hidden: [1..4096]\nseed: [0..9007199254740991]\n", 4, "values are too many"},
    {"task: tree\ndepth: 1..15\nhidden: 1..4096\nlr: 1e-6..0.9..1e-6\n"
     "beta1: 1e-6..0.9..1e-6\nbeta2: 1e-6..0.9..1e-6\n",
     0, "instances; at most 10000000 are allowed"},
    {FULL "where: hidden > 5\n", 0, "where and exclude drop all 1 points"},
    {FULL "exclude: [{depth: 1..3}]\n", 0, "where and exclude drop all 1 points"},
    // where
    {FULL "where:\n", 4, "key 'where': must be an expression"},
    {FULL "where: [hidden < 3, {}]\n", 4, "key 'where': must be an expression"},
    {FULL "where: []\n", 4, "the list is empty"},
    {FULL "where:\n  - hidden < 9\n  - hiden < 9\n", 6, "'hiden' is unknown; did you mean 'hidden'?"},
    {FULL "where: hidden = 3\n", 4, "equality is =="},
    {FULL "where: hidden <\n", 4, "the expression ends where a value is expected"},
    {FULL "where: (hidden < 3\n", 4, "a ( is not closed"},
    {FULL "where: hidden < 3)\n", 4, "a ) has no ("},
    {FULL "where: hidden\n", 4, "'hidden' is not a condition"},
    {FULL "where: order < 3\n", 4, "'order' means nothing for task 'tree'"},
    {FULL "where: init == xaver\n", 4, "'init' is never 'xaver'; did you mean 'xavier'?"},
    // What tasks and models refuse
    {"task: tree\ndepth: 15\nbranching: 9\nhidden: 2\n", 2, "key 'depth': a tree of depth 15"},
    {"task: independent\nfeatures: 3\nhidden: 2\ncorrelated_pairs: 2\n", 4, "2 pairs do not fit into 3 features"},
    {"task: independent\nhidden: 2\nfeatures: 3\nfeature_probability: [0.1, 0.2]\n", 4, "a list of 2 numbers"},
    {MLP "init: single_frequency\n", 4, "key 'init': 'single_frequency' says what tokens give each neuron"},
    {MLP "embedding: shared\ninit: single_frequency\n", 5, "set embedding: one_hot or one_hot_separate"},
    {"task: group\ngroup: C2\nmodel: mlp\nhidden: 9\nembedding: one_hot\ninit: single_frequency\n", 6,
     "needs at least 3 tokens, and the table has 2"},
    {"task: group\ngroup: C5\nmodel: transformer\ninit: single_frequency\n", 4,
     "key 'init': 'single_frequency' is not one of published"},
    {MLP "embedding: onehot\n", 4, "did you mean 'one_hot'?"},
    {MLP "embedding: one_hot\nhidden: 2\n", 5, "key 'hidden': U would have 10 numbers"},
    {MLP "bias: left\n", 4, "key 'bias': 'left' is not one of none, hidden, output, both, true, false"},
    {MLP "bias: 'true'\n", 4, "key 'bias': 'true' is not one of none, hidden, output, both, true, false"},
    {MLP "cases:\n  - {bias: hidden}\n  - {model: transformer, bias: hidden}\n", 6,
     "key 'bias': 'hidden' is not true or false (of model 'transformer')"},
    {"task: group\ngroup: C5\nzip:\n  model: [mlp, transformer]\n  bias: [true, hidden]\n", 5,
     "key 'bias': 'hidden' is not true or false (of model 'transformer')"},
    {"task: group\ngroup: C5\nzip:\n  model: [mlp, transformer]\n  bias: [left, true]\n", 5,
     "key 'bias': 'left' is not one of none, hidden, output, both, true, false (of model 'mlp')"},
    {"task: group\ngroup: C5\nmodel: transformer\nbias: hidden\n", 4, "'hidden' is not true or false"},
    {MLP "bias: hidden\ncases:\n  - {hidden: 3}\n  - {model: transformer}\n", 4,
     "key 'bias': 'hidden' is not true or false"},
    {MLP "bias: left\ncases:\n  - {bias: none}\n", 4, "key 'bias': 'left' is not one of none, hidden, output, both"},
    {MLP "exclude: [{model: transformer, bias: left}]\n", 4, "key 'bias': 'left' is not one of none, hidden, output"},
    {MLP "exclude: [{bias: left, model: mlp}]\n", 4, "key 'bias': 'left' is not one of none, hidden, output"},
    {MLP "bias: hidden\nwhere: bias\n", 5, "'bias' is 'hidden' in some instances, which is neither true nor false"},
    {MLP "grokfast: [false, true]\ngrokfast_alpha: 0.5\nwhere: grokfast_alpha == 0.5\n", 6,
     "'grokfast_alpha' means nothing without grokfast; say for which it counts, as in `not grokfast or ...`"},
    {"task: group\ngroup: C5\nmodel: [mlp, transformer]\nwhere: embed == 8\n", 4,
     "'embed' means nothing for model 'transformer'; say for which it counts, as in `model != transformer or ...`"},
    {MLP "optimizer: [adam, sgd]\nwhere: beta1 == 0.5\n", 5,
     "'beta1' means nothing for optimizer 'sgd'; say for which it counts, as in `optimizer != sgd or ...`"},
    {MLP "where: bias == left\n", 4, "'bias' is never 'left'"},
    {MLP "loss: nll\n", 4, "key 'loss': 'nll' is not one of cross_entropy, mse, stablemax"},
    {MLP "activation: silu\n", 4,
     "key 'activation': 'silu' is not one of relu, square, cube, abs, gelu, tanh, identity"},
    {MLP "init_scale: -1\n", 4, "key 'init_scale': -1 is below the minimum 0"},
    // The same instance twice
    {"task: group\ngroup: C5\nmodel: [mlp, transformer]\nhidden: [8, 16]\n", 0,
     "they have no 'hidden': give that in an entry of cases, with the task, model or optimizer that has it"},
    {TREE "hidden: [2, 3, 2]\n", 0, "instances 0 and 2 are the same: 'hidden=2' and 'hidden=2'"},
    {TREE "cases:\n- {hidden: 2}\n- {hidden: [1, 2]}\n", 5,
     "'hidden=2 (case on line 4)' and 'hidden=2 (case on line 5)'"},
    {"task: [independent, tree]\nfeatures: 3\nhidden: 2\ndepth: 1..2\n", 0,
     "'task=independent, depth=1' and 'task=independent, depth=2' do not differ"},
};

static void expect_refused(const char *text, size_t bytes, const char *const *sets, int n_sets, const char *place,
                           const char *phrase) {
    ts_sweep_source source = {
        .file = "dir/bad.yaml", .text = text, .bytes = bytes, .overrides = sets, .n_overrides = n_sets};
    ts_sweep *sweep = NULL;
    ts_status status = ts_sweep_read(&source, &sweep);
    if (status != TS_ERROR_USER)
        fail_msg("status %d, not TS_ERROR_USER, for:\n%s", (int)status, text);
    assert_null(sweep);
    const char *errors = ts_sweep_errors();
    // One of the lines must have both the place and the phrase.
    for (const char *line = errors; *line;) {
        const char *end = strchr(line, '\n'), *found = strstr(line, phrase);
        if (strncmp(line, place, strlen(place)) == 0 && found && found < end)
            return;
        line = end + 1;
    }
    fail_msg("for:\n%s\nexpected '%s ... %s'\ngot\n%s", text, place, phrase, errors);
}

TEST(test_malformed_files_are_refused_with_line_and_reason) {
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
        char place[64];
        snprintf(place, sizeof place, TABLE[i].line ? "dir/bad.yaml:%d: " : "dir/bad.yaml: ", TABLE[i].line);
        expect_refused(TABLE[i].text, strlen(TABLE[i].text), NULL, 0, place, TABLE[i].phrase);
    }
}

TEST(test_wrong_overrides_are_refused_naming_set) {
    static const struct {
        const char *set, *phrase;
    } SETS[] = {
        {"hidden", "'hidden' is not key=value"},
        {"=3", "'=3' is not key=value"},
        {"hiden=3", "key 'hiden': unknown; did you mean 'hidden'?"},
        {"hidden=", "key 'hidden': has no value"},
        {"hidden=two", "key 'hidden': 'two' is not an integer"},
        {"hidden=0", "key 'hidden': 0 is below the minimum 1"},
        {"hidden=[2", "key 'hidden': not valid YAML"},
        {"hidden=&a 2", "anchors (&a) are not allowed"},
        {"grid={seed: 1}", "key 'grid': can only be written in the file"},
        {"cases=[]", "key 'cases': can only be written in the file"},
        {"name=a/b", "key 'name': 'a/b' contains '/'"},
        {"where=hidden <", "key 'where': the expression ends"},
        {"instances=none", "key 'instances': must be a whole number"},
        {"lr=1..3", "key 'lr': 'lr' is in zip (line 5); change it in the file"},
        {"features=3", "key 'features': does not apply"},
    };
    static const char text[] = FULL "zip:\n  lr: [1, 2]\n";
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++)
        expect_refused(text, strlen(text), &SETS[i].set, 1, "--set: ", SETS[i].phrase);
}

TEST(test_nul_bytes_are_refused) {
    static const char text[] = "task: tree\ndepth: \0 2\n";
    expect_refused(text, sizeof text - 1, NULL, 0, "dir/bad.yaml:2: ", "NUL bytes are not allowed");
}

TEST(test_files_beyond_256_kib_are_refused) {
    size_t bytes = TS_SWEEP_MAX_BYTES + 1;
    char *text = ts_alloc(bytes + 1, "a test");
    memset(text, ' ', bytes);
    text[bytes] = 0;
    memcpy(text, "a: 1\n", 5);
    expect_refused(text, bytes, NULL, 0, "dir/bad.yaml:1: ", "larger than 256 KiB");
    ts_free(text);
}

// The names of a list, "a, b, c".
static void add_names(ts_text *out, const char *(*name)(int)) {
    for (int i = 0; name(i); i++)
        ts_text_addf(out, "%s%s", i ? ", " : "", name(i));
}

static const char *task_name(int i) {
    return ts_tasks[i] ? ts_tasks[i]->name : NULL;
}

static const char *model_name(int i) {
    return ts_models[i] ? ts_models[i]->name : NULL;
}

// $TASKS and $MODELS in `errors` stand for their names.
static void expect_errors(const char *text, const char *set, const char *errors) {
    ts_sweep_source source = {
        .file = "x.yaml", .text = text, .bytes = strlen(text), .overrides = &set, .n_overrides = set ? 1 : 0};
    ts_sweep *sweep;
    ts_text expected = {0};
    for (const char *p = errors; *p; p++) {
        if (*p != '$') {
            ts_text_addf(&expected, "%c", *p);
            continue;
        }
        bool tasks = strncmp(p, "$TASKS", 6) == 0;
        add_names(&expected, tasks ? task_name : model_name);
        p += strlen(tasks ? "TASKS" : "MODELS");
    }
    assert_int_equal(ts_sweep_read(&source, &sweep), TS_ERROR_USER);
    if (strcmp(ts_sweep_errors(), ts_text_get(&expected)) != 0)
        fail_msg("for:\n%s\n%s\n     got %s\nexpected %s", text, set ? set : "", ts_sweep_errors(),
                 ts_text_get(&expected));
    ts_text_free(&expected);
}

TEST(test_all_errors_are_reported_in_order_of_lines) {
    expect_errors(
        "task: tree\nhiden: 2\ndepth: two\nwhere: dpth < 2\nsave: fnal\n", NULL,
        "x.yaml:2: key 'hiden': unknown; did you mean 'hidden'?\n"
        "x.yaml:3: key 'depth': 'two' is not an integer\n"
        "x.yaml:4: key 'where': 'dpth' is unknown; did you mean 'depth'?\n"
        "x.yaml:5: key 'save': 'fnal' is not one of none, final, checkpoints, state; did you mean 'final'?\n");
}

TEST(test_errors_that_follow_from_others_are_left_out) {
    static const struct {
        const char *text, *set, *errors;
    } ALONE[] = {
        {"task: tree\n<<: {depth: 1}\nhidden: 2\n", NULL,
         "x.yaml:2: merge keys (<<) are not allowed; write the keys of the mapping out at this place (a key "
         "at the top "
         "level holds for all cases)\n"},
        {"task: tree\nsteps: 10\ncases:\n  - zip: {depth: [1, 2], hidden: [2, 3]}\n", NULL,
         "x.yaml:4: key 'zip': is not allowed in cases; write it at the top level, or an entry for each "
         "combination\n"},
        {"task: tree\ncases:\n - grid: {depth: [1, 2], hidden: [2, 3]}\n - {depth: 1}\n", NULL,
         "x.yaml:3: key 'grid': is not allowed in cases; write it at the top level, or its keys in the "
         "entry: lists and "
         "ranges sweep there too\nx.yaml:4: key 'hidden': is missing: model 'autoencoder' needs it\n"},
        {"task: tree\ncases:\n - 3\n", NULL,
         "x.yaml:3: key 'cases': each entry must be a mapping, like {key: value}\n"},
        {"task: tree\ncases: {depth: 1, hidden: 2}\n", NULL, "x.yaml:2: key 'cases': must be a list of mappings\n"},
        {"cases: 3\n", NULL, "x.yaml:1: key 'cases': must be a list of mappings\n"},
        {"task: tree\ngrid: [depth, hidden]\n", NULL, "x.yaml:2: key 'grid': must be a mapping of keys to values\n"},
        {"task: tree\ngrid: {zip: {depth: [1, 2], hidden: [1, 2]}}\n", NULL,
         "x.yaml:2: key 'zip': is not allowed in grid; write it at the top level\n"},
        {"tsk: tree\ndepth: 2\nhidden: 2\n", NULL, "x.yaml:1: key 'tsk': unknown; did you mean 'task'?\n"},
        {"task: tree\ndepth: 2\nn_hidden: 2\n", NULL,
         "x.yaml:3: key 'n_hidden': unknown; did you mean 'hidden' or 'd_mlp'?\n"},
        {"task: tree\ndepth: 2\n", "hiden=3", "--set: key 'hiden': unknown; did you mean 'hidden'?\n"},
        {"task: tree\ndepth: 2\n", "hidden:3", "--set: 'hidden:3' is not key=value\n"},
        {"cases:\n - {task: tre, depth: 1, hidden: 2}\n - {task: independent, features: 3, hidden: 2}\n", NULL,
         "x.yaml:2: key 'task': 'tre' is not one of $TASKS; did you mean 'tree'?\n"},
        {"cases:\n - {task: tree, model: mpl, depth: 1, hidden: 2}\n - {task: group, group: C31}\n", NULL,
         "x.yaml:2: key 'model': 'mpl' is not one of $MODELS; did you mean 'mlp'?\n"},
        {"cases:\n - {task: tree, model: mlp, depth: 1, hidden: 2}\n - {task: group, group: C31}\n", NULL,
         "x.yaml:2: key 'model': task 'tree' cannot be learned by model 'mlp'; its models: autoencoder\n"},
    };
    for (size_t i = 0; i < sizeof ALONE / sizeof *ALONE; i++)
        expect_errors(ALONE[i].text, ALONE[i].set, ALONE[i].errors);
}

TEST(test_values_are_checked_whatever_else_is_wrong) {
    static const char *const OTHERS[] = {"train_fraction: x\n", "hiden: 2\n", "model: mpl\n", "where: hiden < 3\n",
                                         "steps: 0\n"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        char text[128];
        snprintf(text, sizeof text, "task: group\n%sgroup:\n  [C5,\n  Dih4]\n", OTHERS[i]);
        expect_refused(text, strlen(text), NULL, 0, "dir/bad.yaml:5: ", "key 'group': 'Dih4' is no group known here");
        expect_refused(text, strlen(text), NULL, 0, "dir/bad.yaml:2: ", "");
    }
}

TEST(test_errors_beyond_fifty_are_counted) {
    ts_text text = {0};
    ts_text_add(&text, FULL);
    for (int i = 0; i < 70; i++)
        ts_text_addf(&text, "unknown_%d: 1\n", i);
    support_refused((ts_sweep_source){.file = "x.yaml", .text = text.bytes}, "x.yaml:53: ");
    assert_null(strstr(ts_sweep_errors(), "x.yaml:54: "));
    assert_non_null(strstr(ts_sweep_errors(), "... and 20 more\n"));
    ts_text_free(&text);
}

TEST(test_one_fault_of_many_points_is_reported_once) {
    expect_errors("task: independent\nfeatures: 3\nhidden: 1..100\ncorrelated_pairs: 2\nseed: 0..99\n", NULL,
                  "x.yaml:4: key 'correlated_pairs': 2 pairs do not fit into 3 features\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_files_are_refused_with_line_and_reason),
        cmocka_unit_test(test_wrong_overrides_are_refused_naming_set),
        cmocka_unit_test(test_nul_bytes_are_refused),
        cmocka_unit_test(test_files_beyond_256_kib_are_refused),
        cmocka_unit_test(test_all_errors_are_reported_in_order_of_lines),
        cmocka_unit_test(test_errors_that_follow_from_others_are_left_out),
        cmocka_unit_test(test_values_are_checked_whatever_else_is_wrong),
        cmocka_unit_test(test_errors_beyond_fifty_are_counted),
        cmocka_unit_test(test_one_fault_of_many_points_is_reported_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
