// The random words and the laws of simlab/kernels/random in CUDA C++: the same counters, so the same words bit for bit;
// the same formulas and coefficients, so the same numbers up to the rounding of fused multiply-adds. Nothing is
// included: NVRTC takes this as it is, a host compiler with tests/oracles/cuda_on_host.h before it.

using u32 = unsigned int;
using u64 = unsigned long long;
using i64 = long long;

#define INLINE __device__ __forceinline__

// -- words ------------------------------------------------------------------------------------------------------------

enum Purpose : u32 { FEATURES, RADIUS, NOISE, ROW, SHUFFLE };

struct Words {
    u32 w[4];
};

// Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011). The 64-bit products are one wide multiply-add each.
INLINE Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 p = u64(0xD2511F53u) * c0, q = u64(0xCD9E8D57u) * c2;
        c0 = u32(q >> 32) ^ c1 ^ k0;
        c1 = u32(q);
        c2 = u32(p >> 32) ^ c3 ^ k1;
        c3 = u32(p);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// The fourth counter word: what for, and which sample of the batch.
INLINE u32 counter_word(Purpose purpose, u32 sample) { return u32(purpose) + 8u * sample; }

// The coordinate that word w of a Philox block belongs to: tiles of 4 x 64, contiguous within a word.
INLINE int coordinate(int block, int w) { return 256 * (block / 64) + 64 * w + block % 64; }

// -- elementary functions ---------------------------------------------------------------------------------------------

template <class R>
INLINE R horner(R, double last) {
    return R(last);
}

template <class R, class... Higher>
INLINE R horner(R x, double first, Higher... higher) {
    return horner(x, higher...) * x + R(first);
}

// The polynomials of one precision; see elementary.py for their ranges and errors.
INLINE float log_odd(float x) { return horner(x, 0.3333804234, 0.1978435930, 0.1719421290); }
INLINE float log_even(float x) { return horner(x, -0.4999983200, -0.2501434142, -0.1630744473, -0.1591865688); }
INLINE float sine(float x) { return horner(x, -0.1666665067, 0.008331978664, -0.0001949563654); }
INLINE float cosine(float x) { return horner(x, -0.4999989478, 0.0416562946, -0.001359782401); }
INLINE float power(float x) {
    return horner(x, 0.6931471880, 0.2402265076, 0.0555035711, 0.0096180826, 0.0013390863, 0.0001545316);
}

INLINE double log_odd(double x) {
    return horner(x, 0.3333333333333481, 0.19999999999206225, 0.14285714410934616, 0.11111102157630344,
                  0.09091254547025297, 0.07684522197499431, 0.06771715436405688, 0.05055487955972401,
                  0.0865985096404782);
}
INLINE double log_even(double x) {
    return horner(x, -0.5, -0.2500000000000141, -0.1666666666590747, -0.1250000011976352, -0.09999991436909654,
                  -0.08333663713810503, -0.07135411852746434, -0.06350448925617135, -0.047650256559680026,
                  -0.08246332137456423);
}
INLINE double sine(double x) {
    return horner(x, -0.16666666666666666, 0.008333333333330948, -0.00019841269836758574, 2.755731610255244e-06,
                  -2.5051131845003624e-08, 1.5918129294866608e-10);
}
INLINE double cosine(double x) {
    return horner(x, -0.5, 0.04166666666666664, -0.0013888888888880775, 2.480158729369346e-05, -2.7557315566341895e-07,
                  2.0875886738047052e-09, -1.1367998654022494e-11);
}
INLINE double power(double x) {
    return horner(x, 0.6931471805599453, 0.24022650695910072, 0.055504108664821625, 0.00961812910762848,
                  0.001333355814640647, 0.00015403530393370734, 1.5252733841556773e-05, 1.3215486808705563e-06,
                  1.0178057087733941e-07, 7.0548973041554995e-09, 4.4558179083360645e-10, 2.5729324177362305e-11);
}

// v = (1 + m) 2^e with m within +-1/3.
INLINE void split(float v, float& m, float& e) {
    const u32 bits = __float_as_uint(v) - 0x3F2AAAABu;
    e = float(int(bits) >> 23);
    m = __uint_as_float((bits & 0x7FFFFFu) + 0x3F2AAAABu) - 1.0f;
}
INLINE void split(double v, double& m, double& e) {
    const i64 bits = __double_as_longlong(v) - 0x3FE5555555555555ll;
    e = double(int(bits >> 52));
    m = __longlong_as_double((bits & 0xFFFFFFFFFFFFFll) + 0x3FE5555555555555ll) - 1.0;
}

// x with the sign bit of `word` flipped in.
INLINE float with_sign(float x, u32 word) { return __uint_as_float(__float_as_uint(x) ^ (word & 0x80000000u)); }
INLINE double with_sign(double x, u32 word) {
    return __longlong_as_double(__double_as_longlong(x) ^ i64(u64(word & 0x80000000u) << 32));
}

INLINE float two_to_the(int n, float) { return __uint_as_float(u32(n + 127) << 23); }
INLINE double two_to_the(int n, double) { return __longlong_as_double(i64(n + 1023) << 52); }

