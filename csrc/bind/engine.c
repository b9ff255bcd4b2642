/* engine.c - the type Engine: a network with parameters of its own, which trains in batches and
 * predicts. Rows are samples. */
#include "bind/engine.h"

PyDoc_STRVAR(
    engine_doc,
    "Engine(layers, loss, dtype)\n--\n\n"
    "A network of layers, whose parameters start at 0.\n"
    "\n"
    "layers: tuples (n_in, n_out, activation, has_bias), or with more: (…, kind, rate, epsilon,\n"
    "momentum), where kind is dense, dropout, layer_norm or batch_norm. activation: one of\n"
    "ACTIVATIONS, or softmax or log_softmax in the last layer. loss: as NNC_LOSS_LIST names it.\n"
    "dtype: float32 or float64.");

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"layers", "loss", "dtype", NULL};
    PyObject *layers;
    const char *loss_name, *dtype_name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Oss:Engine", names, &layers, &loss_name,
                                     &dtype_name))
        return NULL;
    nnc_engine *self = (nnc_engine *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    size_t n_layers;
    if (!nnc_find_dtype(dtype_name, &self->dtype) || !nnc_find_loss(loss_name, &self->loss))
        goto fail;
    self->layers = nnc_read_layers(layers, &n_layers, true);
    if (!self->layers || !nnc_check(nnc_net_init(&self->net, self->layers, n_layers)) ||
        !nnc_check(nnc_check_softmax(&self->net, self->loss)) ||
        !nnc_check(nnc_predictor_new(&self->predictor, &self->net, self->dtype)))
        goto fail;
    self->params = nnc_new_block(self->dtype, nnc_engine_size(self));
    if (self->params) return (PyObject *)self;
    PyErr_NoMemory();
fail:
    Py_DECREF(self);
    return NULL;
}

static void engine_dealloc(PyObject *object)
{
    nnc_engine *self = (nnc_engine *)object;
    PyTypeObject *type = Py_TYPE(object);
    nnc_predictor_free(self->predictor);
    nnc_memory_free(&self->memory);
    nnc_memory_free(&self->deck);
    nnc_engine_forget(self);
    nnc_free_block(self->params);
    PyMem_Free(self->layers);
    type->tp_free(object);
    Py_DECREF(type);
}

bool nnc_engine_is_free(const nnc_engine *self, const char *method)
{
    if (self->fitter == 0 || self->fitter == PyThread_get_thread_ident()) return true;
    PyErr_Format(PyExc_RuntimeError, "%s: another thread trains this network", method);
    return false;
}

/* Also while a callback of the training's own thread runs. */
static bool is_idle(const nnc_engine *self, const char *method)
{
    if (self->fitter == 0) return true;
    PyErr_Format(PyExc_RuntimeError, "%s: this network is being trained", method);
    return false;
}

void nnc_engine_forget(nnc_engine *self)
{
    nnc_free_block(self->stepper.state);
    nnc_free_block(self->stepper.average);
    self->stepper = (nnc_stepper){0};
}

bool nnc_engine_prepare(nnc_engine *self, nnc_optimizer optimizer)
{
    nnc_stepper *s = &self->stepper;
    if (s->state && s->optimizer == optimizer) return true;
    void *state = nnc_new_block(self->dtype, nnc_optimizer_state(optimizer) * self->net.n_params);
    if (!state) {
        PyErr_NoMemory();
        return false;
    }
    nnc_free_block(s->state);
    *s = (nnc_stepper){.optimizer = optimizer, .state = state, .average = s->average};
    return true;
}

/* -------------------------------------------------------------------------------- samples */

bool nnc_samples_are_sane(const nnc_samples *samples)
{
    const nnc_data *data = &samples->data;
    if (data->smoothing >= 0 && data->smoothing < 1 && Py_IS_FINITE(data->x_scale)) return true;
    PyErr_SetString(PyExc_ValueError, "expected smoothing in [0, 1) and a finite x_scale");
    return false;
}

static bool read_weights(nnc_samples *s, npy_intp m)
{
    if (s->weights_object == Py_None) return true;
    nnc_input in = {.name = "weights", .object = s->weights_object};
    if (!nnc_read_inputs_as(&in, 1, NNC_F64)) return false;
    s->weights = in.array;
    s->data.weights = PyArray_DATA(in.array);
    return nnc_expect_vector(&in, m);
}

