#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What system calls do on ext4 they do on a mount: tests/conform/README.md.

setup() {
	load helpers
	kin_setup
	need_fuse
	CONFORM=${CONFORM:-$(dirname "$KIN")/kin-conform}
	EXCEPTIONS=$BATS_TEST_DIRNAME/../conform/exceptions
}

teardown() {
	kin_cleanup
}

# passed FILE: the names of the cases that are ok in it
passed() {
	sed -n 's/^ok //p' "$1" | sort
}

excepted() {
	sed -n '/^#/d; s/: .*//p' "$EXCEPTIONS" | sort
}

@test "every case that passes on ext4 passes on a mount" {
	local options=()

	[ "$(stat -f -c %T "$T")" = ext2/ext3 ] || skip "$T is not on an ext4"
	# Other users come only where root lets them.
	[ "$(id -u)" != 0 ] || options=(--allow-other)
	kin_mount a "${options[@]}"
	mkdir ext4
	"$CONFORM" ext4 >ext4.out
	"$CONFORM" a >kinfs.out || true
	comm -23 <(passed ext4.out) <(passed kinfs.out) >differ
	# Differences nobody expects, with what is wrong; and expected ones
	# that are none.
	comm -3 differ <(excepted) >wrong
	while read -r name; do
		grep -F " $name" kinfs.out
	done <wrong
	[ ! -s wrong ]
}
