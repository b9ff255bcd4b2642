/* test_minimize.c - nnc_minimize: its cost and gradient against plain loops, problems whose
 * solution is known, its endings, and its bits. */
#include "course.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

enum { MOST_COSTS = 3000 };

typedef struct {
    course t;
    nnc_minimizing problem;
    nnc_minimum found;
    double cost[MOST_COSTS + 1];
} hill;

static hill make_hill(nnc_minimizer minimizer, nnc_dtype dtype, nnc_loss loss, const size_t *sizes,
                      nnc_activation last, bool bias, size_t m)
{
    hill h = {.t = make_course(dtype, loss, sizes, last, bias, m, 1)};
    h.problem = (nnc_minimizing){.dtype = dtype,
                                 .loss = loss,
                                 .data = h.t.fitting.data,
                                 .minimizer = minimizer,
                                 .iterations = 100,
                                 .evaluations = 10000,
                                 .history = 10,
                                 .damping = 1e-3,
                                 .damping_factor = 10,
                                 .damping_most = 1e10,
                                 .n_threads = 1};
    return h;
}

/* From t.params, to t.trained. */
static nnc_status minimize(hill *h)
{
    h->t.net.layers = h->t.layers; /* the course may have moved */
    h->problem.net = &h->t.net;
    memcpy(h->t.trained, h->t.params, h->t.net.n_params * nnc_dtype_size(h->t.dtype));
    memset(h->cost, 0, sizeof h->cost);
    h->found = (nnc_minimum){.ending = NNC_ENDING_COUNT};
    return nnc_minimize(&h->problem, h->t.trained, h->cost, &h->found);
}

static void free_hill(hill *h)
{
    free_course(&h->t);
}

static const char *text_of(const hill *h)
{
    static char text[160];
    snprintf(text, sizeof text, "%s %s %s %s m %zu threads %zu",
             nnc_minimizer_name(h->problem.minimizer), dtype_name(h->t.dtype),
             nnc_loss_name(h->problem.loss), nnc_cpu_info().isa, h->t.m, h->problem.n_threads);
    return text;
}

/* ------------------------------------------------------------------------- plain loops */

/* The cost of params (of the dtype), and the largest element of its gradient. */
static double reference_cost(const hill *h, const void *params_, double *largest_slope)
{
    const course *t = &h->t;
    size_t n = t->net.n_params;
    double *params = doubles(t->dtype, params_, n), *grads = calloc(n, sizeof *grads);
    double *x = doubles(t->dtype, t->x, t->n_in * t->m), dz[64], da[64], sum = 0;
    double *y = doubles(t->dtype, t->y, t->n_out * t->m), *a[MOST_LAYERS + 1];
    double divisor = (double)divisor_of(h->problem.loss, t->n_out, (wide)t->m);
    if (!grads) abort();
    for (size_t l = 1; l <= t->net.n_layers; l++)
        if (!(a[l] = calloc(t->layers[l - 1].n_out, sizeof **a))) abort();
    for (size_t j = 0; j < t->m; j++) {
        a[0] = x + j * t->n_in;
        forward_of(t, params, a);
        for (size_t i = 0; i < t->n_out; i++)
            sum += (double)loss_of(h->problem.loss, a[t->net.n_layers][i], y[j * t->n_out + i]);
        backward_of(t, params, a, y + j * t->n_out, 1, dz, da, grads);
    }
    sum /= divisor;
    for (size_t i = 0; i < n; i++) grads[i] /= divisor;
    for (size_t k = 0; k < h->problem.n_ranges; k++) {
        const nnc_range *r = &h->problem.ranges[k];
        for (size_t i = r->start; i < r->start + r->n; i++) {
            sum += r->l2 / 2 * params[i] * params[i];
            grads[i] = r->frozen ? 0 : grads[i] + r->l2 * params[i];
        }
    }
    *largest_slope = 0;
    for (size_t i = 0; i < n; i++) *largest_slope = fmax(*largest_slope, fabs(grads[i]));
    for (size_t l = 1; l <= t->net.n_layers; l++) free(a[l]);
    free(params), free(grads), free(x), free(y);
    return sum;
}

static bool close_to(nnc_dtype dtype, double got, double expected, double scale)
{
    return fabs(got - expected) <= (dtype == NNC_F32 ? 2e-5 : 1e-12) * fmax(1e-2, scale);
}

