# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# A disk that is full, with room for a store and little more: what is refused,
# what is not, and that all goes on by itself when there is room.

setup() {
	load helpers
	kin_setup
	need_fuse
	need_root
	mkdir "$T/disk"
	# Besides its data a store wants 96 MiB free: the reserve, and what
	# must be left. Its log takes 16.
	mount -t tmpfs -o size=240m,mode=700 kinfs-test "$T/disk" ||
		skip "no tmpfs can be mounted"
}

teardown() {
	local status=0

	kin_cleanup || status=$?
	umount -l "$T/disk" || true
	return $status
}

# disk_mount NAME [OPTION...]: with its store on the small disk
disk_mount() {
	local name=$1

	shift
	ln -s "$T/disk/$name" "$T/$name.store"
	mkdir "$T/$name"
	kin mount --store "$T/disk/$name" --name "$name" \
		--listen 127.0.0.1:0 "$@" "$T/$name"
}

noise() { # MIB
	head -c "$1M" /dev/urandom
}

# Takes all that is left of the disk.
disk_fill() {
	cat /dev/zero >>"$T/disk/ballast" 2>/dev/null || true
}

state_is() { # NAME STATE
	[ "$(kin status --json "$T/$1" | jq -r .disk.state)" = "$2" ]
}

is_short() { # NAME
	state_is "$1" low || state_is "$1" full
}

# Small files, until one is refused.
fill_tables() { # NAME
	local i

	for i in $(seq 20000); do
		{ head -c 3000 /dev/zero >"$T/$1/small/$i"; } 2>/dev/null ||
			return 0
	done
	return 1
}

in_vain() { # COMMAND...: it is refused for want of room
	run "$@"
	assert_failure
	assert_output --partial "No space left on device"
}

taken() {
	du -s --block-size=1M "$T/disk/$1/seg" | cut -f1
}

@test "on a full disk what makes room goes on, and all does when there is room" {
	disk_mount a --history-days 0
	noise 20 >a/big
	echo old >a/file
	echo gone >a/gone
	mkdir a/dir a/small
	kin sync a 2>/dev/null || kin token a >/dev/null
	state_is a well

	# (with room for a commit, which would take the reserve)
	disk_fill
	truncate -s -8M disk/ballast
	in_vain dd if=/dev/urandom of=a/more bs=1M count=8 status=none
	state_is a low
	run kin status a
	assert_output --partial "nearly full"
	disk_fill
	# (the tables have room until the last block)
	fill_tables a
	state_is a full
	run kin status a
	assert_output --partial "FULL"
	assert_output --partial "remove what is not needed"
	in_vain cp /proc/version a/new
	in_vain mkdir a/new.dir

	# All of this removes something.
	: >a/file
	[ ! -s a/file ]
	rm a/gone
	rmdir a/dir
	truncate -s 1M a/big
	assert_equal "$(stat -c %s a/big)" $((1 << 20))
	rm -r a/small
	mv a/big a/renamed

	# What was done is there after a restart, with the disk still full;
	# what is there can be read.
	kin_kill a
	kin mount a
	[ ! -e a/gone ] && [ ! -e a/dir ] && [ ! -e a/small ]
	[ -f a/file ] && [ ! -s a/file ]
	assert_equal "$(stat -c %s a/renamed)" $((1 << 20))
	cat a/renamed >/dev/null

	rm disk/ballast
	wait_until state_is a well
	noise 4 >fresh
	cp fresh a/new
	cmp fresh a/new
	grep -q "room on the disk again" disk/a/kin.log
}

@test "old history goes before anybody is refused" {
	local i

	disk_mount a --history-size 100%
	noise 8 >keep
	cp keep a/keep
	# What is there at the end takes little; what was there, several times
	# what the disk has.
	for i in $(seq 8); do
		noise 30 >a/film
		rm a/film
	done
	for i in $(seq 14); do
		noise 20 >now
		cp now a/often
	done
	cmp now a/often
	cmp keep a/keep
	state_is a well
	grep -q "old history .* was given up" disk/a/kin.log
	# The newest of it is still there.
	[ "$(kin log --json a/often | jq '.versions | length')" -ge 1 ]
	run kin status --json a
	[ "$(jq .history.bytes <<<"$output")" -gt 0 ]
	kin verify --deep a

	# And in the end there is none, and no room.
	disk_fill
	in_vain dd if=/dev/urandom of=a/more bs=1M count=120 status=none
	run kin status --json a
	assert_equal "$(jq .history.bytes <<<"$output")" 0
	cmp now a/often
	cmp keep a/keep
}

@test "a peer is not told of what had no room, and gets on when there is some" {
	kin_mount a
	mkdir b
	ln -s "$T/disk/b" b.store
	kin join --store "$T/disk/b" --name b --listen 127.0.0.1:0 \
		"$(kin invite a)" b
	echo first >a/first
	mkdir a/small
	kin_wait a
	disk_fill
	noise 60 >film
	cp film a/film
	for i in $(seq 300); do
		echo "$i" >"a/f$i"
	done
	# It does not have it, and does not say that it has.
	run kin wait --timeout 3 a
	assert_failure
	wait_until is_short b
	run kin wait --timeout 1 a
	assert_failure
	# What is here can be read, and both daemons are up.
	assert_equal "$(cat b/first)" first
	state_is b full || fill_tables b
	echo second >a/second
	run kin wait --timeout 2 a
	assert_failure

	# (nor does it after a restart)
	kin_kill b
	kin mount b
	run kin wait --timeout 2 a
	assert_failure
	rm disk/ballast
	kin_wait a
	kin_wait b
	cmp film b/film
	assert_same_trees a b
	state_is b well
	kin verify --deep a
	kin verify --deep b
}
