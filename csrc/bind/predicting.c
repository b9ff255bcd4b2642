/* predicting.c - Engine.predict and Engine.evaluate. */
#include "bind/engine.h"

const char nnc_predict_doc[] =
    "predict($self, X, /, n_threads=1, x_scale=0.0)\n--\n\n"
    "The output for each row of X (m, n_in), an array (m, n_out); for one\n"
    "sample X (n_in,) an array (n_out,). Where x_scale is not 0, rows count as X * x_scale.";

const char nnc_evaluate_doc[] =
    "evaluate($self, X, Y, *, weights=None, smoothing=0.0, loss_parameter=0.0, x_scale=0.0,\n"
    "         outputs=None, n_threads=1)\n--\n\n"
    "(loss, accuracy) on X (m, n_in) and Y (m, n_out) or classes (m,) of int64, as fit computes\n"
    "them, with the parameters as they are. accuracy is NaN where there is none. outputs\n"
    "(m, n_out), unless it is None, gets what predict returns.";

static PyObject *predict_one(nnc_engine *self, PyArrayObject *x)
{
    npy_intp outputs = nnc_engine_outputs(self);
    PyArrayObject *y = nnc_new_array(self->dtype, 1, &outputs);
    if (y) nnc_predict_one(self->predictor, self->params, PyArray_DATA(x), PyArray_DATA(y));
    return (PyObject *)y;
}

/* A thread that reads params without the GIL: fit refuses to begin meanwhile. The second one at a
 * time gets work space of its own. */
typedef struct {
    nnc_engine *engine;
    nnc_predictor *predictor;
    nnc_python_monitor python;
    nnc_monitor monitor;
} reader;

static nnc_status begin_reading(reader *self, nnc_engine *engine)
{
    *self = (reader){.engine = engine, .predictor = engine->predictor};
    if (engine->predictor_taken) {
        nnc_status status = nnc_predictor_new(&self->predictor, &engine->net, engine->dtype);
        if (status != NNC_OK) return status;
    }
    engine->predictor_taken = true;
    engine->readers++;
    self->monitor = nnc_monitor_of(&self->python, 1);
    self->python.thread = PyEval_SaveThread();
    return NNC_OK;
}

/* False with an exception, of the monitor or of the status. */
static bool end_reading(reader *self, nnc_status status)
{
    nnc_engine *engine = self->engine;
    PyEval_RestoreThread(self->python.thread);
    engine->readers--;
    if (self->predictor == engine->predictor)
        engine->predictor_taken = false;
    else
        nnc_predictor_free(self->predictor);
    return !self->python.failed && nnc_check(status);
}

static PyObject *predict_rows(nnc_engine *self, const nnc_data *data, size_t n_threads)
{
    npy_intp shape[] = {(npy_intp)data->m, nnc_engine_outputs(self)};
    reader r;
    PyArrayObject *y = nnc_new_array(self->dtype, 2, shape);
    if (!y) return NULL;
    nnc_status status = begin_reading(&r, self);
    bool good = status == NNC_OK;
    if (good) {
        status =
            nnc_predict(r.predictor, self->params, data, PyArray_DATA(y), n_threads, &r.monitor);
        good = end_reading(&r, status);
    } else {
        nnc_check(status);
    }
    if (!good) Py_CLEAR(y);
    return (PyObject *)y;
}

