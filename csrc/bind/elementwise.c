/* elementwise.c - functions that take each element on its own: activations, their derivatives,
 * classes, and the functions of NNC_FUNCTION_LIST. Each function reads and checks all of its
 * arguments, lets go of the GIL where there is much to do, and calls one or two verbs of the core.
 */
#include "bind/module.h"

#define SIZE(array) ((size_t)PyArray_SIZE(array))
#define DATA(array) PyArray_DATA(array)

/* ------------------------------------------------------------------------------ functions */

PyDoc_STRVAR(
    map_doc,
    "map($module, name, X, /)\n--\n\n"
    "The function of that name, one of FUNCTIONS, element by element: within 1 unit in the\n"
    "last place for exp, 2 for the others. NaN stays NaN.");

static PyObject *map(PyObject *Py_UNUSED(module), PyObject *args)
{
    nnc_input in = {.name = "X"};
    PyObject *name;
    nnc_function function;
    nnc_dtype dtype;
    if (!PyArg_ParseTuple(args, "OO:map", &name, &in.object)) return NULL;
    if (!nnc_find_function(name, &function)) return NULL;
    if (!nnc_read_inputs(&in, 1, &dtype)) return NULL;
    PyArrayObject *y = nnc_new_like(dtype, in.array);
    if (y) {
        PyThreadState *gil = nnc_release_gil(SIZE(y));
        nnc_map(dtype, function, DATA(y), DATA(in.array), SIZE(y));
        nnc_take_gil(gil);
    }
    nnc_release_inputs(&in, 1);
    return y ? PyArray_Return(y) : NULL;
}

/* ---------------------------------------------------------------------------- activations */

static PyObject *activate(PyObject *args, PyObject *kwargs, const char *format,
                          nnc_activation activation)
{
    static char *names[] = {"Z", NULL};
    nnc_input in = {.name = "Z"};
    nnc_dtype dtype;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &in.object)) return NULL;
    if (!nnc_read_inputs(&in, 1, &dtype)) return NULL;
    PyArrayObject *a = nnc_new_like(dtype, in.array);
    if (a) {
        PyThreadState *gil = nnc_release_gil(SIZE(a));
        nnc_activate(dtype, activation, DATA(a), DATA(in.array), SIZE(a));
        nnc_take_gil(gil);
    }
    nnc_release_inputs(&in, 1);
    return a ? PyArray_Return(a) : NULL;
}

static PyObject *activate_backward(PyObject *args, PyObject *kwargs, const char *format,
                                   nnc_activation activation)
{
    static char *names[] = {"dA", "Z", NULL};
    nnc_input in[] = {{.name = "dA"}, {.name = "Z"}};
    nnc_dtype dtype;
    PyArrayObject *dz = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &in[0].object, &in[1].object))
        return NULL;
    if (!nnc_read_inputs(in, 2, &dtype)) return NULL;
    if (!nnc_expect_like(&in[0], &in[1], true)) goto done;
    dz = nnc_new_like(dtype, in[1].array);
    if (!dz) goto done;
    PyThreadState *gil = nnc_release_gil(SIZE(dz));
    nnc_activation_gradient(dtype, activation, DATA(dz), DATA(in[0].array), DATA(in[1].array),
                            SIZE(dz));
    nnc_take_gil(gil);
done:
    nnc_release_inputs(in, 2);
    return dz ? PyArray_Return(dz) : NULL;
}

PyDoc_STRVAR(sigmoid_doc,
             "sigmoid($module, /, Z)\n--\n\n"
             "The logistic function 1 / (1 + exp(-Z)), element by element.\n\n"
             "It never overflows: for negative Z it is exp(Z) / (1 + exp(Z)).\n\n"
             "Parameters\n----------\n"
             "Z : array_like\n"
             "    Real numbers of any shape; float32 stays float32, all else becomes float64.\n\n"
             "Returns\n-------\n"
             "A : numpy.ndarray\n"
             "    The shape of Z; a scalar where Z is one. NaN stays NaN.\n\n"
             "Raises\n------\n"
             "TypeError\n"
             "    Where Z does not hold real numbers.\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.sigmoid([-1000, 0, 1000])\n"
             "array([0. , 0.5, 1. ])");

static PyObject *sigmoid(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    return activate(args, kwargs, "O:sigmoid", NNC_ACT_SIGMOID);
}

PyDoc_STRVAR(relu_doc,
             "relu($module, /, Z)\n--\n\n"
             "The rectified linear unit max(0, Z), element by element.\n\n"
             "Parameters\n----------\n"
             "Z : array_like\n"
             "    Real numbers of any shape; float32 stays float32, all else becomes float64.\n\n"
             "Returns\n-------\n"
             "A : numpy.ndarray\n"
             "    The shape of Z; a scalar where Z is one. NaN stays NaN.\n\n"
             "Raises\n------\n"
             "TypeError\n"
             "    Where Z does not hold real numbers.\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.relu([-2, 0, 3])\n"
             "array([0., 0., 3.])");

static PyObject *relu(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    return activate(args, kwargs, "O:relu", NNC_ACT_RELU);
}

