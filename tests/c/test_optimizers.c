/* test_optimizers.c - each optimizer with each of a stepper's options: against plain loops, and the
 * same bits on any number of threads, on all ISAs with FMA, and in two calls as in one. */
#include "course.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* What a stepper may be asked for beyond its optimizer. */
#define OPTION_LIST(X) \
    X(PLAIN)           \
    X(RATES)           \
    X(STEP_RATES)      \
    X(L1) X(L2) X(DECAY) X(FROZEN) X(MAX_NORM) X(CLIP_VALUE) X(CLIP_NORM) X(AVERAGE) X(ALL)
#define OPTION(name) name,
typedef enum { OPTION_LIST(OPTION) OPTION_COUNT } option;

static const char *optimizer_name(const course *t)
{
    return nnc_optimizer_name(t->stepper.optimizer);
}

static size_t steps_in_epoch(const course *t)
{
    return (t->m + t->fitting.batch - 1) / t->fitting.batch;
}

/* ------------------------------------------------------------------------------- options */

enum { MOST_RANGES = 2 * MOST_LAYERS };

/* What the options of a course point to. */
typedef struct {
    nnc_range ranges[MOST_RANGES];
    double *rates;
} options;

static void set_rates(course *t, options *o, size_t n_rates)
{
    size_t n = t->epochs * n_rates;
    o->rates = room(NNC_F64, n);
    for (size_t i = 0; i < n; i++)
        o->rates[i] = t->stepper.learning_rate * (1 + (double)(i * 7 % 5)) / 5;
    t->fitting.rates = o->rates;
    t->fitting.n_rates = n_rates;
}

/* A range for each layer's W, but for the last one of several, and for the first b. */
static void set_ranges(course *t, options *o, option chosen)
{
    size_t n = 0, n_layers = t->net.n_layers;
    for (size_t l = 0; l < n_layers && (l == 0 || l + 1 < n_layers); l++) {
        const nnc_layer *layer = &t->layers[l];
        nnc_range range = {
            .start = layer->w, .n = layer->n_in * layer->n_out, .row_length = layer->n_in};
        if (chosen == L1 || chosen == ALL) range.l1 = 0.003;
        if (chosen == L2 || chosen == ALL) range.l2 = 0.02;
        if (chosen == DECAY || chosen == ALL) range.decay = 0.05;
        if (chosen == MAX_NORM || chosen == ALL) range.max_norm = 0.75;
        if (chosen == FROZEN || chosen == ALL) range.frozen = l > 0;
        o->ranges[n++] = range;
        if (l > 0 || !layer->has_bias) continue;
        o->ranges[n++] = (nnc_range){.start = layer->b + 1,
                                     .n = layer->n_out - 2,
                                     .row_length = 1,
                                     .l1 = range.l1,
                                     .decay = range.decay,
                                     .frozen = chosen == FROZEN};
    }
    t->stepper.ranges = o->ranges;
    t->stepper.n_ranges = n;
}

static void choose(course *t, options *o, option chosen)
{
    *o = (options){.rates = NULL};
    if (chosen == RATES) set_rates(t, o, 1);
    if (chosen == STEP_RATES || chosen == ALL) set_rates(t, o, steps_in_epoch(t));
    if ((chosen >= L1 && chosen <= MAX_NORM) || chosen == ALL) set_ranges(t, o, chosen);
    if (chosen == CLIP_VALUE || chosen == ALL) t->stepper.clip_value = 0.02;
    if (chosen == CLIP_NORM || chosen == ALL) t->stepper.clip_norm = 0.1;
    if (chosen == AVERAGE || chosen == ALL) t->stepper.average_decay = 0.9;
}

static bool is_frozen(const course *t, size_t i)
{
    const nnc_range *range = range_of(&t->stepper, i);
    return range && range->frozen;
}

