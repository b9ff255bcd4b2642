/* arrays.c - the only file that looks at arrays: their dtype, byte order, strides, shape and
 * overlap. Inputs are converted where needed; what is written in place never is. */
#include "bind/module.h"

static const int type_numbers[NNC_DTYPE_COUNT] = {[NNC_F32] = NPY_FLOAT32, [NNC_F64] = NPY_FLOAT64};

/* Puts "name: " before the message of the exception now set, where it is a plain TypeError or
 * ValueError: others may not be made from a message. */
static void name_the_error(const char *name)
{
    PyObject *raised = PyErr_Occurred();
    if (raised != PyExc_TypeError && raised != PyExc_ValueError) return;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyErr_Format(type, "%s: %S", name, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
}

/* An array of real numbers of any dtype. */
static PyArrayObject *read_numbers(const char *name, PyObject *object)
{
    if (PyArray_Check(object) && !PyArray_CheckExact(object) &&
        PyObject_HasAttrString(object, "filled")) {
        PyErr_Format(PyExc_TypeError,
                     "%s: got a masked array: pass %s.filled(value) or drop the masked", name,
                     name);
        return NULL;
    }
    PyObject *array = PyArray_FromAny(object, NULL, 0, 0, NPY_ARRAY_ENSUREARRAY, NULL);
    if (!array) {
        name_the_error(name);
        return NULL;
    }
    int type = PyArray_TYPE((PyArrayObject *)array);
    if (!PyTypeNum_ISBOOL(type) && !PyTypeNum_ISINTEGER(type) && !PyTypeNum_ISFLOAT(type)) {
        PyErr_Format(PyExc_TypeError, "%s: expected an array of real numbers, got dtype %S", name,
                     PyArray_DESCR((PyArrayObject *)array));
        Py_DECREF(array);
        return NULL;
    }
    return (PyArrayObject *)array;
}

static bool convert(nnc_input *input, nnc_dtype dtype)
{
    int flags = NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED | NPY_ARRAY_FORCECAST;
    if (!input->strided) flags |= NPY_ARRAY_C_CONTIGUOUS;
    PyArray_Descr *descr = PyArray_DescrFromType(type_numbers[dtype]);
    PyObject *array = PyArray_FromArray(input->array, descr, flags); /* steals descr */
    Py_SETREF(input->array, (PyArrayObject *)array);
    return array != NULL;
}

static bool read_all(nnc_input *inputs, size_t n)
{
    for (size_t i = 0; i < n; i++) inputs[i].array = NULL;
    for (size_t i = 0; i < n; i++) {
        inputs[i].array = read_numbers(inputs[i].name, inputs[i].object);
        if (!inputs[i].array) {
            nnc_release_inputs(inputs, n);
            return false;
        }
    }
    return true;
}

static bool convert_all(nnc_input *inputs, size_t n, nnc_dtype dtype)
{
    for (size_t i = 0; i < n; i++) {
        if (!convert(&inputs[i], dtype)) {
            nnc_release_inputs(inputs, n);
            return false;
        }
    }
    return true;
}

bool nnc_read_inputs(nnc_input *inputs, size_t n, nnc_dtype *dtype)
{
    if (!read_all(inputs, n)) return false;
    *dtype = NNC_F32;
    for (size_t i = 0; i < n; i++)
        if (!inputs[i].follows && PyArray_TYPE(inputs[i].array) != NPY_FLOAT32) *dtype = NNC_F64;
    return convert_all(inputs, n, *dtype);
}

bool nnc_read_inputs_as(nnc_input *inputs, size_t n, nnc_dtype dtype)
{
    return read_all(inputs, n) && convert_all(inputs, n, dtype);
}

/* What the core reads as it is; NNC_ELEMENT_COUNT for what it doesn't. */
static nnc_element element_of(PyArrayObject *array)
{
    static const int numbers[NNC_ELEMENT_COUNT] = {NPY_VOID,   NPY_FLOAT32, NPY_FLOAT64, NPY_INT8,
                                                   NPY_UINT8,  NPY_INT16,   NPY_UINT16,  NPY_INT32,
                                                   NPY_UINT32, NPY_INT64,   NPY_UINT64};
    if (!PyArray_ISALIGNED(array) || !PyArray_ISNOTSWAPPED(array)) return NNC_ELEMENT_COUNT;
    for (int i = 0; i < PyArray_NDIM(array); i++)
        if (PyArray_STRIDE(array, i) % PyArray_ITEMSIZE(array)) return NNC_ELEMENT_COUNT;
    int i = NNC_ELEMENT_F32;
    while (i < NNC_ELEMENT_COUNT && !PyArray_EquivTypenums(numbers[i], PyArray_TYPE(array))) i++;
    return (nnc_element)i;
}

bool nnc_read_samples(nnc_input *x, nnc_dtype dtype, nnc_data *data)
{
    if (!read_all(x, 1)) return false;
    data->x_type = NNC_ELEMENT_REAL;
    if (PyArray_TYPE(x->array) != type_numbers[dtype]) data->x_type = element_of(x->array);
    if (data->x_type == NNC_ELEMENT_COUNT || data->x_type == NNC_ELEMENT_REAL) {
        data->x_type = NNC_ELEMENT_REAL;
        if (!convert(x, dtype)) return false;
    }
    if (PyArray_NDIM(x->array) != 2) return true; /* the caller refuses it */
    npy_intp item = PyArray_ITEMSIZE(x->array);
    data->x = PyArray_DATA(x->array);
    data->x_sample = PyArray_STRIDE(x->array, 0) / item;
    data->x_feature = PyArray_STRIDE(x->array, 1) / item;
    data->m = (size_t)PyArray_DIM(x->array, 0);
    return true;
}

bool nnc_read_labels(nnc_input *y, nnc_dtype dtype, bool *classes)
{
    if (!read_all(y, 1)) return false;
    *classes = PyArray_NDIM(y->array) == 1 && PyArray_TYPE(y->array) == NPY_INT64;
    if (!*classes) return convert(y, dtype);
    PyArray_Descr *descr = PyArray_DescrFromType(NPY_INT64);
    PyObject *array = PyArray_FromArray(y->array, descr, NPY_ARRAY_CARRAY_RO);
    Py_SETREF(y->array, (PyArrayObject *)array);
    return array != NULL;
}

bool nnc_expect_classes(const nnc_input *y, npy_intp m, npy_intp n_classes)
{
    if (!nnc_expect_vector(y, m)) return false;
    const npy_int64 *classes = PyArray_DATA(y->array);
    for (npy_intp i = 0; i < m; i++) {
        if (classes[i] >= 0 && classes[i] < n_classes) continue;
        PyErr_Format(PyExc_ValueError, "%s: expected classes from 0 to %zd, got %lld in row %zd",
                     y->name, (Py_ssize_t)n_classes - 1, (long long)classes[i], (Py_ssize_t)i);
        return false;
    }
    return true;
}

void nnc_attach_labels(nnc_data *data, PyArrayObject *y, bool classes)
{
    if (classes) {
        data->classes = PyArray_DATA(y);
        return;
    }
    npy_intp item = PyArray_ITEMSIZE(y);
    data->y = PyArray_DATA(y);
    data->y_sample = PyArray_STRIDE(y, 0) / item;
    data->y_feature = PyArray_STRIDE(y, 1) / item;
}

void nnc_release_inputs(nnc_input *inputs, size_t n)
{
    for (size_t i = 0; i < n; i++) Py_CLEAR(inputs[i].array);
}

PyArrayObject *nnc_read_words(PyObject *object)
{
    PyArray_Descr *descr = PyArray_DescrFromType(NPY_UINT32);
    return (PyArrayObject *)PyArray_FromAny(object, descr, 1, 1, NPY_ARRAY_CARRAY_RO, NULL);
}

/* "(2, 900)", as Python writes a shape */
static PyObject *shape_text(PyArrayObject *array)
{
    PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");
    PyObject *text = shape ? PyObject_Str(shape) : NULL;
    Py_XDECREF(shape);
    return text;
}

static bool fits(npy_intp got, npy_intp expected)
{
    return expected < 0 || got == expected;
}

bool nnc_expect_matrix(const nnc_input *input, npy_intp rows, npy_intp cols)
{
    PyArrayObject *array = input->array;
    const npy_intp *shape = PyArray_DIMS(array);
    int ndim = PyArray_NDIM(array);
    if (ndim == 2 && fits(shape[0], rows) && fits(shape[1], cols)) return true;

    char expected[64], r[24] = "any", c[24] = "any";
    if (rows >= 0) PyOS_snprintf(r, sizeof r, "%zd", (Py_ssize_t)rows);
    if (cols >= 0) PyOS_snprintf(c, sizeof c, "%zd", (Py_ssize_t)cols);
    PyOS_snprintf(expected, sizeof expected, "(%s, %s)", r, c);
    PyObject *got = shape_text(array);
    if (!got) return false;
    if (ndim == 2 && fits(shape[1], rows) && fits(shape[0], cols))
        PyErr_Format(PyExc_ValueError, "%s: expected shape %s, got %U: pass %s.T", input->name,
                     expected, got, input->name);
    else if (ndim == 1 && cols == 1 && fits(shape[0], rows))
        PyErr_Format(PyExc_ValueError, "%s: expected shape %s, got %U: pass %s.reshape(-1, 1)",
                     input->name, expected, got, input->name);
    else if (ndim == 1 && (rows == 1 || rows < 0) && fits(shape[0], cols))
        PyErr_Format(PyExc_ValueError, "%s: expected shape %s, got %U: pass %s.reshape(1, -1)",
                     input->name, expected, got, input->name);
    else
        PyErr_Format(PyExc_ValueError, "%s: expected shape %s, got %U", input->name, expected, got);
    Py_DECREF(got);
    return false;
}

bool nnc_expect_vector(const nnc_input *input, npy_intp n)
{
    if (PyArray_NDIM(input->array) == 1 && PyArray_DIM(input->array, 0) == n) return true;
    PyObject *got = shape_text(input->array);
    if (got)
        PyErr_Format(PyExc_ValueError, "%s: expected shape (%zd,), got %U", input->name,
                     (Py_ssize_t)n, got);
    Py_XDECREF(got);
    return false;
}

bool nnc_expect_like(nnc_input *input, const nnc_input *other, bool repeat)
{
    if (PyArray_SAMESHAPE(input->array, other->array)) return true;
    if (repeat && PyArray_NDIM(input->array) == 0) {
        PyArrayObject *whole =
            (PyArrayObject *)PyArray_NewLikeArray(other->array, NPY_CORDER, NULL, 0);
        if (!whole || PyArray_CopyInto(whole, input->array) < 0) {
            Py_XDECREF(whole);
            return false;
        }
        Py_SETREF(input->array, whole);
        return true;
    }
    if (PyArray_NDIM(other->array) == 2)
        return nnc_expect_matrix(input, PyArray_DIM(other->array, 0), PyArray_DIM(other->array, 1));
    PyObject *got = shape_text(input->array), *expected = shape_text(other->array);
    if (got && expected)
        PyErr_Format(PyExc_ValueError, "%s: expected the shape of %s, %U, got %U", input->name,
                     other->name, expected, got);
    Py_XDECREF(got);
    Py_XDECREF(expected);
    return false;
}

PyArrayObject *nnc_new_array(nnc_dtype dtype, int ndim, const npy_intp *shape)
{
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, type_numbers[dtype]);
}

