#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin token, kin wait --token, kin wait --fresh: reads that are not older
# than what somebody else saw.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

@test "a token carries what was written through a chain" {
	connect "a b c" "a:b b:c"
	for i in {1..20}; do
		echo "round $i" >a/file
		head -c 200000 /dev/urandom >a/large
		token=$(kin token a)
		kin wait --timeout $DEADLINE --token "$token" c
		assert_equal "$(cat c/file)" "round $i"
		cmp a/large c/large
	done
	# What is here already needs nobody.
	token=$(kin token --json a | jq -r .token)
	kin pause c
	run -0 kin wait --timeout 5 --token "$token" c
	assert_output ""
	# And what is not cannot come.
	echo more >a/file
	token=$(kin token a)
	run -3 kin wait --timeout 1 --token "$token" c
	assert_output --partial "paused"
	kin resume c
	kin wait --timeout $DEADLINE --token "$token" c
	assert_equal "$(cat c/file)" more
}

@test "a token says when it is not reached in time" {
	kin_mount a
	kin_join a b
	kin_wait a
	kin pause a
	echo text >a/file
	token=$(kin token a)
	run -1 kin wait --timeout 0.5 --token "$token" b
	assert_output --partial "not here in time"
	assert_output --partial "has not shown"
	kin resume a
	kin wait --timeout $DEADLINE --token "$token" b
	assert_equal "$(cat b/file)" text
}

@test "mistyped and foreign tokens are told apart" {
	kin_mount a
	kin_mount other
	token=$(kin token a)
	run -2 kin wait --token "${token%?}" a
	assert_output --partial "mistyped"
	run -2 kin wait --token "$token" other
	assert_output --partial "another volume"
	run -2 kin wait --token "$token" --fresh 1 a
	assert_output --partial "give one"
	run -2 kin wait --fresh 0 a
	assert_output --partial "no number of nodes"
}

@test "--fresh: what others have now is here" {
	kin_mount a
	kin_join a b
	kin_join a c
	kin_wait a
	for i in {1..20}; do
		echo "round $i" >a/file
		kin wait --timeout $DEADLINE --fresh 2 b
		assert_equal "$(cat b/file)" "round $i"
	done
	kin unmount c
	kin wait --timeout $DEADLINE --fresh 1 b
	run -3 kin wait --timeout 1 --fresh 2 b
	assert_output --partial "c was not reachable"
}

@test "status counts what came, what was known, what was passed on" {
	connect "a b c" "a:b b:c"
	kin_wait a
	before=$(kin status --json b | jq .changes.forwarded)
	echo text >a/file
	kin_wait a
	[ "$(kin status --json c | jq .changes.received)" -gt 0 ]
	[ "$(kin status --json b | jq .changes.forwarded)" -gt "$before" ]
	assert_equal "$(kin status --json a | jq .changes.known)" 0
}

@test "status: what is not known is said to be unknown" {
	kin_mount a
	kin_join a b
	kin_wait a
	heard() { [ "$(kin status --json a |
		jq '.peers[0].stale_seconds')" != null ]; }
	wait_until heard
	run -0 kin status --json a
	assert [ "$(jq '.peers[0].stale_seconds < 30' <<<"$output")" = true ]
	assert [ "$(jq '.peers[0].behind.seconds == 0' <<<"$output")" = true ]
	assert [ "$(jq '.peers[0].clock_skew_ms | fabs < 5000' \
		<<<"$output")" = true ]
	kin unmount b
	kin unmount a
	kin_remount a
	run -0 kin status --json a
	assert [ "$(jq '.peers[0].stale_seconds' <<<"$output")" = null ]
	run -0 kin status a
	assert_output --partial "unknown"
	echo text >a/file
	late() { [ "$(kin status --json a |
		jq '.peers[0].behind.seconds > 0.2')" = true ]; }
	wait_until late
}

# ---- user.kin.acks

sync_file() {
	sync "$1"
}

@test "acks: fsync returns when another node has it" {
	kin_mount a
	kin_join a b
	mkdir -p a/safe/deep
	setfattr -n user.kin.acks -v "1;timeout=$DEADLINE" a/safe
	kin_wait a
	for n in {1..20}; do
		head -c 300000 /dev/urandom >a/safe/deep/large
		echo "round $n" >a/safe/file
		sync_file a/safe/deep/large
		sync_file a/safe/file
		# b has it durably: it survives there, whatever a does now.
		kin pause a
		wait_until grep -q "round $n" b/safe/file
		cmp a/safe/deep/large b/safe/deep/large
		kin resume a
	done
	assert_equal "$(kin status --json a | jq .late_acks)" 0
	assert_equal "$(getfattr --only-values -n user.kin.acks b/safe)" \
		"1;timeout=$DEADLINE"
}

@test "acks: a timeout is ok, and told, or EIO, as the directory wants" {
	kin_mount a
	kin_join a b
	mkdir a/ok a/eio a/eio/off
	setfattr -n user.kin.acks -v "1;timeout=0" a/ok
	setfattr -n user.kin.acks -v "b;timeout=1;on-timeout=eio" a/eio
	setfattr -n user.kin.acks -v 0 a/eio/off
	kin_wait a
	kin pause b
	gone() { [ "$(kin status --json a |
		jq '.peers[0].connected')" = false ]; }
	wait_until gone
	echo text >a/ok/file
	sync_file a/ok/file
	assert_equal "$(kin status --json a | jq .late_acks)" 1
	echo text >a/eio/file
	run -1 sync a/eio/file
	assert_output --partial "Input/output error"
	echo text >a/eio/off/file
	sync_file a/eio/off/file
	# Nothing was undone by that, and it spreads when it can.
	kin resume b
	kin_wait a
	assert_same_trees a b
	sync_file a/eio/file
}

@test "acks: whoever waits can be interrupted, and a dead daemon holds nobody" {
	need_root # to see in which call it waits
	kin_mount a
	mkdir a/safe
	setfattr -n user.kin.acks -v "3;timeout=600" a/safe
	echo text >a/safe/file
	sync a/safe/file 3>&- &
	pid=$!
	waits() { grep -q "^State:.*[SD]" "/proc/$pid/status" &&
		grep -q fuse "/proc/$pid/stack"; }
	wait_until waits
	kill "$pid"
	wait_until process_is_gone "$pid"
	sync a/safe/file 3>&- &
	pid=$!
	wait_until waits
	kin_kill a
	wait_until process_is_gone "$pid"
	kin_remount a
	assert_equal "$(cat a/safe/file)" text
}

@test "acks: what is no policy is refused" {
	kin_mount a
	mkdir a/dir
	: >a/file
	for value in "" x\;y 1\;timeout= 1\;timeout=3601 99999999 "a,,b" \
		"1;on-timeout=maybe" ";" "a b"; do
		run -1 setfattr -n user.kin.acks -v "$value" a/dir
		assert_output --partial "Invalid argument"
	done
	run -1 setfattr -n user.kin.acks -v 1 a/file
	run -1 setfattr -n user.kin.other -v 1 a/dir
	for value in 1 0 "a" "a,b.c" "2;timeout=0;on-timeout=eio"; do
		setfattr -n user.kin.acks -v "$value" a/dir
		assert_equal "$(getfattr --only-values -n user.kin.acks a/dir)" \
			"$value"
	done
	setfattr -x user.kin.acks a/dir
}
