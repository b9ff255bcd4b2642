/* test_golden.c - trainings and steps give the bits that golden.txt records, on every CPU, with
 * every compiler and at every level of optimization. NNC_GOLDEN=write records new ones.
 *
 * A line of golden.txt is a case and two hashes of all its results: with fused multiply-add, and
 * without. tests/test_golden.py computes the same cases through Python. The
 * numbers that go in are fractions of powers of two: no library function and no rounding decides
 * what they are. */
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define GOLDEN "../tests/c/golden.txt" /* make runs the tests in csrc */

enum { MAX_LINES = 150, MAX_TEXT = 160, MAX_LAYERS = 16 };

typedef struct {
    char text[MAX_TEXT]; /* the whole line, or what comes before the hashes */
    bool comment;
    unsigned long long hash[2]; /* without FMA, with FMA */
} line;

static line lines[MAX_LINES];
static size_t n_lines;

static uint64_t hash;

/* As FNV-1a, but on words of four bytes, and with the upper half folded down: each step is one to
 * one. */
static void hash_elements(nnc_dtype dtype, const void *x, size_t n)
{
    for (size_t i = 0; i < n * nnc_dtype_size(dtype); i += 4) {
        uint32_t word;
        memcpy(&word, (const char *)x + i, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 32;
    }
}

/* -------------------------------------------------------------------------------- inputs */

/* One of the 2^21 multiples of 2^-20 in [-1, 1): splitmix64 of a counter. */
static double fraction(uint64_t stream, uint64_t i)
{
    uint64_t h = ((stream << 32) + i + 1) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return (double)((h ^ (h >> 31)) >> 43) * 0x1p-20 - 1;
}

/* n fractions of a stream, times scale */
static void *fractions(nnc_dtype dtype, size_t n, uint64_t stream, double scale)
{
    void *x = room(dtype, n);
    for (size_t i = 0; i < n; i++) set(dtype, x, i, fraction(stream, i) * scale);
    return x;
}

/* Labels for losses of classes, fractions of one for the others. */
static void *targets(nnc_dtype dtype, nnc_loss loss, size_t n)
{
    bool labels = loss == NNC_LOSS_BCE || loss == NNC_LOSS_FOCAL || loss == NNC_LOSS_HINGE;
    void *y = room(dtype, n);
    for (size_t i = 0; i < n; i++) {
        double f = fraction(2, i);
        set(dtype, y, i, labels ? f > 0 : (f + 1) / 2);
    }
    return y;
}

static size_t class_of(size_t sample, size_t n_classes)
{
    return (size_t)((fraction(2, sample) + 1) / 2 * (double)n_classes);
}

/* y (n_out, m): for each sample 1 at one output. */
static void *one_hot(nnc_dtype dtype, size_t n_out, size_t m)
{
    void *y = room(dtype, n_out * m);
    for (size_t i = 0; i < n_out * m; i++) set(dtype, y, i, class_of(i % m, n_out) == i / m);
    return y;
}

/* The power of two just below 1 / sqrt(n) */
static double weight_scale(size_t n)
{
    double scale = 1;
    for (; n > 0; n /= 4) scale /= 2;
    return scale;
}

static void *parameters(nnc_dtype dtype, const nnc_net *net)
{
    void *params = room(dtype, net->n_params + net->n_state); /* which starts at 0 */
    for (size_t l = 0; l < net->n_layers; l++) {
        const nnc_layer *layer = &net->layers[l];
        size_t end = l + 1 < net->n_layers ? layer[1].w : net->n_params;
        double scale = weight_scale(layer->n_in);
        for (size_t i = layer->w; i < end; i++) set(dtype, params, i, fraction(3, i) * scale);
    }
    return params;
}

/* ---------------------------------------------------------------------------- the verbs */

typedef struct {
    nnc_dtype dtype;
    nnc_loss loss;
    size_t m, times;
    double rate;
    nnc_layer layers[MAX_LAYERS];
    nnc_net net;
    size_t n_in, n_out; /* of the network */
    const char *with;   /* what else */
} golden_case;

static void check_train(const golden_case *c, size_t n_threads)
{
    nnc_dtype dtype = c->dtype;
    size_t m = c->m, done;
    void *x = fractions(dtype, c->n_in * m, 1, 2), *y = targets(dtype, c->loss, c->n_out * m);
    void *params = parameters(dtype, &c->net);
    double *cost = room(NNC_F64, c->times), *accuracy = room(NNC_F64, c->times);
    nnc_training training = {.net = &c->net,
                             .dtype = dtype,
                             .loss = c->loss,
                             .data.x = x,
                             .data.y = y,
                             .data.x_feature = (ptrdiff_t)m,
                             .data.x_sample = 1,
                             .data.y_feature = (ptrdiff_t)m,
                             .data.y_sample = 1,
                             .data.m = m,
                             .epochs = c->times,
                             .learning_rate = c->rate,
                             .n_threads = n_threads};
    CHECK(nnc_train(&training, params, cost, accuracy, &done) == NNC_OK && done == c->times);
    hash_elements(dtype, params, c->net.n_params);
    hash_elements(NNC_F64, cost, done);
    hash_elements(NNC_F64, accuracy, done);
    free(x), free(y), free(params), free(cost), free(accuracy);
}

static bool has(const golden_case *c, const char *word)
{
    return strstr(c->with, word) != NULL;
}

/* Batches in a random order, then predictions. */
static void check_fit(const golden_case *c, nnc_optimizer optimizer, size_t batch, size_t n_threads)
{
    nnc_dtype dtype = c->dtype;
    size_t m = c->m, item = nnc_dtype_size(dtype), done;
    void *x = fractions(dtype, c->n_in * m, 1, 2), *params = parameters(dtype, &c->net);
    void *y = c->loss == NNC_LOSS_CCE ? one_hot(dtype, c->n_out, m)
                                      : targets(dtype, c->loss, c->n_out * m);
    size_t n = c->net.n_params, n_state = nnc_optimizer_state(optimizer) * n;
    void *state = nnc_new_block(dtype, n_state), *average = room(dtype, n);
    nnc_range penalties = {.n = n, .l1 = 0x1p-8, .l2 = 0x1p-6, .decay = 0x1p-5};
    double *weights = room(NNC_F64, m);
    int64_t *labels = room(NNC_F64, m);
    for (size_t i = 0; i < m; i++) {
        weights[i] = fraction(4, i) + 1;
        labels[i] = (int64_t)class_of(i, c->n_out);
    }
    memcpy(average, params, n * item);
    double *cost = room(NNC_F64, c->times), *accuracy = room(NNC_F64, c->times);
    nnc_data data = {.x = x,
                     .y = y,
                     .x_feature = (ptrdiff_t)m,
                     .x_sample = 1,
                     .y_feature = (ptrdiff_t)m,
                     .y_sample = 1,
                     .m = m,
                     .classes = has(c, "classes") ? labels : NULL,
                     .smoothing = has(c, "smoothing") ? 0.125 : 0,
                     .weights = has(c, "weights") ? weights : NULL};
    nnc_stepper stepper = {.optimizer = optimizer,
                           .learning_rate = c->rate,
                           .beta_1 = 0.875,
                           .beta_2 = 0.96875,
                           .epsilon = 0x1p-20,
                           .momentum = 0.875,
                           .rho = 0.96875,
                           .ranges = &penalties,
                           .n_ranges = has(c, "penalties"),
                           .clip_value = has(c, "clipping") ? 0.25 : 0,
                           .clip_norm = has(c, "clipping") ? 0.5 : 0,
                           .average_decay = has(c, "average") ? 0.75 : 0,
                           .average = average,
                           .state = state};
    nnc_rng rng;
    nnc_rng_seed(&rng, 5);
    nnc_fitting fitting = {.net = &c->net,
                           .dtype = dtype,
                           .loss = c->loss,
                           .loss_parameter = nnc_loss_parameter(c->loss),
                           .data = data,
                           .epochs = c->times,
                           .batch = batch,
                           .stepper = &stepper,
                           .shuffle = &rng,
                           .seed = 7,
                           .n_threads = n_threads};
    CHECK(nnc_fit(&fitting, params, cost, accuracy, &done) == NNC_OK && done == c->times);
    hash_elements(dtype, params, n + c->net.n_state);
    if (has(c, "average")) hash_elements(dtype, average, n);
    hash_elements(NNC_F64, cost, done);
    hash_elements(NNC_F64, accuracy, done);

    nnc_predictor *predictor;
    nnc_monitor silent = {0};
    char *sample = room(dtype, c->n_in), *output = room(dtype, c->n_out * m);
    CHECK(nnc_predictor_new(&predictor, &c->net, dtype) == NNC_OK);
    CHECK(nnc_predict(predictor, params, &data, output, n_threads, &silent) == NNC_OK);
    hash_elements(dtype, output, c->n_out * m);
    for (size_t i = 0; i < c->n_in; i++) memcpy(sample + i * item, (char *)x + i * m * item, item);
    nnc_predict_one(predictor, params, sample, output);
    hash_elements(dtype, output, c->n_out);
    nnc_predictor_free(predictor);
    nnc_free_block(state);
    free(x), free(y), free(params), free(cost), free(accuracy), free(sample), free(output);
    free(average), free(weights), free(labels);
}

/* Steps of training by the single verbs, with everything between. */
static void check_steps(const golden_case *c)
{
    nnc_dtype dtype = c->dtype;
    size_t item = nnc_dtype_size(dtype), m = c->m, n_layers = c->net.n_layers;
    char *params = parameters(dtype, &c->net), *grads = room(dtype, c->net.n_params);
    char *z[MAX_LAYERS], *a[MAX_LAYERS + 1], *y = targets(dtype, c->loss, c->n_out * m);
    a[0] = fractions(dtype, c->n_in * m, 1, 2);
    for (size_t l = 0; l < n_layers; l++) {
        z[l] = room(dtype, c->layers[l].n_out * m);
        a[l + 1] = room(dtype, c->layers[l].n_out * m);
    }
    for (size_t step = 0; step < c->times; step++) {
        double cost, accuracy;
        for (size_t l = 0; l < n_layers; l++) {
            const nnc_layer *layer = &c->layers[l];
            CHECK(nnc_forward(dtype, z[l], params + layer->w * item, params + layer->b * item, a[l],
                              layer->n_out, layer->n_in, m) == NNC_OK);
            nnc_activate(dtype, layer->activation, a[l + 1], z[l], layer->n_out * m);
            hash_elements(dtype, z[l], layer->n_out * m);
            hash_elements(dtype, a[l + 1], layer->n_out * m);
        }
        CHECK(nnc_score(dtype, c->loss, &cost, &accuracy, a[n_layers], y, c->n_out, m) == NNC_OK);
        hash_elements(NNC_F64, &cost, 1);
        hash_elements(NNC_F64, &accuracy, 1);
        char *dz = room(dtype, c->n_out * m);
        nnc_output_gradient(dtype, c->loss, c->layers[n_layers - 1].activation, dz, a[n_layers],
                            z[n_layers - 1], y, c->n_out * m);
        for (size_t l = n_layers; l-- > 0;) {
            const nnc_layer *layer = &c->layers[l];
            char *dw = grads + layer->w * item, *db = grads + layer->b * item;
            char *da = room(dtype, layer->n_in * m);
            CHECK(nnc_backprop(dtype, da, dw, db, dz, params + layer->w * item, a[l], (double)m,
                               layer->n_out, layer->n_in, m) == NNC_OK);
            if (l > 0)
                nnc_activate_backward(dtype, layer[-1].activation, da, da, a[l], layer->n_in * m);
            hash_elements(dtype, dw, layer->n_out * layer->n_in);
            hash_elements(dtype, db, layer->n_out);
            free(dz);
            dz = da;
        }
        free(dz);
        nnc_update(dtype, params, grads, c->rate, c->net.n_params);
        hash_elements(dtype, params, c->net.n_params);
    }
    for (size_t l = 0; l < n_layers; l++) free(z[l]), free(a[l + 1]);
    free(a[0]), free(y), free(params), free(grads);
}

/* sigmoid and its derivative at m multiples of 1/16, and cross-entropy and its derivative at m
 * probabilities from 0 to 1. */
static void check_functions(const golden_case *c)
{
    nnc_dtype dtype = c->dtype;
    size_t m = c->m;
    void *z = room(dtype, m), *p = room(dtype, m), *out = room(dtype, m);
    void *y = targets(dtype, c->loss, m);
    double cost, accuracy;
    for (size_t i = 0; i < m; i++) {
        set(dtype, z, i, ((double)i - (double)(m / 2)) / 16);
        set(dtype, p, i, i < 4096 ? (double)i / 4096 : 1);
    }
    nnc_activate(dtype, NNC_ACT_SIGMOID, out, z, m);
    hash_elements(dtype, out, m);
    nnc_activate_backward(dtype, NNC_ACT_SIGMOID, out, z, out, m);
    hash_elements(dtype, out, m);
    CHECK(nnc_score(dtype, c->loss, &cost, &accuracy, p, y, 1, m) == NNC_OK);
    hash_elements(NNC_F64, &cost, 1);
    hash_elements(NNC_F64, &accuracy, 1);
    nnc_output_gradient(dtype, c->loss, NNC_ACT_IDENTITY, out, p, NULL, y, m);
    hash_elements(dtype, out, m);
    free(z), free(p), free(out), free(y);
}

/* ------------------------------------------------------------------------------- the file */

static nnc_activation activation_of(char letter)
{
    static const struct {
        char letter;
        nnc_activation activation;
    } all[] = {{'r', NNC_ACT_RELU},       {'s', NNC_ACT_SIGMOID},    {'i', NNC_ACT_IDENTITY},
               {'m', NNC_ACT_SOFTMAX},    {'g', NNC_ACT_GELU},       {'h', NNC_ACT_MISH},
               {'w', NNC_ACT_HARD_SWISH}, {'p', NNC_ACT_SOFTPLUS},   {'e', NNC_ACT_ELU},
               {'t', NNC_ACT_TANH},       {'l', NNC_ACT_LOG_SOFTMAX}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].letter == letter) return all[i].activation;
    CHECK(!"the letter is known");
    return NNC_ACT_IDENTITY;
}

