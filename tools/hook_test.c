/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon runs the hook, as it would; the files go by a directory of ours
 * whose descriptor it gets. If the file is in conflict, it takes its versions.
 * Else it says so, and is asked again with versions that are made up here:
 * the file as it is twice, each with a change, both made from it. That is
 * enough to see whether a hook runs at all and finds what it needs; who wants
 * to know what it makes of his own files gives them.
 */
#include "tools/hook_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/child.h"
#include "tools/output.h"
#include "tools/private_dir.h"
#include "tools/resolve.h"

/* Bytes of a file of which versions are made up: it is held twice. */
#define MADE_UP_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* Lines of a difference that are shown; the rest is for --output. */
#define SHOWN_LINES_MAX 60
/* s without a line of the daemon; it sends one a second. */
#define SILENT_S 60.0
#define NAME_BYTES 16

struct testing {
	const struct hook_test_args *args;
	struct subject subject;
	char *dir;
	int fd;			/* of dir */
	const char *how;	/* the versions were made up */
	json_t *answer;
};

static int oom(const struct testing *t)
{
	return complain(t->subject.command, EXIT_FAILED, "out of memory");
}

static char *path_of(const struct testing *t, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", t->dir, name) < 0 ? NULL : path;
}

/* ---- made-up versions */

static int put_file(const struct testing *t, const char *name,
		    const struct buf *bytes, time_t time)
{
	const struct timespec times[2] = { { .tv_sec = time },
					   { .tv_sec = time } };
	autoclose int fd = openat(t->fd, name, O_WRONLY | O_CREAT | O_EXCL |
				  O_CLOEXEC, 0600);

	if (buf_error(bytes))
		return buf_error(bytes);
	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < bytes->len;) {
		ssize_t n = write(fd, bytes->data + at, bytes->len - at);

		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int read_file(const char *path, struct buf *ret, struct stat *ret_st)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
				     O_NOFOLLOW);
	uint8_t *at;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	if (S_ISDIR(ret_st->st_mode))
		return -EISDIR;
	if (!S_ISREG(ret_st->st_mode))
		return -EINVAL;
	if ((uint64_t)ret_st->st_size > MADE_UP_BYTES_MAX)
		return -EFBIG;
	if (!ret_st->st_size)
		return 0;
	at = buf_extend(ret, (size_t)ret_st->st_size);
	if (!at)
		return -ENOMEM;
	ret->len = 0;
	while (n > 0 && ret->len < (size_t)ret_st->st_size) {
		n = read(fd, at + ret->len,
			 (size_t)ret_st->st_size - ret->len);
		if (n < 0)
			return -errno;
		ret->len += (size_t)n;
	}
	return 0;
}

/* The bytes, with a text after the first line, or at the end of the last. */
static void put_changed(const struct buf *file, bool first, struct buf *ret)
{
	static const char words[2][20] = { " (another end)",
					   " (another begin)" };
	const uint8_t *end = first && file->len ?
				     memchr(file->data, '\n', file->len) :
				     NULL;
	size_t at = end ? (size_t)(end - file->data) : file->len;

	if (at && at == file->len && file->data[at - 1] == '\n')
		at--;
	if (at && at < file->len && file->data[at - 1] == '\r')
		at--;
	if (at)
		buf_put(ret, file->data, at);
	buf_put(ret, words[first], strlen(words[first]));
	if (at < file->len)
		buf_put(ret, file->data + at, file->len - at);
}

static int make_up(struct testing *t, const struct buf *file, time_t time)
{
	cleanup(buf_release) struct buf one = BUF_INIT, two = BUF_INIT;
	bool data = file->len && memchr(file->data, '\0', file->len);
	int r;

	if (data) {
		buf_put(&one, file->data, file->len);
		buf_put_u8(&one, 1);
		buf_put(&two, file->data, file->len);
		buf_put_u8(&two, 2);
		t->how = "each of them has another byte at its end";
	} else {
		put_changed(file, true, &one);
		put_changed(file, false, &two);
		t->how = "1 has another first line, 2 another last line";
	}
	r = put_file(t, "base", file, time);
	if (!r)
		r = put_file(t, "1", &one, time + 1);
	return r ? r : put_file(t, "2", &two, time + 2);
}

static int make_up_from_file(struct testing *t)
{
	cleanup(buf_release) struct buf file = BUF_INIT;
	autofree char *path = NULL;
	struct stat st;
	int r;

	if (asprintf(&path, "%s/%s", t->subject.mountpoint,
		     t->subject.path) < 0) {
		path = NULL;
		return oom(t);
	}
	r = read_file(path, &file, &st);
	if (!r)
		r = make_up(t, &file, st.st_mtime);
	if (r == -ELOOP)
		r = -EINVAL;
	if (r == -EISDIR || r == -EINVAL)
		return complain(t->subject.command, EXIT_FAILED,
				"%s: is %s; give a file", t->args->file,
				r == -EISDIR ? "a directory" :
					       "not a regular file");
	if (r == -EFBIG)
		return complain(t->subject.command, EXIT_FAILED, "%s: is not "
				"in conflict, and longer than 16 MiB; give "
				"smaller ones as --version", t->args->file);
	return !r ? EXIT_OK : complain(t->subject.command, EXIT_FAILED,
				       "%s: %s", t->args->file, strerror(-r));
}

