/* SPDX-License-Identifier: Apache-2.0 */
/* kin status */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin status [--json] [MOUNTPOINT]\n"
"Shows this node, the members of its volume, whether they are connected,\n"
"and what each still lacks. Without MOUNTPOINT: the volume of the working\n"
"directory, else the only one that is mounted.\n"
"\n"
"  --json    {volume, paused, pid, node: {label, id}, conflicts,\n"
"             changes: {received, known, forwarded},\n"
"             content: {objects, bytes, reads_failed}, applying,\n"
"             space: {bytes, in_use, last_round, freed, moved, rounds,\n"
"             running, held_seconds, removed: {files, bytes, more}, error},\n"
"             disk: {state, error, what, since, free, needed},\n"
"             incarnation: {cause, time, count},\n"
"             history: {contents, removed, bytes, days_max, bytes_max},\n"
"             peers: [{label, id, connected, lapsed, removed,\n"
"             behind: {changes, bytes, seconds},\n"
"             ahead: {changes, bytes}, stale_seconds, last_contact_seconds,\n"
"             clock_skew_ms}]}; behind is what the peer lacks of ours, ahead\n"
"             is what we lack of its; all that it had stale_seconds ago is\n"
"             shown here; null is unknown; content is what is still to come;\n"
"             history is what `kin log` and `kin undelete` know, bytes as the\n"
"             sizes of all of it, which share what they have in common;\n"
"             space is what the data takes on the disk, and what of it was\n"
"             in use when some was given back the last time; removed is what\n"
"             still takes space because not all members know that it was\n"
"             removed (more: or more than that); disk.state is\n"
"             well; low (no new data fits); full (nothing new does); refused\n"
"             (nor does what was done: it waits in the log); or failed (of an\n"
"             error, what could not be done, and since when: the mount is\n"
"             read-only); needed is what must be free to go on\n";

/* "4 s ago", "2 h ago", "unknown"; what is younger than two heartbeats is as
 * good as now. */
#define STALE_NOW_S 20
static const char *text_ago(const json_t *peer, char ret[TEXT_BYTES])
{
	const json_t *stale = json_object_get(peer, "stale_seconds");
	double s = json_number_value(stale);

	if (!json_is_number(stale))
		return "unknown";
	if (s < STALE_NOW_S)
		return "now";
	if (s < 120)
		snprintf(ret, TEXT_BYTES, "%.0f s ago", s);
	else if (s < 7200)
		snprintf(ret, TEXT_BYTES, "%.0f min ago", s / 60);
	else if (s < 172800)
		snprintf(ret, TEXT_BYTES, "%.0f h ago", s / 3600);
	else
		snprintf(ret, TEXT_BYTES, "%.0f days ago", s / 86400);
	return ret;
}

/* Digits of an id that tell the few nodes of a volume apart. */
#define ID_SHOWN 12
#define LABEL_SHOWN 16
#define LAG_SHOWN 26

/* "3 changes, 1.5 MiB", or "nothing". */
static const char *text_lag(const json_t *lag, char ret[2 * TEXT_BYTES])
{
	uint64_t changes = json_number(lag, "changes");
	uint64_t bytes = json_number(lag, "bytes");
	char a[TEXT_BYTES], b[TEXT_BYTES];

	if (!changes && !bytes)
		return "nothing";
	snprintf(ret, 2 * TEXT_BYTES, "%s, %s",
		 text_count(changes, "change", a), text_bytes(bytes, b));
	return ret;
}

static const char *text_link(const json_t *peer)
{
	if (json_is_true(json_object_get(peer, "removed")))
		return "removed";
	if (json_is_true(json_object_get(peer, "connected")))
		return "connected";
	return json_is_true(json_object_get(peer, "lapsed")) ? "lapsed" :
							       "away";
}