PyDoc_STRVAR(sigmoid_backward_doc,
             "sigmoid_backward($module, /, dA, Z)\n--\n\n"
             "The gradient by Z, given the gradient dA by A = sigmoid(Z): dA * A * (1 - A).\n\n"
             "Parameters\n----------\n"
             "dA : array_like\n"
             "    Gradient by A: the shape of Z, or one number.\n"
             "Z : array_like\n"
             "    What the activation was applied to.\n\n"
             "Returns\n-------\n"
             "dZ : numpy.ndarray\n"
             "    The shape of Z; float32 where dA and Z both are, else float64.\n\n"
             "Raises\n------\n"
             "ValueError, TypeError\n"
             "    Where the shapes differ, or an argument does not hold real numbers.\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.sigmoid_backward(dA=1.0, Z=[0, 1000])\n"
             "array([0.25, 0.  ])");

static PyObject *sigmoid_backward(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    return activate_backward(args, kwargs, "OO:sigmoid_backward", NNC_ACT_SIGMOID);
}

PyDoc_STRVAR(relu_backward_doc,
             "relu_backward($module, /, dA, Z)\n--\n\n"
             "The gradient by Z, given the gradient dA by A = relu(Z): dA where Z > 0, else 0.\n\n"
             "At Z = 0, where relu has a kink, the gradient is 0. Where Z is NaN, dA passes.\n\n"
             "Parameters\n----------\n"
             "dA : array_like\n"
             "    Gradient by A: the shape of Z, or one number.\n"
             "Z : array_like\n"
             "    What the activation was applied to.\n\n"
             "Returns\n-------\n"
             "dZ : numpy.ndarray\n"
             "    The shape of Z; float32 where dA and Z both are, else float64. A new array.\n\n"
             "Raises\n------\n"
             "ValueError, TypeError\n"
             "    Where the shapes differ, or an argument does not hold real numbers.\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.relu_backward(dA=[1, 2, 3], Z=[-2, 0, 3])\n"
             "array([0., 0., 3.])");

static PyObject *relu_backward(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    return activate_backward(args, kwargs, "OO:relu_backward", NNC_ACT_RELU);
}

PyDoc_STRVAR(activation_gradient_doc,
             "activation_gradient($module, /, dA, A, activation)\n--\n\n"
             "dA * f'(Z), with the derivative of the activation in terms of A = f(Z).");

static PyObject *activation_gradient(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dA", "A", "activation", NULL};
    nnc_input in[] = {{.name = "dA"}, {.name = "A"}};
    PyObject *name;
    nnc_activation activation;
    nnc_dtype dtype;
    PyArrayObject *dz = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOO:activation_gradient", names, &in[0].object,
                                     &in[1].object, &name))
        return NULL;
    if (!nnc_find_activation(name, "activation", false, &activation)) return NULL;
    if (nnc_is_of_z(activation)) {
        PyErr_Format(PyExc_ValueError,
                     "activation: the derivative of %R does not follow from A, call "
                     "single_layer_backward_propagation with Z",
                     name);
        return NULL;
    }
    if (!nnc_read_inputs(in, 2, &dtype)) return NULL;
    if (!nnc_expect_like(&in[0], &in[1], false)) goto done;
    dz = nnc_new_like(dtype, in[1].array);
    if (!dz) goto done;
    nnc_activate_backward(dtype, activation, DATA(dz), DATA(in[0].array), DATA(in[1].array),
                          SIZE(dz));
done:
    nnc_release_inputs(in, 2);
    return dz ? PyArray_Return(dz) : NULL;
}

/* -------------------------------------------------------------------------------- classes */

PyDoc_STRVAR(convert_prob_into_class_doc,
             "convert_prob_into_class($module, /, probs)\n--\n\n"
             "1 where a probability is above 0.5, else 0, in a new array.\n\n"
             "Parameters\n----------\n"
             "probs : array_like\n"
             "    Probabilities, any shape.\n\n"
             "Returns\n-------\n"
             "numpy.ndarray\n"
             "    The shape of probs; float32 stays float32, all else becomes float64. NaN stays\n"
             "    NaN.\n\n"
             "Raises\n------\n"
             "TypeError\n"
             "    Where probs does not hold real numbers.\n\n"
             "Examples\n--------\n"
             ">>> import nnc\n"
             ">>> nnc.convert_prob_into_class([0.1, 0.5, 0.9])\n"
             "array([0., 0., 1.])");

static PyObject *convert_prob_into_class(PyObject *Py_UNUSED(module), PyObject *args,
                                         PyObject *kwargs)
{
    static char *names[] = {"probs", NULL};
    nnc_input in = {.name = "probs"};
    nnc_dtype dtype;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:convert_prob_into_class", names, &in.object))
        return NULL;
    if (!nnc_read_inputs(&in, 1, &dtype)) return NULL;
    PyArrayObject *class = nnc_new_like(dtype, in.array);
    if (class) nnc_classify(dtype, DATA(class), DATA(in.array), SIZE(class));
    nnc_release_inputs(&in, 1);
    return class ? PyArray_Return(class) : NULL;
}

PyMethodDef nnc_elementwise_methods[] = {
    {"map", map, METH_VARARGS, map_doc},
    NNC_METHOD(sigmoid),
    NNC_METHOD(relu),
    NNC_METHOD(sigmoid_backward),
    NNC_METHOD(relu_backward),
    NNC_METHOD(activation_gradient),
    NNC_METHOD(convert_prob_into_class),
    {NULL},
};