PyArrayObject *nnc_new_like(nnc_dtype dtype, PyArrayObject *array)
{
    return nnc_new_array(dtype, PyArray_NDIM(array), PyArray_DIMS(array));
}

PyObject *nnc_new_indices(const size_t *indices, size_t n)
{
    npy_intp size = (npy_intp)n;
    PyObject *array = PyArray_SimpleNew(1, &size, NPY_INTP);
    npy_intp *places = array ? PyArray_DATA((PyArrayObject *)array) : NULL;
    for (size_t i = 0; places && i < n; i++) places[i] = (npy_intp)indices[i];
    return array;
}

PyObject *nnc_view(nnc_dtype dtype, npy_intp n, void *data, PyObject *owner)
{
    PyObject *view = PyArray_SimpleNewFromData(1, &n, type_numbers[dtype], data);
    if (!view) return NULL;
    Py_INCREF(owner);
    if (PyArray_SetBaseObject((PyArrayObject *)view, owner) < 0) Py_CLEAR(view); /* steals owner */
    return view;
}

PyObject *nnc_head(PyArrayObject *vector, size_t n)
{
    return PySequence_GetSlice((PyObject *)vector, 0, (Py_ssize_t)n);
}

/* Matrices whose samples lie along that axis. */
static nnc_data data_along(int samples, PyArrayObject *x, PyArrayObject *y)
{
    npy_intp item = PyArray_ITEMSIZE(x);
    int features = 1 - samples;
    nnc_data data = {.x = PyArray_DATA(x),
                     .x_sample = PyArray_STRIDE(x, samples) / item,
                     .x_feature = PyArray_STRIDE(x, features) / item,
                     .m = (size_t)PyArray_DIM(x, samples)};
    if (y) {
        data.y = PyArray_DATA(y);
        data.y_sample = PyArray_STRIDE(y, samples) / item;
        data.y_feature = PyArray_STRIDE(y, features) / item;
    }
    return data;
}

