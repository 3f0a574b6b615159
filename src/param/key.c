// Schemas, typed access to an instance's parameters, and their JSON and identity.
#include "param/key.h"

#include "base/digest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TS_MAX_KEYS <= 256, "a position fits into a byte");

const ts_file ts_no_file = {.path = "", .name = "none", .content = ""};
const ts_initial ts_no_initial = {.path = "",
                                  .instance = -1,
                                  .step = -1,
                                  .name = "none",
                                  .found_instance = -1,
                                  .found_step = -1,
                                  .written = &ts_no_initial};

static const char *const SAVE[] = {"none", "final", "checkpoints", "state", NULL};

const ts_key ts_common_keys[] = {
    // Which names are allowed, and to which the model defaults, is in the lists of tasks and models.
    {"task", TS_NAME, NULL, 0, 0, NULL, true, "What is learned"},
    {"model", TS_NAME, "", 0, 0, NULL, true, "The network that learns it (default: the task's usual one)"},
    {"seed", TS_INTEGER, "0", 0, 0x1p53, NULL, false,
     "Seed of everything random in the instance; `instances: N` is short for `seed: 0..N-1`"},
    {"steps", TS_INTEGER, "10000", 1, 1e9, NULL, true, "Training steps"},
    {"checkpoints", TS_STEPS, "{log: 100}", 0, 1e9, NULL, true,
     "Steps at which everything is measured: {log: N}, {every: N} or a list, as [0..100..10, 500, "
     "1000]; the last step is always one"},
    {"save", TS_NAME, "final", 0, 0, SAVE, true,
     "Weights kept in the results file; state: final ones, and all that a run with more steps goes on from (--reuse)"},
    {"measures", TS_WORDS, "all", 0, 0, NULL, TS_LATER | TS_SHAPES,
     "What is measured beside losses and accuracies: all, losses (nothing), or a list of families, as [irreps, cosets] "
     "(toysweep help measures)"},
    {"measures_every", TS_INTEGER, "1", 1, 1e6, NULL, TS_LATER | TS_SHAPES,
     "K: every K-th checkpoint, from the first, and the last are measured in full, the others for losses alone"},
    {TS_INIT_FROM, TS_WEIGHTS, "", 0, 0, NULL, TS_LATER,
     "Initial weights: a file of weights (HDF5, safetensors), or an instance of a results file, {file: FILE, instance: "
     "I, step: S}; none: drawn"},
    {0},
};

enum { SLOTS = 2 * TS_MAX_KEYS };

static unsigned slot_of(const char *name) {
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return (hash ^ hash >> 16) % SLOTS;
}

void ts_schema_index(ts_schema *schema) {
    memset(schema->slot, 0, sizeof schema->slot);
    for (int i = 0; i < schema->count; i++) {
        unsigned at = slot_of(schema->key[i]->name);
        while (schema->slot[at])
            at = (at + 1) % SLOTS;
        schema->slot[at] = (uint16_t)(i + 1);
    }
    schema->indexed = schema->count;
}

int ts_key_choice(const ts_key *key, const char *word) {
    for (int i = 0; key->choices && key->choices[i]; i++)
        if (strcmp(key->choices[i], word) == 0)
            return i;
    return -1;
}

bool ts_key_listed(const ts_key *keys, const char *name) {
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return true;
    return false;
}

int ts_schema_find(const ts_schema *schema, const char *name) {
    for (unsigned at = schema->indexed ? slot_of(name) : 0; schema->slot[at]; at = (at + 1) % SLOTS)
        if (strcmp(schema->key[schema->slot[at] - 1]->name, name) == 0)
            return schema->slot[at] - 1;
    for (int i = schema->indexed; i < schema->count; i++)
        if (strcmp(schema->key[i]->name, name) == 0)
            return i;
    return -1;
}

void ts_schema_leave_out(ts_schema *schema, int position) {
    int named = 0;
    schema->count--;
    for (int i = position; i < schema->count; i++)
        schema->key[i] = schema->key[i + 1];
    for (int i = 0; i < schema->named; i++)
        if (schema->alphabetical[i] != position) {
            int at = schema->alphabetical[i];
            schema->alphabetical[named++] = (uint8_t)(at > position ? at - 1 : at);
        }
    schema->named = named;
    ts_schema_index(schema);
}

