/* load.c - see load.h.
 *
 * x of the network's own dtype goes straight into its place. Other x is converted some features at
 * a time, samples as rows, and goes on from there in the same way. */
#include "core/load.h"

#include "core/base.h"

/* Features that are converted at a time. */
enum { BLOCK = 64 };

/* to (n) = x, whose elements are stride apart: as nnc.h says of x. */
#define DEFINE_CONVERT_TO(name, type, real)                                                  \
    static void name(real *to, const type *x, ptrdiff_t stride, double scale, ptrdiff_t n)   \
    {                                                                                        \
        if (scale != 0)                                                                      \
            for (ptrdiff_t i = 0; i < n; i++) to[i] = (real)((double)x[i * stride] * scale); \
        else                                                                                 \
            for (ptrdiff_t i = 0; i < n; i++) to[i] = (real)x[i * stride];                   \
    }
#define DEFINE_CONVERT(suffix, type, ...)             \
    DEFINE_CONVERT_TO(suffix##_to_float, type, float) \
    DEFINE_CONVERT_TO(suffix##_to_double, type, double)

NNC_NUMBER_LIST(DEFINE_CONVERT)

/* to (n), of the dtype, = x from its element `offset` on. */
static void convert(nnc_dtype dtype, void *to, const void *x, nnc_element type, ptrdiff_t offset,
                    ptrdiff_t stride, double scale, size_t n)
{
#define CONVERT(suffix, type, ...)                                                         \
    case NNC_ELEMENT_##suffix:                                                             \
        if (dtype == NNC_F32)                                                              \
            suffix##_to_float(to, (const type *)x + offset, stride, scale, (ptrdiff_t)n);  \
        else                                                                               \
            suffix##_to_double(to, (const type *)x + offset, stride, scale, (ptrdiff_t)n); \
        break;
    switch (type) {
        NNC_NUMBER_LIST(CONVERT)
        default:
            break;
    }
#undef CONVERT
}

static void load_x(const nnc_load_place *to, const nnc_data *data, const size_t *index, size_t cols)
{
    const nnc_dtype dtype = to->dtype;
    const nnc_element own = dtype == NNC_F32 ? NNC_ELEMENT_F32 : NNC_ELEMENT_F64;
    const nnc_element type = data->x_type == NNC_ELEMENT_REAL ? own : data->x_type;
    if (type == own && data->x_scale == 0) {
        to->kernels->gather(to->x, data->x, index, to->n_in, cols, data->x_feature, data->x_sample,
                            to->ld);
        return;
    }
    const size_t item = nnc_dtype_size(dtype);
    double rows[NNC_PANEL * BLOCK]; /* of either dtype */
    size_t places[NNC_PANEL];
    for (size_t j = 0; j < cols; j++) places[j] = j;
    for (size_t start = 0; start < to->n_in; start += BLOCK) {
        size_t features = nnc_min(to->n_in - start, BLOCK);
        for (size_t j = 0; j < cols; j++)
            convert(dtype, (char *)rows + j * BLOCK * item, data->x, type,
                    (ptrdiff_t)index[j] * data->x_sample + (ptrdiff_t)start * data->x_feature,
                    data->x_feature, data->x_scale, features);
        to->kernels->gather((char *)to->x + start * to->ld * item, rows, places, features, cols, 1,
                            BLOCK, to->ld);
    }
}

static void set(nnc_dtype dtype, void *y, size_t i, double value)
{
    if (dtype == NNC_F32)
        ((float *)y)[i] = (float)value;
    else
        ((double *)y)[i] = value;
}

static double get(nnc_dtype dtype, const void *y, size_t i)
{
    return dtype == NNC_F32 ? (double)((const float *)y)[i] : ((const double *)y)[i];
}

static void load_y(const nnc_load_place *to, const nnc_data *data, const size_t *index, size_t cols)
{
    const nnc_kernels *kernels = to->kernels;
    const nnc_dtype dtype = to->dtype;
    const size_t n_out = to->n_out, ld = to->ld;
    void *y = to->y;
    const double smoothing = to->loss == NNC_LOSS_HINGE ? 0 : data->smoothing;
    if (!data->classes)
        kernels->gather(y, data->y, index, n_out, cols, data->y_feature, data->y_sample, ld);
    if (!data->classes && smoothing == 0) return;

    const double keep = 1 - smoothing;
    const double level = smoothing * (to->loss == NNC_LOSS_CCE ? 1 / (double)n_out : 0.5);
    if (!data->classes) {
        for (size_t i = 0; i < n_out; i++)
            for (size_t j = i * ld; j < i * ld + cols; j++)
                set(dtype, y, j, get(dtype, y, j) * keep + level);
        return;
    }
    for (size_t i = 0; i < n_out; i++)
        kernels->fill((char *)y + i * ld * nnc_dtype_size(dtype), level, cols);
    for (size_t j = 0; j < cols; j++) {
        /* a single output's class 1 is what it stands for */
        uint64_t row = (uint64_t)data->classes[index[j]] - (n_out == 1);
        if (row < n_out) set(dtype, y, row * ld + j, keep + level);
    }
}

double nnc_load_samples(const nnc_load_place *to, const nnc_data *data, const size_t *order,
                        size_t start, size_t n, size_t cols)
{
    size_t index[NNC_PANEL];
    double sum = 0;
    for (size_t j = 0; j < cols; j++) {
        size_t place = start + nnc_min(j, n - 1);
        index[j] = order ? order[place] : place;
    }
    load_x(to, data, index, cols);
    if (data->y || data->classes) load_y(to, data, index, cols);
    for (size_t j = 0; data->weights && j < n; j++) {
        set(to->dtype, to->weights, j, data->weights[index[j]]);
        sum += get(to->dtype, to->weights, j);
    }
    return sum;
}