/* The result belongs to the last entry of the history and to the parameters. */
static void check_result(hill *h)
{
    double slope, cost = reference_cost(h, h->t.trained, &slope);
    CHECK(close_to(h->t.dtype, h->found.cost, cost, cost));
    CHECK(close_to(h->t.dtype, h->found.gradient, slope, fmax(cost, slope)));
    CHECK(h->cost[h->found.iterations] == h->found.cost);
    CHECK(h->found.evaluations > h->found.iterations);
    double lowest = h->cost[0], noise = h->t.dtype == NNC_F32 ? 1e-6 : 2e-15;
    for (size_t i = 1; i <= h->found.iterations; i++) {
        CHECK(h->cost[i] <= lowest * (1 + noise));
        lowest = fmin(lowest, h->cost[i]);
    }
}

static const size_t small[] = {5, 9, 7, 3, 0, 0}, broad[] = {20, 60, 30, 3, 0, 0};

static void check_combination(nnc_dtype dtype, nnc_loss loss, nnc_activation last, bool bias)
{
    static const size_t counts[] = {1, 32, 33, 203, 2100};
    for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
        bool squares = loss == NNC_LOSS_MSE || loss == NNC_LOSS_SSE;
        if (minimizer == NNC_MINIMIZER_MARQUARDT && !squares) continue;
        for (size_t i = 0; i < N_OF(counts); i++) {
            if (counts[i] > 1000 && (!bias || loss == NNC_LOSS_SSE)) continue; /* it takes long */
            hill h = make_hill((nnc_minimizer)minimizer, dtype, loss, small, last, bias, counts[i]);
            nnc_range ranges[] = {{.start = 3, .n = 10, .l2 = 0.3},
                                  {.start = 13, .n = 20, .frozen = true, .l2 = 0.1},
                                  {.start = 50, .n = 1, .l2 = 0.7}};
            if (i % 2) h.problem.ranges = ranges, h.problem.n_ranges = N_OF(ranges);
            CASE("%s", text_of(&h));
            h.problem.iterations = 0;
            CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_ITERATIONS);
            CHECK(same(dtype, h.t.params, h.t.trained, h.t.net.n_params));
            check_result(&h);
            h.problem.iterations = 4;
            CHECK(minimize(&h) == NNC_OK && h.found.cost < h.cost[0]);
            check_result(&h);
            size_t item = nnc_dtype_size(dtype);
            if (i % 2)
                CHECK(memcmp((char *)h.t.params + 13 * item, (char *)h.t.trained + 13 * item,
                             20 * item) == 0);
            free_hill(&h);
        }
    }
}

static void check_dtype(nnc_dtype dtype)
{
    for (int bias = 0; bias < 2; bias++) {
        check_combination(dtype, NNC_LOSS_CCE, NNC_ACT_SOFTMAX, bias);
        check_combination(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, bias);
        check_combination(dtype, NNC_LOSS_MSE, NNC_ACT_IDENTITY, bias);
        check_combination(dtype, NNC_LOSS_SSE, NNC_ACT_SIGMOID, bias);
    }
}

TEST(cost_and_gradient_are_those_of_plain_loops)
{
    for_each_isa(check_dtype);
}

/* ---------------------------------------------------------------------- known solutions */

/* The weights and bias of output k that minimize the mean of squares + l2 / 2 weights^2, by Gauss'
 * elimination. */
static void ridge(const hill *h, size_t k, wide l2, wide *solution)
{
    const course *t = &h->t;
    enum { MOST = 16 };
    wide a[MOST][MOST + 1] = {{0}};
    size_t n = t->n_in + 1;
    for (size_t s = 0; s < t->m; s++) {
        wide row[MOST + 1];
        for (size_t i = 0; i < t->n_in; i++) row[i] = get(t->dtype, t->x, s * t->n_in + i);
        row[n - 1] = 1;
        row[n] = get(t->dtype, t->y, s * t->n_out + k);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j <= n; j++) a[i][j] += row[i] * row[j];
    }
    for (size_t i = 0; i + 1 < n; i++) a[i][i] += l2 * (wide)(t->m * t->n_out) / 2;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < n; r++) {
            wide factor = a[r][i] / a[i][i];
            for (size_t j = i; r != i && j <= n; j++) a[r][j] -= factor * a[i][j];
        }
    for (size_t i = 0; i < n; i++) solution[i] = a[i][n] / a[i][i];
}