/* layers from "2-25r-N-1s": sizes with an activation's letter, or D, N, B alone. */
static bool read_layers(golden_case *c, const char *text, bool bias)
{
    size_t n = 0;
    char *end;
    size_t n_in = c->n_in = strtoul(text, &end, 10);
    while (*end == '-' && n < MAX_LAYERS) {
        nnc_layer *layer = &c->layers[n++];
        size_t n_out = strtoul(end + 1, &end, 10);
        char letter = *end++;
        if (n_out == 0) {
            nnc_layer_kind kind = letter == 'D'   ? NNC_DROPOUT
                                  : letter == 'N' ? NNC_LAYER_NORM
                                                  : NNC_BATCH_NORM;
            *layer = (nnc_layer){.n_in = n_in,
                                 .n_out = n_in,
                                 .kind = kind,
                                 .rate = 0.25,
                                 .epsilon = 0x1p-10,
                                 .momentum = 0.875};
            continue;
        }
        *layer = (nnc_layer){
            .n_in = n_in, .n_out = n_out, .activation = activation_of(letter), .has_bias = bias};
        n_in = n_out;
    }
    c->n_out = n_in;
    return *end == '\0' && nnc_net_init(&c->net, c->layers, n) == NNC_OK;
}

static bool read_loss(golden_case *c, const char *name)
{
    static const char *const short_names[] = {"bce", "cce", "mse", "sse"};
    for (int l = 0; l < NNC_LOSS_COUNT; l++) {
        c->loss = (nnc_loss)l;
        if (l < 4 && strcmp(name, short_names[l]) == 0) return true;
        if (strcmp(name, nnc_loss_name(c->loss)) == 0) return true;
    }
    return false;
}

