/* test_net.c - the single steps of nnc.h, for any m: against plain loops. */
#include "nnc.h"
#include "reference.h"
#include "test.h"

static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 65, 255, 257, 1021, 2100};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* ------------------------------------------------------------------------------- networks */

TEST(net_lays_out_the_parameters)
{
    nnc_layer layers[] = {{.n_in = 2, .n_out = 3, .has_bias = true},
                          {.n_in = 3, .n_out = 5},
                          {.n_in = 5, .n_out = 1, .has_bias = true}};
    nnc_net net;
    CHECK(nnc_net_init(&net, layers, 3) == NNC_OK);
    CHECK(net.layers == layers && net.n_layers == 3);
    CHECK(layers[0].w == 0 && layers[0].b == 6);
    CHECK(layers[1].w == 9 && layers[1].b == 24);
    CHECK(layers[2].w == 24 && layers[2].b == 29);
    CHECK(net.n_params == 30);
}

TEST(net_refuses_bad_layers)
{
    nnc_net net = {.n_params = 123};
    nnc_layer none[] = {{.n_in = 1, .n_out = 1}};
    CHECK(nnc_net_init(&net, none, 0) == NNC_ERR_EMPTY);
    nnc_layer no_input[] = {{.n_in = 0, .n_out = 1}};
    CHECK(nnc_net_init(&net, no_input, 1) == NNC_ERR_EMPTY);
    nnc_layer no_output[] = {{.n_in = 2, .n_out = 3}, {.n_in = 3, .n_out = 0}};
    CHECK(nnc_net_init(&net, no_output, 2) == NNC_ERR_EMPTY);
    nnc_layer broken[] = {{.n_in = 2, .n_out = 3}, {.n_in = 4, .n_out = 1}};
    CHECK(nnc_net_init(&net, broken, 2) == NNC_ERR_CHAIN);
    CHECK(net.n_params == 123);
}

TEST(net_refuses_sizes_that_overflow)
{
    const size_t half = (size_t)1 << (sizeof(size_t) * 4), most = PTRDIFF_MAX;
    nnc_net net;
    nnc_layer product[] = {{.n_in = half, .n_out = half}};
    CHECK(nnc_net_init(&net, product, 1) == NNC_ERR_SIZE);
    nnc_layer weights[] = {{.n_in = most, .n_out = 2}};
    CHECK(nnc_net_init(&net, weights, 1) == NNC_ERR_SIZE);
    nnc_layer bytes[] = {{.n_in = most / 8 + 1, .n_out = 1}};
    CHECK(nnc_net_init(&net, bytes, 1) == NNC_ERR_SIZE);
    nnc_layer bias[] = {{.n_in = 1, .n_out = most / 16 + 1, .has_bias = true}};
    CHECK(nnc_net_init(&net, bias, 1) == NNC_ERR_SIZE);
    bias[0].has_bias = false;
    CHECK(nnc_net_init(&net, bias, 1) == NNC_OK);
    nnc_layer sum[] = {{.n_in = 1, .n_out = most / 16 + 1}, {.n_in = most / 16 + 1, .n_out = 1}};
    CHECK(nnc_net_init(&net, sum, 2) == NNC_ERR_SIZE);
}

/* --------------------------------------------------------------------- forward, backward */

static bool near(nnc_dtype dtype, wide x, wide exact, wide scale, size_t terms)
{
    return fabsl(x - exact) <= (wide)(terms + 3) * 2 * epsilon(dtype) * scale;
}

