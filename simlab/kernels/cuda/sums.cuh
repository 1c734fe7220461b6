// Sums over the threads of a warp and of a block, in an order that never changes. Follows body.cuh.

// v <- its sum over groups of WIDTH lanes, the same bits in every lane.
template <int WIDTH, class T, int N>
INLINE void warp_sum(T (&v)[N]) {
#pragma unroll
    for (int step = WIDTH / 2; step > 0; step /= 2) {
#pragma unroll
        for (int n = 0; n < N; ++n) v[n] += __shfl_xor_sync(0xFFFFFFFFu, v[n], step);
    }
}

// v <- its sum over the block. One barrier: the partial sums go to two buffers by turns, and whoever writes to one of
// them again has passed the barrier that its last reader reached later. `turn` is 0 or 1, the same in all threads.
template <int THREADS, class T, int N>
INLINE void block_sum(T (&v)[N], int& turn) {
    warp_sum<32>(v);
    if (THREADS > 32) {
        constexpr int WARPS = THREADS / 32;
        constexpr int WIDTH = WARPS <= 2 ? 2 : WARPS <= 4 ? 4 : WARPS <= 8 ? 8 : WARPS <= 16 ? 16 : 32;
        __shared__ T partial[2][N][WARPS];
        const int lane = threadIdx.x % 32, from = lane % WIDTH;
        if (lane == 0) {
#pragma unroll
            for (int n = 0; n < N; ++n) partial[turn][n][threadIdx.x / 32] = v[n];
        }
        __syncthreads();
#pragma unroll
        for (int n = 0; n < N; ++n) v[n] = from < WARPS ? partial[turn][n][from] : T(0);
        warp_sum<WIDTH>(v);
        turn ^= 1;
    }
}
