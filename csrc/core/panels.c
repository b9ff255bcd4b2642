/* panels.c - see panels.h. */
#include "core/panels.h"

#include <string.h>

#include "core/keepers.h"
#include "core/load.h"
#include "core/panel_parts.h"

/* About so much of a matrix is worked on at a time: it stays in the second cache, with room for a
 * panel. */
enum { BLOCK_BYTES = 192 << 10 };

/* Rows are cut at multiples of this: full tiles on every ISA. */
enum { ROW_UNIT = 24 };

size_t nnc_batch_panels(const nnc_batch *batch)
{
    return nnc_ceil_div(batch->n, NNC_PANEL);
}

/* ------------------------------------------------------------------------------ memory */

static void *turned_matrix(const nnc_batch *b, nnc_arena *arena, size_t features)
{
    features = nnc_ceil_div(features, NNC_PANEL) * NNC_PANEL;
    return nnc_arena_piece(arena, features, b->capacity * NNC_PANEL, b->item);
}

/* The rows of `row_bytes` that are worked on at a time. */
static size_t block_rows(size_t row_bytes, size_t rows)
{
    size_t most = nnc_max(BLOCK_BYTES / row_bytes / ROW_UNIT, 1) * ROW_UNIT;
    return nnc_min(most, rows);
}

/* Whether weights_by_lanes computes the gradients by a layer's weights. */
static bool goes_by_lanes(const nnc_batch *b, const nnc_layer *layer)
{
    return b->wide && layer->kind == NNC_DENSE && layer->n_in < NNC_FEW_INPUTS;
}

static nnc_layer_plan plan_layer(const nnc_batch *b, const nnc_layer *layer, size_t n_threads)
{
    size_t n_in = layer->n_in, n_out = layer->n_out;
    nnc_layer_plan plan = {.rows_forward = block_rows(n_in * b->item, n_out),
                           .rows_backward = block_rows(n_out * b->item, n_in),
                           .rows_task = n_out};
    if (!b->wide || layer->kind != NNC_DENSE) return plan;
    if (plan.rows_backward < n_in) plan.strip = n_out * plan.rows_backward;
    plan.rows_task = block_rows(b->capacity * NNC_PANEL * b->item, n_out);
    if (n_threads > 1) plan.rows_task = nnc_min(plan.rows_task, nnc_ceil_div(n_out, 2 * n_threads));
    return plan;
}

static void plan_layers(nnc_batch *b, nnc_arena *arena, size_t n_threads)
{
    const nnc_net *net = b->net;
    b->layers = nnc_arena_piece(arena, net->n_layers, sizeof *b->layers, 1);
    for (size_t l = 0; l < net->n_layers; l++) {
        nnc_layer_plan plan = plan_layer(b, &net->layers[l], n_threads);
        if (b->layers) b->layers[l] = plan;
        b->strip = nnc_max(b->strip, plan.strip);
        b->ones |= goes_by_lanes(b, &net->layers[l]) && n_threads > 0;
        b->n_tasks += nnc_ceil_div(net->layers[l].n_out, plan.rows_task);
    }
    if (n_threads == 0) return;
    b->tasks = nnc_arena_piece(arena, b->n_tasks, sizeof *b->tasks, 1);
    nnc_weight_task *task = b->tasks;
    for (size_t l = 0; task && l < net->n_layers; l++) {
        nnc_split rows = nnc_split_evenly(net->layers[l].n_out, b->layers[l].rows_task);
        while (nnc_split_next(&rows)) *task++ = (nnc_weight_task){l, rows.start, rows.length};
    }
}