static void check_ridge(nnc_dtype dtype, nnc_minimizer minimizer, double l2)
{
    static const size_t sizes[] = {6, 2, 0, 0};
    hill h = make_hill(minimizer, dtype, NNC_LOSS_MSE, sizes, NNC_ACT_IDENTITY, true, 150);
    nnc_range weights = {.start = 0, .n = 12, .l2 = l2};
    h.problem.ranges = &weights;
    h.problem.n_ranges = l2 > 0;
    h.problem.gradient = dtype == NNC_F32 ? 1e-6 : 1e-11;
    wide most = 0;
    CASE("%s l2 %g", text_of(&h), l2);
    CHECK(minimize(&h) == NNC_OK);
    CHECK(dtype == NNC_F32 || h.found.ending == NNC_ENDING_GRADIENT);
    CHECK(h.found.iterations <= 40);
    for (size_t k = 0; k < 2; k++) {
        wide solution[7];
        ridge(&h, k, l2, solution);
        for (size_t i = 0; i < 7; i++) {
            wide got = get(dtype, h.t.trained, i < 6 ? k * 6 + i : 12 + k);
            most = fmaxl(most, fabsl(got - solution[i]));
        }
    }
    CHECK(most <= (dtype == NNC_F32 ? 1e-5L : 1e-9L));
    free_hill(&h);
}

TEST(linear_networks_solve_least_squares_and_ridge)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++)
        for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
            check_ridge((nnc_dtype)dtype, (nnc_minimizer)minimizer, 0);
            check_ridge((nnc_dtype)dtype, (nnc_minimizer)minimizer, 0.25);
        }
}

/* One iteration of Gauss and Newton solves a linear problem. */
TEST(marquardt_without_much_damping_needs_one_step_for_a_linear_network)
{
    static const size_t sizes[] = {6, 2, 0, 0};
    hill h = make_hill(NNC_MINIMIZER_MARQUARDT, NNC_F64, NNC_LOSS_SSE, sizes, NNC_ACT_IDENTITY,
                       true, 150);
    h.problem.damping = 1e-12;
    h.problem.gradient = 1e-9;
    CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_GRADIENT);
    CHECK(h.found.iterations == 1 && h.found.evaluations == 2);
    free_hill(&h);
}

/* The labels are another network's outputs. */
TEST(marquardt_finds_a_network_that_fits_exactly)
{
    static const size_t sizes[] = {3, 4, 1, 0, 0};
    hill h = make_hill(NNC_MINIMIZER_MARQUARDT, NNC_F64, NNC_LOSS_SSE, sizes, NNC_ACT_IDENTITY,
                       true, 300);
    h.t.layers[0].activation = NNC_ACT_SIGMOID;
    size_t n = h.t.net.n_params;
    wide *params = widened(NNC_F64, h.t.params, n);
    wide *x = calloc(900, sizeof *x), y[300];
    for (size_t i = 0; i < n; i++) params[i] *= 4; /* or sigmoids would be all but straight */
    for (size_t s = 0; s < 300; s++)               /* predict wants samples as columns */
        for (size_t i = 0; i < 3; i++) x[i * 300 + s] = get(NNC_F64, h.t.x, s * 3 + i);
    h.t.net.layers = h.t.layers;
    predict(&h.t.net, params, x, y, 300);
    for (size_t s = 0; s < 300; s++) set(NNC_F64, h.t.y, s, y[s]);
    scatter(NNC_F64, h.t.trained, n, -0.1, 0.1, 5);
    for (size_t i = 0; i < n; i++)
        set(NNC_F64, h.t.params, i, params[i] + get(NNC_F64, h.t.trained, i));
    h.problem.gradient = 1e-11;
    h.problem.iterations = 20;
    CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_GRADIENT);
    CHECK(h.found.cost < 1e-20 && h.cost[0] > 1e-3);
    free(params), free(x);
    free_hill(&h);
}

/* ------------------------------------------------------------------------------ progress */

