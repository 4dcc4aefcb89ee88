/* SPDX-License-Identifier: Apache-2.0 */
/* kin restart */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/control_client.h"
#include "tools/output.h"

/* Until another daemon serves: it may have a log to replay. */
#define SERVES_TIMEOUT_S 60
#define LOOK_MS 50

static const char help[] =
"usage: kin restart [--json] MOUNTPOINT\n"
"Another daemon takes the place of the one that serves MOUNTPOINT: the\n"
"version of kin that is installed now, after an upgrade. The mount stays,\n"
"programs go on, files stay open; they wait for a moment.\n"
"\n"
"  --json    {pid, taken_over}: the new daemon, and how many there were before\n"
"\n"
"A daemon that was killed is replaced in the same way without being asked\n"
"(Linux 6.9 or newer).\n";

static int status_of(const struct subject *s, json_t **ret)
{
	return control_call(s, json_pack("{s:s}", "cmd", "status"), ret);
}

static json_int_t pid_of(const json_t *status)
{
	return json_integer_value(json_object_get(status, "pid"));
}

/* The pid of who answers now; 0: nobody does. */
static json_int_t serves(const struct subject *s)
{
	pid_t pid = 0;
	int fd = -1;

	if (control_connect(s->socket, 1, &fd, &pid) < 0)
		return 0;
	close(fd);
	return pid;
}

static int await_another(const struct subject *s, json_int_t was)
{
	struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L }, at;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &at);
	for (end = at.tv_sec + SERVES_TIMEOUT_S; at.tv_sec < end;
	     clock_gettime(CLOCK_MONOTONIC, &at)) {
		json_int_t now = serves(s);

		if (now && now != was)
			return EXIT_OK;
		if (!subject_is_mounted(s))
			return complain(s->command, EXIT_FAILED, "%s: no "
					"daemon could take it over, and it "
					"was unmounted; see kin.log in its "
					"store, and mount it again",
					s->mountpoint);
		nanosleep(&pause, NULL);
	}
	return complain(s->command, EXIT_FAILED, "%s: no other daemon came in "
			"%d s; see kin.log in its store", s->mountpoint,
			SERVES_TIMEOUT_S);
}

static int restart(const struct subject *s, bool as_json)
{
	json_t *was = NULL, *answer = NULL, *now = NULL;
	int r = status_of(s, &was);

	if (r == EXIT_OK)
		r = control_call(s, json_pack("{s:s}", "cmd", "restart"),
				 &answer);
	if (r == EXIT_OK)
		r = await_another(s, pid_of(was));
	if (r == EXIT_OK)
		r = status_of(s, &now);
	if (r == EXIT_OK && as_json) {
		json_t *report = json_pack("{s:I, s:O}", "pid", pid_of(now),
					   "taken_over",
					   json_object_get(now, "taken_over"));

		r = output_json(s->command, report);
		json_decref(report);
	} else if (r == EXIT_OK) {
		printf("%s: served by another daemon now, process %d\n",
		       s->mountpoint, (int)pid_of(now));
	}
	json_decref(was);
	json_decref(answer);
	json_decref(now);
	return r;
}

int cmd_restart(int argc, char **argv)
{
	struct subject subject;
	bool as_json;
	int r;

	if (!subject_of_command(argc, argv, help, 1, &as_json, &subject, &r))
		return r;
	r = restart(&subject, as_json);
	subject_release(&subject);
	return r;
}
