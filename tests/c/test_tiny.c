/* test_tiny.c - the short way of nnc_train for tiny networks comes to the bits of the long one: on
 * every shape it takes, where trainings diverge, and towards the monitor. */
#include <float.h>

#include "core/fit.h"
#include "core/network.h"
#include "reference.h"
#include "test.h"

/* The losses that the short way takes come first. */
enum { EPOCHS = 1200, MOST_PARAMS = 49, MOST_CALLS = 64, TINY_LOSSES = NNC_LOSS_SSE + 1 };

typedef struct {
    nnc_dtype dtype;
    size_t n_in, n_hidden, m;
    nnc_activation f1, f2;
    nnc_loss loss;
    bool bias1, bias2, accuracy;
    size_t epochs;
    double rate, scale, x_scale; /* scales of the parameters and of x */
} shape;

/* What a training gave back. */
typedef struct {
    nnc_status status;
    size_t done;
    double params[MOST_PARAMS]; /* of either dtype */
    double cost[EPOCHS], accuracy[EPOCHS];
} outcome;

/* What a monitor was told. */
typedef struct {
    size_t calls, stop_at;
    size_t epochs[MOST_CALLS];
    double costs[MOST_CALLS], accuracies[MOST_CALLS];
    double params[MOST_CALLS][MOST_PARAMS];
    size_t bytes;
} witness;

static nnc_status watch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    witness *w = context;
    if (w->calls == MOST_CALLS) return NNC_STOPPED;
    w->epochs[w->calls] = epoch;
    w->costs[w->calls] = cost;
    w->accuracies[w->calls] = isnan(accuracy) ? -1 : accuracy;
    memcpy(w->params[w->calls], params, w->bytes);
    w->calls++;
    return epoch == w->stop_at ? NNC_STOPPED : NNC_OK;
}

static size_t make_net(const shape *s, nnc_layer *layers, nnc_net *net)
{
    layers[0] = (nnc_layer){
        .n_in = s->n_in, .n_out = s->n_hidden, .activation = s->f1, .has_bias = s->bias1};
    layers[1] =
        (nnc_layer){.n_in = s->n_hidden, .n_out = 1, .activation = s->f2, .has_bias = s->bias2};
    if (nnc_net_init(net, layers, 2) != NNC_OK) abort();
    return net->n_params;
}

/* Random data and parameters, some of them zeros of both signs where 2, or 4, divides the seed. */
static outcome run(const shape *s, uint64_t seed, bool short_way, witness *w, size_t every)
{
    nnc_layer layers[2];
    nnc_net net;
    outcome result = {0};
    double x[NNC_TINY_INPUTS * NNC_TINY_SAMPLES], y[NNC_TINY_SAMPLES];
    size_t n = make_net(s, layers, &net);
    scatter(s->dtype, x, s->n_in * s->m, -s->x_scale, s->x_scale, seed);
    scatter_classes(s->dtype, y, s->m, seed + 1);
    scatter(s->dtype, result.params, n, -s->scale, s->scale, seed + 2);
    for (size_t i = 0; seed % 2 == 0 && i < n; i += 2)
        set(s->dtype, result.params, i, i % 4 == 0 ? 0.0L : -0.0L);
    for (size_t i = 0; seed % 4 == 0 && i < s->n_in * s->m; i += 3)
        set(s->dtype, x, i, i % 2 == 0 ? 0.0L : -0.0L);
    for (size_t i = 0; i < EPOCHS; i++) result.cost[i] = result.accuracy[i] = -7;
    if (w) {
        *w = (witness){.stop_at = w->stop_at, .bytes = n * nnc_dtype_size(s->dtype)};
    }
    nnc_training training = {
        .net = &net,
        .dtype = s->dtype,
        .loss = s->loss,
        .data.x = x,
        .data.y = y,
        .data.x_feature = (ptrdiff_t)s->m,
        .data.x_sample = 1,
        .data.y_feature = (ptrdiff_t)s->m,
        .data.y_sample = 1,
        .data.m = s->m,
        .epochs = s->epochs,
        .learning_rate = s->rate,
        .n_threads = 2,
        .monitor = {.context = w, .at_epoch = w ? watch : NULL, .every = every},
    };
    result.status =
        nnc_train_either_way(&training, result.params, result.cost,
                             s->accuracy ? result.accuracy : NULL, &result.done, short_way);
    return result;
}

