#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin hooks test: what a hook would make of a conflict, and that nothing
# comes of it.

setup() {
	load helpers
	kin_setup
	need_fuse
	chmod go-w "$T"
	SHIPPED=$BATS_TEST_DIRNAME/../../packaging/hooks
}

teardown() {
	local status=0

	kin_cleanup || status=1
	[ "$T" = "$BATS_TEST_TMPDIR" ] || rm -rf "$T"
	return $status
}

# install NODE NAME: from standard input
install_hook() {
	local dir

	dir=$(kin hooks dir "$T/$1")
	cat >"$dir/$2"
	chmod 700 "$dir/$2"
}

configure() {
	local conf

	conf=$(kin hooks dir "$T/$1").conf
	shift
	printf '%s\n' "$@" >"$conf"
	chmod 600 "$conf"
}

# conflict FILE BASE OF-A OF-B: in a and b
conflict() {
	mkdir -p "$(dirname "a/$1")"
	printf "$2" >"a/$1"
	kin_wait a
	apart a b
	printf "$3" >"a/$1"
	printf "$4" >"b/$1"
	together a b
	kin_wait a
	assert_equal "$(conflict_count a)" 1
}

# nothing_changed COMMAND...: runs it; all that a shows is as before, and no
# room of a hook is left
nothing_changed() {
	local before after

	before=$(tree_of a; kin conflicts --json a; kin status --json a |
		jq .changes)
	"$@"
	after=$(tree_of a; kin conflicts --json a; kin status --json a |
		jq .changes)
	assert_equal "$after" "$before"
	assert_equal "$(find a.store/tmp -mindepth 1)" ""
	assert_equal "$(find "$TMPDIR" -mindepth 1)" ""
}

mount_alone() {
	export TMPDIR=$T/tmp
	mkdir -p "$TMPDIR"
	kin_mount a
}

mount_two() {
	mount_alone
	kin_join a b
	kin_wait a
}

@test "a real conflict: what the hook would make of it, as the daemon would" {
	mount_two
	install_hook a merge-text <"$SHIPPED/merge-text"
	conflict 'd/-a $(id) "b"' '1\n2\n3\n4\n5\n' 'one\n2\n3\n4\n5\n' \
		'1\n2\n3\n4\nfive\n'
	nothing_changed run -0 kin hooks test merge-text 'a/d/-a $(id) "b"'
	assert_line --partial 'in conflict, 2 versions, of '
	assert_line --partial 'made from is known'
	assert_line 'merge-text: exit status 0: it would settle it'
	assert_line --regexp 'it took [0-9.]+ s, of 60 s'
	assert_line 'its result: 15 bytes'
	# (whose edit is main, is open)
	assert_line --regexp '^    \+(one|five)$'
	refute_line --partial 'made up'
	assert_line 'nothing was changed'
	# A sibling's name is as good; the hook gets main's.
	install_hook a tells <<-'EOF'
		#!/bin/sh
		env | sed "s|$HOME|HOME|" | sort
		printf '%s\n' "$@"
		ls "$KIN_VARIANTS_DIR"
		cat "$KIN_BASE" >"$KIN_OUTPUT"
		echo done >&2
	EOF
	sibling=$(find a/d -name '*(conflict*')
	nothing_changed run -0 kin hooks test --json tells "$sibling"
	said=$(jq -r .stdout <<<"$output")
	assert_equal "$(grep '^KIN_PATH' <<<"$said")" 'KIN_PATH=d/-a $(id) "b"'
	assert_equal "$(grep '^KIN_EVENT' <<<"$said")" KIN_EVENT=conflict
	assert_equal "$(tail -n 3 <<<"$said" | head -n 1)" 'd/-a $(id) "b"'
	# (in the order of their dots, whichever node that is)
	[[ "$(tail -n 2 <<<"$said")" == @($'1-a\n2-b'|$'1-b\n2-a') ]]
	assert_equal "$(jq -c '[.made_up, .base, .settles, .result, .status,
		.output_bytes, .stderr, .configuration]' <<<"$output")" \
		'[false,true,true,"settled",0,10,"done\n",null]'
	assert_equal "$(jq -r '[.versions[].label] | sort | join(" ")' \
		<<<"$output")" "a b"
}

