#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The daemon of a mount in use is replaced, asked for or after kill -9: what
# programs have open goes on, and nobody sees more of it than a pause. (Each
# kind of request, killed before and behind it: tests/takeover.)

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

taken_over() {
	kin status --json "$T/$1" | jq .taken_over
}

not_mounted() {
	run mountpoint -q "$T/$1"
	[ "$status" != 0 ]
}

supervisor() {
	kin status --json "$T/$1" | jq .supervisor
}

# another_serves NAME PID
another_serves() {
	local now

	now=$(kin_pid "$1" 2>/dev/null)
	[ -n "$now" ] && [ "$now" != "$2" ]
}

@test "kin restart: the mount stays, and what is open in it" {
	kin_mount a
	echo kept >a/file
	exec 5>>a/log 6<a/file
	echo one >&5
	cd a
	pid=$(kin_pid a)
	run -0 kin restart "$T/a"
	assert_output "$T/a: served by another daemon now, process $(kin_pid a)"
	[ "$(kin_pid a)" != "$pid" ]
	assert_equal "$(taken_over a)" 1
	echo two >&5
	assert_equal "$(cat log)" "one
two"
	assert_equal "$(cat <&6)" kept
	assert_equal "$(pwd)" "$T/a"
	run -0 kin restart --json .
	assert_equal "$(jq .taken_over <<<"$output")" 2
	assert_equal "$(jq .pid <<<"$output")" "$(kin_pid a)"
	exec 5>&- 6<&-
	cd "$T"
	kin unmount a
	run -4 kin restart a
	kin_remount a
	assert_equal "$(cat a/log)" "one
two"
}

@test "kill -9: another daemon takes its place" {
	need_resend
	kin_mount a
	exec 5>>a/log
	echo one >&5
	echo gone >a/removed
	exec 6<>a/removed
	rm a/removed
	pid=$(kin_pid a)
	kill -9 "$pid"
	echo two >&5
	assert_equal "$(cat a/log)" "one
two"
	# A file without a name lives as long as it is open,
	assert_equal "$(cat <&6)" gone
	echo more >&6
	kill -9 "$(kin_pid a)"
	assert_equal "$(cat /proc/self/fd/6 6<&6)" "gone
more"
	exec 6>&-
	kin restart a
	run -0 kin status a
	assert_equal "$(taken_over a)" 3
	exec 5>&-
	# ... and nothing of it is left.
	kin unmount a
	run -0 kin check --data "$T/a.store"
	grep -q "was killed by signal 9" "$T/a.store/kin.log"
}

# keeps_awake NAME: the device is open
keeps_awake() {
	find "/proc/$(kin_pid "$1")/fd" -lname /dev/cpu_dma_latency | grep -q .
}

@test "who may keep processors awake can be told not to; his successor does as he did" {
	need_resend
	[ -w /dev/cpu_dma_latency ] || skip "/dev/cpu_dma_latency is not ours"
	kin_mount a
	wait_until keeps_awake a
	kin restart a
	wait_until keeps_awake a
	kin_mount b --save-power
	echo asked >b/file
	run ! keeps_awake b
	kin restart b
	echo asked >b/file
	run ! keeps_awake b
	kill -9 "$(kin_pid b)"
	echo asked >b/file
	run ! keeps_awake b
}

@test "what others change while a daemon dies is shown by the next" {
	local i

	need_resend
	two_nodes
	exec 5<a/
	echo first >a/file
	kin_wait a
	exec 6<b/file
	for i in 1 2 3 4; do
		pid=$(kin_pid b)
		echo "$i" >a/new.$i
		echo "$i" >a/file.tmp
		mv a/file.tmp a/file
		ls b >/dev/null
		kill -9 "$pid"
		kin_wait a
		assert_same_trees a b
		assert_equal "$(cat b/file)" "$i"
	done
	# An open file keeps the content that it was opened with.
	assert_equal "$(cat <&6)" first
	exec 5<&- 6<&-
}

