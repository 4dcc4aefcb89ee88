#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is decided without asking: listed alike on both nodes, explained, and
# taken back on either.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
}

teardown() {
	kin_cleanup
}

decided() {
	kin conflicts --decided --json "$1"
}

# field EXPRESSION: of the only decision; both nodes say the same
field() {
	local list

	list=$(decided a)
	assert_equal "$(decided b)" "$list"
	assert_equal "$(jq length <<<"$list")" 1
	jq -r ".[0]$1" <<<"$list"
}

settled() {
	all_alike a b
	assert_equal "$(decided a)" "[]"
	assert_equal "$(decided b)" "[]"
}

two_names() {
	echo text >a/doc
	kin_wait a
	apart a b
	mv a/doc a/one
	mv b/doc b/two
	meet a b
}

@test "nothing was decided" {
	echo text >a/doc
	kin_wait a
	run -0 kin conflicts --decided a
	assert_output "nothing was decided without asking"
	run -1 kin undo a/doc
	assert_equal "${#lines[@]}" 1
	assert_output --partial "kin log"
	run -1 kin undo a/none
	assert_equal "${#lines[@]}" 1
	cd a
	run -1 kin undo 0123456789
	assert_equal "${#lines[@]}" 1
	assert_output --partial "no such decision"
	cd ..
	run -1 kin swap a/doc
	assert_output --partial "not renamed in several places"
	run -2 kin undo
	run -2 kin swap
}

@test "one file, two names: swap takes the other" {
	two_names
	name=$(ls a)
	other=$([ "$name" = one ] && echo two || echo one)
	assert_equal "$(field .kind)" rename
	assert_equal "$(field .path)" "$name"
	assert_equal "$(field .chosen.value)" "$name"
	assert_equal "$(field .lost.value)" "$other"
	label=$([ "$other" = one ] && echo a || echo b)
	assert_equal "$(field .lost.label)" "$label"
	assert_equal "$(conflict_count a)" 1
	run -0 kin swap "b/$name"
	assert_output "$T/b/$other"
	assert_equal "$(ls b)" "$other"
	settled
	assert_equal "$(ls a)" "$other"
	assert_equal "$(cat "a/$other")" text
	assert_equal "$(conflict_count a)" 0
	run -1 kin swap "a/$other"
}

@test "one file, two names: undo by FILE, and said in words" {
	two_names
	name=$(ls a)
	run -0 kin conflicts --decided a
	assert_output --partial "a/$name: renamed in several places"
	assert_output --partial "kin undo ID"
	run -0 kin undo --list b
	assert_output --partial "b/$name: renamed in several places"
	run -0 kin undo --dry-run "a/$name"
	assert_line "would take back:"
	assert_equal "$(ls a)" "$name"
	kin undo "a/$name"
	settled
	[ ! -e "a/$name" ]
	[ ! -e "b/$name" ]
	assert_equal "$(cat a/*)" text
}

@test "the other name is another file's: nothing changes" {
	two_names
	name=$(ls a)
	other=$([ "$name" = one ] && echo two || echo one)
	echo mine >"b/$other"
	kin_wait b
	run -1 kin swap "a/$name"
	assert_output --partial "has its other name now"
	run -1 kin undo "a/$name"
	assert_equal "${#lines[@]}" 1
	assert_equal "$(cat "a/$other")" mine
	assert_equal "$(cat "a/$name")" text
}

@test "chmod against chmod" {
	echo text >a/doc
	kin_wait a
	apart a b
	chmod 600 a/doc
	chmod 755 b/doc
	meet a b
	mode=0$(stat -c %a a/doc)
	assert_equal "$(field .kind)" mode
	assert_equal "$(field .chosen.value)" "$mode"
	other=$(field .lost.value)
	assert_equal "$other" "$([ "$mode" = 0600 ] && echo 0755 || echo 0600)"
	id=$(field .id)
	assert_equal "$(conflict_count a)" 0
	(cd b && kin undo "$id")
	assert_equal "0$(stat -c %a b/doc)" "$other"
	settled
	assert_equal "0$(stat -c %a a/doc)" "$other"
	# Undone is undone.
	cd a
	run -1 kin undo "$id"
	assert_output --partial "no such decision"
}

@test "an attribute removed here, set there; several things about one file" {
	echo text >a/doc
	setfattr -n user.tag -v first a/doc
	kin_wait a
	apart a b
	setfattr -n user.tag -v second a/doc
	chmod 600 a/doc
	setfattr -x user.tag b/doc
	chmod 755 b/doc
	meet a b
	list=$(decided a)
	assert_equal "$(jq -r '[.[].kind] | sort | join(",")' <<<"$list")" \
		mode,xattr
	run -1 kin undo a/doc
	assert_output --partial "2 things were decided"
	was=$(getfattr --only-values -n user.tag b/doc 2>/dev/null || echo none)
	assert_equal "$(jq -r '.[] | select(.kind == "xattr") | .xattr' \
		<<<"$list")" user.tag
	(cd a && kin undo "$(jq -r '.[] | select(.kind == "xattr") | .id' \
		<<<"$list")")
	kin_wait a
	now=$(getfattr --only-values -n user.tag b/doc 2>/dev/null || echo none)
	assert_equal "$was,$now" \
		"$([ "$was" = none ] && echo none,second || echo second,none)"
	kin undo b/doc
	settled
}