static bool read_optimizer(const char *verb, nnc_optimizer *optimizer, size_t *batch)
{
    char name[16];
    if (sscanf(verb, "%15[a-z]%zu", name, batch) != 2) return false;
    for (int o = 0; o < NNC_OPTIMIZER_COUNT; o++) {
        *optimizer = (nnc_optimizer)o;
        if (strcmp(name, nnc_optimizer_name(*optimizer)) == 0) return true;
    }
    return false;
}

static uint64_t result_of(const char *text, size_t n_threads)
{
    char verb[16], dtype[16], loss[32], bias[16], layers[80];
    golden_case c = {0};
    nnc_optimizer optimizer;
    size_t batch;
    int end = 0;
    hash = 0xcbf29ce484222325u;
    int fields = sscanf(text, "%15s %15s %31s %15s %zu %zu %lf %79s%n", verb, dtype, loss, bias,
                        &c.m, &c.times, &c.rate, layers, &end);
    c.with = text + end;
    c.dtype = strcmp(dtype, "f32") == 0 ? NNC_F32 : NNC_F64;
    CHECK(fields == 8 && read_loss(&c, loss));
    CHECK(read_layers(&c, layers, strcmp(bias, "bias") == 0));
    if (strcmp(verb, "train") == 0)
        check_train(&c, n_threads);
    else if (read_optimizer(verb, &optimizer, &batch))
        check_fit(&c, optimizer, batch, n_threads);
    else if (strcmp(verb, "steps") == 0)
        check_steps(&c);
    else if (strcmp(verb, "functions") == 0)
        check_functions(&c);
    else
        CHECK(!"the verb is known");
    return hash;
}

