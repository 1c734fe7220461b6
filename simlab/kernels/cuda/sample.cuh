// Sampled trajectories: a block takes one replica through a chunk of steps; only records come back. The recursion, the
// words and the meaning of every array are those of simlab/kernels/replicas/trajectories.py. Follows body.cuh and
// sums.cuh.
//
// A thread owns the Philox blocks threadIdx.x, threadIdx.x + THREADS, ... (four coordinates each; the lanes of a warp
// read and write 32 neighbours). HELD: their state and eigenvalues stay in registers, and the loops over them are
// unrolled and free of branches, so that the draws overlap; blocks beyond the last have lam = 0 and z = 0. Otherwise
// the state stays in global memory and the features of a step in local memory: for more coordinates than registers.

template <class R>
struct Source {
    const R *lam, *size, *rows, *residual;  // (D,), (D,), (count, D), (count,)
    const u32* threshold;                   // (D,)
    const double* cumulative;               // (count,)
    int D, count;
    R noise, degrees;
};

// Subspaces are runs of coordinates, gathered by label: those of label l are runs[l] .. runs[l + 1] - 1.
struct Keep {
    const int *slots, *runs, *first, *last, *watched;
    const double* scale;
    int labels, watchers;
    double limit, *risk, *path;  // (records, replicas, components, labels), (records, replicas, watchers)
};

constexpr int CHECK = 64;

template <class R, int LAW, int K, int PARTS, bool BATCHES, int THREADS, int OWNED, bool HELD>
struct Trajectory {
    static constexpr int UNROLL = HELD ? OWNED : 1, KEPT = HELD ? OWNED : 1;
    static constexpr bool DRAWN = LAW < ROWS || LAW == ADDITIVE, TABLE = LAW == ROWS || LAW == EPOCHS;

    const Source<R>& source;
    const u32 replica, k0, k1;
    const int noise_part, blocks;
    R* const state;  // (PARTS * K, D) of this replica
    R held[PARTS][K][KEPT][4], lam[KEPT][4], x[OWNED][4];
    int turn = 0;
    // Lane l holds what the l-th step of 32 (B = 1), or the l-th sample of 32 (B > 1), draws once for all coordinates.
    i64 window = -1;
    R lane_noise = R(0);
    int lane_row = 0;
    // The rows in the order of their turn, and how far this epoch has come.
    int* const order;
    i64 epoch = 0, shuffled = -1;
    int place = 0;

    INLINE Trajectory(const Source<R>& source, u32 replica, u32 k0, u32 k1, int noise_part, R* state, int* order,
                      i64 serial)
        : source(source), replica(replica), k0(k0), k1(k1), noise_part(noise_part), blocks(source.D / 4), state(state),
          order(order) {
        if constexpr (LAW == EPOCHS) {
            epoch = serial / source.count;
            place = int(serial % source.count);
        }
    }

    INLINE static int block_of(int own) { return own * THREADS + int(threadIdx.x); }
    INLINE bool more(int own) const { return HELD ? own < OWNED : block_of(own) < blocks; }

    INLINE R& z(int part, int j, int own, int w) {
        if constexpr (HELD) return held[part][j][own][w];
        else return state[u64(part * K + j) * source.D + coordinate(block_of(own), w)];
    }

    INLINE R eigenvalue(int own, int w) const {
        if constexpr (HELD) return lam[own][w];
        else return source.lam[coordinate(block_of(own), w)];
    }

    INLINE void load() {
        if constexpr (HELD) {
#pragma unroll
            for (int own = 0; own < OWNED; ++own) {
                const bool inside = block_of(own) < blocks;
#pragma unroll
                for (int w = 0; w < 4; ++w) {
                    const int i = coordinate(block_of(own), w);
                    lam[own][w] = inside ? source.lam[i] : R(0);
#pragma unroll
                    for (int row = 0; row < PARTS * K; ++row)
                        held[row / K][row % K][own][w] = inside ? state[u64(row) * source.D + i] : R(0);
                }
            }
        }
    }

    INLINE void store() {
        if constexpr (HELD) {
#pragma unroll
            for (int own = 0; own < OWNED; ++own) {
                if (block_of(own) < blocks) {
#pragma unroll
                    for (int w = 0; w < 4; ++w) {
#pragma unroll
                        for (int row = 0; row < PARTS * K; ++row)
                            state[u64(row) * source.D + coordinate(block_of(own), w)] =
                                held[row / K][row % K][own][w];
                    }
                }
            }
        }
    }

