#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The command line itself: help, usage errors, exit codes.

setup() {
	load helpers
	kin_setup
}

teardown() {
	kin_cleanup
}

commands="mount unmount invite join status wait pause resume conflicts
	resolve hooks log cat restore undelete version sync"

@test "help lists every command and the exit codes" {
	run -0 kin --help
	for command in $commands; do
		assert_line --regexp "^  $command "
	done
	assert_output --partial "Exit codes"
	run -0 kin help
	assert_output --partial "Exit codes"
}

@test "every command has help" {
	for command in $commands; do
		run -0 kin "$command" --help
		assert_line --index 0 --partial "usage: kin $command"
		run -0 kin help "$command"
		assert_line --index 0 --partial "usage: kin $command"
	done
}

@test "no command at all is wrong usage" {
	run -2 --separate-stderr kin
	[ -z "$output" ]
	[[ $stderr == usage:* ]]
}

@test "an unknown command is told what resembles it" {
	run -2 kin staus
	assert_output --partial 'did you mean `kin status`?'
	run -2 kin umount
	assert_output --partial 'did you mean `kin unmount`?'
	run -2 kin frobnicate
	assert_output --partial 'kin --help'
	run -2 kin averylongwordthatresemblesnothing
	assert_output --partial 'kin --help'
}

@test "unknown options and missing arguments are wrong usage" {
	for command in $commands; do
		run -2 kin "$command" --no-such-option
		assert_output --partial "kin $command: --no-such-option"
		assert_equal "${#lines[@]}" 1
	done
	for command in mount unmount invite join wait pause resume resolve; do
		run -2 kin "$command"
		assert_output --partial "--help"
	done
	run -2 kin mount a b
	assert_output --partial "one argument too many"
	run -2 kin mount --store
	assert_output --partial "wants an argument"
}

@test "values of options are checked" {
	run -2 kin wait --timeout soon x
	assert_output --partial 'timeout "soon"'
	run -2 kin wait --timeout -1 x
	run -2 kin wait --timeout nan x
	run -2 kin wait --peers some x
	assert_output --partial 'peers "some"'
	run -2 kin mount --name "two words" x
	assert_output --partial 'label'
	run -2 kin mount --name "" x
	run -2 kin mount --name "$(printf 'x%.0s' {1..33})" x
	run -2 kin mount --listen 4747 x
	assert_output --partial 'ADDR:PORT'
	run -2 kin invite --list --revoke x
	run -2 kin resolve x
	assert_output --partial '--take'
}

@test "version" {
	run -0 kin version
	assert_output --regexp '^kin [0-9]+\.[0-9]+\.[0-9]+$'
	run -0 kin --version
	assert_output --regexp '^kin '
	version=$(kin version --json | jq -r .version)
	assert_equal "$output" "kin $version"
}

@test "a path that is in no kinfs mount has an exit code of its own" {
	mkdir dir
	for command in status unmount invite wait pause resume conflicts; do
		run -4 kin "$command" dir
		assert_output --partial "kin $command:"
		assert_equal "${#lines[@]}" 1
	done
	run -4 kin resolve dir --take main
}

@test "output that cannot be written is a failure" {
	[ -c /dev/full ] || skip "there is no /dev/full"
	run -1 --separate-stderr bash -c '"$0" version >/dev/full' "$KIN"
	[[ $stderr == *"No space left"* ]]
}