static void read_file(void)
{
    char text[MAX_TEXT];
    FILE *file = fopen(GOLDEN, "r");
    CHECK(file != NULL);
    while (file && n_lines < MAX_LINES && fgets(text, sizeof text, file)) {
        line *next = &lines[n_lines++];
        text[strcspn(text, "\n")] = '\0';
        strcpy(next->text, text);
        next->comment = text[0] == '#' || text[0] == '\0';
        char *equals = strstr(next->text, " = ");
        if (next->comment || !equals) continue;
        *equals = '\0';
        CHECK(sscanf(equals + 3, "%llx %llx", &next->hash[true], &next->hash[false]) == 2);
    }
    CHECK(file && feof(file) && fclose(file) == 0);
}

/* With the kernels of 16-byte vectors. */
TEST(the_file_is_written_anew)
{
    read_file();
    FILE *file = fopen(GOLDEN, "w");
    CHECK(file != NULL);
    for (size_t i = 0; file && i < n_lines; i++) {
        fputs(lines[i].text, file);
        if (!lines[i].comment) {
            CHECK(nnc_select_isa("baseline"));
            unsigned long long rounded = result_of(lines[i].text, 1);
            CHECK(nnc_select_isa("generic") && nnc_cpu_info().fma);
            unsigned long long fused = result_of(lines[i].text, 1);
            fprintf(file, " = %016llx %016llx", fused, rounded);
        }
        fputs("\n", file);
    }
    CHECK(file && fclose(file) == 0);
}

TEST(every_isa_gives_the_recorded_bits)
{
    static const size_t threads[] = {1, 3};
    nnc_cpu cpu = nnc_cpu_info();
    size_t cases = 0;
    read_file();
    for (size_t i = 0; cpu.available[i]; i++) {
        CHECK(nnc_select_isa(cpu.available[i]));
        for (size_t k = 0; k < n_lines; k++) {
            for (size_t j = 0; !lines[k].comment && j < 2; j++, cases++) {
                CASE("%s, %zu threads, %.150s", cpu.available[i], threads[j], lines[k].text);
                CHECK(result_of(lines[k].text, threads[j]) == lines[k].hash[nnc_cpu_info().fma]);
            }
        }
    }
    CHECK(cases >= 50);
    nnc_select_isa(NULL);
}

SUITE()
{
    const char *order = getenv("NNC_GOLDEN");
    if (order && strcmp(order, "write") == 0)
        RUN(the_file_is_written_anew);
    else
        RUN(every_isa_gives_the_recorded_bits);
}
