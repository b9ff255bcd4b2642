/* engine.c - the type Engine: a network with parameters of its own, which trains in batches and
 * predicts. Rows are samples. */
#include "bind/module.h"

typedef struct {
    PyObject ob_base;
    nnc_layer *layers;
    nnc_net net;
    nnc_loss loss;
    nnc_dtype dtype;
    void *params; /* (n_params), on a cache line: `params` are views of it */
    nnc_predictor *predictor;
    nnc_stepper stepper;
    bool fitting, predicting; /* a thread without the GIL works on params, on the predictor */
} engine;

static npy_intp n_in(const engine *self)
{
    return (npy_intp)self->layers[0].n_in;
}

static npy_intp n_out(const engine *self)
{
    return (npy_intp)self->layers[self->net.n_layers - 1].n_out;
}

PyDoc_STRVAR(
    engine_doc,
    "Engine(layers, loss, dtype)\n--\n\n"
    "A network of (n_in, n_out, activation, has_bias) layers, whose parameters start at 0.\n"
    "\n"
    "activation: one of ACTIVATIONS, or softmax in the last layer. loss: a name, of which an\n"
    "unknown one lists all; categorical_cross_entropy goes with softmax. dtype: float32 or\n"
    "float64.");

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"layers", "loss", "dtype", NULL};
    PyObject *layers;
    const char *loss_name, *dtype_name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oss:Engine", names, &layers, &loss_name,
                                     &dtype_name))
        return NULL;
    engine *self = (engine *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    size_t n_layers;
    if (!nnc_find_dtype(dtype_name, &self->dtype) || !nnc_find_loss(loss_name, &self->loss))
        goto fail;
    self->layers = nnc_read_layers(layers, &n_layers, true);
    if (!self->layers || !nnc_check(nnc_net_init(&self->net, self->layers, n_layers)) ||
        !nnc_check(nnc_check_softmax(&self->net, self->loss)) ||
        !nnc_check(nnc_predictor_new(&self->predictor, &self->net, self->dtype)))
        goto fail;
    self->params = nnc_new_block(self->dtype, self->net.n_params);
    if (self->params) return (PyObject *)self;
    PyErr_NoMemory();
fail:
    Py_DECREF(self);
    return NULL;
}

