// What training a model costs: as it says itself or as its definition comes to, and its optimiser.
#include "model/model.h"
#include "model/network.h"
#include "model/optimiser.h"
#include "network/plan.h"
#include "network/rewrite.h"
#include "task/data.h"

#include <math.h>

enum { ROWS = 48, WAYS = 3 }; // that go through a network at once, at least; forwards, and back to inputs and weights

// What is trained on, beside the network.
static double data_bytes(const ts_params *params, const ts_data *data) {
    if (data->table)
        return 12.0 * data->table->n * data->table->n;
    double samples = ts_network_rows(params, data);
    return 2 * (16 * samples + 8 * samples * data->features->features);
}

// Numbers of all that is made, in double precision.
static double made_bytes(const ts_graph *graph, int batch) {
    double numbers = 0;
    for (int i = 0; i < graph->count; i++) {
        const ts_node *node = &graph->node[i];
        if (node->operation != TS_PARAMETER && node->operation != TS_LOOKUP)
            numbers += (double)ts_graph_rows(graph, node, batch) * node->width;
    }
    return sizeof(double) * numbers;
}

// Training has as many of gradients; a row of pairs is measured at once.
static double network_bytes(const ts_graph *graph) {
    return fmax(2 * made_bytes(graph, ROWS), made_bytes(graph, graph->tokens));
}

// What the general engine takes for sums in parts, and for tables that fused engines do without.
static ts_status add_parts(const ts_params *params, const ts_data *data, ts_model_costs *costs) {
    ts_graph graph = {0};
    ts_plan plan = {0};
    ts_status status = ts_model_define_training(params, data, &graph);
    if (status == TS_OK)
        status = ts_plan_make(&graph, 0, &plan);
    if (status == TS_OK) {
        costs->unit_bytes = fmax(costs->unit_bytes, network_bytes(&graph) + data_bytes(params, data));
        costs->parts = ts_plan_parts(&plan, (int64_t)ts_network_rows(params, data));
        costs->unit_bytes += costs->parts > 1 ? costs->parts * sizeof(float) * ts_plan_sums(&plan) : 0;
    }
    ts_plan_free(&plan);
    ts_graph_free(&graph);
    return status;
}

// Engines that update in float32 take less scratch than the numbers in double precision that an optimiser says.
static void add_optimiser(const ts_params *params, ts_model_costs *costs) {
    const ts_optimiser *optimiser = ts_optimiser_of(params);
    ts_parameter_layout layout;
    params->schema->model->layout(params, &layout);
    costs->step_operations += optimiser->operations ? optimiser->operations(&layout) : 0;
    costs->unit_bytes += optimiser->scratch ? (double)sizeof(double) * (double)optimiser->scratch(&layout) : 0;
}

bool ts_model_is_large(const ts_params *params) {
    const ts_model *model = params->schema->model;
    return model->learns == TS_KIND_TABLE && model->step_operations &&
           model->step_operations(params, NULL) >= 2 * TS_ONE_PART;
}

ts_status ts_model_cost(const ts_params *params, const ts_data *data, ts_model_costs *costs) {
    const ts_model *model = params->schema->model;
    ts_graph graph = {0};
    ts_status status = TS_OK;
    *costs = (ts_model_costs){.parts = 1};
    double own = model->step_operations ? model->step_operations(params, data) : 0;
    bool counted = own > 0, sized = counted && model->unit_bytes;
    if (!counted || !sized)
        status = ts_model_define_training(params, data, &graph);
    if (status == TS_OK) {
        costs->step_operations = counted ? own : 2 * WAYS * ts_graph_cost(&graph, ts_network_rows(params, data));
        costs->unit_bytes = sized ? model->unit_bytes(params, data) : network_bytes(&graph) + data_bytes(params, data);
        if (data->table && costs->step_operations >= 2 * TS_ONE_PART)
            status = add_parts(params, data, costs);
        add_optimiser(params, costs);
    }
    ts_graph_free(&graph);
    return status;
}