static void print_peers(const json_t *peers)
{
	char behind[2 * TEXT_BYTES], ahead[2 * TEXT_BYTES];
	char ago[TEXT_BYTES];
	const json_t *peer;
	size_t i;

	if (!json_array_size(peers)) {
		puts("\nno other members; `kin invite` lets one in");
		return;
	}
	printf("\n%-*s %-*s %-10s %-*s %-*s %s\n", LABEL_SHOWN, "peer",
	       ID_SHOWN, "id", "link", LAG_SHOWN, "lacks of ours", LAG_SHOWN,
	       "we lack of its", "up to date as of");
	json_array_foreach(peers, i, peer) {
		printf("%-*s %-*.*s %-10s %-*s %-*s %s\n", LABEL_SHOWN,
		       json_text(peer, "label"), ID_SHOWN, ID_SHOWN,
		       json_text(peer, "id"), text_link(peer),
		       LAG_SHOWN,
		       text_lag(json_object_get(peer, "behind"), behind),
		       LAG_SHOWN,
		       text_lag(json_object_get(peer, "ahead"), ahead),
		       text_ago(peer, ago));
	}
}

static void print_fact(const char *name, const char *value)
{
	if (!value[0])
		return;
	printf("%-10s ", name);
	output_name(SLICE_STR(value));
	putchar('\n');
}

/* Never in normal life, so only said if there is something to say. */
static void print_divergences(const json_t *counters)
{
	uint64_t n = json_number(counters, "divergences");
	char text[TEXT_BYTES];

	if (n)
		printf("%-10s %llu since the start, %s repaired here; see "
		       "kin.log, and `kin verify`\n", "divergence",
		       (unsigned long long)n,
		       text_count(json_number(counters, "repaired"), "object",
				  text));
}

static void print_lost(const json_t *counters)
{
	uint64_t n = json_number(counters, "lost");
	char text[TEXT_BYTES];

	if (n)
		printf("%-10s %s came to the root: no node knows the "
		       "directory; see kin.log\n", "lost",
		       text_count(n, "name", text));
}

/* Long enough that whoever brought a backup back sees it. */
#define HISTORY_SHOWN_S (30 * 86400)

/* Something was done with a store that this program was not asked for. */
static void print_history(const json_t *status)
{
	static const char *const texts[][2] = {
		{ "copy", "this store was restored or copied" },
		{ "lost", "this store had lost changes that others know" },
		{ "twin", "another copy of this store is in use, or was" },
		{ "branch", "this store was copied, and both went on" },
	};
	const json_t *i = json_object_get(status, "incarnation");
	int64_t when = (int64_t)json_number(i, "time");
	char text[TEXT_BYTES];

	for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
		if (!strcmp(json_text(i, "cause"), texts[k][0]) &&
		    time(NULL) - when < HISTORY_SHOWN_S)
			printf("%-10s %s: since %s this node goes on as a new "
			       "one of its name; no file is lost by that\n",
			       "history", texts[k][1], text_time(when, text));
	if (json_number(json_object_get(status, "counters"), "twins"))
		printf("%-10s another node uses this node's key: is a copy of "
		       "this machine in use? Make a new node of one of them\n",
		       "warning");
}

static void print_content(const json_t *content)
{
	uint64_t n = json_number(content, "objects");
	uint64_t failed = json_number(content, "reads_failed");
	char a[TEXT_BYTES], b[TEXT_BYTES];

	if (n)
		printf("%-10s of %s still to come, %s\n", "content",
		       text_count(n, "file", a),
		       text_bytes(json_number(content, "bytes"), b));
	if (failed)
		printf("%-10s %s since the start: the content is not here, "
		       "and no peer brought it\n", "failed",
		       text_count(failed, "read", a));
}

