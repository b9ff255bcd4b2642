/* fitting.c - Engine.fit: its arguments into an nnc_fitting, and the call. */
#include "bind/engine.h"

#include <time.h>

const char nnc_fit_doc[] =
    "fit($self, /, X, Y, epochs=1, batch_size=32, optimizer='sgd', learning_rate=0.01,\n"
    "    beta_1=0.9, beta_2=0.999, epsilon=1e-8, seed=None, n_threads=1, callback=None, *,\n"
    "    momentum=0.0, rho=0.9, clip_value=0.0, clip_norm=0.0, average_decay=0.0,\n"
    "    loss_parameter=0.0, smoothing=0.0, x_scale=0.0, ranges=(), rates=None, weights=None,\n"
    "    outputs=None, dropout_seed=0, first_epoch=0, progress=None, custom=None,\n"
    "    before=None)\n"
    "--\n\n"
    "Gradient descent in batches on X (m, n_in) and Y (m, n_out), or classes Y (m,) of int64.\n\n"
    "optimizer: as NNC_OPTIMIZER_LIST names it; its state lasts from call to call. Where seed is\n"
    "not None, the samples change places before each epoch as RandomState(seed).shuffle of\n"
    "numpy.random moves them, after first_epoch shuffles for the epochs that went before. Their\n"
    "order is kept, 8 bytes a sample, so that no call repeats what the one before it shuffled.\n"
    "callback(epoch, cost, accuracy) after each epoch sees and may change params, and predict;\n"
    "True from it stops. progress(epoch, cost) is called about every 30 ms, and stops likewise.\n"
    "ranges: tuples (start, n, frozen, l1, l2, decay, max_norm, row_length). rates: a float64\n"
    "array (epochs, 1 or the steps of an epoch) instead of learning_rate. weights: float64 (m,).\n"
    "outputs (m, n_out), written: the output for each sample before its step. custom(samples,\n"
    "y_hat) -> (loss, slope), in a network whose loss is sum_of_squares, takes its place: the\n"
    "loss of a batch of so many samples, and its derivative by y_hat (n, n_out). before, like\n"
    "params and written: what they were at the start of the last epoch, first that of the call\n"
    "before, so that several calls end as one; a call with it waits for predictions of other\n"
    "threads, where one without raises.\n\n"
    "Returns cost and accuracy (float64 arrays), an entry an epoch: means over its batches,\n"
    "each seen before its step. FloatingPointError where they diverge: params are then\n"
    "those at the start of the last epoch whose cost was finite, and the optimizer starts anew.\n"
    "An exception from amid the training has the entries before it in its attribute histories.";

/* What fit was given. Objects are borrowed, but for the arrays. */
typedef struct {
    nnc_samples samples;
    Py_ssize_t epochs, batch, n_threads, first_epoch;
    nnc_optimizer optimizer;
    double rate, beta_1, beta_2, epsilon, momentum, rho;
    double clip_value, clip_norm, average_decay, loss_parameter;
    PyObject *seed, *callback, *progress, *custom, *ranges_object, *rates_object, *before_object;
    unsigned long long dropout_seed;
    nnc_rng rng;
    nnc_range *ranges;
    size_t n_ranges;
    PyArrayObject *rates, *before; /* or NULL */
} arguments;

static bool parse(arguments *a, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"X",
                            "Y",
                            "epochs",
                            "batch_size",
                            "optimizer",
                            "learning_rate",
                            "beta_1",
                            "beta_2",
                            "epsilon",
                            "seed",
                            "n_threads",
                            "callback",
                            "momentum",
                            "rho",
                            "clip_value",
                            "clip_norm",
                            "average_decay",
                            "loss_parameter",
                            "smoothing",
                            "x_scale",
                            "ranges",
                            "rates",
                            "weights",
                            "outputs",
                            "dropout_seed",
                            "first_epoch",
                            "progress",
                            "custom",
                            "before",
                            NULL};
    const char *optimizer = "sgd";
    *a = (arguments){.samples = {.x = {.name = "X", .strided = true},
                                 .y = {.name = "Y", .strided = true},
                                 .weights_object = Py_None,
                                 .outputs_object = Py_None},
                     .epochs = 1,
                     .batch = 32,
                     .n_threads = 1,
                     .rate = 0.01,
                     .beta_1 = 0.9,
                     .beta_2 = 0.999,
                     .epsilon = 1e-8,
                     .rho = 0.9,
                     .seed = Py_None,
                     .callback = Py_None,
                     .progress = Py_None,
                     .custom = Py_None,
                     .rates_object = Py_None,
                     .before_object = Py_None};
    nnc_samples *s = &a->samples;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OO|nnsddddOnO$ddddddddOOOOKnOOO:fit", names, &s->x.object, &s->y.object,
            &a->epochs, &a->batch, &optimizer, &a->rate, &a->beta_1, &a->beta_2, &a->epsilon,
            &a->seed, &a->n_threads, &a->callback, &a->momentum, &a->rho, &a->clip_value,
            &a->clip_norm, &a->average_decay, &a->loss_parameter, &s->data.smoothing,
            &s->data.x_scale, &a->ranges_object, &a->rates_object, &s->weights_object,
            &s->outputs_object, &a->dropout_seed, &a->first_epoch, &a->progress, &a->custom,
            &a->before_object))
        return false;
    return nnc_find_optimizer(optimizer, &a->optimizer);
}

