#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A conflict settled on several nodes at once, each in its own way, none
# knowing of the others: all nodes are alike in the end, and what is gone is
# what somebody settled away.
#
# What each way says, and what several of them come to:
#
#	take-main	main holds: said by a person, so that it stays even
#			where somebody else removes the file
#	rm-sibling	the same, but it is no edit, and goes with the file
#	mv-away		as rm-sibling, and the sibling is a file of its own
#	take-sibling, mv-over, save	a new content. It beats main said again;
#			two different ones are a conflict again; removal loses
#	rm-main		removes what has the plain name, not what another
#			said of the file; the sibling stays if nobody took it
#	rm-rf		removes what is there, not what somebody wrote

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# The conflict, with a name that a careless program trips over.
NAME=$'-a "b" $(touch oops)\n\'c\'.txt'

start() {
	nodes=("$@")
	kin_mount "$1"
	for node in "${@:2}"; do
		kin_join "$1" "$node"
	done
	kin_wait "$1"
}

# conflict DIRECTORY...: one in each; the newest content is main
conflict() {
	local dir

	for dir; do
		mkdir "${nodes[0]}/$dir"
		echo base >"${nodes[0]}/$dir/$NAME"
	done
	kin_wait "${nodes[0]}"
	apart "${nodes[@]}"
	for dir; do
		echo "the sibling" >"${nodes[0]}/$dir/$NAME"
	done
	kin token "${nodes[0]}" >token
	for dir; do
		echo "the main" >"${nodes[1]}/$dir/$NAME"
	done
	meet "${nodes[@]}"
	for dir; do
		assert_equal "$(cat "${nodes[0]}/$dir/$NAME")" "the main"
		assert_equal "$(ls -U "${nodes[0]}/$dir" -q | wc -l)" 2
	done
}

sibling_of() {
	find "$1" -name '*(conflict *' -print -quit
}

# settle WAY DIRECTORY: the path begins with the node's name
settle() {
	local sibling main="$2/$NAME"

	sibling=$(sibling_of "$2")
	case $1 in
	rm-sibling) rm -- "$sibling" ;;
	mv-over) mv -f -- "$sibling" "$main" ;;
	mv-away) mv -- "$sibling" "$2/away" ;;
	save)
		echo "written by ${2%%/*}" >"$main"
		rm -- "$sibling"
		;;
	rm-main) rm -- "$main" ;;
	rm-rf) rm -rf -- "$2" ;;
	take-main) kin resolve "$main" --take main ;;
	take-sibling) kin resolve "$main" --take "$sibling" ;;
	*) return 1 ;;
	esac
}

