// The --set texts of the files, united key by key into one sweep that must hold exactly their instances.
#include "run/whole.h"

#include "base/memory.h"
#include "integrity/identities.h"
#include "results/origin.h"
#include "run/next.h"
#include "sweep/label.h"
#include "sweep/union.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 64, KEY_BYTES = 64 };

// One of the files.
typedef struct part {
    ts_reader *reader;
    ts_origin *origin;
    const ts_sweep_source *source;
} part;

// A key that some file's --set gives.
typedef struct setting {
    char key[KEY_BYTES];
    bool differs; // not the same text in all files
} setting;

typedef struct whole {
    const char *const *path;
    int parts;
    part *part;             // (parts)
    const ts_sweep **sweep; // (parts) NULL until they are needed
    setting setting[MOST_KEYS];
    int settings, differing;
    char file[128];       // that the sweep is called by if it has no name
    ts_sweep_file *files; // (n_files) of all parts, each path once
    int n_files;
    ts_noted_weights *noted; // (n_noted) of all parts
    int n_noted;
    // The sweep tried last that could be read, for the message: what it is short of.
    ts_text tried;
    int64_t instances, missing;
    ts_text example; // one that is missing
} whole;

// --- The parts ---

static ts_status open_part(whole *w, int i) {
    part *one = &w->part[i];
    ts_status status = ts_reader_open(w->path[i], &one->reader);
    if (status != TS_OK)
        return status;
    status = ts_origin_open(one->reader, &one->origin);
    if (status != TS_OK) {
        char reason[TS_MESSAGE_BYTES];
        snprintf(reason, sizeof reason, "%s", ts_message());
        return ts_fail(status, "'%s': %s", w->path[i], reason);
    }
    one->source = ts_origin_source(one->origin);
    if (strcmp(one->source->text, w->part[0].source->text) != 0)
        return ts_fail(TS_ERROR_USER,
                       "'%s' and '%s' were made from different sweep files; name one with --sweep SWEEP.yaml "
                       "that has the instances of both",
                       w->path[0], w->path[i]);
    return TS_OK;
}

static ts_status open_parts(whole *w) {
    w->part = ts_alloc_zero((size_t)w->parts, sizeof *w->part, "files");
    w->sweep = ts_alloc_zero((size_t)w->parts, sizeof *w->sweep, "files");
    ts_status status = w->part && w->sweep ? TS_OK : TS_ERROR_MEMORY;
    for (int i = 0; i < w->parts && status == TS_OK; i++)
        status = open_part(w, i);
    return status;
}

static void close_all(whole *w) {
    for (int i = 0; i < w->parts && w->part; i++) {
        if (w->sweep)
            ts_sweep_free((ts_sweep *)(uintptr_t)w->sweep[i]);
        ts_origin_close(w->part[i].origin);
        ts_reader_close(w->part[i].reader);
    }
    ts_free(w->sweep);
    ts_free(w->part);
    ts_free(w->files);
    ts_free(w->noted);
    ts_text_free(&w->tried);
    ts_text_free(&w->example);
}

// What the sweeps may be called by if their file does not say: their common name, else `name`.
static void choose_name(whole *w, const char *name) {
    const char *first = ts_reader_attribute(w->part[0].reader, "name");
    bool same = true;
    for (int i = 1; i < w->parts; i++)
        same = same && strcmp(ts_reader_attribute(w->part[i].reader, "name"), first) == 0;
    snprintf(w->file, sizeof w->file, "%s.yaml", same ? first : name);
}

// Files of all parts; a path stands for one content.
static ts_status list_files(whole *w) {
    int most = 1;
    for (int i = 0; i < w->parts; i++)
        most += w->part[i].source->n_files;
    w->files = ts_alloc_zero((size_t)most, sizeof *w->files, "files of the sweeps");
    if (!w->files)
        return TS_ERROR_MEMORY;
    for (int i = 0; i < w->parts; i++)
        for (int f = 0; f < w->part[i].source->n_files; f++) {
            const ts_sweep_file *one = &w->part[i].source->files[f];
            int k = 0;
            while (k < w->n_files && strcmp(w->files[k].path, one->path) != 0)
                k++;
            if (k == w->n_files)
                w->files[w->n_files++] = *one;
            else if (w->files[k].bytes != one->bytes || memcmp(w->files[k].content, one->content, one->bytes) != 0)
                return ts_fail(TS_ERROR_USER,
                               "the file '%s' that the sweeps name was another for '%s' than for one before it",
                               one->path, w->path[i]);
        }
    return TS_OK;
}

static ts_status list_weights(whole *w) {
    int most = 1;
    for (int i = 0; i < w->parts; i++)
        most += w->part[i].source->n_noted;
    w->noted = ts_alloc_zero((size_t)most, sizeof *w->noted, "weights of the sweeps");
    for (int i = 0; i < w->parts && w->noted; i++)
        for (int k = 0; k < w->part[i].source->n_noted; k++)
            w->noted[w->n_noted++] = w->part[i].source->noted[k];
    return w->noted ? TS_OK : TS_ERROR_MEMORY;
}

