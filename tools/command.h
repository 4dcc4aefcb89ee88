/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `kin`, one file each, and what they share: exit codes,
 * option parsing, and how an error is said.
 *
 * An error is one line on standard error: "kin COMMAND: what: where; what
 * to do next".
 */
#ifndef KINFS_TOOLS_COMMAND_H
#define KINFS_TOOLS_COMMAND_H

#include <getopt.h>

#include "fs/base/bytes.h"
#include "fs/base/macro.h"

/* A contract with scripts; README.md and `kin --help` list them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,	/* also: timed out */
	EXIT_USAGE = 2,
	EXIT_UNREACHED = 3,	/* wait: a member was not reachable, or paused */
	EXIT_NOT_MOUNTED = 4,	/* no kinfs there, or its daemon is gone */
	EXIT_UNCHECKED = 5,	/* check: it could not be looked at */
};

struct command {
	const char *name;
	int (*run)(int argc, char **argv);	/* returns an exit_code */
	const char *help;
};

int cmd_cat(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_conflicts(int argc, char **argv);
int cmd_hooks(int argc, char **argv);
int cmd_invite(int argc, char **argv);
int cmd_join(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_member(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_resolve(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_swap(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_undelete(int argc, char **argv);
int cmd_undo(int argc, char **argv);
int cmd_unmount(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_wait(int argc, char **argv);

/* ---- options of one command */
struct cmdline {
	int argc;
	char **argv;		/* argv[0] is the command's name */
	const char *help;	/* the whole --help text */
	const struct option *options;	/* ends with zeros; without --help */
};

enum { CMDLINE_END = -1, CMDLINE_HELP = -2, CMDLINE_BAD = -3 };
/* Values of long options begin here. */
#define OPTION_FIRST 256

/*
 * The `val` of the next option (its argument is in optarg), or one of the
 * above. Help and complaints are printed already; cmdline_exit() gives the
 * exit code for them.
 */
int cmdline_next(struct cmdline *);
int cmdline_exit(int next);
/*
 * Checks the number of arguments that are left; they begin at
 * argv[optind]. Complains and returns EXIT_USAGE, or EXIT_OK.
 */
int cmdline_operands(const struct cmdline *, int min, int max);

/* Prints the line and returns the exit code. */
int complain(const char *command, int exit_code, const char *fmt, ...)
	printf_like(3, 4);

#endif
