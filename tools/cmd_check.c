/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin check: of a store that is mounted, by its daemon; else here, in
 * check_store.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/check_store.h"
#include "tools/control_client.h"
#include "tools/output.h"

static const char help[] =
"usage: kin check [--data] [--repair] [--json] STORE|MOUNTPOINT\n"
"Looks at everything that a store holds, and says what is damaged. Of a STORE\n"
"that is not mounted nothing is changed without --repair; a mounted one is\n"
"looked at beside normal work.\n"
"\n"
"  --data    also read all bytes of files, old versions included, and compare\n"
"            them with their hashes\n"
"  --repair  mend it. Of a MOUNTPOINT: what is damaged in files is looked for in\n"
"            the store's own data, then fetched from other members. Of a STORE:\n"
"            what is derived from something else is made again, too; files and\n"
"            objects that cannot be read are asked of the other members after\n"
"            the next mount. What is taken out is kept in STORE/lost; of writes\n"
"            that are in no version yet the bytes, too: unsent-INODE-OFFSET, in\n"
"            hexadecimal digits\n"
"  --json    {faults: [{kind, what, table, path, id, version, missing, damaged,\n"
"            page, key, name}], fault_count, entries, objects, chunks, bytes,\n"
"            pending, log_lost, repaired: {chunks, found, contents, rows,\n"
"            unsent, indexed, incarnation, own_volume}, remaining: [as faults,\n"
"            after it]}\n"
"\n"
"What is damaged reads as an error (EIO), is never given to other members, and\n"
"no new version is made of it. `kin verify` compares with other members.\n"
"\n"
"Exit codes: 0 nothing is damaged, or all is mended; 1 something is damaged;\n"
"2 wrong usage; 4 the daemon does not run; 5 it could not be looked at.\n";

enum { OPTION_DATA = OPTION_FIRST, OPTION_REPAIR, OPTION_JSON };

static const struct option options[] = {
	{ "data", no_argument, NULL, OPTION_DATA },
	{ "repair", no_argument, NULL, OPTION_REPAIR },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ NULL, 0, NULL, 0 },
};

/* The daemon says something every second. */
#define TIMEOUT_S 600

/* ---- for people */

static void print_subject(const json_t *f)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	const char *version = json_text(f, "version");
	const char *kind = json_text(f, "kind");

	output_path_of(f, &path);
	if (path.len)
		output_name(buf_slice(&path));
	else if (*json_text(f, "path") || json_object_get(f, "path"))
		printf("the root directory");
	else if (*json_text(f, "id"))
		printf("object %s, shown nowhere here", json_text(f, "id"));
	else if (*json_text(f, "name"))
		printf("META '%s'", json_text(f, "name"));
	else if (!strcmp(kind, "page"))
		printf("page %llu", (unsigned long long)json_number(f, "page"));
	else
		printf("an entry");
	if (*version)
		printf("@%s", version);
}

static void print_fault(const json_t *f)
{
	const char *kind = json_text(f, "kind"), *table = json_text(f, "table");
	uint64_t missing = json_number(f, "missing");
	uint64_t damaged = json_number(f, "damaged");
	char text[TEXT_BYTES];

	print_subject(f);
	printf(": %s", json_text(f, "what"));
	if (damaged)
		printf(", %s damaged", text_count(damaged, "chunk", text));
	if (missing)
		printf(", %s missing", text_count(missing, "chunk", text));
	printf(" (%s%s%s)\n", kind, *table ? " in " : "", table);
}

static void print_answer(const json_t *answer)
{
	const json_t *faults = json_object_get(answer, "faults"), *f;
	const json_t *repaired = json_object_get(answer, "repaired");
	uint64_t count = json_number(answer, "fault_count"), n;
	char a[TEXT_BYTES], b[TEXT_BYTES], c[TEXT_BYTES];
	size_t i;

	json_array_foreach(faults, i, f)
		print_fault(f);
	if (count > json_array_size(faults))
		printf("... %llu faults in all\n", (unsigned long long)count);
	if (json_array_size(json_object_get(answer, "remaining"))) {
		puts("still there after the repair:");
		json_array_foreach(json_object_get(answer, "remaining"), i, f)
			print_fault(f);
	}
	n = json_number(answer, "log_lost");
	if (n)
		printf("the log is damaged: operations up to number %llu are "
		       "lost\n", (unsigned long long)n);
	if (json_object_get(answer, "objects"))
		printf("%s, %s, %s read\n",
		       text_count(json_number(answer, "objects"), "object", a),
		       text_count(json_number(answer, "chunks"), "chunk", b),
		       text_bytes(json_number(answer, "bytes"), c));
	n = json_number(answer, "pending");
	if (n)
		printf("%s still being fetched\n", text_count(n, "content", a));
	n = json_number(repaired, "found");
	if (n)
		printf("found again in the store's data: %s\n",
		       text_count(n, "chunk", a));
	n = json_number(repaired, "contents");
	if (n)
		printf("asked of other members: %s\n",
		       text_count(n, "content", a));
	n = json_number(repaired, "rows");
	if (n)
		printf("put aside, other members may bring them back: %s\n",
		       text_count(n, "object", a));
	n = json_number(repaired, "unsent");
	if (n)
		printf("put aside, as far as they can be read: unsent writes "
		       "of %s\n", text_count(n, "file", a));
	if (json_is_true(json_object_get(repaired, "own_volume")))
		puts("of the other members only they know what was lost: this "
		     "store is a volume of its own now,\nwith all that is in "
		     "it. To exchange with them again: `kin invite` and `kin "
		     "member remove`\nthere, `kin join CODE DIR` here with a "
		     "new DIR, and copy into it what is missing there");
	else if (json_is_true(json_object_get(repaired, "incarnation")))
		puts("this node goes on as a new one of its name: what its "
		     "store said of it was damaged");
	n = json_number(repaired, "indexed");
	if (n)
		printf("indexed again: %s\n", text_count(n, "object", a));
}

