/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by `kin conflicts --decided` and `kin undo`. */
#include "tools/decisions.h"

#include <stdio.h>
#include <string.h>

#include "tools/output.h"

static const char *kind_sentence(const json_t *decision)
{
	static const struct {
		const char *kind, *sentence;
	} all[] = {
		{ "rename", "renamed in several places" },
		{ "mode", "mode set in several places" },
		{ "owner", "owner set in several places" },
		{ "times", "time set in several places" },
		{ "xattr", "attribute set in several places" },
		{ "cycle", "moved into what was moved into it" },
		{ "revived", "removed, and there again" },
		{ "reverted", "put back to an older content" },
		{ "policy", "several contents, of which the policy shows one" },
		{ "settled", "several contents, of which one was made" },
	};
	const char *kind = json_text(decision, "kind");

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i].kind, kind))
			return all[i].sentence;
	return kind;
}

static void print_bytes(const json_t *object, const char *key,
			const char *hex_key)
{
	const json_t *text = json_object_get(object, key);

	if (json_is_string(text))
		output_name(SLICE(json_string_value(text),
				  json_string_length(text)));
	else if (json_is_null(text))
		fputs("(removed)", stdout);
	else
		printf("0x%s", json_text(object, hex_key));
}

static void print_side(const char *what, const json_t *side)
{
	char when[TEXT_BYTES];

	printf("  %-6s  %-12s  %-19s  ", what, json_text(side, "label"),
	       text_time((int64_t)json_number(side, "time"), when));
	print_bytes(side, "value", "value_hex");
	putchar('\n');
}

void decision_print(const struct subject *subject, const json_t *decision)
{
	struct buf path = BUF_INIT;

	buf_printf(&path, "%s/", subject->mountpoint);
	output_path_of(decision, &path);
	printf("%s  ", json_text(decision, "id"));
	output_name(buf_slice(&path));
	printf(": %s", kind_sentence(decision));
	if (!strcmp(json_text(decision, "kind"), "xattr")) {
		fputs(": ", stdout);
		print_bytes(decision, "xattr", "xattr_hex");
	}
	putchar('\n');
	print_side("chosen", json_object_get(decision, "chosen"));
	print_side("lost", json_object_get(decision, "lost"));
	printf("  %s\n", json_text(decision, "why"));
	if (!json_is_true(json_object_get(decision, "can_undo")))
		puts("  it goes when what is in it is removed");
	buf_release(&path);
}

int decisions_list(const struct subject *subject, bool settled, bool as_json)
{
	json_t *request = json_pack("{s:s, s:b}", "cmd", "decided", "settled",
				    settled);
	json_t *answer = NULL;
	const json_t *decisions, *decision;
	size_t i;
	int r;

	subject_put_path(subject, request);
	r = control_call(subject, request, &answer);
	decisions = json_object_get(answer, "decisions");
	if (r == EXIT_OK && as_json) {
		r = output_json(subject->command, decisions);
	} else if (r == EXIT_OK) {
		json_array_foreach(decisions, i, decision)
			decision_print(subject, decision);
		puts(json_array_size(decisions)
		     ? "take the other one: kin undo ID"
		     : settled
		     ? "nothing was decided without asking, or settled"
		     : "nothing was decided without asking");
		r = output_done(subject->command);
	}
	json_decref(answer);
	return r;
}