static void engine_dealloc(PyObject *object)
{
    engine *self = (engine *)object;
    PyTypeObject *type = Py_TYPE(object);
    nnc_predictor_free(self->predictor);
    nnc_free_block(self->stepper.state);
    nnc_free_block(self->params);
    PyMem_Free(self->layers);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *engine_params(PyObject *object, void *Py_UNUSED(closure))
{
    engine *self = (engine *)object;
    return nnc_view(self->dtype, (npy_intp)self->net.n_params, self->params, object);
}

/* ---------------------------------------------------------------------------------- fit */

PyDoc_STRVAR(
    fit_doc,
    "fit($self, /, X, Y, epochs=1, batch_size=32, optimizer='sgd', learning_rate=0.01,\n"
    "    beta_1=0.9, beta_2=0.999, epsilon=1e-8, seed=None, n_threads=1, callback=None)\n"
    "--\n\n"
    "Gradient descent in batches on X (m, n_in) and Y (m, n_out).\n\n"
    "optimizer: sgd, or adam, whose state lasts from call to call. Where seed is not None,\n"
    "the samples change places before each epoch as numpy.random.RandomState(seed).shuffle\n"
    "moves them. callback(epoch, cost, accuracy, params) after each epoch, with a copy of\n"
    "params; True from it stops.\n\n"
    "Returns cost and accuracy (float64 arrays), an entry an epoch: means over its batches,\n"
    "each seen before its step. FloatingPointError where they diverge: params are then\n"
    "those at the start of the last epoch whose cost was finite, and adam starts anew.");

static bool prepare_stepper(engine *self, nnc_optimizer optimizer)
{
    nnc_stepper *s = &self->stepper;
    if (s->steps > 0 && s->optimizer == optimizer) return true;
    void *state = nnc_new_block(self->dtype, nnc_optimizer_state(optimizer) * self->net.n_params);
    if (!state) {
        PyErr_NoMemory();
        return false;
    }
    nnc_free_block(s->state);
    *s = (nnc_stepper){.optimizer = optimizer, .state = state};
    return true;
}

static PyObject *engine_fit(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {
        "X",      "Y",      "epochs",  "batch_size", "optimizer", "learning_rate",
        "beta_1", "beta_2", "epsilon", "seed",       "n_threads", "callback",
        NULL};
    engine *self = (engine *)object;
    nnc_input in[] = {{.name = "X", .strided = true}, {.name = "Y", .strided = true}};
    Py_ssize_t epochs = 1, batch = 32, n_threads = 1;
    const char *optimizer_name = "sgd";
    double rate = 0.01, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-8;
    PyObject *seed = Py_None, *callback = Py_None, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|nnsddddOnO:fit", names, &in[0].object,
                                     &in[1].object, &epochs, &batch, &optimizer_name, &rate,
                                     &beta_1, &beta_2, &epsilon, &seed, &n_threads, &callback))
        return NULL;
    nnc_optimizer optimizer;
    nnc_rng rng;
    if (!nnc_find_optimizer(optimizer_name, &optimizer)) return NULL;
    if (epochs < 0 || batch < 1 || n_threads < 1 || !(rate > 0) || !Py_IS_FINITE(rate) ||
        !(beta_1 >= 0 && beta_1 < 1) || !(beta_2 >= 0 && beta_2 < 1) || !(epsilon >= 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "fit: expected epochs >= 0, batch_size >= 1, n_threads >= 1, a finite "
                        "learning_rate > 0, beta_1 and beta_2 in [0, 1), epsilon >= 0");
        return NULL;
    }
    if (seed != Py_None && !nnc_seed_rng(&rng, seed)) return NULL;
    if (!nnc_read_inputs_as(in, 2, self->dtype)) return NULL;
    npy_intp m = PyArray_NDIM(in[0].array) > 0 ? PyArray_DIM(in[0].array, 0) : 0;
    PyArrayObject *cost = nnc_new_array(NNC_F64, 1, &epochs);
    PyArrayObject *accuracy = nnc_new_array(NNC_F64, 1, &epochs);
    if (!cost || !accuracy || !nnc_expect_matrix(&in[0], -1, n_in(self)) ||
        !nnc_expect_matrix(&in[1], m, n_out(self)))
        goto done;
    /* not before the inputs are read: that may let other threads run */
    if (self->fitting) {
        PyErr_SetString(PyExc_RuntimeError, "fit: another thread trains this network");
        goto done;
    }
    if (!prepare_stepper(self, optimizer)) goto done;

    nnc_stepper *s = &self->stepper;
    s->learning_rate = rate;
    s->beta_1 = beta_1;
    s->beta_2 = beta_2;
    s->epsilon = epsilon;
    nnc_python_monitor monitor = {.at_epoch = callback == Py_None ? NULL : callback,
                                  .dtype = self->dtype,
                                  .n_params = (npy_intp)self->net.n_params,
                                  .size = self->net.n_params * nnc_dtype_size(self->dtype)};
    nnc_fitting fitting = {.net = &self->net,
                           .dtype = self->dtype,
                           .loss = self->loss,
                           .loss_parameter = nnc_loss_parameter(self->loss),
                           .data = nnc_rows(in[0].array, in[1].array),
                           .epochs = (size_t)epochs,
                           .batch = (size_t)batch,
                           .stepper = s,
                           .shuffle = seed == Py_None ? NULL : &rng,
                           .n_threads = (size_t)n_threads,
                           .monitor = nnc_monitor_of(&monitor, 1)};
    size_t written;
    self->fitting = true;
    monitor.thread = PyEval_SaveThread();
    nnc_status status =
        nnc_fit(&fitting, self->params, PyArray_DATA(cost), PyArray_DATA(accuracy), &written);
    PyEval_RestoreThread(monitor.thread);
    self->fitting = false;
    if (status == NNC_DIVERGED) s->steps = 0; /* the state may not be finite either */
    if (monitor.failed || !nnc_check(status)) goto done;
    if (status == NNC_DIVERGED)
        PyErr_Format(PyExc_FloatingPointError,
                     "fit: training diverged: the cost or the parameters are not finite in epoch "
                     "%zu; try a smaller learning_rate",
                     written);
    else
        result = Py_BuildValue("NN", nnc_head(cost, written), nnc_head(accuracy, written));
done:
    Py_XDECREF(cost);
    Py_XDECREF(accuracy);
    nnc_release_inputs(in, 2);
    return result;
}