void nnc_batch_lay_out(nnc_batch *batch, nnc_arena *arena, const nnc_net *net, nnc_dtype dtype,
                       size_t samples, size_t n_threads)
{
    bool allocated = arena->block != NULL;
    size_t item = nnc_dtype_size(dtype), n_layers = net->n_layers, widest = 0;
    nnc_batch b = {.net = net,
                   .kernels = nnc_kernels_for(dtype),
                   .dtype = dtype,
                   .item = item,
                   .lanes = NNC_LINE / item,
                   .capacity = nnc_ceil_div(samples, NNC_PANEL)};
    b.wide = nnc_work(net->n_params, samples) >= NNC_WIDE_WORK;
    plan_layers(&b, arena, n_threads);
    while (net->layers[b.lowest].kind == NNC_DROPOUT) b.lowest++;
    for (size_t l = 0; l <= n_layers; l++) widest = nnc_max(widest, width(net, l));

    b.z = b.a = nnc_arena_piece(arena, n_layers + 1, sizeof *b.a, 1);
    if (n_threads == 0) {
        void *turns[2];
        size_t longest = 0; /* not always the widest layer's: see panel_stride */
        for (size_t l = 0; l <= n_layers; l++)
            longest = nnc_max(longest, panel_stride(&b, width(net, l)));
        for (int i = 0; i < 2; i++) turns[i] = nnc_arena_piece(arena, b.capacity, longest, item);
        for (size_t l = 0, turn = 0; allocated && l <= n_layers; l++) {
            bool moves = l == 0 || net->layers[l - 1].kind != NNC_DROPOUT;
            if (l > 0 && moves) turn = !turn;
            b.a[l] = turns[turn];
        }
        *batch = b;
        return;
    }
    b.z = nnc_arena_piece(arena, n_layers + 1, sizeof *b.z, 1);
    b.dz = nnc_arena_piece(arena, n_layers + 1, sizeof *b.dz, 1);
    b.by_sample = nnc_arena_piece(arena, n_layers, sizeof *b.by_sample, 1);
    b.rest = nnc_arena_piece(arena, n_layers, sizeof *b.rest, 1);
    void *rows = NULL, *rest = NULL;
    bool turned = false;
    for (size_t l = 0; l <= n_layers; l++) {
        bool apart = l > 0 && nnc_is_of_z(net->layers[l - 1].activation);
        void *a = matrix(&b, arena, width(net, l));
        void *z = apart ? matrix(&b, arena, width(net, l)) : a;
        bool dense = l < n_layers && net->layers[l].kind == NNC_DENSE;
        bool by_lanes = l < n_layers && goes_by_lanes(&b, &net->layers[l]);
        void *dz = a;
        if (by_lanes && l > b.lowest) dz = apart ? z : matrix(&b, arena, width(net, l));
        if (dense && !by_lanes && (b.wide || !turned)) {
            turned = true;
            rows = turned_matrix(&b, arena, b.wide ? width(net, l) : widest);
            rest = nnc_arena_piece(arena, b.capacity * NNC_REST, NNC_PANEL, item);
        }
        if (!allocated) continue;
        b.a[l] = a;
        b.z[l] = z;
        b.dz[l] = dz;
        if (l < n_layers) b.by_sample[l] = rows;
        if (l < n_layers) b.rest[l] = rest;
    }
    nnc_batch_lay_out_labels(&b, arena);
    nnc_keepers_lay_out(&b, arena);
    *batch = b;
}

void nnc_batch_lay_out_labels(nnc_batch *batch, nnc_arena *arena)
{
    nnc_batch *b = batch;
    b->y = matrix(b, arena, width(b->net, b->net->n_layers));
    b->weights = nnc_arena_piece(arena, b->capacity, NNC_PANEL, b->item);
    b->costs = nnc_arena_piece(arena, b->capacity, sizeof *b->costs, 1);
    b->hits = nnc_arena_piece(arena, b->capacity, sizeof *b->hits, 1);
    b->sums = nnc_arena_piece(arena, b->capacity, sizeof *b->sums, 1);
}

void nnc_scratch_lay_out(nnc_panel_scratch *scratch, nnc_arena *arena, const nnc_batch *batch,
                         bool outputs)
{
    const nnc_batch *b = batch;
    *scratch = (nnc_panel_scratch){
        .strip = nnc_arena_piece(arena, b->strip, b->item, 1),
        .y_hat = nnc_arena_piece(arena, NNC_PANEL, b->item, 1),
        .hit = nnc_arena_piece(arena, NNC_PANEL, b->item, 1),
    };
    if (outputs) nnc_rows_lay_out(&scratch->rows, arena, width(b->net, b->net->n_layers), b->item);
}

/* ------------------------------------------------------------------------------- verbs */

void nnc_batch_judge(nnc_batch *batch, nnc_loss loss, double parameter, const nnc_data *data)
{
    batch->loss = loss;
    batch->loss_parameter = parameter;
    batch->weighted = data->weights != NULL;
    batch->smoothed = data->smoothing != 0;
}

double nnc_batch_weight(const nnc_batch *batch)
{
    double sum = 0;
    if (!batch->weighted) return (double)batch->n;
    for (size_t p = 0; p < nnc_batch_panels(batch); p++) sum += batch->sums[p];
    return sum;
}

