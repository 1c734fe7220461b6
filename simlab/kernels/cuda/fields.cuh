// Loss and gradient of the landscapes of simlab/kernels/landscapes/{fields,strips}.py at one point: the same
// formulas. Follows body.cuh. A point is anything with w[i]; `dim` is how many coordinates of it a landscape takes.

enum Field { STRAIGHT, CURVED, TAPERED, HYPERBOLIC, BIGRAM, OWN };

// A landscape of the user's own; what `simlab.river.custom` is given defines these two.
namespace own {
__device__ double loss(const double* w, const double* params);
__device__ void gradient(const double* w, const double* params, double* out);
}  // namespace own

// (sin x, cos x) to a few units in the last place for |x| < 10^5, see fields.py. Unlike the library's, it needs no
// stack.
INLINE void sine_cosine(double x, double& sin_x, double& cos_x) {
    const double shifted = x * 0.6366197723675814 + 6755399441055744.0, n = shifted - 6755399441055744.0;
    const u64 bits = u64(__double_as_longlong(shifted));
    const double r = ((x - n * 1.5707963267341256) - n * 6.077100506303966e-11) - n * 2.0222662487959506e-21;
    const double q = r * r;
    const double s = horner(q, -0.16666666666666666, 0.008333333333333333, -0.0001984126984126984,
                            2.7557319223985893e-06, -2.505210838544172e-08, 1.6059043836821613e-10,
                            -7.647163731819816e-13) * (q * r) + r;
    const double c = horner(q, 1.0, -0.5, 0.041666666666666664, -0.001388888888888889, 2.48015873015873e-05,
                            -2.755731922398589e-07, 2.08767569878681e-09, -1.1470745597729725e-11,
                            4.779477332387385e-14);
    const bool odd = bits & 1;
    sin_x = with_sign(odd ? c : s, u32(bits & 2) << 30);
    cos_x = with_sign(odd ? s : c, u32((bits + 1) & 2) << 30);
}

template <int FIELD>
struct Landscape;

// -s x + mu / 2 (x - x*)^2 along the river; params s, mu, x*, ..
INLINE double river_loss(double x, const double* params) {
    const double ahead = x - params[2];
    return 0.5 * params[1] * (ahead * ahead) - params[0] * x;
}
INLINE double river_slope(double x, const double* params) { return params[1] * (x - params[2]) - params[0]; }

template <>
struct Landscape<STRAIGHT> {
    template <class W>
    INLINE static double loss(W& w, int dim, const double* params) {
        double value = river_loss(w[0], params);
#pragma unroll
        for (int i = 1; i < dim; ++i) value += 0.5 * params[2 + i] * w[i] * w[i];
        return value;
    }
    template <class W>
    INLINE static void gradient(W& w, int dim, const double* params, W& out) {
        out[0] = river_slope(w[0], params);
#pragma unroll
        for (int i = 1; i < dim; ++i) out[i] = params[2 + i] * w[i];
    }
};

template <>
struct Landscape<CURVED> {
    template <class W>
    INLINE static double loss(W& w, int, const double* params) {
        double sin_kx, cos_kx;
        sine_cosine(params[5] * w[0], sin_kx, cos_kx);
        const double height = w[1] - params[4] * sin_kx;
        return river_loss(w[0], params) + 0.5 * params[3] * height * height;
    }
    template <class W>
    INLINE static void gradient(W& w, int, const double* params, W& out) {
        double sin_kx, cos_kx;
        sine_cosine(params[5] * w[0], sin_kx, cos_kx);
        const double steep = params[3] * (w[1] - params[4] * sin_kx);
        out[0] = river_slope(w[0], params) - steep * (params[4] * params[5] * cos_kx);
        out[1] = steep;
    }
};

template <>
struct Landscape<TAPERED> {
    template <class W>
    INLINE static double loss(W& w, int dim, const double* params) {
        const double u = (w[0] - params[3]) / params[4], share = 0.5 * (1.0 + u / sqrt(1.0 + u * u));
        double value = river_loss(w[0], params);
#pragma unroll
        for (int i = 1; i < dim; ++i) {
            const double before = params[4 + i], lam = before + share * (params[3 + dim + i] - before);
            value += 0.5 * lam * w[i] * w[i];
        }
        return value;
    }
    template <class W>
    INLINE static void gradient(W& w, int dim, const double* params, W& out) {
        const double u = (w[0] - params[3]) / params[4], inverse = 1.0 / sqrt(1.0 + u * u);
        const double share = 0.5 * (1.0 + u * inverse), rate = 0.5 * inverse * inverse * inverse / params[4];
        double along = river_slope(w[0], params);
#pragma unroll
        for (int i = 1; i < dim; ++i) {
            const double before = params[4 + i], rise = params[3 + dim + i] - before, y = w[i];
            along += 0.5 * rate * rise * y * y;
            out[i] = (before + share * rise) * y;
        }
        out[0] = along;
    }
};

template <>
struct Landscape<HYPERBOLIC> {
    template <class W>
    INLINE static double loss(W& w, int, const double*) {
        const double miss = w[0] * w[1] - 1.0, tail = log1p(exp(-fabs(w[0])));
        return 0.5 * miss * miss + (w[0] > 0.0 ? tail : tail - w[0]);
    }
    template <class W>
    INLINE static void gradient(W& w, int, const double*, W& out) {
        const double x = w[0], y = w[1], miss = x * y - 1.0, small = exp(-fabs(x));
        out[0] = miss * y - (x > 0.0 ? small : 1.0) / (1.0 + small);
        out[1] = miss * x;
    }
};

template <>
struct Landscape<BIGRAM> {
    template <class W>
    INLINE static double log_partition(W& w, int first, int count) {
        double top = w[first], total = 0.0;
        for (int v = first + 1; v < first + count; ++v) top = fmax(top, w[v]);
        for (int v = first; v < first + count; ++v) total += exp(w[v] - top);
        return top + log(total);
    }
    template <class W>
    INLINE static double loss(W& w, int, const double* params) {
        const int blocks = int(params[0]), count = int(params[1]);
        double value = 0.0;
        for (int b = 0; b < blocks; ++b) {
            double part = log_partition(w, b * count, count) - params[2 + blocks + b];
            for (int v = b * count; v < (b + 1) * count; ++v) part -= params[2 + 2 * blocks + v] * w[v];
            value += params[2 + b] * part;
        }
        return value;
    }
    template <class W>
    INLINE static void gradient(W& w, int, const double* params, W& out) {
        const int blocks = int(params[0]), count = int(params[1]);
        for (int b = 0; b < blocks; ++b) {
            const double logarithm = log_partition(w, b * count, count);
            for (int v = b * count; v < (b + 1) * count; ++v)
                out[v] = params[2 + b] * (exp(w[v] - logarithm) - params[2 + 2 * blocks + v]);
        }
    }
};

// The user's functions take contiguous points.
template <>
struct Landscape<OWN> {
    template <class W>
    INLINE static double loss(W& w, int, const double* params) {
        return own::loss(w.at, params);
    }
    template <class W>
    INLINE static void gradient(W& w, int, const double* params, W& out) {
        own::gradient(w.at, params, out.at);
    }
};

// The user's functions at n points (n, dim), to be compared with those of the processor.
template <int FIELD>
__global__ void own_points(const double* w, int n, int dim, const double* params, double* losses, double* gradients) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    losses[i] = own::loss(w + i64(i) * dim, params);
    own::gradient(w + i64(i) * dim, params, gradients + i64(i) * dim);
}
