/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kin command: one table of commands, each in a file of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/command.h"

static const struct command commands[] = {
	{ "mount", cmd_mount, "make or open a volume and mount it" },
	{ "unmount", cmd_unmount, "unmount a volume and end its daemon" },
	{ "restart", cmd_restart, "replace the daemon of a mount in use" },
	{ "invite", cmd_invite, "print a code that lets one machine join" },
	{ "join", cmd_join, "join a volume by a code, and mount it" },
	{ "member", cmd_member, "list the members, or remove one for ever" },
	{ "status", cmd_status, "show this node, its peers and their lag" },
	{ "sync", cmd_sync, "make all that was done durable here, at once" },
	{ "wait", cmd_wait, "wait until everybody has everything" },
	{ "token", cmd_token, "print a token of what this node shows now" },
	{ "verify", cmd_verify, "prove that all members hold the same" },
	{ "check", cmd_check, "look for damage in a store, and mend it" },
	{ "pause", cmd_pause, "stop the exchange with peers" },
	{ "resume", cmd_resume, "start the exchange with peers again" },
	{ "conflicts", cmd_conflicts, "list files with several versions" },
	{ "resolve", cmd_resolve, "settle a conflict: take a version, or merge" },
	{ "swap", cmd_swap, "give a file renamed in two places the other name" },
	{ "policy", cmd_policy, "say or set what becomes of conflicts" },
	{ "hooks", cmd_hooks, "list and try programs that may settle conflicts" },
	{ "log", cmd_log, "list the versions of a file" },
	{ "cat", cmd_cat, "print an old version of a file" },
	{ "restore", cmd_restore, "make a file what it was" },
	{ "undelete", cmd_undelete, "list or put back what was removed" },
	{ "undo", cmd_undo, "take back what was decided without asking" },
	{ "version", cmd_version, "print the version of kin" },
};

static void usage(FILE *to)
{
	fputs("usage: kin COMMAND [OPTION]... [ARGUMENT]...\n"
	      "A directory that several machines share, each with a whole "
	      "copy of its own.\n\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name,
			commands[i].help);
	fputs("\n`kin COMMAND --help` tells more. Where MOUNTPOINT is asked, "
	      "any path inside the\nmount does.\n\n"
	      "Exit codes: 0 done; 1 failed, or timed out; 2 wrong usage;\n"
	      "3 (wait) a member was not reachable, or this node is paused;\n"
	      "4 no kinfs is mounted there, or its daemon does not run;\n"
	      "5 (check) the store could not be looked at.\n",
	      to);
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* Commands are short; a longer word resembles none of them. */
#define WORD_MAX 16

/* Levenshtein distance; both words are shorter than WORD_MAX. */
static unsigned word_distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t m = strlen(b);

	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1]; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = MIN_OF(change,
					MIN_OF(row[j], row[j - 1]) + 1);
		}
	}
	return row[m];
}

static const char *command_resembling(const char *name)
{
	/* What people know from mount(8), fusermount(1) and git(1). */
	static const char *const aliases[][2] = {
		{ "umount", "unmount" }, { "sync", "wait" },
		{ "stop", "unmount" },	 { "start", "mount" },
		{ "init", "mount" },	 { "clone", "join" },
	};
	const char *best = NULL;
	unsigned best_distance = 3;

	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(aliases[i][0], name))
			return aliases[i][1];
	if (strlen(name) >= WORD_MAX)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		unsigned d = word_distance(name, commands[i].name);

		if (d < best_distance) {
			best = commands[i].name;
			best_distance = d;
		}
	}
	return best;
}

static int unknown_command(const char *name)
{
	const char *like = command_resembling(name);

	fprintf(stderr, "kin: no such command: \"%s\"; ", name);
	if (like)
		fprintf(stderr, "did you mean `kin %s`?\n", like);
	else
		fprintf(stderr, "`kin --help` lists them\n");
	return EXIT_USAGE;
}

/* kin help [COMMAND] */
static int help(int argc, char **argv)
{
	static char option[] = "--help";
	const struct command *c;

	if (argc < 2) {
		usage(stdout);
		return EXIT_OK;
	}
	c = command_find(argv[1]);
	if (!c)
		return unknown_command(argv[1]);
	return c->run(2, (char *[]){ argv[1], option, NULL });
}

int main(int argc, char **argv)
{
	static char version[] = "version";
	const struct command *c;

	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version"))
		argv[1] = version;
	c = command_find(argv[1]);
	if (!c)
		return unknown_command(argv[1]);
	return c->run(argc - 1, argv + 1);
}