    // -- draws --------------------------------------------------------------------------------------------------------

    // The whitened features of one sample into x.
    INLINE void draw(u32 step, u32 sample, int row) {
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
            const int block = block_of(own);
            const bool inside = block < blocks;
            if constexpr (DRAWN) {
                u32 threshold[4] = {};
                R size[4] = {};
                if constexpr (LAW == THREE_POINT) {
#pragma unroll
                    for (int w = 0; w < 4; ++w) {
                        threshold[w] = inside ? source.threshold[coordinate(block, w)] : 0u;
                        size[w] = inside ? source.size[coordinate(block, w)] : R(0);
                    }
                }
                draw_block<LAW == ADDITIVE ? GAUSSIAN : LAW>(step, replica, u32(block), sample, k0, k1, source.degrees,
                                                             threshold, size, x[own]);
            } else {
#pragma unroll
                for (int w = 0; w < 4; ++w) {
                    const int i = coordinate(block, w);
                    if constexpr (TABLE) x[own][w] = inside ? source.rows[u64(row) * source.D + i] : R(0);
                    else x[own][w] = inside && i == row ? source.size[i] : R(0);
                }
            }
        }
    }

    // The order of the rows in this epoch: all threads draw, one of them exchanges. Whoever read the last order has
    // since passed the barrier of an inner product.
    INLINE void shuffle() {
        __shared__ int other[THREADS];
        for (int j = threadIdx.x; j < source.count; j += THREADS) order[j] = j;
        __syncthreads();
        for (int top = source.count - 1; top > 0; top -= THREADS) {
            const int j = top - int(threadIdx.x);
            if (j > 0) other[threadIdx.x] = exchange(u32(epoch), replica, u32(j), k0, k1);
            __syncthreads();
            for (int i = 0; threadIdx.x == 0 && i < THREADS && top - i > 0; ++i) {
                const int here = order[top - i];
                order[top - i] = order[other[i]];
                order[other[i]] = here;
            }
            __syncthreads();
        }
        shuffled = epoch;
    }

    // What sample s of the B of step t has beside its features: its label noise, and the row or category that it is.
    INLINE void look_up(i64 t, i64 B, i64 s, R& noise, int& row) {
        if constexpr (LAW == EPOCHS) {
            if (shuffled != epoch) shuffle();
            row = order[place];
            if (++place == source.count) {
                place = 0;
                ++epoch;
            }
        } else {
            const int at = int((B == 1 ? t : s) % 32);
            if (B == 1 ? window != t / 32 : at == 0) {
                const int lane = threadIdx.x % 32;
                const u32 step = u32(B == 1 ? t - at + lane : t), sample = u32(B == 1 ? 0 : s + lane);
                if constexpr (LAW != ROWS) lane_noise = source.noise * label_noise<R>(step, replica, sample, k0, k1);
                if constexpr (LAW == ROWS) lane_row = draw_row(step, replica, sample, source.count, k0, k1);
                if constexpr (LAW == ONE_HOT)
                    lane_row = draw_category(step, replica, sample, source.cumulative, source.count, k0, k1);
                window = B == 1 ? t / 32 : -1;
            }
            if constexpr (LAW != ROWS) noise = __shfl_sync(0xFFFFFFFFu, lane_noise, at);
            if constexpr (LAW == ROWS || LAW == ONE_HOT) row = __shfl_sync(0xFFFFFFFFu, lane_row, at);
        }
        if constexpr (TABLE) noise = source.residual[row];
    }

    // -- a step -------------------------------------------------------------------------------------------------------

    // c . zeta of one coordinate.
    INLINE R look(const R (&c)[K], int part, int own, int w) {
        R y = R(0);
#pragma unroll
        for (int j = 0; j < K; ++j) y += c[j] * z(part, j, own, w);
        return y;
    }

    // p = sum over the coordinates of x (c . zeta).
    INLINE void inner_products(const R (&c)[K], R (&p)[PARTS]) {
#pragma unroll
        for (int part = 0; part < PARTS; ++part) p[part] = R(0);
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
#pragma unroll
            for (int w = 0; w < 4; ++w) {
#pragma unroll
                for (int part = 0; part < PARTS; ++part) p[part] += look(c, part, own, w) * x[own][w];
            }
        }
        block_sum<THREADS>(p, turn);
    }

    // zeta <- M zeta - push lam gradient(part, own, w).
    template <class Gradient>
    INLINE void update(const R (&M)[K][K], const R (&push)[PARTS][K], Gradient gradient) {
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
#pragma unroll
            for (int w = 0; w < 4; ++w) {
#pragma unroll
                for (int part = 0; part < PARTS; ++part) {
                    const R slope = eigenvalue(own, w) * gradient(part, own, w);
                    R old[K];
#pragma unroll
                    for (int j = 0; j < K; ++j) old[j] = z(part, j, own, w);
#pragma unroll
                    for (int i = 0; i < K; ++i) {
                        R moved = -push[part][i] * slope;
#pragma unroll
                        for (int j = 0; j < K; ++j) moved += M[i][j] * old[j];
                        z(part, i, own, w) = moved;
                    }
                }
            }
        }
    }

    // A gradient that needs no inner product: the full one (B = 0), or H y plus additive noise.
    INLINE void linear_step(i64 t, i64 B, const R (&M)[K][K], const R (&b)[K], const R (&c)[K]) {
        const bool noisy = LAW == ADDITIVE && B > 0 && noise_part >= 0;
        if (noisy) draw(u32(t), 0, 0);
        const R scale = noisy ? R(1) / sqrt(R(B)) : R(0);
        R push[PARTS][K];
#pragma unroll
        for (int q = 0; q < PARTS * K; ++q) push[q / K][q % K] = b[q % K];
        update(M, push, [&](int part, int own, int w) {
            const R y = look(c, part, own, w);
            const bool inside = block_of(own) < blocks;
            return noisy && inside && part == noise_part
                       ? y - scale * source.size[coordinate(block_of(own), w)] * x[own][w]
                       : y;
        });
    }

    // The features of sample s of B into x, and what they are multiplied by in each part.
    INLINE void sample(i64 t, i64 B, i64 s, const R (&c)[K], R (&p)[PARTS]) {
        R noise;
        int row = 0;
        look_up(t, B, s, noise, row);
        draw(u32(t), u32(s), row);
        inner_products(c, p);
#pragma unroll
        for (int part = 0; part < PARTS; ++part) p[part] -= part == noise_part ? noise : R(0);
    }

    // A gradient that is the mean over B >= 1 samples.
    INLINE void sampled_step(i64 t, i64 B, const R (&M)[K][K], const R (&b)[K], const R (&c)[K]) {
        R p[PARTS], push[PARTS][K];
        if constexpr (!BATCHES) {
            sample(t, 1, 0, c, p);
#pragma unroll
            for (int q = 0; q < PARTS * K; ++q) push[q / K][q % K] = b[q % K] * p[q / K];
            update(M, push, [&](int, int own, int w) { return x[own][w]; });
        } else {
            R gradient[PARTS][OWNED][4] = {};
            for (i64 s = 0; s < B; ++s) {
                sample(t, B, s, c, p);
#pragma unroll UNROLL
                for (int own = 0; more(own); ++own) {
#pragma unroll
                    for (int q = 0; q < PARTS * 4; ++q) gradient[q / 4][own][q % 4] += p[q / 4] * x[own][q % 4];
                }
            }
#pragma unroll
            for (int q = 0; q < PARTS * K; ++q) push[q / K][q % K] = b[q % K] / R(B);
            update(M, push, [&](int part, int own, int w) { return gradient[part][own][w]; });
        }
    }

    // -- records and divergence ---------------------------------------------------------------------------------------

    // Risk of the whole trajectory where the next gradient is taken.
    INLINE double gradient_risk(const R* c) {
        R row[K];
#pragma unroll
        for (int j = 0; j < K; ++j) row[j] = c[j];
        double risk[1] = {0.0};
#pragma unroll UNROLL
        for (int own = 0; more(own); ++own) {
#pragma unroll
            for (int w = 0; w < 4; ++w) {
                double y = 0.0;
#pragma unroll
                for (int part = 0; part < PARTS; ++part) y += double(look(row, part, own, w));
                risk[0] += 0.5 * y * y;
            }
        }
        block_sum<THREADS>(risk, turn);
        return risk[0];
    }

    INLINE double readout(const double* o, int part, int i) const {
        double y = 0.0;
#pragma unroll
        for (int j = 0; j < K; ++j) y += o[j] * double(state[u64(part * K + j) * source.D + i]);
        return y;
    }

    // Risks by label, and the watched coordinates, from the state in global memory. A warp takes a label where there
    // are enough of them, else the block takes one after the other.
    INLINE void record(const Keep& keep, const double* o, int slot) {
        constexpr int COMPONENTS = PARTS == 2 ? 3 : 1;
        store();
        __syncthreads();
        const u64 row = u64(slot) * gridDim.x + blockIdx.x;
        double* const risk = keep.risk + row * COMPONENTS * keep.labels;
        const bool together = keep.labels < THREADS / 32;
        const int stride = together ? THREADS : 32, lane = threadIdx.x % stride;
        for (int label = threadIdx.x / stride; label < keep.labels; label += THREADS / stride) {
            double sums[COMPONENTS] = {};
            for (int run = keep.runs[label]; run < keep.runs[label + 1]; ++run) {
                for (int i = keep.first[run] + lane; i < keep.last[run]; i += stride) {
                    const double y = readout(o, 0, i);
                    sums[0] += 0.5 * y * y;
                    if constexpr (PARTS == 2) {
                        const double v = readout(o, 1, i);
                        sums[1] += 0.5 * v * v;
                        sums[2] += y * v;
                    }
                }
            }
            if (together) block_sum<THREADS>(sums, turn);
            else warp_sum<32>(sums);
            if (lane == 0) {
#pragma unroll
                for (int part = 0; part < COMPONENTS; ++part) risk[part * keep.labels + label] = sums[part];
            }
        }
        for (int j = threadIdx.x; j < keep.watchers; j += THREADS) {
            double value = 0.0;
#pragma unroll
            for (int part = 0; part < PARTS; ++part) value += readout(o, part, keep.watched[j]);
            keep.path[row * keep.watchers + j] = value * keep.scale[j];
        }
        __syncthreads();
    }
};