void nnc_load_panel(nnc_batch *batch, size_t p, const nnc_data *data, const size_t *order,
                    size_t start)
{
    const nnc_batch *b = batch;
    const size_t n_in = width(b->net, 0), n_out = width(b->net, b->net->n_layers);
    nnc_load_place to = {.kernels = b->kernels,
                         .dtype = b->dtype,
                         .loss = b->loss,
                         .n_in = n_in,
                         .n_out = n_out,
                         .ld = NNC_PANEL,
                         .x = panel(b, b->a[0], n_in, p),
                         .y = panel(b, b->y, n_out, p),
                         .weights = at(b, b->weights, p * NNC_PANEL)};
    double sum = nnc_load_samples(&to, data, order, start + p * NNC_PANEL, samples_in(b, p),
                                  columns_in(b, p));
    if (data->weights) b->sums[p] = sum;
}

void nnc_store_panel(const nnc_batch *batch, size_t p, void *y)
{
    const nnc_batch *b = batch;
    size_t n_layers = b->net->n_layers, n_out = width(b->net, n_layers);
    b->kernels->transpose(y, panel(b, b->a[n_layers], n_out, p), n_out, samples_in(b, p), n_out,
                          NNC_PANEL);
}

/* Some rows of a = f(z) in panel p. */
static void activate_rows(const nnc_batch *b, size_t p, nnc_activation f, void *a, const void *z,
                          size_t rows)
{
    size_t cols = columns_in(b, p);
    if (cols == NNC_PANEL) cols *= rows, rows = 1; /* no gaps between them */
    for (size_t i = 0; i < rows; i++)
        b->kernels->activate[f](at(b, a, i * NNC_PANEL), at(b, z, i * NNC_PANEL), cols);
}

void nnc_store_outputs(const nnc_batch *batch, size_t p, nnc_panel_scratch *scratch,
                       const size_t *order, size_t start, void *y)
{
    const nnc_batch *b = batch;
    size_t n_layers = b->net->n_layers;
    nnc_output output = {.dz = panel(b, b->a[n_layers], width(b->net, n_layers), p),
                         .n_out = width(b->net, n_layers),
                         .n = samples_in(b, p),
                         .ld = NNC_PANEL,
                         .item = b->item};
    nnc_store_rows(b->kernels, b->loss, b->net->layers[n_layers - 1].activation, &output,
                   &scratch->rows, order, start + p * NNC_PANEL, y);
}

bool nnc_forward_panels(const nnc_batch *batch, size_t first, size_t count, const void *params,
                        nnc_panel_scratch *scratch, nnc_purpose purpose)
{
    const nnc_batch *b = batch;
    const bool for_loss = purpose != NNC_FOR_OUTPUTS;
    const nnc_net *net = b->net;
    for (size_t l = 0; l < net->n_layers; l++) {
        const nnc_layer *layer = &net->layers[l];
        size_t n_in = layer->n_in, n_out = layer->n_out;
        if (layer->kind != NNC_DENSE) {
            if (!nnc_keeper_forward(b, l, first, count, params, purpose == NNC_FOR_STEP,
                                    scratch->pacer))
                return false;
            continue;
        }
        bool last = l + 1 == net->n_layers;
        bool softmax = nnc_is_softmax(layer->activation);
        bool apart = b->z[l + 1] != b->a[l + 1];
        bool plain = apart || softmax ||
                     (last && for_loss && nnc_loss_takes_logits(b->loss, layer->activation));
        nnc_activation f = plain ? NNC_ACT_IDENTITY : layer->activation;
        nnc_split blocks = nnc_split_evenly(n_out, b->layers[l].rows_forward);
        while (nnc_split_next(&blocks)) {
            size_t row = blocks.start, rows = blocks.length;
            const void *w = at(b, params, layer->w + row * n_in);
            const void *bias = layer->has_bias ? at(b, params, layer->b + row) : NULL;
            for (size_t p = first; p < first + count; p++) {
                void *z = at(b, panel(b, b->z[l + 1], n_out, p), row * NNC_PANEL);
                b->kernels->dense_forward(z, w, bias, panel(b, b->a[l], n_in, p), f, rows, n_in,
                                          columns_in(b, p), NNC_PANEL);
                if (apart)
                    activate_rows(b, p, layer->activation,
                                  at(b, panel(b, b->a[l + 1], n_out, p), row * NNC_PANEL), z, rows);
                if (!nnc_pacer_tick(scratch->pacer, rows * n_in * NNC_PANEL)) return false;
            }
        }
        for (size_t p = first; softmax && !for_loss && p < first + count; p++)
            nnc_apply_softmax(b->kernels, layer->activation, panel(b, b->a[l + 1], n_out, p), n_out,
                              columns_in(b, p), NNC_PANEL);
    }
    return true;
}