static void check_against_descent(nnc_minimizer minimizer, nnc_loss loss, nnc_activation last,
                                  const size_t *sizes)
{
    enum { MOST = 300 };
    hill h = make_hill(minimizer, NNC_F64, loss, sizes, last, true, 120);
    bool deep = h.t.net.n_layers > 1;
    double cost[MOST], accuracy[MOST], slope;
    h.problem.iterations = h.problem.evaluations = MOST;
    h.problem.gradient = 1e-9;
    h.t.layers[0].activation = deep ? NNC_ACT_SIGMOID : last;
    CASE("%s", text_of(&h));
    CHECK(minimize(&h) == NNC_OK);
    check_result(&h);
    CHECK(deep || h.found.ending == NNC_ENDING_GRADIENT);

    h.t.fitting.epochs = h.found.evaluations;
    h.t.fitting.batch = 120;
    h.t.fitting.net = &h.t.net;
    h.t.fitting.stepper = &h.t.stepper;
    memcpy(h.t.trained, h.t.params, h.t.net.n_params * sizeof(double));
    CHECK(nnc_fit(&h.t.fitting, h.t.trained, cost, accuracy, &h.t.done) == NNC_OK);
    double slow = reference_cost(&h, h.t.trained, &slope);
    CHECK(h.found.cost < slow && slow < h.cost[0]);
    CHECK(deep || slope > 1000 * h.found.gradient);
    free_hill(&h);
}

TEST(it_gets_further_than_gradient_descent_in_as_many_evaluations)
{
    static const size_t deep[] = {5, 8, 3, 0, 0}, flat[] = {5, 3, 0, 0};
    const nnc_minimizer lbfgs = NNC_MINIMIZER_LBFGS, marquardt = NNC_MINIMIZER_MARQUARDT;
    check_against_descent(lbfgs, NNC_LOSS_MSE, NNC_ACT_IDENTITY, deep);
    check_against_descent(lbfgs, NNC_LOSS_BCE, NNC_ACT_SIGMOID, deep);
    check_against_descent(lbfgs, NNC_LOSS_CCE, NNC_ACT_SOFTMAX, deep);
    check_against_descent(lbfgs, NNC_LOSS_MSE, NNC_ACT_IDENTITY, flat);
    check_against_descent(lbfgs, NNC_LOSS_BCE, NNC_ACT_SIGMOID, flat);
    check_against_descent(lbfgs, NNC_LOSS_CCE, NNC_ACT_SOFTMAX, flat);
    check_against_descent(marquardt, NNC_LOSS_MSE, NNC_ACT_IDENTITY, deep);
    check_against_descent(marquardt, NNC_LOSS_MSE, NNC_ACT_IDENTITY, flat);
}

/* A penalty makes logistic regression's minimum unique, and its gradient there small. */
TEST(convex_problems_end_with_a_small_gradient)
{
    static const size_t sizes[] = {6, 3, 0, 0};
    static const nnc_range all = {.start = 0, .n = 21, .l2 = 0.01};
    for (int softmax = 0; softmax < 2; softmax++) {
        hill h = make_hill(NNC_MINIMIZER_LBFGS, NNC_F64, softmax ? NNC_LOSS_CCE : NNC_LOSS_BCE,
                           sizes, softmax ? NNC_ACT_SOFTMAX : NNC_ACT_SIGMOID, true, 500);
        h.problem.gradient = 1e-10;
        h.problem.ranges = &all;
        h.problem.n_ranges = 1;
        CASE("%s", text_of(&h));
        CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_GRADIENT);
        CHECK(h.found.gradient <= 1e-10 && h.found.iterations < 60);
        check_result(&h);
        free_hill(&h);
    }
}

/* ------------------------------------------------------------------------------- endings */

TEST(each_limit_ends_it)
{
    for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
        hill h = make_hill((nnc_minimizer)minimizer, NNC_F64, NNC_LOSS_MSE, small, NNC_ACT_IDENTITY,
                           true, 100);
        CASE("%s", text_of(&h));
        h.problem.iterations = 7;
        CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_ITERATIONS);
        CHECK(h.found.iterations == 7);
        h.problem.iterations = 100;
        for (size_t most = 1; most < 15; most++) {
            h.problem.evaluations = most;
            CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_EVALUATIONS);
            CHECK(h.found.evaluations == most);
            check_result(&h);
        }
        h.problem.evaluations = 10000;
        h.problem.gradient = 1e-2;
        CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_GRADIENT);
        CHECK(h.found.gradient <= 1e-2 && h.found.iterations > 0);
        size_t k = h.found.iterations;
        h.problem.gradient = 0;
        h.problem.decrease = 0.02;
        CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_DECREASE);
        k = h.found.iterations;
        for (size_t i = 0; i < k; i++)
            CHECK((h.cost[i] - h.cost[i + 1] <= 0.02 * h.cost[i]) == (i + 1 == k));
        free_hill(&h);
    }
}

