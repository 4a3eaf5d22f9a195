#pragma once

/* What stands between the matrix products of a decode step, on a CPU.

   Every function treats a row by itself and adds its numbers in an order that depends on nothing
   but the row's own length: the bits of a row are the same whatever stands beside it, however a
   prompt was cut, and wherever in the cache its keys lie.

   Rows are bf16 (`bf16 != 0`) or fp32; all arithmetic is fp32, rounded once at the end. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define LANES 16
#define ALONE 49152 /* numbers that one thread finishes before a second one has woken up */
#define INLINE static inline __attribute__((always_inline))

typedef float lanes __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef int32_t counts __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

/* What one register holds: the compiler splits larger vectors well, but does not shuffle them well */
#ifdef __AVX512F__
#define WIDE 16
#else
#define WIDE 8
#endif
typedef float wide __attribute__((vector_size(4 * WIDE)));
typedef int32_t wide_counts __attribute__((vector_size(4 * WIDE)));
typedef uint32_t wide_words __attribute__((vector_size(4 * WIDE)));
typedef uint16_t wide_halves __attribute__((vector_size(2 * WIDE)));

INLINE wide load_wide(const float *from, int64_t at) {
  wide out;
  memcpy(&out, from + at, sizeof out);
  return out;
}

INLINE wide widen(const uint16_t *from, int64_t at) { /* of bf16 */
  wide_halves half;
  memcpy(&half, from + at, sizeof half);
  return (wide)(__builtin_convertvector(half, wide_words) << 16);
}

/* ---- sixteen numbers at a time; fewer at the end of a row, the rest zero ---- */

INLINE void copy(void *to, const void *from, int64_t left, int64_t width) {
  if (__builtin_expect(left >= LANES, 1)) memcpy(to, from, LANES * width); /* one instruction */
  else memcpy(to, from, left * width);
}

INLINE lanes load(const void *from, int64_t at, int64_t left, int bf16) {
  lanes out = {0};
  if (bf16) {
    halves half = {0};
    copy(&half, (const uint16_t *)from + at, left, 2);
    words wide = __builtin_convertvector(half, words) << 16;
    memcpy(&out, &wide, sizeof out);
  } else {
    copy(&out, (const float *)from + at, left, 4);
  }
  return out;
}

INLINE void store(void *to, int64_t at, int64_t left, int bf16, lanes value) {
  if (bf16) {
    words bits;
    memcpy(&bits, &value, sizeof bits);
    words even = bits + 0x7fff + ((bits >> 16) & 1); /* to nearest, ties to even */
    words quiet = (bits >> 16) | 0x40;               /* NaN stays NaN */
    words is_nan = (words)((bits & 0x7fffffff) > 0x7f800000);
    halves half = __builtin_convertvector((even >> 16 & ~is_nan) | (quiet & is_nan), halves);
    copy((uint16_t *)to + at, &half, left, 2);
  } else {
    copy((float *)to + at, &value, left, 4);
  }
}

INLINE float total(lanes value) { /* by halves, always in the same order */
  float part[LANES];
  memcpy(part, &value, sizeof part);
  for (int width = LANES / 2; width; width /= 2)
    for (int i = 0; i < width; i++) part[i] += part[i + width];
  return part[0];
}

/* `mask` is what a comparison of lanes gives: all bits or none */
INLINE lanes choose(counts mask, lanes yes, lanes no) {
  return (lanes)(((counts)yes & mask) | ((counts)no & ~mask));
}

INLINE wide choose_wide(wide_counts mask, wide yes, wide no) {
  return (wide)(((wide_counts)yes & mask) | ((wide_counts)no & ~mask));
}

/* e^x for x <= 0, relative error about 1e-7: Cephes' polynomial after reduction by ln 2 */
INLINE wide exponential_wide(wide x) {
  const wide magic = (wide){0} + 12582912.0f, least = (wide){0} - 87.0f;
  x = choose_wide(x < least, least, x);
  wide power = (x * 1.44269504088896341f + magic) - magic;
  wide rest = x - power * 0.693359375f - power * -2.12194440e-4f;
  wide series = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1.0f;
  return series * (wide)((__builtin_convertvector(power, wide_counts) + 127) << 23);
}

INLINE lanes exponential(lanes x) {
  wide part[LANES / WIDE];
  memcpy(part, &x, sizeof x);
  for (int i = 0; i < LANES / WIDE; i++) part[i] = exponential_wide(part[i]);
  memcpy(&x, part, sizeof x);
  return x;
}
