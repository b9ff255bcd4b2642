/* test_alloc.c - the core when memory or threads are refused. Linked with --wrap for the three
 * functions below, so that calls from the core and from here come by this way. */
#include <pthread.h>

#include "core/arena.h"
#include "core/base.h"
#include "course.h"
#include "lesson.h"
#include "nnc.h"
#include "plain.h"
#include "reference.h"
#include "test.h"

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void __wrap_free(void *block);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

enum { MOST_BLOCKS = 64 };
static struct {
    size_t fail_at;            /* which allocation fails, counted from 0 */
    size_t asked;              /* allocations asked for */
    void *blocks[MOST_BLOCKS]; /* given and not yet freed */
    size_t threads_allowed, threads;
} heap = {.fail_at = SIZE_MAX, .threads_allowed = SIZE_MAX};

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    if (heap.asked++ == heap.fail_at) return NULL;
    void *block = __real_aligned_alloc(alignment, size);
    for (size_t i = 0; i < MOST_BLOCKS; i++) {
        if (heap.blocks[i]) continue;
        heap.blocks[i] = block;
        return block;
    }
    abort();
}

void __wrap_free(void *block)
{
    for (size_t i = 0; i < MOST_BLOCKS; i++)
        if (heap.blocks[i] == block) heap.blocks[i] = NULL;
    __real_free(block);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (heap.threads == heap.threads_allowed) return 11; /* EAGAIN */
    heap.threads++;
    return __real_pthread_create(thread, attributes, start, argument);
}

static size_t blocks_in_use(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MOST_BLOCKS; i++) n += heap.blocks[i] != NULL;
    return n;
}

/* ------------------------------------------------------------------------------- memory */

/* The buffers of all verbs: what they read, and what they write. */
enum { N_OUT = 3, N_FEATURES = 2, M = 40, ELEMENTS = 128 };
static double in[ELEMENTS], out[ELEMENTS], out_before[ELEMENTS];

static nnc_status forward(void)
{
    return nnc_forward(NNC_F64, out, in, in, in, N_OUT, N_FEATURES, M);
}

static nnc_status backprop(void)
{
    return nnc_backprop(NNC_F64, out, out + 80, out + 90, in, in, in, M, N_OUT, N_FEATURES, M);
}

static nnc_status score(void)
{
    return nnc_score(NNC_F64, NNC_LOSS_SSE, out, out + 1, in, in, N_OUT, M);
}

static lesson student;

static nnc_status train_student(void)
{
    student.training.net = &student.net;
    student.net.layers = student.layers;
    nnc_status status = nnc_train(&student.training, out, out + 80, out + 100, &student.done);
    if (status == NNC_ERR_MEMORY) CHECK(student.done == 0);
    return status;
}

/* Fails each allocation of the verb in turn. */
static void check_verb(const char *name, nnc_status (*verb)(void))
{
    size_t used = blocks_in_use();
    for (heap.fail_at = 0;; heap.fail_at++) {
        CASE("%s, allocation %zu", name, heap.fail_at);
        memcpy(out, out_before, sizeof out);
        heap.asked = 0;
        nnc_status status = verb();
        CHECK(blocks_in_use() == used);
        if (heap.asked <= heap.fail_at) {
            CHECK(status == NNC_OK);
            break;
        }
        CHECK(status == NNC_ERR_MEMORY);
        CHECK(memcmp(out, out_before, sizeof out) == 0);
    }
    CHECK(heap.fail_at > 0);
    CHECK(memcmp(out, out_before, sizeof out) != 0);
    heap.fail_at = SIZE_MAX;
}

TEST(refused_memory_is_reported_and_nothing_written)
{
    scatter(NNC_F64, in, ELEMENTS, 0, 1, 1);
    scatter(NNC_F64, out_before, ELEMENTS, 0, 1, 2);
    check_verb("forward", forward);
    check_verb("backprop", backprop);
    check_verb("score", score);
    student = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 300, 5);
    check_verb("train", train_student);
    student.training.n_threads = 8;
    check_verb("train with threads", train_student);
    student.training.data.m = PTRDIFF_MAX;
    memcpy(out, out_before, sizeof out);
    CHECK(train_student() == NNC_ERR_SIZE && student.done == 0);
    student.training.data.m = PTRDIFF_MAX / 16;
    CHECK(train_student() == NNC_ERR_SIZE && student.done == 0);
    CHECK(memcmp(out, out_before, sizeof out) == 0);
    free_lesson(&student);
    CHECK(blocks_in_use() == 0);
}

