#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin resolve --merge, --tool, and what it asks on a terminal.

setup() {
	load helpers
	kin_setup
	export TMPDIR=$T/tmp
	mkdir "$TMPDIR"
	need_fuse
	kin_mount a
	kin_join a b
	kin_wait a
}

teardown() {
	# No copy is left behind.
	[ -z "$(ls -A "$TMPDIR")" ] || ls -R "$TMPDIR" >&2
	[ -z "$(ls -A "$TMPDIR")" ] || false
	kin_cleanup
}

settled() {
	kin_wait a
	kin_wait b
	assert_same_trees a b
	assert_equal "$(conflict_count a)" 0
	assert_equal "$(conflict_count b)" 0
}

# conflict FILE BASE OF-A OF-B: as printf makes them; of b is main
conflict() {
	printf "$2" >"a/$1"
	kin_wait a
	apart a b
	printf "$3" >"a/$1"
	kin token a >token
	printf "$4" >"b/$1"
	meet a b
	assert_equal "$(conflict_count a)" 1
}

lines() {
	conflict "$1" '1\n2\n3\n4\n5\n' '1 of a\n2\n3\n4\n5\n' \
		'1\n2\n3\n4\n5 of b\n'
}

same_line() {
	conflict "$1" '1\n2\n3\n' '1\n2 of a\n3\n' '1\n2 of b\n3\n'
}

unchanged() {
	assert_equal "$(conflict_count a)" 1
	[ "${#lines[@]}" = 1 ]
}

@test "texts are merged by lines, from what both were made of" {
	lines doc.txt
	run -0 kin resolve --dry-run a/doc.txt --merge
	assert_output --partial "would be merged"
	assert_equal "$(conflict_count a)" 1
	kin resolve a/doc.txt --merge
	assert_equal "$(cat a/doc.txt)" $'1 of a\n2\n3\n4\n5 of b'
	settled
	assert_equal "$(cat b/doc.txt)" $'1 of a\n2\n3\n4\n5 of b'
}

@test "at the other node, by the sibling's name, with diff3 only" {
	lines doc
	mkdir bin
	ln -s "$(command -v diff3)" "$(command -v diff)" bin/
	PATH=$T/bin "$KIN" resolve "b/$(siblings b doc)" --merge
	settled
	assert_equal "$(cat a/doc)" $'1 of a\n2\n3\n4\n5 of b'
}

@test "what both changed alike is no conflict, with diff3 only either" {
	mkdir bin
	ln -s "$(command -v diff3)" "$(command -v diff)" bin/
	conflict doc '1\n2\n3\n4\n' '1\nX\n3\n4 of a\n' '1\nX\n3\n4\n'
	PATH=$T/bin "$KIN" resolve a/doc --merge
	settled
	assert_equal "$(cat b/doc)" $'1\nX\n3\n4 of a'
}

@test "the end of the last line may be missing; CR LF in all is fine" {
	conflict doc '1\n2\n3\n4' '1 of a\n2\n3\n4' '1\n2\n3\n4 of b'
	kin resolve a/doc --merge
	settled
	assert_equal "$(printf '1 of a\n2\n3\n4 of b' | xxd)" "$(xxd b/doc)"
	conflict crlf '1\r\n2\r\n3\r\n' '1a\r\n2\r\n3\r\n' '1\r\n2\r\n3b\r\n'
	kin resolve a/crlf --merge
	settled
	assert_equal "$(printf '1a\r\n2\r\n3b\r\n' | xxd)" "$(xxd b/crlf)"
}

@test "what is not merged: the same line" {
	same_line doc
	run -1 kin resolve a/doc --merge
	assert_output --partial "the same lines were changed"
	unchanged
	assert_equal "$(cat a/doc)" $'1\n2 of b\n3'
}

@test "what is not merged: data, mixed ends of lines, long texts" {
	conflict data '1\n\0\n2\n' '1a\n\0\n2\n' '1\n\0\n2b\n'
	run -1 kin resolve a/data --merge
	assert_output --partial "no text"
	unchanged
	kin resolve a/data --take main
	conflict ends '1\n2\n3\n' '1\r\n2\r\n3\r\n' '1\n2\n3 of b\n'
	run -1 kin resolve a/ends --merge
	assert_output --partial "CR LF"
	unchanged
	kin resolve a/ends --take main
	seq 200000 >long
	cp long a/long
	kin_wait a
	apart a b
	echo a >>a/long
	sed -i '1s/.*/b/' b/long
	meet a b
	run -1 kin resolve a/long --merge
	assert_output --partial "1 MiB"
	unchanged
}