nnc_data nnc_rows(PyArrayObject *x, PyArrayObject *y)
{
    return data_along(0, x, y);
}

nnc_data nnc_columns(PyArrayObject *x, PyArrayObject *y)
{
    return data_along(1, x, y);
}

bool nnc_is_row(PyObject *object, nnc_dtype dtype, npy_intp n)
{
    if (!PyArray_CheckExact(object)) return false;
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_NDIM(array) == 1 && PyArray_DIM(array, 0) == n &&
           PyArray_TYPE(array) == type_numbers[dtype] && PyArray_ISCARRAY_RO(array);
}

bool nnc_find_dtype(const char *name, nnc_dtype *dtype)
{
#define NAME(id, type, numpy_name) [id] = numpy_name,
    static const char *const names[NNC_DTYPE_COUNT] = {NNC_DTYPE_LIST(NAME)};
#undef NAME
    for (int i = 0; i < NNC_DTYPE_COUNT; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *dtype = (nnc_dtype)i;
        return true;
    }
    PyErr_Format(PyExc_ValueError, "dtype: expected float32 or float64, got '%s'", name);
    return false;
}

PyArrayObject *nnc_writable(PyObject *object, const char *name, int ndim, nnc_dtype *dtype)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a NumPy array to write in place, got %s", name,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    int type = PyArray_TYPE(array);
    if ((type != NPY_FLOAT32 && type != NPY_FLOAT64) || !PyArray_ISNOTSWAPPED(array)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: written in place, so expected dtype float32 or float64 in native byte "
                     "order, got %S",
                     name, PyArray_DESCR(array));
        return NULL;
    }
    if (!PyArray_ISWRITEABLE(array)) {
        PyErr_Format(PyExc_ValueError, "%s: written in place, but the array is read-only", name);
        return NULL;
    }
    if (!PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISALIGNED(array)) {
        PyErr_Format(PyExc_ValueError,
                     "%s: written in place, so expected an aligned array in C order: pass "
                     "numpy.ascontiguousarray of it",
                     name);
        return NULL;
    }
    if (ndim >= 0 && PyArray_NDIM(array) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s: expected %d dimension(s), got %d", name, ndim,
                     PyArray_NDIM(array));
        return NULL;
    }
    *dtype = type == NPY_FLOAT32 ? NNC_F32 : NNC_F64;
    return array;
}

bool nnc_overlap(PyArrayObject *a, PyArrayObject *b)
{
    const char *a_start = PyArray_BYTES(a), *b_start = PyArray_BYTES(b);
    const char *a_end = a_start + PyArray_NBYTES(a), *b_end = b_start + PyArray_NBYTES(b);
    return a_start != b_start && a_start < b_end && b_start < a_end;
}
