// Tensors with padded rows, and the way between them and the model's layout.
#include "backend/padded_layout.h"

#include "model/optimiser.h"

#include <string.h>

void ts_padded_layout_make(const ts_params *params, int unit, ts_padded_layout *layout) {
    ts_parameter_layout model;
    params->schema->model->layout(params, &model);
    *layout = (ts_padded_layout){
        .model = model,
        .tensors = model.count,
        .packed = model.total,
        .parts = ts_optimiser_parts(params),
    };
    for (int i = 0; i < model.count; i++) {
        const ts_tensor *tensor = &model.tensor[i];
        int64_t columns = tensor->size[tensor->rank - 1], rows = 1;
        for (int d = 0; d < tensor->rank - 1; d++)
            rows *= tensor->size[d];
        layout->tensor[i] = (ts_padded_tensor){
            .rows = rows,
            .columns = columns,
            .stride = (columns + unit - 1) / unit * unit,
            .offset = layout->padded,
        };
        layout->padded += rows * layout->tensor[i].stride;
    }
}

size_t ts_padded_state_floats(const ts_padded_layout *layout) {
    return (size_t)layout->parts * (size_t)layout->padded;
}

size_t ts_packed_state_floats(const ts_padded_layout *layout) {
    return (size_t)layout->parts * (size_t)layout->packed;
}

static void repack(const ts_padded_layout *layout, int parts, bool pack, const float *from, float *to) {
    int64_t packed = 0;
    for (int part = 0; part < parts; part++)
        for (int i = 0; i < layout->tensors; i++) {
            const ts_padded_tensor *tensor = &layout->tensor[i];
            int64_t padded = part * layout->padded + tensor->offset;
            for (int64_t r = 0; r < tensor->rows; r++) {
                memcpy(to + (pack ? packed : padded), from + (pack ? padded : packed),
                       (size_t)tensor->columns * sizeof(float));
                padded += tensor->stride;
                packed += tensor->columns;
            }
        }
}

void ts_padded_pack(const ts_padded_layout *layout, int parts, const float *padded, float *packed) {
    repack(layout, parts, true, padded, packed);
}

void ts_padded_unpack(const ts_padded_layout *layout, int parts, const float *packed, float *padded) {
    repack(layout, parts, false, packed, padded);
}