@test "programs that work meanwhile, and a daemon that dies again and again" {
	local i worker

	need_resend
	kin_mount a
	mkdir a/work
	(
		cd a/work || exit 1
		for i in {1..1500}; do
			echo "$i" >"f$i" && echo more >>"f$i" &&
				mv "f$i" "g$i" && ln "g$i" "h$i" &&
				rm "g$i" && mkdir "d$i" && mv "h$i" "d$i/x" ||
				exit 1
		done
	) 3>&- &
	worker=$!
	for i in 1 2 3 4 5; do
		sleep 0.3
		pid=$(kin_pid a)
		kill -9 "$pid"
		wait_until another_serves a "$pid"
	done
	wait $worker
	assert_equal "$(ls a/work | wc -l)" 1500
	for i in {1..1500}; do
		printf '%s\nmore\n' "$i" | cmp - "a/work/d$i/x"
	done
	assert_equal "$(taken_over a)" 5
	kin unmount a
	kin check --data "$T/a.store"
}

@test "a daemon that cannot live is given up, and the mount with it" {
	local supervisor i pid

	need_resend
	kin_mount a
	echo kept >a/file
	supervisor=$(supervisor a)
	for i in 1 2 3 4 5 6; do
		pid=$(kin_pid a)
		kill -9 "$pid"
		[ "$i" = 6 ] || wait_until another_serves a "$pid"
	done
	wait_until process_is_gone "$supervisor"
	not_mounted a
	grep -q "6 daemons ended within 60 s; it is unmounted" \
		"$T/a.store/kin.log"
	kin mount a
	assert_equal "$(cat a/file)" kept
}

@test "without its supervisor a daemon ends, and so does the mount" {
	kin_mount a
	echo kept >a/file
	pid=$(kin_pid a)
	kill -9 "$(supervisor a)"
	wait_until process_is_gone "$pid"
	not_mounted a
	kin mount a
	assert_equal "$(cat a/file)" kept
}

@test "SIGTERM to either unmounts; and there is a mount without a supervisor" {
	for who in supervisor kin_pid; do
		kin_mount a
		pid=$(kin_pid a)
		kill -TERM "$($who a)"
		wait_until process_is_gone "$pid"
		not_mounted a
	done
	kin_mount a --no-supervisor
	assert_equal "$(supervisor a)" null
	run -1 kin restart a
	assert_output --partial "without a supervisor"
	pid=$(kin_pid a)
	kill -9 "$pid"
	wait_until process_is_gone "$pid"
	run -4 kin status a
	kin unmount a
}

@test "an upgrade that cannot serve: the program before goes on" {
	need_resend
	cp "$KIN" "$T/kin"
	mkdir a
	"$T/kin" mount --store "$T/a.store" --name a \
		--listen 127.0.0.1:0 a
	exec 5>>a/log
	echo one >&5
	printf '#!/bin/sh\nexit 3\n' >"$T/new"
	chmod 755 "$T/new"
	mv "$T/new" "$T/kin"
	kin restart a
	echo two >&5
	assert_equal "$(cat a/log)" "one
two"
	# ... and one that is not there at all.
	rm "$T/kin"
	kill -9 "$(kin_pid a)"
	echo three >&5
	assert_equal "$(wc -l <a/log)" 3
	exec 5>&-
}

@test "a mount with many --peer, and one that is not where it was made" {
	local i peers=()

	need_resend
	for i in {1..64}; do
		peers+=(--peer "p$i")
	done
	kin_mount a "${peers[@]}"
	echo kept >a/file
	kin restart a
	assert_equal "$(cat a/file)" kept
	[ "$(id -u)" = 0 ] || return 0
	mkdir moved
	mount --bind a moved
	umount a
	kin restart moved
	assert_equal "$(cat moved/file)" kept
	# What is mounted there by then is not the supervisor's.
	mount -t tmpfs none a
	exec 5<moved/file
	pid=$(kin_pid moved)
	kill -TERM "$pid"
	wait_until process_is_gone "$pid"
	[ "$(stat -f -c %T a)" = tmpfs ]
	umount a
	umount -l moved
	exec 5<&-
}

@test "the address is taken while a daemon dies: the mount goes on, and listens later" {
	need_resend
	kin_mount a
	port=$(kin status --json "$T/a" | jq -r '.listen | split(":")[1]')
	kin unmount "$T/a"
	kin mount --store "$T/a.store" --listen "127.0.0.1:$port" "$T/a"
	echo kept >a/file
	exec 5>>a/file
	pid=$(kin_pid a)
	python3 -c '
import os, signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
os.kill(int(sys.argv[2]), signal.SIGKILL)
for k in range(2000):
    try:
        s.bind(("127.0.0.1", int(sys.argv[1])))
        s.listen()
        break
    except OSError:
        time.sleep(.001)
open(sys.argv[3], "w").close()
time.sleep(600)' "$port" "$pid" "$T/taken" 3>&- 5>&- &
	thief=$!
	wait_until another_serves a "$pid"
	[ -e taken ]
	echo more >&5
	assert_equal "$(cat a/file)" "kept
more"
	assert_equal "$(kin status --json "$T/a" | jq .listen)" null
	run -0 kin status "$T/a"
	assert_line --regexp '^listens on +nothing yet: '
	run -0 grep "127.0.0.1:$port is in use by another program" a.store/kin.log
	kill "$thief"
	listens_on() {
		[ "$(kin status --json "$T/a" | jq -r .listen)" = "127.0.0.1:$port" ]
	}
	wait_until listens_on
}