/* A given file, with its time. */
static int take_file(const struct testing *t, const char *from,
		     const char *name)
{
	autofree char *to = path_of(t, name);
	struct stat st;
	int r;

	if (!to)
		return oom(t);
	r = stat(from, &st) < 0 ? -errno :
	    S_ISREG(st.st_mode) ? file_copy(from, to) : -EINVAL;
	if (!r && utimensat(AT_FDCWD, to, (struct timespec[]){
			st.st_mtim, st.st_mtim }, 0) < 0)
		r = -errno;
	return !r ? EXIT_OK : complain(t->subject.command, EXIT_FAILED,
				       "%s: %s", from, r == -EINVAL ?
				       "not a regular file" : strerror(-r));
}

static int take_files(struct testing *t)
{
	const struct hook_test_args *a = t->args;
	int r = EXIT_OK;

	for (unsigned int k = 0; r == EXIT_OK && k < a->version_count; k++) {
		char name[NAME_BYTES];

		snprintf(name, sizeof(name), "%u", k + 1);
		r = take_file(t, a->versions[k], name);
	}
	if (r == EXIT_OK && a->base)
		r = take_file(t, a->base, "base");
	return r;
}

/* ---- asking */

static void progress(void *arg, const json_t *event)
{
	(void)arg;
	fprintf(stderr, "\rit runs, for %llu s   ",
		(unsigned long long)json_number(event, "seconds"));
}

static int ask(struct testing *t, unsigned int made_up)
{
	const struct hook_test_args *a = t->args;
	bool show = isatty(STDERR_FILENO);
	json_t *request = json_pack("{s:s, s:s, s:i, s:i, s:b}", "cmd",
				    "hook-test", "hook", a->hook, "made_up",
				    (int)made_up, "time", (int)a->time_s,
				    "keep", a->output != NULL);
	int r;

	if (!request)
		return complain(t->subject.command, EXIT_USAGE, "%s: is no "
				"name of a hook", a->hook);
	subject_put_path(&t->subject, request);
	r = control_ask_with(&t->subject, request, t->fd, SILENT_S,
			     show ? progress : NULL, NULL, &t->answer);
	if (show)
		fputs("\r\033[K", stderr);
	return r;
}

static int ask_any(struct testing *t)
{
	unsigned int made_up = t->args->version_count;
	int r = made_up ? take_files(t) : EXIT_OK;

	if (r != EXIT_OK)
		return r;
	r = ask(t, made_up);
	if (r != EXIT_OK && !made_up &&
	    !strcmp(json_text(t->answer, "error"), "ENODATA")) {
		json_decref(t->answer);
		t->answer = NULL;
		r = make_up_from_file(t);
		if (r == EXIT_OK)
			r = ask(t, 2);
		else
			return r;
	}
	return r == EXIT_OK ? r : control_refused(&t->subject, t->answer, r);
}

/* ---- what came of it */

static void print_versions(const struct testing *t)
{
	const json_t *list = json_object_get(t->answer, "versions"), *v;
	bool base = json_is_true(json_object_get(t->answer, "base"));
	size_t i;

	output_name(SLICE_STR(t->args->file));
	if (t->args->version_count) {
		printf(": with %u versions given, %s\n",
		       t->args->version_count, base ?
		       "and what they were made from" :
		       "without what they were made from");
		return;
	}
	if (t->how) {
		printf(": is not in conflict; made up are two versions of "
		       "it:\n    %s, both made from the file as it is\n",
		       t->how);
		return;
	}
	printf(": in conflict, %zu versions, of", json_array_size(list));
	json_array_foreach(list, i, v)
		printf("%s %s", i ? "," : "", json_text(v, "label"));
	printf("; what they were made from is %s\n",
	       base ? "known" : "not known");
}

static const char *meaning_of(const json_t *answer)
{
	const char *result = json_text(answer, "result");

	if (!strcmp(result, "settled"))
		return json_is_true(json_object_get(answer, "settles")) ?
			       "it would settle it" :
			       "its result would not be taken";
	return !strcmp(result, "left") ? "it would leave it to people" :
					 "it failed, and all versions stay";
}