static bool is_fraction(double x)
{
    return x >= 0 && x < 1;
}

static bool is_not_negative(double x)
{
    return x >= 0 && Py_IS_FINITE(x);
}

static bool check_numbers(const arguments *a)
{
    if (a->epochs >= 0 && a->batch >= 1 && a->n_threads >= 1 && a->first_epoch >= 0 &&
        a->rate > 0 && Py_IS_FINITE(a->rate) && is_fraction(a->beta_1) && is_fraction(a->beta_2) &&
        is_fraction(a->momentum) && is_fraction(a->rho) && is_fraction(a->samples.data.smoothing) &&
        is_fraction(a->average_decay) && is_not_negative(a->epsilon) &&
        is_not_negative(a->clip_value) && is_not_negative(a->clip_norm) &&
        Py_IS_FINITE(a->loss_parameter) && Py_IS_FINITE(a->samples.data.x_scale))
        return true;
    PyErr_SetString(PyExc_ValueError,
                    "fit: expected epochs >= 0, batch_size >= 1, n_threads >= 1, a finite "
                    "learning_rate > 0, beta_1 and beta_2 in [0, 1), epsilon >= 0, first_epoch, "
                    "clip_value and clip_norm >= 0, momentum, rho, smoothing and average_decay "
                    "in [0, 1)");
    return false;
}

/* rates (epochs, 1 or steps), borrowed, or NULL for None. */
static bool read_rates(arguments *a, size_t m)
{
    nnc_dtype dtype;
    if (a->rates_object == Py_None) return true;
    a->rates = (PyArrayObject *)Py_XNewRef(nnc_writable(a->rates_object, "rates", 2, &dtype));
    if (!a->rates) return false;
    npy_intp steps = (npy_intp)((m + (size_t)a->batch - 1) / (size_t)a->batch);
    npy_intp columns = PyArray_DIM(a->rates, 1);
    if (dtype == NNC_F64 && PyArray_DIM(a->rates, 0) == a->epochs &&
        (columns == 1 || columns == steps))
        return true;
    PyErr_SetString(PyExc_ValueError, "rates: expected float64 (epochs, 1 or steps of an epoch)");
    return false;
}

/* before, borrowed, or NULL for None. */
static bool read_before(arguments *a, const nnc_engine *self)
{
    nnc_dtype dtype;
    if (a->before_object == Py_None) return true;
    a->before = (PyArrayObject *)Py_XNewRef(nnc_writable(a->before_object, "before", 1, &dtype));
    if (!a->before) return false;
    if (dtype == self->dtype && PyArray_DIM(a->before, 0) == (npy_intp)nnc_engine_size(self))
        return true;
    PyErr_SetString(PyExc_ValueError, "before: expected an array like params");
    return false;
}

/* Reading inputs may let other threads run. */
static bool read_arrays(arguments *a, nnc_engine *self)
{
    if (a->seed != Py_None && !nnc_seed_rng(&a->rng, a->seed)) return false;
    if (!nnc_engine_read(self, &a->samples) || !read_rates(a, a->samples.data.m) ||
        !read_before(a, self))
        return false;
    if (!a->ranges_object) return true;
    a->ranges = nnc_read_ranges(a->ranges_object, true, self->net.n_params, &a->n_ranges);
    return a->ranges != NULL;
}

