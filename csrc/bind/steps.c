/* steps.c - the tutorial's steps on layers, costs and parameters. Each function reads and checks
 * all of its arguments, lets go of the GIL, and calls one verb of the core. */
#include "bind/module.h"

#define SIZE(array) ((size_t)PyArray_SIZE(array))
#define DIM(array, axis) ((size_t)PyArray_DIM(array, axis))
#define DATA(array) PyArray_DATA(array)

/* --------------------------------------------------------------------------------- layers */

PyDoc_STRVAR(
    single_layer_forward_propagation_doc,
    "single_layer_forward_propagation($module, /, A_prev, W_curr, b_curr, activation='relu')\n"
    "--\n\n"
    "One layer forward: Z = W_curr A_prev + b_curr, A = activation(Z).\n\n"
    "Parameters\n----------\n"
    "A_prev : array_like, shape (n_in, m)\n"
    "    Inputs of the layer, one sample per column.\n"
    "W_curr : array_like, shape (n_out, n_in)\n"
    "    Weights.\n"
    "b_curr : array_like, shape (n_out, 1)\n"
    "    Biases.\n"
    "activation : str\n"
    "    Its name: \"relu\", \"sigmoid\", \"tanh\", …; any other word raises the list of names.\n\n"
    "Returns\n-------\n"
    "A_curr, Z_curr : numpy.ndarray, shape (n_out, m)\n"
    "    float32 where all three arrays are, else float64.\n\n"
    "Raises\n------\n"
    "ValueError\n"
    "    Where the shapes don't chain or the activation is unknown.\n"
    "TypeError\n"
    "    Where an array does not hold real numbers.\n\n"
    "Examples\n--------\n"
    ">>> import nnc\n"
    ">>> A, Z = nnc.single_layer_forward_propagation([[1], [2]], [[3, -4]], [[1]], \"relu\")\n"
    ">>> A, Z\n"
    "(array([[0.]]), array([[-4.]]))");

static PyObject *single_layer_forward_propagation(PyObject *Py_UNUSED(module), PyObject *args,
                                                  PyObject *kwargs)
{
    static char *names[] = {"A_prev", "W_curr", "b_curr", "activation", NULL};
    enum { A_PREV, W, B, COUNT };
    nnc_input in[COUNT] = {{.name = "A_prev"}, {.name = "W_curr"}, {.name = "b_curr"}};
    PyObject *name = NULL;
    nnc_activation activation = NNC_ACT_RELU;
    nnc_dtype dtype;
    PyArrayObject *a = NULL, *z = NULL;
    PyObject *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|O:single_layer_forward_propagation", names,
                                     &in[A_PREV].object, &in[W].object, &in[B].object, &name))
        return NULL;
    if (name && !nnc_find_activation(name, "activation", false, &activation)) return NULL;
    if (!nnc_read_inputs(in, COUNT, &dtype)) return NULL;
    if (!nnc_expect_matrix(&in[W], -1, -1)) goto done;
    npy_intp n_out = PyArray_DIM(in[W].array, 0), n_in = PyArray_DIM(in[W].array, 1);
    if (!nnc_expect_matrix(&in[A_PREV], n_in, -1)) goto done;
    if (!nnc_expect_matrix(&in[B], n_out, 1)) goto done;
    npy_intp shape[] = {n_out, PyArray_DIM(in[A_PREV].array, 1)};
    a = nnc_new_array(dtype, 2, shape);
    z = nnc_new_array(dtype, 2, shape);
    if (!a || !z) goto done;

    PyThreadState *gil = nnc_release_gil(SIZE(z) * (size_t)n_in);
    nnc_status status =
        nnc_forward(dtype, DATA(z), DATA(in[W].array), DATA(in[B].array), DATA(in[A_PREV].array),
                    (size_t)n_out, (size_t)n_in, (size_t)shape[1]);
    if (status == NNC_OK) nnc_activate(dtype, activation, DATA(a), DATA(z), SIZE(z));
    nnc_take_gil(gil);
    if (nnc_check(status)) result = PyTuple_Pack(2, a, z);
done:
    nnc_release_inputs(in, COUNT);
    Py_XDECREF(a);
    Py_XDECREF(z);
    return result;
}

