#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Policies of directories: shown, set and ended by `kin policy` and by their
# attribute, on either node, before a conflict and after it.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
}

teardown() {
	kin_cleanup
}

# conflict FILE: both write it, unaware of each other; b's is the later
conflict() {
	echo base >"a/$1"
	kin_wait a
	apart a b
	echo "of a" >"a/$1"
	# (a file is made a version a moment after it was closed)
	kin token a >/dev/null
	echo "of b" >"b/$1"
	together a b
	kin_wait a
	kin_wait b
}

field() {
	kin policy --json "$1" | jq -r "$2"
}

@test "what holds, and where it is set" {
	mkdir -p "a/top/two words/in"
	run -0 kin policy a/top
	assert_line --index 0 --partial "keep: "
	assert_line --index 1 "no policy is set here or above"
	run -0 kin policy a/top latest
	assert_line --index 0 "latest: the newest content shows"
	assert_line --index 1 "set for $PWD/a/top"
	assert_equal "$(getfattr --only-values -n user.kin.policy a/top)" latest
	echo x >"a/top/two words/in/file"
	run -0 kin policy "a/top/two words/in/file"
	assert_line --index 1 "set for $PWD/a/top"
	setfattr -n user.kin.policy -v hook:merge-text "a/top/two words"
	assert_equal "$(field "a/top/two words/in" .rule)" hook:merge-text
	assert_equal "$(field "a/top/two words/in" .from)" "top/two words"
	assert_equal "$(field "a/top/two words/in" .own)" false
	assert_equal "$(field "a/top/two words" .own)" true
	kin_wait a
	assert_equal "$(field "b/top/two words/in" .rule)" hook:merge-text
	kin policy "b/top/two words" --clear
	kin_wait b
	assert_equal "$(field "a/top/two words/in" .rule)" latest
	kin policy a keep
	assert_equal "$(field a .from)" ""
	assert_equal "$(field a/top .from)" top
}

@test "what is wrong is refused, and changes nothing" {
	mkdir a/top
	echo x >a/file
	kin policy a/top union
	run -2 kin policy a/top newest
	assert_output --partial "newest: no such policy"
	run -2 kin policy a/top "hook:../x"
	run -2 kin policy a/top ""
	run -1 kin policy a/file latest
	assert_output --partial "for a directory"
	run -1 kin policy a --clear
	assert_output --partial "no policy of its own"
	run -1 kin policy a/none
	run -2 kin policy a/top latest more
	run -2 kin policy a/top latest --clear
	run ! setfattr -n user.kin.policy -v newest a/top
	run ! setfattr -n user.kin.policy -v latest a/file
	assert_equal "$(field a/top .rule)" union
}

@test "latest: the newest shows, the other is listed and can be had" {
	kin policy a latest
	conflict doc
	all_alike a b
	assert_equal "$(ls a)" doc
	assert_equal "$(cat a/doc)" "of b"
	assert_equal "$(conflict_count a)" 0
	run -0 kin conflicts --decided b
	assert_output --partial "shown by policy latest"
	assert_output --partial hidden
	assert_equal "$(kin conflicts --decided --json a | jq -r '.[0].kind')" policy
	kin undo a/doc
	kin_wait a
	all_alike a b
	assert_equal "$(cat b/doc)" "of a"
	assert_equal "$(kin conflicts --decided --json b)" "[]"
	kin policy b --clear
	kin_wait b
	assert_equal "$(ls a)" doc
}

@test "a policy that comes after the conflict, and goes again" {
	conflict doc
	assert_equal "$(ls a | wc -l)" 2
	kin policy b node:nobody,a
	assert_equal "$(cat b/doc)" "of a"
	assert_equal "$(ls b)" doc
	kin_wait b
	all_alike a b
	kin policy a --clear
	kin_wait a
	all_alike a b
	assert_equal "$(ls a | wc -l)" 2
	assert_equal "$(cat a/doc)" "of b"
}

@test "a write replaces what was hidden, too" {
	kin policy a latest
	conflict doc
	echo "of both" >a/doc
	kin_wait a
	kin policy b --clear
	kin_wait b
	all_alike a b
	assert_equal "$(ls b)" doc
	assert_equal "$(cat b/doc)" "of both"
}
