// Stochastic descent on a landscape: a thread takes one replica through a chunk of steps, as
// simlab/kernels/landscapes/descent.py does: y = c . z, g = grad L(y) - noise, z <- M z - b g, w = o . z. Follows
// body.cuh and fields.cuh.
//
// The state (K, dim, lanes) has its lanes side by side, so that the threads of a warp read and write whole lines. DIM:
// the dimension of a state that stays in registers, or 0 for one that stays in device memory. HILLS: -1 for a landscape
// that is not turned, else how many hills were added to it (of a state in memory any number: see Terrain).

enum NoiseKind { NO_NOISE, DIAGONAL, FACTOR, ACROSS_THE_CURVE, ACROSS_A_CURVE, ACROSS_A_HYPERBOLA };

// A point or gradient of one replica: an array in registers, or every stride-th number of device memory.
template <int DIM>
struct Vector {
    double at[DIM];
    INLINE double& operator[](int i) { return at[i]; }
};
template <>
struct Vector<0> {
    double* at;
    i64 stride;
    INLINE double& operator[](int i) { return at[i * stride]; }
};

// A landscape and its noise as all replicas see them. rotation (dim, dim), hills (hill_count,) of a turned landscape;
// noise: the diagonal (dim,), the factor (dim, dim), or sigma, a, k of noise across the curve y = a sin kx in two
// dimensions, followed by the plane p, q (dim,) of a curve or hyperbola among more (see
// simlab/kernels/landscapes/river_noise.py).
struct Terrain {
    const double *params, *rotation, *hills, *noise;
    double by_loss, floor;
    int dim, hill_count;
};

template <int FIELD, int KIND, int HILLS, bool BY_LOSS, int K, int DIM>
struct Replica {
    static constexpr bool HELD = DIM > 0, TURNED = HILLS >= 0;
    static constexpr int UNROLL = HELD ? DIM : 1, CHECK = 64;

    const Terrain& terrain;
    const u32 replica, k0, k1;
    double* const state;  // (K, dim, lanes), here from this lane on
    const i64 lanes;
    Vector<DIM> z[K], y, g, u, v;

    // scratch (4, dim, lanes), or where the user's functions want contiguous points (lanes, 4, dim).
    INLINE Replica(const Terrain& terrain, u32 replica, u32 k0, u32 k1, double* z_all, double* scratch, i64 lane,
                   i64 lanes)
        : terrain(terrain), replica(replica), k0(k0), k1(k1), state(z_all + lane), lanes(lanes) {
        if constexpr (HELD) {
#pragma unroll
            for (int row = 0; row < K * DIM; ++row) z[row / DIM][row % DIM] = state[row * lanes];
        } else {
            for (int j = 0; j < K; ++j) z[j] = {state + i64(j) * size() * lanes, lanes};
            const i64 stride = FIELD == OWN ? 1 : lanes, row = size() * stride;
            double* const first = scratch + (FIELD == OWN ? 4 * size() * lane : lane);
            y = {first, stride}, g = {first + row, stride};
            u = {first + 2 * row, stride}, v = {first + 3 * row, stride};
        }
    }

    INLINE void store() {
        if constexpr (HELD) {
#pragma unroll
            for (int row = 0; row < K * DIM; ++row) state[row * lanes] = z[row / DIM][row % DIM];
        }
    }

    INLINE int size() const { return HELD ? DIM : terrain.dim; }
    INLINE int hills() const { return HELD ? HILLS : terrain.hill_count; }

    // y = sum_j weights_j z_j.
    INLINE void combine(const double* weights) {
        double row[K];
#pragma unroll
        for (int j = 0; j < K; ++j) row[j] = weights[j];
#pragma unroll UNROLL
        for (int i = 0; i < size(); ++i) {
            double sum = row[0] * z[0][i];
#pragma unroll
            for (int j = 1; j < K; ++j) sum += row[j] * z[j][i];
            y[i] = sum;
        }
    }