static const size_t small[] = {4, 6, 2, 0, 0}, broad[] = {64, 300, 200, 2, 0, 0};

/* Without memory nnc_fit, nnc_predict and their kin leave everything as it was. */
static void check_batches(course t, nnc_optimizer optimizer, size_t threads)
{
    nnc_monitor none = {.every = 0};
    nnc_predictor *predictor;
    void *y = room(NNC_F64, t.n_out * 300);
    void *zeros = room(NNC_F64, MOST_STATE * t.net.n_params + 100);
    use_optimizer(&t, optimizer);
    t.stepper.clip_norm = optimizer == NNC_OPTIMIZER_SGD ? 0 : 1e9;
    t.fitting.batch = 200;
    t.fitting.n_threads = threads;
    t.shuffled = true;
    size_t used = blocks_in_use();
    for (heap.fail_at = 0;; heap.fail_at++) {
        CASE("params %zu optimizer %d threads %zu allocation %zu", t.net.n_params, optimizer,
             threads, heap.fail_at);
        heap.asked = 0;
        nnc_status status = fit(&t);
        CHECK(blocks_in_use() == used);
        if (heap.asked <= heap.fail_at) {
            CHECK(status == NNC_OK && t.done == 2);
            break;
        }
        nnc_rng fresh;
        nnc_rng_seed(&fresh, 11);
        CHECK(status == NNC_ERR_MEMORY && t.done == 0 && t.stepper.steps == 0);
        CHECK(same(NNC_F64, t.params, t.trained, block_of(&t)));
        CHECK(same(NNC_F64, zeros, t.state, 2 * t.net.n_params));
        CHECK(t.cost[0] == 0 && t.accuracy[0] == 0);
        CHECK(memcmp(fresh.state, t.rng.state, sizeof fresh.state) == 0);
    }
    CHECK(heap.fail_at > 0);
    heap.asked = heap.fail_at = 0;
    CHECK(make_predictor(&t, &predictor) == NNC_ERR_MEMORY && !predictor);
    heap.fail_at = SIZE_MAX;
    CHECK(make_predictor(&t, &predictor) == NNC_OK);
    heap.asked = heap.fail_at = 0;
    nnc_status status = nnc_predict(predictor, t.params, &t.fitting.data, y, threads, &none);
    CHECK(heap.asked == 0 || (status == NNC_ERR_MEMORY && memcmp(y, zeros, 600) == 0));
    nnc_predict_one(predictor, t.params, t.x, y);
    CHECK(heap.asked <= 1);
    double cost = 7, accuracy = 7;
    heap.asked = heap.fail_at = 0;
    status = nnc_evaluate(predictor, t.params, &t.fitting.data, t.fitting.loss, 0, &cost, &accuracy,
                          NULL, threads, &none);
    CHECK(status == NNC_ERR_MEMORY && cost == 7 && accuracy == 7);
    heap.fail_at = 0, heap.asked = 0;
    CHECK(!nnc_new_block(NNC_F64, 10));
    heap.fail_at = SIZE_MAX;
    nnc_predictor_free(predictor);
    CHECK(blocks_in_use() == used);
    free(y), free(zeros);
    free_course(&t);
}

static course dense_course(const size_t *sizes)
{
    return make_course(NNC_F64, NNC_LOSS_BCE, sizes, NNC_ACT_SIGMOID, true, 300, 2);
}

TEST(batches_without_memory)
{
    static const nnc_optimizer optimizers[] = {NNC_OPTIMIZER_SGD, NNC_OPTIMIZER_ADAM};
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
        check_batches(dense_course(small), optimizers[i], 1);
        check_batches(dense_course(broad), optimizers[i], 1);
        check_batches(dense_course(broad), optimizers[i], 4);
        for (size_t order = 0; order < ORDERS; order++)
            check_batches(small_course(order, NNC_F64, NNC_ACT_RELU, 300, 2), optimizers[i], 1);
        check_batches(wide_course(NNC_F64, false, 300, 2), optimizers[i], 1);
        check_batches(wide_course(NNC_F64, true, 300, 2), optimizers[i], 4);
    }
    CHECK(nnc_shutdown_threads());
    CHECK(blocks_in_use() == 0);
}

