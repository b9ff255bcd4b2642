/* test_guard.c - no verb reads or writes outside its buffers, not even by a vector's width: each
 * buffer ends where a page begins that may not be touched, and another such page is before it. */
#define _GNU_SOURCE 1 /* MAP_ANONYMOUS, sigaction under -std=c11 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nnc.h"
#include "plain.h"
#include "reference.h"
#include "test.h"

enum { BUFFERS = 8, MOST = 70, BYTES = 1 << 16 };

static char *ends[BUFFERS], *starts[BUFFERS];

static void on_fault(int signal_number)
{
    static const char text[] = "touched a guard page: ";
    (void)signal_number;
    ssize_t written = write(1, text, sizeof text - 1);
    written += write(1, test_now.where, strlen(test_now.where));
    _exit(written > 0 ? 1 : 2);
}

static void map_buffers(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = BYTES + 2 * page;
    for (int i = 0; i < BUFFERS; i++) {
        char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED) abort();
        if (mprotect(map, page, PROT_NONE) || mprotect(map + page + BYTES, page, PROT_NONE))
            abort();
        starts[i] = map + page;
        ends[i] = map + page + BYTES;
    }
    struct sigaction action = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* Buffers end at a guard page, or start behind one. */
static bool at_the_end = true;

/* n elements in (0, 1), in buffer `index`. */
static void *fenced(nnc_dtype dtype, int index, size_t n)
{
    size_t bytes = n * nnc_dtype_size(dtype);
    if (bytes > BYTES) abort();
    void *x = at_the_end ? ends[index] - bytes : starts[index];
    scatter(dtype, x, n, 0.01, 0.99, (uint64_t)index + n);
    return x;
}

static void elementwise(nnc_dtype dtype)
{
    for (size_t n = 0; n <= MOST; n++) {
        CASE("%s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype), n);
        void *a = fenced(dtype, 0, n), *b = fenced(dtype, 1, n), *c = fenced(dtype, 2, n);
        for (int f = 0; f < NNC_ACT_COUNT; f++) {
            nnc_activate(dtype, (nnc_activation)f, a, b, n);
            nnc_activate(dtype, (nnc_activation)f, a, a, n);
            nnc_activate_backward(dtype, (nnc_activation)f, a, b, c, n);
            for (int loss = 0; loss < NNC_LOSS_COUNT; loss++)
                nnc_output_gradient(dtype, (nnc_loss)loss, (nnc_activation)f, a, b, c, c, n);
        }
        nnc_classify(dtype, a, b, n);
        nnc_update(dtype, a, b, 0.1, n);
        CHECK(nnc_first_nonfinite(dtype, a, n) == n);
        nnc_rng rng;
        nnc_rng_seed(&rng, 1);
        nnc_init(dtype, a, &rng, 0.1, n);
        nnc_rng_normal(&rng, fenced(NNC_F64, 0, n), n);
        nnc_rng_uniform(&rng, fenced(NNC_F64, 0, n), n);
    }
}

static void both_fences(void (*body)(nnc_dtype dtype))
{
    for (int i = 0; i < 2; i++) {
        at_the_end = i;
        for_each_isa(body);
    }
}

TEST(elementwise_verbs)
{
    both_fences(elementwise);
}

static void score(nnc_dtype dtype)
{
    for (size_t m = 0; m <= MOST; m++) {
        for (size_t n_out = 1; n_out <= 3; n_out++) {
            CASE("%s %s n_out %zu m %zu", nnc_cpu_info().isa, dtype_name(dtype), n_out, m);
            for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
                double *cost = fenced(NNC_F64, 2, 1), *accuracy = fenced(NNC_F64, 3, 1);
                CHECK(nnc_score(dtype, (nnc_loss)loss, cost, accuracy, fenced(dtype, 0, n_out * m),
                                fenced(dtype, 1, n_out * m), n_out, m) == NNC_OK);
            }
        }
    }
}

TEST(scores)
{
    both_fences(score);
}

static void step(nnc_dtype dtype, size_t n_out, size_t n_in, size_t m)
{
    CASE("%s %s n_out %zu n_in %zu m %zu", nnc_cpu_info().isa, dtype_name(dtype), n_out, n_in, m);
    void *w = fenced(dtype, 0, n_out * n_in), *b = fenced(dtype, 1, n_out);
    void *x = fenced(dtype, 2, n_in * m), *z = fenced(dtype, 3, n_out * m);
    void *dx = fenced(dtype, 4, n_in * m), *dw = fenced(dtype, 5, n_out * n_in);
    void *db = fenced(dtype, 6, n_out);
    CHECK(nnc_forward(dtype, z, w, b, x, n_out, n_in, m) == NNC_OK);
    CHECK(nnc_forward(dtype, z, w, NULL, x, n_out, n_in, m) == NNC_OK);
    CHECK(nnc_backprop(dtype, dx, dw, db, z, w, x, 1, n_out, n_in, m) == NNC_OK);
}