// Replica first_replica + blockIdx.x through n steps from step t0 on. M (n, K, K), b, c (n, K), o (n + 1, K), batch
// (n,), 0 for the full gradient; BATCHES: some batch is not of one sample; z (replicas, PARTS * K, D); order (replicas,
// count), scratch.
template <class R, int LAW, int K, int PARTS, bool BATCHES, int THREADS, int OWNED, bool HELD>
__global__ void __launch_bounds__(THREADS)
    run_replicas(const R* lam, R noise, R degrees, const u32* threshold, const R* size, const R* rows,
                 const R* residual, const double* cumulative, int count, int D, const int* slots, const int* runs,
                 const int* first, const int* last, int labels, const int* watched, const double* scale, int watchers,
                 double limit, double* risk, double* path, i64* ended, u32 first_replica, i64 t0, int n, const R* M,
                 const R* b, const R* c, const double* o, const i64* batch, i64 serial, u32 k0, u32 k1, int noise_part,
                 int* order, R* z) {
    const int r = blockIdx.x;
    if (ended[r] >= 0) return;
    const Source<R> source = {lam, size, rows, residual, threshold, cumulative, D, count, noise, degrees};
    const Keep keep = {slots, runs, first, last, watched, scale, labels, watchers, limit, risk, path};
    Trajectory<R, LAW, K, PARTS, BATCHES, THREADS, OWNED, HELD> run(
        source, first_replica + r, k0, k1, noise_part, z + u64(r) * PARTS * K * D,
        LAW == EPOCHS ? order + u64(r) * count : nullptr, serial);
    run.load();
    for (int at = 0;; ++at) {
        const i64 t = t0 + at;
        const int slot = slots[at];
        if (slot >= 0) run.record(keep, o + u64(at) * K, slot);
        // Not at the end of a chunk, where c is not known yet: the next chunk looks there, the last one records.
        if (slot >= 0 || (at < n && t % CHECK == 0)) {
            if (!(run.gradient_risk(c + u64(at < n ? at : n - 1) * K) <= limit)) {
                if (threadIdx.x == 0) ended[r] = t;
                break;
            }
        }
        if (at == n) break;
        R now_M[K][K], now_b[K], now_c[K];
#pragma unroll
        for (int i = 0; i < K; ++i) {
            now_b[i] = b[u64(at) * K + i];
            now_c[i] = c[u64(at) * K + i];
#pragma unroll
            for (int j = 0; j < K; ++j) now_M[i][j] = M[(u64(at) * K + i) * K + j];
        }
        if constexpr (LAW == ADDITIVE) {
            run.linear_step(t, batch[at], now_M, now_b, now_c);
        } else {
            const i64 B = BATCHES ? batch[at] : 1;
            if (B > 0) run.sampled_step(t, B, now_M, now_b, now_c);
            else run.linear_step(t, B, now_M, now_b, now_c);
        }
    }
    run.store();
}
