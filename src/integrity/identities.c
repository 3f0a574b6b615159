// A sorted list of identities, searched by halving.
#include "integrity/identities.h"

#include "base/digest.h"
#include "base/memory.h"
#include "sweep/canonical.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char identity[TS_SHA256_HEX];
    int64_t instance;
} entry;

struct ts_identities {
    int64_t count;
    entry entry[]; // (count) by identity
};

static int by_identity(const void *a, const void *b) {
    return strcmp(((const entry *)a)->identity, ((const entry *)b)->identity);
}

ts_status ts_identities_make(const ts_sweep *sweep, ts_identities **identities) {
    int64_t count = ts_sweep_instances(sweep);
    ts_identities *made = ts_alloc(sizeof *made + (size_t)count * sizeof *made->entry, "identities");
    ts_canonical *canonical = NULL;
    if (!made || ts_canonical_open(sweep, &canonical) != TS_OK) {
        ts_free(made);
        return TS_ERROR_MEMORY;
    }
    made->count = count;
    for (int64_t i = 0; i < count; i++) {
        uint8_t digest[TS_SHA256_BYTES];
        ts_canonical_seek(canonical, i);
        ts_canonical_identity(canonical, digest);
        ts_sha256_text(digest, made->entry[i].identity);
        made->entry[i].instance = i;
    }
    ts_status status = ts_canonical_status(canonical);
    ts_canonical_close(canonical);
    if (status != TS_OK) {
        ts_free(made);
        return status;
    }
    qsort(made->entry, (size_t)count, sizeof *made->entry, by_identity);
    *identities = made;
    return TS_OK;
}

void ts_identities_free(ts_identities *identities) {
    ts_free(identities);
}

int64_t ts_identities_find(const ts_identities *identities, const char *identity) {
    entry key = {.instance = 0};
    strncpy(key.identity, identity, sizeof key.identity - 1);
    const entry *found =
        bsearch(&key, identities->entry, (size_t)identities->count, sizeof *identities->entry, by_identity);
    return found ? found->instance : -1;
}