# namesakes FILE OF-A OF-B: made apart, as printf makes them; of a is main
namesakes() {
	apart a b
	printf "$2" >"a/$1"
	kin token a >token
	printf "$3" >"b/$1"
	meet a b
	assert_equal "$(kin conflicts --json a | jq -r '.[].kind')" name
}

@test "what is not merged: two files of one name that differ" {
	namesakes new '1\n2\n' '1\n2\n3\n'
	run -1 kin resolve a/new --merge
	assert_output --partial "made apart, and differ"
	unchanged
	mkdir bin
	ln -s "$(command -v diff3)" "$(command -v diff)" bin/
	PATH=$T/bin run -1 "$KIN" resolve a/new --merge
	assert_output --partial "made apart, and differ"
	unchanged
	assert_equal "$(cat a/new b/new)" $'1\n2\n1\n2'
}

@test "two files of one name: one that is empty, and two that are equal" {
	namesakes new '' 'of b\n'
	run -0 kin resolve --dry-run a/new --merge
	assert_output --partial "would be merged"
	assert_equal "$(conflict_count a)" 1
	kin resolve a/new --merge
	settled
	assert_equal "$(cat b/new)" "of b"
	# (equal ones of one mode are no conflict)
	apart a b
	echo same >a/equal
	(umask 077 && echo same >b/equal)
	meet a b
	assert_equal "$(conflict_count b)" 1
	mkdir bin
	ln -s "$(command -v diff3)" "$(command -v diff)" bin/
	PATH=$T/bin "$KIN" resolve --dry-run b/equal --merge
	kin resolve b/equal --merge
	settled
	assert_equal "$(cat a/equal)" same
}

@test "what is not merged: a file and what is none, of one name" {
	apart a b
	echo a >a/one
	ln -s x b/one
	echo a >a/two
	mkdir b/two
	meet a b
	assert_equal "$(kin conflicts --json a | jq -c '[.[].files]')" \
		"[false,false]"
	for file in one two; do
		run -1 kin resolve a/$file --merge
		assert_output --partial "there is nothing to merge"
		run -1 kin resolve a/$file --tool true
		assert_output --partial "there is nothing to merge"
	done
	assert_equal "$(conflict_count a)" 2
}

@test "--all merges what applies, and leaves the rest" {
	mkdir a/d
	for f in one two three; do
		printf '1\n2\n3\n' >a/d/$f
	done
	kin_wait a
	apart a b
	for f in one two three; do
		printf '1 of a\n2\n3\n' >a/d/$f
		printf '1\n2\n3 of b\n' >b/d/$f
	done
	printf '1\n2\n3 of a\n' >a/d/two
	meet a b
	run -1 kin resolve --all a/d --merge
	assert_equal "$(grep -c ": merged" <<<"$output")" 2
	kin_wait a
	assert_equal "$(kin conflicts --json b | jq -r '.[].path')" d/two
	assert_equal "$(cat b/d/one b/d/three)" \
		$'1 of a\n2\n3 of b\n1 of a\n2\n3 of b'
}

@test "three versions become one" {
	kin_join a c
	printf '1\n2\n3\n4\n5\n6\n7\n' >a/doc
	kin_wait a
	apart a b c
	sed -i '1s/$/ of a/' a/doc
	sed -i '4s/$/ of b/' b/doc
	sed -i '7s/$/ of c/' c/doc
	meet a b c
	assert_equal "$(ls b | wc -l)" 3
	kin resolve b/doc --merge
	kin_wait b
	assert_same_trees a b c
	assert_equal "$(cat c/doc)" $'1 of a\n2\n3\n4 of b\n5\n6\n7 of c'
	assert_equal "$(conflict_count c)" 0
}

# A merge tool: what it got, and a result.
tool() {
	cat >"$T/tool" <<-'END'
	#!/bin/bash
	printf '%s\n' "$@" >"$HOME/arguments"
	env | grep ^KIN_ >"$HOME/environment"
	cat "$KIN_OURS" "$KIN_THEIRS" "${KIN_BASE:-/dev/null}" >"$HOME/seen"
	stat -c %a "$(dirname "$KIN_OUTPUT")" "$KIN_OURS" >"$HOME/modes"
	eval "$TOOL_DOES"
	END
	chmod +x "$T/tool"
}