static void check_step(nnc_dtype dtype, size_t n_out, size_t n_in, size_t m, double divisor)
{
    void *w = room(dtype, n_out * n_in), *b = room(dtype, n_out), *x = room(dtype, n_in * m);
    void *z = room(dtype, n_out * m + 1), *dz = room(dtype, n_out * m);
    void *dx = room(dtype, n_in * m + 1), *dw = room(dtype, n_out * n_in + 1);
    void *db = room(dtype, n_out + 1);
    scatter(dtype, w, n_out * n_in, -1, 1, m);
    scatter(dtype, b, n_out, -1, 1, m + 1);
    scatter(dtype, x, n_in * m, -1, 1, m + 2);
    scatter(dtype, dz, n_out * m, -1, 1, m + 3);
    set(dtype, z, n_out * m, 77), set(dtype, dx, n_in * m, 77);
    set(dtype, dw, n_out * n_in, 77), set(dtype, db, n_out, 77);
    CASE("%s %s n_out %zu n_in %zu m %zu", nnc_cpu_info().isa, dtype_name(dtype), n_out, n_in, m);

    for (int bias = 1; bias >= 0; bias--) {
        bool close = true;
        CHECK(nnc_forward(dtype, z, w, bias ? b : NULL, x, n_out, n_in, m) == NNC_OK);
        for (size_t i = 0; i < n_out; i++) {
            for (size_t j = 0; j < m; j++) {
                wide exact = bias ? get(dtype, b, i) : 0, scale = fabsl(exact);
                for (size_t k = 0; k < n_in; k++) {
                    wide term = get(dtype, w, i * n_in + k) * get(dtype, x, k * m + j);
                    exact += term;
                    scale += fabsl(term);
                }
                close &= near(dtype, get(dtype, z, i * m + j), exact, scale, n_in);
            }
        }
        CHECK(close);
        CHECK(get(dtype, z, n_out * m) == 77);
    }

    bool dx_close = true, dw_close = true, db_close = true;
    CHECK(nnc_backprop(dtype, dx, dw, db, dz, w, x, divisor, n_out, n_in, m) == NNC_OK);
    for (size_t k = 0; k < n_in; k++) {
        for (size_t j = 0; j < m; j++) {
            wide exact = 0, scale = 0;
            for (size_t i = 0; i < n_out; i++) {
                wide term = get(dtype, w, i * n_in + k) * get(dtype, dz, i * m + j);
                exact += term;
                scale += fabsl(term);
            }
            dx_close &= near(dtype, get(dtype, dx, k * m + j), exact, scale, n_out);
        }
    }
    for (size_t i = 0; i < n_out; i++) {
        for (size_t k = 0; k <= n_in; k++) { /* the last round is the bias */
            wide exact = 0, scale = 0;
            for (size_t j = 0; j < m; j++) {
                wide term = get(dtype, dz, i * m + j) * (k < n_in ? get(dtype, x, k * m + j) : 1);
                exact += term / divisor;
                scale += fabsl(term / divisor);
            }
            if (k < n_in)
                dw_close &= near(dtype, get(dtype, dw, i * n_in + k), exact, scale, m);
            else
                db_close &= near(dtype, get(dtype, db, i), exact, scale, m);
        }
    }
    CHECK(dx_close);
    CHECK(dw_close);
    CHECK(db_close);
    CHECK(get(dtype, dx, n_in * m) == 77 && get(dtype, dw, n_out * n_in) == 77);
    CHECK(get(dtype, db, n_out) == 77);
    free(w), free(b), free(x), free(z), free(dz), free(dx), free(dw), free(db);
}

static void check_steps(nnc_dtype dtype)
{
    for (size_t s = 0; s < SIZES; s++) {
        check_step(dtype, 1, 1, sizes[s], (double)sizes[s]);
        check_step(dtype, 3, 7, sizes[s], (double)sizes[s]);
        check_step(dtype, 11, 2, sizes[s], 1);
    }
    check_step(dtype, 50, 25, 33, 33);
    check_step(dtype, 3, 2, 0, 0); /* a sum over no samples is 0, whatever the divisor */
}

TEST(forward_and_backprop)
{
    for_each_isa(check_steps);
}

TEST(absurd_sizes_write_nothing)
{
    double x[1] = {5}, w[1] = {6}, z[1] = {7}, out[3] = {1, 2, 3}, cost = 8;
    const size_t most = PTRDIFF_MAX;
    CHECK(nnc_forward(NNC_F64, z, w, NULL, x, 1, 1, most) == NNC_ERR_SIZE);
    CHECK(nnc_forward(NNC_F64, z, w, NULL, x, most, 1, 1) == NNC_ERR_SIZE);
    CHECK(nnc_forward(NNC_F64, z, w, NULL, x, most / 8 / 24, 1, 9) == NNC_ERR_SIZE);
    CHECK(nnc_backprop(NNC_F64, out, out + 1, out + 2, z, w, x, 1, 1, 1, most) == NNC_ERR_SIZE);
    CHECK(nnc_backprop(NNC_F64, out, out + 1, out + 2, z, w, x, 1, most, 2, 1) == NNC_ERR_SIZE);
    CHECK(nnc_score(NNC_F64, NNC_LOSS_SSE, &cost, NULL, z, x, 1, most) == NNC_ERR_SIZE);
    CHECK(x[0] == 5 && w[0] == 6 && z[0] == 7 && cost == 8);
    CHECK(out[0] == 1 && out[1] == 2 && out[2] == 3);
}

/* ------------------------------------------------------------------------- elementwise */

