/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t interrupt_came;

static const int interrupts[] = { SIGINT, SIGTERM, SIGHUP };

static void on_interrupt(int signal)
{
	(void)signal;
	interrupt_came = 1;
}

void interrupts_catch(void)
{
	/* (no SA_RESTART: a question is left unanswered) */
	struct sigaction action = { .sa_handler = on_interrupt };

	for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++)
		sigaction(interrupts[i], &action, NULL);
}

bool interrupted(void)
{
	return interrupt_came;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

static int add_files(posix_spawn_file_actions_t *files,
		     const struct child *c)
{
	const char *output = c->output ? c->output : "/dev/null";
	int r = 0;

	if (c->dir)
		r = posix_spawn_file_actions_addchdir_np(files, c->dir);
	if (!r && (c->output || c->quiet))
		r = posix_spawn_file_actions_addopen(
			files, STDOUT_FILENO, output,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	if (!r && c->quiet)
		r = posix_spawn_file_actions_addopen(
			files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	return r;
}

int child_run(const struct child *c)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t defaults;
	pid_t pid;
	int r;

	sigemptyset(&defaults);
	for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++)
		sigaddset(&defaults, interrupts[i]);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&files);
	r = add_files(&files, c);
	if (!r)
		r = posix_spawnp(&pid, c->argv[0], &files, &attr,
				 (char *const *)c->argv,
				 c->env ? c->env : environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return r ? -r : wait_for(pid);
}
