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

@test "devices and set-id programs work where root says so" {
	need_root
	kin_mount a --dev --suid --allow-other
	"$CONFORM" a 'special/*' >out
	run ! grep -v ^ok out
	run -0 findmnt -no OPTIONS a
	refute_output --partial nosuid
	refute_output --partial nodev
	cp "$(command -v id)" a/id
	chown 65501:65502 a/id
	chmod 6755 a/id
	[ "$(a/id -u):$(a/id -g)" = 65501:65502 ]
	kin unmount a
	kin_remount a --allow-other
	[ "$(a/id -u):$(a/id -g)" = 0:0 ]
	run -0 findmnt -no OPTIONS a
	assert_output --partial nosuid
	assert_output --partial nodev
	command -v setpriv >/dev/null || skip "setpriv is not installed"
	run -2 setpriv --reuid 65501 --clear-groups "$KIN" mount --suid a
	assert_output --partial "only root"
}

# kill_first NAME: makes the program "before", which kills the daemon of the
# mount, and mounts it anew each fifth time: five deaths in a minute end it.
kill_first() {
	cat >before <<-END
	#!/bin/bash
	exec >>"$T/before.log" 2>&1
	n=\$(cat "$T/deaths")
	echo \$((n + 1)) >"$T/deaths"
	if [ \$((n % 5)) = 0 ]; then
		"$KIN" unmount "$T/$1"
		"$KIN" mount ${*:2} "$T/$1"
	fi
	supervisor=\$("$KIN" status --json "$T/$1" | jq .supervisor)
	pid=\$("$KIN" status --json "$T/$1" | jq .pid)
	kill -9 "\$pid"
	END
	chmod +x before
	echo 0 >deaths
}

# Every case with CONFORM_KILLED='*': two minutes.
@test "cases pass though the daemon is killed before each" {
	local options=()

	need_resend
	[ "$(id -u)" != 0 ] || options=(--allow-other)
	kin_mount a "${options[@]}"
	kill_first a "${options[@]}"
	"$CONFORM" --before ./before a \
		"${CONFORM_KILLED:-calls/[a-i]*}" >kinfs.out || true
	run -0 comm -23 <(sed -n 's/^FAIL \([^:]*\).*/\1/p' kinfs.out | sort) \
		<(excepted)
	assert_output ""
	[ "$(grep -c ^ok kinfs.out)" -ge 9 ]
	assert_equal "$(grep -c "was killed by signal 9" a.store/kin.log)" \
		"$(cat deaths)"
}

# compare_with_ext4 OPTION...
compare_with_ext4() {
	local options=("$@")

	[ "$(stat -f -c %T "$T")" = ext2/ext3 ] || skip "$T is not on an ext4"
	# Other users come only where root lets them.
	[ "$(id -u)" != 0 ] || options+=(--allow-other)
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

@test "every case that passes on ext4 passes on a mount" {
	compare_with_ext4
}

@test "every case that passes on ext4 passes on a mount by io_uring" {
	need_io_uring
	compare_with_ext4 --io-uring
}