/* Frozen parameters are where they were, and their state is as it began. */
static bool froze(const course *t)
{
    bool same_bits = true;
    size_t item = nnc_dtype_size(t->dtype), n = t->net.n_params;
    for (size_t i = 0; i < n; i++) {
        if (!is_frozen(t, i)) continue;
        same_bits &= memcmp((char *)t->params + i * item, (char *)t->trained + i * item, item) == 0;
        for (size_t k = 0; k < MOST_STATE; k++)
            same_bits &= get(t->dtype, t->state, k * n + i) == 0;
    }
    return same_bits;
}

/* -------------------------------------------------------------------------- trajectories */

static bool agree(nnc_dtype dtype, const void *got, const double *expected, size_t n)
{
    double tolerance = dtype == NNC_F32 ? 3e-5 : 1e-12;
    for (size_t i = 0; i < n; i++) {
        double x = (double)get(dtype, got, i);
        if (!(fabs(x - expected[i]) <= tolerance * fmax(1, fabs(expected[i])))) return false;
    }
    return true;
}

static void check_trajectory(course *t)
{
    size_t n = t->net.n_params, epochs = t->epochs;
    double *params = doubles(t->dtype, t->params, n), *average = doubles(t->dtype, t->params, n);
    double *cost = doubles(NNC_F64, t->cost, epochs);
    double *accuracy = doubles(NNC_F64, t->accuracy, epochs);
    char where[sizeof test_now.where];
    reference_fit(t, params, average, cost, accuracy, NULL);
    strcpy(where, test_now.where);
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        CASE("%s %.150s", cpu.available[i], where);
        CHECK(fit(t) == NNC_OK && t->done == epochs);
        CHECK(t->stepper.steps == epochs * steps_in_epoch(t));
        CHECK(agree(t->dtype, t->trained, params, n));
        CHECK(agree(t->dtype, t->average, average, n));
        CHECK(agree(NNC_F64, t->cost, cost, epochs) || t->dtype == NNC_F32);
        for (size_t k = 0; k < epochs; k++) CHECK(fabs(t->cost[k] - cost[k]) < 1e-4);
        CHECK(froze(t));
    }
    nnc_select_isa(NULL);
    free(params), free(average), free(cost), free(accuracy);
}

static const size_t small[] = {5, 9, 7, 3, 0, 0}, broad[] = {64, 300, 200, 4, 0, 0};

static course optimizer_course(nnc_dtype dtype, int optimizer, const size_t *sizes, size_t m,
                               size_t epochs, size_t batch)
{
    course t = make_course(dtype, NNC_LOSS_CCE, sizes, NNC_ACT_SOFTMAX, true, m, epochs);
    use_optimizer(&t, (nnc_optimizer)optimizer);
    t.fitting.batch = optimizer == NNC_OPTIMIZER_RPROP ? m : batch;
    t.shuffled = true;
    return t;
}

/* 120 steps in double, 5 in float. */
TEST(each_optimizer_with_each_option)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
            for (int chosen = 0; chosen < OPTION_COUNT; chosen++) {
                bool rprop = optimizer == NNC_OPTIMIZER_RPROP;
                size_t steps = dtype == NNC_F32 ? 5 : 120, epochs = rprop ? steps : steps / 5;
                course t = optimizer_course((nnc_dtype)dtype, optimizer, small, 137, epochs, 30);
                options o;
                choose(&t, &o, (option)chosen);
                CASE("%s %s option %d", dtype_name(t.dtype), optimizer_name(&t), chosen);
                check_trajectory(&t);
                free(o.rates);
                free_course(&t);
            }
        }
    }
}

/* Several chunks and rows of ranges that begin and end anywhere. */
TEST(wide_networks_with_all_options)
{
    for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
        course t = optimizer_course(NNC_F64, optimizer, broad, 90, 3, 40);
        options o;
        choose(&t, &o, ALL);
        t.fitting.n_threads = 3;
        CASE("%s", optimizer_name(&t));
        check_trajectory(&t);
        free(o.rates);
        free_course(&t);
    }
}

/* ---------------------------------------------------------------------------------- bits */

