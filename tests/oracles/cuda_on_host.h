// CUDA C++ on one thread of a processor: the threads of a block are fibers that take turns and change only at barriers.
// A barrier that some thread does not reach shows, and so does a value read before, or overwritten after, the barrier
// that should stand between.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <type_traits>
#include <utility>

#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct Index {
    unsigned x;
};
static Index threadIdx, blockIdx, gridDim, blockDim;

template <class To, class From>
static To bits_of(From value) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &value, sizeof to);
    return to;
}
static unsigned __float_as_uint(float x) { return bits_of<unsigned>(x); }
static float __uint_as_float(unsigned x) { return bits_of<float>(x); }
static long long __double_as_longlong(double x) { return bits_of<long long>(x); }
static double __longlong_as_double(long long x) { return bits_of<double>(x); }

// -- fibers: begun with makecontext, changed with longjmp, which makes no system call ---------------------------------

struct Barrier {
    unsigned arrived, opened;
};

static const unsigned MOST = 1024, STACK = 1 << 16;
static ucontext_t beginnings[MOST], outside;
static jmp_buf places[MOST];
static char* stacks[MOST];
static enum { FRESH, BEGUN, FINISHED } states[MOST];
static Barrier* awaited[MOST];
static unsigned opened[MOST];
static void (*body)(void*);
static void* argument;

// On to a thread that is not waiting: of the same warp as long as there is one, so that warps run far ahead of others.
static void change() {
    const unsigned from = threadIdx.x, lane = from % 32, warps = blockDim.x / 32;
    if (states[from] != FINISHED && _setjmp(places[from])) return;
    unsigned waiting = 0;
    for (unsigned i = 0; i < blockDim.x; ++i) {
        const unsigned to = (from / 32 + i / 32) % warps * 32 + (lane + i) % 32;
        if (states[to] == FINISHED) continue;
        if (awaited[to] && awaited[to]->opened == opened[to]) {
            ++waiting;
            continue;
        }
        threadIdx.x = to;
        if (states[to] == BEGUN) _longjmp(places[to], 1);
        states[to] = BEGUN;
        setcontext(&beginnings[to]);
    }
    if (waiting) {
        fprintf(stderr, "a barrier is not reached by all threads\n");
        abort();
    }
    setcontext(&outside);
}

static void begin() {
    body(argument);
    states[threadIdx.x] = FINISHED;
    change();
}

static void run_block(unsigned threads, void (*f)(void*), void* a) {
    body = f, argument = a, blockDim.x = threads, threadIdx.x = 0;
    for (unsigned i = 0; i < threads; ++i) {
        if (!stacks[i]) stacks[i] = (char*)malloc(STACK);
        states[i] = FRESH;
        awaited[i] = nullptr;
        getcontext(&beginnings[i]);
        beginnings[i].uc_stack.ss_sp = stacks[i];
        beginnings[i].uc_stack.ss_size = STACK;
        beginnings[i].uc_link = nullptr;
        makecontext(&beginnings[i], begin, 0);
    }
    states[0] = BEGUN;
    swapcontext(&outside, &beginnings[0]);
}

// -- barriers ---------------------------------------------------------------------------------------------------------

static void wait(Barrier& barrier, unsigned count) {
    const unsigned thread = threadIdx.x;
    if (++barrier.arrived == count) {
        barrier.arrived = 0, ++barrier.opened;
        return;
    }
    awaited[thread] = &barrier, opened[thread] = barrier.opened;
    change();
    awaited[thread] = nullptr;
}

static Barrier of_block, of_warp[MOST / 32];

static void __syncthreads() { wait(of_block, blockDim.x); }

// Two buffers by turns: whoever writes to one again has passed a barrier that its last reader reached later.
template <class T>
static T __shfl_sync(unsigned, T value, int lane) {
    static T lanes[2][MOST];
    static bool turns[MOST];
    const unsigned thread = threadIdx.x, warp = thread / 32;
    const bool turn = turns[thread] = !turns[thread];
    lanes[turn][thread] = value;
    wait(of_warp[warp], 32);
    return lanes[turn][32 * warp + unsigned(lane)];
}

template <class T>
static T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    return __shfl_sync(mask, value, int(threadIdx.x % 32) ^ lanes);
}

// -- launches, with arguments as cuLaunchKernel takes them: pointers to their values ----------------------------------

template <class... A, size_t... I>
static void launch(void (*kernel)(A...), int blocks, int threads, void** values, std::index_sequence<I...>) {
    struct Call {
        void (*kernel)(A...);
        void** values;
    } call = {kernel, values};
    gridDim.x = unsigned(blocks);
    for (int i = 0; i < blocks; ++i) {
        blockIdx.x = unsigned(i);
        run_block(unsigned(threads), [](void* a) { ((Call*)a)->kernel(*(A*)((Call*)a)->values[I]...); }, &call);
    }
}

// The size of a value, or minus the size of what a pointer points to.
template <class T>
static int size_of() {
    if constexpr (std::is_pointer_v<T>) return -int(sizeof(std::remove_pointer_t<T>));
    else return int(sizeof(T));
}

template <class... A>
static int launch(void (*kernel)(A...), int blocks, int threads, void** values, int* sizes) {
    if (values) launch(kernel, blocks, threads, values, std::index_sequence_for<A...>());
    const int all[] = {size_of<A>()...};
    if (sizes) memcpy(sizes, all, sizeof all);
    return int(sizeof...(A));
}
