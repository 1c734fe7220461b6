// Exact second moments: a block takes one run through a chunk of steps. The recursion and its arrays are those of
// simlab/kernels/moments/steps.py, in double precision; every node is stepped. Follows body.cuh and sums.cuh.
//
// A thread owns the nodes threadIdx.x, threadIdx.x + THREADS, ...; HELD: they stay in registers, those beyond the last
// being zero, else in global memory.

// One run: where its arrays begin in those that all runs share. A run has `steps` steps in this chunk and one more row
// of c, that of the step which follows; its nodes are in the order of their labels.
struct Run {
    i64 nodes, node_start, state_start, steps, step_start, following_start, labels, label_start, out_start;
    double noise, coupling, limit;
};

template <int K, int THREADS, int OWNED, bool HELD>
struct Moments {
    static constexpr int ENTRIES = K * (K + 1) / 2, UNROLL = HELD ? OWNED : 1, KEPT = HELD ? OWNED : 1;

    const Run& run;
    const double *const lam, *const self_noise, *const drive;  // (nodes,)
    double* const state;                                       // (2, ENTRIES, nodes)
    int turn = 0;
    double held[2][ENTRIES][KEPT], node[3][KEPT];

    INLINE Moments(const Run& run, const double* lam, const double* self_noise, const double* drive, double* state)
        : run(run), lam(lam + run.node_start), self_noise(self_noise + run.node_start),
          drive(drive + run.node_start), state(state + run.state_start) {
        if constexpr (HELD) {
#pragma unroll
            for (int own = 0; own < OWNED; ++own) {
                const int i = index(own);
                const bool inside = i < run.nodes;
                node[0][own] = inside ? this->lam[i] : 0.0;
                node[1][own] = inside ? this->self_noise[i] : 0.0;
                node[2][own] = inside ? this->drive[i] : 0.0;
#pragma unroll
                for (int row = 0; row < 2 * ENTRIES; ++row)
                    held[row / ENTRIES][row % ENTRIES][own] = inside ? this->state[row * run.nodes + i] : 0.0;
            }
        }
    }

    INLINE static int index(int own) { return own * THREADS + int(threadIdx.x); }
    INLINE bool more(int own) const { return HELD ? own < OWNED : index(own) < run.nodes; }

    INLINE double& u(int component, int entry, int own) {
        if constexpr (HELD) return held[component][entry][own];
        else return state[(component * ENTRIES + entry) * run.nodes + index(own)];
    }

    INLINE void store() {
        if constexpr (HELD) {
#pragma unroll
            for (int own = 0; own < OWNED; ++own) {
                if (index(own) < run.nodes) {
#pragma unroll
                    for (int row = 0; row < 2 * ENTRIES; ++row)
                        state[row * run.nodes + index(own)] = held[row / ENTRIES][row % ENTRIES][own];
                }
            }
        }
    }

    // The place of (p, q) in the upper triangle, row by row.
    INLINE static constexpr int entry(int p, int q) {
        return p <= q ? p * K - p * (p - 1) / 2 + q - p : q * K - q * (q - 1) / 2 + p - q;
    }

    // v^T U v.
    INLINE static double quadratic(const double (&v)[K], const double (&U)[ENTRIES]) {
        double total = 0.0;
#pragma unroll
        for (int p = 0; p < K; ++p) {
            double row = 0.0;
#pragma unroll
            for (int q = 0; q < K; ++q) row += U[entry(p, q)] * v[q];
            total += v[p] * row;
        }
        return total;
    }

