/* page.h - what the page of nnc.playground calls. All numbers are float64.
 *
 * x (n_in, m) and y (n_out, m) have a row for each feature, as in the tutorial. What returns an int
 * returns an nnc_status, unless it says otherwise. */
#ifndef NNC_WASM_PAGE_H
#define NNC_WASM_PAGE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

/* n zeros, or NULL; also for text. */
double *EXPORT(new_block)(size_t n);
void EXPORT(free_block)(double *block);

/* The place of a name in the vocabulary, or -1. */
int EXPORT(find_activation)(const char *name);
int EXPORT(find_loss)(const char *name);
int EXPORT(find_optimizer)(const char *name);

/* Of dense layers. */
typedef struct network network;

/* widths (n_layers + 1) from the inputs on, activations (n_layers). Its parameters are Glorot's
 * uniform weights and biases of 0, as nnc.initializers draws them from
 * numpy.random.RandomState(seed). NULL where memory is lacking, or the numbers make no network. */
network *EXPORT(network_new)(size_t n_layers, const double *widths, const double *activations,
                             int loss, uint32_t seed, uint32_t shuffle_seed);
void EXPORT(network_free)(network *self);

/* Layer by layer W (n_out, n_in), then b (n_out). */
double *EXPORT(network_params)(network *self);
size_t EXPORT(network_n_params)(const network *self);
/* Trained so far. */
size_t EXPORT(network_epochs)(const network *self);

/* One of another kind starts without the memory of the one before. */
int EXPORT(network_set_optimizer)(network *self, int optimizer, double learning_rate, double beta_1,
                                  double beta_2, double epsilon, double momentum, double rho);
/* Trains for some epochs, and writes the cost and the accuracy of the last one to results (2).
 * Where that is no longer finite, the parameters and the number of epochs are those before the last
 * one with a finite cost, and the network can only be started again. */
int EXPORT(network_train)(network *self, const double *x, const double *y, size_t m, size_t batch,
                          size_t epochs, double *results);

/* results (2): the loss, and the fraction of samples classified right. */
int EXPORT(network_evaluate)(network *self, const double *x, const double *y, size_t m,
                             double *results);
/* y (m, n_out). */
int EXPORT(network_predict)(network *self, const double *x, size_t m, double *y);
/* a: the activations of all hidden layers, one after the other, each (n_out, m). */
int EXPORT(network_trace)(network *self, const double *x, size_t m, double *a);

#endif
