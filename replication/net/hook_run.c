/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one run: what was asked for is copied, a thread is started;
 * the thread makes the room, has it filled, prepares everything that the
 * child processes need, waits for them, and draws the conclusion.
 */
#include "replication/net/hook_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/thread.h"
#include "replication/net/hook_watch.h"
#include "replication/net/sys.h"

/* Our own, before those that were given: PATH, LANG, HOME, and three. */
#define OWN_VARS 6

struct hook_run {
	/* Pointers in it are only good for the call that started it: */
	struct hook_run_options options;
	struct hook hook;
	char **argv, **vars, **hide;		/* NULL-ended */
	char *rooms;
	gid_t *groups;
	/* Of the thread until it is done. */
	struct hook_outcome outcome;
	pthread_t thread;
	int cancel_fd;
	atomic_bool canceled, done;
};

/* ---- copying */

static void words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

/* first may be NULL. */
static int words_copy(const char *first, const char *const *rest, char ***ret)
{
	size_t n = 0, at = 0;

	while (rest && rest[n])
		n++;
	if (n > HOOK_WORDS_MAX)
		return -E2BIG;
	*ret = calloc(n + 2, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	if (first && !((*ret)[at++] = strdup(first)))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!((*ret)[at++] = strdup(rest[i])))
			return -ENOMEM;
	return 0;
}

static bool var_valid(const char *name)
{
	static const char *const own[] = { "KIN_VARIANTS_DIR", "KIN_BASE",
					   "KIN_OUTPUT" };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!strcmp(name, own[i]))
			return false;
	return !strncmp(name, "KIN_", 4) && name[4] &&
	       !name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")];
}