/* (dA_prev, dW, db) from dZ; the inputs are read and checked against each other. */
static PyObject *layer_gradients_of(nnc_dtype dtype, const void *dz, nnc_input *w,
                                    nnc_input *a_prev, double divisor)
{
    npy_intp n_out = PyArray_DIM(w->array, 0), n_in = PyArray_DIM(w->array, 1);
    npy_intp bias_shape[] = {n_out, 1};
    PyObject *result = NULL;
    PyArrayObject *da_prev = nnc_new_like(dtype, a_prev->array);
    PyArrayObject *dw = nnc_new_like(dtype, w->array);
    PyArrayObject *db = nnc_new_array(dtype, 2, bias_shape);
    if (da_prev && dw && db) {
        PyThreadState *gil = nnc_release_gil(SIZE(da_prev) * (size_t)n_out);
        nnc_status status = nnc_backprop(dtype, DATA(da_prev), DATA(dw), DATA(db), dz,
                                         DATA(w->array), DATA(a_prev->array), divisor,
                                         (size_t)n_out, (size_t)n_in, DIM(a_prev->array, 1));
        nnc_take_gil(gil);
        if (nnc_check(status)) result = PyTuple_Pack(3, da_prev, dw, db);
    }
    Py_XDECREF(da_prev);
    Py_XDECREF(dw);
    Py_XDECREF(db);
    return result;
}

PyDoc_STRVAR(
    single_layer_backward_propagation_doc,
    "single_layer_backward_propagation($module, /, dA_curr, W_curr, b_curr, Z_curr, A_prev,\n"
    "                                  activation='relu')\n"
    "--\n\n"
    "One layer backward, from the gradient by its output to those by its input and parameters.\n\n"
    "With dZ = dA_curr * activation'(Z_curr) and m samples:\n"
    "dA_prev = W_curr.T dZ, dW = dZ A_prev.T / m, db = sum of dZ over samples / m.\n"
    "dA_curr and dA_prev belong to the loss summed over samples; the 1 / m of the mean enters\n"
    "only in dW and db. With no samples dW and db are 0.\n\n"
    "Parameters\n----------\n"
    "dA_curr : array_like, shape (n_out, m)\n"
    "    Gradient by the layer's output.\n"
    "W_curr : array_like, shape (n_out, n_in)\n"
    "    Weights.\n"
    "b_curr : array_like, shape (n_out, 1)\n"
    "    Biases; only their shape matters.\n"
    "Z_curr : array_like, shape (n_out, m)\n"
    "    What the activation was applied to.\n"
    "A_prev : array_like, shape (n_in, m)\n"
    "    Inputs of the layer.\n"
    "activation : str\n"
    "    Its name: \"relu\", \"sigmoid\", \"tanh\", …; any other word raises the list of names.\n\n"
    "Returns\n-------\n"
    "dA_prev, dW_curr, db_curr : numpy.ndarray\n"
    "    Shapes (n_in, m), (n_out, n_in), (n_out, 1); float32 where all arrays are, else\n"
    "    float64.\n\n"
    "Raises\n------\n"
    "ValueError\n"
    "    Where the shapes don't chain or the activation is unknown.\n"
    "TypeError\n"
    "    Where an array does not hold real numbers.\n\n"
    "Examples\n--------\n"
    ">>> import nnc\n"
    ">>> dA_prev, dW, db = nnc.single_layer_backward_propagation(\n"
    "...     [[2.0]], W_curr=[[3, -4]], b_curr=[[1]], Z_curr=[[5]], A_prev=[[1], [2]]\n"
    "... )\n"
    ">>> dW\n"
    "array([[2., 4.]])");

