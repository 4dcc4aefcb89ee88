/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chance for the simulator: xoshiro256** (Blackman and Vigna, 2018), seeded
 * by splitmix64. The same numbers everywhere, which rand() does not promise.
 */
#ifndef KINFS_SIM_RNG_H
#define KINFS_SIM_RNG_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rng {
	uint64_t s[4];
};

static inline void rng_init(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		r->s[i] = z ^ z >> 31;
	}
}

static inline uint64_t rng_rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t result = rng_rotate(r->s[1] * 5, 7) * 9;
	uint64_t t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rng_rotate(r->s[3], 45);
	return result;
}

/* 0..n-1; n > 0. The bias of % is far below what a test could see. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

/* True once in `n`. */
static inline int rng_one_in(struct rng *r, uint64_t n)
{
	return rng_below(r, n) == 0;
}

static inline uint64_t rng_between(struct rng *r, uint64_t lo, uint64_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

static inline void rng_fill(struct rng *r, void *ret, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = rng_next(r);

		memcpy((uint8_t *)ret + i, &x, len - i < 8 ? len - i : 8);
	}
}

#endif
