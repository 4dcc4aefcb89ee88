/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `kin conflicts` and `kin resolve` share. A version is named to the
 * daemon by where it stands, and the conflict by its token, so that what is
 * settled is what was looked at.
 */
#include "tools/conflicts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/id.h"
#include "tools/output.h"

int conflicts_ask(const struct subject *subject, json_t **ret)
{
	json_t *answer = NULL, *request = json_pack("{s:s}", "cmd",
						    "conflicts");
	int r;

	subject_put_path(subject, request);
	r = control_call(subject, request, &answer);
	*ret = r == EXIT_OK ? json_incref(json_object_get(answer,
							  "conflicts")) : NULL;
	json_decref(answer);
	if (r == EXIT_OK && !json_is_array(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		r = complain(subject->command, EXIT_FAILED, "%s: its daemon "
			     "does not list conflicts; is it another "
			     "version?", subject->mountpoint);
	}
	return r;
}

static bool path_is(const json_t *object, const struct subject *subject)
{
	cleanup(buf_release) struct buf path = BUF_INIT;

	output_path_of(object, &path);
	return slice_equal(buf_slice(&path), SLICE_STR(subject->path));
}

bool conflict_is_of(const json_t *conflict, const struct subject *subject)
{
	const json_t *version;
	size_t i;

	if (path_is(conflict, subject))
		return true;
	json_array_foreach(json_object_get(conflict, "versions"), i, version)
		if (path_is(version, subject))
			return true;
	return false;
}

/* ---- for people */

const char *conflict_sentence(const json_t *conflict)
{
	const char *kind = json_text(conflict, "kind");

	if (!strcmp(kind, "content"))
		return "edited in several places";
	if (!strcmp(kind, "name"))
		return "different files of one name";
	return "moved to several places";
}

struct slice last_component(struct slice path)
{
	const uint8_t *slash = memrchr(path.data, '/', path.len);
	size_t skip = slash ? (size_t)(slash - path.data) + 1 : 0;

	return SLICE(path.data + skip, path.len - skip);
}

void version_print(const json_t *version)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	char when[TEXT_BYTES], size[TEXT_BYTES];
	bool is_main = json_is_true(json_object_get(version, "main"));

	printf("  %-4s  %-12s  %-19s  %10s  ", is_main ? "main" :
	       json_is_true(json_object_get(version, "automatic")) ? "auto" :
								     "",
	       json_text(version, "label"),
	       text_time((int64_t)json_number(version, "time"), when),
	       text_bytes(json_number(version, "size"), size));
	output_path_of(version, &path);
	if (path.len)
		output_name(last_component(buf_slice(&path)));
	putchar('\n');
}

void conflict_print_path(const struct subject *subject,
			 const json_t *conflict)
{
	cleanup(buf_release) struct buf path = BUF_INIT;

	buf_printf(&path, "%s/", subject->mountpoint);
	output_path_of(conflict, &path);
	output_name(buf_slice(&path));
}

/* What a policy or a hook makes of it. */
static void print_handler(const json_t *handler)
{
	const char *state = json_text(handler, "state");
	const char *reason = json_text(handler, "reason");
	const char *rule = json_text(handler, "rule");

	if (!handler)
		return;
	if (!strcmp(state, "left"))
		printf("  %s leaves it to you", rule);
	else if (!strcmp(state, "failed"))
		printf("  %s failed", rule);
	else if (!strcmp(state, "running"))
		printf("  %s is at work", rule);
	else
		printf("  %s is to settle it", rule);
	if (*reason)
		printf(": %s", reason);
	putchar('\n');
}

void conflict_print(const struct subject *subject, const json_t *conflict)
{
	const json_t *version;
	size_t i;

	conflict_print_path(subject, conflict);
	printf(": %s%s%s\n", conflict_sentence(conflict),
	       json_is_true(json_object_get(conflict, "main_removed")) ?
	       ", and removed" : "",
	       strcmp(json_text(conflict, "kind"), "content") ? "" :
	       json_is_true(json_object_get(conflict, "base_known")) ?
	       "; what from is known" : "; what from is not known");
	json_array_foreach(json_object_get(conflict, "versions"), i, version)
		version_print(version);
	print_handler(json_object_get(conflict, "handler"));
}

