#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin member list and remove.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
	kin_join a b
	kin_join a c
	kin_wait a
}

teardown() {
	kin_cleanup
}

# state NODE LABEL: as that node has it
state() {
	kin member list --json "$1" |
		jq -r --arg l "$2" '.members[] | select(.label == $l) | .state'
}

has_state() {
	[ "$(state "$1" "$2")" = "$3" ]
}

@test "list shows all, and which one this is" {
	run -0 kin member list a
	assert_line --regexp '^a .* member .*\(this node\)$'
	assert_line --regexp '^b .* member '
	assert_line --regexp '^c .* member '
	assert_equal "$(kin member list --json b |
		jq -r '[.members[] | select(.self) | .label] | join(" ")')" b
}

@test "a removed member is refused, and nobody waits for it" {
	echo shared >c/shared
	kin_wait a
	run -0 kin member remove c a
	assert_line --partial "c is removed from this volume, for ever"
	assert_equal "$(state a c)" removed
	wait_until has_state b c removed
	wait_until has_state c c removed
	# What it shared stays; what it writes now goes nowhere.
	assert_equal "$(cat b/shared)" shared
	echo late >c/late
	echo text >a/file
	kin_wait a
	assert_equal "$(cat b/file)" text
	[ ! -e b/late ]
	[ ! -e c/file ]
	run -0 kin status a
	assert_line --regexp '^c .* removed '
	# Nor after a restart, of either side.
	kin unmount c
	kin_remount c
	kin unmount a
	kin_remount a
	assert_equal "$(state a c)" removed
	kin_wait a
	[ ! -e a/late ]
	# It keeps its files.
	assert_equal "$(cat c/late)" late
	run -1 kin member remove a c
	assert_output --partial "this node was removed"
	# Twice is no error.
	run -0 kin member remove c b
}

@test "a member that is away is removed, and its label stays taken" {
	kin unmount c
	kin member remove --json c a | jq -e '.member.state == "removed"'
	kin_wait a
	mkdir -p d
	kin join --store "$T/d.store" --name c --listen 127.0.0.1:0 \
		"$(kin invite b)" d
	kin_wait a
	assert_equal "$(state a c-2)" member
	# When it comes back it is told, and sends nothing.
	kin_remount c
	echo late >c/late
	[ ! -e a/late ]
	assert_equal "$(state a c)" removed
}

@test "errors say what to do" {
	run -1 kin member remove nobody a
	assert_output "kin member: nobody: no such member; \`kin member list\` \
lists them"
	run -1 kin member remove a a
	assert_output "kin member: a: that is this node; remove it on another"
	run -2 kin member
	assert_output --partial "list or remove?"
	run -2 kin member remove
	run -2 kin mount --lapse-after none x
	assert_output --partial "--lapse-after \"none\": is no number of days"
	run -0 kin member --help
	assert_line --partial "usage: kin member list"
}