// --- What --set gave ---

static bool is_of_key(const char *override, const char *key) {
    size_t length = strlen(key);
    return strncmp(override, key, length) == 0 && override[length] == '=';
}

// The value that counts, the last one; NULL: none was given.
static const char *value_of(const part *one, const char *key) {
    const char *value = NULL;
    for (int i = 0; i < one->source->n_overrides; i++)
        if (is_of_key(one->source->overrides[i], key))
            value = one->source->overrides[i] + strlen(key) + 1;
    return value;
}

static ts_status add_setting(whole *w, const char *override) {
    for (int i = 0; i < w->settings; i++)
        if (is_of_key(override, w->setting[i].key))
            return TS_OK;
    int length = (int)strcspn(override, "=");
    if (w->settings == MOST_KEYS || length >= KEY_BYTES)
        return ts_fail(TS_ERROR_USER, "the files were made with more than %d keys by --set; use --sweep", MOST_KEYS);
    setting *made = &w->setting[w->settings++];
    snprintf(made->key, KEY_BYTES, "%.*s", length, override);
    const char *first = value_of(&w->part[0], made->key);
    for (int i = 1; i < w->parts; i++) {
        const char *value = value_of(&w->part[i], made->key);
        made->differs = made->differs || !first != !value || (first && strcmp(first, value) != 0);
    }
    w->differing += made->differs;
    return TS_OK;
}

static ts_status list_settings(whole *w) {
    ts_status status = TS_OK;
    for (int i = 0; i < w->parts; i++)
        for (int k = 0; k < w->part[i].source->n_overrides && status == TS_OK; k++)
            status = add_setting(w, w->part[i].source->overrides[k]);
    return status;
}

// --- What they give together ---

static ts_status read_sweeps(whole *w) {
    ts_status status = TS_OK;
    for (int i = 0; i < w->parts && status == TS_OK; i++) {
        ts_sweep *sweep = NULL;
        if (!w->sweep[i])
            status = ts_sweep_read(w->part[i].source, &sweep);
        w->sweep[i] = sweep ? sweep : w->sweep[i];
    }
    return status;
}

// "where=(a) or (b)": the points of all, if each file has a filter of its own.
static bool join_filters(const whole *w, ts_text *out) {
    for (int i = 0; i < w->parts; i++) {
        const char *filter = value_of(&w->part[i], "where");
        if (!filter)
            return false;
        ts_text_addf(out, "%s(%s)", i ? " or " : "where=", filter);
    }
    return true;
}

// A --set text for what the files have of a key that differs, each text once with its NUL. Nothing for a name: files
// that were named apart are named as one.
static ts_status add_union(whole *w, const char *key, ts_text *texts) {
    if (strcmp(key, "name") == 0)
        return TS_OK;
    ts_text text = {0};
    ts_status status = TS_OK;
    bool there = true;
    if (strcmp(key, "where") == 0) {
        there = join_filters(w, &text);
    } else {
        ts_text_addf(&text, "%s=", key);
        size_t empty = text.length;
        status = read_sweeps(w);
        if (status == TS_OK)
            status = ts_union_write(w->sweep, w->parts, key, &text);
        there = text.length > empty;
    }
    if (status == TS_OK && there)
        ts_text_append(texts, ts_text_get(&text), text.length + 1);
    texts->failed = texts->failed || text.failed;
    ts_text_free(&text);
    return status;
}

// The --set texts of the whole, each with its NUL: those that are the same in all files, and unions of the others if
// asked for.
static ts_status write_overrides(whole *w, bool unions, ts_text *texts) {
    ts_status status = TS_OK;
    for (int k = 0; k < w->settings && status == TS_OK; k++) {
        const setting *one = &w->setting[k];
        if (one->differs && unions)
            status = add_union(w, one->key, texts);
        if (one->differs)
            continue;
        const char *value = value_of(&w->part[0], one->key);
        ts_text_addf(texts, "%s=%s", one->key, value);
        ts_text_append(texts, "", 1);
    }
    return status == TS_OK ? ts_text_status(texts) : status;
}

// --- Is that it? ---

// Which instances of the sweep are in some file; *foreign: how many of the files' are none of its.
static ts_status mark(const whole *w, const ts_sweep *sweep, uint8_t *seen, int64_t *foreign) {
    ts_identities *identities = NULL;
    ts_status status = ts_identities_make(sweep, &identities);
    *foreign = 0;
    for (int i = 0; i < w->parts; i++)
        for (int64_t k = 0; status == TS_OK && k < ts_reader_instances(w->part[i].reader); k++) {
            char *identity;
            status = ts_reader_identity(w->part[i].reader, k, &identity);
            if (status != TS_OK)
                break;
            int64_t found = ts_identities_find(identities, identity);
            if (found >= 0)
                seen[found] = 1;
            else
                ++*foreign;
            ts_free(identity);
        }
    ts_identities_free(identities);
    return status;
}