    // s = sum over the nodes of c^T U c, of both components.
    INLINE void gradient_risk(const double (&c)[K], double (&s)[2]) {
        s[0] = s[1] = 0.0;
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
#pragma unroll
            for (int component = 0; component < 2; ++component) {
                double U[ENTRIES];
#pragma unroll
                for (int e = 0; e < ENTRIES; ++e) U[e] = u(component, e, own);
                s[component] += quadratic(c, U);
            }
        }
        block_sum<THREADS>(s, turn);
    }

    // U <- A U A^T + (share self_noise c^T U c + drive kick) b b^T, A = M - lam b c^T; then s at the next gradient.
    INLINE void step(const double (&M)[K][K], const double (&b)[K], const double (&c)[K], const double (&next)[K],
                     double share, const double (&kick)[2], double (&s)[2]) {
        s[0] = s[1] = 0.0;
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
            double l, r, f;
            if constexpr (HELD) l = node[0][own], r = node[1][own], f = node[2][own];
            else l = lam[index(own)], r = self_noise[index(own)], f = drive[index(own)];
            double A[K][K];
#pragma unroll
            for (int q = 0; q < K * K; ++q) A[q / K][q % K] = M[q / K][q % K] - l * b[q / K] * c[q % K];
#pragma unroll
            for (int component = 0; component < 2; ++component) {
                double U[ENTRIES], moved[ENTRIES];
#pragma unroll
                for (int e = 0; e < ENTRIES; ++e) U[e] = u(component, e, own);
                const double push = share * r * quadratic(c, U) + f * kick[component];
#pragma unroll
                for (int p = 0; p < K; ++p) {
                    double row[K];
#pragma unroll
                    for (int j = 0; j < K; ++j) {
                        row[j] = 0.0;
#pragma unroll
                        for (int i = 0; i < K; ++i) row[j] += A[p][i] * U[entry(i, j)];
                    }
#pragma unroll
                    for (int q = p; q < K; ++q) {
                        double value = push * b[p] * b[q];
#pragma unroll
                        for (int j = 0; j < K; ++j) value += row[j] * A[q][j];
                        moved[entry(p, q)] = value;
                    }
                }
#pragma unroll
                for (int e = 0; e < ENTRIES; ++e) u(component, e, own) = moved[e];
                s[component] += quadratic(next, moved);
            }
        }
        block_sum<THREADS>(s, turn);
    }

    // Risk 1/2 o^T U o by label into out (2, labels), from the state in global memory. A warp takes a label where there
    // are enough of them, else the block takes one after the other.
    INLINE void record(const double (&o)[K], const int* first, double* out) {
        store();
        __syncthreads();
        const int labels = int(run.labels);
        const bool together = labels < THREADS / 32;
        const int stride = together ? THREADS : 32, lane = threadIdx.x % stride;
        for (int label = threadIdx.x / stride; label < labels; label += THREADS / stride) {
            double sums[2] = {0.0, 0.0};
            for (int i = first[label] + lane; i < first[label + 1]; i += stride) {
#pragma unroll
                for (int component = 0; component < 2; ++component) {
                    double U[ENTRIES];
#pragma unroll
                    for (int e = 0; e < ENTRIES; ++e) U[e] = state[(component * ENTRIES + e) * run.nodes + i];
                    sums[component] += 0.5 * quadratic(o, U);
                }
            }
            if (together) block_sum<THREADS>(sums, turn);
            else warp_sum<32>(sums);
            if (lane == 0) {
                out[label] = sums[0];
                out[labels + label] = sums[1];
            }
        }
        __syncthreads();
    }
};

// A chunk of every run, from step t0 on. M (K, K), b, c, o (K,), share = 1 / B, slots (record, or -1) a row for each
// step of each run; `ended` (runs,): the step at which a run passed its limit, or -1.
template <int K, int THREADS, int OWNED, bool HELD>
__global__ void __launch_bounds__(THREADS)
    run_moments(const Run* runs, const double* lam, const double* self_noise, const double* drive, const int* first,
                i64 t0, const double* M, const double* b, const double* c, const double* o, const double* share,
                const int* slots, double* U, double* out, i64* ended) {
    const Run run = runs[blockIdx.x];
    if (run.steps == 0 || ended[blockIdx.x] >= 0) return;
    Moments<K, THREADS, OWNED, HELD> moments(run, lam, self_noise, drive, U);
    double look[K], s[2];
#pragma unroll
    for (int j = 0; j < K; ++j) look[j] = c[run.following_start * K + j];
    moments.gradient_risk(look, s);
    for (int at = 0; at < run.steps; ++at) {
        const i64 row = run.step_start + at;
        if (slots[row] >= 0) {
            double read[K];
#pragma unroll
            for (int j = 0; j < K; ++j) read[j] = o[row * K + j];
            moments.record(read, first + run.label_start, out + run.out_start + i64(slots[row]) * 2 * run.labels);
        }
        double now_M[K][K], now_b[K], next[K];
#pragma unroll
        for (int i = 0; i < K; ++i) {
            now_b[i] = b[row * K + i];
            next[i] = c[(run.following_start + at + 1) * K + i];
#pragma unroll
            for (int j = 0; j < K; ++j) now_M[i][j] = M[(row * K + i) * K + j];
        }
        const double inverse = share[row];
        const double kick[2] = {inverse * run.coupling * s[0], inverse * (run.coupling * s[1] + run.noise)};
        moments.step(now_M, now_b, look, next, inverse, kick, s);
#pragma unroll
        for (int j = 0; j < K; ++j) look[j] = next[j];
        if (!(s[0] + s[1] <= run.limit)) {
            if (threadIdx.x == 0) ended[blockIdx.x] = t0 + at + 1;
            break;
        }
    }
    moments.store();
}