TEST(where_rounding_is_all_that_is_left_no_step_is_found)
{
    static const size_t sizes[] = {6, 2, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        hill h = make_hill(NNC_MINIMIZER_MARQUARDT, (nnc_dtype)dtype, NNC_LOSS_MSE, sizes,
                           NNC_ACT_IDENTITY, true, 150);
        CASE("%s", text_of(&h));
        CHECK(minimize(&h) == NNC_OK && h.found.ending == NNC_ENDING_NO_STEP);
        check_result(&h);
        free_hill(&h);
    }
}

TEST(what_is_not_finite_leaves_the_parameters)
{
    for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
        hill h = make_hill((nnc_minimizer)minimizer, NNC_F64, NNC_LOSS_MSE, small, NNC_ACT_IDENTITY,
                           true, 100);
        CASE("%s", text_of(&h));
        set(NNC_F64, h.t.x, 77, NAN);
        CHECK(minimize(&h) == NNC_DIVERGED && h.found.ending == NNC_ENDING_BROKEN_OFF);
        CHECK(same(NNC_F64, h.t.params, h.t.trained, h.t.net.n_params));
        set(NNC_F64, h.t.x, 77, 0.5);
        set(NNC_F64, h.t.params, 20, INFINITY);
        CHECK(minimize(&h) == NNC_DIVERGED && h.found.ending == NNC_ENDING_BROKEN_OFF);
        free_hill(&h);
    }
}

/* Steps too long for the dtype are shortened. */
TEST(a_step_that_overflows_is_taken_back)
{
    static const size_t sizes[] = {6, 2, 0, 0};
    hill h =
        make_hill(NNC_MINIMIZER_LBFGS, NNC_F32, NNC_LOSS_SSE, sizes, NNC_ACT_IDENTITY, true, 150);
    for (size_t i = 0; i < 900; i++) set(NNC_F32, h.t.x, i, 1e-18L * get(NNC_F32, h.t.x, i));
    for (size_t i = 0; i < 300; i++) set(NNC_F32, h.t.y, i, 1e16L * get(NNC_F32, h.t.y, i));
    CHECK(minimize(&h) == NNC_OK);
    CHECK(isfinite(h.found.cost) && h.found.cost <= h.cost[0]);
    CHECK(nnc_first_nonfinite(NNC_F32, h.t.trained, h.t.net.n_params) == h.t.net.n_params);
    free_hill(&h);
}

TEST(what_a_method_cannot_do_is_refused)
{
    static const size_t large[] = {60, 68, 1, 0, 0};
    hill h =
        make_hill(NNC_MINIMIZER_MARQUARDT, NNC_F64, NNC_LOSS_BCE, small, NNC_ACT_SIGMOID, true, 10);
    CHECK(minimize(&h) == NNC_ERR_SQUARES);
    CHECK(same(NNC_F64, h.t.params, h.t.trained, h.t.net.n_params) && h.cost[0] == 0);
    h.problem.minimizer = NNC_MINIMIZER_LBFGS;
    h.t.layers[1].kind = NNC_DROPOUT;
    CHECK(minimize(&h) == NNC_ERR_LAYERS);
    h.t.layers[1].kind = NNC_DENSE;
    h.problem.loss = NNC_LOSS_CCE;
    CHECK(minimize(&h) == NNC_ERR_SOFTMAX);
    free_hill(&h);
    h = make_hill(NNC_MINIMIZER_MARQUARDT, NNC_F64, NNC_LOSS_MSE, large, NNC_ACT_SIGMOID, true, 10);
    CHECK(h.t.net.n_params > NNC_MARQUARDT_PARAMS && minimize(&h) == NNC_ERR_PARAMS);
    h.t.layers[0].kind = NNC_LAYER_NORM;
    h.t.net.n_params = NNC_MARQUARDT_PARAMS;
    CHECK(minimize(&h) == NNC_ERR_LAYERS);
    free_hill(&h);
}

/* ------------------------------------------------------------------------------- monitor */

typedef struct {
    size_t stop_at, seen, polls;
    double *last; /* (n_params) */
    size_t n;
} witness;

static nnc_status at_epoch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    witness *w = context;
    CHECK(epoch == w->seen && isfinite(cost) && isnan(accuracy));
    w->seen = epoch + 1;
    memcpy(w->last, params, w->n * sizeof(double));
    return w->seen == w->stop_at ? NNC_STOPPED : NNC_OK;
}

static nnc_status poll(void *context, size_t epoch, double cost)
{
    witness *w = context;
    (void)epoch, (void)cost;
    return ++w->polls >= 3 ? NNC_STOPPED : NNC_OK;
}