static void describe(const shape *s, uint64_t seed)
{
    CASE("%s %s %zu-%zu-1 x %zu f %d %d loss %d bias %d %d epochs %zu rate %g scale %g seed %d",
         nnc_cpu_info().isa, dtype_name(s->dtype), s->n_in, s->n_hidden, s->m, s->f1, s->f2,
         s->loss, s->bias1, s->bias2, s->epochs, s->rate, s->scale, (int)seed);
}

/* Entries beyond the last one included: they are nobody's. */
static void check_same(const outcome *a, const outcome *b)
{
    CHECK(a->status == b->status);
    CHECK(a->done == b->done);
    CHECK(memcmp(a->params, b->params, sizeof a->params) == 0);
    CHECK(memcmp(a->cost, b->cost, sizeof a->cost) == 0);
    CHECK(memcmp(a->accuracy, b->accuracy, sizeof a->accuracy) == 0);
}

static nnc_status check_ways(const shape *s, uint64_t seed)
{
    describe(s, seed);
    outcome short_way = run(s, seed, true, NULL, 0), long_way = run(s, seed, false, NULL, 0);
    check_same(&short_way, &long_way);
    return long_way.status;
}

#define ACTIVATION(id, name) NNC_ACT_##id,
static const nnc_activation activations[] = {NNC_TINY_ACTIVATION_LIST(ACTIVATION)};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

/* The shape with these digits, of the family that the short way takes. */
static shape nth_shape(nnc_dtype dtype, uint64_t n)
{
    shape s = {.dtype = dtype, .epochs = 6, .rate = 0.5, .scale = 1, .x_scale = 1};
    s.n_in = 1 + n % NNC_TINY_INPUTS, n /= NNC_TINY_INPUTS;
    s.n_hidden = 1 + n % NNC_TINY_HIDDEN, n /= NNC_TINY_HIDDEN;
    s.m = 1 + n % NNC_TINY_SAMPLES, n /= NNC_TINY_SAMPLES;
    s.f1 = activations[n % ACTIVATIONS], n /= ACTIVATIONS;
    s.f2 = activations[n % ACTIVATIONS], n /= ACTIVATIONS;
    s.loss = (nnc_loss)(n % TINY_LOSSES), n /= TINY_LOSSES;
    s.bias1 = n % 2, s.bias2 = n / 2 % 2, s.accuracy = n / 4 % 2;
    return s;
}

enum {
    SHAPES = NNC_TINY_INPUTS * NNC_TINY_HIDDEN * NNC_TINY_SAMPLES * ACTIVATIONS * ACTIVATIONS *
    TINY_LOSSES * 8
};

static void check_shapes(nnc_dtype dtype)
{
    size_t endings[NNC_STATUS_COUNT] = {0};
    for (uint64_t n = 0; n < SHAPES; n += 5) { /* 5 divides none of the digits' ranges */
        shape s = nth_shape(dtype, n);
        endings[check_ways(&s, n)]++;
    }
    CHECK(endings[NNC_OK] > SHAPES / 10 && endings[NNC_DIVERGED] > SHAPES / 1000);
}

TEST(every_shape_has_the_same_bits)
{
    for_each_isa(check_shapes);
}

/* More epochs than the kernel is given at once, up to parameters that hardly move. */
static void check_long(nnc_dtype dtype)
{
    for (uint64_t n = 0; n < SHAPES; n += 1009) {
        shape s = nth_shape(dtype, n);
        s.epochs = EPOCHS;
        s.rate = 0.05;
        check_ways(&s, n);
    }
}

TEST(many_epochs_have_the_same_bits)
{
    for_each_isa(check_long);
}

/* Gradients and products of them that are subnormal or zero, of either sign. A sum over samples is
 * never -0, even where each of them contributes a -0, and so a parameter of -0 stays one. */
static void check_underflow(nnc_dtype dtype)
{
    double least = dtype == NNC_F32 ? FLT_MIN : DBL_MIN;
    for (uint64_t n = 0; n < SHAPES; n += 17) {
        shape s = nth_shape(dtype, n);
        s.scale = least * (n % 8 < 4 ? 1e-3 : 1e10);
        s.x_scale = n % 3 ? least : 1;
        s.rate = n % 16 < 8 ? 0.7 : -0.7;
        s.m = n % 5 ? s.m / 5 * 4 + 4 : s.m; /* 4, 8 */
        check_ways(&s, n);
    }
}