/* Puts the optimizer's numbers into place; its state and steps go on. */
static bool set_stepper(nnc_engine *self, const arguments *a)
{
    if (!nnc_engine_prepare(self, a->optimizer)) return false;
    nnc_stepper *s = &self->stepper;
    const size_t n = self->net.n_params;
    if (a->average_decay > 0 && !s->average) {
        s->average = nnc_new_block(self->dtype, n);
        if (!s->average) {
            PyErr_NoMemory();
            return false;
        }
        memcpy(s->average, self->params, n * nnc_dtype_size(self->dtype));
    }
    s->learning_rate = a->rate;
    s->beta_1 = a->beta_1;
    s->beta_2 = a->beta_2;
    s->epsilon = a->epsilon;
    s->momentum = a->momentum;
    s->rho = a->rho;
    s->clip_value = a->clip_value;
    s->clip_norm = a->clip_norm;
    s->average_decay = a->average_decay;
    s->ranges = a->ranges;
    s->n_ranges = a->n_ranges;
    return true;
}

/* What `custom` says of a batch: false with an exception. */
static bool call_custom(const nnc_engine *engine, PyObject *custom, const size_t *samples, size_t n,
                        const void *y_hat, void *slope, double *loss)
{
    npy_intp shape[] = {(npy_intp)n, nnc_engine_outputs(engine)};
    size_t bytes = n * (size_t)shape[1] * nnc_dtype_size(engine->dtype);
    PyObject *places = nnc_new_indices(samples, n), *result = NULL;
    PyArrayObject *outputs = nnc_new_array(engine->dtype, 2, shape);
    nnc_input in = {.name = "gradient of the loss"};
    bool good = false;
    if (places && outputs) {
        memcpy(PyArray_DATA(outputs), y_hat, bytes);
        result = PyObject_CallFunctionObjArgs(custom, places, (PyObject *)outputs, NULL);
    }
    if (result && PyArg_ParseTuple(result, "dO:loss", loss, &in.object) &&
        nnc_read_inputs_as(&in, 1, engine->dtype)) {
        good = nnc_expect_matrix(&in, shape[0], shape[1]);
        if (good) memcpy(slope, PyArray_DATA(in.array), bytes);
        nnc_release_inputs(&in, 1);
    }
    Py_XDECREF(places);
    Py_XDECREF(outputs);
    Py_XDECREF(result);
    return good;
}

/* The callback sees the parameters in the engine, and may change them there. */
typedef struct {
    nnc_engine *engine;
    nnc_python_monitor python;
    nnc_monitor plain; /* what nnc_monitor_of gives */
    PyObject *custom;
} fit_monitor;

static nnc_status judge(void *context, const size_t *samples, size_t n, const void *y_hat,
                        void *slope, double *loss)
{
    fit_monitor *self = context;
    PyEval_RestoreThread(self->python.thread);
    bool good = call_custom(self->engine, self->custom, samples, n, y_hat, slope, loss);
    if (!good) self->python.failed = true;
    self->python.thread = PyEval_SaveThread();
    return good ? NNC_OK : NNC_STOPPED;
}

static nnc_status poll(void *context, size_t epoch, double cost)
{
    fit_monitor *self = context;
    return self->plain.poll(self->plain.context, epoch, cost);
}

static nnc_status at_epoch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    fit_monitor *self = context;
    size_t bytes = nnc_engine_size(self->engine) * nnc_dtype_size(self->engine->dtype);
    memcpy(self->engine->params, params, bytes);
    nnc_status status = self->plain.at_epoch(self->plain.context, epoch, cost, accuracy, NULL);
    memcpy(params, self->engine->params, bytes);
    return status;
}

static void raise_divergence(size_t epoch, size_t batch)
{
    if (batch == SIZE_MAX)
        PyErr_Format(PyExc_FloatingPointError,
                     "fit: training diverged: the parameters are not finite before the first batch "
                     "in epoch %zu; try a smaller learning_rate",
                     epoch);
    else
        PyErr_Format(
            PyExc_FloatingPointError,
            "fit: training diverged: the cost is not finite in epoch %zu, batch %zu; try a "
            "smaller learning_rate",
            epoch, batch);
}

/* The exception now set gets the attribute, where it can have one. */
static void attach_histories(PyArrayObject *cost, PyArrayObject *accuracy, size_t n)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *histories = Py_BuildValue("NN", nnc_head(cost, n), nnc_head(accuracy, n));
    if (!histories || PyObject_SetAttrString(value, "histories", histories) < 0) PyErr_Clear();
    Py_XDECREF(histories);
    PyErr_Restore(type, value, trace);
}

