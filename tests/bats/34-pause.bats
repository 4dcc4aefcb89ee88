#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin pause and resume.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
	kin_join a b
	kin_wait a
}

teardown() {
	kin_cleanup
}

paused() {
	kin status --json "$1" | jq .paused
}

connected() {
	[ "$(kin status --json "$1" | jq '.peers[0].connected')" = "$2" ]
}

@test "nothing is exchanged, and the mount stays usable" {
	kin pause a
	assert_equal "$(paused a)" true
	assert_equal "$(paused b)" false
	wait_until connected b false
	mkdir a/d
	echo text >a/d/file
	assert_equal "$(cat a/d/file)" text
	echo other >b/other
	run -3 kin wait --timeout 1 b
	[ ! -e b/d ]
	[ ! -e a/other ]
	run -0 kin status a
	assert_line --partial "paused"
	kin resume a
	assert_equal "$(paused a)" false
	kin_wait a
	assert_same_trees a b
	assert_equal "$(cat b/d/file)" text
}

@test "twice is no error" {
	kin pause a
	kin pause a
	kin resume a
	kin resume a
	kin_wait a
}

@test "a pause survives a restart, and kill -9" {
	kin pause a
	kin unmount a
	kin_remount a
	assert_equal "$(paused a)" true
	kin_kill a
	kin_remount a
	assert_equal "$(paused a)" true
	echo text >a/file
	run -3 kin wait --timeout 1 a
	[ ! -e b/file ]
	kin resume a
	kin_kill a
	kin_remount a
	assert_equal "$(paused a)" false
	kin_wait a
	assert_equal "$(cat b/file)" text
}
