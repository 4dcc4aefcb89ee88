#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Holes and copies: what they cost here, on the way and elsewhere; and what
# differs from ext4, which tests/conform cannot tell.

bats_require_minimum_version 1.5.0

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# KiB that a file is said to take on the disk.
blocks() {
	du --block-size=1K "$1" | cut -f1
}

# KiB that the data of a store takes on the disk.
taken() { # NAME
	du -s --block-size=1K "$T/$1.store/seg" | cut -f1
}

# Bytes that a node sent to its peers.
sent() { # NAME
	kin status --json "$1" | jq '[.. | .bytes_sent? // empty] | add'
}

@test "a copy stores nothing and sends nothing" {
	local before wire

	two_nodes
	head -c 20M /dev/urandom >a/from
	kin_wait a
	before=$(taken a)
	wire=$(sent a)
	[ "$wire" -gt 20000000 ]
	cp --reflink=auto a/from a/to
	kin_wait a
	cmp a/from a/to
	cmp a/from b/to
	# (a block of names, and records)
	[ $(($(taken a) - before)) -lt 200 ]
	[ $(($(sent a) - wire)) -lt 200000 ]
	# Within one file, at another place.
	dd if=a/from bs=1M count=4 status=none | cmp - <(head -c 4M b/to)
	python3 - a/to <<-'END'
		import os, sys
		fd = os.open(sys.argv[1], os.O_RDWR)
		at = 0
		while at < 5000000:
		    at += os.copy_file_range(fd, fd, 5000000 - at, at,
		                             20971520 + at)
	END
	kin_wait a
	cmp a/to b/to
	cmp <(tail -c 5000000 b/to) <(head -c 5000000 b/from)
	[ $(($(taken a) - before)) -lt 900 ]
	[ $(($(sent a) - wire)) -lt 900000 ]
}

@test "a hole is a hole on both nodes" {
	two_nodes
	head -c 4M /dev/urandom >a/f
	truncate -s 4M reference
	cat a/f >reference
	fallocate -p -o 1M -l 2M a/f
	fallocate -p -o 1M -l 2M reference
	kin_wait a
	cmp a/f reference
	cmp b/f reference
	for node in a b; do
		[ "$(blocks $node/f)" -lt 2700 ]
		[ "$(blocks $node/f)" -ge 2048 ]
	done
	# What looks for holes finds them on both.
	for node in a b; do
		cp --sparse=auto $node/f copy
		cmp copy reference
		[ "$(blocks copy)" -lt 2700 ]
		rm copy
	done
}

@test "64 TiB, and what is more than the disk has" {
	kin_mount a
	truncate -s 64T a/big
	[ "$(stat -c %s a/big)" = $((64 << 40)) ]
	[ "$(blocks a/big)" = 0 ]
	echo end | dd of=a/big oflag=seek_bytes seek=$(((64 << 40) - 4)) \
		conv=notrunc status=none
	[ "$(tail -c 4 a/big)" = end ]
	[ "$(blocks a/big)" -le 512 ]
	run fallocate -l 60T a/other
	assert_failure
	assert_output --partial "No space left"
	[ "$(stat -c %s a/other)" = 0 ]
}

@test "times from 1901 to 2446, and no others" {
	kin_mount a
	touch a/f
	touch -d 1901-12-13T20:45:52Z a/f
	[ "$(stat -c %Y a/f)" = -2147483648 ]
	touch -d 2446-05-10T22:38:55.999999999Z a/f
	[ "$(stat -c %y a/f)" = "2446-05-10 22:38:55.999999999 +0000" ]
	run touch -d 1901-12-13T20:45:51Z a/f
	assert_failure
	assert_output --partial "Invalid argument"
	run touch -d 2446-05-10T22:38:56Z a/f
	assert_failure
	run touch -a -d 2446-05-10T22:38:56Z a/f
	assert_failure
	[ "$(stat -c %Y a/f)" = 15032385535 ]
}

@test "an access time is of one node, and outlives the daemon" {
	two_nodes
	echo text >a/f
	touch -a -d 2001-02-03T04:05:06.123456789Z a/f
	kin_wait a
	[ "$(stat -c %X a/f)" = 981173106 ]
	[ "$(stat -c %X b/f)" != 981173106 ]
	kin unmount a
	kin_remount a
	[ "$(stat -c %x a/f)" = "2001-02-03 04:05:06.123456789 +0000" ]
}

# BYTES_SEEDS and BYTES_OPERATIONS: for a long run.
@test "random operations on the bytes of files" {
	local bytes=${BYTES:-$(dirname "$KIN")/kin-bytes} seed

	kin_mount a
	for seed in ${BYTES_SEEDS:-1 2}; do
		run "$bytes" a "$seed" \
			"${BYTES_OPERATIONS:-$((seed % 2 ? 400 : 1500))}"
		assert_success
	done
	run -0 kin check --data a
}

# another NAME PID: another daemon than that one has the mount
another() {
	local pid

	pid=$(kin_pid "$1" 2>/dev/null) && [ "$pid" -gt 0 ] && [ "$pid" != "$2" ]
}

# (five deaths in a minute are too many, unless it was restarted)
@test "the same while the daemon is killed twelve times" {
	local bytes=${BYTES:-$(dirname "$KIN")/kin-bytes} pid=0 job
	local have

	have=$(uname -r | cut -d. -f1,2)
	[ "$(printf '6.9\n%s\n' "$have" | sort -V | head -n 1)" = 6.9 ] ||
		skip "the kernel cannot send again what was not answered"
	kin_mount a
	"$bytes" a 5 2500 >bytes.out &
	job=$!
	# (at once, when another has begun to read what was not answered)
	for _ in 1 2 3; do
		for _ in 1 2 3 4; do
			wait_until another a "$pid"
			pid=$(kin_pid a)
			kill -9 "$pid"
		done
		wait_until another a "$pid"
		kin restart a
		pid=0
	done
	wait $job || cat bytes.out
	grep -q '^ok seed 5, 2500 operations' bytes.out
	run -0 kin check --data a
}
