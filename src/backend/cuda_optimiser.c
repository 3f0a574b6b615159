// Optimisers by their kernels.
#include "backend/cuda_optimiser.h"

#include "backend/adam_constants.h"
#include "base/memory.h"
#include "model/muon.h"

// An update as it is put on the stream. A fault sticks: further kernels are not started.
typedef struct queue {
    const ts_cuda_updates *updates;
    ts_update_work work;
    cudaStream_t stream;
    cudaError_t error;
} queue;

static void start(queue *q, cudaError_t (*kernel)(const ts_update_work *, cudaStream_t)) {
    if (q->error == cudaSuccess)
        q->error = kernel(&q->work, q->stream);
}

// Of the work, tensors i .. end - 1.
static void select_tensors(queue *q, int i, int end) {
    const ts_padded_layout *layout = q->updates->layout;
    q->work.first = (int)layout->tensor[i].offset;
    q->work.count = (int)(end < layout->tensors ? layout->tensor[end].offset : layout->padded) - q->work.first;
}

// --- Optimisers ---

// Whether columns of features of any instance grow.
static bool grows(const ts_training_spec *spec) {
    bool any = false;
    for (int i = 0; i < spec->count; i++)
        any = any || ts_params_real_or(&spec->params[i], "weight_decay", 0) < 0;
    return any;
}

static void grow(queue *q) {
    const ts_padded_layout *layout = q->updates->layout;
    for (int i = 0; i < layout->tensors; i++) {
        if (!ts_tensor_grows(&layout->model.tensor[i]))
            continue;
        select_tensors(q, i, i + 1);
        if (q->error == cudaSuccess)
            q->error = ts_cuda_grow(&q->work, (int)layout->tensor[i].rows, (int)layout->tensor[i].stride, q->stream);
    }
    select_tensors(q, 0, layout->tensors);
}

static void step_adam(queue *q) {
    if (grows(q->updates->spec))
        grow(q);
    start(q, ts_cuda_adamw);
}

static void step_sgd(queue *q) {
    start(q, ts_cuda_descent);
}

static void step_momentum(queue *q) {
    start(q, ts_cuda_momentum);
}

// The end of the tensors from `i` on that Muon steps together: matrices of one shape, or what it does not take.
static int end_of_run(const ts_parameter_layout *layout, int i) {
    bool taken = ts_muon_takes(&layout->tensor[i]);
    int end = i + 1;
    for (; end < layout->count && ts_muon_takes(&layout->tensor[end]) == taken; end++) {
        if (!taken)
            continue;
        ts_matrices one = ts_muon_matrices(&layout->tensor[i]), other = ts_muon_matrices(&layout->tensor[end]);
        if (one.rows != other.rows || one.columns != other.columns)
            break;
    }
    return end;
}

// What `count` numbers are as matrices of tensor i's shape; where they are worked on follows.
static ts_muon_batch matrices_of(const ts_padded_layout *layout, int i, int64_t count) {
    ts_matrices shape = ts_muon_matrices(&layout->model.tensor[i]);
    int shorter = (int)(shape.rows < shape.columns ? shape.rows : shape.columns);
    return (ts_muon_batch){
        .matrices = (int)(count / (shape.rows * layout->tensor[i].stride)),
        .rows = (int)shape.rows,
        .columns = (int)shape.columns,
        .stride = (int)layout->tensor[i].stride,
        .shorter = shorter,
        .square_stride = TS_QUAD_PAD(shorter),
        .linear = (float)TS_MUON_LINEAR,
        .cubic = (float)TS_MUON_CUBIC,
        .quintic = (float)TS_MUON_QUINTIC,
        .factor = (float)ts_muon_factor(shape),
        .epsilon = TS_MUON_EPSILON,
    };
}

// Floats of x of an instance, and of a.
static int64_t matrix_floats(const ts_muon_batch *of) {
    return (int64_t)of->matrices * of->rows * of->stride;
}

static int64_t square_floats(const ts_muon_batch *of) {
    return (int64_t)of->matrices * of->shorter * of->square_stride;
}

static void multiply(queue *q, ts_product_work product) {
    product.instances = q->work.instances;
    product.stopped = q->work.stopped;
    if (q->error == cudaSuccess)
        q->error = ts_cuda_product(&product, q->stream);
}

