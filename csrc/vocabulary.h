/* vocabulary.h - the names of nnc.h: lists of what there is, and an enumeration of each.
 *
 * Who adds a loss, an activation, an optimizer begins here. */
#ifndef NNC_VOCABULARY_H
#define NNC_VOCABULARY_H

/* X(enumerator, sentence) */
#define NNC_STATUS_LIST(X)                                                                   \
    X(NNC_OK, "success")                                                                     \
    X(NNC_STOPPED, "stopped by the monitor")                                                 \
    X(NNC_DIVERGED, "the cost or the parameters are no longer finite")                       \
    X(NNC_ERR_MEMORY, "out of memory")                                                       \
    X(NNC_ERR_SIZE, "the sizes exceed what this machine can address")                        \
    X(NNC_ERR_CHAIN, "a layer's n_in is not the n_out of the one before")                    \
    X(NNC_ERR_EMPTY, "a network needs at least one layer, and each layer at least one unit") \
    X(NNC_ERR_LAYER, "a layer that is not dense has as many outputs as inputs and no "       \
                     "activation; rate is in [0, 1), epsilon above 0, momentum in [0, 1]")   \
    X(NNC_ERR_LAST, "the last layer must be dense")                                          \
    X(NNC_ERR_DENSE, "full-batch training takes dense layers only: train in batches")        \
    X(NNC_ERR_SOFTMAX, "softmax belongs to the output layer, and trains with "               \
                       "categorical_cross_entropy, which needs it or log_softmax")           \
    X(NNC_ERR_SQUARES, "levenberg_marquardt minimizes sums of squares: the loss must be "    \
                       "sum_of_squares or mean_squared_error")                               \
    X(NNC_ERR_PARAMS, "levenberg_marquardt takes networks of at most 4096 parameters: "      \
                      "lbfgs takes larger ones")                                             \
    X(NNC_ERR_LAYERS, "lbfgs takes dense layers and layer norm, levenberg_marquardt dense "  \
                      "layers only")

/* X(enumerator, C type, NumPy's name) */
#define NNC_DTYPE_LIST(X)        \
    X(NNC_F32, float, "float32") \
    X(NNC_F64, double, "float64")

/* X(enumerator suffix, name, length, origin). A new activation is a line here and two functions in
 * kernels/activation_tmpl.h, which says what each is. SHORT ones, of a few instructions, are
 * applied to a product's registers; LONG ones to the stored tile. The derivative f'(z) is written
 * OF_A, from a = f(z), or OF_Z: a layer then keeps its z, which takes memory and one more pass. */
#define NNC_ACTIVATION_LIST(X)                \
    X(IDENTITY, identity, SHORT, OF_A)        \
    X(RELU, relu, SHORT, OF_A)                \
    X(SIGMOID, sigmoid, LONG, OF_A)           \
    X(HARD_SIGMOID, hard_sigmoid, LONG, OF_A) \
    X(TANH, tanh, LONG, OF_A)                 \
    X(LEAKY_RELU, leaky_relu, LONG, OF_A)     \
    X(ELU, elu, LONG, OF_A)                   \
    X(SELU, selu, LONG, OF_A)                 \
    X(GELU, gelu, LONG, OF_Z)                 \
    X(SILU, silu, LONG, OF_Z)                 \
    X(MISH, mish, LONG, OF_Z)                 \
    X(SOFTPLUS, softplus, LONG, OF_A)         \
    X(SOFTSIGN, softsign, LONG, OF_A)         \
    X(HARD_SWISH, hard_swish, LONG, OF_Z)     \
    X(EXPONENTIAL, exponential, LONG, OF_A)

/* X(enumerator suffix, name): activations of all outputs of a sample together. Only the output
 * layer of nnc_fit and nnc_predict may have one, with categorical_cross_entropy, which trains from
 * the logits. log_softmax is the logarithm of softmax: it trains alike, and predicts logarithms. */
