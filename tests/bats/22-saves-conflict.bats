#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs save a file that is in conflict, or its sibling: it stays in
# conflict, each under its name, and is settled by the file's name.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
	echo base >a/doc
	kin_wait a
	apart a b
	echo "of a" >a/doc
	echo "of b, longer" >b/doc
	meet a b
	sibling=$(siblings a doc)
	[ -n "$sibling" ]
	other=$(cat "a/$sibling")
}

teardown() {
	kin_cleanup
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# check_save BACKUP COMMAND...: saves "by a" to a/doc; BACKUP may be the name
# of what is left beside it
check_save() {
	local backup=$1 main

	shift
	main=$(cat a/doc)
	"$@"
	assert_equal "$(cat a/doc)" "by a"
	[ -z "$backup" ] || assert_equal "$(cat "a/$backup")" "$main"
	meet a b
	for node in a b; do
		assert_equal "$(cat $node/doc)" "by a"
		assert_equal "$(siblings $node doc)" "$sibling"
		assert_equal "$(cat "$node/$sibling")" "$other"
		assert_equal "$(conflict_count $node)" 1
		run -0 kin conflicts $node/doc
		refute_output --partial removed
	done
	kin resolve b/doc --take main
	meet a b
	all_alike a b
	assert_equal "$(cat a/doc)" "by a"
	assert_equal "$(conflict_count a)" 0
	assert_equal "$(siblings a doc)" ""
}

by_vim() {
	vim -u NONE -es -N -c "set backupskip= $1" -c "%s/.*/by a/" -c wq a/doc </dev/null
}

by_rename() {
	echo "by a" >a/doc.new
	mv a/doc.new a/doc
}

# As programs do whose backup is the old file.
by_backup() {
	mv a/doc a/doc.bak
	echo "by a" >a/doc
}

by_two_renames() {
	echo "by a" >a/doc.new
	mv a/doc a/doc.old
	mv a/doc.new a/doc
	rm a/doc.old
}

@test "sed -i" {
	check_save "" sed -i "s/.*/by a/" a/doc
}

@test "a temporary renamed over it" {
	check_save "" by_rename
}

@test "vim, the old file is moved aside" {
	need vim
	check_save "" by_vim 'nobackup writebackup backupcopy=no'
}

@test "vim, with a backup" {
	need vim
	check_save "doc~" by_vim 'backup backupcopy=no'
}

@test "the backup is the old file" {
	check_save doc.bak by_backup
}

@test "two renames" {
	check_save "" by_two_renames
}

@test "sed -i of the sibling" {
	main=$(cat a/doc)
	sed -i "s/.*/by a/" "a/$sibling"
	assert_equal "$(cat "a/$sibling")" "by a"
	meet a b
	for node in a b; do
		assert_equal "$(cat $node/doc)" "$main"
		assert_equal "$(siblings $node doc)" "$sibling"
		assert_equal "$(cat "$node/$sibling")" "by a"
		assert_equal "$(conflict_count $node)" 1
	done
	kin resolve b/doc --take "$sibling"
	meet a b
	all_alike a b
	assert_equal "$(cat a/doc)" "by a"
	assert_equal "$(siblings a doc)" ""
}