static void with_matrices(queue *q, const ts_muon_batch *of,
                          cudaError_t (*kernel)(const ts_update_work *, const ts_muon_batch *, cudaStream_t)) {
    if (q->error == cudaSuccess)
        q->error = kernel(&q->work, of, q->stream);
}

// `next` is x once nearer to orthogonal; they change places. Squares are symmetric, so that of a tall matrix x^T x and
// x b do what x x^T and b x do of its transpose.
static void iterate(queue *q, ts_muon_batch *of, float **next) {
    bool tall = of->rows > of->columns;
    int m = of->shorter;
    int64_t square = square_floats(of) / of->matrices, matrix = matrix_floats(of) / of->matrices;
    ts_operand x = {of->x, matrix_floats(of), matrix, of->stride}, made = x;
    ts_operand a = {of->a, square_floats(of), square, of->square_stride}, b = a;
    made.first = *next;
    b.first = of->b;
    multiply(q, (ts_product_work){tall ? TS_PRODUCT_A_TRANSPOSED : TS_PRODUCT_B_TRANSPOSED, m, m,
                                  tall ? of->rows : of->columns, .parts = of->matrices, .a = x, .b = x, .c = a});
    multiply(q, (ts_product_work){TS_PRODUCT_PLAIN, m, m, m, .parts = of->matrices, .a = a, .b = a, .c = b});
    with_matrices(q, of, ts_cuda_muon_polynomial);
    multiply(q, (ts_product_work){TS_PRODUCT_PLAIN, of->rows, of->columns, m, .parts = of->matrices, .a = tall ? x : b,
                                  .b = tall ? b : x, .c = made});
    float *before = of->x;
    of->x = *next;
    *next = before;
}

static void step_matrices(queue *q, int tensor) {
    ts_muon_batch of = matrices_of(q->updates->layout, tensor, q->work.count);
    int64_t instances = q->work.instances;
    float *next = q->updates->scratch;
    of.x = next + instances * matrix_floats(&of);
    of.a = of.x + instances * matrix_floats(&of);
    of.b = of.a + instances * square_floats(&of);
    with_matrices(q, &of, ts_cuda_muon_gather);
    for (int i = 0; i < TS_MUON_ITERATIONS; i++)
        iterate(q, &of, &next);
    with_matrices(q, &of, ts_cuda_muon_step);
}

static void step_muon(queue *q) {
    const ts_padded_layout *layout = q->updates->layout;
    for (int i = 0, end; i < layout->tensors; i = end) {
        end = end_of_run(&layout->model, i);
        select_tensors(q, i, end);
        if (ts_muon_takes(&layout->model.tensor[i]))
            step_matrices(q, i);
        else
            start(q, ts_cuda_adamw);
    }
}

static const struct {
    const ts_optimiser *optimiser;
    void (*step)(queue *);
} STEPS[] = {
    {&ts_optimiser_adam, step_adam},         {&ts_optimiser_adamw, step_adam}, {&ts_optimiser_sgd, step_sgd},
    {&ts_optimiser_momentum, step_momentum}, {&ts_optimiser_muon, step_muon},
};
enum { COUNT = sizeof STEPS / sizeof *STEPS };

static int find(const ts_params *params) {
    int i = 0;
    while (i < COUNT && STEPS[i].optimiser != ts_optimiser_of(params))
        i++;
    return i;
}

const char *ts_cuda_optimiser_can(const ts_params *params) {
    return find(params) < COUNT ? NULL : "it has no kernels of this optimizer";
}

// --- Constants ---

static size_t scratch_floats(const ts_training_spec *spec, const ts_padded_layout *layout) {
    int64_t most = 0;
    for (int i = 0, end; i < layout->tensors && ts_optimiser_of(spec->params) == &ts_optimiser_muon; i = end) {
        end = end_of_run(&layout->model, i);
        if (!ts_muon_takes(&layout->model.tensor[i]))
            continue;
        int64_t after = end < layout->tensors ? layout->tensor[end].offset : layout->padded;
        ts_muon_batch of = matrices_of(layout, i, after - layout->tensor[i].offset);
        int64_t floats = 2 * (matrix_floats(&of) + square_floats(&of));
        most = floats > most ? floats : most;
    }
    return (size_t)most;
}

