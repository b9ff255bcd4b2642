/* training.c - whole trainings, random initial values, and the choice of kernels. */
#include "bind/module.h"

/* -------------------------------------------------------------------------------- networks */

static bool find_kind(const char *name, bool any, nnc_layer_kind *kind)
{
    static const char *const names[] = {[NNC_DENSE] = "dense",
                                        [NNC_DROPOUT] = "dropout",
                                        [NNC_LAYER_NORM] = "layer_norm",
                                        [NNC_BATCH_NORM] = "batch_norm"};
    for (int i = 0; i < (any ? 4 : 1); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *kind = (nnc_layer_kind)i;
        return true;
    }
    PyErr_Format(PyExc_ValueError, "layers: unknown kind '%s'", name);
    return false;
}

nnc_layer *nnc_read_layers(PyObject *sequence, size_t *n, bool any)
{
    PyObject *items = PySequence_Fast(sequence, "layers: expected a sequence");
    if (!items) return NULL;
    *n = (size_t)PySequence_Fast_GET_SIZE(items);
    nnc_layer *layers = PyMem_Calloc(*n + 1, sizeof *layers);
    if (!layers) PyErr_NoMemory();
    for (size_t i = 0; layers && i < *n; i++) {
        Py_ssize_t n_in, n_out;
        PyObject *name;
        int has_bias;
        const char *kind = "dense";
        nnc_layer *layer = &layers[i];
        PyObject *item = PySequence_Fast_GET_ITEM(items, i);
        if (!PyTuple_Check(item))
            PyErr_Format(PyExc_TypeError, "layers: expected tuples, got %s",
                         Py_TYPE(item)->tp_name);
        if (!PyTuple_Check(item) ||
            !PyArg_ParseTuple(item, "nnOp|sddd", &n_in, &n_out, &name, &has_bias, &kind,
                              &layer->rate, &layer->epsilon, &layer->momentum) ||
            !find_kind(kind, any, &layer->kind) ||
            !nnc_find_activation(name, "layers", any, &layer->activation)) {
            PyMem_Free(layers);
            layers = NULL;
            break;
        }
        layer->n_in = n_in > 0 ? (size_t)n_in : 0;
        layer->n_out = n_out > 0 ? (size_t)n_out : 0;
        layer->has_bias = has_bias;
    }
    Py_DECREF(items);
    return layers;
}

nnc_layer *nnc_read_net(PyObject *sequence, bool any, PyArrayObject *params, nnc_net *net)
{
    size_t n_layers;
    nnc_layer *layers = nnc_read_layers(sequence, &n_layers, any);
    if (!layers) return NULL;
    if (nnc_check(nnc_net_init(net, layers, n_layers))) {
        if ((size_t)PyArray_SIZE(params) == net->n_params) return layers;
        PyErr_Format(PyExc_ValueError, "params: expected %zu elements, got %zd", net->n_params,
                     (Py_ssize_t)PyArray_SIZE(params));
    }
    PyMem_Free(layers);
    return NULL;
}

PyDoc_STRVAR(layout_doc,
             "layout($module, layers, /)\n--\n\n"
             "([(offset of W, offset of b), …], number of parameters) in the block of a network\n"
             "of (n_in, n_out, activation, has_bias) layers.");

static PyObject *layout(PyObject *Py_UNUSED(module), PyObject *sequence)
{
    nnc_net net;
    size_t n_layers;
    PyObject *result = NULL, *offsets = NULL;
    nnc_layer *layers = nnc_read_layers(sequence, &n_layers, false);
    if (!layers) return NULL;
    if (!nnc_check(nnc_net_init(&net, layers, n_layers))) goto done;
    offsets = PyList_New((Py_ssize_t)n_layers);
    for (size_t i = 0; offsets && i < n_layers; i++) {
        PyObject *pair = Py_BuildValue("nn", (Py_ssize_t)layers[i].w, (Py_ssize_t)layers[i].b);
        if (!pair) goto done;
        PyList_SET_ITEM(offsets, (Py_ssize_t)i, pair);
    }
    if (offsets) result = Py_BuildValue("On", offsets, (Py_ssize_t)net.n_params);
done:
    Py_XDECREF(offsets);
    PyMem_Free(layers);
    return result;
}

