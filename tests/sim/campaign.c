/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeds are given to child processes in *batches*, in order. A child writes
 * the seed it is at into memory that it shares with its parent; if it dies
 * (an assertion, a sanitizer, an alarm because it hangs), that seed has
 * failed, and another child goes on with the rest of the batch. The state
 * file holds the first seed of which nothing is known, and the failures below
 * it: what was interrupted runs again.
 */
#include "tests/sim/campaign.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/base/macro.h"

#define BATCH_SEEDS 50
#define JOBS_MAX 64

/* Of one child; shared. */
struct batch {
	uint64_t next, to; /* the seed in hand, the last one */
	uint64_t failed_count;
	uint64_t failed[BATCH_SEEDS];
};

struct job {
	pid_t pid;	/* 0: none */
	uint64_t first; /* seed of its batch */
	struct batch *batch;
};

struct campaign {
	const struct campaign_options *options;
	struct job jobs[JOBS_MAX];
	uint64_t next; /* seed of the next batch */
	uint64_t done;
	uint64_t *failed;
	size_t failed_count;
	time_t until;
};

static void say_failure(const struct history_options *o, const char *what)
{
	printf("FAIL seed %llu: %s\n     kin-sim --seed %llu%s%s --trace\n",
	       (unsigned long long)o->seed, what, (unsigned long long)o->seed,
	       o->profile ? " --profile " : "",
	       o->profile ? o->profile->name : "");
	fflush(stdout);
}

bool campaign_seed(const struct history_options *o)
{
	struct history_result first, second;

	history_run(o, &first);
	if (!first.failure[0] && o->seed % 20 == 0) {
		struct history_options again = *o;

		again.trace = false;
		history_run(&again, &second);
		if (second.hash != first.hash)
			snprintf(first.failure, sizeof(first.failure),
				 "two runs of it differ");
	}
	if (o->trace)
		printf("%llu operations, %llu faults, %llu frames\n",
		       (unsigned long long)first.ops,
		       (unsigned long long)first.faults,
		       (unsigned long long)first.frames);
	if (first.failure[0])
		say_failure(o, first.failure);
	return !first.failure[0];
}

/* ---- children */

/* Nobody asks for more: c has those of other batches. */
static bool has_enough(const struct campaign *c, const struct batch *b)
{
	uint64_t max = c->options->failures_max;

	return max && c->failed_count + b->failed_count >= max;
}

static void child_run(const struct campaign *c, struct batch *b)
{
	char dir[400];
	struct history_options o = {.profile = c->options->profile, .dir = dir};

	snprintf(dir, sizeof(dir), "%s-%d", c->options->dir, (int)getpid());
	while (b->next <= b->to && !has_enough(c, b)) {
		alarm((unsigned)c->options->patience_s);
		o.seed = b->next;
		if (!campaign_seed(&o))
			b->failed[b->failed_count++] = o.seed;
		b->next++;
	}
	fflush(stdout);
	_exit(0);
}

static int job_start(struct campaign *c, struct job *j)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	if (pid == 0)
		child_run(c, j->batch);
	j->pid = pid;
	return 0;
}

