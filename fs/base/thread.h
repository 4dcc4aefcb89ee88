/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of a process whose signals are its main thread's matter; and what
 * they wait for. */
#ifndef KINFS_BASE_THREAD_H
#define KINFS_BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "fs/base/macro.h"

/* A joinable thread that all signals are blocked in. Errors: of the system,
 * then *ret is not set. */
must_check int thread_start(pthread_t *ret, void *(*fn)(void *), void *arg);
/* A condition whose timed waits are by CLOCK_MONOTONIC. */
void cond_init_monotonic(pthread_cond_t *ret);
/* When such a wait ends that begins now and lasts so long. */
struct timespec monotonic_in_ms(uint64_t ms);

#endif
