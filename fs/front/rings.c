/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring for each processor that the machine may have: the kernel asks by
 * none before it has an entry of each. Answers of those who receive from no
 * ring are sent by a thread of its own.
 */
#include "fs/front/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/thread.h"
#include "fs/front/ring.h"
#include "fs/front/uring.h"

/* Each takes up to 256 KiB of the kernel, by their number. */
#define RINGS_MAX 256

#define SWITCH "/sys/module/fuse/parameters/enable_uring"
#define PROCESSORS "/sys/devices/system/cpu/possible"

struct rings {
	struct ring **ring;
	size_t count;
	pthread_mutex_t mutex;		/* for what follows */
	pthread_cond_t wake;
	bool answered, stopping;
	pthread_t sender;
	bool started;
};

static ssize_t file_read(const char *path, char *ret, size_t room)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, room - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return n;
}

/* "0-3,8-11": the kernel has a queue for each, also if it is switched off. */
static int count_processors(size_t *ret)
{
	char text[256], *at = text;
	ssize_t n = file_read(PROCESSORS, text, sizeof(text));
	size_t count = 0;

	if (n < 0)
		return (int)n;
	while (*at >= '0' && *at <= '9') {
		unsigned long first = strtoul(at, &at, 10), last = first;

		if (*at == '-')
			last = strtoul(at + 1, &at, 10);
		if (last < first || last >= RINGS_MAX)
			return -E2BIG;
		count += last - first + 1;
		at += *at == ',';
	}
	*ret = count;
	return count ? 0 : -EIO;
}

int rings_check(struct buf *why)
{
	struct uring uring = URING_NONE;
	char text[16];
	size_t count;
	int r;

	if (file_read(SWITCH, text, sizeof(text)) < 0) {
		buf_printf(why, "--io-uring: this kernel does not have it for "
				"FUSE (Linux 6.14 does, where it is built "
				"in); leave the option out");
		return -EOPNOTSUPP;
	}
	if (text[0] != 'Y') {
		buf_printf(why, "--io-uring: is switched off for FUSE; as "
				"root `echo Y > " SWITCH "`, or leave the "
				"option out");
		return -EOPNOTSUPP;
	}
	if (count_processors(&count) == -E2BIG) {
		buf_printf(why, "--io-uring: is for up to %d processors; leave "
				"the option out", RINGS_MAX);
		return -EOPNOTSUPP;
	}
	r = uring_open(1, 1, &uring);
	uring_close(&uring);
	if (r == 0)
		return 0;
	buf_printf(why, "--io-uring: the system does not allow io_uring (%s), "
			"see kernel.io_uring_disabled in sysctl(8) and the "
			"settings of the container; or leave the option out",
		   strerror(-r));
	return -EOPNOTSUPP;
}

/* ---- answers */

bool rings_answer(struct rings *rings, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	bool found = false;

	if (!out->unique)	/* a notification */
		return false;
	if (ring_answer_own(iov, count))
		return true;
	for (size_t k = 0; k < rings->count && !found; k++)
		found = ring_answer(rings->ring[k], iov, count);
	if (!found)
		return false;
	pthread_mutex_lock(&rings->mutex);
	rings->answered = true;
	pthread_cond_signal(&rings->wake);
	pthread_mutex_unlock(&rings->mutex);
	return true;
}

static void *sender_main(void *arg)
{
	struct rings *rings = arg;
	bool go_on = true;

	while (go_on) {
		pthread_mutex_lock(&rings->mutex);
		while (!rings->answered && !rings->stopping)
			pthread_cond_wait(&rings->wake, &rings->mutex);
		rings->answered = false;
		go_on = !rings->stopping;
		pthread_mutex_unlock(&rings->mutex);
		for (size_t k = 0; k < rings->count; k++)
			ring_send(rings->ring[k]);
	}
	return NULL;
}

/* ---- all of them */

static int open_rings(struct rings *rings, int device, unsigned int threads)
{
	struct ring_options options = { .device = device };
	size_t count;
	int r = count_processors(&count);

	if (r < 0)
		return r;
	/* (who has no such mask chooses none) */
	if (sched_getaffinity(0, sizeof(options.anywhere),
			      &options.anywhere) < 0)
		CPU_ZERO(&options.anywhere);
	/* One for each, and ours. */
	options.threads = threads + (unsigned int)count + 1;
	rings->ring = calloc(count, sizeof(*rings->ring));
	if (!rings->ring)
		return -ENOMEM;
	while (r == 0 && rings->count < count) {
		options.processor = (unsigned int)rings->count;
		r = ring_new(&options, &rings->ring[rings->count]);
		rings->count += r == 0;
	}
	return r;
}

int rings_new(int device, unsigned int threads, struct rings **ret)
{
	struct rings *rings = calloc(1, sizeof(*rings));
	int r;

	if (!rings)
		return -ENOMEM;
	pthread_mutex_init(&rings->mutex, NULL);
	cond_init_monotonic(&rings->wake);
	r = open_rings(rings, device, threads);
	if (r == 0)
		r = thread_start(&rings->sender, sender_main, rings);
	rings->started = r == 0;
	if (r < 0)
		rings_free(rings);
	else
		*ret = rings;
	return r;
}

void rings_free(struct rings *rings)
{
	if (!rings)
		return;
	pthread_mutex_lock(&rings->mutex);
	rings->stopping = true;
	pthread_cond_signal(&rings->wake);
	pthread_mutex_unlock(&rings->mutex);
	if (rings->started)
		pthread_join(rings->sender, NULL);
	for (size_t k = 0; k < rings->count; k++)
		ring_free(rings->ring[k]);
	free(rings->ring);
	pthread_cond_destroy(&rings->wake);
	pthread_mutex_destroy(&rings->mutex);
	free(rings);
}

size_t rings_count(const struct rings *rings)
{
	return rings->count;
}

struct ring *rings_get(struct rings *rings, size_t k)
{
	return rings->ring[k];
}
