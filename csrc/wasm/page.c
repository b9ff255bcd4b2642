/* page.c - see page.h. */
#include "wasm/page.h"

#include <math.h>
#include <string.h>

#include "nnc.h"

enum { MOST_LAYERS = 8 };

struct network {
    nnc_layer layers[MOST_LAYERS];
    nnc_net net;
    nnc_loss loss;
    double *params;
    double *before; /* as in nnc_fitting */
    nnc_stepper stepper;
    nnc_rng shuffle;
    size_t epochs; /* trained so far */
    nnc_memory memory, deck;
    nnc_predictor *predictor;
};

/* --------------------------------------------------------------------------- memory and names */

double *new_block(size_t n)
{
    return nnc_new_block(NNC_F64, n);
}

void free_block(double *block)
{
    nnc_free_block(block);
}

#define FIND(function, type, end, name_of)                     \
    int function(const char *name)                             \
    {                                                          \
        for (int i = 0; i < (int)(end); i++)                   \
            if (strcmp(name, name_of((type)i)) == 0) return i; \
        return -1;                                             \
    }
#define COUNT(...) +1

FIND(find_activation, nnc_activation, NNC_ACT_COUNT NNC_SOFTMAX_LIST(COUNT), nnc_activation_name)
FIND(find_loss, nnc_loss, NNC_LOSS_COUNT, nnc_loss_name)
FIND(find_optimizer, nnc_optimizer, NNC_OPTIMIZER_COUNT, nnc_optimizer_name)

/* --------------------------------------------------------------------------------- the network */

void network_free(network *self)
{
    if (!self) return;
    nnc_predictor_free(self->predictor);
    nnc_memory_free(&self->memory);
    nnc_memory_free(&self->deck);
    nnc_free_block(self->stepper.state);
    nnc_free_block(self->before);
    nnc_free_block(self->params);
    nnc_free_block(self);
}

static void draw_params(network *self, uint32_t seed)
{
    nnc_rng rng;
    nnc_rng_seed(&rng, seed);
    for (size_t i = 0; i < self->net.n_layers; i++) {
        const nnc_layer *layer = &self->layers[i];
        size_t n = layer->n_in * layer->n_out;
        double *w = self->params + layer->w;
        double limit = sqrt(3.0 / ((double)(layer->n_in + layer->n_out) / 2));
        nnc_rng_uniform(&rng, w, n);
        for (size_t j = 0; j < n; j++) w[j] = -limit + (limit + limit) * w[j];
    }
    memcpy(self->before, self->params, self->net.n_params * sizeof(double));
}

network *network_new(size_t n_layers, const double *widths, const double *activations, int loss,
                     uint32_t seed, uint32_t shuffle_seed)
{
    if (n_layers > MOST_LAYERS) return NULL;
    network *self = nnc_new_block(NNC_F64, sizeof *self / sizeof(double) + 1);
    if (!self) return NULL;
    for (size_t i = 0; i < n_layers; i++)
        self->layers[i] = (nnc_layer){.n_in = (size_t)widths[i],
                                      .n_out = (size_t)widths[i + 1],
                                      .activation = (nnc_activation)activations[i],
                                      .has_bias = true};
    self->loss = (nnc_loss)loss;
    if (nnc_net_init(&self->net, self->layers, n_layers) == NNC_OK &&
        nnc_check_softmax(&self->net, self->loss) == NNC_OK &&
        nnc_predictor_new(&self->predictor, &self->net, NNC_F64) == NNC_OK &&
        (self->params = nnc_new_block(NNC_F64, self->net.n_params)) &&
        (self->before = nnc_new_block(NNC_F64, self->net.n_params))) {
        nnc_rng_seed(&self->shuffle, shuffle_seed);
        draw_params(self, seed);
        return self;
    }
    network_free(self);
    return NULL;
}

size_t network_n_params(const network *self)
{
    return self->net.n_params;
}

double *network_params(network *self)
{
    return self->params;
}

size_t network_epochs(const network *self)
{
    return self->epochs;
}

/* ------------------------------------------------------------------------------------ training */

int network_set_optimizer(network *self, int optimizer, double learning_rate, double beta_1,
                          double beta_2, double epsilon, double momentum, double rho)
{
    nnc_stepper *s = &self->stepper;
    if (!s->state || s->optimizer != (nnc_optimizer)optimizer) {
        size_t n = nnc_optimizer_state((nnc_optimizer)optimizer) * self->net.n_params;
        double *state = nnc_new_block(NNC_F64, n);
        if (!state) return NNC_ERR_MEMORY;
        nnc_free_block(s->state);
        *s = (nnc_stepper){.optimizer = (nnc_optimizer)optimizer, .state = state};
    }
    s->learning_rate = learning_rate;
    s->beta_1 = beta_1;
    s->beta_2 = beta_2;
    s->epsilon = epsilon;
    s->momentum = momentum;
    s->rho = rho;
    return NNC_OK;
}

static nnc_data data_of(const double *x, const double *y, size_t m)
{
    return (nnc_data){.x = x,
                      .y = y,
                      .x_feature = (ptrdiff_t)m,
                      .x_sample = 1,
                      .y_feature = (ptrdiff_t)m,
                      .y_sample = 1,
                      .m = m};
}

int network_train(network *self, const double *x, const double *y, size_t m, size_t batch,
                  size_t epochs, double *results)
{
    nnc_status status = NNC_OK;
    nnc_fitting fitting = {.net = &self->net,
                           .dtype = NNC_F64,
                           .loss = self->loss,
                           .loss_parameter = nnc_loss_parameter(self->loss),
                           .data = data_of(x, y, m),
                           .epochs = 1,
                           .batch = batch,
                           .stepper = &self->stepper,
                           .shuffle = batch < m ? &self->shuffle : NULL,
                           .deck = &self->deck,
                           .n_threads = 1,
                           .memory = &self->memory,
                           .before = self->before};
    for (; status == NNC_OK && epochs > 0; epochs--) {
        size_t done = 0;
        fitting.first_epoch = self->epochs;
        status = nnc_fit(&fitting, self->params, &results[0], &results[1], &done);
        self->epochs += done;
    }
    if (status != NNC_DIVERGED) return status;
    if (self->epochs > 0) self->epochs--;
    return -1;
}

/* ------------------------------------------------------------------------------------- looking */

int network_evaluate(network *self, const double *x, const double *y, size_t m, double *results)
{
    const nnc_monitor nobody = {0};
    nnc_data data = data_of(x, y, m);
    return nnc_evaluate(self->predictor, self->params, &data, self->loss,
                        nnc_loss_parameter(self->loss), &results[0], &results[1], NULL, 1, &nobody);
}

int network_predict(network *self, const double *x, size_t m, double *y)
{
    const nnc_monitor nobody = {0};
    nnc_data data = data_of(x, NULL, m);
    return nnc_predict(self->predictor, self->params, &data, y, 1, &nobody);
}

int network_trace(network *self, const double *x, size_t m, double *a)
{
    for (size_t i = 0; i + 1 < self->net.n_layers; i++) {
        const nnc_layer *layer = &self->layers[i];
        const double *w = self->params + layer->w, *b = self->params + layer->b;
        nnc_status status = nnc_forward(NNC_F64, a, w, b, x, layer->n_out, layer->n_in, m);
        if (status != NNC_OK) return status;
        nnc_activate(NNC_F64, layer->activation, a, a, layer->n_out * m);
        x = a;
        a += layer->n_out * m;
    }
    return NNC_OK;
}