static int job_begin(struct campaign *c, struct job *j)
{
	uint64_t left = c->options->to - c->next + 1;

	if (!j->batch) {
		j->batch = mmap(NULL, sizeof(*j->batch), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (j->batch == MAP_FAILED)
			return -ENOMEM;
	}
	memset(j->batch, 0, sizeof(*j->batch));
	j->batch->next = j->first = c->next;
	c->next += MIN_OF(left, (uint64_t)BATCH_SEEDS);
	j->batch->to = c->next - 1;
	return job_start(c, j);
}

static void dir_remove(const struct campaign *c, pid_t pid)
{
	char command[500];

	/* (of a child that died; the path is ours and has no quotes) */
	snprintf(command, sizeof(command), "rm -rf '%s-%d'", c->options->dir,
		 (int)pid);
	if (system(command) != 0)
		fprintf(stderr, "cannot remove '%s-%d'\n", c->options->dir,
			(int)pid);
}

/* A child ended. Goes on with what is left of its batch. */
static int job_end(struct campaign *c, struct job *j, int status)
{
	struct batch *b = j->batch;
	struct history_options o = {.seed = b->next,
				    .profile = c->options->profile};
	char what[64];

	if (status != 0) {
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			snprintf(what, sizeof(what), "it hangs");
		else
			snprintf(what, sizeof(what),
				 "the process died, status %x",
				 (unsigned)status);
		say_failure(&o, what);
		b->failed[b->failed_count++] = b->next++;
		dir_remove(c, j->pid);
	}
	j->pid = 0;
	if (b->next <= b->to && !has_enough(c, b))
		return job_start(c, j);
	for (uint64_t i = 0; i < b->failed_count; i++) {
		c->failed = realloc(c->failed,
				    (c->failed_count + 1) * sizeof(*c->failed));
		kin_assert(c->failed);
		c->failed[c->failed_count++] = b->failed[i];
	}
	c->done += b->next - j->first;
	if (b->next <= b->to)
		c->next = MIN_OF(c->next, b->next);
	return 0;
}

/* The first failures are all that was wanted: what still runs is of no use. */
static void jobs_stop(struct campaign *c)
{
	for (int i = 0; i < c->options->jobs; i++) {
		struct job *j = &c->jobs[i];

		if (!j->pid)
			continue;
		kill(j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
		dir_remove(c, j->pid);
		c->next = MIN_OF(c->next, j->first);
		j->pid = 0;
	}
}

/* ---- the state file: "next N", then a line "failed N" for each */

static int state_load(struct campaign *c)
{
	FILE *f = fopen(c->options->state, "r");
	unsigned long long n;
	char word[16];

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fscanf(f, "%15s %llu", word, &n) == 2) {
		if (!strcmp(word, "next"))
			c->next = n;
		if (strcmp(word, "failed"))
			continue;
		c->failed = realloc(c->failed,
				    (c->failed_count + 1) * sizeof(*c->failed));
		kin_assert(c->failed);
		c->failed[c->failed_count++] = n;
	}
	fclose(f);
	return 0;
}

static int state_save(const struct campaign *c)
{
	uint64_t next = c->next;
	char name[4096];
	FILE *f;

	if (!c->options->state)
		return 0;
	for (int i = 0; i < c->options->jobs; i++)
		if (c->jobs[i].pid)
			next = MIN_OF(next, c->jobs[i].first);
	snprintf(name, sizeof(name), "%s.new", c->options->state);
	f = fopen(name, "w");
	if (!f)
		return -errno;
	fprintf(f, "next %llu\n", (unsigned long long)next);
	for (size_t i = 0; i < c->failed_count; i++)
		if (c->failed[i] < next)
			fprintf(f, "failed %llu\n",
				(unsigned long long)c->failed[i]);
	if (fclose(f) || rename(name, c->options->state))
		return -errno;
	return 0;
}

/* ---- */

static bool goes_on(const struct campaign *c)
{
	const struct campaign_options *o = c->options;

	return c->next <= o->to && (!o->seconds || time(NULL) < c->until) &&
	       (!o->failures_max || c->failed_count < o->failures_max);
}

static int campaign_step(struct campaign *c)
{
	const struct campaign_options *o = c->options;
	int status, r = 0;
	pid_t pid;

	for (int i = 0; r == 0 && i < o->jobs && goes_on(c); i++)
		if (!c->jobs[i].pid)
			r = job_begin(c, &c->jobs[i]);
	if (r < 0)
		return r;
	pid = waitpid(-1, &status, 0);
	if (pid < 0)
		return errno == ECHILD ? 1 : -errno;
	for (int i = 0; i < o->jobs; i++)
		if (c->jobs[i].pid == pid)
			r = job_end(c, &c->jobs[i], status);
	if (o->failures_max && c->failed_count >= o->failures_max)
		jobs_stop(c);
	return r < 0 ? r : state_save(c);
}

int64_t campaign_run(const struct campaign_options *o)
{
	struct campaign c = {.options = o, .next = o->from};
	int r = 0;

	c.until = time(NULL) + (time_t)o->seconds;
	if (o->jobs > JOBS_MAX)
		return -E2BIG;
	if (o->state)
		r = state_load(&c);
	while (r == 0)
		r = campaign_step(&c);
	for (int i = 0; i < o->jobs; i++)
		if (c.jobs[i].batch)
			munmap(c.jobs[i].batch, sizeof(*c.jobs[i].batch));
	printf("seeds=%llu failed=%zu\n", (unsigned long long)c.done,
	       c.failed_count);
	free(c.failed);
	return r < 0 ? r : (int64_t)c.failed_count;
}
