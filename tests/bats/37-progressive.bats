#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Content that is not here yet: names and sizes are shown, reads wait.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	[ -z "${stopped:-}" ] || kill -CONT "$stopped" || true
	kin_cleanup
}

# Two nodes; b knows of a file of a, and a is stopped before it sent it all.
# (Bytes that are random, so that nothing of it can be guessed.)
stop_while_sending() {
	kin_mount a
	head -c 400000000 /dev/urandom >a/large
	echo small >a/small
	kin unmount a # makes versions of all that was written
	kin_remount a
	stopped=$(kin_pid a)
	kin_join a b
	wait_until test -e b/large
	kill -STOP "$stopped"
	[ "$(kin status --json b | jq .content.bytes)" -gt 0 ]
}

@test "a read waits, and others go on; what it waits for comes first" {
	local pids=() before

	stop_while_sending
	assert_equal "$(stat -c %s b/large)" 400000000
	# More of them than there are workers.
	for i in {1..24}; do
		tail -c 1000 b/large >"tail.$i" &
		pids+=($!)
	done
	run -124 timeout 1 tail -c 5000 b/large
	echo mine >b/mine
	assert_equal "$(cat b/mine)" mine
	mv b/large b/renamed
	chmod 600 b/renamed
	assert_equal "$(stat -c '%s %a' b/renamed)" "400000000 600"
	for pid in "${pids[@]}"; do
		kill -0 "$pid"
	done
	kill -CONT "$stopped"
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	# The end of the file is here, and much of it is not.
	before=$(kin status --json b | jq .content.bytes)
	[ "$before" -gt 0 ]
	kin_wait b
	cmp a/renamed b/renamed
	tail -c 1000 a/renamed >expected
	for i in {1..24}; do
		cmp "tail.$i" expected
	done
	assert_equal "$(kin status --json b | jq -c .content)" \
		'{"objects":0,"bytes":0,"reads_failed":0}'
}

@test "the daemon ends although a read waits; without a peer a read fails" {
	local daemon reader

	stop_while_sending
	daemon=$(kin_pid b)
	tail -c 1000 b/large >got 2>error &
	reader=$!
	if wait_until grep -q fuse "/proc/$reader/stack"; then
		kill -TERM "$daemon"
		wait "$reader" && return 1
		grep -q "Input/output error\|not connected\|abort" error
		wait_until bash -c "! kill -0 $daemon"
		kin_remount b
	else # what a process waits for is not to be seen here
		kill "$reader"
	fi
	kin_crash "$stopped"
	stopped=
	run -1 tail -c 1000 b/large
	assert_output --partial "Input/output error"
	[ "$(kin status --json b | jq .content.reads_failed)" -gt 0 ]
	run -0 kin status b
	assert_line --regexp '^content +of 1 file still to come'
	assert_line --regexp '^failed +[0-9]+ reads? since the start'
	# It comes back, and so does the content.
	kin_remount a
	kin_wait b
	cmp a/large b/large
}
