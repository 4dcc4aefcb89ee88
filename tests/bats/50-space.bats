# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Space that nothing uses any more is given back to the disk.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# Bytes that are nowhere else.
noise() { # MIB
	head -c "$1M" /dev/urandom
}

# MiB that the data takes on the disk.
taken() { # NAME
	du -s --block-size=1M "$T/$1.store/seg" | cut -f1
}

takes_at_most() { # NAME MIB
	[ "$(taken "$1")" -le "$2" ]
}

space() { # NAME KEY
	kin status --json "$T/$1" | jq ".space.$2"
}

@test "what is written over, or again, takes its space once" {
	kin_mount a
	noise 40 >first
	exec 7<>a/f
	for _ in 1 2; do
		noise 40 >now
		dd if=now of=a/f bs=1M conv=notrunc status=none
	done
	cp first a/g
	cp first a/h
	exec 7>&-
	# Two contents of 40 MiB; what they are checked by, and rounding.
	wait_until takes_at_most a 84
	cmp now a/f
	cmp first a/g
	cmp first a/h
	kin unmount a
	kin_remount a
	cmp now a/f
	cmp first a/g
	cmp first a/h
	[ "$(taken a)" -ge 80 ]
	# `kin status` knows.
	[ "$(space a bytes)" -ge $((80 << 20)) ]
	[ "$(space a bytes)" -le $((86 << 20)) ]
	[ "$(space a in_use)" -ge $((80 << 20)) ]
	[ "$(space a in_use)" -le $((84 << 20)) ]
	[ "$(space a freed)" -gt 0 ]
	[ "$(space a last_round)" -gt 1700000000 ]
	assert_equal "$(space a error)" null
}

@test "a file that goes with its last handle leaves nothing" {
	kin_mount a
	noise 4 >keep
	cp keep a/keep
	exec 7>a/f
	rm a/f
	noise 120 >&7
	[ "$(taken a)" -ge 100 ]
	exec 7>&-
	wait_until takes_at_most a 10
	cmp keep a/keep
}

@test "killed at any time, all is there, and space comes back" {
	local k

	kin_mount a
	noise 30 >keep
	cp keep a/keep
	for k in 1 2 3 4 5; do
		exec 7>a/f
		rm a/f
		noise 90 >&7
		exec 7>&-
		# A round begins now, and takes some hundred milliseconds.
		read -r -t "0.$((k * 7 % 10))" <> <(:) || true
		kin_kill a
		kin_remount a
		cmp keep a/keep
		kin verify --deep a
	done
	wait_until takes_at_most a 84
	cmp keep a/keep
}

@test "a file of 1 TiB with three islands costs next to nothing" {
	local at

	kin_mount a
	for at in 0 $((700 << 18)) $(((1 << 28) - 1)); do
		noise 1 | dd of=a/f bs=4096 count=1 seek="$at" conv=notrunc \
			iflag=fullblock status=none
	done
	assert_equal "$(stat -c %s a/f)" $((1 << 40))
	kin_wait a
	[ "$(taken a)" -le 1 ]
	sum=$(for at in 0 $((700 << 18)) $(((1 << 28) - 1)) 1000000; do
		dd if=a/f bs=4096 count=1 skip="$at" status=none
	done | sha256sum)
	kin unmount a
	kin_remount a
	assert_equal "$(for at in 0 $((700 << 18)) $(((1 << 28) - 1)) 1000000; do
		dd if=a/f bs=4096 count=1 skip="$at" status=none
	done | sha256sum)" "$sum"
}

@test "what is removed comes back, when history keeps nothing" {
	kin_mount a --history-days 0
	noise 4 >keep
	cp keep a/keep
	noise 60 >a/f
	noise 60 >a/g
	[ "$(taken a)" -ge 100 ]
	rm a/f
	noise 1 >a/g
	wait_until takes_at_most a 10
	cmp keep a/keep
}

@test "what was removed takes space until all members know of it" {
	two_nodes
	noise 3 >a/f
	kin_wait a
	assert_equal "$(space a removed.bytes)" 0
	kin pause b
	rm a/f
	assert_equal "$(space a removed.files)" 1
	assert_equal "$(space a removed.bytes)" $((3 << 20))
}