bool ts_key_needs(const ts_key *key, const char *name) {
    size_t length = strlen(name);
    return key->traits & TS_SWITCHED && strncmp(key->name, name, length) == 0 &&
           strrchr(key->name, '_') == key->name + length;
}

int ts_schema_switch(const ts_schema *schema, const ts_key *key) {
    for (int i = 0; key->traits & TS_SWITCHED && i < schema->count; i++)
        if (ts_key_needs(key, schema->key[i]->name))
            return i;
    return -1;
}

static const ts_value *find(const ts_params *params, const char *name, ts_key_type type) {
    int i = ts_schema_find(params->schema, name);
    if (i < 0 || params->value[i].type != type) {
        fprintf(stderr, "toysweep: no parameter '%s' of the type asked for\n", name);
        abort();
    }
    return &params->value[i];
}

int64_t ts_params_integer(const ts_params *params, const char *name) {
    return find(params, name, TS_INTEGER)->integer;
}

double ts_params_real(const ts_params *params, const char *name) {
    return find(params, name, TS_REAL)->real;
}

double ts_params_real_or(const ts_params *params, const char *name, double otherwise) {
    return ts_schema_find(params->schema, name) >= 0 ? ts_params_real(params, name) : otherwise;
}

bool ts_params_bool(const ts_params *params, const char *name) {
    return find(params, name, TS_BOOL)->flag;
}

const char *ts_params_name(const ts_params *params, const char *name) {
    return find(params, name, TS_NAME)->name;
}

const ts_numbers *ts_params_numbers(const ts_params *params, const char *name) {
    int i = ts_schema_find(params->schema, name);
    ts_key_type type = i < 0 ? TS_NUMBERS : params->value[i].type;
    return find(params, name, type == TS_STEPS || type == TS_STOP || type == TS_THRESHOLDS ? type : TS_NUMBERS)
        ->numbers;
}

const char *ts_params_words(const ts_params *params, const char *name) {
    return find(params, name, TS_WORDS)->name;
}

bool ts_words_are(const ts_params *params, const char *name, const char *word) {
    return strcmp(ts_params_words(params, name), word) == 0;
}

bool ts_words_next(const char **at, char word[TS_WORD_BYTES]) {
    size_t length = strcspn(*at, "\n");
    snprintf(word, TS_WORD_BYTES, "%.*s", (int)length, *at);
    *at += length + ((*at)[length] == '\n');
    return length > 0;
}

const ts_file *ts_params_file(const ts_params *params, const char *name) {
    return find(params, name, TS_FILE)->file;
}

const ts_initial *ts_params_initial(const ts_params *params) {
    int i = ts_schema_find(params->schema, TS_INIT_FROM);
    return i < 0 ? &ts_no_initial : params->value[i].initial;
}

// Level, from 1, of feature i in a complete tree without its root.
static int tree_level(int64_t i, double branching) {
    int level = 1;
    for (double nodes = branching; (double)i >= nodes; nodes *= branching) {
        i -= (int64_t)nodes;
        level++;
    }
    return level;
}

double ts_numbers_at(const ts_numbers *numbers, int64_t i) {
    if (numbers->form == TS_NUMBERS_LIST)
        return numbers->item[i];
    if (numbers->form == TS_NUMBERS_SCALAR)
        return numbers->item[0];
    if (numbers->form == TS_NUMBERS_POWER)
        return numbers->item[1] * pow((double)i + 1, -numbers->item[0]);
    int64_t power = numbers->count > 1 ? tree_level(i, numbers->item[1]) : i;
    double value = 1;
    for (int64_t k = 0; k < power; k++)
        value *= numbers->item[0];
    return value;
}

// Names of the numbers of a form that is written as a mapping.
static const char *const FORMS[][2] = {
    [TS_NUMBERS_GEOMETRIC] = {"base", "branching"},
    [TS_NUMBERS_POWER] = {"power", "base"},
    [TS_NUMBERS_LOG] = {"log"},
    [TS_NUMBERS_EVERY] = {"every"},
    [TS_NUMBERS_BELOW] = {"test_loss", "for"},
    [TS_NUMBERS_KNOWN] = {"memorised", "grokked"},
};

// A whole number as one, anything else as a string; of several a list.
static void words_json(const char *words, const char *key, ts_text *out) {
    char word[TS_WORD_BYTES];
    bool several = strchr(words, '\n');
    if (several)
        ts_json_open(out, key, '[');
    while (ts_words_next(&words, word)) {
        if (word[strspn(word, "0123456789")])
            ts_json_string(out, several ? NULL : key, word);
        else
            ts_json_integer(out, several ? NULL : key, strtoll(word, NULL, 10));
    }
    if (several)
        ts_json_close(out, ']');
}