/* A call that goes on where another ended waits for predictions that slipped in between. */
static bool wait_for_readers(const nnc_engine *self)
{
    const struct timespec pause = {.tv_nsec = 100000};
    while (self->readers > 0) {
        Py_BEGIN_ALLOW_THREADS;
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS;
        if (PyErr_CheckSignals() < 0) return false;
    }
    return true;
}

PyObject *nnc_engine_fit(PyObject *object, PyObject *args, PyObject *kwargs)
{
    nnc_engine *self = (nnc_engine *)object;
    arguments a;
    PyObject *result = NULL;
    PyArrayObject *cost = NULL, *accuracy = NULL;
    if (!parse(&a, args, kwargs) || !check_numbers(&a)) return NULL;
    if (!read_arrays(&a, self)) goto done;
    cost = nnc_new_array(NNC_F64, 1, &a.epochs);
    accuracy = nnc_new_array(NNC_F64, 1, &a.epochs);
    if (!cost || !accuracy) goto done;
    if (a.before && !wait_for_readers(self)) goto done;
    if (self->fitter || self->readers > 0) {
        PyErr_SetString(PyExc_RuntimeError, self->fitter
                                                ? "fit: another thread trains this network"
                                                : "fit: another thread predicts with this network");
        goto done;
    }
    if (a.custom != Py_None && self->loss != NNC_LOSS_SSE) {
        PyErr_SetString(PyExc_ValueError, "custom: the engine's loss must be sum_of_squares");
        goto done;
    }
    if (!set_stepper(self, &a)) goto done;

    fit_monitor monitor = {.engine = self,
                           .python = {.at_epoch = a.callback == Py_None ? NULL : a.callback,
                                      .progress = a.progress == Py_None ? NULL : a.progress}};
    monitor.plain = nnc_monitor_of(&monitor.python, 1);
    monitor.custom = a.custom;
    nnc_custom_loss custom = {.context = &monitor, .judge = judge};
    nnc_fitting fitting = {.net = &self->net,
                           .dtype = self->dtype,
                           .loss = self->loss,
                           .loss_parameter = a.loss_parameter,
                           .custom = a.custom == Py_None ? NULL : &custom,
                           .data = a.samples.data,
                           .epochs = (size_t)a.epochs,
                           .batch = (size_t)a.batch,
                           .stepper = &self->stepper,
                           .rates = a.rates ? PyArray_DATA(a.rates) : NULL,
                           .n_rates = a.rates ? (size_t)PyArray_DIM(a.rates, 1) : 0,
                           .shuffle = a.seed == Py_None ? NULL : &a.rng,
                           .first_epoch = (size_t)a.first_epoch,
                           .deck = &self->deck,
                           .seed = a.dropout_seed,
                           .outputs = a.samples.outputs ? PyArray_DATA(a.samples.outputs) : NULL,
                           .n_threads = (size_t)a.n_threads,
                           .memory = &self->memory,
                           .monitor = {.context = &monitor,
                                       .poll = poll,
                                       .at_epoch = monitor.plain.at_epoch ? at_epoch : NULL,
                                       .every = 1}};
    size_t written, bad_batch = SIZE_MAX;
    fitting.before = a.before ? PyArray_DATA(a.before) : NULL;
    fitting.bad_batch = &bad_batch;
    self->fitter = PyThread_get_thread_ident();
    monitor.python.thread = PyEval_SaveThread();
    nnc_status status =
        nnc_fit(&fitting, self->params, PyArray_DATA(cost), PyArray_DATA(accuracy), &written);
    PyEval_RestoreThread(monitor.python.thread);
    self->fitter = 0;
    self->stepper.ranges = NULL;
    self->stepper.n_ranges = 0;
    if (status == NNC_DIVERGED) nnc_engine_forget(self); /* its state may not be finite either */
    if (!monitor.python.failed && status == NNC_DIVERGED) raise_divergence(written, bad_batch);
    /* one that came after the last poll, or else its exception would lack the histories */
    if (PyErr_Occurred() || PyErr_CheckSignals() < 0)
        attach_histories(cost, accuracy, written);
    else if (nnc_check(status))
        result = Py_BuildValue("NN", nnc_head(cost, written), nnc_head(accuracy, written));
done:
    Py_XDECREF(cost);
    Py_XDECREF(accuracy);
    Py_XDECREF(a.rates);
    Py_XDECREF(a.before);
    PyMem_Free(a.ranges);
    nnc_engine_release(&a.samples);
    return result;
}