bool nnc_seed_rng(nnc_rng *rng, PyObject *seed)
{
    if (PyLong_Check(seed)) {
        unsigned long word = PyLong_AsUnsignedLong(seed);
        if (PyErr_Occurred()) return false;
        if (word > UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "Seed must be between 0 and 2**32 - 1");
            return false;
        }
        nnc_rng_seed(rng, (uint32_t)word);
        return true;
    }
    PyArrayObject *words = nnc_read_words(seed);
    if (!words) return false;
    size_t n = (size_t)PyArray_SIZE(words);
    if (n > 0)
        nnc_rng_seed_array(rng, PyArray_DATA(words), n);
    else
        PyErr_SetString(PyExc_ValueError, "Seed must be non-empty");
    Py_DECREF(words);
    return n > 0;
}

/* A float64 vector with room for all epochs, or NULL for None. */
static bool read_history(PyObject *object, const char *name, Py_ssize_t epochs,
                         PyArrayObject **history)
{
    nnc_dtype dtype;
    *history = NULL;
    if (object == Py_None) return true;
    *history = nnc_writable(object, name, 1, &dtype);
    if (!*history) return false;
    if (dtype == NNC_F64 && PyArray_SIZE(*history) >= epochs) return true;
    PyErr_Format(PyExc_ValueError, "%s: expected float64, an element for each epoch", name);
    return false;
}

PyDoc_STRVAR(
    train_doc,
    "train($module, /, params, X, Y, layers, loss, epochs, learning_rate, n_threads, cost,\n"
    "      accuracy, progress=None, at_epoch=None, every=1, seed=None, scale=0.0)\n--\n\n"
    "Full-batch gradient descent on the block params, in place.\n\n"
    "X (n_in, m) and Y (n_out, m) have any strides. cost and accuracy (epochs) are written;\n"
    "accuracy may be None. progress(epoch, cost) is called about every 30 ms,\n"
    "at_epoch(epoch, cost, accuracy, params) after every epoch that `every` divides, with a copy\n"
    "of the block; True from the latter stops. Where seed is not None, params start as\n"
    "fill_normal draws them.\n\n"
    "Returns (number of entries written, whether the training diverged). In every case, an\n"
    "exception included, params hold the values after a whole step.");

static PyObject *train(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {
        "params",        "X",         "Y",     "layers",   "loss",     "epochs",
        "learning_rate", "n_threads", "cost",  "accuracy", "progress", "at_epoch",
        "every",         "seed",      "scale", NULL};
    double scale = 0.0;
    nnc_rng rng;
    nnc_loss loss;
    PyObject *params_object, *layers_object, *cost_object, *accuracy_object;
    PyObject *progress = Py_None, *callback = Py_None, *result = NULL;
    nnc_input in[] = {{.name = "X", .strided = true}, {.name = "Y", .strided = true}};
    PyObject *seed = Py_None;
    const char *loss_name;
    Py_ssize_t epochs, n_threads, every = 1;
    double rate;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOsndnOO|OOnOd:train", names, &params_object,
                                     &in[0].object, &in[1].object, &layers_object, &loss_name,
                                     &epochs, &rate, &n_threads, &cost_object, &accuracy_object,
                                     &progress, &callback, &every, &seed, &scale))
        return NULL;

    nnc_dtype dtype;
    PyArrayObject *params = nnc_writable(params_object, "params", 1, &dtype), *cost, *accuracy;
    if (!params || !read_history(cost_object, "cost", epochs, &cost) ||
        !read_history(accuracy_object, "accuracy", epochs, &accuracy) ||
        !nnc_find_loss(loss_name, &loss))
        return NULL;
    if (!cost || epochs < 0 || n_threads < 1 || every < 1) {
        PyErr_SetString(PyExc_ValueError, "train: an option is out of range");
        return NULL;
    }
    if (seed != Py_None && !nnc_seed_rng(&rng, seed)) return NULL;

    nnc_net net;
    size_t done;
    nnc_layer *layers = nnc_read_net(layers_object, false, params, &net);
    if (!layers) return NULL;
    if (!nnc_read_inputs_as(in, 2, dtype)) goto free_layers;
    PyArrayObject *x = in[0].array, *y = in[1].array;
    npy_intp n_in = (npy_intp)layers[0].n_in, n_out = (npy_intp)layers[net.n_layers - 1].n_out;
    if (!nnc_expect_matrix(&in[0], n_in, -1) ||
        !nnc_expect_matrix(&in[1], n_out, PyArray_DIM(x, 1)))
        goto release;

    nnc_python_monitor self = {.progress = progress == Py_None ? NULL : progress,
                               .at_epoch = callback == Py_None ? NULL : callback,
                               .dtype = dtype,
                               .n_params = PyArray_SIZE(params),
                               .size = (size_t)PyArray_NBYTES(params)};
    nnc_training training = {
        .net = &net,
        .dtype = dtype,
        .loss = loss,
        .data = nnc_columns(x, y),
        .epochs = (size_t)epochs,
        .learning_rate = rate,
        .n_threads = (size_t)n_threads,
        .rng = seed == Py_None ? NULL : &rng,
        .scale = scale,
        .monitor = nnc_monitor_of(&self, (size_t)every),
    };
    self.thread = PyEval_SaveThread();
    nnc_status status = nnc_train(&training, PyArray_DATA(params), PyArray_DATA(cost),
                                  accuracy ? PyArray_DATA(accuracy) : NULL, &done);
    PyEval_RestoreThread(self.thread);
    if (!self.failed && nnc_check(status))
        result = Py_BuildValue("nO", (Py_ssize_t)done, status == NNC_DIVERGED ? Py_True : Py_False);