TEST(minimization_without_memory)
{
    static const size_t sizes[] = {5, 9, 2, 0, 0};
    for (int minimizer = 0; minimizer < NNC_MINIMIZER_COUNT; minimizer++) {
        course t = make_course(NNC_F64, NNC_LOSS_MSE, sizes, NNC_ACT_IDENTITY, true, 70, 4);
        nnc_minimizing problem = {.net = &t.net,
                                  .dtype = NNC_F64,
                                  .loss = NNC_LOSS_MSE,
                                  .data = t.fitting.data,
                                  .minimizer = (nnc_minimizer)minimizer,
                                  .iterations = 3,
                                  .evaluations = 100,
                                  .history = 5,
                                  .damping = 1e-3,
                                  .damping_factor = 10,
                                  .damping_most = 1e10,
                                  .n_threads = 1};
        nnc_minimum minimum = {.ending = NNC_ENDING_COUNT};
        size_t used = blocks_in_use();
        t.net.layers = t.layers;
        memcpy(t.trained, t.params, t.net.n_params * sizeof(double));
        heap.asked = heap.fail_at = 0;
        CASE("%s", nnc_minimizer_name(problem.minimizer));
        CHECK(nnc_minimize(&problem, t.trained, t.cost, &minimum) == NNC_ERR_MEMORY);
        CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
        CHECK(t.cost[0] == 0 && minimum.ending == NNC_ENDING_COUNT);
        heap.asked = 0, heap.fail_at = 1;
        problem.iterations = 2;
        CHECK(nnc_minimize(&problem, t.trained, t.cost, &minimum) == NNC_OK && heap.asked == 1);
        heap.fail_at = SIZE_MAX;
        problem.history = SIZE_MAX / 2;
        if (minimizer == NNC_MINIMIZER_LBFGS)
            CHECK(nnc_minimize(&problem, t.trained, t.cost, &minimum) == NNC_ERR_SIZE);
        CHECK(blocks_in_use() == used);
        free_course(&t);
    }
}

TEST(new_blocks_are_aligned_zeros)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double *block = nnc_new_block(NNC_F64, sizes[i]);
        bool zeros = block != NULL && (uintptr_t)block % NNC_LINE == 0;
        for (size_t k = 0; zeros && k < sizes[i]; k++) zeros = block[k] == 0;
        CHECK(zeros);
        nnc_free_block(block);
    }
    CHECK(!nnc_new_block(NNC_F64, SIZE_MAX) && !nnc_new_block(NNC_F64, SIZE_MAX / 8));
    nnc_free_block(NULL);
    CHECK(blocks_in_use() == 0);
}

/* The other endings of nnc_train free their memory too. */
TEST(early_endings_leak_nothing)
{
    lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 300, 5);
    size_t used = blocks_in_use();
    t.training.learning_rate = INFINITY;
    CHECK(train(&t) == NNC_DIVERGED);
    CHECK(blocks_in_use() == used);
    set(NNC_F64, t.x, 0, NAN);
    CHECK(train(&t) == NNC_DIVERGED);
    CHECK(blocks_in_use() == used);
    free_lesson(&t);
    CHECK(blocks_in_use() == 0);
}

/* The steps that return no status need no memory. */
TEST(elementwise_verbs_allocate_nothing)
{
    nnc_rng rng;
    heap.asked = 0;
    heap.fail_at = 0;
    nnc_rng_seed(&rng, 1);
    nnc_init(NNC_F64, out, &rng, 1, ELEMENTS);
    nnc_activate(NNC_F64, NNC_ACT_SIGMOID, out, in, ELEMENTS);
    nnc_activate_backward(NNC_F64, NNC_ACT_SIGMOID, out, in, in, ELEMENTS);
    nnc_output_gradient(NNC_F64, NNC_LOSS_SSE, NNC_ACT_SIGMOID, out, in, NULL, in, ELEMENTS);
    nnc_classify(NNC_F64, out, in, ELEMENTS);
    nnc_update(NNC_F64, out, in, 0.1, ELEMENTS);
    CHECK(nnc_first_nonfinite(NNC_F64, out, ELEMENTS) == ELEMENTS);
    CHECK(heap.asked == 0);
    heap.fail_at = SIZE_MAX;
}