static PyObject *single_layer_backward_propagation(PyObject *Py_UNUSED(module), PyObject *args,
                                                   PyObject *kwargs)
{
    static char *names[] = {"dA_curr", "W_curr", "b_curr", "Z_curr", "A_prev", "activation", NULL};
    enum { DA, W, B, Z, A_PREV, COUNT };
    nnc_input in[COUNT] = {{.name = "dA_curr"},
                           {.name = "W_curr"},
                           {.name = "b_curr"},
                           {.name = "Z_curr"},
                           {.name = "A_prev"}};
    PyObject *name = NULL, *result = NULL;
    nnc_activation activation = NNC_ACT_RELU;
    nnc_dtype dtype;
    PyArrayObject *dz = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOO|O:single_layer_backward_propagation",
                                     names, &in[DA].object, &in[W].object, &in[B].object,
                                     &in[Z].object, &in[A_PREV].object, &name))
        return NULL;
    if (name && !nnc_find_activation(name, "activation", false, &activation)) return NULL;
    if (!nnc_read_inputs(in, COUNT, &dtype)) return NULL;
    if (!nnc_expect_matrix(&in[W], -1, -1)) goto done;
    npy_intp n_out = PyArray_DIM(in[W].array, 0), n_in = PyArray_DIM(in[W].array, 1);
    if (!nnc_expect_matrix(&in[A_PREV], n_in, -1)) goto done;
    npy_intp m = PyArray_DIM(in[A_PREV].array, 1);
    if (!nnc_expect_matrix(&in[DA], n_out, m) || !nnc_expect_matrix(&in[Z], n_out, m) ||
        !nnc_expect_matrix(&in[B], n_out, 1))
        goto done;
    dz = nnc_new_like(dtype, in[Z].array);
    if (!dz) goto done;
    nnc_activation_gradient(dtype, activation, DATA(dz), DATA(in[DA].array), DATA(in[Z].array),
                            SIZE(dz));
    result = layer_gradients_of(dtype, DATA(dz), &in[W], &in[A_PREV], (double)m);
done:
    nnc_release_inputs(in, COUNT);
    Py_XDECREF(dz);
    return result;
}

PyDoc_STRVAR(layer_gradients_doc,
             "layer_gradients($module, /, dZ, W, A_prev, divisor)\n--\n\n"
             "(dA_prev, dW, db) of a layer from dZ: W.T dZ, dZ A_prev.T / divisor and the row\n"
             "sums of dZ / divisor.");

static PyObject *layer_gradients(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dZ", "W", "A_prev", "divisor", NULL};
    enum { DZ, W, A_PREV, COUNT };
    nnc_input in[COUNT] = {{.name = "dZ"}, {.name = "W"}, {.name = "A_prev"}};
    double divisor;
    nnc_dtype dtype;
    PyObject *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOd:layer_gradients", names, &in[DZ].object,
                                     &in[W].object, &in[A_PREV].object, &divisor))
        return NULL;
    if (!nnc_read_inputs(in, COUNT, &dtype)) return NULL;
    if (nnc_expect_matrix(&in[W], -1, -1) &&
        nnc_expect_matrix(&in[A_PREV], PyArray_DIM(in[W].array, 1), -1) &&
        nnc_expect_matrix(&in[DZ], PyArray_DIM(in[W].array, 0), PyArray_DIM(in[A_PREV].array, 1)))
        result = layer_gradients_of(dtype, DATA(in[DZ].array), &in[W], &in[A_PREV], divisor);
    nnc_release_inputs(in, COUNT);
    return result;
}

/* ------------------------------------------------------------------------------- the output */

/* Reads (Y_hat, Y), two matrices of one shape; Y follows the dtype of Y_hat. */
static bool read_output(PyObject *args, PyObject *kwargs, const char *format, nnc_input in[2],
                        nnc_dtype *dtype)
{
    static char *names[] = {"Y_hat", "Y", NULL};
    in[0] = (nnc_input){.name = "Y_hat"};
    in[1] = (nnc_input){.name = "Y", .follows = true};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &in[0].object, &in[1].object))
        return false;
    if (!nnc_read_inputs(in, 2, dtype)) return false;
    if (nnc_expect_matrix(&in[0], -1, -1) && nnc_expect_like(&in[1], &in[0], false)) return true;
    nnc_release_inputs(in, 2);
    return false;
}

/* The cost, or the accuracy where accuracy is not NULL. */
static PyObject *score(nnc_input in[2], nnc_dtype dtype, bool accuracy)
{
    double value = 0;
    PyThreadState *gil = nnc_release_gil(SIZE(in[0].array));
    nnc_status status =
        nnc_score(dtype, NNC_LOSS_BCE, accuracy ? NULL : &value, accuracy ? &value : NULL,
                  DATA(in[0].array), DATA(in[1].array), DIM(in[0].array, 0), DIM(in[0].array, 1));
    nnc_take_gil(gil);
    nnc_release_inputs(in, 2);
    return nnc_check(status) ? PyFloat_FromDouble(value) : NULL;
}

