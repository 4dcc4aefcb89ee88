/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-sim: random histories of a cluster in one process, by seed.
 * history.h says what a history is, campaign.h how many are run.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tests/sim/campaign.h"
#include "tests/sim/shrink.h"

static void usage(void)
{
	fputs("usage: kin-sim [--seeds FROM..TO] [--jobs N] [--seconds S]\n"
	      "               [--state FILE] [--failures N] [--patience S]\n"
	      "               [--profile NAME]\n"
	      "       kin-sim --seed N [--profile NAME] [--skip ACTIONS]\n"
	      "               [--trace] [--shrink] [--history FILE]\n"
	      "profiles:",
	      stderr);
	for (size_t i = 0; i < profile_count; i++)
		fprintf(stderr, " %s", profiles[i].name);
	fputs("\n", stderr);
	exit(2);
}

static uint64_t number(const char *text, char **end)
{
	uint64_t n;

	errno = 0;
	n = strtoull(text, end, 10);
	if (errno || *end == text || text[0] == '-')
		usage();
	return n;
}

static uint64_t whole_number(const char *text)
{
	char *end;
	uint64_t n = number(text, &end);

	if (*end)
		usage();
	return n;
}

static void seeds(const char *text, struct campaign_options *o)
{
	char *end;

	o->from = number(text, &end);
	if (strncmp(end, "..", 2))
		usage();
	o->to = whole_number(end + 2);
	if (o->to < o->from)
		usage();
}

struct command {
	struct campaign_options many;
	struct history_options one;
	bool is_one, shrink;
	const char *history;
};

static void parse(int argc, char **argv, struct command *c)
{
	static const struct option options[] = {
		{"seeds", required_argument, NULL, 's'},
		{"seed", required_argument, NULL, 'n'},
		{"trace", no_argument, NULL, 't'},
		{"profile", required_argument, NULL, 'p'},
		{"jobs", required_argument, NULL, 'j'},
		{"seconds", required_argument, NULL, 'S'},
		{"state", required_argument, NULL, 'f'},
		{"failures", required_argument, NULL, 'm'},
		{"patience", required_argument, NULL, 'w'},
		{"skip", required_argument, NULL, 'k'},
		{"shrink", no_argument, NULL, 'r'},
		{"history", required_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			seeds(optarg, &c->many);
			break;
		case 'n':
			c->one.seed = whole_number(optarg);
			c->is_one = true;
			break;
		case 't':
			c->one.trace = true;
			break;
		case 'p':
			c->one.profile = profile_find(optarg);
			c->many.profile = c->one.profile;
			if (!c->one.profile)
				usage();
			break;
		case 'j':
			c->many.jobs = (int)whole_number(optarg);
			break;
		case 'S':
			c->many.seconds = whole_number(optarg);
			break;
		case 'f':
			c->many.state = optarg;
			break;
		case 'm':
			c->many.failures_max = whole_number(optarg);
			break;
		case 'w':
			c->many.patience_s = whole_number(optarg);
			break;
		case 'k':
			if (!skip_parse(optarg, c->one.skip))
				usage();
			break;
		case 'r':
			c->shrink = true;
			break;
		case 'h':
			c->history = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind < argc || c->many.jobs < 1 ||
	    ((c->shrink || c->history) && !c->is_one))
		usage();
}

static int run_shrunk(struct history_options *o)
{
	struct history_result r;
	bool trace = o->trace;
	int left = history_shrink(o);

	if (left < 0) {
		printf("seed %llu does not fail\n",
		       (unsigned long long)o->seed);
		return 1;
	}
	o->trace = true;
	history_run(o, &r);
	o->trace = trace;
	printf("%d actions are left: %s\n     kin-sim --seed %llu%s%s --trace "
	       "--skip ",
	       left, r.failure, (unsigned long long)o->seed,
	       o->profile ? " --profile " : "",
	       o->profile ? o->profile->name : "");
	skip_print(o->skip);
	printf("\n");
	return 1;
}

/* Once: what is written is the seed's. */
static int run_written(struct history_options *o, const char *file)
{
	struct history_result r;

	o->record = fopen(file, "w");
	if (!o->record) {
		perror(file);
		return 1;
	}
	history_run(o, &r);
	if (r.failure[0])
		printf("seed %llu fails: %s\n", (unsigned long long)o->seed,
		       r.failure);
	if (fclose(o->record)) {
		perror(file);
		return 1;
	}
	return r.failure[0] != 0;
}

int main(int argc, char **argv)
{
	struct command c = {.many = {.from = 1,
				     .to = 100,
				     .jobs = 1,
				     .patience_s = PATIENCE_S}};
	const char *base = getenv("TMPDIR");
	char dir[300];
	int64_t failed;

	parse(argc, argv, &c);
	if (access("/dev/shm", W_OK) == 0)
		base = "/dev/shm";
	snprintf(dir, sizeof(dir), "%s/kin-sim-%d", base ? base : "/tmp",
		 (int)getpid());
	c.one.dir = c.many.dir = dir;
	/* Lost links and failing disks are no news here. */
	log_set_level(c.one.trace ? LOG_LEVEL_ERROR : LOG_LEVEL_OFF);
	if (c.shrink)
		return run_shrunk(&c.one);
	if (c.history)
		return run_written(&c.one, c.history);
	if (c.is_one) {
		bool well = campaign_seed(&c.one);

		printf("seeds=1 failed=%d\n", !well);
		return well ? 0 : 1;
	}
	failed = campaign_run(&c.many);
	if (failed < 0)
		fprintf(stderr, "kin-sim: %s\n", strerror((int)-failed));
	return failed ? 1 : 0;
}
