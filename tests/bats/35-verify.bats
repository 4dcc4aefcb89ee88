#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin verify: 0 when all connected members hold the same, 1 when something
# differs or is damaged, 3 when nobody is connected.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
}

teardown() {
	kin_cleanup
}

@test "alone: nothing to compare with" {
	run -0 kin verify a
	assert_output --partial "no other members"
}

@test "two nodes: one proof, said by both" {
	kin_join a b
	echo text >a/file
	mkdir b/dir
	kin_wait a
	run -0 kin verify a
	assert_output --regexp "^b +equal: proof [0-9a-f]{80} over 3 objects"
	run -0 kin verify --json a
	sum="$(jq -r '.peers[0].sum' <<<"$output")"
	know="$(jq -r '.peers[0].knowledge' <<<"$output")"
	assert_equal "$(jq -r '.peers[0].state' <<<"$output")" equal
	assert_equal "$(jq -r '.peers[0].peer_sum' <<<"$output")" "$sum"
	run -0 kin verify --json b
	assert_equal "$(jq -r '.peers[0].sum' <<<"$output")" "$sum"
	assert_equal "$(jq -r '.peers[0].knowledge' <<<"$output")" "$know"
}

@test "a change is another proof; the secret is shown nowhere" {
	kin_join a b
	kin_wait a
	first="$(kin verify --json a | jq -r '.peers[0].sum')"
	echo text >a/file
	run -0 kin verify --json a
	refute_output --partial "$first"
	refute_output --partial secret
	run -0 kin status --json a
	refute_output --partial secret
}

@test "3: nobody is connected, or this node is paused" {
	kin_join a b
	kin_wait a
	kin unmount b
	gone() { run kin verify a && false || [ "$status" = 3 ]; }
	wait_until gone
	run -3 kin verify a
	assert_output --partial "away: not compared"
	kin pause a
	run -3 kin verify a
	assert_output --partial "paused"
}

@test "--deep: everything is read, and damage is named" {
	head -c 3000000 /dev/urandom >a/large
	echo small >a/small
	mkdir a/dir
	head -c 300000 /dev/urandom >a/dir/other
	run -0 kin verify --deep a
	assert_output --partial "all as their hashes say"
	store="$(kin status --json a | jq -r .store)"
	segment="$(find "$store/seg" -type f -size +1M | head -n 1)"
	printf 'damage' | dd of="$segment" bs=1 seek=1000000 conv=notrunc \
		status=none
	run -1 kin verify --deep a
	assert_output --partial "damaged: large: 0 chunks missing, 1 damaged"
	refute_output --partial "dir/other"
	run -1 kin verify --deep --json a
	assert_equal "$(jq -r '.deep.faults[0].path' <<<"$output")" large
	assert_equal "$(jq -r .deep.sums_right <<<"$output")" true
}

@test "wrong usage" {
	run -2 kin verify --timeout soon a
	run -2 kin verify a b
	run -0 kin verify --help
	assert_output --partial "--deep"
}