static void steps(nnc_dtype dtype)
{
    for (size_t n = 0; n <= MOST; n++) {
        step(dtype, 3, 2, n);
        step(dtype, 3, n, 5);
        step(dtype, n, 3, 5);
    }
    step(dtype, 7, 5, 600);
}

TEST(forward_and_backprop)
{
    both_fences(steps);
}

static void train(nnc_dtype dtype)
{
    for (size_t m = 0; m <= MOST; m++) {
        for (int rows = 0; rows < 2; rows++) {
            nnc_layer layers[] = {{.n_in = 3, .n_out = 5, .activation = NNC_ACT_RELU},
                                  {.n_in = 5, .n_out = 2, .activation = NNC_ACT_SIGMOID}};
            layers[m % 2].has_bias = true;
            nnc_net net;
            size_t done;
            CASE("%s %s m %zu rows %d", nnc_cpu_info().isa, dtype_name(dtype), m, rows);
            CHECK(nnc_net_init(&net, layers, 2) == NNC_OK);
            nnc_training training = {.net = &net,
                                     .dtype = dtype,
                                     .loss = NNC_LOSS_BCE,
                                     .data.x = fenced(dtype, 0, 3 * m),
                                     .data.y = fenced(dtype, 1, 2 * m),
                                     .data.x_feature = rows ? 1 : (ptrdiff_t)m,
                                     .data.x_sample = rows ? 3 : 1,
                                     .data.y_feature = rows ? 1 : (ptrdiff_t)m,
                                     .data.y_sample = rows ? 2 : 1,
                                     .data.m = m,
                                     .epochs = 2,
                                     .learning_rate = 0.1,
                                     .n_threads = 1};
            CHECK(nnc_train(&training, fenced(dtype, 2, net.n_params), fenced(NNC_F64, 3, 2),
                            fenced(NNC_F64, 4, 2), &done) == NNC_OK);
            CHECK(done == 2);
        }
    }
}

TEST(training)
{
    both_fences(train);
}

static void batches(nnc_dtype dtype)
{
    for (size_t m = 0; m <= MOST; m++) {
        for (int k = 0; k < 16; k++) {
            int by_rows = k & 1, adam = k >> 1 & 1, shuffled = k >> 2 & 1, keepers = k >> 3;
            size_t hidden = m % 2 ? 5 : 33, done;
            nnc_layer plain[] = {dense(3, hidden, NNC_ACT_RELU), dense(hidden, 2, NNC_ACT_SOFTMAX)};
            nnc_layer mixed[] = {batch_norm(3),      dense(3, hidden, NNC_ACT_SIGMOID),
                                 layer_norm(hidden), dropout(hidden, 0.5),
                                 batch_norm(hidden), dense(hidden, 2, NNC_ACT_SOFTMAX)};
            nnc_layer *layers = keepers ? mixed : plain;
            plain[1 - m % 2].has_bias = false;
            nnc_net net;
            nnc_rng rng;
            nnc_predictor *predictor;
            CASE("%s %s m %zu case %d", nnc_cpu_info().isa, dtype_name(dtype), m, k);
            CHECK(nnc_net_init(&net, layers, keepers ? 6 : 2) == NNC_OK);
            void *state = fenced(dtype, 5, 2 * net.n_params);
            nnc_stepper stepper = {.optimizer = adam ? NNC_OPTIMIZER_ADAM : NNC_OPTIMIZER_SGD,
                                   .learning_rate = 0.01,
                                   .beta_1 = 0.9,
                                   .beta_2 = 0.9,
                                   .epsilon = 1e-3,
                                   .state = adam ? state : NULL};
            nnc_fitting fitting = {.net = &net,
                                   .dtype = dtype,
                                   .loss = NNC_LOSS_CCE,
                                   .data.x = fenced(dtype, 0, 3 * m),
                                   .data.y = fenced(dtype, 1, 2 * m),
                                   .data.x_feature = by_rows ? 1 : (ptrdiff_t)m,
                                   .data.x_sample = by_rows ? 3 : 1,
                                   .data.y_feature = by_rows ? 1 : (ptrdiff_t)m,
                                   .data.y_sample = by_rows ? 2 : 1,
                                   .data.m = m,
                                   .epochs = 2,
                                   .batch = 1 + (m + (size_t)k) % 40,
                                   .stepper = &stepper,
                                   .shuffle = shuffled ? &rng : NULL,
                                   .n_threads = 1};
            void *params = fenced(dtype, 2, net.n_params + net.n_state);
            nnc_rng_seed(&rng, 1);
            CHECK(nnc_fit(&fitting, params, fenced(NNC_F64, 3, 2), fenced(NNC_F64, 4, 2), &done) ==
                  NNC_OK);
            CHECK(done == 2);
            CHECK(nnc_predictor_new(&predictor, &net, dtype) == NNC_OK);
            CHECK(nnc_predict(predictor, params, &fitting.data, fenced(dtype, 6, 2 * m), 1,
                              &fitting.monitor) == NNC_OK);
            nnc_predict_one(predictor, params, fenced(dtype, 0, 3), fenced(dtype, 6, 2));
            nnc_predictor_free(predictor);
        }
    }
}

