/* loss.c - cost and accuracy, and the gradient at the output. */
#include <string.h>

#include "core/arena.h"
#include "core/fpmode.h"
#include "core/network.h"

typedef enum { SAMPLES, ALL, NOTHING } mean;
typedef enum { CLASSES, NUMBERS } labels;
typedef enum { TINY, LARGE } size;

static const struct {
    mean mean;
    labels labels;
    size size;
    double parameter;
} facts[NNC_LOSS_COUNT] = {
#define FACTS(suffix, name, ...) [NNC_LOSS_##suffix] = {__VA_ARGS__},
    NNC_LOSS_LIST(FACTS)
#undef FACTS
};

double nnc_loss_parameter(nnc_loss loss)
{
    return facts[loss].parameter;
}

double nnc_loss_divisor(nnc_loss loss, double weight, size_t n_out)
{
    switch (facts[loss].mean) {
        case SAMPLES:
            return weight;
        case ALL:
            return weight * (double)n_out;
        default:
            return 1.0;
    }
}

bool nnc_loss_takes_logits(nnc_loss loss, nnc_activation f)
{
#define TAKES(suffix, name) || loss == NNC_LOSS_##suffix
    return f == NNC_ACT_SIGMOID && (false NNC_LOGIT_LOSS_LIST(TAKES));
#undef TAKES
}

bool nnc_loss_has_classes(nnc_loss loss)
{
    return facts[loss].labels == CLASSES;
}

bool nnc_loss_is_tiny(nnc_loss loss)
{
    return facts[loss].size == TINY;
}

/* hit (n) *= whether a row of outputs is right. */
static void match(const nnc_kernels *kernels, nnc_loss loss, bool smoothed, void *hit,
                  const void *y_hat, const void *y, size_t n)
{
    if (loss == NNC_LOSS_HINGE)
        kernels->match_sides(hit, y_hat, y, 0, n);
    else if (smoothed)
        kernels->match_sides(hit, y_hat, y, 0.5, n);
    else
        kernels->match(hit, y_hat, y, n);
}

nnc_status nnc_score(nnc_dtype dtype, nnc_loss loss, double *cost, double *accuracy,
                     const void *y_hat, const void *y, size_t n_out, size_t m)
{
    nnc_plan plan;
    nnc_status status = nnc_plan_init(&plan, dtype, m);
    if (status != NNC_OK) return status;
    nnc_arena arena = {0};
    nnc_arena_reserve(&arena, plan.ld, plan.item, 1);
    status = nnc_arena_allocate(&arena);
    if (status != NNC_OK) return status;
    void *hit = nnc_arena_take(&arena, plan.ld, plan.item, 1);

    nnc_fpmode caller = nnc_fpmode_enter();
    double costs[NNC_MAX_SLICES] = {0}, hits[NNC_MAX_SLICES] = {0};
    for (size_t s = 0; s < plan.n_slices; s++) {
        nnc_slice slice = plan.slices[s];
        plan.kernels->fill(hit, 1.0, slice.n);
        for (size_t i = 0; i < n_out; i++) {
            const void *row_hat = nnc_at(&plan, y_hat, i * m + slice.start);
            const void *row = nnc_at(&plan, y, i * m + slice.start);
            double sum = 0;
            if (cost)
                plan.kernels->loss[loss](&sum, NULL, row_hat, row, NULL, facts[loss].parameter,
                                         slice.n);
            if (accuracy) match(plan.kernels, loss, false, hit, row_hat, row, slice.n);
            costs[s] += sum;
        }
        plan.kernels->sum(&hits[s], hit, slice.n);
    }
    if (cost) *cost = nnc_sum_slices(&plan, costs) / nnc_loss_divisor(loss, (double)m, n_out);
    if (accuracy) *accuracy = nnc_sum_slices(&plan, hits) / (double)m;
    nnc_fpmode_leave(caller);
    nnc_arena_free(&arena);
    return NNC_OK;
}

/* dz = the derivative by y_hat, times f' from x. The former has a place of its own, block by block,
 * as dz may be x. */
static void chain_output(nnc_dtype dtype, nnc_loss loss, nnc_activation f, void *dz,
                         const void *y_hat, const void *x, const void *y, size_t n)
{
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    double sum, dy[256];
    const size_t item = nnc_dtype_size(dtype), most = sizeof dy / item;
    for (size_t start = 0; start < n; start += most) {
        size_t count = nnc_min(n - start, most);
        kernels->loss[loss](&sum, dy, (const char *)y_hat + start * item,
                            (const char *)y + start * item, NULL, facts[loss].parameter, count);
        kernels->activate_backward[f]((char *)dz + start * item, dy, (const char *)x + start * item,
                                      count);
    }
}

void nnc_output_gradient(nnc_dtype dtype, nnc_loss loss, nnc_activation f, void *dz,
                         const void *y_hat, const void *z, const void *y, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    if (loss == NNC_LOSS_BCE && f == NNC_ACT_SIGMOID)
        nnc_kernels_for(dtype)->subtract(dz, y_hat, y, n);
    else
        chain_output(dtype, loss, f, dz, y_hat, nnc_is_of_z(f) ? z : y_hat, y, n);
    nnc_fpmode_leave(caller);
}

