#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Handlers on four nodes: all settle one conflict at once, each in its own
# way, or beside a person who settles it by hand; all are alike in the end,
# and it is an end.
#
# Who acts when is the test's: a conflict's first handler acts at once and the
# others wait for their turns, but where somebody opens the file it is
# handled at once. A hook that is to be late waits for a file.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# four EDGES
four() {
	nodes=(a b c d)
	connect "${nodes[*]}" "$1"
}

RING="a:b b:c c:d d:a"
STAR="d:a d:b d:c"

# install NODE NAME: a hook from standard input
install_hook() {
	local dir

	dir=$(kin hooks dir "$T/$1")
	mkdir -p -m 700 "$dir"
	cat >"$dir/$2"
	chmod 700 "$dir/$2"
}

# All lines of all versions, and whose hook it was: another result on each
# node. It waits for the file go.
install_own() {
	local node

	for node; do
		install_hook "$node" own <<-END
			#!/bin/sh
			set -eu
			echo "\$KIN_PATH" >>'$T/started-$node'
			while [ ! -e '$T/go' ]; do sleep 0.05; done
			export LC_ALL=C
			cat "\$KIN_VARIANTS_DIR"/* | grep -v '^merged by' |
				sort -u >lines
			echo 'merged by $node' | cat - lines >"\$KIN_OUTPUT"
		END
	done
}

# policy DIRECTORY RULE
policy() {
	mkdir -p "$1"
	kin policy "$1" "$2"
	kin_wait "${1%%/*}"
}

# The number of changes that a node knows of, whoever made them.
changes() {
	kin token "$1" | python3 -c '
import base64, sys
text = sys.stdin.read().strip()[2:]
raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))[17:-4]
at = 0
def varint():
    global at
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
total = 0
for _ in range(varint()):
    at += 8
    total += varint()
assert at == len(raw)
print(total)'
}

# The changes that four nodes know of together, which knew of $1 alike and
# were apart since.
changes_of_all() {
	local node n=$1

	for node in "${nodes[@]}"; do
		n=$((n + $(changes "$node") - $1))
	done
	echo "$n"
}

no_conflicts() {
	local node

	for node; do
		[ "$(conflict_count "$node")" = 0 ] || return 1
	done
}

# A program of each node reads the file: its handler acts now.
open_at() {
	local file=$1 node

	for node in "${@:2}"; do
		cat "$node/$file" >/dev/null
	done
}

# edit_all FILE NODE...: apart, each its own text
edit_all() {
	local file=$1 node

	for node in "${@:2}"; do
		echo "of $node" >"$node/$file"
		kin token "$node" >token
	done
}

# From now on hooks wait, and tell anew that they run.
hold() {
	rm -f go started-*
}

# all_answer FILE NODE...: each settles what it has, and none hears of it
all_answer() {
	local file=$1 node

	for node in "${@:2}"; do
		open_at "$file" "$node"
		wait_until test -s "started-$node"
	done
	apart "${@:2}"
	touch go
	for node in "${@:2}"; do
		wait_until no_conflicts "$node"
		assert_equal "$(head -n 1 "$node/$file")" "merged by $node"
	done
}

# is_one FILE LINE...: of all four, by one of them
is_one() {
	local file=$1

	shift
	wait_until no_conflicts "${nodes[@]}"
	all_alike "${nodes[@]}"
	assert_equal "$(head -n 1 "a/$file" | grep -c '^merged by [a-d]$')" 1
	assert_equal "$(tail -n +2 "a/$file" | paste -sd,)" \
		"$(printf '%s\n' "$@" | paste -sd,)"
	assert_equal "$(find a -name '*(conflict*')" ""
}

# quiet CHANGES: nothing came after that; and what comes is no answer to it
quiet() {
	local node

	for node in "${nodes[@]}"; do
		assert_equal "$(changes "$node")" "$1"
	done
	mkdir "${nodes[0]}/poke"
	all_alike "${nodes[@]}"
	for node in "${nodes[@]}"; do
		assert_equal "$(changes "$node")" "$((${1} + 1))"
	done
}

@test "a ring: all four answer at once, each differently" {
	local before

	four "$RING"
	policy a/d hook:own
	install_own "${nodes[@]}"
	echo base >a/d/x
	kin_wait a
	apart "${nodes[@]}"
	edit_all d/x "${nodes[@]}"
	meet "${nodes[@]}"
	before=$(changes a)
	all_answer d/x "${nodes[@]}"
	together "${nodes[@]}"
	is_one d/x "of a" "of b" "of c" "of d"
	# One round: each has said something once.
	quiet "$((before + 4))"
}

@test "a ring: two halves answer, then all four" {
	local before

	four "$RING"
	policy a/d hook:own
	install_own "${nodes[@]}"
	echo base >a/d/x
	kin_wait a
	before=$(changes a)
	apart "${nodes[@]}"
	edit_all d/x "${nodes[@]}"
	before=$(changes_of_all "$before")
	for half in "a b" "c d"; do
		hold
		together $half
		for node in $half; do
			wait_until eval '[ "$(conflict_count $node)" = 1 ]'
		done
		all_answer d/x $half
		together $half
		wait_until eval "cmp -s ${half% *}/d/x ${half#* }/d/x"
		no_conflicts $half
		apart $half
	done
	hold
	meet "${nodes[@]}"
	assert_equal "$(conflict_count a)" 1
	all_answer d/x "${nodes[@]}"
	together "${nodes[@]}"
	is_one d/x "of a" "of b" "of c" "of d"
	# Two rounds.
	quiet "$((before + 8))"
}

@test "a star: what its middle has not heard is one more round" {
	local before

	four "$STAR"
	policy d/d hook:own
	install_own "${nodes[@]}"
	echo base >d/d/x
	kin_wait d
	before=$(changes d)
	apart "${nodes[@]}"
	edit_all d/x a b c
	before=$(changes_of_all "$before")
	# The middle hears a and b, and so do they of each other, ...
	together a b d
	for node in a b d; do
		wait_until eval '[ "$(conflict_count $node)" = 1 ]'
	done
	all_answer d/x a b d
	hold
	# ... and is away; then c comes, whom nobody had heard.
	kin unmount d
	together a b c
	kin_remount d --peer a --peer b --peer c
	together d
	wait_until eval '[ "$(kin status --json d |
		jq "[.peers[] | select(.connected)] | length")" = 3 ]'
	all_alike "${nodes[@]}"
	assert_equal "$(conflict_count c)" 1
	all_answer d/x "${nodes[@]}"
	together "${nodes[@]}"
	is_one d/x "of a" "of b" "of c"
	quiet "$((before + 3 + 4))"
}

@test "merge and union: equal answers are one" {
	local before node k=1

	four "$RING"
	policy a/m merge
	policy a/u union
	printf '%s\n' 1 2 3 4 5 6 7 8 9 >a/m/x
	echo first >a/u/x
	kin_wait a
	before=$(changes a)
	apart "${nodes[@]}"
	for node in "${nodes[@]}"; do
		sed -i "${k}s/.*/of $node/" "$node/m/x"
		echo "of $node" >>"$node/u/x"
		k=$((k + 2))
	done
	before=$(changes_of_all "$before")
	# Halves first, which hear nothing of each other.
	for half in "a b" "c d"; do
		together $half
		for node in $half; do
			wait_until grep -q "of ${half% *}" $node/m/x* \
				$node/u/x*
			wait_until grep -q "of ${half#* }" $node/m/x* \
				$node/u/x*
			open_at m/x $node
			open_at u/x $node
		done
		wait_until no_conflicts $half
		wait_until eval "cmp -s ${half% *}/m/x ${half#* }/m/x"
		wait_until eval "cmp -s ${half% *}/u/x ${half#* }/u/x"
		apart $half
	done
	together "${nodes[@]}"
	for node in "${nodes[@]}"; do
		kin_wait "$node"
		open_at m/x "$node"
		open_at u/x "$node"
	done
	wait_until no_conflicts "${nodes[@]}"
	all_alike "${nodes[@]}"
	assert_equal "$(paste -sd, a/m/x)" "of a,2,of b,4,of c,6,of d,8,9"
	assert_equal "$(sort a/u/x | paste -sd,)" "first,of a,of b,of c,of d"
	# Of two files, at most two rounds.
	[ "$(changes a)" -le "$((before + 2 * 8))" ]
	quiet "$(changes a)"
}