/* All that a training leaves. The caller frees it. */
static char *outcome(const course *t, size_t *bytes)
{
    size_t n = t->net.n_params * nnc_dtype_size(t->dtype), history = t->epochs * sizeof(double);
    *bytes = (2 + MOST_STATE) * n + history;
    char *all = malloc(*bytes);
    if (!all) abort();
    memcpy(all, t->trained, n);
    memcpy(all + n, t->average, n);
    memcpy(all + 2 * n, t->state, MOST_STATE * n);
    memcpy(all + (2 + MOST_STATE) * n, t->cost, history);
    return all;
}

/* The course's results are *first, or become it. */
static void check_outcome(const course *t, char **first)
{
    size_t bytes;
    char *all = outcome(t, &bytes);
    if (*first) {
        CHECK(memcmp(*first, all, bytes) == 0);
        free(all);
    } else {
        *first = all;
    }
}

static void check_threads(course *t)
{
    nnc_cpu cpu = nnc_cpu_info();
    char *first = NULL;
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        if (i == 0 || nnc_cpu_info().fma != (first != NULL)) free(first), first = NULL;
        for (size_t threads = 1; threads <= 8; threads += cpu.available[i + 1] ? 3 : 1) {
            CASE("%s %s %s threads %zu", cpu.available[i], dtype_name(t->dtype), optimizer_name(t),
                 threads);
            t->fitting.n_threads = threads;
            CHECK(fit(t) == NNC_OK);
            check_outcome(t, &first);
            CHECK(froze(t));
        }
        if (!nnc_cpu_info().fma) free(first), first = NULL;
    }
    free(first);
    nnc_select_isa(NULL);
}

TEST(threads_and_isas_do_not_change_the_bits)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
            course t = optimizer_course((nnc_dtype)dtype, optimizer, broad, 120, 1, 70);
            options o;
            choose(&t, &o, ALL);
            check_threads(&t);
            free(o.rates);
            free_course(&t);
        }
    }
}

TEST(two_calls_are_one)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
            course t = optimizer_course((nnc_dtype)dtype, optimizer, small, 100, 16, 13);
            options o;
            char *first = NULL;
            size_t later = 10, n_steps = steps_in_epoch(&t);
            double *cost = t.cost;
            nnc_memory deck = {0};
            t.shuffled = true;
            choose(&t, &o, ALL);
            CASE("%s %s", dtype_name(t.dtype), optimizer_name(&t));
            CHECK(fit(&t) == NNC_OK && t.done == 16);
            check_outcome(&t, &first);
            t.fitting.epochs = later;
            t.fitting.deck = optimizer % 2 ? &deck : NULL; /* which saves time only */
            CHECK(fit(&t) == NNC_OK && t.done == later);
            t.fitting.epochs = 16 - later;
            t.fitting.first_epoch = later;
            t.fitting.rates += later * n_steps;
            t.cost += later;
            CHECK(fit_on(&t) == NNC_OK && t.done == 16 - later);
            t.cost = cost;
            check_outcome(&t, &first);
            free(first), free(o.rates);
            nnc_memory_free(&deck);
            free_course(&t);
        }
    }
}

/* Options that do nothing take other ways to the same bits: gradients of a block of their own, and
 * several pieces instead of one. */
TEST(idle_options_do_not_change_the_bits)
{
    for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
        for (int wide_one = 0; wide_one < 2; wide_one++) {
            course t = optimizer_course(NNC_F64, optimizer, wide_one ? broad : small, 96, 4, 32);
            nnc_range ranges[] = {{.start = 3, .n = 0, .row_length = 1},
                                  {.start = 5, .n = 21, .row_length = 7, .max_norm = 1e9},
                                  {.start = 26, .n = 11, .row_length = 1}};
            char *first = NULL;
            CASE("%s wide %d", optimizer_name(&t), wide_one);
            CHECK(fit(&t) == NNC_OK);
            check_outcome(&t, &first);
            t.stepper.ranges = ranges;
            t.stepper.n_ranges = N_OF(ranges);
            CHECK(fit(&t) == NNC_OK);
            check_outcome(&t, &first);
            free(first);
            free_course(&t);
        }
    }
}

