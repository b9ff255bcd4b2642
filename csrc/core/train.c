/* train.c - full-batch gradient descent: slices in parallel, then one update, epoch by epoch.
 *
 * Each slice writes its own gradients; after a barrier every thread sums a range of parameters
 * over the slices, in their fixed order, and writes the range's next values; after a second
 * barrier the epoch is over. The parameters before the last update are kept, so that a diverging
 * run can hand back the last ones whose cost was finite. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/arena.h"
#include "core/network.h"
#include "core/team.h"

/* What an epoch of a tiny network costs, in multiply-adds. */
enum { TINY_WORK = 1 << 10 };

/* A second thread pays above about this many multiply-adds an epoch (20 us). */
enum { PARALLEL_WORK = 1 << 18 };

typedef struct {
    const nnc_training *training;
    nnc_network_plan network;
    void *xs, *ys;             /* packed slices: (n_slices, n_in + 1, ld), (n_slices, n_out, ld) */
    void *params[2];           /* now and next, in turn */
    void *grads;               /* (n_slices, n_params) */
    nnc_workspace *workspaces; /* one a thread */
    size_t n_threads;
    bool tiny;
    double costs[NNC_MAX_SLICES], hits[NNC_MAX_SLICES];
    double *cost, *accuracy; /* the histories */
    nnc_pacer pacer;         /* of rank 0 */
    atomic_bool hurry;       /* set by rank 0 at any time: slices may break off */
    atomic_bool stop;        /* set before the first barrier only: a slice broke off */
    atomic_bool overflow;    /* set before the second one only: a next value is not finite */
    size_t done, now;        /* results: epochs recorded, and which params are valid */
    nnc_status status;
} run;

/* Forward, loss and backward of the slices that fall to this rank. */
static void run_slices(run *r, nnc_team *team, size_t rank, const void *params)
{
    const nnc_plan *plan = &r->network.plan;
    const nnc_net *net = r->network.net;
    nnc_pacer silent = {.hurry = &r->hurry};
    nnc_pacer *pacer = rank == 0 ? &r->pacer : &silent;
    nnc_workspace *work = &r->workspaces[rank];
    size_t n_in = net->layers[0].n_in, n_out = net->layers[net->n_layers - 1].n_out;

    for (size_t s = rank; s < plan->n_slices; s += nnc_team_size(team)) {
        nnc_slice slice = plan->slices[s];
        work->a[0] = nnc_at(plan, r->xs, s * (n_in + 1) * plan->ld);
        const void *ys = nnc_at(plan, r->ys, s * n_out * plan->ld);
        void *grads = nnc_at(plan, r->grads, s * net->n_params);
        bool go_on = nnc_forward_slice(&r->network, work, slice, params, pacer);
        if (go_on) {
            nnc_loss_slice(&r->network, work, slice, ys, &r->costs[s],
                           r->accuracy ? &r->hits[s] : NULL);
            go_on = nnc_backprop_slice(&r->network, work, slice, params, grads, pacer);
        }
        if (!go_on) {
            atomic_store(&r->stop, true);
            return;
        }
    }
}

/* This rank's share of the parameters: whole cache lines. */
static nnc_slice share_of(const run *r, nnc_team *team, size_t rank)
{
    size_t n = r->network.net->n_params, lanes = r->network.plan.lanes;
    size_t share = nnc_ceil_div(nnc_ceil_div(n, lanes), nnc_team_size(team)) * lanes;
    size_t start = nnc_min(rank * share, n);
    return (nnc_slice){.start = start, .n = nnc_min(share, n - start)};
}

/* next = params - rate * grads, for one share. */
static void update_share(run *r, nnc_slice share, void *next, const void *params, double rate)
{
    const nnc_plan *plan = &r->network.plan;
    size_t bad;
    next = nnc_at(plan, next, share.start);
    plan->kernels->descend(next, nnc_at(plan, params, share.start),
                           nnc_at(plan, r->grads, share.start), plan->n_slices,
                           r->network.net->n_params, rate, share.n);
    plan->kernels->first_nonfinite(&bad, next, share.n);
    if (bad < share.n) atomic_store(&r->overflow, true);
}

/* Writes the history's entry of an epoch, and returns its accuracy. */
static double record(run *r, size_t epoch, double cost)
{
    r->cost[epoch] = cost;
    if (!r->accuracy) return NAN;
    r->accuracy[epoch] = nnc_sum_slices(&r->network.plan, r->hits) / (double)r->training->data.m;
    return r->accuracy[epoch];
}

/* The epochs of a tiny network, up to some that diverge or that the monitor wants no more:
 * run_epochs goes on from there. Returns their number. */