/* ------------------------------------------------------------------------------ predict */

PyDoc_STRVAR(predict_doc, "predict($self, X, /, n_threads=1)\n--\n\n"
                          "The output for each row of X (m, n_in), an array (m, n_out); for one\n"
                          "sample X (n_in,) an array (n_out,).");

static PyObject *predict_one(engine *self, PyArrayObject *x)
{
    npy_intp outputs = n_out(self);
    PyArrayObject *y = nnc_new_array(self->dtype, 1, &outputs);
    if (y) nnc_predict_one(self->predictor, self->params, PyArray_DATA(x), PyArray_DATA(y));
    return (PyObject *)y;
}

static PyObject *predict_rows(engine *self, PyArrayObject *x, size_t n_threads)
{
    npy_intp shape[] = {PyArray_DIM(x, 0), n_out(self)};
    PyArrayObject *y = nnc_new_array(self->dtype, 2, shape);
    if (!y) return NULL;
    /* a second thread that predicts at the same time gets work space of its own */
    nnc_predictor *predictor = self->predictor;
    bool own = self->predicting;
    nnc_status status = NNC_OK;
    if (own) status = nnc_predictor_new(&predictor, &self->net, self->dtype);
    if (status == NNC_OK) {
        nnc_python_monitor monitor = {.dtype = self->dtype};
        nnc_monitor polls = nnc_monitor_of(&monitor, 1);
        nnc_data data = nnc_rows(x, NULL);
        if (!own) self->predicting = true;
        monitor.thread = PyEval_SaveThread();
        status = nnc_predict(predictor, self->params, &data, PyArray_DATA(y), n_threads, &polls);
        PyEval_RestoreThread(monitor.thread);
        if (!own) self->predicting = false;
        if (own) nnc_predictor_free(predictor);
        if (monitor.failed) Py_CLEAR(y);
    }
    if (!nnc_check(status)) Py_CLEAR(y);
    return (PyObject *)y;
}

static PyObject *engine_predict(PyObject *object, PyObject *const *args, Py_ssize_t n_args,
                                PyObject *kwnames)
{
    engine *self = (engine *)object;
    Py_ssize_t n_names = kwnames ? PyTuple_GET_SIZE(kwnames) : 0, n_threads = 1;
    if (n_args < 1 || n_args + n_names > 2 ||
        (n_names == 1 &&
         PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "n_threads") != 0)) {
        PyErr_SetString(PyExc_TypeError, "predict: expected X, and n_threads or nothing");
        return NULL;
    }
    if (n_args + n_names == 2) n_threads = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    if (n_threads == -1 && PyErr_Occurred()) return NULL;
    if (n_threads < 1) {
        PyErr_SetString(PyExc_ValueError, "n_threads: expected at least 1");
        return NULL;
    }
    if (nnc_is_row(args[0], self->dtype, n_in(self)))
        return predict_one(self, (PyArrayObject *)args[0]);

    PyObject *result = NULL;
    nnc_input in = {.name = "X", .object = args[0], .strided = true};
    if (!nnc_read_inputs_as(&in, 1, self->dtype)) return NULL;
    if (PyArray_NDIM(in.array) == 1 && PyArray_DIM(in.array, 0) == n_in(self)) {
        in.strided = false;
        nnc_release_inputs(&in, 1);
        if (!nnc_read_inputs_as(&in, 1, self->dtype)) return NULL;
        result = predict_one(self, in.array);
    } else if (nnc_expect_matrix(&in, -1, n_in(self))) {
        result = predict_rows(self, in.array, (size_t)n_threads);
    }
    nnc_release_inputs(&in, 1);
    return result;
}

static PyMethodDef methods[] = {
    {"fit", (PyCFunction)(void (*)(void))engine_fit, METH_VARARGS | METH_KEYWORDS, fit_doc},
    {"predict", (PyCFunction)(void (*)(void))engine_predict, METH_FASTCALL | METH_KEYWORDS,
     predict_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"params", engine_params, NULL, "The parameters, a view: W1, b1, W2, b2, …", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)engine_doc}, {Py_tp_new, engine_new},    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, methods},        {Py_tp_getset, attributes}, {0, NULL},
};

PyType_Spec nnc_engine_spec = {
    .name = "nnc._core.Engine",
    .basicsize = sizeof(engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
