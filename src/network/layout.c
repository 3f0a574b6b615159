// Where tensors lie.
#include "network/layout.h"

int64_t ts_tensor_numbers(const ts_tensor *tensor) {
    int64_t count = 1;
    for (int d = 0; d < tensor->rank; d++)
        count *= tensor->size[d];
    return count;
}

void ts_layout_place(ts_parameter_layout *layout) {
    layout->total = 0;
    for (int i = 0; i < layout->count; i++) {
        layout->tensor[i].offset = layout->total;
        layout->total += ts_tensor_numbers(&layout->tensor[i]);
    }
}