TEST(underflow_has_the_same_bits)
{
    for_each_isa(check_underflow);
}

/* Divergence, in the first epochs or after many, wherever the monitor cuts the training. */
static void check_divergence(nnc_dtype dtype)
{
    static const double rates[] = {1.5, 30, 1e3, 1e20, 1e38, 1e300, INFINITY, NAN};
    static witness seen[2];
    size_t late = 0;
    for (uint64_t n = 0; n < SHAPES; n += 509) {
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            shape s = nth_shape(dtype, n);
            s.f2 = n % 3 ? NNC_ACT_IDENTITY : s.f2;
            s.loss = n % 3 ? NNC_LOSS_SSE : s.loss;
            s.epochs = EPOCHS;
            s.rate = rates[r];
            check_ways(&s, n);
            for (size_t every = 1; every <= 3; every++) {
                outcome results[2];
                s.epochs = MOST_CALLS;
                for (int way = 0; way < 2; way++) {
                    seen[way].stop_at = SIZE_MAX;
                    results[way] = run(&s, n, way, &seen[way], every);
                }
                check_same(&results[0], &results[1]);
                CHECK(memcmp(&seen[0], &seen[1], sizeof seen[0]) == 0);
                late += results[0].status == NNC_DIVERGED && results[0].done > 2;
            }
        }
    }
    CHECK(late > 50);
}

TEST(divergence_has_the_same_end)
{
    for_each_isa(check_divergence);
}

TEST(bad_data_have_the_same_end)
{
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        for (uint64_t n = 0; n < SHAPES; n += 409) {
            shape s = nth_shape((nnc_dtype)d, n);
            for (int k = 0; k < 3; k++) {
                s.scale = k == 0 ? INFINITY : k == 1 ? NAN : 1e38;
                check_ways(&s, n);
            }
        }
    }
}

/* ------------------------------------------------------------------------------- monitors */

TEST(at_epoch_is_told_the_same)
{
    static witness seen[2];
    shape s = nth_shape(NNC_F64, 77777 % SHAPES);
    for (size_t every = 1; every <= 40; every += 1 + every / 8) {
        for (size_t stop_at = 0; stop_at < 3 * every; stop_at += every) {
            outcome results[2];
            s.epochs = 41;
            s.accuracy = every % 2;
            describe(&s, every);
            for (int way = 0; way < 2; way++) {
                seen[way].stop_at = stop_at;
                results[way] = run(&s, every, way, &seen[way], every);
            }
            check_same(&results[0], &results[1]);
            CHECK(memcmp(&seen[0], &seen[1], sizeof seen[0]) == 0);
            if (stop_at <= 40) {
                CHECK(results[1].status == NNC_STOPPED && results[1].done == stop_at + 1);
                CHECK(seen[1].calls == stop_at / every + 1);
                CHECK(memcmp(seen[1].params[seen[1].calls - 1], results[1].params, seen[1].bytes) ==
                      0);
            }
        }
    }
}

typedef struct {
    size_t polls, stop_after, at_epochs, epoch;
    double cost;
} poller;

static nnc_status poll(void *context, size_t epoch, double cost)
{
    poller *p = context;
    p->epoch = epoch;
    p->cost = cost;
    return ++p->polls == p->stop_after ? NNC_STOPPED : NNC_OK;
}

static nnc_status count(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    (void)epoch, (void)cost, (void)accuracy, (void)params;
    poller *p = context;
    p->at_epochs++;
    return NNC_OK;
}

