#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Two nodes: joining, both ways, catching up, and daemons that are killed.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

two_nodes() {
	kin_mount a
	kin_join a b
}

make_tree() {
	mkdir -p "$1/dir/sub" "$1/empty"
	echo small >"$1/dir/small"
	: >"$1/dir/nothing"
	head -c 3000000 /dev/urandom >"$1/dir/sub/large"
	truncate -s 5M "$1/sparse"
	ln -s dir/small "$1/link"
	ln -s /no/such/target "$1/dangling"
	chmod 640 "$1/dir/small"
	chmod 700 "$1/dir/sub"
	touch -d 2001-02-03T04:05:06.123456789Z "$1/dir/nothing"
	touch -h -d 2002-03-04T05:06:07.987654321Z "$1/link"
	touch -d 2003-04-05T06:07:08.5Z "$1/empty"
	printf 'odd' >"$1/odd "$'\xff\n'" name"
}

@test "a new node gets all that was there, and each then sees the other" {
	kin_mount a
	make_tree a
	kin_join a b
	kin_wait a
	assert_same_trees a b
	assert_equal "$(kin status --json a | jq -r .volume)" \
		"$(kin status --json b | jq -r .volume)"
	echo from-b >b/dir/from-b
	rm b/sparse
	mv b/dir b/moved
	chmod 600 b/moved/small
	kin_wait b
	assert_same_trees a b
	assert_equal "$(cat a/moved/from-b)" from-b
	[ ! -e a/dir ]
}

@test "what is cached is told of changes: sizes, bytes, names, listings" {
	two_nodes
	echo one >a/file
	kin_wait a
	assert_equal "$(cat b/file)" one
	run -1 cat b/later
	ls b
	echo "much longer" >a/file
	echo later >a/later
	kin_wait a
	assert_equal "$(cat b/file)" "much longer"
	assert_equal "$(stat -c %s b/file)" 12
	assert_equal "$(cat b/later)" later
	assert_equal "$(echo b/*)" "b/file b/later"
	echo s >a/file
	kin_wait a
	assert_equal "$(cat b/file)" s
	rm a/file
	kin_wait a
	run -1 cat b/file
}

@test "status tells of the peer, and of the lag" {
	two_nodes
	kin_wait a
	run -0 kin status --json a
	assert_equal "$(jq -r .node.label <<<"$output")" a
	assert_equal "$(jq -r '.peers[0].label' <<<"$output")" b
	assert_equal "$(jq -r '.peers[0].connected' <<<"$output")" true
	assert_equal "$(jq -r '.peers[0].behind.changes' <<<"$output")" 0
	assert_equal "$(jq -r '.peers[0].ahead.changes' <<<"$output")" 0
	assert_equal "$(jq -r .paused <<<"$output")" false
	assert_equal "$(jq -r .conflicts <<<"$output")" 0
	kill -0 "$(jq -r .pid <<<"$output")"
	kin unmount b
	head -c 100000 /dev/urandom >a/file
	lags() {
		[ "$(kin status --json a | jq -r '.peers[0] |
			.connected == false and .behind.changes > 0')" = true ]
	}
	wait_until lags
	run -0 kin status a
	assert_line --regexp '^b .*away'
}

@test "a node that was away catches up, both ways" {
	two_nodes
	make_tree a
	kin_wait a
	kin unmount b
	rm -r a/dir/sub
	echo while-away >a/while-away
	mv a/empty a/full
	kin_remount b
	kin_wait a
	assert_same_trees a b
	kin unmount a
	echo from-b >b/from-b
	kin_remount a
	kin_wait a
	assert_same_trees a b
	assert_equal "$(cat a/from-b)" from-b
}

@test "offline on both sides, then together" {
	two_nodes
	kin unmount b
	echo a >a/of-a
	kin unmount a
	kin_remount b
	echo b >b/of-b
	kin_remount a
	kin_wait a
	assert_same_trees a b
	assert_equal "$(cat b/of-a) $(cat a/of-b)" "a b"
}

@test "a daemon killed while it is idle loses nothing" {
	two_nodes
	make_tree a
	tree_of a >before
	kin_kill a
	kin_remount a
	tree_of a | diff before -
	kin_wait a
	assert_same_trees a b
}

@test "a writer's daemon killed midway loses no completed operation" {
	two_nodes
	pid=$(kin_pid a)
	mkdir a/d
	(
		for i in {1..5000}; do
			printf '%s' "content $i" >"a/d/$i" 2>/dev/null || exit 0
			echo "$i" >>"$T/done"
		done
	) 3>&- &
	writer=$!
	grown() { [ -s done ] && [ "$(wc -l <done)" -ge 200 ]; }
	wait_until grown
	kin_crash "$pid"
	wait $writer || true
	wait_until process_is_gone "$pid"
	kin unmount a
	kin_remount a
	while read -r i; do
		printf '%s' "content $i" | cmp - "a/d/$i"
	done <done
	kin_wait a
	assert_same_trees a b
}

@test "a receiver's daemon killed again and again catches up" {
	two_nodes
	mkdir a/d
	for i in {1..400}; do
		head -c 20000 /dev/urandom >"a/d/$i"
	done
	for _ in 1 2 3; do
		kin_kill b
		kin_remount b
	done
	kin_wait a
	assert_same_trees a b
	kin_kill b
	kin_remount b
	kin_wait a
	assert_same_trees a b
}

@test "a sender's daemon killed while it sends goes on after" {
	kin_mount a
	head -c 40000000 /dev/urandom >a/large
	kin_join a b
	kin_kill a
	kin_remount a
	kin_wait b
	assert_same_trees a b
}

@test "an open file that is removed elsewhere stays readable" {
	two_nodes
	echo text >a/file
	kin_wait a
	exec 7<b/file
	rm a/file
	kin_wait a
	assert_equal "$(cat <&7)" text
	exec 7<&-
	[ ! -e b/file ]
}

@test "a reader follows a log that is written on the other node" {
	two_nodes
	seq 100000 >a/log
	kin_wait a
	tail -n 1 -f b/log >seen &
	reader=$!
	wait_until grep -qx 100000 seen
	for n in 100001 100002 100003; do
		echo "$n" >>a/log
		kin_wait a
		wait_until grep -qx "$n" seen
	done
	kill "$reader"
	assert_equal "$(cat seen)" $'100000\n100001\n100002\n100003'
	assert_equal "$(ls b)" log
}

@test "the second of one name gets a label of its own" {
	kin_mount a
	mkdir b
	kin join --store "$T/b.store" --name a --listen 127.0.0.1:0 \
		"$(kin invite a)" b
	assert_equal "$(kin status --json b | jq -r .node.label)" a-2
	kin_wait b
	assert_equal "$(kin status --json a | jq -r '.peers[0].label')" a-2
}

@test "what a peer that is away lacks is known after a restart too" {
	kin_mount a
	kin_join a b
	echo one >a/one
	kin_wait a
	kin unmount b
	echo two >a/two
	kin unmount a
	kin mount a
	run -0 kin status --json a
	assert_equal "$(jq '.peers[0].connected' <<<"$output")" false
	# Two operations at the most (the name, and the bytes), not all ever.
	behind=$(jq '.peers[0].behind.changes' <<<"$output")
	[ "$behind" -ge 1 ] && [ "$behind" -le 2 ]
	[ "$(jq '.peers[0].behind.bytes' <<<"$output")" -ge 4 ]
}