/* next may be params: the steps of one block are those of two, and touch nothing behind them. */
static void check_kernels(nnc_dtype dtype)
{
    enum { MOST = 70, SENTINEL = 77 };
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    const nnc_step step = {.scale = 0.125,
                           .rate = 0.0625,
                           .ahead = 0.5,
                           .beta_1 = 0.875,
                           .beta_2 = 0.9375,
                           .epsilon = 0x1p-20,
                           .momentum = 0.75,
                           .rho = 0.5,
                           .correction = 1.5};
    size_t item = nnc_dtype_size(dtype), stride = MOST + 3;
    for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
        size_t states = nnc_optimizer_state((nnc_optimizer)optimizer) * stride;
        for (size_t n = 0; n <= MOST; n++) {
            char *state[2], *p = room(dtype, n + 1), *next = room(dtype, n + 1);
            void *grads = room(dtype, n);
            bool clean = true;
            CASE("%s %s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype),
                 nnc_optimizer_name((nnc_optimizer)optimizer), n);
            scatter(dtype, p, n, -1, 1, n), scatter(dtype, grads, n, -9, 9, n + 3);
            set(dtype, p, n, SENTINEL), set(dtype, next, n, SENTINEL);
            for (int k = 0; k < 2; k++) {
                state[k] = room(dtype, states + 1);
                scatter(dtype, state[k], states, 0, 1, n + 1);
                for (size_t b = 0; b < states; b += stride) set(dtype, state[k], b + n, SENTINEL);
            }
            kernels->step[optimizer](next, p, state[0], stride, grads, &step, n);
            kernels->step[optimizer](p, p, state[1], stride, grads, &step, n);
            CHECK(memcmp(p, next, (n + 1) * item) == 0);
            CHECK(memcmp(state[0], state[1], states * item) == 0);
            for (size_t b = 0; b < states; b += stride)
                clean &= get(dtype, state[0], b + n) == SENTINEL;
            CHECK(clean && get(dtype, next, n) == SENTINEL);
            free(p), free(next), free(grads), free(state[0]), free(state[1]);
        }
    }
}

TEST(kernels_in_place)
{
    for_each_isa(check_kernels);
}

/* -------------------------------------------------------------------------- the monitor */

/* After epoch k, the rates of the epochs to come are divided by 2. */
static nnc_status halve_rates(void *context, size_t epoch, double cost, double accuracy,
                              void *params)
{
    course *t = context;
    double *rates = (double *)(uintptr_t)t->fitting.rates;
    (void)cost, (void)accuracy, (void)params;
    for (size_t i = epoch + 1; i < t->epochs; i++) rates[i] /= 2;
    return NNC_OK;
}

TEST(callbacks_may_change_later_rates)
{
    course t = optimizer_course(NNC_F64, NNC_OPTIMIZER_SGD, small, 90, 5, 32);
    double changing[] = {0.1, 0.1, 0.1, 0.1, 0.1}, fixed[] = {0.1, 0.05, 0.025, 0.0125, 0.00625};
    char *first = NULL;
    t.fitting.rates = fixed;
    t.fitting.n_rates = 1;
    CHECK(fit(&t) == NNC_OK);
    check_outcome(&t, &first);
    t.fitting.rates = changing;
    t.fitting.monitor = (nnc_monitor){.context = &t, .at_epoch = halve_rates, .every = 1};
    CHECK(fit(&t) == NNC_OK);
    check_outcome(&t, &first);
    free(first);
    free_course(&t);
}

static nnc_status stop(void *context, size_t epoch, double cost)
{
    (void)context, (void)epoch, (void)cost;
    return NNC_STOPPED;
}