PyDoc_STRVAR(
    get_cost_value_doc,
    "get_cost_value($module, /, Y_hat, Y)\n--\n\n"
    "The cross-entropy cost of probabilities.\n\n"
    "That is the mean over samples of -(Y log Y_hat + (1 - Y) log(1 - Y_hat)), summed over\n"
    "outputs.\n\n"
    "It stays finite at saturated outputs. Which logit a Y_hat of exactly 0 or 1 came from is\n"
    "lost by rounding, so the nearest numbers that are not saturated stand for it: a Y_hat of 0\n"
    "counts as the smallest normal number, and 1 - Y_hat of 0 as half the machine epsilon. A\n"
    "saturated output that is right costs 0. `train` computes the cost from the logits instead.\n\n"
    "Parameters\n----------\n"
    "Y_hat : array_like, shape (n_out, m)\n"
    "    Predicted probabilities; their dtype decides that of the computation.\n"
    "Y : array_like, shape (n_out, m)\n"
    "    Labels, 0 or 1.\n\n"
    "Returns\n-------\n"
    "float\n"
    "    NaN where there are no samples, or where Y_hat lies outside [0, 1].\n\n"
    "Raises\n------\n"
    "ValueError, TypeError\n"
    "    Where the shapes differ, or an argument does not hold real numbers.\n\n"
    "Examples\n--------\n"
    ">>> import nnc\n"
    ">>> round(nnc.get_cost_value([[0.9, 0.2]], [[1, 0]]), 4)\n"
    "0.1643");

static PyObject *get_cost_value(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    nnc_input in[2];
    nnc_dtype dtype;
    if (!read_output(args, kwargs, "OO:get_cost_value", in, &dtype)) return NULL;
    return score(in, dtype, false);
}

PyDoc_STRVAR(
    get_accuracy_value_doc,
    "get_accuracy_value($module, /, Y_hat, Y)\n--\n\n"
    "The fraction of samples whose classes are all right, with class 1 where Y_hat > 0.5.\n\n"
    "Parameters\n----------\n"
    "Y_hat : array_like, shape (n_out, m)\n"
    "    Predicted probabilities.\n"
    "Y : array_like, shape (n_out, m)\n"
    "    Labels, 0 or 1.\n\n"
    "Returns\n-------\n"
    "float\n"
    "    Between 0 and 1; NaN where there are no samples.\n\n"
    "Raises\n------\n"
    "ValueError, TypeError\n"
    "    Where the shapes differ, or an argument does not hold real numbers.\n\n"
    "Examples\n--------\n"
    ">>> import nnc\n"
    ">>> nnc.get_accuracy_value([[0.9, 0.8]], [[1, 0]])\n"
    "0.5");

static PyObject *get_accuracy_value(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    nnc_input in[2];
    nnc_dtype dtype;
    if (!read_output(args, kwargs, "OO:get_accuracy_value", in, &dtype)) return NULL;
    return score(in, dtype, true);
}

PyDoc_STRVAR(
    output_gradient_doc,
    "output_gradient($module, /, Y_hat, Y, activation, Z=None)\n--\n\n"
    "dZ of the output layer for the cross-entropy summed over samples. Z, the argument of\n"
    "the activation, is needed where its derivative does not follow from Y_hat.");

static PyObject *output_gradient(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"Y_hat", "Y", "activation", "Z", NULL};
    nnc_input in[] = {
        {.name = "Y_hat"}, {.name = "Y", .follows = true}, {.name = "Z", .follows = true}};
    PyObject *name;
    nnc_activation activation;
    nnc_dtype dtype;
    PyArrayObject *dz = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO|O:output_gradient", names, &in[0].object,
                                     &in[1].object, &name, &in[2].object))
        return NULL;
    if (!nnc_find_activation(name, "activation", false, &activation)) return NULL;
    bool of_z = nnc_is_of_z(activation);
    size_t n = of_z ? 3 : 2;
    if (of_z && (!in[2].object || in[2].object == Py_None)) {
        PyErr_Format(PyExc_ValueError,
                     "Z: the derivative of %R does not follow from Y_hat, pass Z too", name);
        return NULL;
    }
    if (!nnc_read_inputs(in, n, &dtype)) return NULL;
    if (!nnc_expect_matrix(&in[0], -1, -1) || !nnc_expect_like(&in[1], &in[0], false)) goto done;
    if (of_z && !nnc_expect_like(&in[2], &in[0], false)) goto done;
    dz = nnc_new_like(dtype, in[0].array);
    if (dz)
        nnc_output_gradient(dtype, NNC_LOSS_BCE, activation, DATA(dz), DATA(in[0].array),
                            of_z ? DATA(in[2].array) : NULL, DATA(in[1].array), SIZE(dz));