# ---- by hand, and by a hook

WAYS=(rm-sibling mv-over mv-away save rm-main rm-rf take-main take-sibling \
	merge)

# settle WAY DIRECTORY: of x in it; the path begins with the node's name
settle() {
	local main=$2/x sibling

	sibling=$(find "$2" -name 'x (conflict *')
	case $1 in
	rm-sibling) rm "$sibling" ;;
	mv-over) mv -f "$sibling" "$main" ;;
	mv-away) mv "$sibling" "$2/away" ;;
	save)
		echo "written by hand" >"$main"
		rm "$sibling"
		;;
	rm-main) rm "$main" ;;
	rm-rf) rm -rf "$2" ;;
	take-main) kin resolve "$main" --take main >/dev/null ;;
	take-sibling) kin resolve "$main" --take "$sibling" >/dev/null ;;
	merge) kin resolve "$main" --tool "$T/by-hand" >/dev/null ;;
	*) return 1 ;;
	esac
}

# conflicts RULE DIRECTORY...: one in each; of b is main, of a the sibling
conflicts() {
	local rule=$1 dir

	shift
	printf '#!/bin/sh\necho "said by hand" >"$4"\n' >by-hand
	chmod 700 by-hand
	for dir; do
		mkdir "a/$dir"
		kin policy "a/$dir" "$rule"
		echo base >"a/$dir/x"
	done
	kin_wait a
	apart "${nodes[@]}"
	for dir; do
		echo "the sibling" >"a/$dir/x"
	done
	kin token a >token
	for dir; do
		echo "the main" >"b/$dir/x"
	done
	meet "${nodes[@]}"
	for dir; do
		assert_equal "$(conflict_count "a/$dir")" 1
	done
}