/* Parameters in rounds: on any number of threads, and where poll stops amid them. */
TEST(blocks_of_millions)
{
    static const size_t sizes[] = {2100, 2100, 0, 0, 0};
    course t = make_course(NNC_F32, NNC_LOSS_MSE, sizes, NNC_ACT_IDENTITY, false, 6, 1);
    nnc_range range = {.start = 2100 * 3, .n = 2100 * 2000, .row_length = 2100, .max_norm = 1};
    char *first = NULL;
    use_adam(&t);
    t.fitting.batch = 1;
    t.stepper.clip_norm = 1e-3;
    t.stepper.average_decay = 0.5;
    t.stepper.ranges = &range;
    t.stepper.n_ranges = 1;
    for (size_t threads = 1; threads <= 4; threads += 3) {
        CASE("threads %zu", threads);
        t.fitting.n_threads = threads;
        CHECK(fit(&t) == NNC_OK && t.stepper.steps == 6);
        check_outcome(&t, &first);
        t.fitting.data.m = 100 * t.m; /* enough to be stopped */
        t.fitting.data.x_sample = t.fitting.data.y_sample = 0;
        t.fitting.monitor.poll = stop;
        CHECK(fit(&t) == NNC_STOPPED && t.stepper.steps < 600);
        char *stopped = NULL;
        t.fitting.monitor.poll = NULL;
        t.fitting.data.m = t.stepper.steps;
        t.cost[0] = 0;
        check_outcome(&t, &stopped);
        CHECK(fit(&t) == NNC_OK);
        t.cost[0] = 0;
        check_outcome(&t, &stopped);
        t.fitting.data.m = t.m;
        t.fitting.data.x_sample = t.fitting.data.y_sample = 2100;
        free(stopped);
    }
    free(first);
    free_course(&t);
}

/* 2^24 samples, all of them the same, take longer to change places than poll lets them. */
TEST(poll_stops_a_long_shuffle)
{
    course t = make_course(NNC_F64, NNC_LOSS_MSE, small, NNC_ACT_IDENTITY, true, 1, 1);
    t.fitting.data.x_sample = t.fitting.data.y_sample = 0;
    t.fitting.data.m = (size_t)1 << 24;
    t.shuffled = true;
    t.fitting.monitor.poll = stop;
    CHECK(fit(&t) == NNC_STOPPED && t.done == 0 && t.stepper.steps == 0);
    CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
    free_course(&t);
}

TEST(poll_stops_epochs_without_samples)
{
    size_t epochs = (size_t)1 << 22;
    course t = make_course(NNC_F64, NNC_LOSS_MSE, broad, NNC_ACT_IDENTITY, true, 0, epochs);
    t.fitting.monitor.poll = stop;
    CHECK(fit(&t) == NNC_STOPPED && t.done < epochs && t.stepper.steps == 0);
    CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
    free_course(&t);
}

/* Divergence puts parameters back, whatever the optimizer. Rprop, the last one, reads the rate
 * once. */
TEST(divergence_with_any_optimizer)
{
    for (int optimizer = 0; optimizer < NNC_OPTIMIZER_RPROP; optimizer++) {
        course t = optimizer_course(NNC_F64, optimizer, small, 40, 6, 20);
        double rates[] = {1e-3, 1e-3, 1e-3, NAN, NAN, NAN};
        if (optimizer == NNC_OPTIMIZER_RPROP) continue; /* it reads the rate once */
        t.fitting.rates = rates;
        t.fitting.n_rates = 1;
        CASE("%s", optimizer_name(&t));
        CHECK(fit(&t) == NNC_DIVERGED && t.done == 3);
        void *params = room(t.dtype, t.net.n_params);
        memcpy(params, t.trained, t.net.n_params * sizeof(double));
        t.fitting.epochs = 2;
        CHECK(fit(&t) == NNC_OK);
        CHECK(same(t.dtype, params, t.trained, t.net.n_params));
        free(params);
        free_course(&t);
    }
}

SUITE()
{
    RUN(each_optimizer_with_each_option);
    RUN(wide_networks_with_all_options);
    RUN(threads_and_isas_do_not_change_the_bits);
    RUN(two_calls_are_one);
    RUN(idle_options_do_not_change_the_bits);
    RUN(kernels_in_place);
    RUN(callbacks_may_change_later_rates);
    RUN(blocks_of_millions);
    RUN(poll_stops_a_long_shuffle);
    RUN(poll_stops_epochs_without_samples);
    RUN(divergence_with_any_optimizer);
}
