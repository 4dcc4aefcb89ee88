#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Conflicts that are settled by policies and hooks: on real nodes, offline and
# joined, with handlers that do what they should, and with ones that do not.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
	for node in a b; do
		kin hooks dir "$T/$node" >/dev/null
	done
}

teardown() {
	kin_cleanup
}

# install NODE NAME: a hook from standard input
install_hook() {
	local dir

	dir=$(kin hooks dir "$T/$1")
	mkdir -p "$dir"
	chmod 700 "$dir"
	cat >"$dir/$2"
	chmod 700 "$dir/$2"
}

policy() {
	mkdir -p "$1"
	kin policy "$1" "$2"
}

no_conflicts() {
	[ "$(conflict_count a)" = 0 ] && [ "$(conflict_count b)" = 0 ]
}

# edit_apart FILE BASE OF-A OF-B
edit_apart() {
	printf "$2" >"a/$1"
	kin_wait a
	apart a b
	printf "$3" >"a/$1"
	printf "$4" >"b/$1"
	together a b
	kin_wait a
}

# settles_as FILE TEXT: soon both show one file, with this text
settles_as() {
	wait_until no_conflicts
	kin_wait a
	kin_wait b
	assert_equal "$(cat "a/$1")" "$(printf "$2")"
	assert_equal "$(cat "b/$1")" "$(printf "$2")"
	assert_equal "$(find a -name '*(conflict*')" ""
}

@test "policy merge: lines changed on both sides become one file" {
	policy a/notes merge
	edit_apart notes/x '1\n2\n3\n4\n5\n' 'one\n2\n3\n4\n5\n' \
		'1\n2\n3\n4\nfive\n'
	settles_as notes/x 'one\n2\n3\n4\nfive\n'
}

@test "policy merge: what does not apply cleanly stays, and says so" {
	policy a/notes merge
	edit_apart notes/x '1\n2\n3\n' '1\nA\n3\n' '1\nB\n3\n'
	wait_until eval '[ "$(kin conflicts --json a |
		jq -r ".[0].handler.state")" = left ]'
	assert_equal "$(conflict_count a)" 1
	assert_equal "$(sort a/notes/x* | grep -c '[AB]')" 2
	# a person's edit makes it another conflict: now it applies
	echo 'never a marker' >/dev/null
	run grep -rl '<<<<<<<\|>>>>>>>' a/notes
	assert_failure
}

@test "policy union: the lines of both" {
	policy a/log union
	edit_apart log/x 'first\n' 'first\nof a\n' 'first\nof b\n'
	wait_until no_conflicts
	kin_wait a
	assert_equal "$(sort a/log/x)" $'first\nof a\nof b'
	assert_same_trees a b
}