static void check_elementwise(nnc_dtype dtype)
{
    enum { N = 67 };
    void *a = room(dtype, N), *da = room(dtype, N), *dz = room(dtype, N + 1), *y = room(dtype, N);
    void *place = room(dtype, N);
    size_t item = nnc_dtype_size(dtype);
    scatter(dtype, a, N, -1, 1, 1);
    for (size_t i = 0; i < N; i++) set(dtype, a, i, fmaxl(get(dtype, a, i), 0));
    scatter(dtype, da, N, -1, 1, 2);
    scatter_classes(dtype, y, N, 3);
    for (size_t n = 0; n <= N; n++) {
        CASE("%s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype), n);
        for (int f = 0; f < NNC_ACT_COUNT; f++) {
            bool close = true;
            set(dtype, dz, n, 77);
            nnc_activate_backward(dtype, (nnc_activation)f, dz, da, a, n);
            for (size_t i = 0; i < n; i++) {
                wide exact = get(dtype, da, i) * slope((nnc_activation)f, get(dtype, a, i));
                close &= ulps(dtype, get(dtype, dz, i), exact) <= (f <= NNC_ACT_SIGMOID ? 2 : 8);
            }
            CHECK(close);
            CHECK(get(dtype, dz, n) == 77);
            memcpy(place, da, N * item);
            nnc_activate_backward(dtype, (nnc_activation)f, place, place, a, n);
            CHECK(same(dtype, place, dz, n));
            memcpy(place, a, N * item);
            nnc_activate_backward(dtype, (nnc_activation)f, place, da, place, n);
            CHECK(same(dtype, place, dz, n));
        }
        /* the tutorial's update: both operations rounded */
        memcpy(dz, a, N * item);
        set(dtype, dz, n, 77);
        nnc_update(dtype, dz, da, 0.1, n);
        bool exact = true;
        for (size_t i = 0; i < n; i++) {
            if (dtype == NNC_F32) {
                float product = 0.1f * ((float *)da)[i];
                exact &= ((float *)dz)[i] == ((float *)a)[i] - product;
            } else {
                double product = 0.1 * ((double *)da)[i];
                exact &= ((double *)dz)[i] == ((double *)a)[i] - product;
            }
        }
        CHECK(exact);
        CHECK(get(dtype, dz, n) == 77);
    }
    free(a), free(da), free(dz), free(y), free(place);
}

TEST(elementwise_steps)
{
    for_each_isa(check_elementwise);
}

static void check_classes(nnc_dtype dtype)
{
    static const double p[] = {0, 0.5, 0.50001, 1, -3, 7, NAN, INFINITY, -INFINITY, 0.49999};
    static const double class_[] = {0, 0, 1, 1, 0, 1, NAN, 1, 0, 0};
    enum { N = sizeof p / sizeof *p };
    double x[N];
    CASE("%s %s", nnc_cpu_info().isa, dtype_name(dtype));
    for (size_t i = 0; i < N; i++) set(dtype, x, i, p[i]);
    nnc_classify(dtype, x, x, N);
    for (size_t i = 0; i < N; i++) CHECK(ulps(dtype, get(dtype, x, i), class_[i]) == 0);
}

TEST(classes)
{
    for_each_isa(check_classes);
}

static void check_nonfinite(nnc_dtype dtype)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    enum { N = 300 };
    void *x = room(dtype, N);
    scatter(dtype, x, N, -1e30, 1e30, 4);
    set(dtype, x, 3, dtype == NNC_F32 ? 3.4e38 : 1.7e308);
    set(dtype, x, 4, 0x1p-149);
    for (size_t n = 0; n <= N; n += n < 140 ? 1 : 17) {
        CASE("%s %s n %zu", nnc_cpu_info().isa, dtype_name(dtype), n);
        CHECK(nnc_first_nonfinite(dtype, x, n) == n);
        for (size_t at = 0; at < n; at += at % 3 + 1) {
            wide kept = get(dtype, x, at), last = get(dtype, x, n - 1);
            set(dtype, x, n - 1, NAN);
            set(dtype, x, at, bad[at % 3]);
            CHECK(nnc_first_nonfinite(dtype, x, n) == at);
            set(dtype, x, n - 1, last);
            set(dtype, x, at, kept);
        }
    }
    free(x);
}

TEST(first_nonfinite)
{
    for_each_isa(check_nonfinite);
}

/* ------------------------------------------------------------------------------- the loss */

