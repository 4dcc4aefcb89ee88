/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching conflicts: the list is asked for again and again, and compared
 * with the one before. The daemon finds conflicts by their marks, so that a
 * list costs what it holds; where it is long all the same, the pause grows
 * with the time it took. A daemon that pushed changes would have to keep
 * them for whoever reads slowly; this way nothing can be missed but what
 * came and went within one pause.
 *
 * A program that is to notify gets the text as arguments, never through a
 * shell: names of files may be anything.
 */
#include "tools/conflict_watch.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/conflicts.h"
#include "tools/output.h"

/* Between two looks: what a person takes for "at once". */
#define PAUSE_MS 1000
/* Asking takes at most this part of the time. */
#define PAUSE_FACTOR 20

extern char **environ;

/* ---- one change */

static void print_line(const struct subject *subject, const char *what,
		       const json_t *conflict)
{
	const json_t *versions = json_object_get(conflict, "versions");
	const json_t *version;
	char when[TEXT_BYTES];
	size_t i;

	printf("%s  %-8s  ", text_time((int64_t)time(NULL), when), what);
	conflict_print_path(subject, conflict);
	printf(": %s:", conflict_sentence(conflict));
	json_array_foreach(versions, i, version)
		printf("%s %s", i ? "," : "", json_text(version, "label"));
	putchar('\n');
}

static void print_json(const char *what, const json_t *conflict)
{
	json_t *line = json_pack("{s:s, s:I}", "change", what, "seen",
				 (json_int_t)time(NULL));

	json_object_update(line, (json_t *)conflict);
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

/* Nobody waits for it, and it says nothing here. */
static void notify(const struct subject *subject, const char *program,
		   const json_t *conflict)
{
	cleanup(buf_release) struct buf text = BUF_INIT;
	char title[] = "kinfs: files in conflict";
	char *argv[] = { (char *)program, title, NULL, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int r;

	buf_printf(&text, "%s/", subject->mountpoint);
	output_path_of(conflict, &text);
	buf_printf(&text, ": %s", conflict_sentence(conflict));
	buf_put_u8(&text, 0);
	if (buf_error(&text))
		return;
	argv[2] = (char *)text.data;
	/* What it prints is no line of ours; and it gets signals. */
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, STDERR_FILENO,
					 STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	r = posix_spawnp(&pid, program, &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (r)
		complain(subject->command, 0, "--notify: %s: %s", program,
			 strerror(r));
}

static void tell(const struct subject *subject,
		 const struct watch_options *o, const char *what,
		 const json_t *conflict)
{
	if (o->json)
		print_json(what, conflict);
	else
		print_line(subject, what, conflict);
	if (o->notify && !strcmp(what, "new"))
		notify(subject, o->notify, conflict);
}

/* ---- comparing */

static bool same_text(const json_t *a, const json_t *b, const char *key)
{
	return !strcmp(json_text(a, key), json_text(b, key));
}

/*
 * The conflicts of a list by kind and path (a version that was written again
 * may have made another one main, so that is all): thousands are compared
 * with thousands. In the order of the list. NULL: no memory.
 */
static json_t *table_of(const json_t *list)
{
	json_t *table = json_object(), *conflict;
	size_t i;

	json_array_foreach(list, i, conflict) {
		cleanup(buf_release) struct buf key = BUF_INIT;
		const char *hex = json_text(conflict, "path_hex");

		buf_printf(&key, "%s/%s/%s", json_text(conflict, "kind"), hex,
			   *hex ? "" : json_text(conflict, "path"));
		buf_put_u8(&key, 0);
		if (buf_error(&key) ||
		    json_object_set(table, (const char *)key.data, conflict)) {
			json_decref(table);
			return NULL;
		}
	}
	return table;
}

static void compare(const struct subject *subject,
		    const struct watch_options *o, json_t *old, json_t *now)
{
	json_t *conflict;
	const char *key;

	json_object_foreach(old, key, conflict)
		if (!json_object_get(now, key))
			tell(subject, o, "settled", conflict);
	json_object_foreach(now, key, conflict) {
		const json_t *was = json_object_get(old, key);

		if (!was)
			tell(subject, o, "new", conflict);
		else if (!same_text(was, conflict, "token"))
			tell(subject, o, "changed", conflict);
	}
}

/* ---- until it is enough */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms)
{
	struct timespec t = { (time_t)(ms / 1000),
			      (long)(ms % 1000 * 1000000) };

	nanosleep(&t, NULL);
}

/* Held back while lines are printed, so that none is cut short. */
static void on_end(int signal)
{
	(void)signal;
	_exit(EXIT_OK);
}

static void catch_ends(sigset_t *ret)
{
	struct sigaction action = { .sa_handler = on_end };

	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Who read what is printed here has gone. */
static bool reader_is_gone(void)
{
	return fflush(stdout) || ferror(stdout);
}

int conflicts_watch(const struct subject *subject,
		    const struct watch_options *o)
{
	json_t *old = json_object();
	sigset_t ends;
	int r;

	catch_ends(&ends);
	for (;;) {
		uint64_t begin_ms = now_ms();
		json_t *list, *now;

		r = conflicts_ask(subject, &list);
		if (r != EXIT_OK)
			break;
		now = table_of(list);
		json_decref(list);
		if (!now) {
			r = complain(subject->command, EXIT_FAILED,
				     "out of memory");
			break;
		}
		sigprocmask(SIG_BLOCK, &ends, NULL);
		compare(subject, o, old, now);
		json_decref(old);
		old = now;
		if (reader_is_gone()) {
			r = output_done(subject->command);
			break;
		}
		sigprocmask(SIG_UNBLOCK, &ends, NULL);
		/* Notifiers that have ended. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sleep_ms(MAX_OF((uint64_t)PAUSE_MS,
				PAUSE_FACTOR * (now_ms() - begin_ms)));
	}
	json_decref(old);
	return r;
}
