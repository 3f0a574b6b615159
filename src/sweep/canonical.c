// Members of the form, each kept as it was last written, and where each begins in the whole.
#include "sweep/canonical.h"

#include "base/memory.h"
#include "sweep/cursor.h"

#include <string.h>

struct ts_canonical {
    ts_cursor cursor;
    const ts_pairing *pairing;   // that `member` is of; NULL: none yet
    ts_text member[TS_MAX_KEYS]; // "key":value of each position; "" where the form does not name it
    size_t begin[TS_MAX_KEYS];   // of each named key, in their order: bytes of the form before its member
    ts_text form;
    ts_sha256_stream *stream;
};

ts_status ts_canonical_open(const ts_sweep *sweep, ts_canonical **canonical) {
    ts_canonical *made = ts_alloc_zero(1, sizeof *made, "canonical forms");
    if (!made)
        return TS_ERROR_MEMORY;
    ts_cursor_start(&made->cursor, sweep);
    made->stream = ts_sha256_begin();
    *canonical = made;
    return TS_OK;
}

void ts_canonical_close(ts_canonical *canonical) {
    if (!canonical)
        return;
    for (int i = 0; i < TS_MAX_KEYS; i++)
        ts_text_free(&canonical->member[i]);
    ts_text_free(&canonical->form);
    ts_sha256_end(canonical->stream, NULL);
    ts_free(canonical);
}

static void write_member(ts_canonical *c, int position) {
    ts_text *member = &c->member[position];
    ts_text_clear(member);
    if (ts_params_names(&c->cursor.params, position))
        ts_value_json(&c->cursor.params.value[position], c->pairing->schema.key[position]->name, member);
}

const ts_params *ts_canonical_seek(ts_canonical *c, int64_t instance) {
    ts_cursor_seek(&c->cursor, ts_sweep_point(c->cursor.sweep, instance));
    bool anew = c->pairing != c->cursor.pairing, changed = anew;
    c->pairing = c->cursor.pairing;
    c->form.length = anew ? 0 : c->form.length;
    const ts_schema *schema = &c->pairing->schema;
    for (int i = 0; i < schema->named; i++) {
        int position = schema->alphabetical[i];
        bool writes = anew || ts_key_set_has(&c->cursor.changed, position);
        if (writes && !changed)
            c->form.length = c->begin[i];
        changed = changed || writes;
        if (writes)
            write_member(c, position);
        if (!changed)
            continue;
        c->begin[i] = c->form.length;
        const ts_text *member = &c->member[position];
        c->form.failed = c->form.failed || member->failed;
        if (member->length) {
            ts_text_append(&c->form, c->form.length ? "," : "{", 1);
            ts_text_append(&c->form, ts_text_get(member), member->length);
        }
    }
    if (changed)
        ts_text_append(&c->form, "}", 1);
    return &c->cursor.params;
}

const ts_text *ts_canonical_form(const ts_canonical *canonical) {
    return &canonical->form;
}

void ts_canonical_identity(ts_canonical *canonical, uint8_t digest[TS_SHA256_BYTES]) {
    ts_sha256_again(canonical->stream, ts_text_get(&canonical->form), canonical->form.length, digest);
}

ts_sha256_stream *ts_canonical_begin_digest(const ts_sweep *sweep) {
    ts_sha256_stream *stream = ts_sha256_begin();
    ts_sha256_feed(stream, ts_sweep_name(sweep), strlen(ts_sweep_name(sweep)) + 1);
    return stream;
}

ts_status ts_canonical_status(const ts_canonical *canonical) {
    return ts_text_status(&canonical->form);
}