@test "a tool gets base, ours, theirs, output, and its result is taken" {
	local name=$'-x $(touch oops) \'"\n.txt'

	tool
	same_line "$name"
	TOOL_DOES='echo result >"$4"' kin resolve "a/$name" --tool "$T/tool"
	settled
	assert_equal "$(cat "b/$name")" result
	assert_equal "$(cat "$HOME/seen")" \
		$'1\n2 of b\n3\n1\n2 of a\n3\n1\n2\n3'
	assert_equal "$(cat "$HOME/modes")" $'700\n600'
	assert_equal "$(wc -l <"$HOME/arguments")" 4
	assert_equal "$(sed 's,.*/,,' "$HOME/arguments" | paste -sd,)" \
		"base.txt,ours.txt,theirs-1.txt,result-1.txt"
	grep -qF "KIN_PATH=$T/a/-x \$(touch oops)" "$HOME/environment"
	[ ! -e oops ]
}

@test "a tool for two files of one name: no base; one is left" {
	local name=$'-x $(touch oops)\n.txt'

	tool
	namesakes "$name" 'of a\n' 'of b\n'
	KIN_BASE=/none TOOL_DOES='echo both >"$4"' \
		kin resolve "b/$name" --tool "$T/tool"
	settled
	assert_equal "$(ls -Aq b | wc -l)" 1
	assert_equal "$(cat "a/$name")" both
	assert_equal "$(cat "$HOME/seen")" $'of a\nof b'
	assert_equal "$(sed 's,.*/,,' "$HOME/arguments" | paste -sd,)" \
		"no-base,ours.txt,theirs-1.txt,result-1.txt"
	refute grep -q ^KIN_BASE= "$HOME/environment"
	[ ! -e oops ]
}

@test "three files of one name, by the name of one; and what is stale" {
	tool
	kin_join a c
	kin_wait a
	apart a b c
	for node in a b c; do
		echo "of $node" >$node/new
		kin token $node >token
	done
	meet a b c
	assert_equal "$(ls c | wc -l)" 3
	# Saved, renamed, joined by another one while the tool is open.
	local third
	third=$(find c -name '*(conflict c*')
	for does in "echo again >'$T/c/new'" "mv '$T/$third' '$T/c/away'" \
		"mv '$T/c/away' '$T/c/back'; rm '$T/c/new'"; do
		TOOL_DOES="$does; cat \"\$2\" \"\$3\" >\"\$4\"" \
			run -1 kin resolve "$(find c -name '*(conflict b*')" \
			--tool "$T/tool"
		assert_output --partial "changed meanwhile"
	done
	assert_equal "$(cat c/* | sort | paste -sd,)" "of b,of c"
	TOOL_DOES='cat "$2" "$3" >"$4"' run -1 kin resolve c/new --tool "$T/tool"
	assert_output --partial "is not in conflict"
}

@test "a daemon that dies while two files become one: both, or one" {
	local node i done_once=0 kept_once=0

	tool
	for i in 0 1 2 3 4 5; do
		namesakes new 'of a\n' 'of b\n'
		rm -f "$HOME/made"
		pid=$(kin_pid a)
		TOOL_DOES='seq 200000 >"$4"; : >"$HOME/made"' \
			"$KIN" resolve a/new --tool "$T/tool" 2>/dev/null &
		wait_until test -e "$HOME/made"
		read -r -t "0.0$((i * 15 + 1))" <> <(:) || true
		kin_crash "$pid"
		wait $! || true
		wait_until process_is_gone "$pid"
		kin unmount a
		kin_remount a
		if [ "$(ls a | wc -l)" = 1 ]; then
			seq 200000 | cmp - a/new
			done_once=1
		else
			assert_equal "$(cat a/new* | paste -sd,)" "of a,of b"
			kept_once=1
		fi
		all_alike a b
		kin resolve --all a --take main
		rm a/new
		kin_wait a
		kin_wait b
		assert_equal "$(ls -A b)" ""
	done
	echo "done: $done_once, kept: $kept_once"
}

@test "a daemon that dies while the tool is open: nothing is changed" {
	tool
	namesakes new 'of a\n' 'of b\n'
	pid=$(kin_pid a)
	supervisor=$(kin status --json a | jq .supervisor)
	TOOL_DOES="echo x >\"\$4\"; kill -STOP $supervisor; kill -9 $pid $supervisor" \
		run kin resolve a/new --tool "$T/tool"
	[ "$status" != 0 ]
	wait_until process_is_gone "$pid"
	kin unmount a
	kin_remount a
	all_alike a b
	assert_equal "$(cat b/new* | sort | paste -sd,)" "of a,of b"
	assert_equal "$(conflict_count b)" 1
}