static void progress(void *arg, const json_t *event)
{
	char bytes[TEXT_BYTES];

	(void)arg;
	fprintf(stderr, "\r%llu of %llu entries, %s   ",
		(unsigned long long)json_number(event, "entries"),
		(unsigned long long)json_number(event, "of"),
		text_bytes(json_number(event, "bytes"), bytes));
}

/* ---- */

static int report(const struct check_args *args, const json_t *answer)
{
	if (args->json)
		return output_json("check", answer);
	print_answer(answer);
	return output_done("check");
}

static int check_mounted(const struct check_args *args)
{
	bool show = isatty(STDERR_FILENO);
	struct subject subject;
	json_t *answer = NULL;
	int r = subject_init(&subject, "check", args->path), e;

	if (r != EXIT_OK)
		return r;
	r = control_ask_watching(&subject,
				 json_pack("{s:s, s:b, s:b}", "cmd", "check",
					   "data", args->data, "repair",
					   args->repair),
				 TIMEOUT_S, show ? progress : NULL, NULL,
				 &answer);
	if (show)
		fputs("\r\033[K", stderr);
	if (answer && json_object_get(answer, "faults")) {
		e = report(args, answer);
		if (r != EXIT_OK)
			control_refused(&subject, answer, r);
		r = e != EXIT_OK ? EXIT_UNCHECKED : r;
	} else if (answer) {
		control_refused(&subject, answer, EXIT_UNCHECKED);
		r = EXIT_UNCHECKED;
	}
	json_decref(answer);
	subject_release(&subject);
	return r;
}

static int check_unmounted(const struct check_args *args)
{
	json_t *answer = NULL;
	int r = check_store(args, isatty(STDERR_FILENO) ? progress : NULL,
			    &answer);
	int e = answer ? report(args, answer) : EXIT_OK;

	json_decref(answer);
	return e != EXIT_OK ? EXIT_UNCHECKED : r;
}

/* A store has its tables in it; looked at without touching a mount. */
static int is_store(const char *path, bool *ret)
{
	cleanup(mounts_release) struct mounts m = { 0 };
	cleanup(buf_release) struct buf db = BUF_INIT;
	autofree char *resolved = NULL;
	struct stat st;
	int r = mounts_load(&m);

	if (!r)
		r = path_resolve(&m, path, &resolved);
	*ret = false;
	if (r || mount_is_kinfs(mounts_find(&m, resolved)))
		return r;
	buf_printf(&db, "%s/db", resolved);
	buf_put_u8(&db, 0);
	if (buf_error(&db))
		return -ENOMEM;
	*ret = !lstat((char *)db.data, &st) && S_ISREG(st.st_mode);
	return 0;
}

int cmd_check(int argc, char **argv)
{
	struct cmdline line = { argc, argv, help, options };
	struct check_args args = { 0 };
	bool store;
	int c, r;

	while ((c = cmdline_next(&line)) >= 0) {
		args.data |= c == OPTION_DATA;
		args.repair |= c == OPTION_REPAIR;
		args.json |= c == OPTION_JSON;
	}
	if (c != CMDLINE_END)
		return cmdline_exit(c);
	if (cmdline_operands(&line, 1, 1) != EXIT_OK)
		return EXIT_USAGE;
	args.path = argv[optind];
	r = is_store(args.path, &store);
	if (r < 0)
		return complain("check", EXIT_UNCHECKED, "%s: %s", args.path,
				strerror(-r));
	return store ? check_unmounted(&args) : check_mounted(&args);
}
