// Files of weights that are not there, for sweeps that begin with them: "w..." is a file of weights, "r..." a results
// file of six instances, hidden 2 and 3, seed 0 to 2, "same..." one whose instances do not differ, "broken..." one
// whose texts are not as they were written, "rone" has one instance; anything else is missing. Weights are of trees of
// depth 2 (6 features).
#pragma once

#include "base/memory.h"
#include "base/text.h"
#include "model/model.h"
#include "sweep/source.h"

#include <stdio.h>
#include <string.h>

enum { SUPPORT_INSTANCES = 6, SUPPORT_END = 1000 };

static int support_weights_open_files, support_weights_opened; // now; ever

// The first number of an instance's weights at a step; the others count up by eighths.
static inline double support_weight(int64_t instance, int64_t step) {
    return (double)(10000 * (instance + 1) + (step < 0 ? SUPPORT_END : step));
}

static inline ts_status support_weights_open(const char *path, void **file, int64_t *instances) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool weights = name[0] == 'w', one = strncmp(name, "rone", 4) == 0;
    if (!weights && name[0] != 'r' && strncmp(name, "same", 4) != 0 && strncmp(name, "broken", 6) != 0)
        return ts_fail(TS_ERROR_USER, "cannot open %s: No such file or directory", path);
    *file = ts_copy_text(name);
    if (!*file)
        return TS_ERROR_MEMORY;
    *instances = weights ? -1 : one ? 1 : SUPPORT_INSTANCES;
    support_weights_open_files++;
    support_weights_opened++;
    return TS_OK;
}

static inline void support_weights_close(void *file) {
    ts_free(file);
    support_weights_open_files--;
}

static inline ts_status support_weights_resolved(void *file, int64_t instance, char **json) {
    char text[128];
    const char *name = file;
    if (strncmp(name, "same", 4) == 0)
        snprintf(text, sizeof text, "{\"init_from\":\"sha256:%d\",\"seed\":0}", (int)instance);
    else if (strncmp(name, "broken", 6) == 0)
        snprintf(text, sizeof text, "%.*s", (int)instance + 3, "{\"a\":[{\"}\\\"");
    else
        snprintf(text, sizeof text, "{\"hidden\":%d,\"lr\":0.1,\"seed\":%d}", 2 + (int)instance / 3, (int)instance % 3);
    *json = ts_copy_text(text);
    return *json ? TS_OK : TS_ERROR_MEMORY;
}

static inline ts_status support_weights_read(void *file, int64_t instance, int64_t *step, const ts_model *model,
                                             const ts_parameter_layout *layout, double *out) {
    const char *name = file;
    (void)model;
    if (name[0] == 'w' && layout->total != 24) // 3 x 6 and 6
        return ts_fail(TS_ERROR_USER, "'%s' is of 3 x 6", name);
    if (instance >= SUPPORT_INSTANCES || *step > SUPPORT_END)
        return ts_fail(TS_ERROR_USER, "'%s' has no such weights", name);
    for (int64_t i = 0; i < layout->total; i++)
        out[i] = support_weight(instance, *step) + (double)i / 8 + (strcmp(name, "wide") == 0 ? 1e-9 : name[1] == 'b');
    *step = *step < 0 ? SUPPORT_END : *step;
    return TS_OK;
}

static const ts_weights_access support_weights = {.open = support_weights_open,
                                                  .close = support_weights_close,
                                                  .resolved = support_weights_resolved,
                                                  .read = support_weights_read};