static size_t run_tiny(run *r)
{
    const nnc_training *t = r->training;
    const nnc_monitor *monitor = &t->monitor;
    size_t epoch = 0;
    while (epoch < t->epochs) {
        size_t n = nnc_min(t->epochs - epoch, NNC_TINY_EPOCHS);
        if (monitor->at_epoch && monitor->every) {
            size_t until_due = (monitor->every - epoch % monitor->every) % monitor->every;
            n = nnc_min(n, until_due + 1);
        }
        double *cost = r->cost + epoch, *accuracy = r->accuracy ? r->accuracy + epoch : NULL;
        if (!nnc_pacer_tick(&r->pacer, n * TINY_WORK) ||
            !nnc_tiny_epochs(&r->network, r->xs, r->ys, r->params[0], r->params[1],
                             t->learning_rate, n, cost, accuracy))
            break;
        epoch += n;
        r->pacer.epoch = epoch;
        r->pacer.cost = cost[n - 1];
        nnc_pacer_report(&r->pacer, monitor, epoch - 1, cost[n - 1],
                         accuracy ? accuracy[n - 1] : NAN, r->params[0]);
    }
    return epoch;
}

/* Every thread runs the same loop and takes the same decisions, from values that nobody writes
 * between the barrier before them and the next; rank 0 also keeps the histories and talks to the
 * monitor, even while it waits for the others. */
static void run_epochs(void *context, nnc_team *team, size_t rank)
{
    run *r = context;
    const nnc_training *t = r->training;
    double divisor =
        nnc_loss_divisor(t->loss, (double)t->data.m, t->net->layers[t->net->n_layers - 1].n_out);
    double rate = t->data.m > 0 ? t->learning_rate / divisor : 0.0;
    nnc_slice share = share_of(r, team, rank);
    void (*idle)(void *) = rank == 0 && r->pacer.monitor ? nnc_pacer_poll : NULL;
    nnc_status status = NNC_OK;
    size_t now = 0, epoch = r->tiny ? run_tiny(r) : 0;

    while (epoch < t->epochs) {
        run_slices(r, team, rank, r->params[now]);
        nnc_team_barrier(team, idle, &r->pacer);
        if (rank == 0 && nnc_team_lost_members(team)) {
            share = share_of(r, team, rank);
            continue;
        }
        if (atomic_load(&r->stop)) break;
        double cost = nnc_sum_slices(&r->network.plan, r->costs) / divisor;
        if (t->data.m > 0 && !isfinite(cost)) {
            status = NNC_DIVERGED;
            if (epoch > 0) now = !now;
            break;
        }
        double accuracy = rank == 0 ? record(r, epoch, cost) : NAN;
        update_share(r, share, r->params[!now], r->params[now], rate);
        nnc_team_barrier(team, idle, &r->pacer);
        if (rank == 0 && nnc_team_lost_members(team)) {
            share = share_of(r, team, rank);
            continue;
        }
        epoch++;
        if (atomic_load(&r->overflow)) {
            status = NNC_DIVERGED;
            break;
        }
        now = !now;
        if (rank > 0) continue;
        r->pacer.epoch = epoch;
        r->pacer.cost = cost;
        nnc_pacer_report(&r->pacer, &t->monitor, epoch - 1, cost, accuracy, r->params[now]);
        if (nnc_team_lost_members(team)) share = share_of(r, team, rank);
    }
    if (rank > 0) return;
    r->done = epoch;
    r->now = now;
    r->status = status == NNC_OK ? r->pacer.status : status;
}

static size_t threads_that_pay(const nnc_training *t, const nnc_plan *plan)
{
    size_t work;
    if (!nnc_mul(&work, t->net->n_params, t->data.m)) work = SIZE_MAX;
    if (work < PARALLEL_WORK) return 1;
    return nnc_max(nnc_min(t->n_threads, plan->n_slices), 1);
}

/* The row after n of a slice's matrix, by which dense_weights multiplies to get db. */
static void add_ones(const nnc_plan *plan, void *matrix, size_t n)
{
    plan->kernels->fill(nnc_at(plan, matrix, n * plan->ld), 1, plan->ld);
}

