/* SPDX-License-Identifier: Apache-2.0 */
/* The one place of this layer that asks the system for time or chance. */
#include "replication/net/sys.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "fs/base/macro.h"

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	kin_assert(!clock_gettime(clock, &ts));
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t sys_now_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

uint64_t sys_wall_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

void sys_random(void *ret, size_t len)
{
	uint8_t *at = ret;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		kin_assert(n > 0 || errno == EINTR);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}
