#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin resolve and kin conflicts --watch: choosing, all at once, only looking.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
	kin_join a b
	kin_wait a
}

teardown() {
	[ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null || true
	kin_cleanup
}

settled() {
	kin_wait a
	kin_wait b
	assert_same_trees a b
	assert_equal "$(conflict_count a)" 0
	assert_equal "$(conflict_count b)" 0
}

# conflict_in FILE...: a writes the shorter one first, b the longer one later
conflict_in() {
	local file

	for file; do
		echo base >"a/$file"
	done
	kin_wait a
	apart a b
	for file; do
		echo "of a" >"a/$file"
	done
	# (a version is made after the close: this waits for it)
	kin token a >token
	for file; do
		echo "of b, longer" >"b/$file"
	done
	meet a b
}

@test "the newest, the largest" {
	conflict_in one
	kin resolve a/one --take newest
	settled
	assert_equal "$(cat b/one)" "of b, longer"

	echo base >a/two
	kin_wait a
	apart a b
	echo "of b, longest" >b/two
	kin token b >token
	echo "of a" >a/two
	meet a b
	run -0 kin resolve --dry-run b/two --take newest
	assert_output --partial "would take"
	assert_output --partial "  a  "
	assert_equal "$(conflict_count a)" 1
	kin resolve b/two --take largest
	settled
	assert_equal "$(cat a/two)" "of b, longest"
}

@test "--dry-run changes nothing" {
	conflict_in doc
	before=$(tree_of a)
	for take in main newest largest a b "$(siblings a doc)"; do
		run -0 kin resolve --dry-run a/doc --take "$take"
		assert_line --partial "would take"
	done
	run -1 kin resolve --dry-run a/doc --take nobody
	assert_output --partial 'no version "nobody"'
	assert_equal "$(tree_of a)" "$before"
	assert_equal "$(conflict_count a)" 1
}

@test "--all below a directory, and not beside it" {
	mkdir -p a/in/deep a/out
	conflict_in in/one in/deep/two out/three
	run -1 kin resolve a/in --take main
	assert_output --partial "2 below it"
	run -0 kin resolve --all a/in --take b --dry-run
	assert_equal "$(grep -c "would take" <<<"$output")" 2
	assert_equal "$(conflict_count a)" 3
	run -0 kin resolve --all a/in --take b
	assert_equal "$(grep -c ": took" <<<"$output")" 2
	kin_wait a
	assert_equal "$(conflict_count b)" 1
	assert_equal "$(cat b/in/one b/in/deep/two)" \
		$'of b, longer\nof b, longer'
	run -0 kin resolve --all a --take a
	settled
	assert_equal "$(cat b/out/three)" "of a"
	run -0 kin resolve --all a --take a
	assert_output "no conflicts"
}

@test "--all: what has no such version is left, and told" {
	conflict_in doc
	apart a b
	echo 1 >a/new
	echo 2 >b/new
	mkdir a/d
	echo 3 >b/d
	meet a b
	run -1 kin resolve --all a --take "$(siblings a doc)"
	assert_equal "$(grep -c ": took" <<<"$output")" 1
	assert_equal "$(grep -c "no version" <<<"$output")" 2
	kin_wait a
	assert_equal "$(conflict_count b)" 2
	run -1 kin resolve --all b --take newest
	assert_equal "$(grep -c ": took" <<<"$output")" 1
	assert_output --partial "a directory has that name and keeps it"
	kin resolve --all b --take main
	settled
	[ -d a/d ]
}

@test "one file, two names: newest says nothing about it" {
	echo text >a/doc
	kin_wait a
	apart a b
	mv a/doc a/one
	mv b/doc b/two
	meet a b
	name=$(ls a)
	run -1 kin resolve "a/$name" --take newest
	assert_output --partial "kin swap"
	kin resolve "a/$name" --take main
	settled
	assert_equal "$(ls b)" "$name"
}

@test "names that could be something else, taken by name" {
	local odd=("a b" $'new\nline' "-dash" "quo\"te's" '$(touch oops)' \
		'*' $'b\xe4r' main newest '`x`')
	local name

	conflict_in "${odd[@]}"
	assert_equal "$(conflict_count b)" "${#odd[@]}"
	run -0 kin conflicts a
	[ "$(wc -l <<<"$output")" = $((3 * ${#odd[@]} + 1)) ]
	for name in "${odd[@]}"; do
		sibling=$(find a -name "${name//\*/\\*} (conflict *" -print -quit)
		kin resolve "a/$name" --take "$sibling"
		assert_equal "$(cat "a/$name")" "of a"
	done
	settled
	[ ! -e oops ] && [ ! -e a/oops ]
}

@test "a sibling's name as a path from elsewhere, and from below" {
	mkdir a/dir
	conflict_in dir/doc
	sibling=$(siblings a/dir doc)
	cd a/dir
	kin resolve doc --take "./$sibling"
	cd ../..
	settled
	assert_equal "$(cat b/dir/doc)" "of a"
}

@test "what is known of a conflict: its base, and who removed main" {
	conflict_in doc
	assert_equal "$(kin conflicts --json a | jq -c \
		'.[0] | [.base_known, .main_removed, .versions[].automatic]')" \
		"[true,false,false,false]"
	run -0 kin conflicts b
	assert_line --partial "b/doc: edited in several places; what from is known"
	rm a/doc
	kin_wait a
	assert_equal "$(kin conflicts --json b | jq .[0].main_removed)" true
}

@test "what is settled is the conflict that was looked at, of its kind" {
	apart a b
	echo "first" >a/new
	kin token a >token
	echo "second" >b/new
	meet a b
	assert_equal "$(cat b/new)" first
	# Edited at both, at a last: what b wrote is a sibling there.
	apart a b
	echo "of b" >b/new
	kin token b >token
	echo "of a" >a/new
	kin token a >token
	seen=$(kin conflicts --json a)
	assert_equal "$(jq -r '.[].kind' <<<"$seen")" name
	meet a b
	assert_equal "$(kin conflicts --json a | jq -r '.[].kind' | paste -sd,)" \
		content,name
	# The list of names says the same as before; but there is more now.
	assert_equal "$(kin conflicts --json a | jq -r '.[1].token')" \
		"$(jq -r '.[0].token' <<<"$seen")"
	run -0 ask_daemon a "$(jq -c '{cmd: "resolve", path: .[0].path, take: "main",
		token: .[0].token}' <<<"$seen")"
	assert_output --partial "changed meanwhile"
	assert_equal "$(conflict_count a)" 2
	assert_equal "$(cat a/new* | sort | paste -sd,)" "of a,of b,second"
	# Each is settled after it was looked at.
	kin resolve --all a --take newest
	settled
	assert_equal "$(cat b/new)" "of a"
}

@test "wrong usage is refused in one line" {
	conflict_in doc
	run -2 kin resolve a/doc
	assert_equal "${#lines[@]}" 1
	run -2 kin resolve a/doc --take ""
	run -2 kin resolve --take main
	run -2 kin resolve a/doc --wait --take main
	run -2 kin resolve a/doc --wait --timeout soon
	run -2 kin conflicts --watch --decided a
	run -2 kin conflicts --notify a
	assert_equal "$(conflict_count a)" 1
}

# waits PID: it has looked once, and sleeps; seen so twice in a row
waits() {
	local i

	for i in 1 2; do
		[ "$(cat "/proc/$1/comm")" = kin ] &&
			grep -q "^State:.S" "/proc/$1/status" || return 1
		read -r -t 0.05 <> <(:) || true
	done
}

@test "--wait ends as soon as somebody has settled it" {
	conflict_in doc
	run -1 kin resolve --wait --timeout 0.3 a/doc
	assert_output --partial "still in conflict"
	"$KIN" resolve --wait a/doc &
	local of_main=$!
	"$KIN" resolve --wait "a/$(siblings a doc)" &
	local of_sibling=$!
	wait_until waits $of_main
	wait_until waits $of_sibling
	rm "b/$(siblings b doc)"
	wait $of_main
	wait $of_sibling
	settled
	kin resolve --wait a/doc
	run -1 kin resolve --wait a/none
}

watch_says() {
	grep -q "$1" "$T/watched"
}

@test "--watch tells what comes, changes and goes, and ends by ^C" {
	conflict_in old
	# (a job of a script ignores ^C)
	bash -c 'trap - INT; exec "$@"' x env --default-signal=INT \
		"$KIN" conflicts --watch a >watched &
	watcher=$!
	wait_until watch_says "new .*/a/old: edited in several places"
	conflict_in doc
	wait_until watch_says "new .*/a/doc: edited"
	echo again >a/doc
	wait_until watch_says "changed .*/a/doc: "
	kin resolve a/doc --take newest
	wait_until watch_says "settled .*/a/doc: "
	assert_equal "$(grep -c "/a/old" watched)" 1
	kill -INT $watcher
	wait $watcher
	watcher=
}

@test "--watch --json --notify: lines of JSON, and a program with the text" {
	local name='$(touch oops)"'\''
x'

	cat >notifier <<-'END'
	#!/bin/sh
	echo "not of the list"
	printf '%s|%s|%s' "$#" "$1" "$2" >"$HOME/notified"
	END
	chmod +x notifier
	"$KIN" conflicts --watch --json --notify="$T/notifier" a >watched &
	watcher=$!
	conflict_in "$name"
	wait_until watch_says '"change":"new"'
	wait_until test -s "$HOME/notified"
	assert_equal "$(cat "$HOME/notified")" "2|kinfs: files in conflict|$T/a/$name: edited in several places"
	kin resolve --all a --take main
	wait_until watch_says '"change":"settled"'
	assert_equal "$(jq -r .path watched | sort -u)" "$name"
	assert_equal "$(jq -r .change watched | tr '\n' ' ')" "new settled "
	[ ! -e oops ] && [ ! -e a/oops ]
	kin unmount a
	wait $watcher || status=$?
	assert_equal "$status" 4
	watcher=
}