static bool read_outputs(const nnc_engine *self, nnc_samples *s, npy_intp m)
{
    nnc_dtype dtype;
    if (s->outputs_object == Py_None) return true;
    s->outputs = (PyArrayObject *)Py_XNewRef(nnc_writable(s->outputs_object, "outputs", 2, &dtype));
    if (!s->outputs) return false;
    if (dtype == self->dtype && PyArray_DIM(s->outputs, 0) == m &&
        PyArray_DIM(s->outputs, 1) == nnc_engine_outputs(self))
        return true;
    PyErr_SetString(PyExc_ValueError, "outputs: expected (m, n_out) of the network's dtype");
    return false;
}

bool nnc_engine_read(const nnc_engine *self, nnc_samples *s)
{
    bool classes;
    if (!nnc_read_samples(&s->x, self->dtype, &s->data) ||
        !nnc_read_labels(&s->y, self->dtype, &classes) ||
        !nnc_expect_matrix(&s->x, -1, nnc_engine_inputs(self)))
        return false;
    npy_intp m = PyArray_DIM(s->x.array, 0);
    if (classes ? !nnc_expect_classes(&s->y, m, nnc_engine_outputs(self))
                : !nnc_expect_matrix(&s->y, m, nnc_engine_outputs(self)))
        return false;
    nnc_attach_labels(&s->data, s->y.array, classes);
    return read_weights(s, m) && read_outputs(self, s, m);
}

void nnc_engine_release(nnc_samples *s)
{
    nnc_release_inputs(&s->x, 1);
    nnc_release_inputs(&s->y, 1);
    Py_CLEAR(s->weights);
    Py_CLEAR(s->outputs);
}

/* ----------------------------------------------------------------------------- attributes */

static PyObject *engine_params(PyObject *object, void *Py_UNUSED(closure))
{
    nnc_engine *self = (nnc_engine *)object;
    return nnc_view(self->dtype, (npy_intp)nnc_engine_size(self), self->params, object);
}

/* A copy: the block itself is freed when the optimizer starts anew. */
static PyObject *copy_of(const nnc_engine *self, const void *block, size_t n)
{
    npy_intp size = (npy_intp)n;
    PyArrayObject *copy = nnc_new_array(self->dtype, 1, &size);
    if (copy) memcpy(PyArray_DATA(copy), block, n * nnc_dtype_size(self->dtype));
    return (PyObject *)copy;
}

static PyObject *engine_average(PyObject *object, void *Py_UNUSED(closure))
{
    nnc_engine *self = (nnc_engine *)object;
    if (!nnc_engine_is_free(self, "average")) return NULL;
    if (!self->stepper.average) Py_RETURN_NONE;
    return copy_of(self, self->stepper.average, self->net.n_params);
}

static PyObject *engine_steps(PyObject *object, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(((nnc_engine *)object)->stepper.steps);
}

PyDoc_STRVAR(
    layout_doc,
    "layout($self, /)\n--\n\n"
    "([(offset of W or gamma, offset of b or beta, offset of the running statistics), …],\n"
    "number of parameters with gradients), in the block of params.");

static PyObject *engine_layout(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    nnc_engine *self = (nnc_engine *)object;
    PyObject *offsets = PyList_New((Py_ssize_t)self->net.n_layers);
    for (size_t i = 0; offsets && i < self->net.n_layers; i++) {
        const nnc_layer *layer = &self->layers[i];
        PyObject *item = Py_BuildValue("nnn", (Py_ssize_t)layer->w, (Py_ssize_t)layer->b,
                                       (Py_ssize_t)layer->state);
        if (!item) {
            Py_DECREF(offsets);
            return NULL;
        }
        PyList_SET_ITEM(offsets, (Py_ssize_t)i, item);
    }
    return offsets ? Py_BuildValue("Nn", offsets, (Py_ssize_t)self->net.n_params) : NULL;
}

PyDoc_STRVAR(
    optimizer_state_doc,
    "optimizer_state($self, optimizer, /)\n--\n\n"
    "A copy of what that optimizer remembers: blocks like the parameters, one after the\n"
    "other. Zeros where another one was at work. A callback of fit may ask for that of the\n"
    "optimizer at work.");