@test "programs that are known by their names get their arguments" {
	local line base

	mkdir bin
	for prog in meld vimdiff nvim kdiff3; do
		cat >bin/$prog <<-'END'
		#!/bin/bash
		printf '%s ' "${0##*/}" "${@##*/}" >"$HOME/line"
		for word; do
			[[ $word != */result-1* ]] || echo made >"$word"
		done
		END
		chmod +x bin/$prog
	done
	# with: what they were made from is known; apart: there is none
	while read -r base tool line; do
		if [ $base = with ]; then
			same_line "$tool.c"
		else
			namesakes "$tool.c" 'of a\n' 'of b\n'
		fi
		PATH=$T/bin:$PATH kin resolve "a/$tool.c" --tool $tool
		assert_equal "$(cat "$HOME/line")" "$line "
		settled
		assert_equal "$(cat "b/$tool.c")" made
		rm "a/$tool.c"
		kin_wait a
	done <<-'END'
	with meld meld --output result-1.c ours.c base.c theirs-1.c
	apart meld meld ours.c result-1.c theirs-1.c
	with vimdiff vimdiff -f -c 4wincmd w -c wincmd J ours.c base.c theirs-1.c result-1.c
	apart vimdiff vimdiff -f -c 2wincmd w ours.c result-1.c theirs-1.c
	with nvimdiff nvim -d -c 4wincmd w -c wincmd J ours.c base.c theirs-1.c result-1.c
	apart nvimdiff nvim -d -c 2wincmd w ours.c result-1.c theirs-1.c
	with kdiff3 kdiff3 --auto -o result-1.c base.c ours.c theirs-1.c
	apart kdiff3 kdiff3 -o result-1.c ours.c theirs-1.c
	END
}

# keys TEXT ARGUMENT...: kin on a terminal whose programs get these keys
keys() {
	printf '%q ' "$KIN" "${@:2}" >"$T/line"
	printf "$1" | TERM=vt100 timeout $DEADLINE script -qec "$(cat "$T/line")" /dev/null
}

@test "vimdiff itself: the cursor is in the result" {
	[[ $(vim --version 2>/dev/null) == *+diff* ]] &&
		command -v vimdiff >/dev/null ||
		skip "there is no vim with +diff"
	same_line doc.c
	keys ':2s/.*/by vim/\r:wqa\r' resolve a/doc.c --tool vimdiff
	settled
	assert_equal "$(cat b/doc.c)" $'1\nby vim\n3'
	# Not written, and :cq: nothing is done.
	same_line other
	run keys ':qa\r' resolve a/other --tool vimdiff
	assert_output --partial "has not written the result"
	run keys ':2s/.*/x/\r:w\r:cq\r' resolve a/other --tool vimdiff
	assert_output --partial "nothing was changed"
	assert_equal "$(conflict_count a)" 1
	kin resolve a/other --take main
	namesakes new 'of a\n' 'of b\n'
	keys 'oby vim\033:wqa\r' resolve a/new --tool vimdiff
	settled
	assert_equal "$(cat b/new)" $'of a\nby vim'
}

@test "places for the files, and KIN_MERGETOOL" {
	tool
	same_line doc
	TOOL_DOES='cp "$3" "$2"' KIN_MERGETOOL="$T/tool -o {output} {theirs}" \
		kin resolve a/doc --tool=
	settled
	assert_equal "$(cat a/doc)" $'1\n2 of a\n3'
	assert_equal "$(wc -l <"$HOME/arguments")" 3
}

@test "a tool that fails, says nothing, is missing, or is late" {
	tool
	same_line doc
	for does in 'echo x >"$4"; exit 3' 'true' 'kill -9 $$' \
		'rm "$4"' 'ln -sf /etc/passwd "$4"' \
		'rm -f "$1" "$2" "$3" "$4"; exit 1'; do
		TOOL_DOES=$does run -1 kin resolve a/doc --tool "$T/tool"
		assert_output --partial "nothing was changed"
		unchanged
	done
	run -1 kin resolve a/doc --tool "$T/none"
	assert_output --partial "no such program"
	unchanged
	# Somebody saves while the tool is open.
	TOOL_DOES="echo x >\"\$4\"; echo again >'$T/a/doc'" \
		run -1 kin resolve a/doc --tool "$T/tool"
	assert_output --partial "changed meanwhile"
	unchanged
	assert_equal "$(cat a/doc)" again
	# Somebody settles meanwhile.
	TOOL_DOES="echo x >\"\$4\"; '$KIN' resolve '$T/a/doc' --take '$(siblings a doc)'" \
		run -1 kin resolve a/doc --tool "$T/tool"
	assert_output --partial "changed meanwhile"
	settled
	assert_equal "$(cat b/doc)" $'1\n2 of a\n3'
}