@test "edit against rm: removed again" {
	echo base >a/doc
	kin_wait a
	apart a b
	echo edited >a/doc
	rm b/doc
	meet a b
	assert_equal "$(cat b/doc)" edited
	assert_equal "$(field .kind)" revived
	assert_equal "$(field .chosen.label)" a
	assert_equal "$(field .lost.label)" b
	kin undo a/doc
	[ ! -e a/doc ]
	settled
	assert_equal "$(ls b)" ""
}

@test "edit against rm: gone on from, so decided by people" {
	echo base >a/doc
	kin_wait a
	apart a b
	echo edited >a/doc
	rm b/doc
	meet a b
	echo again >b/doc
	settled
	assert_equal "$(cat a/doc)" again
}

@test "rmdir against a file made in it: says what to do" {
	mkdir a/dir
	kin_wait a
	apart a b
	rmdir a/dir
	echo new >b/dir/new
	meet a b
	assert_equal "$(field .kind)" revived
	assert_equal "$(field .directory)" true
	assert_equal "$(field .can_undo)" false
	run -1 kin undo a/dir
	assert_equal "${#lines[@]}" 1
	run -1 kin undo --dry-run a/dir
	assert_equal "$(cat a/dir/new)" new
	rm b/dir/new
	settled
	assert_equal "$(ls a)" ""
}

@test "two directories moved into each other: the other way round" {
	mkdir a/x a/y
	echo x >a/x/in-x
	echo y >a/y/in-y
	kin_wait a
	apart a b
	mv a/x a/y/
	mv b/y b/x/
	meet a b
	assert_equal "$(field .kind)" cycle
	was=$(ls a)
	top=$([ "$was" = x ] && echo y || echo x)
	assert_equal "$(field .path)" "$was"
	kin undo "a/$was"
	settled
	assert_equal "$(ls a)" "$top"
	assert_equal "$(cat "a/$top/$was/in-$was" "b/$top/in-$top" |
		tr '\n' ' ')" "$was $top "
}

@test "a content put back against an edit" {
	echo base >a/doc
	kin_wait a
	apart a b
	echo other >a/doc
	echo base >a/doc
	echo "of b" >b/doc
	meet a b
	assert_equal "$(cat a/doc)" "of b"
	assert_equal "$(field .kind)" reverted
	kin undo b/doc
	assert_equal "$(cat b/doc)" base
	settled
	assert_equal "$(cat a/doc)" base
}

conflict() {
	echo base >a/doc
	kin_wait a
	apart a b
	echo "of a" >a/doc
	echo "of b" >b/doc
	meet a b
}

# open_again: with both contents, alike on both nodes
open_again() {
	all_alike a b
	assert_equal "$(cat a/doc* | sort)" $'of a\nof b'
	assert_equal "$(kin conflicts --json a | jq length)" 1
}

@test "kin resolve is undone: the conflict is open again" {
	local id

	conflict
	ls b >before
	kin resolve a/doc --take a
	kin_wait a
	assert_equal "$(cat b/doc)" "of a"
	# Nothing was decided without asking; but it can be taken back.
	assert_equal "$(decided b)" "[]"
	run -0 kin undo --list b
	assert_output --partial "settled"
	run -0 kin undo --list --json b
	assert_equal "$(jq -r '.[0] | .kind, .automatic' <<<"$output" |
		xargs)" "settled false"
	id=$(jq -r '.[0].id' <<<"$output")
	assert_equal "$(kin undo --list --json a | jq -r '.[0].id')" "$id"
	run -0 kin undo --dry-run b/doc
	assert_output --partial "$id"
	run -0 kin undo b/doc
	kin_wait b
	open_again
	assert_equal "$(ls a)" "$(cat before)"
	run -1 kin undo a/doc
	assert_output --partial "kin log"
	# Settled once more, and written: then it is the history's.
	rm a/doc\ \(conflict*
	echo more >>a/doc
	kin_wait a
	run -0 kin undo --list b
	echo "$output"
	assert_equal "$(kin undo --list --json b)" "[]"
	run -1 kin undo b/doc
}

@test "a sibling removed by mistake" {
	local main

	conflict
	main=$(cat a/doc)
	rm b/doc\ \(conflict*
	kin_wait b
	assert_equal "$(ls a)" doc
	kin undo a/doc
	kin_wait a
	open_again
	assert_equal "$(cat b/doc)" "$main"
}

@test "what a policy merged is undone, and not merged again" {
	kin policy a merge
	seq 9 >a/list
	kin_wait a
	apart a b
	sed -i 's/^2$/two/' a/list
	sed -i 's/^8$/eight/' b/list
	together a b
	wait_until grep -q eight a/list
	wait_until grep -q two b/list
	kin_wait a
	wait_until cmp -s a/list b/list
	assert_equal "$(grep -c 'two\|eight' b/list)" 2
	run -0 kin conflicts --decided --json a
	assert_equal "$(jq -r '.[0] | .kind, .automatic' <<<"$output" |
		xargs)" "settled true"
	kin undo a/list
	kin_wait a
	all_alike a b
	assert_equal "$(ls a | wc -l)" 2
	# (longer than the turns of both)
	sleep 5
	assert_equal "$(ls a | wc -l)" 2
	run -0 kin conflicts a
	assert_output --partial "kin undo"
	# Written, it is a conflict like any other.
	echo ten >>a/list
	kin_wait a
	wait_until test ! -e a/list\ \(conflict*
	assert_equal "$(grep -c 'two\|eight\|ten' a/list)" 3
}