TEST(arenas_give_aligned_pieces_that_do_not_overlap)
{
    nnc_arena arena = {0};
    static const size_t sizes[] = {1, 63, 64, 65, 0, 1000};
    enum { PIECES = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < PIECES; i++) nnc_arena_reserve(&arena, sizes[i], 3, 1);
    CHECK(nnc_arena_allocate(&arena) == NNC_OK);
    char *end = arena.block;
    for (size_t i = 0; i < PIECES; i++) {
        char *piece = nnc_arena_take(&arena, sizes[i], 3, 1);
        CHECK((uintptr_t)piece % NNC_LINE == 0 && piece >= end);
        memset(piece, 1, sizes[i] * 3);
        end = piece + sizes[i] * 3;
    }
    CHECK(end <= arena.block + arena.size);
    nnc_arena_free(&arena);
    CHECK(blocks_in_use() == 0 && !arena.block && arena.size == 0);

    const size_t half = (size_t)1 << (sizeof(size_t) * 4);
    nnc_arena_reserve(&arena, half, half, 1);
    nnc_arena_reserve(&arena, 1, 1, 1);
    CHECK(nnc_arena_allocate(&arena) == NNC_ERR_SIZE);
    arena = (nnc_arena){0};
    for (int i = 0; i < 3; i++) nnc_arena_reserve(&arena, PTRDIFF_MAX / 2, 1, 1);
    CHECK(nnc_arena_allocate(&arena) == NNC_ERR_SIZE);
    arena = (nnc_arena){0};
    CHECK(nnc_arena_allocate(&arena) == NNC_OK);
    nnc_arena_free(&arena);
}

/* ------------------------------------------------------------------------------- threads */

TEST(refused_threads_do_not_change_the_bits)
{
    lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 4000, 6);
    double params[100], cost[6];
    CHECK(train(&t) == NNC_OK && heap.threads == 0);
    memcpy(params, t.trained, t.net.n_params * sizeof *params);
    memcpy(cost, t.cost, sizeof cost);
    t.training.n_threads = 8;
    for (size_t allowed = 0; allowed <= 7; allowed++) {
        CASE("%zu threads", allowed);
        CHECK(nnc_shutdown_threads());
        heap.threads = 0;
        heap.threads_allowed = allowed;
        CHECK(train(&t) == NNC_OK && heap.threads == allowed);
        CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
        CHECK(memcmp(cost, t.cost, sizeof cost) == 0);
    }
    heap.threads_allowed = SIZE_MAX;
    CHECK(nnc_shutdown_threads());
    heap.threads = 0;
    CHECK(train(&t) == NNC_OK && heap.threads == 7); /* eight slices, the caller takes part */
    CHECK(train(&t) == NNC_OK && heap.threads == 7); /* they were kept */
    CHECK(nnc_shutdown_threads());
    t.training.data.m = 100;
    heap.threads = 0;
    CHECK(train(&t) == NNC_OK && heap.threads == 0); /* too little work to pay */
    free_lesson(&t);
}

TEST(refused_threads_do_not_change_the_bits_of_batches)
{
    course t = make_course(NNC_F64, NNC_LOSS_BCE, broad, NNC_ACT_SIGMOID, true, 500, 2);
    void *params = room(NNC_F64, t.net.n_params);
    t.fitting.batch = 200;
    CHECK(fit(&t) == NNC_OK);
    memcpy(params, t.trained, t.net.n_params * sizeof(double));
    t.fitting.n_threads = 8;
    for (size_t allowed = 0; allowed <= 7; allowed++) {
        CASE("%zu threads", allowed);
        CHECK(nnc_shutdown_threads());
        heap.threads = 0;
        heap.threads_allowed = allowed;
        CHECK(fit(&t) == NNC_OK && heap.threads <= allowed);
        CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
    }
    heap.threads_allowed = SIZE_MAX;
    heap.threads = 0;
    CHECK(nnc_shutdown_threads());
    free(params);
    free_course(&t);
}

SUITE()
{
    RUN(batches_without_memory);
    RUN(minimization_without_memory);
    RUN(new_blocks_are_aligned_zeros);
    RUN(refused_threads_do_not_change_the_bits_of_batches);
    RUN(refused_memory_is_reported_and_nothing_written);
    RUN(early_endings_leak_nothing);
    RUN(elementwise_verbs_allocate_nothing);
    RUN(arenas_give_aligned_pieces_that_do_not_overlap);
    RUN(refused_threads_do_not_change_the_bits);
}
