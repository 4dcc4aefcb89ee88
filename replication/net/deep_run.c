/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread for one check. Between two steps it hands over how far it is,
 * and looks whether it shall stop; what it found is the other thread's once
 * it is done.
 */
#include "replication/net/deep_run.h"
#include "fs/base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct deep_run {
	struct deep *deep;
	struct loop *loop;
	pthread_t thread;
	atomic_bool stop;
	atomic_int state;	/* deep_run_done() */
	atomic_uint_fast64_t objects, bytes;
};

static void *deep_thread(void *arg)
{
	struct deep_run *d = arg;
	int r = 0;

	while (!r && !atomic_load(&d->stop)) {
		r = deep_step(d->deep);
		atomic_store(&d->objects, deep_result(d->deep)->objects);
		atomic_store(&d->bytes, deep_result(d->deep)->bytes);
	}
	atomic_store(&d->state, r);
	loop_wake(d->loop);
	return NULL;
}

int deep_run_start(struct tree *tree, struct loop *loop,
		   struct deep_run **ret)
{
	struct deep_run *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = loop;
	r = deep_begin(tree, &d->deep);
	if (!r) {
		r = thread_start(&d->thread, deep_thread, d);
		if (r)
			deep_end(d->deep);
	}
	if (r)
		free(d);
	else
		*ret = d;
	return r;
}

void deep_run_progress(const struct deep_run *d, uint64_t *ret_objects,
		       uint64_t *ret_bytes)
{
	*ret_objects = atomic_load(&d->objects);
	*ret_bytes = atomic_load(&d->bytes);
}

int deep_run_done(const struct deep_run *d)
{
	return atomic_load(&d->state);
}

const struct deep_result *deep_run_result(const struct deep_run *d)
{
	return deep_result(d->deep);
}

void deep_run_free(struct deep_run *d)
{
	if (!d)
		return;
	atomic_store(&d->stop, true);
	pthread_join(d->thread, NULL);
	deep_end(d->deep);
	free(d);
}
