#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin wait: 0 when everybody has everything, 1 on timeout, 3 when a member
# was not reachable or this node is paused.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
}

teardown() {
	kin_cleanup
}

@test "alone: nothing to wait for" {
	echo text >a/file
	run -0 kin_wait a
	assert_output ""
}

@test "0: written just now, shown there, again and again" {
	kin_join a b
	for i in {1..30}; do
		echo "round $i" >a/file
		kin_wait a
		assert_equal "$(cat b/file)" "round $i"
		echo "back $i" >b/other
		kin_wait a
		assert_equal "$(cat a/other)" "back $i"
	done
}

@test "0: a file that is still open is waited for as it is" {
	kin_join a b
	exec 7>a/open
	echo part >&7
	sync a/open
	# The last write must be 20 ms old to be taken.
	same() { kin_wait a && [ "$(cat b/open)" = part ]; }
	wait_until same
	echo more >&7
	exec 7>&-
	kin_wait a
	assert_equal "$(cat b/open)" $'part\nmore'
}

@test "0: data included" {
	kin_join a b
	head -c 50000000 /dev/urandom >a/large
	kin_wait a
	cmp a/large b/large
}

@test "3: a member is away; --peers connected leaves it out" {
	kin_join a b
	kin_wait a
	kin unmount b
	echo text >a/file
	begin=$SECONDS
	run -3 kin wait --timeout 1 a
	assert_output --partial "b"
	[ $((SECONDS - begin)) -lt 30 ]
	gone() { [ "$(kin status --json a |
		jq '.peers[0].connected')" = false ]; }
	wait_until gone
	run -0 kin wait --peers connected a
	run -3 kin wait --timeout 0.5 --json a
	assert_output --partial '"label": "b"'
}

@test "3: this node is paused" {
	kin_join a b
	kin pause a
	begin=$SECONDS
	run -3 kin wait --timeout 2 a
	assert_output --partial "paused"
	kin resume a
	run -0 kin_wait a
}

@test "1: a timeout names the peer" {
	kin_join a b
	kin_wait a
	pid=$(kin_pid b)
	kill -STOP "$pid"
	echo text >a/file
	run kin wait --timeout 2 a
	kill -CONT "$pid"
	# A stopped daemon is connected, and does not answer.
	[ "$status" = 1 ] || [ "$status" = 3 ]
	assert_output --partial "b"
	run -0 kin_wait a
	assert_equal "$(cat b/file)" text
}

@test "later changes do not prolong it" {
	kin_join a b
	(
		i=0
		while [ ! -e stop ]; do
			echo $((i += 1)) >"a/busy-$((i % 50))"
		done
	) 3>&- &
	writer=$!
	run -0 kin wait --timeout 30 a
	touch stop
	wait $writer
	kin_wait a
	assert_same_trees a b
}