static void check_score(nnc_dtype dtype)
{
    for (size_t s = 0; s < SIZES; s++) {
        for (size_t n_out = 1; n_out <= 3; n_out++) {
            size_t m = sizes[s], n = n_out * m;
            void *p = room(dtype, n), *y = room(dtype, n);
            scatter(dtype, p, n, 0.01, 0.99, m);
            scatter_classes(dtype, y, n, m + 1);
            wide *p_wide = widened(dtype, p, n), *y_wide = widened(dtype, y, n);
            size_t hits = 0, ones = 0; /* every p is positive: hinge takes it for a 1 */
            for (size_t j = 0; j < m; j++) {
                bool hit = true, one = true;
                for (size_t i = 0; i < n_out; i++) {
                    hit &= (p_wide[i * m + j] > 0.5L) == (y_wide[i * m + j] == 1);
                    one &= y_wide[i * m + j] == 1;
                }
                hits += hit, ones += one;
            }
            for (int l = 0; l < NNC_LOSS_COUNT; l++) {
                nnc_loss loss = (nnc_loss)l;
                double cost = 7, accuracy = 7, alone = 7;
                CASE("%s %s loss %d n_out %zu m %zu", nnc_cpu_info().isa, dtype_name(dtype), l,
                     n_out, m);
                CHECK(nnc_score(dtype, loss, &cost, &accuracy, p, y, n_out, m) == NNC_OK);
                CHECK(nnc_score(dtype, loss, &alone, NULL, p, y, n_out, m) == NNC_OK);
                CHECK(memcmp(&cost, &alone, sizeof cost) == 0);
                CHECK(nnc_score(dtype, loss, NULL, &alone, p, y, n_out, m) == NNC_OK);
                CHECK(memcmp(&accuracy, &alone, sizeof accuracy) == 0);
                CHECK(nnc_score(dtype, loss, NULL, NULL, p, y, n_out, m) == NNC_OK);
                if (m == 0) {
                    CHECK(isnan(accuracy) && (isnan(cost) || loss == NNC_LOSS_SSE));
                    continue;
                }
                wide exact = cost_of(loss, p_wide, y_wide, n, m);
                CHECK(fabsl(cost - exact) <= 300 * epsilon(dtype) * exact);
                double right = loss == NNC_LOSS_HINGE ? (double)ones : (double)hits;
                CHECK(accuracy == right / (double)m);
            }
            free(p), free(y), free(p_wide), free(y_wide);
        }
    }
}

TEST(score)
{
    for_each_isa(check_score);
}

/* dL/dz = dL/dy_hat f'(z), into a buffer of its own and into y_hat's. */
static void check_output_gradient(nnc_dtype dtype)
{
    static const size_t lengths[] = {0, 1, 5, 16, 67, 255, 256, 257, 1000};
    for (size_t s = 0; s < sizeof lengths / sizeof *lengths; s++) {
        size_t n = lengths[s];
        void *p = room(dtype, n), *y = room(dtype, n), *dz = room(dtype, n + 1);
        void *z = room(dtype, n);
        scatter(dtype, p, n, 0.01, 0.99, n);
        scatter_classes(dtype, y, n, n + 1);
        scatter(dtype, z, n, 0.1, 4, n + 2);
        for (int l = 0; l < NNC_LOSS_COUNT; l++) {
            for (int f = 0; f < NNC_ACT_COUNT; f++) {
                bool close = true, of_z = nnc_is_of_z((nnc_activation)f);
                CASE("%s %s loss %d activation %d n %zu", nnc_cpu_info().isa, dtype_name(dtype), l,
                     f, n);
                set(dtype, dz, n, 77);
                nnc_output_gradient(dtype, (nnc_loss)l, (nnc_activation)f, dz, p, of_z ? z : NULL,
                                    y, n);
                for (size_t i = 0; i < n; i++) {
                    wide a = get(dtype, p, i), target = get(dtype, y, i);
                    wide x = of_z ? get(dtype, z, i) : a;
                    wide exact = loss_slope((nnc_loss)l, a, target) * slope((nnc_activation)f, x);
                    /* Poisson's terms cancel; focal loss has a power in it */
                    wide scale = l == NNC_LOSS_POISSON ? 1 + fabsl(target / a) : fabsl(exact);
                    wide units = l == NNC_LOSS_FOCAL ? 50 : f <= NNC_ACT_SIGMOID ? 8 : 16;
                    close &= fabsl(get(dtype, dz, i) - exact) <= units * epsilon(dtype) * scale;
                }
                CHECK(close);
                CHECK(get(dtype, dz, n) == 77);
                void *place = room(dtype, n);
                memcpy(place, p, n * nnc_dtype_size(dtype));
                nnc_output_gradient(dtype, (nnc_loss)l, (nnc_activation)f, place, place, z, y, n);
                CHECK(same(dtype, place, dz, n));
                memcpy(place, z, n * nnc_dtype_size(dtype));
                nnc_output_gradient(dtype, (nnc_loss)l, (nnc_activation)f, place, p, place, y, n);
                CHECK(same(dtype, place, dz, n));
                free(place);
            }
        }
        free(p), free(y), free(dz), free(z);
    }
}

TEST(output_gradient)
{
    for_each_isa(check_output_gradient);
}

SUITE()
{
    RUN(net_lays_out_the_parameters);
    RUN(net_refuses_bad_layers);
    RUN(net_refuses_sizes_that_overflow);
    RUN(forward_and_backprop);
    RUN(absurd_sizes_write_nothing);
    RUN(elementwise_steps);
    RUN(classes);
    RUN(first_nonfinite);
    RUN(score);
    RUN(output_gradient);
}
