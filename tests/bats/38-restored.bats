#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Stores that come back from a backup, and stores that are copied.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
	kin_join a b
	echo base >a/doc
	echo base >a/other
	kin_wait a
}

teardown() {
	kin_cleanup
}

# Why the node began anew, or null
cause_of() {
	kin status --json "$1" | jq -r '.incarnation.cause'
}

# shown NODE TEXT: in some file, under whatever name
shown() {
	grep -rqx "$2" "$T/$1"
}

all_show() {
	local text=$1 node

	for node in "${@:2}"; do
		shown "$node" "$text" || return 1
	done
}

back_up() {
	kin unmount a
	cp -a a.store "$1"
	cp -a data "$1.data"
	kin_remount a
}

@test "a store that is copied back goes on as a new incarnation" {
	back_up backup
	assert_equal "$(cause_of a)" null
	echo before >a/doc
	echo new >a/new
	rm a/other
	kin_wait a
	kin unmount a
	rm -r a.store
	cp -a backup a.store
	kin_remount a
	assert_equal "$(cause_of a)" copy
	run -0 kin status a
	assert_line --regexp '^history .*restored or copied: since [0-9-]+ .* new one of its name'
	echo after >a/after
	kin_wait a
	assert_same_trees a b
	assert_equal "$(cat a/doc a/new a/after)" $'before\nnew\nafter'
	[ ! -e a/other ]
	# Once is enough: it is no copy any more.
	kin unmount a
	kin_remount a
	assert_equal "$(kin status --json a | jq .incarnation.count)" 1
	assert_equal "$(cause_of b)" null
	echo later >b/doc
	kin_wait b
	assert_same_trees a b
	run -0 kin verify --deep a
}

# A whole machine's disk: nothing outside of the store knows better.
@test "two histories of one node: both keep what was written on them" {
	back_up backup
	echo before >a/doc
	echo told >a/told
	kin_wait a
	kin unmount a
	apart b
	(cd backup && find . -type f -exec sh -c \
		'cat "$1" >"../a.store/$1"' _ {} \;)
	(cd a.store && find . -type f | while read -r file; do
		[ -e "../backup/$file" ] || rm "$file"
	done)
	rm -r data
	cp -a backup.data data
	kin_remount a
	assert_equal "$(cause_of a)" null
	assert_equal "$(cat a/doc)" base
	echo after >a/doc
	echo more >a/more
	[ ! -e a/told ]
	together b
	kin_wait a
	wait_until all_show before a b
	kin_wait b
	assert_same_trees a b
	all_show after a b
	all_show told a b
	all_show more a b
	assert_equal "$(conflict_count a)" 1
	[ "$(cause_of a)" != null ]
	assert_equal "$(cause_of b)" null
	run -0 kin status a
	assert_line --regexp '^history '
	kin resolve --keep-all a/doc || kin conflicts a
	echo end >a/end
	kin_wait a
	assert_same_trees a b
	run -0 kin verify --deep a
}

# Both have one key, so b talks to one of them at a time: who calls later.
@test "a copy of a store is used beside it" {
	DEADLINE=240
	kin unmount a
	cp -a a.store c.store
	kin_remount a
	mkdir c
	kin mount --store "$T/c.store" --listen 127.0.0.1:0 "$T/c"
	assert_equal "$(cause_of c)" copy
	echo of-a >a/doc
	echo of-c >c/doc
	echo only-c >c/mine
	echo only-a >a/yours
	wait_until all_show of-a a b
	wait_until all_show of-c b c
	wait_until all_show only-c a b c
	wait_until all_show only-a a b c
	wait_until all_show of-a a b c
	wait_until all_show of-c a b c
	assert_same_trees a b c
}