    // z <- M z - b g.
    INLINE void move(const double* M, const double* b) {
#pragma unroll UNROLL
        for (int i = 0; i < size(); ++i) {
            double old[K];
#pragma unroll
            for (int j = 0; j < K; ++j) old[j] = z[j][i];
            const double slope = g[i];
#pragma unroll
            for (int p = 0; p < K; ++p) {
                double moved = -b[p] * slope;
#pragma unroll
                for (int q = 0; q < K; ++q) moved += M[p * K + q] * old[q];
                z[p][i] = moved;
            }
        }
    }

    // out = A in, or A^T in; four entries at a time share what they read of `in`.
    template <bool TRANSPOSED>
    INLINE void multiply(const double* A, Vector<DIM>& in, Vector<DIM>& out) {
        const int n = size();
#pragma unroll UNROLL
        for (int i = 0; i < n; i += 4) {
            double sums[4] = {};
#pragma unroll UNROLL
            for (int j = 0; j < n; ++j) {
                const double x = in[j];
#pragma unroll
                for (int r = 0; r < 4; ++r)
                    if (i + r < n) sums[r] += A[TRANSPOSED ? i64(j) * n + i + r : i64(i + r) * n + j] * x;
            }
#pragma unroll
            for (int r = 0; r < 4; ++r)
                if (i + r < n) out[i + r] = sums[r];
        }
    }

    // L(y); changes u.
    INLINE double loss() {
        if constexpr (!TURNED) return Landscape<FIELD>::loss(y, size(), terrain.params);
        else {
            multiply<true>(terrain.rotation, y, u);
            const int inner = size() - hills();
            double value = Landscape<FIELD>::loss(u, inner, terrain.params);
#pragma unroll UNROLL
            for (int i = 0; i < hills(); ++i)
                value += 0.5 * terrain.hills[i] * u[inner + i] * u[inner + i];
            return value;
        }
    }

    // g = grad L(y); changes u and v.
    INLINE void gradient() {
        if constexpr (!TURNED) Landscape<FIELD>::gradient(y, size(), terrain.params, g);
        else {
            multiply<true>(terrain.rotation, y, u);
            const int inner = size() - hills();
            Landscape<FIELD>::gradient(u, inner, terrain.params, v);
#pragma unroll UNROLL
            for (int i = 0; i < hills(); ++i) v[inner + i] = terrain.hills[i] * u[inner + i];
            multiply<false>(terrain.rotation, v, g);
        }
    }

    // take(i, xi_i) for the standard normals of all coordinates at a step.
    template <class Take>
    INLINE void normals(u32 step, Take take) {
        const int n = size(), rest = n % 256, blocks = n / 256 * 64 + (rest < 64 ? rest : 64);
#pragma unroll UNROLL
        for (int block = 0; block < blocks; ++block) {
            const int i = coordinate(block, 0);
            const Words words = philox(step, replica, u32(block), counter_word(FEATURES, 0), k0, k1);
            double first, second;
            gaussian_pair(words.w[0], words.w[1], first, second);
            take(i, first);
            if (i + 64 < n) take(i + 64, second);
            if (i + 128 < n) {
                gaussian_pair(words.w[2], words.w[3], first, second);
                take(i + 128, first);
                if (i + 192 < n) take(i + 192, second);
            }
        }
    }

    // g <- g - noise; changes u and v.
    INLINE void add_noise(u32 step, double amplitude) {
        if constexpr (BY_LOSS) {
            const double above = loss() - terrain.floor;
            amplitude *= sqrt(terrain.by_loss * (above > 0.0 ? above : 0.0));
        }
        if constexpr (KIND == DIAGONAL) {
            normals(step, [&](int i, double xi) { g[i] -= (amplitude * terrain.noise[i]) * xi; });
        } else {
            normals(step, [&](int i, double xi) { v[i] = xi; });
            if constexpr (KIND == FACTOR) {
                multiply<false>(terrain.noise, v, u);
#pragma unroll UNROLL
                for (int i = 0; i < size(); ++i) g[i] -= amplitude * u[i];
            } else if constexpr (KIND == ACROSS_THE_CURVE) {
                const double t = steepness(y[0]), size = terrain.noise[0] * (v[1] - t * v[0]) / (1.0 + t * t);
                g[0] += amplitude * (t * size);
                g[1] -= amplitude * size;
            } else {
                across_a_river(amplitude);
            }
        }
    }

