/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin-fuzz runs drivers over files, so that what a fuzzer once found stays
 * found, in every build:
 *
 *	kin-fuzz --replay CORPUS [DRIVER...]	CORPUS/DRIVER/FILE, all of them
 *	kin-fuzz DRIVER FILE...			one by one
 *	kin-fuzz --seeds DIR [DRIVER...]	writes what to begin with
 *
 * Built with FUZZ_DRIVER it is the libFuzzer program of that driver, and
 * libFuzzer has the main().
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "tests/fuzz/fuzz.h"

/* Bytes of one input: more than any frame or row. */
#define INPUT_BYTES_MAX (4u << 20)

const struct fuzz_driver fuzz_drivers[] = {
	{ "content", fuzz_content, NULL },
	{ "control", fuzz_control, NULL },
	{ "cookie", fuzz_cookie, NULL },
	{ "log", fuzz_log, fuzz_log_seeds },
	{ "manifest", fuzz_manifest, fuzz_manifest_seeds },
	{ "names", fuzz_names, NULL },
	{ "pack", fuzz_pack, NULL },
	{ "pages", fuzz_pages, fuzz_pages_seeds },
	{ "row", fuzz_row, NULL },
	{ "session", fuzz_session, fuzz_session_seeds },
	{ "tables", fuzz_tables, fuzz_tables_seeds },
	{ "text", fuzz_text, NULL },
	{ "wire", fuzz_wire, NULL },
	{ "xattr", fuzz_xattr, NULL },
};
const size_t fuzz_driver_count = ARRAY_SIZE(fuzz_drivers);

#ifdef FUZZ_DRIVER

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_OFF);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	FUZZ_DRIVER(SLICE(data, len));
	return 0;
}

#else

static const struct fuzz_driver *driver_find(const char *name)
{
	for (size_t i = 0; i < fuzz_driver_count; i++)
		if (!strcmp(fuzz_drivers[i].name, name))
			return &fuzz_drivers[i];
	fprintf(stderr, "kin-fuzz: no driver is called '%s'\n", name);
	exit(2);
}

/* The bytes are on the heap, with nothing behind them: so that a sanitizer
 * sees a byte too far. */
static void run_file(const struct fuzz_driver *d, const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree uint8_t *bytes = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size > INPUT_BYTES_MAX) {
		fprintf(stderr, "kin-fuzz: '%s' cannot be read\n", path);
		exit(2);
	}
	bytes = malloc((size_t)st.st_size);
	if (st.st_size && (!bytes || read(fd, bytes, (size_t)st.st_size) !=
					     st.st_size)) {
		fprintf(stderr, "kin-fuzz: '%s' cannot be read\n", path);
		exit(2);
	}
	if (getenv("KIN_FUZZ_VERBOSE"))
		fprintf(stderr, "%s %s\n", d->name, path);
	d->one(SLICE(bytes, (size_t)st.st_size));
}

static int no_dot(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Returns the number of files. */
static size_t replay(const struct fuzz_driver *d, const char *corpus)
{
	struct dirent **list;
	char path[4096];
	int n;

	snprintf(path, sizeof(path), "%s/%s", corpus, d->name);
	n = scandir(path, &list, no_dot, alphasort);
	if (n <= 0) {
		fprintf(stderr, "kin-fuzz: there is no corpus in '%s'\n",
			path);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", corpus, d->name,
			 list[i]->d_name);
		run_file(d, path);
		free(list[i]);
	}
	free(list);
	return (size_t)n;
}

/* ---- seeds */

static const char *seeds_dir, *seeds_driver;

static void put_seed(const char *name, struct slice bytes)
{
	char path[4096];
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", seeds_dir, seeds_driver);
	if (mkdir(path, 0777) && errno != EEXIST)
		exit(2);
	snprintf(path, sizeof(path), "%s/%s/%s", seeds_dir, seeds_driver,
		 name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len)
		exit(2);
}

static void write_seeds(const struct fuzz_driver *d, const char *dir)
{
	seeds_dir = dir;
	seeds_driver = d->name;
	if (d->seeds)
		d->seeds(put_seed);
}

int main(int argc, char **argv)
{
	bool is_replay = argc > 2 && !strcmp(argv[1], "--replay");
	bool is_seeds = argc > 2 && !strcmp(argv[1], "--seeds");

	log_set_level(LOG_LEVEL_OFF);
	if (argc < 3) {
		fprintf(stderr, "usage: kin-fuzz --replay CORPUS [DRIVER...] "
				"| --seeds DIR [DRIVER...] | DRIVER FILE...\n");
		return 2;
	}
	for (size_t i = 0; (is_replay || is_seeds) && i < fuzz_driver_count;
	     i++) {
		const struct fuzz_driver *d = &fuzz_drivers[i];
		bool wanted = argc == 3;

		for (int k = 3; k < argc; k++)
			wanted |= driver_find(argv[k]) == d;
		if (wanted && is_seeds)
			write_seeds(d, argv[2]);
		else if (wanted)
			printf("%-9s %zu inputs\n", d->name,
			       replay(d, argv[2]));
	}
	for (int k = 2; !is_replay && !is_seeds && k < argc; k++)
		run_file(driver_find(argv[1]), argv[k]);
	return 0;
}

#endif