/* A training that would take half a second ends at the second poll, after a whole step. */
TEST(poll_stops_at_a_whole_step)
{
    enum { MANY = 4 * 1000 * 1000 };
    shape s = {.dtype = NNC_F64,
               .n_in = 3,
               .n_hidden = 4,
               .f1 = NNC_ACT_SIGMOID,
               .f2 = NNC_ACT_SIGMOID,
               .bias1 = true,
               .bias2 = true};
    nnc_layer layers[2];
    nnc_net net;
    double x[12], y[4], start[MOST_PARAMS], params[MOST_PARAMS], again[MOST_PARAMS];
    double *cost = room(NNC_F64, MANY);
    size_t n = make_net(&s, layers, &net), done;
    scatter(NNC_F64, x, 12, -1, 1, 1);
    scatter_classes(NNC_F64, y, 4, 2);
    scatter(NNC_F64, start, n, -1, 1, 3);
    for (size_t every = 0; every <= 7; every += 7) {
        poller p = {.stop_after = 2};
        nnc_training training = {.net = &net,
                                 .dtype = NNC_F64,
                                 .loss = NNC_LOSS_SSE,
                                 .data.x = x,
                                 .data.y = y,
                                 .data.x_feature = 4,
                                 .data.x_sample = 1,
                                 .data.y_feature = 4,
                                 .data.y_sample = 1,
                                 .data.m = 4,
                                 .epochs = MANY,
                                 .learning_rate = 0.1,
                                 .n_threads = 1,
                                 .monitor = {&p, poll, count, every}};
        CASE("every %zu", every);
        memcpy(params, start, sizeof params);
        CHECK(nnc_train(&training, params, cost, NULL, &done) == NNC_STOPPED);
        CHECK(p.polls == 2 && done > 0 && done < MANY);
        CHECK(p.epoch == done && p.cost == cost[done - 1]);
        CHECK(p.at_epochs == (every ? (done + every - 1) / every : 0));
        training.epochs = done;
        training.monitor = (nnc_monitor){0};
        memcpy(again, start, sizeof again);
        CHECK(nnc_train(&training, again, cost, NULL, &done) == NNC_OK && done == p.epoch);
        CHECK(same(NNC_F64, params, again, n));
    }
    free(cost);
}

/* ---------------------------------------------------------------------------------- sizes */

static bool takes_with(nnc_activation hidden, nnc_activation output, size_t n_layers, size_t n_in,
                       size_t n_hidden, size_t n_out, size_t m)
{
    nnc_layer layers[3] = {{.n_in = n_in, .n_out = n_hidden, .activation = hidden},
                           {.n_in = n_hidden, .n_out = n_out, .activation = output},
                           {.n_in = n_out, .n_out = 1, .activation = NNC_ACT_SIGMOID}};
    for (int l = 0; l < 3; l++) layers[l].has_bias = true;
    nnc_net net;
    if (nnc_net_init(&net, layers, n_layers) != NNC_OK) abort();
    nnc_network_plan network = {.net = &net, .loss = NNC_LOSS_BCE};
    if (nnc_plan_init(&network.plan, NNC_F64, m) != NNC_OK) abort();
    return nnc_is_tiny(&network);
}

static bool takes(size_t n_layers, size_t n_in, size_t n_hidden, size_t n_out, size_t m)
{
    return takes_with(NNC_ACT_RELU, NNC_ACT_SIGMOID, n_layers, n_in, n_hidden, n_out, m);
}

TEST(sizes_and_activations_decide)
{
    for (int f = NNC_ACT_SIGMOID + 1; f < NNC_ACT_COUNT; f++) {
        CHECK(!takes_with((nnc_activation)f, NNC_ACT_SIGMOID, 2, 3, 4, 1, 4));
        CHECK(!takes_with(NNC_ACT_RELU, (nnc_activation)f, 2, 3, 4, 1, 4));
    }
    CHECK(takes(2, 1, 1, 1, 1) && takes(2, 3, 4, 1, 4) && takes(2, 4, 8, 1, 8));
    CHECK(!takes(2, 5, 8, 1, 8) && !takes(2, 4, 9, 1, 8) && !takes(2, 4, 8, 1, 9));
    CHECK(!takes(2, 4, 8, 2, 8) && !takes(2, 4, 8, 1, 0));
    CHECK(!takes(1, 4, 1, 1, 4) && !takes(3, 4, 4, 1, 4));
}

SUITE()
{
    RUN(every_shape_has_the_same_bits);
    RUN(many_epochs_have_the_same_bits);
    RUN(underflow_has_the_same_bits);
    RUN(divergence_has_the_same_end);
    RUN(bad_data_have_the_same_end);
    RUN(at_epoch_is_told_the_same);
    RUN(poll_stops_at_a_whole_step);
    RUN(sizes_and_activations_decide);
}
