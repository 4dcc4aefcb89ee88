/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new thread inherits the mask of who makes it: so it is never, not even at
 * its first instruction, one that a signal is delivered to.
 */
#include "fs/base/thread.h"

#include <signal.h>
#include <time.h>

int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

void cond_init_monotonic(pthread_cond_t *ret)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(ret, &attr);
	pthread_condattr_destroy(&attr);
}

struct timespec monotonic_in_ms(uint64_t ms)
{
	struct timespec ret;

	clock_gettime(CLOCK_MONOTONIC, &ret);
	ret.tv_nsec += (long)(ms % 1000 * 1000000);
	ret.tv_sec += (time_t)(ms / 1000) + ret.tv_nsec / 1000000000;
	ret.tv_nsec %= 1000000000;
	return ret;
}
