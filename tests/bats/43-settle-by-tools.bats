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