# expect WAY...: by nodes[0], nodes[1] and so on
expect() {
	local way i=0 kept="" again="" away="" gone="" new=()

	for way; do
		case $way in
		take-main) kept=1 ;;
		rm-sibling) again=1 ;;
		mv-away) again=1 away="the sibling" ;;
		take-sibling | mv-over) new+=("the sibling") ;;
		save) new+=("written by ${nodes[$i]}") ;;
		rm-rf) gone=1 ;;
		esac
		i=$((i + 1))
	done
	if [ ${#new[@]} = 0 ]; then
		if [ -n "$kept" ] || [ -n "$again" -a -z "$gone" ]; then
			new=("the main")
		elif [ -z "$gone" ]; then
			new=("the sibling")
		fi
	fi
	{
		[ ${#new[@]} = 0 ] || printf '%s\n' "${new[@]}" | sort -u
		[ -z "$away" ] || echo "$away"
	} | sort | paste -sd,
}

# What is left in the directory; nothing where it is gone.
left() {
	[ ! -d "$1" ] || find "$1" -type f -exec cat {} + | sort | paste -sd,
}

# settle_all COMBINATION...: "way way ..." of each node, offline, and then
# everything is as expected
settle_all() {
	local i n ways wrong=0 dirs=()

	for i in $(seq $#); do
		dirs+=("d$i")
	done
	conflict "${dirs[@]}"
	assert_equal "$(conflict_count "${nodes[0]}")" $#
	apart "${nodes[@]}"
	i=0
	for combination; do
		i=$((i + 1))
		read -ra ways <<<"$combination"
		for n in "${!nodes[@]}"; do
			settle "${ways[$n]}" "${nodes[$n]}/d$i" >/dev/null
		done
	done
	meet "${nodes[@]}"
	i=0
	for combination; do
		i=$((i + 1))
		read -ra ways <<<"$combination"
		wanted=$(expect "${ways[@]}")
		got=$(left "${nodes[0]}/d$i")
		[ "$got" = "$wanted" ] && continue
		echo "$combination: \"$got\", not \"$wanted\"" >&2
		ls -a "${nodes[0]}/d$i" >&2 || true
		wrong=$((wrong + 1))
	done
	assert_equal $wrong 0
	[ ! -e oops ]
	# What is still open is settled by one command.
	kin resolve --all "${nodes[-1]}" --take newest >/dev/null
	for node in "${nodes[@]}"; do
		kin_wait "$node"
		assert_equal "$(conflict_count "$node")" 0
	done
	assert_same_trees "${nodes[@]}"
}

WAYS=(rm-sibling mv-over mv-away save rm-main rm-rf take-main take-sibling)

@test "two nodes: each way beside each other" {
	local one other all=()

	for one in "${WAYS[@]}"; do
		for other in "${WAYS[@]}"; do
			all+=("$one $other")
		done
	done
	start a b
	settle_all "${all[@]}"
}

# some_of N COUNT: so many different combinations of N ways, always the same
some_of() {
	local state=12345 i k

	for i in $(seq "$2"); do
		for k in $(seq "$1"); do
			state=$(((state * 1103515245 + 12345) % 2147483648))
			printf '%s ' "${WAYS[$((state / 65536 % ${#WAYS[@]}))]}"
		done
		echo
	done
}

@test "three nodes, each in its own way" {
	local all

	mapfile -t all < <(some_of 3 40)
	start a b c
	settle_all "${all[@]}"
}

@test "four nodes in a row, each in its own way" {
	local all

	mapfile -t all < <(some_of 4 40)
	connect "a b c d" "a:b b:c c:d"
	nodes=(a b c d)
	settle_all "${all[@]}"
}

# ---- two files that were made under one name

NAME_WAYS=(rm-other mv-over mv-away save rm-main rm-rf take-main take-other \
	merge)

# namesakes DIRECTORY...: main is of a, the other one of c
namesakes() {
	local dir

	for dir; do
		mkdir "a/$dir"
	done
	kin_wait a
	apart "${nodes[@]}"
	for dir; do
		echo "the main" >"a/$dir/$NAME"
	done
	kin token a >token
	for dir; do
		echo "the other" >"c/$dir/$NAME"
	done
	meet "${nodes[@]}"
	assert_equal "$(kin conflicts --json a | jq -r '.[].kind' | uniq -c |
		tr -s ' ')" " $# name"
	for dir; do
		assert_equal "$(cat "b/$dir/$NAME")" "the main"
	done
}

# settle_name WAY DIRECTORY: the path begins with the node's name
settle_name() {
	local other main="$2/$NAME"

	other=$(sibling_of "$2")
	case $1 in
	rm-other) rm -- "$other" ;;
	mv-over) mv -f -- "$other" "$main" ;;
	mv-away) mv -- "$other" "$2/away" ;;
	save)
		echo "written by ${2%%/*}" >"$main"
		rm -- "$other"
		;;
	rm-main) rm -- "$main" ;;
	rm-rf) rm -rf -- "$2" ;;
	take-main) kin resolve "$main" --take main ;;
	take-other) kin resolve "$main" --take "$other" ;;
	merge) kin resolve "$other" --tool "$T/tool" ;;
	*) return 1 ;;
	esac
}

# What is removed by one stays if another took it, wrote it or moved it.
expect_names() {
	local way i=0 main="" other="" no_main="" no_other="" texts=()

	for way; do
		case $way in
		save)
			main=1 no_other=1
			texts+=("written by ${nodes[$i]}")
			;;
		merge)
			main=1 no_other=1
			texts+=("made of both")
			;;
		take-main) main=1 no_other=1 ;;
		mv-over | take-other) other=1 no_main=1 ;;
		mv-away) other=1 ;;
		rm-other) no_other=1 ;;
		rm-main) no_main=1 ;;
		rm-rf) no_main=1 no_other=1 ;;
		esac
		i=$((i + 1))
	done
	if [ ${#texts[@]} = 0 ] && [ -n "$main" -o -z "$no_main" ]; then
		texts=("the main")
	fi
	[ -z "$other" -a -n "$no_other" ] || texts+=("the other")
	[ ${#texts[@]} = 0 ] || printf '%s\n' "${texts[@]}" | sort -u |
		paste -sd,
}

@test "two files of one name: each way beside each other" {
	local one other all=() dirs=() i wanted got wrong=0

	printf '#!/bin/sh\necho made of both >"$4"\n' >tool
	chmod +x tool
	for one in "${NAME_WAYS[@]}"; do
		for other in "${NAME_WAYS[@]}"; do
			dirs+=("d${#all[@]}")
			all+=("$one $other")
		done
	done
	start a b c
	namesakes "${dirs[@]}"
	apart "${nodes[@]}"
	for i in "${!all[@]}"; do
		read -r one other <<<"${all[$i]}"
		settle_name "$one" "a/d$i" >/dev/null
		settle_name "$other" "b/d$i" >/dev/null
	done
	meet "${nodes[@]}"
	for i in "${!all[@]}"; do
		wanted=$(expect_names ${all[$i]})
		got=$(left "c/d$i")
		[ "$got" = "$wanted" ] && continue
		echo "${all[$i]}: \"$got\", not \"$wanted\"" >&2
		ls -a "c/d$i" >&2 || true
		wrong=$((wrong + 1))
	done
	assert_equal $wrong 0
	[ ! -e oops ]
	kin resolve --all c --take main >/dev/null
	all_alike "${nodes[@]}"
	assert_equal "$(conflict_count a)" 0
}
