/* fann_driver.c - a network of FANN behind five functions, for ctypes.
 *
 *     cc -O2 -shared -fPIC fann_driver.c -lfloatfann -lm
 *     cc -O2 -shared -fPIC -DFANN_DOUBLE fann_driver.c -ldoublefann -lm
 */
#ifdef FANN_DOUBLE
#include <doublefann.h>
#else
#include <floatfann.h>
#endif

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    struct fann *start, *network;
    struct fann_train_data *data;
    unsigned batch; /* 0: all rows at once */
} driver;

void fann_driver_destroy(driver *d)
{
    if (d->start) fann_destroy(d->start);
    if (d->network) fann_destroy(d->network);
    if (d->data) fann_destroy_train(d->data);
    free(d);
}

/* Back to the initial weights. */
bool fann_driver_reset(driver *d)
{
    if (d->network) fann_destroy(d->network);
    d->network = fann_copy(d->start);
    return d->network != NULL;
}

/* Hidden layers are tanh or, where `logistic`, sigmoids; FANN 2.2 has no relu. Rows of x and y are
 * samples. NULL where memory is short. */
driver *fann_driver_create(const unsigned *sizes, unsigned n_layers, const fann_type *x,
                           const fann_type *y, unsigned rows, unsigned batch, float rate,
                           bool logistic)
{
    driver *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    unsigned n_in = sizes[0], n_out = sizes[n_layers - 1];
    d->batch = batch;
    d->start = fann_create_standard_array(n_layers, sizes);
    d->data = fann_create_train(rows, n_in, n_out);
    if (!d->start || !d->data) {
        fann_driver_destroy(d);
        return NULL;
    }
    for (unsigned r = 0; r < rows; r++) {
        memcpy(d->data->input[r], x + (size_t)r * n_in, n_in * sizeof *x);
        memcpy(d->data->output[r], y + (size_t)r * n_out, n_out * sizeof *y);
    }
    srand(1);     /* FANN has just seeded it with the time */
    if (logistic) /* as chapter 1 draws them */
        fann_randomize_weights(d->start, 0, 1);
    else
        fann_init_weights(d->start, d->data);
    fann_set_activation_function_hidden(d->start, logistic ? FANN_SIGMOID : FANN_SIGMOID_SYMMETRIC);
    fann_set_activation_function_output(d->start, FANN_SIGMOID);
    fann_set_training_algorithm(d->start, FANN_TRAIN_BATCH);
    fann_set_train_error_function(d->start, FANN_ERRORFUNC_LINEAR);
    fann_set_learning_rate(d->start, rate);
    fann_set_bit_fail_limit(d->start, (fann_type)0.5);
    if (!fann_driver_reset(d)) {
        fann_driver_destroy(d);
        return NULL;
    }
    return d;
}

/* cost, accuracy (epochs): the mean squared error, and the fraction of outputs off by less than a
 * half. */
void fann_driver_train(driver *d, unsigned epochs, double *cost, double *accuracy)
{
    unsigned rows = fann_length_train_data(d->data), n_out = fann_num_output_train_data(d->data);
    for (unsigned epoch = 0; epoch < epochs; epoch++) {
        double squares = 0;
        unsigned misses = 0;
        if (!d->batch) {
            squares = (double)fann_train_epoch(d->network, d->data) * rows;
            misses = fann_get_bit_fail(d->network);
        } else {
            fann_shuffle_train_data(d->data);
            for (unsigned start = 0; start < rows; start += d->batch) {
                unsigned n = rows - start < d->batch ? rows - start : d->batch;
                struct fann_train_data *part = fann_subset_train_data(d->data, start, n);
                squares += (double)fann_train_epoch(d->network, part) * n;
                misses += fann_get_bit_fail(d->network);
                fann_destroy_train(part);
            }
        }
        cost[epoch] = squares / rows;
        accuracy[epoch] = 1 - (double)misses / ((double)rows * n_out);
    }
}

/* out (rows, n_out) for x (rows, n_in). */
void fann_driver_predict(driver *d, const fann_type *x, fann_type *out, unsigned rows)
{
    size_t n_in = fann_get_num_input(d->network), n_out = fann_get_num_output(d->network);
    for (size_t r = 0; r < rows; r++) {
        /* fann_run only reads its input */
        memcpy(out + r * n_out, fann_run(d->network, (fann_type *)(x + r * n_in)),
               n_out * sizeof *out);
    }
}
