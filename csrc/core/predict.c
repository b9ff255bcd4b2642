/* predict.c - outputs and losses without training: blocks of samples through the network, or one
 * sample. */
#include <math.h>
#include <stdlib.h>

#include "core/keepers.h"
#include "core/panels.h"
#include "core/team.h"

/* Samples in a block: its activations fit into the second cache beside a strip of weights. */
enum { BLOCK_PANELS = 4, BLOCK = BLOCK_PANELS * NNC_PANEL };

/* Multiply-adds above which a second thread pays. */
enum { PARALLEL_WORK = 1 << 20 };

struct nnc_predictor {
    const nnc_net *net;
    nnc_dtype dtype;
    nnc_arena arena;
    nnc_batch batch; /* of rank 0 */
    void *rows[2];   /* (the widest layer): one sample's activations, in turn */
};

/* What the loss is made of. */
typedef struct {
    double cost, hits, weight;
} score;

typedef struct {
    const nnc_predictor *predictor;
    const void *params;
    const nnc_data *data;
    char *y;     /* NULL: not wanted */
    bool judges; /* losses are wanted, of: */
    nnc_loss loss;
    double loss_parameter;
    score *scores;              /* by panel of data */
    nnc_batch *batches;         /* one a thread */
    nnc_panel_scratch *scratch; /* likewise */
    nnc_pacer *pacers;
    atomic_size_t next; /* sample */
    atomic_bool hurry;
} run;

static void lay_out(nnc_predictor *p, nnc_arena *arena)
{
    size_t widest = 0;
    for (size_t l = 0; l + 1 < p->net->n_layers; l++)
        widest = nnc_max(widest, p->net->layers[l].n_out);
    nnc_batch_lay_out(&p->batch, arena, p->net, p->dtype, BLOCK, 0);
    for (int i = 0; i < 2; i++)
        p->rows[i] = nnc_arena_piece(arena, widest, nnc_dtype_size(p->dtype), 1);
}

nnc_status nnc_predictor_new(nnc_predictor **predictor, const nnc_net *net, nnc_dtype dtype)
{
    *predictor = NULL;
    for (size_t l = 0; l + 1 < net->n_layers; l++)
        if (nnc_is_softmax(net->layers[l].activation)) return NNC_ERR_SOFTMAX;
    nnc_predictor p = {.net = net, .dtype = dtype};
    nnc_arena_reserve(&p.arena, sizeof p, 1, 1);
    lay_out(&p, &p.arena);
    nnc_status status = nnc_arena_allocate(&p.arena);
    if (status != NNC_OK) return status;
    *predictor = nnc_arena_take(&p.arena, sizeof p, 1, 1);
    lay_out(&p, &p.arena);
    **predictor = p;
    return NNC_OK;
}

void nnc_predictor_free(nnc_predictor *predictor)
{
    if (!predictor) return;
    nnc_arena arena = predictor->arena; /* which holds the predictor */
    nnc_arena_free(&arena);
}

/* The loss of panels that went forward, and before it their outputs. */
static void judge_panels(run *r, nnc_batch *b, nnc_panel_scratch *scratch, size_t start)
{
    for (size_t p = 0; p < nnc_batch_panels(b); p++) {
        if (r->y) nnc_store_outputs(b, p, scratch, NULL, start, r->y);
        nnc_loss_panel(b, p, scratch, true);
        r->scores[start / NNC_PANEL + p] =
            (score){b->costs[p], b->hits[p], b->weighted ? b->sums[p] : 0};
    }
}

/* Blocks of samples until none is left. */
static void run_blocks(void *context, nnc_team *team, size_t rank)
{
    run *r = context;
    nnc_batch *b = &r->batches[rank];
    const nnc_net *net = b->net;
    size_t n_out = net->layers[net->n_layers - 1].n_out;
    nnc_panel_scratch *scratch = &r->scratch[rank];
    const nnc_purpose purpose = r->judges ? NNC_FOR_LOSS : NNC_FOR_OUTPUTS;
    for (;;) {
        size_t start = atomic_fetch_add_explicit(&r->next, BLOCK, memory_order_relaxed);
        if (start >= r->data->m) {
            if (rank > 0 || !nnc_team_lost_members(team)) return;
            atomic_store(&r->next, 0); /* a child that a callback forked begins again, alone */
            continue;
        }
        b->n = nnc_min(BLOCK, r->data->m - start);
        size_t panels = nnc_batch_panels(b);
        for (size_t p = 0; p < panels; p++) nnc_load_panel(b, p, r->data, NULL, start);
        if (!nnc_forward_panels(b, 0, panels, r->params, scratch, purpose)) return;
        if (r->judges) {
            judge_panels(r, b, scratch, start);
            continue;
        }
        for (size_t p = 0; p < panels; p++)
            nnc_store_panel(b, p, r->y + (start + p * NNC_PANEL) * n_out * b->item);
    }
}