/* n_threads and x_scale, by place or by name. */
static bool parse_options(PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames,
                          Py_ssize_t *n_threads, double *x_scale)
{
    static const char *const names[] = {"n_threads", "x_scale"};
    PyObject *values[2] = {NULL, NULL};
    Py_ssize_t n_names = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    bool known = n_args >= 1 && n_args <= 3;
    for (Py_ssize_t i = 1; known && i < n_args; i++) values[i - 1] = args[i];
    for (Py_ssize_t i = 0; known && i < n_names; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        int k = PyUnicode_CompareWithASCIIString(name, names[0]) == 0 ? 0 : 1;
        known = PyUnicode_CompareWithASCIIString(name, names[k]) == 0 && !values[k];
        values[k] = args[n_args + i];
    }
    if (!known) {
        PyErr_SetString(PyExc_TypeError, "predict: expected X, n_threads and x_scale, or fewer");
        return false;
    }
    if (values[0]) *n_threads = PyNumber_AsSsize_t(values[0], PyExc_OverflowError);
    if (values[1]) *x_scale = PyFloat_AsDouble(values[1]);
    if (PyErr_Occurred()) return false;
    if (*n_threads >= 1 && Py_IS_FINITE(*x_scale)) return true;
    PyErr_SetString(PyExc_ValueError, *n_threads < 1 ? "n_threads: expected at least 1"
                                                     : "x_scale: expected a finite number");
    return false;
}

PyObject *nnc_engine_predict(PyObject *object, PyObject *const *args, Py_ssize_t n_args,
                             PyObject *kwnames)
{
    nnc_engine *self = (nnc_engine *)object;
    Py_ssize_t n_threads = 1;
    nnc_data data = {0};
    if ((n_args != 1 || kwnames) &&
        !parse_options(args, n_args, kwnames, &n_threads, &data.x_scale))
        return NULL;
    if (!nnc_engine_is_free(self, "predict")) return NULL;
    if (nnc_is_row(args[0], self->dtype, nnc_engine_inputs(self)) && data.x_scale == 0)
        return predict_one(self, (PyArrayObject *)args[0]);

    PyObject *result = NULL;
    nnc_input in = {.name = "X", .object = args[0], .strided = true};
    if (!nnc_read_samples(&in, self->dtype, &data)) return NULL;
    /* once more: to read an input may let other threads run */
    if (!nnc_engine_is_free(self, "predict")) goto done;
    if (PyArray_NDIM(in.array) == 1 && PyArray_DIM(in.array, 0) == nnc_engine_inputs(self) &&
        data.x_scale == 0) {
        in.strided = false;
        nnc_release_inputs(&in, 1);
        if (!nnc_read_inputs_as(&in, 1, self->dtype)) return NULL;
        result = predict_one(self, in.array);
    } else if (nnc_expect_matrix(&in, -1, nnc_engine_inputs(self))) {
        result = predict_rows(self, &data, (size_t)n_threads);
    }
done:
    nnc_release_inputs(&in, 1);
    return result;
}

PyObject *nnc_engine_evaluate(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"X",       "Y",       "weights",   "smoothing", "loss_parameter",
                            "x_scale", "outputs", "n_threads", NULL};
    nnc_engine *self = (nnc_engine *)object;
    nnc_samples samples = {.x = {.name = "X", .strided = true},
                           .y = {.name = "Y", .strided = true},
                           .weights_object = Py_None,
                           .outputs_object = Py_None};
    double parameter = 0, cost = NAN, accuracy = NAN;
    Py_ssize_t n_threads = 1;
    PyObject *result = NULL;
    reader r;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OdddOn:evaluate", names, &samples.x.object,
                                     &samples.y.object, &samples.weights_object,
                                     &samples.data.smoothing, &parameter, &samples.data.x_scale,
                                     &samples.outputs_object, &n_threads))
        return NULL;
    if (n_threads < 1 || !Py_IS_FINITE(parameter) || !nnc_samples_are_sane(&samples)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError,
                            "evaluate: expected n_threads >= 1, a finite loss_parameter");
        return NULL;
    }
    if (nnc_engine_read(self, &samples) && nnc_engine_is_free(self, "evaluate")) {
        nnc_status status = begin_reading(&r, self);
        if (status == NNC_OK) {
            status =
                nnc_evaluate(r.predictor, self->params, &samples.data, self->loss, parameter, &cost,
                             &accuracy, samples.outputs ? PyArray_DATA(samples.outputs) : NULL,
                             (size_t)n_threads, &r.monitor);
            if (end_reading(&r, status)) result = Py_BuildValue("dd", cost, accuracy);
        } else {
            nnc_check(status);
        }
    }
    nnc_engine_release(&samples);
    return result;
}