@test "policy hook: the hook gets every version, the base and the path" {
	policy a/doc hook:mine
	for node in a b; do
		install_hook $node mine <<-'EOF'
			#!/bin/sh
			set -eu
			{
				printf 'event %s\npath %s\narg %s\n' \
					"$KIN_EVENT" "$KIN_PATH" "$1"
				cat "$KIN_BASE"
				cat "$KIN_VARIANTS_DIR"/*
				ls -A
			} >"$KIN_OUTPUT"
		EOF
	done
	edit_apart 'doc/-a $(id) "b".txt' 'base\n' 'of a\n' 'of b\n'
	wait_until no_conflicts
	kin_wait a
	assert_same_trees a b
	run -0 cat 'a/doc/-a $(id) "b".txt'
	assert_line --index 0 'event conflict'
	assert_line --index 1 'path doc/-a $(id) "b".txt'
	assert_line --index 2 'arg doc/-a $(id) "b".txt'
	assert_line --index 3 base
	assert_equal "$(printf '%s\n' "${lines[@]:4}" | sort)" \
		$'of a\nof b'
}

@test "a hook that leaves it, fails, crashes or is not installed: siblings" {
	for kind in left failed crashed nowhere; do
		policy a/$kind hook:$kind
	done
	for node in a b; do
		printf '#!/bin/sh\necho not mine >&2\nexit 1\n' |
			install_hook $node left
		printf '#!/bin/sh\necho broken >&2\nexit 7\n' |
			install_hook $node failed
		printf '#!/bin/sh\nkill -SEGV $$\n' |
			install_hook $node crashed
	done
	for kind in left failed crashed nowhere; do
		printf base >a/$kind/x
	done
	kin_wait a
	apart a b
	for kind in left failed crashed nowhere; do
		printf of-a >a/$kind/x
		printf of-b >b/$kind/x
	done
	together a b
	kin_wait a
	state() {
		kin conflicts --json "$T/a/$1" |
			jq -r '.[0].handler | .state + ": " + .reason'
	}
	wait_until eval '[[ $(state left) == "left: not mine" ]]'
	wait_until eval '[[ $(state failed) == failed:*broken* ]]'
	wait_until eval '[[ $(state crashed) == failed:* ]]'
	wait_until eval '[[ $(state nowhere) == "waiting: not installed here" ]]'
	assert_equal "$(conflict_count a)" 4
	assert_equal "$(cat a/left/x* | tr -d '\n' | wc -c)" 8
	run -0 kin conflicts a
	assert_output --partial "broken"
}

@test "hooks that answer differently on each node: one version in the end" {
	policy a/d hook:mine
	for node in a b; do
		printf '#!/bin/sh\necho by %s >"$KIN_OUTPUT"\n' $node |
			install_hook $node mine
	done
	edit_apart d/x base of-a of-b
	wait_until no_conflicts
	kin_wait a
	kin_wait b
	assert_same_trees a b
	[[ $(cat a/d/x) == "by a" || $(cat a/d/x) == "by b" ]]
}

@test "a person who settles it while a hook runs wins" {
	policy a/d hook:slow
	for node in a b; do
		install_hook $node slow <<-EOF
			#!/bin/sh
			echo started >>'$T/started'
			while [ ! -e '$T/go' ]; do sleep 0.1; done
			echo late >"\$KIN_OUTPUT"
		EOF
	done
	edit_apart d/x base of-a of-b
	wait_until test -s started
	kin resolve a/d/x --take a
	touch go
	kin_wait a
	kin_wait b
	wait_until no_conflicts
	assert_equal "$(cat a/d/x)" of-a
	assert_equal "$(cat b/d/x)" of-a
}

@test "patterns of the configuration; its mistakes are told" {
	for node in a b; do
		dir=$(kin hooks dir "$T/$node")
		printf '#!/bin/sh\ncat "$KIN_VARIANTS_DIR"/* >"$KIN_OUTPUT"\n' |
			install_hook $node cat-all
		printf 'conflict *.log cat-all\n' >"$dir.conf"
		chmod 600 "$dir.conf"
	done
	edit_apart x.log '' 'of a\n' 'of b\n'
	wait_until no_conflicts
	kin_wait a
	assert_equal "$(sort a/x.log)" $'of a\nof b'
	printf 'conflict\n' >"$(kin hooks dir "$T/a").conf"
	run -0 kin hooks list a
	assert_output --partial ".conf:1:"
}

# configure NODE LINE...
configure() {
	local conf

	conf=$(kin hooks dir "$T/$1").conf
	shift
	printf '%s\n' "$@" >"$conf"
	chmod 600 "$conf"
}

handler_of() {
	kin conflicts --json "$T/$1" |
		jq -r '.[0].handler | .state + ": " + .reason'
}

@test "a hook that one node alone runs" {
	policy a/d hook:mine@b
	printf '#!/bin/sh\ntouch "%s"\n' "$T/a-ran" | install_hook a mine
	install_hook b mine <<-EOF
		#!/bin/sh
		while [ ! -e '$T/go' ]; do sleep 0.1; done
		echo by b >"\$KIN_OUTPUT"
	EOF
	edit_apart d/x base of-a of-b
	wait_until eval '[ "$(handler_of a)" = "waiting: b alone runs it" ]'
	wait_until eval '[ "$(handler_of b)" = "running: " ]'
	run -0 kin conflicts a
	assert_output --partial 'hook:mine@b is to settle it: b alone runs it'
	touch go
	settles_as d/x 'by b'
	[ ! -e a-ran ]
	# Another node is named: that one acts at once.
	kin pause a
	printf of-a >a/d/x
	printf of-b >b/d/x
	rm go
	kin resume a
	kin_wait a
	wait_until eval '[ "$(handler_of b)" = "running: " ]'
	[ ! -e a-ran ]
	kin policy a/d hook:mine@a
	wait_until test -e a-ran
	touch go
}

@test "a hook that is deterministic, or one node's, waits less for its turn" {
	local k kind

	policy a/quick hook:quick
	policy a/slow hook:slow
	policy a/named hook:named@b
	# Only b has them: it acts when its turn comes, be that the second.
	for kind in quick slow named; do
		{
			echo '#!/bin/sh'
			[ $kind != quick ] || echo '# kinfs: deterministic'
			echo "date +%s >>'$T/$kind.log'"
			echo 'echo done >"$KIN_OUTPUT"'
		} | install_hook b $kind
		for k in {1..16}; do
			printf base >a/$kind/$k
		done
	done
	kin_wait a
	apart a b
	for k in {1..16}; do
		printf of-a | tee a/{quick,named}/$k >a/slow/$k
		printf of-b | tee b/{quick,named}/$k >b/slow/$k
	done
	together a b
	kin_wait a
	wait_until no_conflicts
	first=$(sort -n ./*.log | head -n 1)
	quick=$(sort -n quick.log | tail -n 1)
	slow=$(sort -n slow.log | tail -n 1)
	named=$(sort -n named.log | tail -n 1)
	# (Not if it was the first for all of them: once in 65,536.)
	assert [ $((slow - first)) -ge 15 ]
	assert [ "$quick" -lt "$slow" ]
	assert [ "$named" -lt "$slow" ]
}

@test "limits of the configuration hold, for one hook or for all" {
	policy a/d hook:mine
	kin_wait a
	install_hook a mine <<-'EOF'
		#!/bin/sh
		exec head -c 100000 /dev/zero >"$KIN_OUTPUT"
	EOF
	printf '#!/bin/sh\nsleep 30\n' | install_hook b mine
	configure a 'limit output 1M' 'limit output 50K mine'
	configure b 'limit time 1'
	edit_apart d/x base of-a of-b
	wait_until eval '[[ $(handler_of a) == "failed: "*51200* ]]'
	# (b's turn is the second one)
	wait_until eval '[[ $(handler_of b) == "failed: "*"longer than 1 s"* ]]'
	configure a '' 'limit time 1h mine'
	run -0 kin hooks list a
	assert_output --partial ".conf:2: the time is"
}

@test "what is configured holds soon, though nothing else happens" {
	for node in a b; do
		printf '#!/bin/sh\ncat "$KIN_VARIANTS_DIR"/* >"$KIN_OUTPUT"\n' |
			install_hook $node cat-all
	done
	edit_apart x.log '' 'of a\n' 'of b\n'
	configure a 'conflict *.txt cat-all'
	configure b 'conflict *.txt cat-all'
	# (asking makes the daemon look, too)
	kin hooks list a
	assert_equal "$(conflict_count a)" 1
	# the same length, at once, within the same second
	configure a 'conflict *.log cat-all'
	kin hooks list a
	wait_until no_conflicts
}

@test "events: applied and peer" {
	dir=$(kin hooks dir "$T/b")
	for event in applied peer; do
		install_hook b $event <<-EOF
			#!/bin/sh
			env | grep '^KIN_' | sort >>'$T/$event.log'
			echo . >>'$T/$event.log'
		EOF
	done
	printf 'applied applied\npeer peer\n' >"$dir.conf"
	chmod 600 "$dir.conf"
	echo 1 >b/own
	kin_wait b
	echo 1 >a/x
	wait_until grep -qs '^\.' applied.log
	run -0 cat applied.log
	assert_line 'KIN_EVENT=applied'
	assert_line "KIN_MOUNTPOINT=$T/b"
	refute_line --partial KIN_PATH
	kin unmount a
	wait_until grep -qs 'KIN_STATE=gone' peer.log
	run -0 cat peer.log
	assert_line 'KIN_PEER=a'
}

@test "on read: who opens a file in conflict gets main at once, and it is settled" {
	dir=$(kin hooks dir "$T/a")
	printf '#!/bin/sh\ncat "$KIN_VARIANTS_DIR"/* >"$KIN_OUTPUT"\n' |
		install_hook a cat-all
	printf 'open *.log cat-all\n' >"$dir.conf"
	chmod 600 "$dir.conf"
	edit_apart x.log '' 'of a\n' 'of b\n'
	assert_equal "$(conflict_count a)" 1
	# it is not held, whoever opens it
	assert_equal "$(wc -l <a/x.log)" 1
	settled() { [ "$(conflict_count a)" = 0 ]; }
	wait_until settled
	assert_equal "$(sort a/x.log)" $'of a\nof b'
	kin_wait a
	assert_same_trees a b
}

@test "names, versions and hooks of any kind: nothing is read as a command" {
	policy a/d hook:mine
	for node in a b; do
		install_hook $node mine <<-'EOF'
			#!/bin/sh
			cat "$KIN_VARIANTS_DIR"/* >"$KIN_OUTPUT"
		EOF
	done
	names=('-rf' ' ' $'new\nline' '$(touch pwned)' '`id`' 'a"b' "it's" '*' \
		'--help')
	for name in "${names[@]}"; do
		printf 'base\n' >"a/d/$name"
	done
	kin_wait a
	apart a b
	for name in "${names[@]}"; do
		printf 'of a\n' >"a/d/$name"
		printf 'of b\n' >"b/d/$name"
	done
	together a b
	kin_wait a
	wait_until no_conflicts
	kin_wait a
	kin_wait b
	for name in "${names[@]}"; do
		assert_equal "$(sort "a/d/$name")" $'of a\nof b'
	done
	assert_same_trees a b
	[ -z "$(find "$T" -name pwned)" ]
}

@test "hooks that hang, fork away, flood or spoil their copies harm nobody" {
	for kind in away flood spoil; do
		policy a/$kind hook:$kind
	done
	for node in a b; do
		install_hook $node away <<-EOF
			#!/bin/sh
			setsid sh -c 'sleep 3; touch $T/survived' &
			exit 1
		EOF
		install_hook $node flood <<-'EOF'
			#!/bin/sh
			yes flood | head -c 50000000
			yes flood | head -c 5000000 >&2
			exit 1
		EOF
		install_hook $node spoil <<-'EOF'
			#!/bin/sh
			rm -rf "$KIN_VARIANTS_DIR" "$KIN_BASE"
			ln -s /etc/passwd "$KIN_OUTPUT"
		EOF
	done
	for kind in away flood spoil; do
		printf base >a/$kind/x
	done
	kin_wait a
	apart a b
	for kind in away flood spoil; do
		printf of-a >a/$kind/x
		printf of-b >b/$kind/x
	done
	together a b
	kin_wait a
	states() {
		kin conflicts --json "$T/a" |
			jq -r '[.[].handler.state] | sort | join(" ")'
	}
	wait_until eval '[ "$(states)" = "failed left left" ]'
	for kind in away flood spoil; do
		assert_equal "$(cat a/$kind/x* | tr -d '\n' | wc -c)" 8
	done
	read -r -t 4 <> <(:) || true
	[ ! -e survived ]
}

@test "another rule while the handler of the one before runs: it is asked" {
	mkdir a/doc
	for file in x y; do
		edit_apart doc/$file 'base\n' 'of a\n' 'of b\n'
	done
	# (nobody to take turns with)
	kin unmount b
	kin member remove b a
	install_hook a slow <<-EOF2
		#!/bin/sh
		touch '$T'/began-"\$(basename "\$KIN_PATH")"
		until [ -e '$T/go' ]; do sleep 0.05; done
		exit 3
	EOF2
	install_hook a good <<-'EOF2'
		#!/bin/sh
		cat "$KIN_VARIANTS_DIR"/* >"$KIN_OUTPUT"
	EOF2
	kin policy a/doc hook:slow
	wait_until test -e began-x
	wait_until test -e began-y
	kin policy a/doc hook:good
	rules() {
		kin conflicts --json a | jq -r '.[].handler.rule'
	}
	wait_until eval '! rules | grep -q hook:slow'
	touch go
	wait_until eval '[ "$(conflict_count a)" = 0 ]'
	assert_equal "$(sort a/doc/x)" $'of a\nof b'
	assert_equal "$(sort a/doc/y)" $'of a\nof b'
}

@test "hooks of root's daemon run as the owner of the mountpoint" {
	local dir=$T node

	need_root
	# (it comes to its folder and its room by their paths)
	until [ "$dir" = "$BATS_RUN_TMPDIR" ]; do
		dir=${dir%/*}
		chmod go+x "$dir"
	done
	chmod 711 "$T"
	for node in a b; do
		kin unmount $node
		chown 65534:65534 $node
		kin_remount $node
		install_hook $node who <<-'EOF2'
			#!/bin/sh
			{
				id -u
				id -G
				cat "$KIN_VARIANTS_DIR"/*
			} >"$KIN_OUTPUT"
		EOF2
		dir=$(kin hooks dir $node)
		chmod 755 "$dir/who"
		until [ "$dir" = "$T" ]; do
			chmod go+x "$dir"
			dir=${dir%/*}
		done
	done
	mkdir a/doc
	kin policy a/doc hook:who
	edit_apart doc/x 'base\n' 'of a\n' 'of b\n'
	wait_until no_conflicts
	kin_wait a
	run -0 cat a/doc/x
	assert_line --index 0 65534
	assert_line --index 1 65534
	assert_equal "$(printf '%s\n' "${lines[@]:2}" | sort)" \
		$'of a\nof b'
	# The file is whose it was, and that user may ask the daemon nothing.
	assert_equal "$(stat -c %u a/doc/x)" 0
	run setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$KIN" conflicts "$T/a"
	assert_failure
	assert_output --partial "another user's volume"
}

@test "what is too large to be handled is left, and no disk is filled with it" {
	local node

	mkdir a/doc
	truncate -s 2G a/doc/disk
	kin_wait a
	apart a b
	for node in a b; do
		printf 'of %s' $node |
			dd of=$node/doc/disk conv=notrunc status=none
	done
	together a b
	kin_wait a
	kin policy a/doc union
	wait_until eval '[ "$(kin conflicts --json a |
		jq -r ".[0].handler.state")" = failed ]'
	run -0 eval 'kin conflicts --json a | jq -r ".[0].handler.reason"'
	assert_output --partial 'larger than 1 GiB'
	assert_equal "$(find a.store/tmp b.store/tmp -type f 2>/dev/null)" ""
	assert_equal "$(conflict_count a)" 1
	assert_equal "$(stat -c %s a/doc/disk)" 2147483648
}