static void print_result(const struct testing *t)
{
	const json_t *status = json_object_get(t->answer, "status");
	const char *reason = json_text(t->answer, "reason");
	const json_t *limits = json_object_get(t->answer, "limits");

	fputs(t->args->hook, stdout);
	if (json_is_integer(status))
		printf(": exit status %d", (int)json_integer_value(status));
	printf(": %s\n", meaning_of(t->answer));
	if (*reason) {
		fputs("    ", stdout);
		output_name(SLICE_STR(reason));
		putchar('\n');
	}
	printf("    it took %.2f s, of %g s that it may take\n",
	       json_number_value(json_object_get(t->answer, "seconds")),
	       json_number_value(json_object_get(limits, "seconds")));
}

static void print_said(const struct testing *t, const char *key,
		       const char *hex_key, const char *cut_key,
		       const char *title)
{
	cleanup(buf_release) struct buf text = BUF_INIT;

	output_bytes_of(t->answer, key, hex_key, &text);
	if (!text.len)
		return;
	printf("%s%s:\n", title, json_is_true(json_object_get(t->answer,
				cut_key)) ? ", the end of it" : "");
	output_lines(buf_slice(&text), SHOWN_LINES_MAX);
}

static bool is_text(const char *path)
{
	enum text_kind kind;
	struct stat st;

	return path && !lstat(path, &st) && S_ISREG(st.st_mode) &&
	       !text_kind(path, &kind) && kind != TEXT_DATA &&
	       kind != TEXT_LARGE;
}

/* What the file is now, if that can be told. */
static char *before(const struct testing *t, const char **ret_label)
{
	bool main = json_is_true(json_object_get(t->answer, "main"));

	*ret_label = main ? "main" : "what both were made from";
	return path_of(t, main ? "main" : "base");
}

static void print_difference(const struct testing *t)
{
	const char *label;
	autofree char *from = before(t, &label);
	autofree char *to = path_of(t, "output");
	autofree char *diff = path_of(t, "difference");
	const char *argv[] = { "diff", "-u", "--label", label, "--label",
			       "result", from, to, NULL };
	struct child child = { .argv = argv, .output = diff, .quiet = true };
	int r;

	if (!diff || !is_text(from) || !is_text(to))
		return;
	r = child_run(&child);
	if (r == 1)
		output_file(diff, SHOWN_LINES_MAX);
	else if (r == 0)
		printf("    the same as %s\n", label);
}

static void print_output(const struct testing *t)
{
	const json_t *bytes = json_object_get(t->answer, "output_bytes");
	char text[TEXT_BYTES];

	if (!json_is_integer(bytes))
		return;
	printf("its result: %s\n",
	       text_bytes((uint64_t)json_integer_value(bytes), text));
	print_difference(t);
}

static void print(const struct testing *t)
{
	const json_t *conf = json_object_get(t->answer, "configuration");

	if (!json_is_null(conf)) {
		cleanup(buf_release) struct buf why = BUF_INIT;

		output_bytes_of(t->answer, "configuration",
				"configuration_hex", &why);
		fputs("none of the configuration holds: ", stdout);
		output_name(buf_slice(&why));
		putchar('\n');
	}
	print_versions(t);
	print_result(t);
	print_output(t);
	print_said(t, "stdout", "stdout_hex", "stdout_cut",
		   "it wrote to standard output");
	print_said(t, "stderr", "stderr_hex", "stderr_cut",
		   "it wrote to standard error");
	puts("nothing was changed");
}

static int keep_output(const struct testing *t)
{
	autofree char *from = path_of(t, "output");
	int r;

	if (!t->args->output ||
	    !json_is_true(json_object_get(t->answer, "output")))
		return EXIT_OK;
	r = from ? file_copy(from, t->args->output) : -ENOMEM;
	return !r ? EXIT_OK : complain(t->subject.command, EXIT_FAILED,
				       "%s: %s", t->args->output,
				       strerror(-r));
}

static int show(const struct testing *t)
{
	int r = keep_output(t), done;

	if (t->args->json) {
		json_object_del(t->answer, "ok");
		json_object_del(t->answer, "output");
		json_object_del(t->answer, "main");
		done = output_json(t->subject.command, t->answer);
	} else {
		print(t);
		done = output_done(t->subject.command);
	}
	if (done != EXIT_OK || r != EXIT_OK)
		return EXIT_FAILED;
	return json_is_true(json_object_get(t->answer, "settles")) ?
		       EXIT_OK : EXIT_FAILED;
}

int hook_test(const char *command, const struct hook_test_args *args)
{
	struct testing t = { .args = args, .fd = -1 };
	int r = subject_init(&t.subject, command, args->file);

	if (r != EXIT_OK)
		return r;
	interrupts_catch();
	r = room_dir_make(&t.subject, &t.dir, &t.fd);
	if (r == EXIT_OK)
		r = ask_any(&t);
	if (r == EXIT_OK)
		r = show(&t);
	json_decref(t.answer);
	if (t.fd >= 0)
		close(t.fd);
	if (t.dir)
		private_dir_remove(t.dir);
	free(t.dir);
	subject_release(&t.subject);
	return r;
}