# What is left in a directory; nothing where it is gone.
left() {
	[ ! -d "$1" ] || (cd "$1" && for file in *; do
		echo "$file: $(paste -sd, "$file")"
	done)
}

# Two hooks, each with its own result, know nothing of who settles by hand.
expect_beside() {
	local both="the main,the sibling"

	case $1 in
	# Main said again is no edit; the hooks went on from it.
	rm-sibling | take-main) echo "x: $both" ;;
	mv-away) printf '%s\n' "away: the sibling" "x: $both" ;;
	# A content that they did not know: handled again, with it.
	mv-over | take-sibling) echo "x: $both" ;;
	save) echo "x: $both,written by hand" ;;
	merge) echo "x: said by hand,$both" ;;
	# Main is gone, but not what was made of it and another.
	rm-main) echo "x: $both" ;;
	# A hook's result does not bring back what somebody removed.
	rm-rf) ;;
	esac
}

@test "a ring: by hand in every way, while hooks of two others settle it" {
	local way node wanted got wrong=0

	four "$RING"
	conflicts hook:own "${WAYS[@]}"
	apart "${nodes[@]}"
	touch go
	for way in "${WAYS[@]}"; do
		settle "$way" "a/$way"
	done
	install_own b c
	for way in "${WAYS[@]}"; do
		open_at "$way/x" b c
	done
	wait_until no_conflicts b c
	together "${nodes[@]}"
	for node in "${nodes[@]}"; do
		kin_wait "$node"
	done
	for way in "${WAYS[@]}"; do
		[ ! -e "b/$way/x" ] || open_at "$way/x" b c
	done
	wait_until no_conflicts "${nodes[@]}"
	all_alike "${nodes[@]}"
	for way in "${WAYS[@]}"; do
		wanted=$(expect_beside "$way")
		got=$(left "d/$way" | sed 's/merged by [bc],//')
		[ "$got" = "$wanted" ] && continue
		printf '%s: "%s", not "%s"\n' "$way" "$got" "$wanted" >&2
		wrong=$((wrong + 1))
	done
	assert_equal $wrong 0
	quiet "$(changes a)"
}

# Who settles where the hook runs is not overruled by what it saw before.
expect_before() {
	case $1 in
	rm-sibling | take-main) echo "x: the main" ;;
	mv-away) printf '%s\n' "away: the sibling" "x: the main" ;;
	mv-over | take-sibling) echo "x: the sibling" ;;
	save) echo "x: written by hand" ;;
	merge) echo "x: said by hand" ;;
	rm-main) echo "x (conflict a DATE): the sibling" ;;
	rm-rf) ;;
	esac
}