done:
    nnc_release_inputs(in, n);
    return (PyObject *)dz;
}

/* --------------------------------------------------------------------------------- updates */

typedef struct {
    PyArrayObject *params; /* borrowed */
    nnc_input grads;
    nnc_dtype dtype;
    char param_name[40], grad_name[40];
} update_pair;

static bool read_pair(update_pair *pair, PyObject *params, PyObject *grads, const char *key)
{
    PyOS_snprintf(pair->param_name, sizeof pair->param_name, "params_values['%s']", key);
    PyOS_snprintf(pair->grad_name, sizeof pair->grad_name, "grads_values['d%s']", key);
    pair->params = nnc_writable(params, pair->param_name, 2, &pair->dtype);
    if (!pair->params) return false;
    pair->grads = (nnc_input){.name = pair->grad_name, .object = grads};
    return nnc_read_inputs_as(&pair->grads, 1, pair->dtype) &&
           nnc_expect_matrix(&pair->grads, PyArray_DIM(pair->params, 0),
                             PyArray_DIM(pair->params, 1));
}

/* Gradients that share memory with parameters are read before any of these are written. */
static bool separate(update_pair *pairs, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        for (Py_ssize_t j = 0; j < n; j++) {
            PyArrayObject *grads = pairs[i].grads.array;
            bool same = i != j && DATA(grads) == DATA(pairs[j].params);
            if (!same && !nnc_overlap(grads, pairs[j].params)) continue;
            PyObject *copy = PyArray_NewCopy(grads, NPY_CORDER);
            if (!copy) return false;
            Py_SETREF(pairs[i].grads.array, (PyArrayObject *)copy);
        }
    }
    return true;
}

PyDoc_STRVAR(update_doc,
             "update($module, params, grads, keys, learning_rate, /)\n--\n\n"
             "params[k] -= learning_rate * grads[k], in place, for lists of arrays that the keys\n"
             "name. All are checked before one is written.");

static PyObject *update(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *params, *grads, *keys, *result = NULL;
    double rate;
    if (!PyArg_ParseTuple(args, "O!O!O!d:update", &PyList_Type, &params, &PyList_Type, &grads,
                          &PyList_Type, &keys, &rate))
        return NULL;
    Py_ssize_t n = PyList_GET_SIZE(params);
    if (PyList_GET_SIZE(grads) != n || PyList_GET_SIZE(keys) != n) {
        PyErr_SetString(PyExc_ValueError, "params, grads and keys differ in length");
        return NULL;
    }
    update_pair *pairs = PyMem_Calloc((size_t)n + 1, sizeof *pairs);
    if (!pairs) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n; i++) {
        const char *key = PyUnicode_AsUTF8(PyList_GET_ITEM(keys, i));
        if (!key ||
            !read_pair(&pairs[i], PyList_GET_ITEM(params, i), PyList_GET_ITEM(grads, i), key))
            goto done;
    }
    if (!separate(pairs, n)) goto done;
    for (Py_ssize_t i = 0; i < n; i++)
        nnc_update(pairs[i].dtype, DATA(pairs[i].params), DATA(pairs[i].grads.array), rate,
                   SIZE(pairs[i].params));
    result = Py_NewRef(Py_None);
done:
    for (Py_ssize_t i = 0; i < n; i++) nnc_release_inputs(&pairs[i].grads, 1);
    PyMem_Free(pairs);
    return result;
}

PyMethodDef nnc_step_methods[] = {
    NNC_METHOD(single_layer_forward_propagation),
    NNC_METHOD(single_layer_backward_propagation),
    NNC_METHOD(layer_gradients),
    NNC_METHOD(get_cost_value),
    NNC_METHOD(get_accuracy_value),
    NNC_METHOD(output_gradient),
    {"update", update, METH_VARARGS, update_doc},
    {NULL},
};
