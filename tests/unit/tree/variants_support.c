/* SPDX-License-Identifier: Apache-2.0 */
#include "variants_support.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int fd_with(struct slice bytes)
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.len), bytes.len);
	return fd;
}

void variants_at(struct fixture *f, const char *name, struct variants *ret)
{
	assert_int_equal(tree_variants(f->tree, look(f, ROOT, name), ret), 0);
}

int settle_as(struct fixture *f, const char *name, const char *bytes,
	      enum settle_by by)
{
	int fd = fd_with(SLICE_STR(bytes)), r;
	struct variants v;

	variants_at(f, name, &v);
	r = tree_settle(f->tree, &v, fd, by);
	variants_release(&v);
	close(fd);
	return r;
}

bool in_conflict(struct fixture *f, const char *name)
{
	struct variants v;
	int r = tree_variants(f->tree, look(f, ROOT, name), &v);

	if (r)
		assert_int_equal(r, -ENODATA);
	else
		variants_release(&v);
	return !r;
}

void expect_base(struct fixture *f, const char *name, const char *bytes)
{
	struct variants v;

	variants_at(f, name, &v);
	assert_int_equal(v.base_known, bytes != NULL);
	if (bytes) {
		const struct content *c = &v.base.content;

		assert_true(v.base.here);
		assert_int_equal(c->depth, 0);
		assert_int_equal(c->inline_bytes.len, strlen(bytes));
		assert_memory_equal(c->inline_bytes.data, bytes,
				    strlen(bytes));
	}
	variants_release(&v);
}