@test "a large result, and one of no bytes" {
	tool
	same_line doc
	TOOL_DOES='seq 3000000 >"$4"' kin resolve a/doc --tool "$T/tool"
	settled
	assert_equal "$(sha256sum <b/doc)" "$(seq 3000000 | sha256sum)"
	same_line other
	TOOL_DOES=': >"$4"' kin resolve b/other --tool "$T/tool"
	settled
	[ -e a/other ] && [ ! -s a/other ]
}

@test "copies of files whose bytes are not text, and large ones" {
	tool
	head -c 3000000 /dev/urandom >one
	head -c 2500000 /dev/urandom >two
	echo base >a/doc
	kin_wait a
	apart a b
	cp one a/doc
	kin token a >token
	cp two b/doc
	meet a b
	TOOL_DOES='cp "$3" "$4"; cat "$2" >"$HOME/ours"' \
		kin resolve a/doc --tool "$T/tool"
	settled
	cmp two "$HOME/ours"
	cmp one b/doc
}

@test "temporary copies do not go into a volume" {
	tool
	same_line doc
	mkdir a/tmp
	kin_wait a
	TOOL_DOES='find "$T/a" "$T/b" -name "ours*" >"$HOME/found"
		echo x >"$4"' TMPDIR=$T/a/tmp T=$T \
		kin resolve a/doc --tool "$T/tool"
	settled
	assert_equal "$(cat "$HOME/found")" ""
}

# answers TEXT ARGUMENT...: kin on a terminal on which this is typed
answers() {
	local text=$1

	shift
	printf '%q ' "$KIN" "$@" >"$T/line"
	printf "$text" | script -qec "$(cat "$T/line")" /dev/null |
		tr -d '\r'
}

@test "on a terminal: what there is, how it differs, and a number" {
	lines doc
	run answers '2\n' resolve a/doc
	assert_line --partial "a/doc: edited in several places"
	assert_line "    -1"
	assert_line "    +1 of a"
	assert_line "    +5 of b"
	assert_line --partial "settled"
	settled
	assert_equal "$(head -n 1 b/doc)" "1 of a"
}

@test "on a terminal: merged, looked at, taken" {
	lines doc
	run answers 'q\n' resolve a/doc
	assert_line --partial "left as it is"
	run answers 'm\nn\nq\n' resolve a/doc
	assert_equal "$(conflict_count a)" 1
	run answers 'm\ny\n' resolve a/doc
	settled
	assert_equal "$(cat b/doc)" $'1 of a\n2\n3\n4\n5 of b'
}

@test "on a terminal: marked lines are edited; marks are not taken" {
	same_line doc
	printf '#!/bin/sh\ngrep -q "^<<<<<<< b" "$1" && grep -q "^>>>>>>> a" "$1" && grep -q "^2 of a" "$1"\n' >look
	printf '#!/bin/sh\necho both >"$1"\n' >edit
	chmod +x look edit
	EDITOR=$T/look run answers 'm\ny\nn\nq\n' resolve a/doc
	assert_line --partial "marks left"
	assert_equal "$(conflict_count a)" 1
	EDITOR=$T/edit run answers 'm\ny\n' resolve a/doc
	settled
	assert_equal "$(cat b/doc)" both
}

@test "on a terminal: bytes that would move the cursor are shown as such" {
	conflict doc 'x\n' 'x\033[2J\n' 'x\t\303\244\n'
	run answers 'q\n' resolve a/doc
	assert_line '    +x\x1b[2J'
	assert_line $'    +x\t\303\244'
}

@test "on a terminal: two files of one name; the end of the input" {
	apart a b
	echo a >a/new
	echo b >b/new
	meet a b
	run answers '\004' resolve a/new
	assert_equal "$(conflict_count a)" 1
	run answers '9\nx\n0\n2\n' resolve a/new
	assert_line --partial "different files of one name"
	settled
}

@test "on a terminal: two files of one name are made one" {
	namesakes new 'head\nof a\n' 'head\nof b\n'
	run answers 'q\n' resolve a/new
	assert_line --partial "made apart"
	assert_line "    -of a"
	assert_line "    +of b"
	printf '#!/bin/sh\ngrep -v "^[<=>]" "$1" >both; cat both >"$1"\n' >edit
	chmod +x edit
	EDITOR=$T/edit run answers 'm\ny\n' resolve a/new
	assert_line --partial "settled"
	settled
	assert_equal "$(cat b/new)" $'head\nof a\nof b'
}