void nnc_loss_panel(nnc_batch *batch, size_t p, const nnc_panel_scratch *scratch, bool hits)
{
    const nnc_batch *b = batch;
    const nnc_layer *layer = &b->net->layers[b->net->n_layers - 1];
    nnc_output output = {.dz = panel(b, b->a[b->net->n_layers], layer->n_out, p),
                         .z = panel(b, b->z[b->net->n_layers], layer->n_out, p),
                         .y = panel(b, b->y, layer->n_out, p),
                         .weights = b->weighted ? at(b, b->weights, p * NNC_PANEL) : NULL,
                         .y_hat = scratch->y_hat,
                         .hit = scratch->hit,
                         .n_out = layer->n_out,
                         .n = samples_in(b, p),
                         .ld = NNC_PANEL,
                         .item = b->item,
                         .parameter = b->loss_parameter,
                         .smoothed = b->smoothed};
    nnc_loss_rows(b->kernels, b->loss, layer->activation, &b->costs[p], hits ? &b->hits[p] : NULL,
                  &output);
    size_t padding = columns_in(b, p) - output.n;
    for (size_t i = 0; padding > 0 && i < output.n_out; i++)
        memset(at(b, output.dz, i * NNC_PANEL + output.n), 0, padding * b->item);
}

static void *rows_of(const nnc_batch *b, size_t l, size_t feature_panel)
{
    return at(b, b->by_sample[l], feature_panel * NNC_PANEL * b->capacity * NNC_PANEL);
}

/* How many of n inputs dense_rest takes. */
static size_t rest_of(const nnc_batch *b, size_t n)
{
    size_t rest = n & (b->lanes - 1);
    return rest <= NNC_REST ? rest : 0;
}

/* What weights_by_lanes multiplies by to get db: a row behind those of a[l]. */
static void add_ones(const nnc_batch *b, size_t l, size_t first, size_t count)
{
    const size_t n = width(b->net, l);
    for (size_t p = first; p < first + count; p++)
        b->kernels->fill(at(b, panel(b, b->a[l], n, p), n * NNC_PANEL), 1, NNC_PANEL);
}

/* by_sample[l] and rest[l] = a[l], for some panels. */
static void turn_panels(const nnc_batch *b, size_t l, size_t first, size_t count)
{
    size_t n = width(b->net, l), rest = rest_of(b, n), whole = n - rest;
    for (size_t p = first; rest > 0 && p < first + count; p++)
        memcpy(at(b, b->rest[l], p * NNC_REST * NNC_PANEL),
               at(b, panel(b, b->a[l], n, p), whole * NNC_PANEL), rest * NNC_PANEL * b->item);
    for (size_t i = 0; i * NNC_PANEL < whole; i++) {
        size_t start = i * NNC_PANEL, features = nnc_min(whole - start, NNC_PANEL);
        for (size_t p = first; p < first + count; p++)
            b->kernels->turn_panel(at(b, rows_of(b, l, i), p * NNC_PANEL * NNC_PANEL),
                                   at(b, panel(b, b->a[l], n, p), start * NNC_PANEL), features,
                                   samples_in(b, p));
    }
}

