/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every file may use: attributes, cleanup, assertions.
 *
 * kin_assert() is for our own bugs, never for input, and stays on in
 * release builds (it does not depend on NDEBUG).
 */
#ifndef KINFS_BASE_MACRO_H
#define KINFS_BASE_MACRO_H

#include <stddef.h>
#include <stdint.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define noreturn_fn __attribute__((noreturn))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* (Each is evaluated up to twice: no calls that do something. Constants, if
 * both are.) */
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return MIN_OF(a, b);
}

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

/* Run fn(&variable) when the variable goes out of scope. */
#define cleanup(fn) __attribute__((cleanup(fn)))

/* Take the pointer out of a variable that would be cleaned up. */
#define steal(pp) \
	({ \
		__typeof__(*(pp)) stolen_ = *(pp); \
		*(pp) = NULL; \
		stolen_; \
	})

void cleanup_free(void *pointer_to_pointer);
void cleanup_close(int *fd);

#define autofree cleanup(cleanup_free)
#define autoclose cleanup(cleanup_close)

noreturn_fn void kin_assert_failed(const char *what, const char *file,
				   int line);

#define kin_assert(cond) \
	do { \
		if (__builtin_expect(!(cond), 0)) \
			kin_assert_failed(#cond, __FILE__, __LINE__); \
	} while (0)

#endif
