#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The tour of conflicts shows what it says, and leaves nothing behind.

setup() {
	load helpers
	kin_setup
	need_fuse
	DEMO=$BATS_TEST_DIRNAME/../../packaging/demo-conflicts
}

teardown() {
	kin_cleanup
}

@test "the tour of conflicts" {
	run -0 "$DEMO" --kin "$KIN" --dir "$T/demo"
	assert_line "== done: every conflict is settled, and all three nodes are alike"
	[ ! -e demo ]
	assert_equal "$(mounts_of_test)" ""
	assert_equal "$(daemons_of_test)" ""
}

@test "a tour that does not show what it says fails, and cleans up" {
	printf '#!/bin/sh\n[ "$1" != resolve ] || exit 0\nexec "%s" "$@"\n' \
		"$KIN" >lazy
	chmod +x lazy
	run -1 "$DEMO" --kin "$T/lazy" --dir "$T/demo"
	assert_output --partial "demo-conflicts: failed while: different lines"
	[ ! -e demo ]
	assert_equal "$(mounts_of_test)" ""
}

@test "wrong usage" {
	run -2 "$DEMO" --none
	run -2 "$DEMO" --kin
	run -1 "$DEMO" --kin "$T/none"
	mkdir there
	echo mine >there/mine
	run -1 "$DEMO" --kin "$KIN" --dir there
	assert_equal "$(cat there/mine)" mine
}
