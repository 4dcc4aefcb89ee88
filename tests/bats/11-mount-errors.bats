#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a mount can meet: each gets one clear line and a non-zero exit, and
# nothing is left behind.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
	if mountpoint -q "$T/small"; then
		umount -l "$T/small"
	fi
}

# refused PATTERN COMMAND...: exit 1, one line that holds the pattern
refused() {
	local pattern=$1

	shift
	run -1 --separate-stderr "$@"
	echo "$stderr" >&2
	assert_equal "${#stderr_lines[@]}" 1
	# shellcheck disable=SC2154
	[[ $stderr == *"$pattern"* ]]
	[ -z "$output" ]
}

mount_new() {
	kin mount --store "$T/new.store" --listen 127.0.0.1:0 "$@"
}

@test "the mountpoint is not there, or not a directory" {
	refused "no such directory" mount_new none
	touch file
	refused "not a directory" mount_new file
	[ ! -e new.store ]
	[ ! -e "$XDG_DATA_HOME" ]
}

@test "the mountpoint is not empty" {
	mkdir m
	touch m/file
	refused "not empty" mount_new m
	[ ! -e new.store ]
}

@test "kinfs is mounted there already" {
	kin_mount a
	refused "mounted there already" mount_new a
	mkdir a/sub
	refused "inside the kinfs mount" mount_new a/sub
	[ ! -e new.store ]
	run -0 kin status a
}

@test "an over-long name" {
	refused "too long" mount_new "$(printf 'x%.0s' {1..300})"
	kin_mount a
	run -1 touch "a/$(printf 'x%.0s' {1..256})"
	assert_output --partial "File name too long"
	touch "a/$(printf 'x%.0s' {1..255})"
}

@test "a second daemon on one store" {
	kin_mount a
	mkdir m
	refused "a.store" kin mount --store "$T/a.store" m
	run -0 kin status a
	echo fine >a/file
}

@test "a port in use, a bad address" {
	kin_mount a
	listen=$(kin status --json a | jq -r .listen)
	mkdir m
	refused "in use" kin mount --store "$T/new.store" --listen "$listen" m
	refused "" kin mount --store "$T/new.store" --listen nonsense:x m
	refused "" kin mount --store "$T/new.store" --listen 192.0.2.1:0 m
	# Nothing was left behind: it is a new mountpoint still.
	[ ! -e new.store ]
	kin_join a m
}

@test "a label that the volume does not have" {
	kin_mount a
	kin unmount a
	refused 'this node is "a"' kin mount --name b a
	kin mount --name a a
}

@test "a store of a newer format" {
	kin_mount a
	kin unmount a
	command -v mdb_load >/dev/null || skip "lmdb-utils is not there"
	# FORMAT.md: table "meta", key "format", a 32-bit number.
	mdb_dump -n -s meta a.store/db >dump
	sed -i '/^ 666f726d6174$/ { n; s/.*/ ff000000/ }' dump
	grep -q '^ ff000000$' dump
	mdb_load -n -s meta -f dump a.store/db
	chmod 600 a.store/db*
	refused "upgrade" kin mount a
}

@test "a store that is no store" {
	mkdir -m 700 a.store
	mkdir m
	echo "precious" >a.store/data.mdb
	refused "a.store" kin mount --store "$T/a.store" m
	assert_equal "$(cat a.store/data.mdb)" precious
}

@test "no /dev/fuse" {
	need_root
	mkdir m
	unshare -m true 2>/dev/null || skip "mount namespaces are not allowed"
	hidden='mount -t tmpfs none /dev && exec "$0" mount "$@"'
	refused "/dev/fuse" unshare -m bash -c "$hidden" "$KIN" \
		--store "$T/new.store" m
	[ ! -e new.store ]
}

@test "a full disk: one error, nothing lost, and it goes on with space" {
	need_root
	mkdir small m
	mount -t tmpfs -o size=256m none small || skip "tmpfs is not allowed"
	kin mount --store "$T/small/store" --listen 127.0.0.1:0 m
	for i in {1..20}; do
		echo "content $i" >"m/before-$i"
	done
	run -1 dd if=/dev/urandom of=m/big bs=1M count=400 status=none
	assert_output --partial "No space left"
	for i in {1..20}; do
		assert_equal "$(cat "m/before-$i")" "content $i"
	done
	run -0 kin status m
	mount -o remount,size=600m small
	rm m/big
	wait_until eval 'echo after >m/after'
	kin unmount m
	kin mount m
	assert_equal "$(cat m/after)" after
	assert_equal "$(cat m/before-20)" "content 20"
	kin unmount m
}

@test "a daemon that died: its mount says so, and is cleaned up" {
	kin_mount a
	echo kept >a/file
	pid=$(kin_pid a)
	kin_crash "$pid"
	run -4 kin status a
	assert_output --partial "daemon is gone"
	mkdir -p elsewhere
	refused "daemon that died" kin mount a/elsewhere
	run -0 kin unmount a
	kin mount a
	assert_equal "$(cat a/file)" kept
}

@test "a daemon that died: mounting again needs no clean-up first" {
	kin_mount a
	for i in 1 2 3 4 5; do
		echo "$i" >>a/file
		pid=$(kin_pid a)
		kin_crash "$pid"
		run -0 kin mount a
		assert_output --partial "its daemon had died"
	done
	assert_equal "$(cat a/file)" "1
2
3
4
5"
}

@test "a mount in use is not taken away" {
	kin_mount a
	exec 7>a/open
	refused "in use by" kin unmount a
	echo still >&7
	exec 7>&-
	kin unmount a
	run -4 kin status a
	kin mount a
	assert_equal "$(cat a/open)" still
}

@test "unmount from inside, by the kernel, and by signal" {
	kin_mount a
	pid=$(kin_pid a)
	if [ "$(id -u)" = 0 ]; then umount a; else fusermount3 -u a; fi
	wait_until process_is_gone "$pid"
	kin mount a
	pid=$(kin_pid a)
	echo last >a/last
	kill -TERM "$pid"
	wait_until process_is_gone "$pid"
	is_not_mounted a
	kin mount a
	assert_equal "$(cat a/last)" last
	kill -HUP "$(kin_pid a)"
	run -0 kin status a
}

@test "in the foreground it serves until it is told to end" {
	mkdir m
	"$KIN" mount --foreground --store "$T/m.store" --listen 127.0.0.1:0 m \
		3>&- 2>log &
	daemon=$!
	wait_until is_mounted m
	echo hello >m/file
	run -0 kin status m
	kill -TERM $daemon
	wait $daemon
	is_not_mounted m
	kin mount m
	assert_equal "$(cat m/file)" hello
}