@test "by hand in every way, while the hook of this very node runs" {
	local way got

	nodes=(a b)
	two_nodes
	install_own b
	for way in "${WAYS[@]}"; do
		hold
		conflicts hook:own "$way"
		open_at "$way/x" b
		wait_until grep -qsx "$way/x" started-b
		settle "$way" "b/$way"
		touch go
		wait_until eval '[ "$(kin conflicts --json "$T/b" |
			jq "[.[] | select(.handler.state == \"running\")] |
			length")" = 0 ]'
		all_alike a b
		got=$(left "a/$way" | sed 's/a [0-9-]* [a-z0-9]*)/a DATE)/')
		assert_equal "$way: $got" "$way: $(expect_before "$way")"
	done
}

# ---- who waits, and who watches

# waits PID: it has looked once, and sleeps; seen so twice in a row
waits() {
	local i

	for i in 1 2; do
		[ "$(cat "/proc/$1/comm")" = kin ] &&
			grep -q "^State:.S" "/proc/$1/status" || return 1
		read -r -t 0.05 <> <(:) || true
	done
}

# changes_of PATH: what a watcher has said of it, in one line
changes_of() {
	jq -r --arg path "$1" 'select(.path == $path) | .change' watched |
		paste -sd,
}

@test "who waits for a hook goes on when it has settled it, at each node" {
	local watcher of_main of_sibling

	nodes=(a b)
	two_nodes
	install_own a b
	"$KIN" conflicts --watch --json a >watched &
	watcher=$!
	conflicts hook:own d
	wait_until eval '[ "$(changes_of d/x)" = new ]'
	# Before, and while it runs.
	"$KIN" resolve --wait a/d/x &
	of_main=$!
	wait_until waits "$of_main"
	open_at d/x a
	wait_until test -s started-a
	"$KIN" resolve --wait "b/d/$(siblings b/d x)" &
	of_sibling=$!
	wait_until waits "$of_sibling"
	run -1 kin resolve --wait --timeout 0.5 a/d/x
	assert_output --partial "still in conflict"
	touch go
	wait "$of_main"
	assert_equal "$(tail -n +2 a/d/x | paste -sd,)" "the main,the sibling"
	wait "$of_sibling"
	all_alike a b
	no_conflicts a b
	wait_until eval '[ "$(changes_of d/x)" = new,settled ]'
	kill "$watcher"
	wait "$watcher" || true
}

@test "who waits goes on when a rule that was set settles it" {
	local rule watcher waiting

	nodes=(a b)
	two_nodes
	"$KIN" conflicts --watch --json a >watched &
	watcher=$!
	for rule in latest node:a merge union; do
		conflicts keep "$rule"
		wait_until eval '[ "$(changes_of "$rule/x")" = new ]'
		"$KIN" resolve --wait "b/$rule/x" &
		waiting=$!
		wait_until waits "$waiting"
		kin policy "a/$rule" "$rule"
		# (these two lines are not merged)
		if [ "$rule" = merge ]; then
			run -1 kin resolve --wait --timeout 1 "a/$rule/x"
			kin resolve "a/$rule/x" --take main
		fi
		wait "$waiting"
		all_alike a b
		wait_until eval '[ "$(changes_of "$rule/x")" = new,settled ]'
	done
	assert_equal "$(cat b/latest/x)" "the main"
	assert_equal "$(cat b/node:a/x)" "the sibling"
	assert_equal "$(sort b/union/x | paste -sd,)" "the main,the sibling"
	kill "$watcher"
	wait "$watcher" || true
}

@test "a hook that leaves it, and one that fails, are waited for in vain" {
	nodes=(a b)
	two_nodes
	for node in a b; do
		printf '#!/bin/sh\necho "not mine" >&2\nexit 1\n' |
			install_hook $node leaves
		printf '#!/bin/sh\nexit 3\n' | install_hook $node fails
	done
	conflicts hook:leaves left
	conflicts hook:fails failed
	for way in left failed; do
		open_at "$way/x" a
		wait_until eval '[ "$(kin conflicts --json "a/$way" |
			jq -r ".[].handler.state")" = "$way" ]'
		run -1 kin resolve --wait --timeout 0.5 "a/$way/x"
		assert_output --partial "still in conflict"
		# A person is not kept from it.
		kin resolve "a/$way/x" --take newest
		kin resolve --wait "b/$way/x"
	done
	all_alike a b
	no_conflicts a b
}