/* Bytes for x, classes for y, weights and outputs. */
static void kinds_of_data(nnc_dtype dtype)
{
    for (size_t m = 0; m <= MOST; m++) {
        for (int k = 0; k < 4; k++) {
            size_t n_in = m % 2 ? 3 : 67, hidden = 5, done, item = nnc_dtype_size(dtype);
            bool by_rows = k & 1;
            nnc_layer layers[] = {{.n_in = n_in, .n_out = hidden, .activation = NNC_ACT_RELU},
                                  {.n_in = hidden, .n_out = 3, .activation = NNC_ACT_SIGMOID}};
            nnc_net net;
            nnc_rng rng;
            nnc_predictor *predictor;
            double cost, accuracy;
            CASE("%s %s m %zu case %d", nnc_cpu_info().isa, dtype_name(dtype), m, k);
            CHECK(nnc_net_init(&net, layers, 2) == NNC_OK);
            nnc_stepper stepper = {.learning_rate = 0.01};
            int64_t *classes = fenced(NNC_F64, 1, m);
            for (size_t j = 0; j < m; j++) classes[j] = (int64_t)(j % 3);
            char *x = at_the_end ? (char *)fenced(NNC_F64, 0, 0) - n_in * m : fenced(NNC_F64, 0, 0);
            memset(x, 7, n_in * m);
            nnc_fitting fitting = {.net = &net,
                                   .dtype = dtype,
                                   .loss = NNC_LOSS_FOCAL,
                                   .loss_parameter = 2,
                                   .data.x = x,
                                   .data.x_type = NNC_ELEMENT_U8,
                                   .data.x_scale = 0.01,
                                   .data.x_feature = by_rows ? 1 : (ptrdiff_t)m,
                                   .data.x_sample = by_rows ? (ptrdiff_t)n_in : 1,
                                   .data.classes = classes,
                                   .data.weights = fenced(NNC_F64, 5, m),
                                   .data.smoothing = 0.1,
                                   .data.m = m,
                                   .epochs = 1,
                                   .batch = 1 + (m + (size_t)k) % 40,
                                   .stepper = &stepper,
                                   .shuffle = k & 2 ? &rng : NULL,
                                   .outputs = fenced(dtype, 6, 3 * m),
                                   .n_threads = 1};
            void *params = fenced(dtype, 2, net.n_params);
            nnc_rng_seed(&rng, 1);
            CHECK(nnc_fit(&fitting, params, fenced(NNC_F64, 3, 1), fenced(NNC_F64, 4, 1), &done) ==
                  NNC_OK);
            CHECK(nnc_predictor_new(&predictor, &net, dtype) == NNC_OK);
            memset(fitting.outputs, 0, 3 * m * item);
            CHECK(nnc_evaluate(predictor, params, &fitting.data, NNC_LOSS_FOCAL, 2, &cost,
                               &accuracy, fitting.outputs, 1, &fitting.monitor) == NNC_OK);
            nnc_predictor_free(predictor);
        }
    }
}

TEST(kinds_of_data_and_evaluations)
{
    both_fences(kinds_of_data);
}

TEST(batches_and_predictions)
{
    both_fences(batches);
}

SUITE()
{
    map_buffers();
    RUN(elementwise_verbs);
    RUN(scores);
    RUN(forward_and_backprop);
    RUN(training);
    RUN(batches_and_predictions);
    RUN(kinds_of_data_and_evaluations);
}