#define NNC_SOFTMAX_LIST(X) \
    X(SOFTMAX, softmax)     \
    X(LOG_SOFTMAX, log_softmax)

/* X(enumerator suffix, name, mean, y, size, parameter). The loss of a batch is a sum over samples
 * and outputs, divided by the number of samples (SAMPLES), of samples and outputs (ALL) or nothing
 * (NOTHING). y are NUMBERS, or stand for CLASSES. TINY ones are in the kernel for tiny networks.
 * Some have a parameter c, here with its usual value. A new loss is a line here and two functions
 * in kernels/loss_tmpl.h. Of one output p, with e = p - y:
 *
 *   binary_cross_entropy         -(y log p + (1 - y) log(1 - p))
 *   categorical_cross_entropy    -y log p
 *   mean_squared_error, sum_of_squares    e^2
 *   mean_absolute_error          |e|; its derivative at e = 0 is 0
 *   huber                        e^2 / 2 where |e| <= c, else c (|e| - c / 2)
 *   quantile                     -c e where e < 0, else (1 - c) e; its derivative at e = 0 is 0
 *   poisson                      p - y log p
 *   binary_focal_cross_entropy   w^c times the binary cross-entropy, w = y (1 - p) + (1 - y) p
 *   hinge                        max(0, 1 - t p), t = 1 where y > 0, else -1; its derivative at
 *                                t p = 1 is 0
 */
#define NNC_LOSS_LIST(X)                                         \
    X(BCE, binary_cross_entropy, SAMPLES, CLASSES, TINY, 0)      \
    X(CCE, categorical_cross_entropy, SAMPLES, CLASSES, TINY, 0) \
    X(MSE, mean_squared_error, ALL, NUMBERS, TINY, 0)            \
    X(SSE, sum_of_squares, NOTHING, NUMBERS, TINY, 0)            \
    X(MAE, mean_absolute_error, ALL, NUMBERS, LARGE, 0)          \
    X(HUBER, huber, ALL, NUMBERS, LARGE, 1)                      \
    X(QUANTILE, quantile, ALL, NUMBERS, LARGE, 0.5)              \
    X(POISSON, poisson, ALL, NUMBERS, LARGE, 0)                  \
    X(FOCAL, binary_focal_cross_entropy, ALL, CLASSES, LARGE, 2) \
    X(HINGE, hinge, ALL, CLASSES, LARGE, 0)

/* X(enumerator suffix, name): those that are computed from logits after a sigmoid. */
#define NNC_LOGIT_LOSS_LIST(X)   \
    X(BCE, binary_cross_entropy) \
    X(FOCAL, binary_focal_cross_entropy)

/* X(enumerator suffix, name, state): how a step follows from the gradients, and how many blocks
 * like the parameters it remembers. p is a parameter, g its gradient, r the learning rate, and t
 * counts the steps from 1; m, s and v begin at 0. PyTorch's torch.optim computes the same, lion
 * excepted, which it lacks. A new optimizer is a line here, a function in
 * kernels/optimizer_tmpl.h, and what its numbers need in core/step.c.
 *
 *   sgd        p -= r g
 *   momentum   v = momentum v + g, p -= r v. Polyak, "Some methods of speeding up the convergence
 *              of iteration methods" (1964)
 *   nesterov   v likewise, p -= r (g + momentum v). Sutskever et al., "On the importance of
 *              initialization and momentum in deep learning" (2013)
 *   adagrad    s += g^2, p -= r g / (sqrt(s) + epsilon). Duchi, Hazan and Singer, "Adaptive
 *              subgradient methods for online learning and stochastic optimization" (2011)
 *   rmsprop    s = rho s + (1 - rho) g^2, v = momentum v + g / (sqrt(s) + epsilon), p -= r v.
 *              Tieleman and Hinton, "Lecture 6.5: rmsprop" (2012)
 *   adam       m = beta_1 m + (1 - beta_1) g, s = beta_2 s + (1 - beta_2) g^2,
 *              p -= r m' / (sqrt(s') + epsilon), where m' = m / (1 - beta_1^t), and s' likewise.
 *              Kingma and Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1.
 *              With the decay of nnc_range it is adamw: Loshchilov and Hutter, "Decoupled weight
 *              decay regularization" (2019)
 *   amsgrad    adam by the largest s so far. Reddi, Kale and Kumar, "On the convergence of Adam
 *              and beyond" (2018)
 *   nadam      adam with m' = u(t+1) m / (1 - u(1) … u(t+1)) + (1 - u(t)) g / (1 - u(1) … u(t)),
 *              u(t) = beta_1 (1 - 0.96^(0.004 t) / 2). Dozat, "Incorporating Nesterov momentum
 *              into Adam" (2016)
 *   lion       p -= r sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g. Chen
 *              et al., "Symbolic discovery of optimization algorithms" (2023)
 *   rprop      iRprop-, for full batches: where g keeps its sign, the parameter's step s grows by
 *              1.2; where it changes, s halves and g counts as 0; 1e-6 <= s <= 50, at first
 *              s = r; p -= s sign(g). Igel and Huesken, "Improving the Rprop learning algorithm"
 *              (2000) */