/* dz[l], l > b->lowest, from dz[l + 1]. */
static bool backward_layer(const nnc_batch *b, size_t l, size_t first, size_t count,
                           const void *params, nnc_panel_scratch *scratch)
{
    const nnc_layer *layer = &b->net->layers[l];
    size_t n_in = layer->n_in, n_out = layer->n_out;
    nnc_split blocks = nnc_split_evenly(n_in, b->layers[l].rows_backward);
    while (nnc_split_next(&blocks)) {
        size_t row = blocks.start, rows = blocks.length, w_ld = n_in;
        const char *w = at(b, params, layer->w + row);
        if (b->layers[l].strip > 0 && count > 1) { /* the columns of w, side by side */
            for (size_t i = 0; i < n_out; i++)
                memcpy(at(b, scratch->strip, i * rows), w + i * n_in * b->item, rows * b->item);
            w = scratch->strip;
            w_ld = rows;
        }
        for (size_t p = first; p < first + count; p++) {
            void *dx = at(b, panel(b, b->dz[l], n_in, p), row * NNC_PANEL);
            const void *z = at(b, panel(b, b->z[l], n_in, p), row * NNC_PANEL);
            b->kernels->dense_backward(dx, w, panel(b, b->dz[l + 1], n_out, p), z,
                                       b->net->layers[l - 1].activation, rows, n_out, w_ld,
                                       columns_in(b, p), NNC_PANEL);
            if (!nnc_pacer_tick(scratch->pacer, rows * n_out * NNC_PANEL)) return false;
        }
    }
    return true;
}

bool nnc_backward_panels(const nnc_batch *batch, size_t first, size_t count, const void *params,
                         void *out, double rate, nnc_panel_scratch *scratch)
{
    const nnc_batch *b = batch;
    for (size_t l = b->net->n_layers; l-- > b->lowest;) {
        if (b->net->layers[l].kind == NNC_DENSE) {
            if (goes_by_lanes(b, &b->net->layers[l]))
                add_ones(b, l, first, count);
            else
                turn_panels(b, l, first, count);
            if (l > b->lowest && !backward_layer(b, l, first, count, params, scratch)) return false;
        } else if (!nnc_keeper_backward(b, l, first, count, params, scratch->pacer)) {
            return false;
        }
        if (!b->wide && !nnc_weight_gradients(b, b->tasks[l], out, rate, scratch)) return false;
    }
    return true;
}

/* dw (task.rows, n_in) and db of a task, from its dz. */
static bool weights_by_lanes(const nnc_batch *b, nnc_weight_task task, void *dw, void *db,
                             const void *dz, nnc_pacer *pacer)
{
    const size_t n_in = b->net->layers[task.layer].n_in, most = NNC_LANES_BYTES / b->item;
    nnc_layout samples = {.length = NNC_PANEL,
                          .ld = NNC_PANEL,
                          .dz_panel = panel_stride(b, b->net->layers[task.layer].n_out),
                          .x_panel = panel_stride(b, n_in)};
    for (size_t start = 0; start < b->n; start += most) {
        size_t n = nnc_min(b->n - start, most), p = start / NNC_PANEL;
        samples.cols = whole_lanes(b, n);
        samples.more = start > 0;
        b->kernels->dense_weights(dw, db, at(b, dz, p * samples.dz_panel),
                                  panel(b, b->a[task.layer], n_in, p), task.rows, n_in, &samples);
        if (!nnc_pacer_tick(pacer, task.rows * n_in * n)) return false;
    }
    return true;
}

bool nnc_weight_gradients(const nnc_batch *batch, nnc_weight_task task, void *out, double rate,
                          nnc_panel_scratch *scratch)
{
    const nnc_batch *b = batch;
    const nnc_layer *layer = &b->net->layers[task.layer];
    if (layer->kind != NNC_DENSE) {
        nnc_keeper_gradients(b, task.layer, out, rate);
        return true;
    }
    size_t n_in = layer->n_in, rest = rest_of(b, n_in), whole = n_in - rest;
    size_t stride = panel_stride(b, layer->n_out);
    const void *dz = at(b, b->dz[task.layer + 1], task.row * NNC_PANEL);
    void *dw = at(b, out, layer->w + task.row * n_in);
    void *db = layer->has_bias ? at(b, out, layer->b + task.row) : NULL;

    if (goes_by_lanes(b, layer)) return weights_by_lanes(b, task, dw, db, dz, scratch->pacer);
    for (size_t i = 0; i * NNC_PANEL < whole; i++) {
        size_t col = i * NNC_PANEL, cols = nnc_min(whole - col, NNC_PANEL);
        b->kernels->outer(at(b, dw, col), dz, rows_of(b, task.layer, i), task.rows, cols, b->n,
                          stride, n_in, rate);
        if (!nnc_pacer_tick(scratch->pacer, task.rows * cols * b->n)) return false;
    }
    if (rest > 0 || db)
        b->kernels->dense_rest(at(b, dw, whole), db, dz, b->rest[task.layer], task.rows, rest,
                               whole_lanes(b, b->n), stride, n_in, rate);
    return true;
}