void ts_value_json(const ts_value *value, const char *key, ts_text *out) {
    switch (value->type) {
    case TS_INTEGER:
        ts_json_integer(out, key, value->integer);
        return;
    case TS_REAL:
        ts_json_real(out, key, value->real);
        return;
    case TS_BOOL:
        ts_json_bool(out, key, value->flag);
        return;
    case TS_NAME:
        ts_json_string(out, key, value->name);
        return;
    case TS_WORDS:
        words_json(value->name, key, out);
        return;
    case TS_FILE:
        ts_json_string(out, key, value->file->digest);
        return;
    case TS_WEIGHTS:
        ts_json_string(out, key, value->initial->digest);
        return;
    case TS_NUMBERS:
    case TS_STEPS:
    case TS_STOP:
    case TS_THRESHOLDS:
        break;
    }
    const ts_numbers *numbers = value->numbers;
    if (numbers->form == TS_NUMBERS_SCALAR) {
        ts_json_real(out, key, numbers->item[0]);
    } else if (numbers->form == TS_NUMBERS_NEVER) {
        ts_json_string(out, key, "none");
    } else if (numbers->form == TS_NUMBERS_LIST) {
        ts_json_open(out, key, '[');
        for (int i = 0; i < numbers->count; i++)
            ts_json_real(out, NULL, numbers->item[i]);
        ts_json_close(out, ']');
    } else {
        ts_json_open(out, key, '{');
        for (int i = 0; i < numbers->count; i++)
            ts_json_real(out, FORMS[numbers->form][i], numbers->item[i]);
        ts_json_close(out, '}');
    }
}

void ts_value_text(const ts_value *value, ts_text *out) {
    // JSON is YAML; only names, single words and files lose their quotes.
    bool word = value->type == TS_WORDS && !value->name[strcspn(value->name, "\n[")];
    const ts_initial *initial = value->type == TS_WEIGHTS ? value->initial : NULL;
    if (initial) {
        ts_text_add(out, initial->axis ? initial->axis : *initial->digest ? initial->digest : initial->path);
        return;
    }
    if (value->type == TS_NAME || value->type == TS_FILE || word) {
        ts_text_add(out, value->type == TS_FILE ? value->file->digest : value->name);
        return;
    }
    bool comma = out->comma;
    out->comma = false;
    ts_value_json(value, NULL, out);
    out->comma = comma;
}

void ts_numbers_text(const ts_numbers *numbers, ts_text *out) {
    const ts_value value = {.type = TS_NUMBERS, .numbers = numbers};
    char base[32];
    bool tree = numbers->count > 1;
    if (numbers->form == TS_NUMBERS_POWER)
        ts_text_addf(out, "%.15g / (i + 1)^%.15g", numbers->item[1], numbers->item[0]);
    else if (numbers->form != TS_NUMBERS_GEOMETRIC)
        ts_value_text(&value, out);
    else
        ts_text_addf(out, "%s^%s", ts_real_text(numbers->item[0], base), tree ? "level" : "i");
    if (numbers->form == TS_NUMBERS_GEOMETRIC && tree)
        ts_text_addf(out, " (%.15g children a node)", numbers->item[1]);
}

// Numbers of a default that is one or a list of them, as `[0, 1]`.
enum { MOST_DEFAULT_NUMBERS = 4 };
static int default_numbers(const ts_key *key, double item[MOST_DEFAULT_NUMBERS]) {
    int count = 0;
    for (const char *at = key->fallback + strspn(key->fallback, "[ ");
         *at && *at != ']' && count < MOST_DEFAULT_NUMBERS; at += strspn(at, ", ")) {
        char *end;
        item[count++] = strtod(at, &end);
        at = end;
    }
    return count;
}

static ts_numbers_form default_form(const ts_key *key) {
    return key->fallback[0] == '[' ? TS_NUMBERS_LIST : TS_NUMBERS_SCALAR;
}

static bool are_default(const ts_key *key, const ts_numbers *numbers) {
    double item[MOST_DEFAULT_NUMBERS];
    bool same = numbers->form == default_form(key) && numbers->count == default_numbers(key, item);
    for (int i = 0; same && i < numbers->count; i++)
        same = numbers->item[i] == item[i];
    return same;
}

