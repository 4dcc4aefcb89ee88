/* SPDX-License-Identifier: Apache-2.0 */
/* kin verify */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin verify [--deep] [--timeout SECONDS] [--json] [MOUNTPOINT]\n"
"Proves that the connected members hold exactly what this node holds: they\n"
"compare a sum over all objects, 40 bytes, as soon as they know the same\n"
"changes. What differs is named; the nodes repair it by themselves, keeping\n"
"what either of them had.\n"
"\n"
"  --deep              also read everything that is stored here: rows against\n"
"                      the sums, contents against their hashes\n"
"  --timeout SECONDS   how long to wait until all know the same; 10\n"
"  --json              {peers: [{label, id, state, behind, ahead, knowledge,\n"
"                      objects, sum, peer_sum, repaired, differing}], deep:\n"
"                      {objects, bytes, pending, sums_right, fault_count,\n"
"                      faults: [{id, path, missing, damaged}]}}\n"
"\n"
"Exit codes: 0 all connected members are equal, and nothing is damaged;\n"
"1 something differs or is damaged, or members could not be compared in\n"
"time; 3 no member is connected, or this node is paused.\n";

enum { OPTION_DEEP = OPTION_FIRST, OPTION_TIMEOUT, OPTION_JSON };

static const struct option options[] = {
	{ "deep", no_argument, NULL, OPTION_DEEP },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

#define TIMEOUT_DEFAULT_S 10
/* Eleven days: above it a typing error is likelier. */
#define TIMEOUT_MAX_S 1e6
/* The daemon may take this much longer to answer than it waits; with --deep
 * it says something every second. */
#define GRACE_S 30

struct verify_args {
	double timeout_s;
	bool deep, json;
};

static int parse(struct cmdline *line, struct verify_args *args)
{
	char *end;
	int c;

	while ((c = cmdline_next(line)) >= 0) {
		switch (c) {
		case OPTION_DEEP:
			args->deep = true;
			break;
		case OPTION_JSON:
			args->json = true;
			break;
		case OPTION_TIMEOUT:
			errno = 0;
			args->timeout_s = strtod(optarg, &end);
			if (end == optarg || *end || errno ||
			    !(args->timeout_s >= 0 &&
			      args->timeout_s <= TIMEOUT_MAX_S))
				return complain("verify", EXIT_USAGE,
						"--timeout \"%s\": is no "
						"number of seconds, 0 to %.0f",
						optarg, TIMEOUT_MAX_S);
			break;
		}
	}
	if (c == CMDLINE_END)
		return cmdline_operands(line, 0, 1) == EXIT_OK ?
			       -1 : EXIT_USAGE;
	return cmdline_exit(c);
}

/* ---- for people */

static void print_objects(const json_t *list, const char *what)
{
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		cleanup(buf_release) struct buf path = BUF_INIT;

		output_path_of(o, &path);
		printf("    %s ", what);
		if (path.len)
			output_name(buf_slice(&path));
		else
			printf("object %s, shown nowhere here",
			       json_text(o, "id"));
		if (json_number(o, "missing") || json_number(o, "damaged"))
			printf(": %llu chunks missing, %llu damaged",
			       (unsigned long long)json_number(o, "missing"),
			       (unsigned long long)json_number(o, "damaged"));
		putchar('\n');
	}
}

static void print_equal(const json_t *p)
{
	char objects[TEXT_BYTES];

	printf("equal: proof %s over %s\n", json_text(p, "sum"),
	       text_count(json_number(p, "objects"), "object", objects));
	printf("    at %s\n", json_text(p, "knowledge"));
	print_objects(json_object_get(p, "repaired"), "differed, repaired:");
}