@test "on a terminal: what changed since it was shown is not taken" {
	same_line doc
	printf '%q ' "$KIN" resolve a/doc >line
	: >shown
	{
		wait_until grep -q "NUMBER takes" shown
		echo again >a/doc
		kin token a >token
		printf '1\nm\nq\n'
	} | script -qec "$(cat line)" /dev/null >shown || true
	assert_equal "$(grep -c "changed meanwhile" shown)" 1
	assert_equal "$(conflict_count a)" 1
	assert_equal "$(cat a/doc)" again
}

@test "^C leaves all as it is, and nothing behind" {
	tool
	same_line doc
	printf '#!/bin/sh\nkill -INT $PPID\necho x >"$4"\n' >interrupt
	chmod +x interrupt
	run -1 kin resolve a/doc --tool "$T/interrupt"
	assert_equal "$(conflict_count a)" 1
	run answers '\003' resolve a/doc
	assert_equal "$(conflict_count a)" 1
}

# ask SOCKET REQUEST KIND: the answer's error; KIND of the descriptor beside it
ask() {
	python3 - "$@" <<-'END'
	import json, os, socket, sys, tempfile
	path, request, kind = sys.argv[1:]
	d = tempfile.mkdtemp()
	f = os.path.join(d, "f")
	open(f, "w").write("bytes")
	os.mkfifo(os.path.join(d, "fifo"))
	fds = {"none": [], "dir": [os.open(d, os.O_RDONLY)],
	       "file": [os.open(f, os.O_RDONLY)],
	       "written": [os.open(f, os.O_WRONLY)],
	       "fifo": [os.open(os.path.join(d, "fifo"), os.O_RDWR)],
	       "many": [os.open(f, os.O_RDONLY) for _ in range(200)],
	       "full": [os.open(d, os.O_RDONLY)]}[kind]
	if kind == "full":
	    open(os.path.join(d, "1"), "w").write("kept")
	s = socket.socket(socket.AF_UNIX)
	os.chdir(os.path.dirname(path))
	s.connect(os.path.basename(path))
	s.settimeout(60)
	socket.send_fds(s, [request.encode() + b"\n"], fds)
	answer = json.loads(s.makefile().readline())
	print(answer.get("error", "ok"))
	for name in os.listdir(d):
	    os.unlink(os.path.join(d, name))
	os.rmdir(d)
	END
}

open_files() {
	for pid in $(daemons_of_test); do ls "/proc/$pid/fd"; done | wc -l
}

@test "requests to copy and to settle that are wrong" {
	local socket versions settle token before

	same_line doc
	socket=$(find "$XDG_RUNTIME_DIR" -type s -print -quit)
	[ -n "$socket" ]
	token=$(printf '%064d' 0)
	before=$(open_files)
	versions='{"cmd":"versions","path":"doc"}'
	settle='{"cmd":"settle","path":"doc","token":"'$token'"}'
	for kind in none file fifo; do
		assert_equal "$(ask "$socket" "$versions" $kind)" EINVAL
	done
	assert_equal "$(ask "$socket" "$versions" many)" EINVAL
	assert_equal "$(ask "$socket" "$versions" full)" EEXIST
	assert_equal "$(ask "$socket" "$versions" dir)" ok
	for kind in none dir fifo; do
		assert_equal "$(ask "$socket" "$settle" $kind)" EINVAL
	done
	assert_equal "$(ask "$socket" "$settle" file)" ESTALE
	assert_equal "$(ask "$socket" "$settle" many)" ESTALE
	assert_equal "$(ask "$socket" \
		'{"cmd":"settle","path":"doc","token":"short"}' file)" EINVAL
	assert_equal "$(ask "$socket" \
		'{"cmd":"settle","path":"none","token":"'$token'"}' file)" \
		ENOENT
	assert_equal "$(ask "$socket" \
		'{"cmd":"versions","path":""}' dir)" ENODATA
	assert_equal "$(ask "$socket" '{"cmd":"versions"}' dir)" EINVAL
	# A descriptor that comes with anything else is closed.
	assert_equal "$(ask "$socket" '{"cmd":"status"}' many)" ok
	assert_equal "$(open_files)" "$before"
	assert_equal "$(conflict_count a)" 1
}