static void lay_out(run *r, nnc_arena *arena)
{
    const nnc_plan *plan = &r->network.plan;
    const nnc_net *net = r->network.net;
    size_t slices = plan->n_slices, ld = plan->ld * plan->item;
    bool allocated = arena->block != NULL;

    r->xs = nnc_arena_piece(arena, slices, net->layers[0].n_in + 1, ld);
    r->ys = nnc_arena_piece(arena, slices, net->layers[net->n_layers - 1].n_out, ld);
    for (int i = 0; i < 2; i++) r->params[i] = nnc_arena_piece(arena, net->n_params, plan->item, 1);
    r->grads = nnc_arena_piece(arena, slices, net->n_params, plan->item);
    r->workspaces = nnc_arena_piece(arena, r->n_threads, sizeof *r->workspaces, 1);
    for (size_t rank = 0; rank < r->n_threads; rank++) {
        void **a = nnc_arena_piece(arena, net->n_layers + 1, sizeof *a, 1);
        void **z = nnc_arena_piece(arena, net->n_layers + 1, sizeof *z, 1);
        for (size_t l = 0; l < net->n_layers; l++) {
            const nnc_layer *layer = &net->layers[l];
            bool apart = nnc_is_of_z(layer->activation);
            void *output = nnc_arena_piece(arena, layer->n_out + 1, ld, 1);
            void *argument = apart ? nnc_arena_piece(arena, layer->n_out, ld, 1) : output;
            if (!allocated) continue;
            a[l + 1] = output;
            z[l + 1] = argument;
            add_ones(plan, output, layer->n_out);
        }
        nnc_workspace work = {.a = a, .z = z};
        work.y_hat = nnc_arena_piece(arena, ld, 1, 1);
        work.hit = nnc_arena_piece(arena, ld, 1, 1);
        if (allocated) r->workspaces[rank] = work;
    }
}

static bool pack_data(run *r)
{
    const nnc_training *t = r->training;
    const nnc_plan *plan = &r->network.plan;
    size_t n_in = t->net->layers[0].n_in, n_out = t->net->layers[t->net->n_layers - 1].n_out;
    for (size_t s = 0; s < plan->n_slices; s++) {
        nnc_slice slice = plan->slices[s];
        void *xs = nnc_at(plan, r->xs, s * (n_in + 1) * plan->ld);
        nnc_pack(plan, slice, xs, t->data.x, n_in, t->data.x_feature, t->data.x_sample);
        add_ones(plan, xs, n_in);
        nnc_pack(plan, slice, nnc_at(plan, r->ys, s * n_out * plan->ld), t->data.y, n_out,
                 t->data.y_feature, t->data.y_sample);
        if (!nnc_pacer_tick(&r->pacer, slice.cols * (n_in + n_out))) return false;
    }
    return true;
}

/* The parameters to start from: given, or drawn. */
static bool start_parameters(run *r, const void *params)
{
    const nnc_training *t = r->training;
    const nnc_plan *plan = &r->network.plan;
    enum { CHUNK = 1 << 16, DRAW_WORK = 64 }; /* a normal costs as much as so many multiply-adds */
    if (!t->rng) {
        memcpy(r->params[0], params, t->net->n_params * plan->item);
        return true;
    }
    nnc_split chunks = nnc_split_evenly(t->net->n_params, CHUNK);
    while (nnc_split_next(&chunks)) {
        nnc_init(t->dtype, nnc_at(plan, r->params[0], chunks.start), t->rng, t->scale,
                 chunks.length);
        if (!nnc_pacer_tick(&r->pacer, chunks.length * DRAW_WORK)) return false;
    }
    return true;
}

nnc_status nnc_train(const nnc_training *training, void *params, double *cost, double *accuracy,
                     size_t *done)
{
    return nnc_train_either_way(training, params, cost, accuracy, done, true);
}

nnc_status nnc_train_either_way(const nnc_training *training, void *params, double *cost,
                                double *accuracy, size_t *done, bool short_way)
{
    const nnc_net *net = training->net;
    const nnc_layer *last = &net->layers[net->n_layers - 1];
    run r = {.training = training, .cost = cost, .accuracy = accuracy};
    *done = 0;
    for (size_t l = 0; l < net->n_layers; l++)
        if (net->layers[l].kind != NNC_DENSE) return NNC_ERR_DENSE;
    nnc_status status = nnc_plan_init(&r.network.plan, training->dtype, training->data.m);
    if (status != NNC_OK) return status;
    r.network.net = net;
    r.network.loss = training->loss;
    r.network.loss_takes_logits = nnc_loss_takes_logits(training->loss, last->activation);
    r.n_threads = threads_that_pay(training, &r.network.plan);
    r.tiny = short_way && nnc_is_tiny(&r.network);

    nnc_arena arena = {0};
    lay_out(&r, &arena);
    status = nnc_arena_allocate(&arena);
    if (status != NNC_OK) return status;
    lay_out(&r, &arena);
    r.pacer = nnc_pacer_begin(&training->monitor, &r.hurry);
    bool started = start_parameters(&r, params);
    if (started && pack_data(&r))
        nnc_team_run(r.n_threads, run_epochs, &r);
    else
        r.status = r.pacer.status;
    nnc_pacer_end(&r.pacer);
    if (started) memcpy(params, r.params[r.now], net->n_params * r.network.plan.item);
    *done = r.done;
    nnc_arena_free(&arena);
    return r.status;
}