/* Never in normal life: what happened, where, and what to do. */
static void print_disk(const json_t *status)
{
	const json_t *disk = json_object_get(status, "disk");
	const json_t *removed = json_object_get(
		json_object_get(status, "space"), "removed");
	const char *state = json_text(disk, "state");
	uint64_t free = json_number(disk, "free");
	uint64_t needed = json_number(disk, "needed");
	char a[TEXT_BYTES], b[TEXT_BYTES];

	if (!state[0] || !strcmp(state, "well"))
		return;
	if (!strcmp(state, "failed")) {
		printf("%-10s READ-ONLY since %s: %s (%s). What was written "
		       "can be read,\n%-10s and nothing is written any more. "
		       "See that the disk of the store is well,\n%-10s then "
		       "`kin unmount` and `kin mount` again; what fsync said is "
		       "written is there\n", "disk",
		       text_time((int64_t)json_number(disk, "since"), a),
		       json_text(disk, "what"), json_text(disk, "error"), "",
		       "");
		return;
	}
	printf("%-10s %s: %s is free on the store's disk, and %s are needed to "
	       "write %s;\n%-10s remove what is not needed, here or there, and "
	       "it goes on by itself\n", "disk",
	       !strcmp(state, "low") ? "nearly full" : "FULL",
	       text_bytes(free, a), text_bytes(needed > free ? needed : free, b),
	       !strcmp(state, "low") ? "new data" : "anything new", "");
	if (!strcmp(state, "refused"))
		printf("%-10s what was done last waits in the store's log, "
		       "until there is room\n", "");
	if (json_number(removed, "bytes"))
		printf("%-10s %s of %s that %s removed are kept until all "
		       "members know that\n", "",
		       text_bytes(json_number(removed, "bytes"), a),
		       text_count(json_number(removed, "files"), "file", b),
		       json_number(removed, "files") == 1 ? "was" : "were");
	if (!strcmp(json_text(disk, "error"), strerror(EDQUOT)))
		printf("%-10s it is a quota that is used up\n", "");
}

/* A request is no longer than that. */
#define HELD_SHOWN_S 60

/* Never in normal life. */
static void print_space(const json_t *space)
{
	const char *error = json_text(space, "error");
	double held = json_number_value(json_object_get(space,
							"held_seconds"));

	if (held >= HELD_SHOWN_S)
		printf("%-10s none is given back, since something has been "
		       "reading or writing for %.0f s\n", "space", held);
	if (error[0])
		printf("%-10s none was given back the last time: %s; see "
		       "kin.log\n", "space", error);
}

static void print_status(const json_t *status, const struct subject *subject)
{
	const json_t *node = json_object_get(status, "node");
	uint64_t conflicts = json_number(status, "conflicts");

	print_fact("volume", json_text(status, "volume"));
	print_fact("mounted at", subject->mountpoint);
	print_fact("store", json_text(status, "store"));
	printf("%-10s %s  %.*s\n", "node", json_text(node, "label"),
	       ID_SHOWN, json_text(node, "id"));
	print_fact("listens on",
		   json_is_null(json_object_get(status, "listen")) ?
		   "nothing yet: its address cannot be had (see kin.log)" :
		   json_text(status, "listen"));
	printf("%-10s %llu\n", "daemon",
	       (unsigned long long)json_number(status, "pid"));
	printf("%-10s %llu%s\n", "conflicts", (unsigned long long)conflicts,
	       conflicts ? " (`kin conflicts` lists them)" : "");
	print_divergences(json_object_get(status, "counters"));
	print_lost(json_object_get(status, "counters"));
	print_history(status);
	print_content(json_object_get(status, "content"));
	print_disk(status);
	print_space(json_object_get(status, "space"));
	if (json_is_true(json_object_get(status, "applying")))
		printf("%-10s a large number of changes is being taken in\n",
		       "applying");
	if (json_is_true(json_object_get(status, "paused")))
		printf("%-10s no exchange with peers until `kin resume`\n",
		       "paused");
	print_peers(json_object_get(status, "peers"));
}

int cmd_status(int argc, char **argv)
{
	struct subject subject;
	json_t *status = NULL;
	bool as_json;
	int r;

	if (!subject_of_command(argc, argv, help, 0, &as_json, &subject, &r))
		return r;
	r = control_call(&subject, json_pack("{s:s}", "cmd", "status"),
			 &status);
	if (r == EXIT_OK && as_json) {
		r = output_json(argv[0], status);
	} else if (r == EXIT_OK) {
		print_status(status, &subject);
		r = output_done(argv[0]);
	}
	json_decref(status);
	subject_release(&subject);
	return r;
}