release:
    nnc_release_inputs(in, 2);
free_layers:
    PyMem_Free(layers);
    return result;
}

/* ---------------------------------------------------------------------------------- random */

PyDoc_STRVAR(fill_normal_doc,
             "fill_normal($module, block, seed, scale, /)\n--\n\n"
             "Writes scale * randn into the 1-D block, as numpy.random.seed(seed) gives it.");

static PyObject *fill_normal(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *block, *seed;
    double scale;
    nnc_dtype dtype;
    nnc_rng rng;
    if (!PyArg_ParseTuple(args, "OOd:fill_normal", &block, &seed, &scale)) return NULL;
    PyArrayObject *array = nnc_writable(block, "block", 1, &dtype);
    if (!array || !nnc_seed_rng(&rng, seed)) return NULL;
    const size_t item = nnc_dtype_size(dtype), chunk = 1 << 18; /* some milliseconds */
    size_t n = (size_t)PyArray_SIZE(array);
    for (size_t start = 0; start < n; start += chunk) {
        size_t count = n - start < chunk ? n - start : chunk;
        PyThreadState *gil = nnc_release_gil(count);
        nnc_init(dtype, PyArray_BYTES(array) + start * item, &rng, scale, count);
        nnc_take_gil(gil);
        if (PyErr_CheckSignals() < 0) return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(fill_uniform_doc,
             "fill_uniform($module, block, seed, /)\n--\n\n"
             "Writes rand into the 1-D float64 block, as numpy.random.seed(seed) gives it.");

static PyObject *fill_uniform(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *block, *seed;
    nnc_dtype dtype;
    nnc_rng rng;
    if (!PyArg_ParseTuple(args, "OO:fill_uniform", &block, &seed)) return NULL;
    PyArrayObject *array = nnc_writable(block, "block", 1, &dtype);
    if (!array || !nnc_seed_rng(&rng, seed)) return NULL;
    if (dtype != NNC_F64) {
        PyErr_SetString(PyExc_TypeError, "block: expected float64");
        return NULL;
    }
    nnc_rng_uniform(&rng, PyArray_DATA(array), (size_t)PyArray_SIZE(array));
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------- CPU */

PyDoc_STRVAR(check_activation_doc, "check_activation($module, name, argument, /)\n--\n\n"
                                   "Raises ValueError where no activation has that name.");

static PyObject *check_activation(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *name;
    const char *argument;
    nnc_activation activation;
    if (!PyArg_ParseTuple(args, "Os:check_activation", &name, &argument)) return NULL;
    if (!nnc_find_activation(name, argument, false, &activation)) return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(memory_fits_doc, "memory_fits($module, n_bytes, /)\n--\n\n"
                              "Whether so much memory is to be had now.");

static PyObject *memory_fits(PyObject *Py_UNUSED(module), PyObject *n_bytes)
{
    size_t bytes = PyLong_AsSize_t(n_bytes);
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) return NULL;
        PyErr_Clear();
        Py_RETURN_FALSE;
    }
    return PyBool_FromLong(nnc_memory_fits(bytes));
}

PyDoc_STRVAR(
    read_matrix_doc,
    "read_matrix($module, value, name, dtype, rows, cols, /)\n--\n\n"
    "value as an array (rows, cols) of that dtype, copied only where needed; -1 stands for\n"
    "any number. The dtype '' is float32 where value is float32, else float64.");

static PyObject *read_matrix(PyObject *Py_UNUSED(module), PyObject *args)
{
    nnc_input in = {.strided = true};
    const char *dtype_name;
    Py_ssize_t rows, cols;
    nnc_dtype dtype = NNC_F64;
    if (!PyArg_ParseTuple(args, "Ossnn:read_matrix", &in.object, &in.name, &dtype_name, &rows,
                          &cols))
        return NULL;
    if (strcmp(dtype_name, "float32") == 0) dtype = NNC_F32;
    if (!(*dtype_name ? nnc_read_inputs_as(&in, 1, dtype) : nnc_read_inputs(&in, 1, &dtype)))
        return NULL;
    if (!nnc_expect_matrix(&in, rows, cols)) nnc_release_inputs(&in, 1);
    return (PyObject *)in.array;
}

PyDoc_STRVAR(first_nonfinite_doc,
             "first_nonfinite($module, X, /)\n--\n\n"
             "The index in C order of the first NaN or infinity, -1 where there is none.");

static PyObject *first_nonfinite(PyObject *Py_UNUSED(module), PyObject *object)
{
    nnc_input in = {.name = "X", .object = object};
    nnc_dtype dtype;
    if (!nnc_read_inputs(&in, 1, &dtype)) return NULL;
    size_t n = (size_t)PyArray_SIZE(in.array);
    size_t index = nnc_first_nonfinite(dtype, PyArray_DATA(in.array), n);
    nnc_release_inputs(&in, 1);
    return PyLong_FromSsize_t(index < n ? (Py_ssize_t)index : -1);
}

PyDoc_STRVAR(cpu_info_doc,
             "cpu_info($module, /)\n--\n\n"
             "Which kernels compute, and which this CPU could run.\n\n"
             "The environment variable NNC_ISA, read at import, names the kernels to use.\n\n"
             "Returns\n-------\n"
             "dict\n"
             "    isa (str), available (list of str, slowest first), fma (bool: multiply and\n"
             "    add are fused) and vector_bytes (int).\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.cpu_info()[\"isa\"] in nnc.cpu_info()[\"available\"]\n"
             "True");

static PyObject *cpu_info(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    nnc_cpu cpu = nnc_cpu_info();
    PyObject *available = PyList_New(0);
    if (!available) return NULL;
    for (const char *const *name = cpu.available; *name; name++) {
        PyObject *text = PyUnicode_FromString(*name);
        int failed = !text || PyList_Append(available, text) < 0;
        Py_XDECREF(text);
        if (failed) {
            Py_DECREF(available);
            return NULL;
        }
    }
    return Py_BuildValue("{sssNsNsn}", "isa", cpu.isa, "available", available, "fma",
                         PyBool_FromLong(cpu.fma), "vector_bytes", (Py_ssize_t)cpu.vector_bytes);
}

PyDoc_STRVAR(select_isa_doc,
             "select_isa($module, name, /)\n--\n\n"
             "Chooses the kernels of all later calls; '' is the fastest. For tests: users set\n"
             "NNC_ISA. ValueError where the name is unknown or the CPU can't run it.");

static PyObject *select_isa(PyObject *Py_UNUSED(module), PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (!text) return NULL;
    if (nnc_select_isa(text)) Py_RETURN_NONE;
    PyObject *info = cpu_info(NULL, NULL);
    if (info)
        PyErr_Format(PyExc_ValueError, "NNC_ISA=%s: this CPU runs %S", text,
                     PyDict_GetItemString(info, "available"));
    Py_XDECREF(info);
    return NULL;
}

PyMethodDef nnc_training_methods[] = {
    {"train", (PyCFunction)(void (*)(void))train, METH_VARARGS | METH_KEYWORDS, train_doc},
    {"layout", layout, METH_O, layout_doc},
    {"fill_normal", fill_normal, METH_VARARGS, fill_normal_doc},
    {"fill_uniform", fill_uniform, METH_VARARGS, fill_uniform_doc},
    {"check_activation", check_activation, METH_VARARGS, check_activation_doc},
    {"memory_fits", memory_fits, METH_O, memory_fits_doc},
    {"read_matrix", read_matrix, METH_VARARGS, read_matrix_doc},
    {"first_nonfinite", first_nonfinite, METH_O, first_nonfinite_doc},
    {"cpu_info", cpu_info, METH_NOARGS, cpu_info_doc},
    {"select_isa", select_isa, METH_O, select_isa_doc},
    {NULL},
};