@test "no conflict: two versions are made up, and it is said so" {
	mount_alone
	install_hook a merge-text <"$SHIPPED/merge-text"
	printf '1\n2\n3\n4\n' >'a/x y'
	kin wait a
	nothing_changed run -0 kin hooks test merge-text 'a/x y'
	assert_line --partial 'is not in conflict; made up are two versions'
	assert_line --partial '1 has another first line'
	assert_line '    +1 (another begin)'
	assert_line '    +4 (another end)'
	# one line, changed by both
	echo 1 >a/short
	kin wait a
	nothing_changed run -1 kin hooks test merge-text a/short
	assert_line 'merge-text: exit status 1: it would leave it to people'
	assert_line --partial 'version 2 changed'
	# data, nothing at all
	printf 'a\0b' >a/data
	: >a/empty
	kin wait a
	install_hook a newest <"$SHIPPED/newest-with-backup"
	nothing_changed run -0 kin hooks test newest a/data
	assert_line --partial 'another byte at its end'
	assert_line 'its result: 4 bytes'
	nothing_changed run -0 kin hooks test newest a/empty
	assert_line '    + (another end)'
	# a name of any bytes
	name=$'a/-\xff\n$(touch gone)"'
	printf '1\n2\n3\n' >"$name"
	kin wait a
	nothing_changed run -0 kin hooks test merge-text "$name"
	assert_line --partial '-\xff\x0a$(touch gone)": is not in conflict'
	[ ! -e gone ]
}

@test "versions that are given; the result is kept where one says" {
	mount_alone
	install_hook a merge-json <"$SHIPPED/merge-json"
	command -v jq >/dev/null || skip "there is no jq"
	echo '{}' >a/x.json
	echo '{"a":1,"b":1}' >base
	echo '{"a":2,"b":1}' >one
	echo '{"a":1,"b":2}' >two
	nothing_changed run -0 kin hooks test --version one --version two \
		--base base --output result merge-json a/x.json
	assert_line --partial 'with 2 versions given, and what they were'
	assert_equal "$(jq -c . result)" '{"a":2,"b":2}'
	nothing_changed run -1 kin hooks test --version one --version two \
		merge-json a/x.json
	assert_line --partial 'without what they were made from'
	assert_line --partial 'ancestor is not known'
	run -1 kin hooks test --version one --version none merge-json a/x.json
	assert_output --partial 'none: No such file'
	run -2 kin hooks test --version one merge-json a/x.json
	run -2 kin hooks test --base one merge-json a/x.json
}