static PyObject *engine_optimizer_state(PyObject *object, PyObject *name)
{
    nnc_engine *self = (nnc_engine *)object;
    const nnc_stepper *s = &self->stepper;
    nnc_optimizer optimizer;
    const char *text = PyUnicode_AsUTF8(name);
    if (!text || !nnc_find_optimizer(text, &optimizer)) return NULL;
    /* a callback must not free the state of the optimizer that goes on after it */
    bool at_work = self->fitter == PyThread_get_thread_ident() && s->optimizer == optimizer;
    if (!at_work && (!is_idle(self, "optimizer_state") || !nnc_engine_prepare(self, optimizer)))
        return NULL;
    return copy_of(self, s->state, nnc_optimizer_state(optimizer) * self->net.n_params);
}

PyDoc_STRVAR(resume_doc, "resume($self, optimizer, state, steps, average, /)\n--\n\n"
                         "The optimizer goes on from there: from a copy of optimizer_state, the\n"
                         "number of its steps, and a copy of average or None.");

/* block (n) = the elements of object, a vector. */
static bool fill_block(const nnc_engine *self, void *block, size_t n, PyObject *object,
                       const char *name)
{
    nnc_input in = {.name = name, .object = object};
    if (!nnc_read_inputs_as(&in, 1, self->dtype)) return false;
    bool good = nnc_expect_vector(&in, (npy_intp)n);
    if (good) memcpy(block, PyArray_DATA(in.array), n * nnc_dtype_size(self->dtype));
    nnc_release_inputs(&in, 1);
    return good;
}

static PyObject *engine_resume(PyObject *object, PyObject *args)
{
    nnc_engine *self = (nnc_engine *)object;
    const char *name;
    PyObject *state, *average;
    unsigned long long steps;
    nnc_optimizer optimizer;
    nnc_stepper next = {0};
    const size_t n = self->net.n_params;
    if (!PyArg_ParseTuple(args, "sOKO:resume", &name, &state, &steps, &average) ||
        !nnc_find_optimizer(name, &optimizer))
        return NULL;
    next.optimizer = optimizer;
    next.steps = steps;
    next.state = nnc_new_block(self->dtype, nnc_optimizer_state(optimizer) * n);
    if (average != Py_None) next.average = nnc_new_block(self->dtype, n);
    if (!next.state || (average != Py_None && !next.average)) {
        PyErr_NoMemory();
        goto fail;
    }
    if (!fill_block(self, next.state, nnc_optimizer_state(optimizer) * n, state, "state") ||
        (next.average && !fill_block(self, next.average, n, average, "average")) ||
        !is_idle(self, "resume"))
        goto fail;
    nnc_engine_forget(self);
    self->stepper = next;
    Py_RETURN_NONE;
fail:
    nnc_free_block(next.state);
    nnc_free_block(next.average);
    return NULL;
}

PyDoc_STRVAR(forget_doc, "forget($self, /)\n--\n\n"
                         "The optimizer starts anew: its state, its steps and the average.");

static PyObject *engine_forget(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    nnc_engine *self = (nnc_engine *)object;
    if (!is_idle(self, "forget")) return NULL;
    nnc_engine_forget(self);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"fit", (PyCFunction)(void (*)(void))nnc_engine_fit, METH_VARARGS | METH_KEYWORDS, nnc_fit_doc},
    {"predict", (PyCFunction)(void (*)(void))nnc_engine_predict, METH_FASTCALL | METH_KEYWORDS,
     nnc_predict_doc},
    {"evaluate", (PyCFunction)(void (*)(void))nnc_engine_evaluate, METH_VARARGS | METH_KEYWORDS,
     nnc_evaluate_doc},
    {"layout", engine_layout, METH_NOARGS, layout_doc},
    {"optimizer_state", engine_optimizer_state, METH_O, optimizer_state_doc},
    {"resume", engine_resume, METH_VARARGS, resume_doc},
    {"forget", engine_forget, METH_NOARGS, forget_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"params", engine_params, NULL,
     "The parameters, a view: W1, b1, W2, b2, …, then running statistics.", NULL},
    {"average", engine_average, NULL, "A copy of the average of the parameters, or None.", NULL},
    {"steps", engine_steps, NULL, "The steps that the optimizer has taken.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)engine_doc}, {Py_tp_new, engine_new},    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_methods, methods},        {Py_tp_getset, attributes}, {0, NULL},
};

PyType_Spec nnc_engine_spec = {
    .name = "nnc._core.Engine",
    .basicsize = sizeof(nnc_engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