// Of a key that came later, but of numbers.
static ts_value default_of(const ts_key *key) {
    ts_value value = {.type = key->type};
    if (key->type == TS_INTEGER)
        value.integer = strtoll(key->fallback, NULL, 10);
    else if (key->type == TS_REAL)
        value.real = strtod(key->fallback, NULL);
    else if (key->type == TS_BOOL)
        value.flag = strcmp(key->fallback, "true") == 0;
    else if (key->type == TS_WEIGHTS)
        value.initial = &ts_no_initial;
    else
        value.name = key->fallback;
    return value;
}

bool ts_key_takes_flags(const ts_key *key) {
    return key->type == TS_NAME && key->choices && key->minimum != key->maximum;
}

bool ts_key_flag(const ts_key *key, const char *name, bool *flag) {
    if (!ts_key_takes_flags(key))
        return false;
    *flag = strcmp(name, key->choices[(int)key->maximum]) == 0;
    return *flag || strcmp(name, key->choices[(int)key->minimum]) == 0;
}

double ts_key_threshold(const ts_key *key, int i) {
    const char *name = FORMS[TS_NUMBERS_KNOWN][i], *at = strstr(key->fallback, name);
    return strtod(at + strlen(name) + 1, NULL);
}

static bool is_default(const ts_key *key, const ts_value *value) {
    if (value->type == TS_NUMBERS)
        return key->fallback && are_default(key, value->numbers);
    const ts_value usual = default_of(key);
    switch (value->type) {
    case TS_INTEGER:
        return value->integer == usual.integer;
    case TS_REAL:
        return value->real == usual.real;
    case TS_BOOL:
        return value->flag == usual.flag;
    case TS_NAME:
    case TS_WORDS:
        return strcmp(value->name, usual.name) == 0;
    case TS_THRESHOLDS:
        return value->numbers->item[0] == ts_key_threshold(key, 0) &&
               value->numbers->item[1] == ts_key_threshold(key, 1);
    case TS_WEIGHTS:
        return !value->initial->path[0];
    default:
        return false;
    }
}

bool ts_params_is_default(const ts_params *params, int position) {
    return is_default(params->schema->key[position], &params->value[position]);
}

void ts_key_default_json(const ts_key *key, ts_text *out) {
    double item[MOST_DEFAULT_NUMBERS];
    if (key->type == TS_NUMBERS && default_form(key) == TS_NUMBERS_LIST) {
        ts_json_open(out, key->name, '[');
        for (int i = 0, count = default_numbers(key, item); i < count; i++)
            ts_json_real(out, NULL, item[i]);
        ts_json_close(out, ']');
        return;
    }
    if (key->type == TS_NUMBERS) {
        ts_json_real(out, key->name, default_numbers(key, item) ? item[0] : 0);
        return;
    }
    const ts_value value = default_of(key);
    if (key->type != TS_THRESHOLDS) {
        ts_value_json(&value, key->name, out);
        return;
    }
    ts_json_open(out, key->name, '{');
    for (int i = 0; i < 2; i++)
        ts_json_real(out, FORMS[TS_NUMBERS_KNOWN][i], ts_key_threshold(key, i));
    ts_json_close(out, '}');
}

bool ts_params_counts(const ts_params *params, int position) {
    int by = ts_schema_switch(params->schema, params->schema->key[position]);
    return by < 0 || params->value[by].flag;
}

bool ts_params_names(const ts_params *params, int position) {
    const ts_key *key = params->schema->key[position];
    return !(key->traits & TS_LATER) || !ts_params_is_default(params, position);
}

void ts_params_json(const ts_params *params, ts_text *out) {
    // By name, so that the order of lists never matters to an identity.
    const ts_schema *schema = params->schema;
    ts_json_open(out, NULL, '{');
    for (int i = 0; i < schema->named; i++) {
        int position = schema->alphabetical[i];
        if (ts_params_names(params, position))
            ts_value_json(&params->value[position], schema->key[position]->name, out);
    }
    ts_json_close(out, '}');
}

ts_status ts_params_identity(const ts_params *params, uint8_t digest[32]) {
    ts_text json = {0};
    ts_params_json(params, &json);
    ts_status status = ts_text_status(&json);
    ts_sha256(ts_text_get(&json), json.length, digest);
    ts_text_free(&json);
    return status;
}