void ts_cuda_updates_take(ts_cuda_updates *u, ts_cuda_slab *slab) {
    size_t count = (size_t)u->spec->count;
    u->constants = ts_cuda_slab_take(slab, count, sizeof *u->constants);
    u->rates = ts_cuda_slab_take(slab, TS_CUDA_STEPS_AHEAD * count, sizeof *u->rates);
    u->scratch = ts_cuda_slab_take(slab, count * scratch_floats(u->spec, u->layout), sizeof *u->scratch);
}

static ts_update_constants constants_of(const ts_params *params) {
    double momentum = ts_params_real_or(params, "momentum", 0);
    return (ts_update_constants){
        .betas = ts_of_adam(params) ? ts_adam_betas_of(params) : (ts_adam_betas){0},
        .coupled = (float)ts_coupled_decay(params),
        .keep = (float)momentum,
        .take = (float)(1 - momentum),
        .lambda = (float)ts_gradient_filter_of(params).lambda,
    };
}

ts_status ts_cuda_updates_create(ts_cuda_updates *u, cudaStream_t stream) {
    size_t count = (size_t)u->spec->count;
    u->adam = ts_alloc_zero(count, sizeof *u->adam, "a training");
    u->next_rates = u->adam ? ts_cuda_pinned(TS_CUDA_STEPS_AHEAD * count * sizeof *u->next_rates, "rates") : NULL;
    ts_status status = u->next_rates ? TS_OK : TS_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == TS_OK; i++) {
        ts_update_constants constants = constants_of(&u->spec->params[i]);
        status = ts_cuda_upload(u->constants + i, &constants, sizeof constants, stream);
    }
    return status;
}

void ts_cuda_updates_free(ts_cuda_updates *u) {
    ts_cuda_pinned_free(u->next_rates);
    ts_free(u->adam);
}

void ts_cuda_updates_prepare(ts_cuda_updates *u, int instance, int64_t from, int64_t steps) {
    const ts_params *params = &u->spec->params[instance];
    ts_schedule schedule = ts_schedule_of(params);
    double alpha = ts_gradient_filter_of(params).alpha;
    double decay = ts_optimiser_of(params)->coupled ? 0 : ts_params_real(params, "weight_decay");
    ts_adam *adam = ts_of_adam(params) ? ts_adam_at(&u->adam[instance], params, from) : NULL;
    for (int64_t t = from; t < from + steps; t++) {
        double rate = ts_schedule_rate(&schedule, t);
        u->next_rates[(t - from) * u->spec->count + instance] = (ts_update_rates){
            .adam = adam ? ts_adam_next_rates(adam) : (ts_adam_rates){0},
            .rate = (float)rate,
            .decay = (float)(1 - rate * decay),
            .keep = t == 0 ? 0 : (float)alpha,
            .take = t == 0 ? 1 : (float)(1 - alpha),
        };
    }
}

ts_status ts_cuda_updates_send(const ts_cuda_updates *u, int64_t steps, cudaStream_t stream) {
    return ts_cuda_send(u->rates, u->next_rates, (size_t)(steps * u->spec->count) * sizeof *u->rates, stream);
}

// --- An update ---

// Whether weights of any instance decay by the gradient.
static bool decays(const ts_training_spec *spec) {
    bool any = false;
    for (int i = 0; i < spec->count; i++)
        any = any || ts_coupled_decay(&spec->params[i]) != 0;
    return any;
}

cudaError_t ts_cuda_updates_queue(const ts_cuda_updates *u, const ts_update_work *of, cudaStream_t stream) {
    const ts_params *params = &u->spec->params[0];
    ts_gradient_filter filter = ts_gradient_filter_of(params);
    queue q = {u, *of, stream, cudaSuccess};
    q.work.constants = u->constants;
    q.work.rates = u->rates;
    if (filter.grokfast)
        start(&q, ts_cuda_grokfast);
    for (int i = 0; i < u->layout->tensors && filter.orthograd; i++) {
        select_tensors(&q, i, i + 1);
        start(&q, ts_cuda_orthograd);
    }
    select_tensors(&q, 0, u->layout->tensors);
    if (decays(u->spec))
        start(&q, ts_cuda_add_decay);
    STEPS[find(params)].step(&q);
    return q.error;
}