#define NNC_OPTIMIZER_LIST(X) \
    X(SGD, sgd, 0)            \
    X(MOMENTUM, momentum, 1)  \
    X(NESTEROV, nesterov, 1)  \
    X(ADAGRAD, adagrad, 1)    \
    X(RMSPROP, rmsprop, 2)    \
    X(ADAM, adam, 2)          \
    X(AMSGRAD, amsgrad, 3)    \
    X(NADAM, nadam, 2)        \
    X(LION, lion, 1)          \
    X(RPROP, rprop, 2)

/* X(enumerator suffix, name): functions of one number, kernels/math_tmpl.h */
#define NNC_FUNCTION_LIST(X) \
    X(EXP, exp)              \
    X(EXPM1, expm1)          \
    X(LOG, log)              \
    X(LOG1P, log1p)          \
    X(SIGMOID, sigmoid)      \
    X(TANH, tanh)            \
    X(SOFTPLUS, softplus)    \
    X(ERF, erf)              \
    X(GELU, gelu)            \
    X(SILU, silu)

#define NNC_ENUMERATOR(name, ...) name,
#define NNC_ACT_ENUMERATOR(suffix, ...) NNC_ACT_##suffix,
#define NNC_LOSS_ENUMERATOR(suffix, ...) NNC_LOSS_##suffix,
#define NNC_OPTIMIZER_ENUMERATOR(suffix, ...) NNC_OPTIMIZER_##suffix,
#define NNC_FUNCTION_ENUMERATOR(suffix, name) NNC_FUNCTION_##suffix,

typedef enum { NNC_STATUS_LIST(NNC_ENUMERATOR) NNC_STATUS_COUNT } nnc_status;
typedef enum { NNC_DTYPE_LIST(NNC_ENUMERATOR) NNC_DTYPE_COUNT } nnc_dtype;
typedef enum {
    NNC_ACTIVATION_LIST(NNC_ACT_ENUMERATOR) NNC_ACT_COUNT, /* of those of one element */
    NNC_ACT_MOST = NNC_ACT_COUNT - 1,
    NNC_SOFTMAX_LIST(NNC_ACT_ENUMERATOR)
} nnc_activation;
typedef enum { NNC_LOSS_LIST(NNC_LOSS_ENUMERATOR) NNC_LOSS_COUNT } nnc_loss;
typedef enum { NNC_FUNCTION_LIST(NNC_FUNCTION_ENUMERATOR) NNC_FUNCTION_COUNT } nnc_function;
typedef enum { NNC_OPTIMIZER_LIST(NNC_OPTIMIZER_ENUMERATOR) NNC_OPTIMIZER_COUNT } nnc_optimizer;

#endif