// Notes what the sweep has that is in no file.
static void note_missing(whole *w, const ts_sweep *sweep, const uint8_t *seen, const ts_text *texts) {
    w->instances = ts_sweep_instances(sweep);
    w->missing = 0;
    for (int64_t i = 0; i < w->instances; i++)
        if (!seen[i] && w->missing++ == 0)
            ts_label_instance(sweep, i, &w->example);
    ts_text_clear(&w->tried);
    for (size_t at = 0; at < texts->length; at += strlen(texts->bytes + at) + 1) {
        ts_text_add(&w->tried, " --set");
        ts_next_word(&w->tried, texts->bytes + at);
    }
}

static ts_status compare(whole *w, const ts_sweep *sweep, const ts_text *texts, bool *fits) {
    int64_t foreign;
    uint8_t *seen = ts_alloc_zero((size_t)ts_sweep_instances(sweep), 1, "instances");
    ts_status status = seen ? mark(w, sweep, seen, &foreign) : TS_ERROR_MEMORY;
    if (status == TS_OK && foreign == 0)
        note_missing(w, sweep, seen, texts);
    *fits = status == TS_OK && foreign == 0 && w->missing == 0;
    ts_free(seen);
    return status;
}

// Tries the sweep file with these --set texts. *sweep is NULL if it is not the one.
static ts_status try(whole *w, const ts_text *texts, ts_sweep **sweep) {
    const char *overrides[MOST_KEYS];
    ts_sweep_source source = *w->part[0].source;
    bool fits = false;
    source.file = w->file;
    source.files = w->files;
    source.n_files = w->n_files;
    source.noted = w->noted;
    source.n_noted = w->n_noted;
    source.overrides = overrides;
    source.n_overrides = 0;
    for (size_t at = 0; at < texts->length; at += strlen(texts->bytes + at) + 1)
        overrides[source.n_overrides++] = texts->bytes + at;
    ts_status status = ts_sweep_read(&source, sweep);
    if (status == TS_ERROR_USER)
        return TS_OK; // no sweep at all
    if (status == TS_OK)
        status = compare(w, *sweep, texts, &fits);
    if (!fits) {
        ts_sweep_free(*sweep);
        *sweep = NULL;
    }
    return status;
}

static ts_status refuse(const whole *w) {
    if (w->missing > 0)
        return ts_fail(TS_ERROR_USER,
                       "the files are not all of a sweep: together%s they would be %lld instance%s, of which "
                       "%lld are in none of them, such as %s; add the files that have them, or name the sweep with "
                       "--sweep SWEEP.yaml: what no file has is then left to be trained",
                       ts_text_get(&w->tried), (long long)w->instances, ts_plural(w->instances), (long long)w->missing,
                       ts_text_get(&w->example));
    if (w->differing == 0)
        return ts_fail(TS_ERROR_USER,
                       "'%s' is damaged%s: the sweep in it does not make its instances; name the "
                       "sweep with --sweep SWEEP.yaml",
                       w->path[0], w->parts > 1 ? ", or one of the others is" : "");
    ts_text keys = {0};
    for (int k = 0; k < w->settings; k++)
        if (w->setting[k].differs)
            ts_text_addf(&keys, "%s%s", keys.length ? ", " : "", w->setting[k].key);
    ts_fail(TS_ERROR_USER,
            "of which sweep the files are parts cannot be told from their --set texts, which differ in %s; "
            "name it "
            "with --sweep SWEEP.yaml",
            ts_text_get(&keys));
    ts_text_free(&keys);
    return TS_ERROR_USER;
}

static ts_status find(whole *w, ts_sweep **sweep) {
    ts_status status = TS_OK;
    for (int unions = 0; unions < (w->differing ? 2 : 1) && status == TS_OK && !*sweep; unions++) {
        ts_text texts = {0};
        status = write_overrides(w, unions, &texts);
        if (status == TS_OK)
            status = try(w, &texts, sweep);
        ts_text_free(&texts);
    }
    return status == TS_OK && !*sweep ? refuse(w) : status;
}

ts_status ts_whole_sweep(const char *const *files, int n_files, const char *name, ts_sweep **sweep) {
    whole *w = ts_alloc_zero(1, sizeof *w, "files");
    *sweep = NULL;
    if (!w)
        return TS_ERROR_MEMORY;
    w->path = files;
    w->parts = n_files;
    ts_status status = open_parts(w);
    if (status == TS_OK)
        choose_name(w, name);
    if (status == TS_OK)
        status = list_files(w);
    if (status == TS_OK)
        status = list_weights(w);
    if (status == TS_OK)
        status = list_settings(w);
    if (status == TS_OK)
        status = find(w, sweep);
    close_all(w);
    ts_free(w);
    return status;
}
