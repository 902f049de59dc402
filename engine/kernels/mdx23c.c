/* What the inference of MDX23C networks needs beside matrix products and convolutions: norm with GELU in one go, and
 * the transforms of Winograd's convolution. Maps are [time, frequency, channel]. Compiled on the machine that runs it. */

#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define TEAM_SIZE omp_get_num_threads()
#define TEAM_MEMBER omp_get_thread_num()
#else
#define TEAM_SIZE 1
#define TEAM_MEMBER 0
#endif

#define LANES 64  /* channels whose sums stay in registers */
#define PIECE 64  /* pixels summed in single precision */

static inline int32_t bits_of(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float float_of(int32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* e^-x for 0 <= x < 88: 2^-n times a polynomial on half an octave around 0. */
static inline float falling_exponential(float x)
{
    const int32_t n = (int32_t)(x * 1.44269504f + 0.5f);
    const float z = n * 0.693359375f - x + n * -2.12194440e-4f;
    float y = 1.3981999e-3f;
    y = y * z + 8.3334519e-3f;
    y = y * z + 4.1665796e-2f;
    y = y * z + 1.6666665e-1f;
    y = y * z + 5.0000000e-1f;
    y = y * z * z + z + 1.0f;
    return y * float_of((127 - n) << 23);
}

/* x times the normal distribution's integral up to x. The error function is 7.1.26 of Abramowitz and Stegun. */
static inline float gelu(float x)
{
    /* Positive floats are ordered as their bits are; beyond 9 the integral is 0 or 1, and no number stays none. */
    const int32_t bits = bits_of(x) & 0x7fffffff, most = 0x41100000;
    const float z = float_of(bits < most ? bits : most) * 0.70710678f;
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    const float tail =
        t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
    return x * (0.5f + copysignf(0.5f - 0.5f * tail * falling_exponential(z * z), x));
}

static inline float from_bfloat16(uint16_t sample)
{
    return float_of((int32_t)((uint32_t)sample << 16));
}

/* To the nearest, halves to even; what is no number stays none. */
static inline uint16_t to_bfloat16(float value)
{
    const uint32_t bits = (uint32_t)bits_of(value), is_none = (bits & 0x7fffffff) > 0x7f800000;
    return (uint16_t)((bits + (0x7fff + (bits >> 16 & 1)) * !is_none) >> 16 | is_none << 6);
}

#define SAMPLE float
#define LOAD(x) (x)
#define STORE(x) (x)
#define NAMED(x) x##_fp32
#include "norm_gelu.h"
#undef SAMPLE
#undef LOAD
#undef STORE
#undef NAMED

#define SAMPLE uint16_t
#define LOAD(x) from_bfloat16(x)
#define STORE(x) to_bfloat16(x)
#define NAMED(x) x##_bf16
#include "norm_gelu.h"

/* Winograd's convolution F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
 * arXiv:1509.09308: a tile of 4x4 outputs from 6x6 inputs takes 36 products where the plain way takes 144. Polynomials
 * are taken at 0, A, -A, B, -B and infinity: these points, exact in binary, leave half the rounding of 1 and 2. */

#define LINE 16 /* channels of one step */
#define A 0.625f
#define B 1.5f

static inline void rise(const float (*d)[LINE], float (*v)[LINE], int step)
{
    for (int c = 0; c < LINE; c++) {
        const float d0 = d[0][c], d1 = d[step][c], d2 = d[2 * step][c], d3 = d[3 * step][c], d4 = d[4 * step][c],
                    d5 = d[5 * step][c];
        const float even_a = d4 - B * B * d2, odd_a = A * (d3 - B * B * d1);
        const float even_b = d4 - A * A * d2, odd_b = B * (d3 - A * A * d1);
        v[0][c] = d4 - (A * A + B * B) * d2 + A * A * B * B * d0;
        v[step][c] = even_a + odd_a;
        v[2 * step][c] = even_a - odd_a;
        v[3 * step][c] = even_b + odd_b;
        v[4 * step][c] = even_b - odd_b;
        v[5 * step][c] = d5 - (A * A + B * B) * d3 + A * A * B * B * d1;
    }
}

static inline void fall(const float (*m)[LINE], float (*y)[LINE], int step)
{
    for (int c = 0; c < LINE; c++) {
        const float m0 = m[0][c], m1 = m[step][c], m2 = m[2 * step][c], m3 = m[3 * step][c], m4 = m[4 * step][c],
                    m5 = m[5 * step][c];
        const float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
        y[0][c] = m0 + even_a + even_b;
        y[step][c] = A * odd_a + B * odd_b;
        y[2 * step][c] = A * A * even_a + B * B * even_b;
        y[3 * step][c] = A * A * A * odd_a + B * B * B * odd_b + m5;
    }
}

/* Tiles [first, first + count) of a map [height, width, channels], 0 around it, into [36, count, channels]. */
void winograd_tiles_fp32(const float *x, float *tiles, long height, long width, long channels, long first, long count,
                         int threads)
{
    const long across = (width + 3) / 4;
#pragma omp parallel for num_threads(threads)
    for (long n = 0; n < count; n++) {
        const long top = (first + n) / across * 4 - 1, left = (first + n) % across * 4 - 1;
        for (long from = 0; from < channels; from += LINE) {
            const long lanes = channels - from < LINE ? channels - from : LINE;
            float d[36][LINE], v[36][LINE];
            for (int i = 0; i < 36; i++) {
                const long t = top + i / 6, f = left + i % 6;
                if (lanes < LINE || t < 0 || t >= height || f < 0 || f >= width)
                    memset(d[i], 0, sizeof d[i]);
                if (t >= 0 && t < height && f >= 0 && f < width)
                    memcpy(d[i], x + (t * width + f) * channels + from, lanes == LINE ? sizeof d[i] : lanes * sizeof(float));
            }
            for (int i = 0; i < 6; i++)
                rise(d + i, v + i, 6);
            for (int i = 0; i < 6; i++)
                rise(v + 6 * i, d + 6 * i, 1);
            for (int i = 0; i < 36; i++)
                memcpy(tiles + (i * count + n) * channels + from, d[i], lanes == LINE ? sizeof d[i] : lanes * sizeof(float));
        }
    }
}

/* Products [36, count, channels] back into tiles of the map y; `added` says whether to what is there. */
void winograd_map_fp32(const float *products, float *y, long height, long width, long channels, long first, long count,
                       int added, int threads)
{
    const long across = (width + 3) / 4;
#pragma omp parallel for num_threads(threads)
    for (long n = 0; n < count; n++) {
        const long top = (first + n) / across * 4, left = (first + n) % across * 4;
        for (long from = 0; from < channels; from += LINE) {
            const long lanes = channels - from < LINE ? channels - from : LINE;
            float m[36][LINE], h[24][LINE], o[16][LINE];
            for (int i = 0; i < 36; i++)
                memcpy(m[i], products + (i * count + n) * channels + from, lanes == LINE ? sizeof m[i] : lanes * sizeof(float));
            for (int i = 0; i < 6; i++)
                fall(m + i, h + i, 6);
            for (int i = 0; i < 4; i++)
                fall(h + 6 * i, o + 4 * i, 1);
            for (int i = 0; i < 16; i++) {
                const long t = top + i / 4, f = left + i % 4;
                if (t >= height || f >= width)
                    continue;
                float *to = y + (t * width + f) * channels + from;
                if (added)
                    for (long c = 0; c < lanes; c++)
                        to[c] += o[i][c];
                else
                    for (long c = 0; c < lanes; c++)
                        to[c] = o[i][c];
            }
        }
    }
}
