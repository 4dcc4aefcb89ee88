/* SPDX-License-Identifier: Apache-2.0 */
/* kin wait */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin wait [--timeout SECONDS] [--peers connected|all] [--json]\n"
"                MOUNTPOINT\n"
"       kin wait --token TOKEN [--timeout SECONDS] [--json] MOUNTPOINT\n"
"       kin wait --fresh N [--timeout SECONDS] [--json] MOUNTPOINT\n"
"Takes a point in time and waits until this node and every other member\n"
"hold durably, and show through their mounts, everything that any of them\n"
"had then. Later changes do not prolong it.\n"
"\n"
"  --timeout SECONDS   how long to wait at most; 60\n"
"  --peers all         wait for every member; the default\n"
"  --peers connected   leave out members that are not connected now\n"
"  --token TOKEN       wait until this mount shows all that the node showed\n"
"                      on which `kin token` printed TOKEN\n"
"  --fresh N           ask the other nodes, and wait until this mount shows\n"
"                      what the first N that answer have now\n"
"  --json              {missing: [{label, id, answered, changes}]}\n"
"\n"
"Exit codes: 0 it is so; 1 timed out, the message names who lacks what;\n"
"3 a member was not reachable, or this node is paused.\n";

enum {
	OPTION_TIMEOUT = OPTION_FIRST,
	OPTION_PEERS,
	OPTION_TOKEN,
	OPTION_FRESH,
	OPTION_JSON,
};

static const struct option options[] = {
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "peers", required_argument, NULL, OPTION_PEERS },
	{ "token", required_argument, NULL, OPTION_TOKEN },
	{ "fresh", required_argument, NULL, OPTION_FRESH },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

#define TIMEOUT_DEFAULT_S 60
/* Eleven days: above it a typing error is likelier. */
#define TIMEOUT_MAX_S 1e6
/* The daemon may take this much longer to answer than it waits. */
#define GRACE_S 30

/* More members than a volume has; asking for more is asking for all. */
#define FRESH_MAX 1000

struct wait_args {
	double timeout_s;
	const char *peers;	/* or NULL */
	const char *token;	/* or NULL */
	long fresh;		/* or 0 */
	bool json;
};

static int parse_fresh(long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(optarg, &end, 10);
	if (end == optarg || *end || errno || *ret < 1 || *ret > FRESH_MAX)
		return complain("wait", EXIT_USAGE,
				"--fresh \"%s\": is no number of nodes, 1 to "
				"%d", optarg, FRESH_MAX);
	return -1;
}

static int check(const struct wait_args *args)
{
	if (!!args->peers + !!args->token + !!args->fresh > 1)
		return complain("wait", EXIT_USAGE,
				"--peers, --token and --fresh: are different "
				"things to wait for; give one");
	return -1;
}

static int parse(struct cmdline *line, struct wait_args *args)
{
	int c;

	while ((c = cmdline_next(line)) >= 0) {
		char *end;

		switch (c) {
		case OPTION_TIMEOUT:
			errno = 0;
			args->timeout_s = strtod(optarg, &end);
			if (end == optarg || *end || errno ||
			    !(args->timeout_s >= 0 &&
			      args->timeout_s <= TIMEOUT_MAX_S))
				return complain("wait", EXIT_USAGE,
						"--timeout \"%s\": is no "
						"number of seconds, 0 to %.0f",
						optarg, TIMEOUT_MAX_S);
			break;
		case OPTION_PEERS:
			args->peers = optarg;
			if (strcmp(optarg, "all") &&
			    strcmp(optarg, "connected"))
				return complain("wait", EXIT_USAGE,
						"--peers \"%s\": is neither "
						"\"all\" nor \"connected\"",
						optarg);
			break;
		case OPTION_TOKEN:
			args->token = optarg;
			break;
		case OPTION_FRESH:
			if (parse_fresh(&args->fresh) >= 0)
				return EXIT_USAGE;
			break;
		case OPTION_JSON:
			args->json = true;
			break;
		}
	}
	if (c == CMDLINE_END)
		return cmdline_operands(line, 1, 1) == EXIT_OK ?
			       check(args) : EXIT_USAGE;
	return cmdline_exit(c);
}

static int report(const struct subject *subject, const struct wait_args *args,
		  const json_t *answer, int exit_code)
{
	if (args->json && output_json("wait", answer) != EXIT_OK)
		return EXIT_FAILED;
	if (exit_code != EXIT_OK)
		control_refused(subject, answer, exit_code);
	return exit_code;
}

static json_t *request(const struct wait_args *args)
{
	json_t *o = json_pack("{s:s, s:f}", "cmd", "wait", "timeout",
			      args->timeout_s);

	if (args->token)
		json_object_set_new(o, "token", json_string(args->token));
	else if (args->fresh)
		json_object_set_new(o, "fresh", json_integer(args->fresh));
	else
		json_object_set_new(o, "peers", json_string(
			args->peers ? args->peers : "all"));
	return o;
}

int cmd_wait(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct wait_args args = { .timeout_s = TIMEOUT_DEFAULT_S };
	struct subject subject;
	json_t *answer = NULL;
	int r = parse(&line, &args);

	if (r >= 0)
		return r;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = control_ask(&subject, request(&args), args.timeout_s + GRACE_S,
			&answer);
	if (answer)
		r = report(&subject, &args, answer, r);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