// -log u, u = (word + 1/2) / 2^32.
template <class R>
INLINE R minus_log(u32 word) {
    R m, e;
    split(R(word) + R(0.5), m, e);
    const R square = m * m;
    const R value = (R(32) - e) * R(0.6931471805599453) - ((log_odd(square) * m + log_even(square)) * square + m);
    // In single precision the largest words round to 2^32, whose logarithm may come out a rounding below 0.
    return value > R(0) ? value : R(0);
}

// Sine and cosine of an angle uniform within +-pi/4 from the low 30 bits.
template <class R>
INLINE void quarter(u32 word, R& sin_t, R& cos_t) {
    const R t = R(int(word << 2)) * R(0.7853981633974483 / 2147483648.0);
    const R square = t * t;
    sin_t = (sine(square) * square) * t + t;
    cos_t = cosine(square) * square + R(1);
}

// e^x - 1 for 0 <= x < 80.
template <class R>
INLINE R exp_minus_one(R x) {
    const R turns = x * R(1.0 / 0.6931471805599453);
    const int n = int(turns + R(0.5));
    const R f = turns - R(n), two = two_to_the(n, R());
    return (two - R(1)) + two * (power(f) * f);
}

// -- laws: coordinates of mean 0 and variance 1 -----------------------------------------------------------------------

enum Law { GAUSSIAN, UNIFORM, LAPLACE, STUDENT, THREE_POINT, ROWS, EPOCHS, ONE_HOT, ADDITIVE };

// Box and Muller 1958; the angle is a quarter turn and two signs.
template <class R>
INLINE void gaussian_pair(u32 word, u32 angle, R& first, R& second) {
    const R radius = sqrt(minus_log<R>(word));
    R s, c;
    quarter(angle, s, c);
    first = with_sign((c - s) * radius, angle);
    second = with_sign((c + s) * radius, angle << 1);
}

template <class R>
INLINE R uniform(u32 word) {
    return (R(int(word)) + R(0.5)) * R(1.0 / 2147483648.0) * R(1.7320508075688772);
}

// The last bit is the sign, the others the magnitude.
template <class R>
INLINE R laplace(u32 word) {
    return with_sign(minus_log<R>(word | 1u) * R(0.7071067811865476), word << 31);
}

// Bailey 1994, scaled to variance 1.
template <class R>
INLINE R student(u32 word, u32 angle, R degrees) {
    const R rate = R(2) / degrees, scale = (degrees - R(2)) * R(0.5);
    R s, c;
    quarter(angle, s, c);
    return with_sign((c - s) * sqrt(scale * exp_minus_one(rate * minus_log<R>(word))), angle);
}

template <class R>
INLINE R three_point(u32 word, u32 threshold, R size) {
    return with_sign((word >> 1) < threshold ? size : R(0), word << 31);
}

// The coordinates of one Philox block by a law proper; threshold and size are those of the four (three points alone).
template <int LAW, class R>
INLINE void draw_block(u32 step, u32 replica, u32 block, u32 sample, u32 k0, u32 k1, R degrees,
                       const u32 (&threshold)[4], const R (&size)[4], R (&x)[4]) {
    const Words words = philox(step, replica, block, counter_word(FEATURES, sample), k0, k1);
    if (LAW == GAUSSIAN) {
        gaussian_pair(words.w[0], words.w[1], x[0], x[1]);
        gaussian_pair(words.w[2], words.w[3], x[2], x[3]);
        return;
    }
    Words more = {};
    if (LAW == STUDENT) more = philox(step, replica, block, counter_word(RADIUS, sample), k0, k1);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
        if (LAW == UNIFORM) x[w] = uniform<R>(words.w[w]);
        if (LAW == LAPLACE) x[w] = laplace<R>(words.w[w]);
        if (LAW == STUDENT) x[w] = student(words.w[w], more.w[w], degrees);
        if (LAW == THREE_POINT) x[w] = three_point(words.w[w], threshold[w], size[w]);
    }
}

template <class R>
INLINE R label_noise(u32 step, u32 replica, u32 sample, u32 k0, u32 k1) {
    const Words words = philox(step, replica, 0, counter_word(NOISE, sample), k0, k1);
    R first, second;
    gaussian_pair(words.w[0], words.w[1], first, second);
    return first;
}

// -- rows and categories ----------------------------------------------------------------------------------------------

INLINE u64 wide_word(u32 step, u32 replica, u32 sample, u32 k0, u32 k1) {
    const Words words = philox(step, replica, 0, counter_word(ROW, sample), k0, k1);
    return u64(words.w[0]) << 32 | words.w[1];
}

INLINE int draw_row(u32 step, u32 replica, u32 sample, int count, u32 k0, u32 k1) {
    return int(wide_word(step, replica, sample, k0, k1) % u64(count));
}

// The first j with u < cumulative_j; `count` where u lies beyond all of them.
INLINE int draw_category(u32 step, u32 replica, u32 sample, const double* cumulative, int count, u32 k0, u32 k1) {
    const double u = double(wide_word(step, replica, sample, k0, k1) >> 11) * (1.0 / 9007199254740992.0);
    int low = 0, high = count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (cumulative[middle] <= u) low = middle + 1;
        else high = middle;
    }
    return low;
}

// The place that Fisher and Yates exchange place j with, in the shuffle of an epoch.
INLINE int exchange(u32 epoch, u32 replica, u32 j, u32 k0, u32 k1) {
    return int(u64(philox(epoch, replica, j, SHUFFLE, k0, k1).w[0]) * (j + 1) >> 32);
}