    // a k cos kx.
    INLINE double steepness(double x) {
        double sin_kx, cos_kx;
        sine_cosine(terrain.noise[2] * x, sin_kx, cos_kx);
        return terrain.noise[1] * terrain.noise[2] * cos_kx;
    }

    // g <- g - amplitude sigma (v - t (t . v) / |t|^2), t = t0 p + t1 q the tangent of the river at x = p . y.
    INLINE void across_a_river(double amplitude) {
        const double *const p = terrain.noise + 3, *const q = p + size();
        double x = 0.0, along = 0.0, aside = 0.0;
#pragma unroll UNROLL
        for (int i = 0; i < size(); ++i) {
            x += p[i] * y[i];
            along += p[i] * v[i];
            aside += q[i] * v[i];
        }
        double t0 = 1.0, t1;
        if constexpr (KIND == ACROSS_A_CURVE) t1 = steepness(x);
        else t0 = x * x, t1 = -1.0;
        const double share = (t0 * along + t1 * aside) / (t0 * t0 + t1 * t1);
        amplitude *= terrain.noise[0];
#pragma unroll UNROLL
        for (int i = 0; i < size(); ++i) g[i] -= amplitude * (v[i] - share * t0 * p[i] - share * t1 * q[i]);
    }
};

// The lanes begin .. begin + 32 blocks - 1 of `lanes` through n steps from step t0 on; lane l is replica
// first_replica + l. M (n, K, K), b, c (n, K), o (n + 1, K), amplitude (n,) = 1 / sqrt(B). slots (n + 1,): record
// number of each iterate, or -1; losses (records, lanes) and points (records, dim, lanes) of the iterates o . z. A
// replica whose loss passes `limit` leaves: ended (lanes,) says at which step, or -1.
template <int FIELD, int KIND, int HILLS, bool BY_LOSS, int K, int DIM>
__global__ void __launch_bounds__(32)
    descend(const double* __restrict__ params, const double* __restrict__ rotation, const double* __restrict__ hills,
            const double* __restrict__ noise, double by_loss, double floor, int dim, int hill_count,
            const int* __restrict__ slots, double* losses, double* points, double limit, i64* ended, i64 lanes,
            i64 begin, i64 first_replica, i64 t0, int n, const double* __restrict__ M, const double* __restrict__ b,
            const double* __restrict__ c, const double* __restrict__ o, const double* __restrict__ amplitude, u32 k0,
            u32 k1, double* scratch, double* z) {
    const i64 lane = begin + i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (ended[lane] >= 0) return;
    const Terrain terrain = {params, rotation, hills, noise, by_loss, floor, dim, hill_count};
    Replica<FIELD, KIND, HILLS, BY_LOSS, K, DIM> run(terrain, u32(first_replica + lane), k0, k1, z, scratch, lane,
                                                      lanes);
    for (int at = 0;; ++at) {
        const i64 t = t0 + at;
        const int slot = slots[at];
        // Not at the end of a chunk unless it is recorded: the next chunk looks there.
        if (slot >= 0 || (at < n && t % run.CHECK == 0)) {
            run.combine(o + i64(at) * K);
            const double loss = run.loss();
            if (slot >= 0) {
                losses[slot * lanes + lane] = loss;
                for (int i = 0; i < run.size(); ++i) points[(i64(slot) * run.size() + i) * lanes + lane] = run.y[i];
            }
            if (!(loss <= limit)) {
                ended[lane] = t;
                break;
            }
        }
        if (at == n) break;
        run.combine(c + i64(at) * K);
        run.gradient();
        if constexpr (KIND != NO_NOISE) {
            if (amplitude[at] > 0.0) run.add_noise(u32(t), amplitude[at]);
        }
        run.move(M + i64(at) * K * K, b + i64(at) * K);
    }
    run.store();
}
