#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# More than two nodes, which exchange only along the edges of a graph.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# Every node writes, each takes in all.
exercise() {
	local nodes=($1) node

	for node in "${nodes[@]}"; do
		mkdir "$node/of-$node"
		echo "I am $node" >"$node/of-$node/file"
		head -c 300000 /dev/urandom >"$node/of-$node/large"
	done
	kin_wait "${nodes[0]}"
	assert_same_trees "${nodes[@]}"
	# The last undoes what the first did, and the other way round.
	rm -r "${nodes[-1]}/of-${nodes[0]}"
	mv "${nodes[0]}/of-${nodes[-1]}" "${nodes[0]}/renamed"
	for node in "${nodes[@]}"; do
		kin_wait "$node"
	done
	assert_same_trees "${nodes[@]}"
	[ ! -e "${nodes[0]}/of-${nodes[0]}" ]
	[ -e "${nodes[-1]}/renamed/file" ]
}

# Every node edits one file while all are apart.
conflict_of_all() {
	local nodes=($1) node

	echo base >"${nodes[0]}/shared"
	kin_wait "${nodes[0]}"
	apart "${nodes[@]}"
	for node in "${nodes[@]}"; do
		echo "edit of $node" >"$node/shared"
	done
	together "${nodes[@]}"
	for node in "${nodes[@]}"; do
		kin_wait "$node"
	done
	assert_same_trees "${nodes[@]}"
	assert_equal "$(cat "${nodes[0]}"/shared* | sort | tr '\n' ,)" \
		"$(printf 'edit of %s,' "${nodes[@]}")"
	kin resolve "${nodes[1]}/shared" --take "${nodes[-1]}"
	kin_wait "${nodes[1]}"
	assert_same_trees "${nodes[@]}"
	assert_equal "$(cat "${nodes[0]}"/shared*)" "edit of ${nodes[-1]}"
	assert_equal "$(conflict_count "${nodes[0]}")" 0
}

@test "a chain of 3" {
	connect "a b c" "a:b b:c"
	exercise "a b c"
	conflict_of_all "a b c"
	assert_equal "$(kin status --json a | jq -c '[.peers[].connected]')" \
		"[true,false]"
}

@test "a ring of 4" {
	connect "a b c d" "a:b b:c c:d d:a"
	exercise "a b c d"
	conflict_of_all "a b c d"
}

@test "a star of 5" {
	connect "hub p q r s" "hub:p hub:q hub:r hub:s"
	exercise "hub p q r s"
	conflict_of_all "hub p q r s"
}

@test "a relay that was away passes on what it gets later" {
	connect "a b c" "a:b b:c"
	kin unmount b
	echo one >a/one
	echo three >c/three
	kin_remount b --peer a --peer c
	kin_wait a
	assert_same_trees a b c
	assert_equal "$(cat c/one) $(cat a/three)" "one three"
}

@test "a ring goes on when one of its links is cut" {
	connect "a b c d" "a:b b:c c:d d:a"
	kin unmount b
	echo round >a/round
	kin_wait a --peers connected
	wait_until test -e c/round
	kin_remount b --peer a --peer c
	kin_wait a
	assert_same_trees a b c d
}