# The kernel tells nobody of an open FIFO, nor of a working directory.
@test "what is in use and was removed is there until it is let go" {
	purged() {
		run kin check --json "$T/a"
		[ "$(jq .objects <<<"$output")" = "$1" ]
	}
	need_resend
	kin_mount a
	mkdir a/dir
	mkfifo a/fifo
	exec 5<>a/fifo
	cd a/dir
	rm ../fifo
	rmdir "$T/a/dir"
	echo other >"$T/a/other"
	kin restart "$T/a"
	rm "$T/a/other"
	wait_until purged 3
	kill -9 "$(kin_pid a)"
	echo text >&5
	chmod 711 . /proc/self/fd/5
	assert_equal "$(stat -L -c '%a %h' . /proc/self/fd/5)" "711 0
711 0"
	assert_equal "$(head -n 1 <&5)" text
	exec 5<&-
	cd "$T"
	wait_until purged 1
	kin unmount a
	kin check --data "$T/a.store"
}

# (what it reads of its key, nobody writes)
@test "a daemon that hangs before it serves is killed, and another one tries" {
	local reader

	need_resend
	kin_mount a --serve-within 2
	echo kept >a/file
	mv a.store/device.key key
	mkfifo -m 600 a.store/device.key
	kill -9 "$(kin_pid a)"
	cat a/file >read 3>&- &
	reader=$!
	wait_until grep -q "does not serve after 2 s: it is killed" \
		"$T/a.store/kin.log"
	mv key a.store/device.key
	wait $reader
	assert_equal "$(cat read)" kept
	kin unmount a
	kin check --data "$T/a.store"
}

@test "daemons that hang, one after another, are given up with the mount" {
	local supervisor

	need_resend
	kin_mount a --serve-within 1
	echo kept >a/file
	supervisor=$(supervisor a)
	mv a.store/device.key key
	mkfifo -m 600 a.store/device.key
	kill -9 "$(kin_pid a)"
	wait_until process_is_gone "$supervisor"
	not_mounted a
	mv key a.store/device.key
	kin mount a
	assert_equal "$(cat a/file)" kept
}

# As on Linux before 6.9, which is that of Debian 12.
@test "a kernel that cannot send again: kin restart lets all be answered first" {
	local k worker pid

	kin_mount a --no-resend
	mkdir a/work
	exec 5>>a/log
	(
		cd a/work || exit 1
		for i in {1..400}; do
			echo "$i" >"f$i" && echo more >>"f$i" &&
				mv "f$i" "g$i" && mkdir "d$i" &&
				mv "g$i" "d$i/x" || exit 1
		done
	) 3>&- 5>&- &
	worker=$!
	for k in 1 2 3 4 5; do
		sleep 0.3
		pid=$(kin_pid a)
		run -0 kin restart "$T/a"
		[ "$(kin_pid a)" != "$pid" ]
		echo "$k" >&5
	done
	wait $worker
	assert_equal "$(ls a/work | wc -l)" 400
	for i in {1..400}; do
		printf '%s\nmore\n' "$i" | cmp - "a/work/d$i/x"
	done
	assert_equal "$(taken_over a)" 5
	assert_equal "$(tr '\n' ' ' <a/log)" "1 2 3 4 5 "
	exec 5>&-
	kin unmount a
	kin check --data "$T/a.store"
}

@test "a kernel that cannot send again: kill -9 ends the mount, and loses nothing" {
	local supervisor

	kin_mount a --no-resend
	echo kept >a/file
	supervisor=$(supervisor a)
	kill -9 "$(kin_pid a)"
	wait_until process_is_gone "$supervisor"
	not_mounted a
	grep -q "this kernel loses what was asked of a daemon that was killed" \
		"$T/a.store/kin.log"
	kin mount a
	assert_equal "$(cat a/file)" kept
}