static void print_peer(const json_t *p)
{
	const char *state = json_text(p, "state");
	char behind[TEXT_BYTES], ahead[TEXT_BYTES];

	printf("%s  ", json_text(p, "label"));
	if (!strcmp(state, "equal")) {
		print_equal(p);
	} else if (!strcmp(state, "differs")) {
		puts("differs: it is told in kin.log of both stores, and "
		     "repaired unless that was tried often in this minute");
		printf("    here  %s\n    there %s\n", json_text(p, "sum"),
		       json_text(p, "peer_sum"));
		print_objects(json_object_get(p, "differing"), "differs:");
	} else if (!strcmp(state, "lags")) {
		printf("not comparable now: lags by %s, we lack %s of its; "
		       "`kin wait`, then try again\n",
		       text_count(json_number(p, "behind"), "change", behind),
		       text_count(json_number(p, "ahead"), "change", ahead));
	} else if (!strcmp(state, "silent")) {
		puts("not comparable now: no answer in time; try again when "
		     "less is going on");
	} else {
		puts("away: not compared");
	}
}

static void print_deep(const json_t *deep)
{
	uint64_t faults = json_number(deep, "fault_count");
	uint64_t pending = json_number(deep, "pending");
	char objects[TEXT_BYTES], bytes[TEXT_BYTES], text[TEXT_BYTES];

	if (!json_is_object(deep))
		return;
	printf("this node  %s, %s of content read: %s\n",
	       text_count(json_number(deep, "objects"), "object", objects),
	       text_bytes(json_number(deep, "bytes"), bytes),
	       faults ? "damaged" : "all as their hashes say");
	if (pending)
		printf("    %s still being fetched\n",
		       text_count(pending, "content", text));
	if (!json_is_true(json_object_get(deep, "sums_right")))
		puts("    the rows do not add up to the sums: the store is "
		     "damaged; join the volume again with a new store");
	print_objects(json_object_get(deep, "faults"), "damaged:");
	if (faults > json_array_size(json_object_get(deep, "faults")))
		printf("    ... %llu in all\n", (unsigned long long)faults);
}

static void print_answer(const json_t *answer)
{
	const json_t *peers = json_object_get(answer, "peers"), *p;
	size_t i;

	json_array_foreach(peers, i, p)
		print_peer(p);
	if (peers && !json_array_size(peers))
		puts("no other members: nothing to compare with");
	print_deep(json_object_get(answer, "deep"));
}

/* On a terminal, one line that is written over. */
static void progress(void *arg, const json_t *event)
{
	char bytes[TEXT_BYTES];

	(void)arg;
	fprintf(stderr, "\r%llu of %llu objects, %s   ",
		(unsigned long long)json_number(event, "objects"),
		(unsigned long long)json_number(event, "of"),
		text_bytes(json_number(event, "bytes"), bytes));
}

/* ---- */

static int report(const struct subject *subject,
		  const struct verify_args *args, const json_t *answer,
		  int exit_code)
{
	int r = EXIT_OK;

	if (args->json) {
		r = output_json("verify", answer);
	} else {
		print_answer(answer);
		r = output_done("verify");
	}
	if (exit_code != EXIT_OK)
		control_refused(subject, answer, exit_code);
	return r != EXIT_OK ? r : exit_code;
}

int cmd_verify(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct verify_args args = { .timeout_s = TIMEOUT_DEFAULT_S };
	bool show = isatty(STDERR_FILENO);
	struct subject subject;
	json_t *answer = NULL;
	int r = parse(&line, &args);

	if (r >= 0)
		return r;
	r = subject_init(&subject, argv[0], argv[optind]);
	if (r != EXIT_OK)
		return r;
	r = control_ask_watching(&subject,
				 json_pack("{s:s, s:f, s:b}", "cmd", "verify",
					   "timeout", args.timeout_s, "deep",
					   args.deep),
				 args.timeout_s + GRACE_S,
				 show ? progress : NULL, NULL, &answer);
	if (show && args.deep)
		fputs("\r\033[K", stderr);
	if (answer)
		r = report(&subject, &args, answer, r);
	json_decref(answer);
	subject_release(&subject);
	return r;
}