/* ---- choosing */

const json_t *conflict_version(const json_t *conflict, size_t number)
{
	const json_t *versions = json_object_get(conflict, "versions"), *v;
	size_t i, at = 0;

	/* (main is the first that is listed, mostly) */
	json_array_foreach(versions, i, v)
		if (json_is_true(json_object_get(v, "main")) &&
		    ++at == number)
			return v;
	json_array_foreach(versions, i, v)
		if (!json_is_true(json_object_get(v, "main")) &&
		    ++at == number)
			return v;
	return NULL;
}

static const json_t *greatest(const json_t *versions, const char *key)
{
	const json_t *version, *best = NULL;
	size_t i;

	/* (of equals main, else the first: the list is alike everywhere) */
	json_array_foreach(versions, i, version) {
		uint64_t mine = json_number(version, key);
		uint64_t top = best ? json_number(best, key) : 0;

		if (!best || mine > top ||
		    (mine == top &&
		     json_is_true(json_object_get(version, "main"))))
			best = version;
	}
	return best;
}

static bool name_is(const json_t *version, const char *name)
{
	cleanup(buf_release) struct buf path = BUF_INIT;

	output_path_of(version, &path);
	return path.len && slice_equal(last_component(buf_slice(&path)),
				       SLICE_STR(name));
}

static bool label_is(const json_t *version, const char *label)
{
	return !strcmp(json_text(version, "label"), label);
}

static bool is_main(const json_t *version, const char *word)
{
	(void)word;
	return json_is_true(json_object_get(version, "main"));
}

static const json_t *the_only(const json_t *versions, const char *word,
			      bool (*is)(const json_t *, const char *),
			      size_t *ret_count)
{
	const json_t *version, *found = NULL;
	size_t i, n = 0;

	json_array_foreach(versions, i, version)
		if (is(version, word)) {
			found = version;
			n++;
		}
	*ret_count = n;
	return n == 1 ? found : NULL;
}

const json_t *conflict_choose(const json_t *conflict, const char *take,
			      size_t *ret_count)
{
	const json_t *versions = json_object_get(conflict, "versions"), *found;
	const char *slash = strrchr(take, '/');

	*ret_count = 1;
	if (!strcmp(take, "newest"))
		return greatest(versions, "time_ms");
	if (!strcmp(take, "largest"))
		return greatest(versions, "size");
	if (!strcmp(take, "main"))
		return the_only(versions, take, is_main, ret_count);
	/* A path, as the shell completes it, means its last component. */
	if (slash && slash[1])
		take = slash + 1;
	found = the_only(versions, take, name_is, ret_count);
	return *ret_count ? found :
			    the_only(versions, take, label_is, ret_count);
}

/* ---- taking */

static void put_bytes(json_t *request, const char *key, const char *hex_key,
		      struct slice bytes)
{
	json_t *text = json_stringn((const char *)bytes.data, bytes.len);
	autofree char *hex = NULL;

	if (text) {
		json_object_set_new(request, key, text);
		return;
	}
	hex = malloc(2 * bytes.len + 1);
	if (!hex)
		return;
	hex_encode(bytes.data, bytes.len, hex);
	json_object_set_new(request, hex_key, json_string(hex));
}

int conflict_take(const struct subject *subject, const json_t *conflict,
		  const json_t *version)
{
	cleanup(buf_release) struct buf path = BUF_INIT;
	json_t *request, *answer = NULL;
	int r;

	output_path_of(version, &path);
	if (!path.len)
		return complain(subject->command, EXIT_FAILED, "%s: the "
				"directory of that version is gone",
				subject->path);
	request = json_pack("{s:s, s:s}", "cmd", "resolve", "token",
			    json_text(conflict, "token"));
	put_bytes(request, "path", "path_hex", buf_slice(&path));
	if (is_main(version, NULL))
		json_object_set_new(request, "take", json_string("main"));
	else
		put_bytes(request, "take", "take_hex",
			  last_component(buf_slice(&path)));
	r = control_call(subject, request, &answer);
	json_decref(answer);
	return r;
}