@test "hooks that fail, crash, hang, flood, or make no output" {
	mount_alone
	echo 1 >a/x
	kin wait a
	printf '#!/bin/sh\necho broken >&2; exit 7\n' | install_hook a fails
	printf '#!/bin/sh\nkill -SEGV $$\n' | install_hook a crashes
	printf '#!/bin/sh\nexit 0\n' | install_hook a nothing
	printf '#!/bin/sh\nln -s /etc/passwd "$KIN_OUTPUT"\n' |
		install_hook a link
	printf '#!/bin/sh\nsleep 100 & sleep 100\n' | install_hook a hangs
	printf '#!/nowhere\n' | install_hook a nowhere
	install_hook a floods <<-'EOF'
		#!/bin/sh
		yes '
		\033[31m' | head -c 10000000
		echo end
		yes | head -c 2000000 >"$KIN_OUTPUT"
	EOF
	nothing_changed run -1 kin hooks test fails a/x
	assert_line 'fails: exit status 7: it failed, and all versions stay'
	assert_line --partial 'it ended with status 7: broken'
	nothing_changed run -1 kin hooks test crashes a/x
	assert_line 'crashes: it failed, and all versions stay'
	assert_line --partial 'SIGSEGV'
	nothing_changed run -1 kin hooks test nothing a/x
	assert_line 'nothing: exit status 0: it failed, and all versions stay'
	nothing_changed run -1 kin hooks test link a/x
	assert_line --partial 'exit status 0: it failed'
	nothing_changed run -1 kin hooks test nowhere a/x
	assert_line --partial 'interpreter that it names does not exist'
	SECONDS=0
	nothing_changed run -1 kin hooks test --time 1 hangs a/x
	assert_line --partial 'it took longer than 1 s'
	assert [ $SECONDS -lt 30 ]
	# More than is shown is kept where one says.
	nothing_changed run -0 kin hooks test floods a/x
	assert_line --partial 'standard output, the end of it:'
	assert_line 'its result: 1.9 MiB'
	refute_line --partial $'\033'
	nothing_changed run -0 kin hooks test --output kept floods a/x
	assert_equal "$(stat -c %s kept)" 2000000
}

@test "the limits are those of the configuration; its mistakes are told" {
	mount_alone
	echo 1 >a/x
	kin wait a
	printf '#!/bin/sh\nexec head -c 5000 /dev/zero >"$KIN_OUTPUT"\n' |
		install_hook a writes
	configure a 'limit time 7 writes' 'limit output 4K' 'limit memory 1M x'
	run -0 kin hooks test writes a/x
	assert_line --partial '.conf:3: the memory is'
	assert_line --partial 'none of the configuration holds'
	configure a 'limit time 7 writes' 'limit output 4K'
	nothing_changed run -1 kin hooks test writes a/x
	assert_line --partial 'file of more than 4096 bytes'
	assert_line --partial 'of 7 s that it may take'
	# --time lowers it only
	run -1 kin hooks test --json --time 60 writes a/x
	assert_equal "$(jq '.limits.seconds == 7' <<<"$output")" true
	assert_equal "$(jq .limits.output <<<"$output")" 4096
}

@test "wrong hooks, files and usage" {
	mount_alone
	mkdir a/dir
	ln -s dir a/link
	echo 1 >a/x
	run -1 kin hooks test nohook a/x
	assert_output --partial 'there is no hook "nohook" in '
	printf '#!/bin/sh\nexit 1\n' | install_hook a open
	chmod o+w "$(kin hooks dir a)/open"
	run -1 kin hooks test open a/x
	assert_output --partial 'refused: mode: '
	run -1 kin hooks test ../open a/x
	assert_output --partial 'a hook is named by'
	chmod o-w "$(kin hooks dir a)/open"
	run -1 kin hooks test open a/dir
	assert_output --partial 'a/dir: is a directory; give a file'
	run -1 kin hooks test open a
	assert_output --partial 'is a directory; give a file'
	run -1 kin hooks test open a/link
	assert_output --partial 'not a regular file'
	run -1 kin hooks test open a/none
	assert_output --partial 'No such file'
	run -4 kin hooks test open "$T/home/x"
	run -2 kin hooks test open
	run -2 kin hooks test --time 0 open a/x
	run -2 kin hooks test --time 4000 open a/x
	run -2 kin hooks test --time 1x open a/x
	run -2 kin hooks list --time 5 a
	assert_output --partial 'only for test'
}

@test "a few hooks at a time are tested, and one of them alone ends" {
	mount_alone
	echo 1 >a/x
	kin wait a
	install_hook a slow <<-EOF
		#!/bin/sh
		echo >>'$T/started'
		while [ ! -e '$T/go' ]; do sleep 0.1; done
		echo 2 >"\$KIN_OUTPUT"
	EOF
	testers=()
	for n in 1 2 3 4; do
		"$KIN" hooks test slow a/x >said.$n 2>&1 3>&- &
		testers+=($!)
	done
	started() { [ "$(wc -l <started)" = 4 ]; }
	wait_until test -e started
	wait_until started
	run -1 kin hooks test slow a/x
	assert_output --partial '4 hooks are being tested already'
	kill "${testers[0]}"
	room_count() { find a.store/tmp -mindepth 1 -maxdepth 1 | wc -l; }
	wait_until eval '[ "$(room_count)" = 3 ]'
	touch go
	wait "${testers[@]:1}"
	for n in 2 3 4; do
		grep -q 'exit status 0: it would settle it' said.$n
	done
	[ "$(cat a/x)" = 1 ]
}

@test "who goes away ends the hook; a daemon that ends does, too" {
	mount_alone
	echo 1 >a/x
	kin wait a
	install_hook a slow <<-EOF
		#!/bin/sh
		echo >>'$T/started'
		sleep 1000
	EOF
	configure a 'limit time 3600'
	for signal in INT TERM KILL; do
		"$KIN" hooks test slow a/x 3>&- &
		tester=$!
		wait_until test -s started
		kill -$signal $tester
		run wait $tester
		no_room() { [ -z "$(find a.store/tmp -mindepth 1)" ]; }
		wait_until no_room
		rm started
		[ $signal != KILL ] || rm -r "$TMPDIR"/kin-hooks-*
		assert_equal "$(find "$TMPDIR" -mindepth 1)" ""
	done
	"$KIN" hooks test slow a/x 2>said 3>&- &
	tester=$!
	wait_until test -s started
	kin unmount a
	run wait $tester
	assert [ "$status" -ne 0 ]
	assert_equal "$(find a.store/tmp -mindepth 1)" ""
}

@test "a daemon of root runs it as the owner of the mountpoint" {
	need_root
	# (to which that one can come: not as the folders of bats)
	export T=$(mktemp -d /tmp/kin-bats-XXXXXX) TMPDIR=$BATS_TEST_TMPDIR
	export XDG_CONFIG_HOME=$T/config
	chmod 755 "$T"
	mkdir "$T/a"
	chown 65534:65534 "$T/a"
	kin_mount a
	echo 1 >"$T/a/x"
	kin wait "$T/a"
	install_hook a who <<-'EOF'
		#!/bin/sh
		id -u >"$KIN_OUTPUT"
	EOF
	chmod 755 "$(kin hooks dir "$T/a")/who"
	run -0 kin hooks test --json --output "$T/out" who "$T/a/x"
	assert_equal "$(cat "$T/out")" 65534
	assert_equal "$(jq .kept_in.store_hidden <<<"$output")" true
}
