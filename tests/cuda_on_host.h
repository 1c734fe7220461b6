// CUDA C++ on one thread of a processor: the threads of a block are fibers that take turns, and change at barriers alone.
// A barrier that some thread does not reach, or a value that is read before the barrier that should precede it, shows.
#include <math.h>
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

// -- fibers ------------------------------------------------------------------------------------------------------------

static const int MOST = 1024, STACK = 1 << 16;
static ucontext_t fibers[MOST], outside;
static char* stacks[MOST];
static bool finished[MOST];
static void (*body)(void*);
static void* argument;
static long idle;

// On to the next thread that is not done.
static void change() {
    const unsigned from = threadIdx.x;
    unsigned to = from;
    do to = (to + 1) % blockDim.x;
    while (finished[to] && to != from);
    if (to == from) {
        if (finished[from]) setcontext(&outside);
        return;
    }
    threadIdx.x = to;
    if (finished[from]) setcontext(&fibers[to]);
    swapcontext(&fibers[from], &fibers[to]);
}

static void begin() {
    body(argument);
    finished[threadIdx.x] = true;
    idle = 0;
    change();
}

static void run_block(int threads, void (*f)(void*), void* a) {
    body = f, argument = a, blockDim.x = unsigned(threads), threadIdx.x = 0, idle = 0;
    for (int i = 0; i < threads; ++i) {
        if (!stacks[i]) stacks[i] = (char*)malloc(STACK);
        finished[i] = false;
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = stacks[i];
        fibers[i].uc_stack.ss_size = STACK;
        fibers[i].uc_link = nullptr;
        makecontext(&fibers[i], begin, 0);
    }
    swapcontext(&outside, &fibers[0]);
}

// -- barriers ----------------------------------------------------------------------------------------------------------

struct Barrier {
    unsigned arrived, opened;
};

static void wait(Barrier& barrier, unsigned count) {
    const unsigned opened = barrier.opened;
    if (++barrier.arrived == count) {
        barrier.arrived = 0, ++barrier.opened, idle = 0;
        return;
    }
    while (barrier.opened == opened) {
        if (++idle > 4 * MOST) {
            fprintf(stderr, "a barrier is not reached by all threads\n");
            abort();
        }
        change();
    }
}

static Barrier of_block, of_warp[MOST / 32];

static void __syncthreads() { wait(of_block, blockDim.x); }

template <class T>
static T __shfl_sync(unsigned, T value, int lane) {
    static T lanes[MOST];
    const unsigned warp = threadIdx.x / 32;
    lanes[threadIdx.x] = value;
    wait(of_warp[warp], 32);
    const T result = lanes[32 * warp + unsigned(lane)];
    wait(of_warp[warp], 32);
    return result;
}

template <class T>
static T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    return __shfl_sync(mask, value, int(threadIdx.x % 32) ^ lanes);
}

// -- launches, with arguments as cuLaunchKernel takes them: pointers to their values -----------------------------------

template <class... A, size_t... I>
static void launch(void (*kernel)(A...), int blocks, int threads, void** values, std::index_sequence<I...>) {
    struct Call {
        void (*kernel)(A...);
        void** values;
    } call = {kernel, values};
    gridDim.x = unsigned(blocks);
    for (int i = 0; i < blocks; ++i) {
        blockIdx.x = unsigned(i);
        run_block(threads, [](void* a) { ((Call*)a)->kernel(*(A*)((Call*)a)->values[I]...); }, &call);
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