static int vars_copy(const struct hook_run_options *o, char ***ret)
{
	if (o->var_count > HOOK_WORDS_MAX)
		return -E2BIG;
	*ret = calloc(o->var_count + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	for (size_t i = 0; i < o->var_count; i++) {
		if (!var_valid(o->vars[i].name))
			return -EINVAL;
		if (asprintf(&(*ret)[i], "%s=%s", o->vars[i].name,
			     o->vars[i].value) < 0) {
			(*ret)[i] = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

static int hook_copy(const struct hook *from, struct hook *ret)
{
	*ret = *from;
	ret->path = strdup(from->path);
	ret->fd = fcntl(from->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (ret->path)
		ret->name = strrchr(ret->path, '/') + 1;
	return !ret->path ? -ENOMEM : ret->fd < 0 ? -errno : 0;
}

static int groups_copy(const struct hook_run_options *o, gid_t **ret)
{
	if (!o->group_count)
		return 0;
	*ret = calloc(o->group_count, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, o->groups, o->group_count * sizeof(**ret));
	return 0;
}

static int options_copy(struct hook_run *run,
			const struct hook_run_options *o)
{
	int r = hook_copy(o->hook, &run->hook);

	run->options = *o;
	if (r == 0)
		r = words_copy(run->hook.path, o->args, &run->argv);
	if (r == 0)
		r = words_copy(NULL, o->hide, &run->hide);
	if (r == 0)
		r = vars_copy(o, &run->vars);
	if (r == 0)
		r = groups_copy(o, &run->groups);
	if (r == 0 && !(run->rooms = strdup(o->rooms)))
		r = -ENOMEM;
	for (char **path = run->hide; r == 0 && *path; path++)
		if (**path != '/')
			r = -EINVAL;
	return r;
}

/* ---- what the child needs */

/* One line of /proc/PID/status, as a number. */
static unsigned long status_field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Threads that the user has now: where a limit of processes counts all of
 * the user's, it has to be above that. */
static rlim_t user_threads(uid_t uid)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	rlim_t count = 0;

	while (proc && (e = readdir(proc))) {
		char path[sizeof("/proc//status") + 256], text[4096];
		ssize_t n;
		int fd;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/status", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[MAX_OF(n, 0)] = '\0';
		if (n > 0 && status_field(text, "\nUid:\t") == uid)
			count += status_field(text, "\nThreads:\t");
	}
	if (proc)
		closedir(proc);
	return count;
}

static int put_var(char **env, size_t *count, const char *name,
		   const char *dir, const char *file)
{
	if (asprintf(&env[*count], "%s=%s%s", name, dir, file) < 0) {
		env[*count] = NULL;
		return -ENOMEM;
	}
	++*count;
	return 0;
}

/* Only the first *ret_own are to be freed. */
static int make_env(const struct hook_run *run, const struct hook_room *room,
		    char ***ret, size_t *ret_own)
{
	size_t n = 0;
	int r;

	while (run->vars[n])
		n++;
	*ret_own = 0;
	*ret = calloc(OWN_VARS + n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	r = put_var(*ret, ret_own, "PATH", "/usr/local/bin:/usr/bin:/bin",
		    "");
	if (r == 0)
		r = put_var(*ret, ret_own, "LANG", "C.UTF-8", "");
	if (r == 0)
		r = put_var(*ret, ret_own, "HOME", room->path, "/home");
	if (r == 0 && run->options.wants_output)
		r = put_var(*ret, ret_own, "KIN_VARIANTS_DIR", room->path,
			    "/variants");
	if (r == 0 && run->options.wants_output)
		r = put_var(*ret, ret_own, "KIN_OUTPUT", room->path,
			    "/output");
	if (r == 0 && run->options.wants_output && room->has_base)
		r = put_var(*ret, ret_own, "KIN_BASE", room->path, "/base");
	memcpy(*ret + *ret_own, run->vars, n * sizeof(*run->vars));
	return r;
}

static struct hook_child make_child(const struct hook_run *run)
{
	const struct hook_run_options *o = &run->options;
	const struct hook_limits *l = &o->limits;

	return (struct hook_child){
		.exec_fd = run->hook.fd,
		.script = run->hook.script,
		.path = run->hook.path,
		.dev = run->hook.dev,
		.ino = run->hook.ino,
		.argv = run->argv,
		.switch_user = geteuid() == 0,
		.uid = o->uid,
		.gid = o->gid,
		.groups = run->groups,
		.group_count = o->group_count,
		.time_ms = l->time_ms,
		.grace_ms = l->grace_ms,
		.file_bytes = l->file_bytes,
		.memory_bytes = l->memory_bytes,
		.files = l->files,
		.cpu_s = l->cpu_s,
		/* The supervisor is counted too. */
		.processes = l->processes + 1,
		.processes_outside = l->processes + 1 +
				     (o->uid ? user_threads(o->uid) : 0),
		.unbounded_processes = o->uid == 0,
		.spaces = o->spaces == HOOK_SPACES_TRY,
		.hide = run->hide,
	};
}

/* ---- the conclusion */

static printf_like(2, 3) void fail(struct hook_outcome *o, const char *fmt,
				   ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->reason, sizeof(o->reason), fmt, ap);
	va_end(ap);
	o->result = HOOK_FAILED;
}

static void conclude_failed(struct hook_outcome *o, const struct hook_run *run,
			    const struct hook_end *end)
{
	static const char *const stages[] = {
		[STAGE_FORK] = "no process", [STAGE_STDIO] = "descriptors",
		[STAGE_LIMITS] = "limits", [STAGE_USER] = "change of user",
		[STAGE_PRIVILEGES] = "privileges",
		[STAGE_ROOM] = "its directory", [STAGE_CHANGED] = "its file",
		[STAGE_EXEC] = "its file",
	};

	if (end->stage == STAGE_CHANGED)
		fail(o, "cannot be run: it was replaced meanwhile");
	else if (end->stage == STAGE_EXEC && end->error == ENOEXEC)
		fail(o, "cannot be run: neither a program for this machine "
		     "nor a script that begins with #!");
	else if (end->stage == STAGE_EXEC && end->error == ENOENT)
		fail(o, "cannot be run: the interpreter that it names does "
		     "not exist");
	else if (end->stage == STAGE_EXEC && end->error == EACCES)
		fail(o, "cannot be run: uid %u may not execute it, or not "
		     "reach its folder", (unsigned)run->options.uid);
	else
		fail(o, "cannot be run: %s: %s",
		     end->stage < ARRAY_SIZE(stages) ? stages[end->stage] :
						       "unknown",
		     strerror(end->error));
}

static void conclude_signal(struct hook_outcome *o, const struct hook_run *run,
			    int signal)
{
	const char *name = sigabbrev_np(signal);

	if (signal == SIGXFSZ)
		fail(o, "it wrote a file of more than %" PRIu64 " bytes",
		     run->options.limits.file_bytes);
	else if (signal == SIGXCPU)
		fail(o, "it used more than %" PRIu64 " s of the processor",
		     run->options.limits.cpu_s);
	else
		fail(o, "it was killed by signal %d (SIG%s)", signal,
		     name ? name : "?");
}

static void conclude_zero(struct hook_outcome *o, const struct hook_run *run,
			  const struct hook_room *room)
{
	cleanup(buf_release) struct buf why = BUF_INIT;
	int r = 0;

	if (run->options.wants_output)
		r = hook_room_output(room, run->options.limits.file_bytes,
				     &why, &o->output_fd, &o->output_bytes);
	if (r < 0)
		fail(o, "%.*s", (int)why.len,
		     why.len ? (const char *)why.data : "");
	else
		o->result = HOOK_SETTLED;
}

static void conclude(struct hook_outcome *o, const struct hook_run *run,
		     const struct hook_room *room, const struct hook_end *end)
{
	if (end->survivors)
		log_warn("hook '%s' left processes that could not be killed",
			 run->hook.name);
	if (end->exited && WIFEXITED(end->status))
		o->status = WEXITSTATUS(end->status);
	if (end->failed)
		conclude_failed(o, run, end);
	else if (end->timed_out)
		fail(o, "it took longer than %g s",
		     (double)run->options.limits.time_ms / 1000);
	else if (end->too_many)
		fail(o, "it had more than %" PRIu64 " processes",
		     run->options.limits.processes);
	else if (!end->exited)
		fail(o, "what watched over it was killed");
	else if (WIFSIGNALED(end->status))
		conclude_signal(o, run, WTERMSIG(end->status));
	else if (end->survivors)
		fail(o, "it left processes that could not be killed");
	else if (WEXITSTATUS(end->status) == 1)
		o->result = HOOK_LEFT;
	else if (WEXITSTATUS(end->status) != 0)
		fail(o, "it ended with status %d", WEXITSTATUS(end->status));
	else
		conclude_zero(o, run, room);
}

/* ---- the thread */

static void watch(struct hook_run *run, const struct hook_room *room)
{
	struct hook_outcome *o = &run->outcome;
	struct hook_child child = make_child(run);
	autofree char *home = NULL;
	struct hook_end end;
	uint64_t began_ms;
	char **env = NULL;
	size_t own = 0;
	int r = make_env(run, room, &env, &own);

	if (r == 0 && asprintf(&home, "%s/home", room->path) < 0) {
		home = NULL;
		r = -ENOMEM;
	}
	child.envp = env;
	child.room = room->path;
	child.home = home;
	began_ms = sys_now_ms();
	if (r == 0)
		r = hook_watch(&child, run->cancel_fd, o, &end);
	o->took_ms = sys_now_ms() - began_ms;
	if (r < 0) {
		fail(o, "cannot be run: %s", strerror(-r));
	} else {
		o->spaces = end.spaces;
		conclude(o, run, room, &end);
	}
	for (size_t i = 0; i < own; i++)
		free(env[i]);
	free(env);
}

static void outcome_cancel(struct hook_outcome *o)
{
	o->result = HOOK_CANCELED;
	o->reason[0] = '\0';
	if (o->output_fd >= 0)
		close(o->output_fd);
	o->output_fd = -1;
	o->output_bytes = 0;
}

static void *run_thread(void *arg)
{
	struct hook_run *run = arg;
	const struct hook_run_options *opt = &run->options;
	struct hook_room room = HOOK_ROOM_INIT;
	int r = hook_room_make(run->rooms, opt->uid, opt->gid, &room);

	if (r < 0)
		fail(&run->outcome, "no directory for it: %s", strerror(-r));
	if (r == 0 && opt->fill) {
		r = opt->fill(opt->arg, &room);
		if (r < 0)
			fail(&run->outcome, "its files cannot be made: %s",
			     r == -EFBIG ? "one would be larger than 1 GiB" :
					   strerror(-r));
	}
	if (r == 0 && !atomic_load(&run->canceled))
		watch(run, &room);
	if (atomic_load(&run->canceled))
		outcome_cancel(&run->outcome);
	if (opt->finish)
		opt->finish(opt->arg, &run->outcome);
	hook_room_remove(&room);
	atomic_store(&run->done, true);
	if (opt->loop)
		loop_wake(opt->loop);
	return NULL;
}

/* ---- from outside */

static void run_release(struct hook_run *run)
{
	hook_close(&run->hook);
	words_free(run->argv);
	words_free(run->vars);
	words_free(run->hide);
	free(run->rooms);
	free(run->groups);
	if (run->cancel_fd >= 0)
		close(run->cancel_fd);
	if (run->outcome.output_fd >= 0)
		close(run->outcome.output_fd);
	buf_release(&run->outcome.out);
	buf_release(&run->outcome.err);
	free(run);
}

int hook_run_start(const struct hook_run_options *o, struct hook_run **ret)
{
	struct hook_run *run;
	int r;

	if (geteuid() != 0 && (o->uid != geteuid() || o->gid != getegid()))
		return -EPERM;
	run = calloc(1, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->hook = HOOK_INIT;
	run->outcome.output_fd = -1;
	run->outcome.status = -1;
	buf_init(&run->outcome.out);
	buf_init(&run->outcome.err);
	run->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = run->cancel_fd < 0 ? -errno : options_copy(run, o);
	if (r == 0)
		/* (signals that come between fork and exec are for nobody) */
		r = thread_start(&run->thread, run_thread, run);
	if (r < 0)
		run_release(run);
	else
		*ret = run;
	return r;
}

void hook_run_cancel(struct hook_run *run)
{
	uint64_t one = 1;

	atomic_store(&run->canceled, true);
	if (write(run->cancel_fd, &one, sizeof(one)) < 0)
		kin_assert(errno == EAGAIN || errno == EINTR);
}

bool hook_run_done(const struct hook_run *run)
{
	return atomic_load(&run->done);
}

struct hook_outcome *hook_run_outcome(struct hook_run *run)
{
	return &run->outcome;
}

void hook_run_free(struct hook_run *run)
{
	if (!run)
		return;
	hook_run_cancel(run);
	pthread_join(run->thread, NULL);
	run_release(run);
}