TEST(the_monitor_stops_it_at_an_iterate)
{
    for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
        const size_t *sizes = minimizer == NNC_MINIMIZER_LBFGS ? broad : small;
        hill h = make_hill((nnc_minimizer)minimizer, NNC_F64, NNC_LOSS_MSE, sizes, NNC_ACT_IDENTITY,
                           true, 6000);
        size_t n = h.t.net.n_params;
        witness w = {.stop_at = 2, .last = room(NNC_F64, n), .n = n};
        h.problem.monitor = (nnc_monitor){.context = &w, .at_epoch = at_epoch, .every = 1};
        CASE("%s", text_of(&h));
        CHECK(minimize(&h) == NNC_STOPPED && h.found.ending == NNC_ENDING_BROKEN_OFF);
        CHECK(w.seen == 2 && h.found.iterations == 2);
        CHECK(same(NNC_F64, w.last, h.t.trained, n));
        for (size_t threads = 1; threads <= 3; threads += 2) {
            w.seen = w.stop_at = w.polls = 0;
            h.problem.monitor.poll = poll;
            h.problem.n_threads = threads;
            h.problem.iterations = MOST_COSTS;
            memcpy(w.last, h.t.params, n * sizeof(double));
            CASE("%s, poll", text_of(&h));
            CHECK(minimize(&h) == NNC_STOPPED && h.found.ending == NNC_ENDING_BROKEN_OFF);
            CHECK(w.polls == 3 && w.seen == h.found.iterations);
            CHECK(same(NNC_F64, w.last, h.t.trained, n));
        }
        free(w.last);
        free_hill(&h);
    }
}

/* ---------------------------------------------------------------------------------- bits */

static void check_bits(nnc_minimizer minimizer, nnc_dtype dtype, const size_t *sizes, size_t m)
{
    hill h = make_hill(minimizer, dtype, NNC_LOSS_MSE, sizes, NNC_ACT_SIGMOID, true, m);
    void *params = room(dtype, h.t.net.n_params);
    nnc_memory memory = {0};
    nnc_minimum found;
    double cost[11];
    h.problem.iterations = 10;
    CHECK(minimize(&h) == NNC_OK && h.found.iterations == 10);
    memcpy(params, h.t.trained, h.t.net.n_params * nnc_dtype_size(dtype));
    memcpy(cost, h.cost, sizeof cost);
    found = h.found;
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        for (size_t threads = 1; threads <= 8 && nnc_cpu_info().fma; threads++) {
            h.problem.n_threads = threads;
            h.problem.memory = threads % 2 ? &memory : NULL;
            CASE("%s", text_of(&h));
            CHECK(minimize(&h) == NNC_OK);
            CHECK(same(dtype, params, h.t.trained, h.t.net.n_params));
            CHECK(memcmp(cost, h.cost, sizeof cost) == 0);
            CHECK(found.evaluations == h.found.evaluations && found.gradient == h.found.gradient);
        }
    }
    nnc_select_isa(NULL);
    nnc_memory_free(&memory);
    free(params);
    free_hill(&h);
}

TEST(threads_isas_and_kept_memory_change_no_bit)
{
    static const size_t wide_sizes[] = {30, 50, 3, 0, 0};
    if (!nnc_cpu_info().fma) return;
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        check_bits(NNC_MINIMIZER_LBFGS, (nnc_dtype)dtype, wide_sizes, 3000);
        check_bits(NNC_MINIMIZER_LBFGS, (nnc_dtype)dtype, small, 700);
        check_bits(NNC_MINIMIZER_MARQUARDT, (nnc_dtype)dtype, small, 700);
    }
}

SUITE()
{
    RUN(cost_and_gradient_are_those_of_plain_loops);
    RUN(linear_networks_solve_least_squares_and_ridge);
    RUN(marquardt_without_much_damping_needs_one_step_for_a_linear_network);
    RUN(marquardt_finds_a_network_that_fits_exactly);
    RUN(it_gets_further_than_gradient_descent_in_as_many_evaluations);
    RUN(convex_problems_end_with_a_small_gradient);
    RUN(each_limit_ends_it);
    RUN(where_rounding_is_all_that_is_left_no_step_is_found);
    RUN(what_is_not_finite_leaves_the_parameters);
    RUN(a_step_that_overflows_is_taken_back);
    RUN(what_a_method_cannot_do_is_refused);
    RUN(the_monitor_stops_it_at_an_iterate);
    RUN(threads_isas_and_kept_memory_change_no_bit);
}
