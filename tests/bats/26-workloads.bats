#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What programs do to a file system, and while its daemon is killed again and
# again: tests/workloads/README.md.

bats_require_minimum_version 1.5.0

setup() {
	load helpers
	kin_setup
	need_fuse
	WORKLOADS=$BATS_TEST_DIRNAME/../workloads
}

teardown() {
	kin_cleanup
}

@test "programs work" {
	# (the others: below)
	run -0 "$WORKLOADS/run" --kin "$KIN" --dir "$T" trees compile
	refute_output --partial skip
}

@test "programs work while the daemon is killed again and again" {
	local have

	have=$(uname -r | cut -d. -f1,2)
	[ "$(printf '6.9\n%s\n' "$have" | sort -V | head -n 1)" = 6.9 ] ||
		skip "the kernel cannot send again what was not answered"
	run -0 "$WORKLOADS/run" --kin "$KIN" --dir "$T" --kill 0.7 \
		git sqlite names entries
}