void nnc_classify(nnc_dtype dtype, void *class_, const void *p, size_t n)
{
    nnc_fpmode caller = nnc_fpmode_enter();
    nnc_kernels_for(dtype)->classify(class_, p, n);
    nnc_fpmode_leave(caller);
}

nnc_status nnc_check_softmax(const nnc_net *net, nnc_loss loss)
{
    bool at_end = nnc_is_softmax(net->layers[net->n_layers - 1].activation);
    for (size_t l = 0; l + 1 < net->n_layers; l++)
        if (nnc_is_softmax(net->layers[l].activation)) return NNC_ERR_SOFTMAX;
    return at_end == (loss == NNC_LOSS_CCE) ? NNC_OK : NNC_ERR_SOFTMAX;
}

void nnc_apply_softmax(const nnc_kernels *kernels, nnc_activation f, void *z, size_t n_out,
                       size_t cols, size_t ld)
{
    if (f == NNC_ACT_SOFTMAX)
        kernels->softmax(z, n_out, cols, ld);
    else
        kernels->log_softmax(z, n_out, cols, ld);
}

void nnc_loss_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f, double *cost,
                   double *hits, const nnc_output *output)
{
    const nnc_output o = *output;
    *cost = 0;
    if (nnc_is_softmax(f)) {
        kernels->softmax_loss(cost, hits ? o.hit : NULL, o.dz, o.y, o.weights, o.n_out, o.n, o.ld);
        if (hits) kernels->sum(hits, o.hit, o.n);
        return;
    }
    if (hits && o.weights)
        memcpy(o.hit, o.weights, o.n * o.item);
    else if (hits)
        kernels->fill(o.hit, 1.0, o.n);
    for (size_t i = 0; i < o.n_out; i++) {
        void *row = (char *)o.dz + i * o.ld * o.item;
        const void *z = (const char *)o.z + i * o.ld * o.item;
        const void *y = (const char *)o.y + i * o.ld * o.item;
        double sum;
        if (nnc_loss_takes_logits(loss, f)) {
            kernels->loss_from_logits[loss](&sum, row, o.y_hat, row, y, o.weights, o.parameter,
                                            o.n);
            if (hits) match(kernels, loss, o.smoothed, o.hit, o.y_hat, y, o.n);
        } else {
            if (hits) match(kernels, loss, o.smoothed, o.hit, row, y, o.n);
            kernels->loss[loss](&sum, o.y_hat, row, y, o.weights, o.parameter, o.n);
            kernels->activate_backward[f](row, o.y_hat, z, o.n);
        }
        *cost += sum;
    }
    if (hits) kernels->sum(hits, o.hit, o.n);
}

void nnc_rows_lay_out(nnc_rows *rows, nnc_arena *arena, size_t n_out, size_t item)
{
    rows->outputs = nnc_arena_piece(arena, n_out, NNC_PANEL, item);
    rows->rows = nnc_arena_piece(arena, n_out, NNC_PANEL, item);
}

void nnc_store_rows(const nnc_kernels *kernels, nnc_loss loss, nnc_activation f,
                    const nnc_output *output, const nnc_rows *rows, const size_t *order,
                    size_t start, void *y)
{
    const nnc_output o = *output;
    const bool logits = nnc_loss_takes_logits(loss, f);
    const size_t line = NNC_PANEL * o.item, row = o.n_out * o.item;
    char *outputs = rows->outputs, *turned = rows->rows;
    for (size_t first = 0; first < o.n; first += NNC_PANEL) {
        const size_t n = nnc_min(o.n - first, NNC_PANEL);
        for (size_t i = 0; i < o.n_out; i++) {
            const char *from = (const char *)o.dz + (i * o.ld + first) * o.item;
            if (logits)
                kernels->activate[f](outputs + i * line, from, n);
            else
                memcpy(outputs + i * line, from, n * o.item);
        }
        if (nnc_is_softmax(f)) nnc_apply_softmax(kernels, f, outputs, o.n_out, n, NNC_PANEL);
        kernels->transpose(turned, outputs, o.n_out, n, o.n_out, NNC_PANEL);
        for (size_t j = 0; j < n; j++) {
            size_t place = order ? order[start + first + j] : start + first + j;
            memcpy((char *)y + place * row, turned + j * row, row);
        }
    }
}

nnc_output nnc_output_of_block(const nnc_network_plan *network, const nnc_workspace *work,
                               nnc_slice block, const void *ys, const void *weights)
{
    const size_t n_layers = network->net->n_layers;
    return (nnc_output){.dz = work->a[n_layers],
                        .z = work->z[n_layers],
                        .y = ys,
                        .weights = weights,
                        .y_hat = work->y_hat,
                        .hit = work->hit,
                        .n_out = network->net->layers[n_layers - 1].n_out,
                        .n = block.n,
                        .ld = network->plan.ld,
                        .item = network->plan.item,
                        .parameter = network->loss_parameter,
                        .smoothed = network->smoothed};
}

void nnc_loss_block(const nnc_network_plan *network, nnc_slice block, const nnc_output *output,
                    double *cost, double *hits)
{
    const nnc_layer *last = &network->net->layers[network->net->n_layers - 1];
    nnc_loss_rows(network->plan.kernels, network->loss, last->activation, cost, hits, output);
    nnc_clear_padding(&network->plan, block, output->dz, last->n_out);
}
