#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A mount whose requests come by io_uring, one ring for each processor. What
# system calls do in one: 23-conform.bats and 25-twins.bats.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	local pid

	[ -z "${stopped:-}" ] || kill -CONT "$stopped" || true
	for pid in "${pids[@]:-}"; do
		[ -z "$pid" ] || kill "$pid" 2>/dev/null || true
	done
	kin_cleanup
}

# mount_where COMMAND...: mounts a where that was done to the machine's
# switches, as far as this mount can see
mount_where() {
	unshare -m bash -euc '
		at=/sys/module/fuse/parameters
		if [ -d $at ]; then
			eval "$1"
		fi
		"$2" mount --io-uring --store "$3.store" "$3"' \
		bash "$*" "$KIN" "$T/a"
}

@test "where there is none, that is said, and nothing is made" {
	need_root
	mkdir a
	run -1 mount_where 'mount -t tmpfs none $at'
	assert_output --partial "does not have it"
	[ ! -e a.store ]
	[ -e /sys/module/fuse/parameters/enable_uring ] ||
		skip "this kernel has no switch for it"
	echo N >switch
	run -1 mount_where "mount --bind $T/switch \$at/enable_uring"
	assert_output --partial "switched off"
	[ ! -e a.store ]
}

@test "a mount by io_uring: it is used, ends, and is not handed over" {
	local end

	need_io_uring
	for end in "kin unmount $T/a" 'kill "$pid"'; do
		kin_mount a --io-uring
		grep "requests come by io_uring" a.store/kin.log
		assert_equal "$(kin status --json a | jq .supervisor)" null
		mkdir a/dir
		echo text >a/dir/file
		head -c 3000000 /dev/urandom >large
		cp large a/large
		echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
		cmp large a/large
		run -1 kin restart a
		assert_output --partial "--io-uring"
		pid=$(kin_pid a)
		eval "$end"
		wait_until process_is_gone "$pid"
		wait_until is_not_mounted a
		kin_remount a
		assert_equal "$(cat a/dir/file)" text
		cmp large a/large
		rm -r a/dir a/large
		kin unmount a
	done
}

# a is stopped before it sent b, which is mounted by io_uring, all of a file
stop_while_sending() {
	kin_mount a
	head -c 400000000 /dev/urandom >a/large
	kin unmount a # makes versions of all that was written
	kin_remount a
	stopped=$(kin_pid a)
	kin_join a b --io-uring
	wait_until test -e b/large
	kill -STOP "$stopped"
	[ "$(kin status --json b | jq .content.bytes)" -gt 0 ]
}

# waits PID: in a request
waits() {
	grep -qs "^State:.*[SD]" "/proc/$1/status" &&
		grep -q fuse "/proc/$1/stack"
}

# (what some want may be there already)
many_wait() {
	local i count=0

	for i in "${pids[@]}"; do
		! waits "$i" || count=$((count + 1))
	done
	[ "$count" -ge 20 ]
}

@test "reads that wait stop nobody on their processor" {
	local i

	need_root # to see in which call it waits
	need_io_uring
	stop_while_sending
	# Each of a part of its own, at the end, which comes last.
	for i in {1..40}; do
		taskset -c 0 dd if=b/large of="part.$i" bs=4096 count=1 \
			skip=$((97000 - i * 100)) 2>/dev/null 3>&- &
		pids+=($!)
	done
	wait_until many_wait
	taskset -c 0 bash -c 'echo mine >b/mine; mv b/large b/renamed;
		mkdir b/dir; sync b/mine; ls b' >listed
	assert_equal "$(cat listed)" "$(printf '%s\n' dir mine renamed)"
	many_wait
	kill -CONT "$stopped"
	for i in "${pids[@]}"; do
		wait "$i"
	done
	pids=()
	kin_wait b
	for i in {1..40}; do
		dd if=a/renamed bs=4096 count=1 skip=$((97000 - i * 100)) |
			cmp - "part.$i"
	done
}

@test "an fsync that waits for others stops nobody, and can be interrupted" {
	local i

	need_root
	need_io_uring
	kin_mount a --io-uring
	mkdir a/safe
	setfattr -n user.kin.acks -v "3;timeout=600" a/safe
	for i in {1..20}; do
		echo "$i" >"a/safe/$i"
		taskset -c 0 sync "a/safe/$i" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait_until waits "$i"
	done
	taskset -c 0 bash -c 'echo text >a/file; sync a/file; ls a' >listed
	assert_equal "$(cat listed)" "$(printf '%s\n' file safe)"
	kill "${pids[0]}"
	wait_until process_is_gone "${pids[0]}"
	# The end of the daemon is the end of waiting.
	kill "$(kin_pid a)"
	for i in "${pids[@]}"; do
		wait_until process_is_gone "$i"
	done
	pids=()
	wait_until is_not_mounted a
}

# work DIRECTORY: until it cannot
work() {
	local n=0

	while n=$((n + 1)); do
		mkdir "$1/$n" && echo "$n" >"$1/$n/file" &&
			cat "$1/$n/file" && sync "$1/$n/file" &&
			rm -r "${1:?}/$n" && : >"$1/begun" || return 0
	done
}

@test "it ends under load: by a lazy unmount, SIGTERM and kill -9" {
	local end i

	need_io_uring
	kin_mount a --io-uring
	for end in "fusermount3 -uz $T/a" 'kill "$pid"' 'kill -9 "$pid"'; do
		is_mounted a || kin_remount a --io-uring
		for i in 1 2 3 4; do
			mkdir "a/$i"
			work "$T/a/$i" >/dev/null 2>&1 3>&- &
			pids+=($!)
		done
		wait_until test -e a/4/begun
		pid=$(kin_pid a)
		eval "$end"
		for i in "${pids[@]}"; do
			wait "$i"
		done
		pids=()
		wait_until process_is_gone "$pid"
		! is_mounted a || kin unmount a
		kin_remount a --io-uring
		rm -r a/*
		run -0 kin check a
	done
}
