#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Random calls on a mount and on ext4, which have to be alike:
# tests/twins/README.md. TWINS_SEEDS, TWINS_OPERATIONS, TWINS_KILLS: for a long
# run.

bats_require_minimum_version 1.5.0

setup() {
	load helpers
	kin_setup
	need_fuse
	TWINS=${TWINS:-$(dirname "$KIN")/kin-twins}
}

teardown() {
	kin_cleanup
}

# another NAME PID: another daemon than that one has the mount
another() {
	local pid

	pid=$(kin_pid "$1" 2>/dev/null) && [ "${pid:-0}" -gt 0 ] &&
		[ "$pid" != "$2" ]
}

# kill_daemons NAME PID: until that process is gone. (Five deaths in a minute
# are too many, unless it was restarted by hand.)
kill_daemons() {
	local kills=0 pid=0

	while ! process_is_gone "$2"; do
		wait_until another "$1" "$pid"
		pid=$(kin_pid "$1")
		kill -9 "$pid"
		kills=$((kills + 1))
		if [ $((kills % 4)) = 0 ]; then
			wait_until another "$1" "$pid"
			kin restart "$1"
			pid=$(kin_pid "$1")
		fi
		read -r -t 1 <> <(:) || true
	done
	echo "$kills kills"
}

# twins SEED OPERATIONS [KILLS]
twins() {
	local job

	mkdir -p ext4 a/x
	"$TWINS" ext4 a/x "$1" "$2" &
	job=$!
	[ -z "${3:-}" ] || kill_daemons a $job
	wait $job
}

# mount_for_twins OPTION...
mount_for_twins() {
	[ "$(stat -f -c %T "$T")" = ext2/ext3 ] || skip "$T is not on an ext4"
	if [ "$(id -u)" = 0 ]; then
		kin_mount a --dev --suid --allow-other "$@"
	else
		kin_mount a "$@"
	fi
}

@test "random calls on a mount by io_uring, and on ext4" {
	need_io_uring
	mount_for_twins --io-uring
	for seed in ${TWINS_SEEDS:-5 6}; do
		run -0 twins "$seed" "${TWINS_OPERATIONS:-2000}"
	done
	kin unmount a
	run -0 kin check --data "$T/a.store"
}

@test "random calls on a mount and on ext4" {
	local seed

	mount_for_twins
	for seed in ${TWINS_SEEDS:-1 2 3}; do
		run -0 twins "$seed" "${TWINS_OPERATIONS:-2000}" \
			"${TWINS_KILLS:-}"
	done
	kin unmount a
	run -0 kin check --data "$T/a.store"
}

@test "the same while the daemon is killed again and again" {
	local have

	have=$(uname -r | cut -d. -f1,2)
	[ "$(printf '6.9\n%s\n' "$have" | sort -V | head -n 1)" = 6.9 ] ||
		skip "the kernel cannot send again what was not answered"
	mount_for_twins
	run -0 twins 4 "${TWINS_OPERATIONS:-8000}" kills
	assert_output --regexp '[1-9][0-9]* kills'
	kin unmount a
	run -0 kin check --data "$T/a.store"
}