static nnc_status run_on(run *r, nnc_arena *arena, size_t n_threads, const nnc_monitor *monitor)
{
    const nnc_predictor *predictor = r->predictor;
    for (int pass = 0; pass < 2; pass++) {
        r->batches = nnc_arena_piece(arena, n_threads, sizeof *r->batches, 1);
        r->scratch = nnc_arena_piece(arena, n_threads, sizeof *r->scratch, 1);
        r->pacers = nnc_arena_piece(arena, n_threads, sizeof *r->pacers, 1);
        if (r->judges)
            r->scores =
                nnc_arena_piece(arena, nnc_ceil_div(r->data->m, NNC_PANEL), sizeof *r->scores, 1);
        for (size_t rank = 0; rank < n_threads; rank++) {
            nnc_batch batch = predictor->batch;
            nnc_panel_scratch scratch = {0};
            batch.kernels = nnc_kernels_for(predictor->dtype);
            if (rank > 0)
                nnc_batch_lay_out(&batch, arena, predictor->net, predictor->dtype, BLOCK, 0);
            if (r->judges) {
                nnc_batch_lay_out_labels(&batch, arena);
                nnc_scratch_lay_out(&scratch, arena, &batch, r->y != NULL);
                nnc_batch_judge(&batch, r->loss, r->loss_parameter, r->data);
            }
            if (pass == 0) continue;
            scratch.pacer = &r->pacers[rank];
            r->batches[rank] = batch;
            r->scratch[rank] = scratch;
            r->pacers[rank] = (nnc_pacer){.hurry = &r->hurry};
        }
        nnc_status status = pass == 0 ? nnc_arena_allocate(arena) : NNC_OK;
        if (status != NNC_OK) return status;
    }
    r->pacers[0] = nnc_pacer_begin(monitor, &r->hurry);
    nnc_team_run(n_threads, run_blocks, r);
    nnc_pacer_end(&r->pacers[0]);
    return r->pacers[0].status;
}

/* Of n_threads, how many pay. */
static size_t threads_for(const nnc_predictor *predictor, size_t m, size_t n_threads)
{
    if (nnc_work(predictor->net->n_params, m) < PARALLEL_WORK) return 1;
    n_threads = nnc_min(n_threads, NNC_MAX_THREADS);
    return nnc_max(nnc_min(n_threads, nnc_ceil_div(m, BLOCK)), 1);
}

nnc_status nnc_predict(nnc_predictor *predictor, const void *params, const nnc_data *data, void *y,
                       size_t n_threads, const nnc_monitor *monitor)
{
    nnc_arena arena = {0};
    nnc_data inputs = *data;
    inputs.y = NULL;
    inputs.classes = NULL;
    inputs.weights = NULL;
    run r = {.predictor = predictor, .params = params, .data = &inputs, .y = y};
    nnc_status status = run_on(&r, &arena, threads_for(predictor, data->m, n_threads), monitor);
    nnc_arena_free(&arena);
    return status;
}

nnc_status nnc_evaluate(nnc_predictor *predictor, const void *params, const nnc_data *data,
                        nnc_loss loss, double loss_parameter, double *cost, double *accuracy,
                        void *outputs, size_t n_threads, const nnc_monitor *monitor)
{
    const nnc_net *net = predictor->net;
    const nnc_layer *last = &net->layers[net->n_layers - 1];
    bool probabilities = last->activation == NNC_ACT_SOFTMAX || last->activation == NNC_ACT_SIGMOID;
    nnc_arena arena = {0};
    nnc_status status = nnc_check_softmax(net, loss);
    if (status != NNC_OK) return status;
    run r = {.predictor = predictor,
             .params = params,
             .data = data,
             .y = outputs,
             .judges = true,
             .loss = loss,
             .loss_parameter = loss_parameter};
    status = run_on(&r, &arena, threads_for(predictor, data->m, n_threads), monitor);
    if (status == NNC_OK) {
        score sum = {0, 0, 0};
        for (size_t p = 0; p < nnc_ceil_div(data->m, NNC_PANEL); p++) {
            sum.cost += r.scores[p].cost;
            sum.hits += r.scores[p].hits;
            sum.weight += r.scores[p].weight;
        }
        if (!data->weights) sum.weight = (double)data->m;
        bool right = nnc_loss_has_classes(loss) || probabilities;
        *cost = sum.cost / nnc_loss_divisor(loss, sum.weight, last->n_out);
        if (accuracy) *accuracy = right ? sum.hits / sum.weight : NAN;
    }
    nnc_arena_free(&arena);
    return status;
}

void nnc_predict_one(nnc_predictor *predictor, const void *params, const void *x, void *y)
{
    const nnc_net *net = predictor->net;
    const nnc_kernels *kernels = nnc_kernels_for(predictor->dtype);
    const size_t item = predictor->batch.item;
    nnc_fpmode caller = nnc_fpmode_enter();
    for (size_t l = 0, turn = 0; l < net->n_layers; l++) {
        const nnc_layer *layer = &net->layers[l];
        bool softmax = nnc_is_softmax(layer->activation);
        if (layer->kind == NNC_DROPOUT) continue;
        void *a = l + 1 < net->n_layers ? predictor->rows[turn] : y;
        turn = !turn;
        if (layer->kind != NNC_DENSE) {
            nnc_keeper_row(kernels, layer, a, params, x, item);
            x = a;
            continue;
        }
        const char *w = (const char *)params + layer->w * item;
        const char *bias = (const char *)params + layer->b * item;
        kernels->dense_row(a, w, layer->has_bias ? bias : NULL, x,
                           softmax ? NNC_ACT_IDENTITY : layer->activation, layer->n_out,
                           layer->n_in);
        if (softmax) nnc_apply_softmax(kernels, layer->activation, a, layer->n_out, 1, 1);
        x = a;
    }
    nnc_fpmode_leave(caller);
}
