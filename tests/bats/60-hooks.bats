#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The hooks of packaging/hooks, each run by the contract of its README: no
# mount, no daemon.

setup() {
	load helpers
	T=$BATS_TEST_TMPDIR
	# Each is a file that can be copied alone.
	HOOKS=$T/hooks
	cp -r "$BATS_TEST_DIRNAME/../../packaging/hooks" "$HOOKS"
	FILE=notes.txt
	HOOK_PATH=/usr/local/bin:/usr/bin:/bin
	mkdir "$T/versions"
	cd "$T" || return 1
}

# base TEXT..., version N TEXT...: as printf writes it; without, from stdin
base() {
	if [ $# -gt 0 ]; then
		# shellcheck disable=SC2059
		printf "$@" >"$T/base"
	else
		cat >"$T/base"
	fi
}

version() {
	local file=$T/versions/$1-label.$1

	shift
	if [ $# -gt 0 ]; then
		# shellcheck disable=SC2059
		printf "$@" >"$file"
	else
		cat >"$file"
	fi
}

# order N...: the versions change places, the first is what was version N
order() {
	local n i=0

	rm -rf "$T/before"
	mv "$T/versions" "$T/before"
	mkdir "$T/versions"
	for n; do
		i=$((i + 1))
		cp -p "$T/before/$n-"* "$T/versions/$i-label.$i"
	done
}

again() {
	rm -rf "$T/versions" "$T/base"
	mkdir "$T/versions"
}

# run_hook STATUS NAME: it touches nothing but its output, and leaves nothing
# behind; without success nobody looks at the output.
run_hook() {
	local known=()

	rm -rf "$T/out" "$T/cwd"
	mkdir "$T/cwd"
	cp -a "$T/versions" "$T/versions.before"
	[ ! -e "$T/base" ] || known=(KIN_BASE="$T/base")
	cd "$T/cwd" || return 1
	run "-$1" --separate-stderr env -i PATH="$HOOK_PATH" \
		LANG=C.UTF-8 HOME="$T/cwd" KIN_EVENT=conflict \
		KIN_PATH="$FILE" KIN_VOLUME=0123456789abcdef \
		KIN_VARIANTS_DIR="$T/versions" KIN_OUTPUT="$T/out" \
		"${known[@]}" "$HOOKS/$2" "$FILE" </dev/null
	cd "$T" || return 1
	# (keepassxc-cli makes a ~/.config, and HOME is here.)
	assert_equal "$(find "$T/cwd" -mindepth 1 -name 'hook.*')" ""
	diff -r "$T/versions" "$T/versions.before"
	rm -rf "$T/versions.before"
	[ "$1" != 0 ] || assert [ -f "$T/out" ]
}

settles() {
	run_hook 0 "$1"
}

# leaves NAME [REASON]
leaves() {
	run_hook 1 "$1"
	assert_equal "$output" ""
	assert [ -n "$stderr" ]
	[[ $stderr == "$1: "*"${2:-}"* ]] || fail "reason: $stderr"
}

fails() {
	run_hook 2 "$1"
	[[ $stderr == "$1: "*"${2:-}"* ]] || fail "reason: $stderr"
}

# gives TEXT...: the output, as printf writes it
gives() {
	# shellcheck disable=SC2059
	printf "$@" >"$T/expected"
	cmp "$T/expected" "$T/out" || {
		od -c "$T/out" | head -40
		false
	}
}

gives_version() {
	cmp "$T/versions/$1-label.$1" "$T/out"
}

# only PROGRAM...: PATH has these and what all hooks use
only() {
	local program

	rm -rf "$T/bin"
	mkdir "$T/bin"
	for program in sh cat mktemp rm ln mv sha256sum tr wc grep head tail \
		sed find cmp env iconv "$@"; do
		ln -s "$(command -v "$program")" "$T/bin/$program"
	done
	HOOK_PATH=$T/bin
}

need() {
	command -v "$1" >/dev/null || skip "there is no $1"
}

merges=(merge-text union-lines merge-json merge-pim merge-keepass)

# ---- all of them

@test "the hooks are executables for /bin/sh that say what they are" {
	for hook in "${merges[@]}" newest-with-backup; do
		assert [ -x "$HOOKS/$hook" ]
		assert_equal "$(head -n 1 "$HOOKS/$hook")" "#!/bin/sh"
		grep -q "^# $hook: " "$HOOKS/$hook"
		grep -q "^# Leaves the conflict" "$HOOKS/$hook"
		grep -q "^# Needs: " "$HOOKS/$hook"
		grep -q "$hook" "$HOOKS/README.md"
	done
}

@test "shellcheck has nothing to say of the hooks" {
	need shellcheck
	for hook in "${merges[@]}" newest-with-backup; do
		shellcheck "$HOOKS/$hook"
	done
}

@test "all: what is equal everywhere is that, whatever it is" {
	for content in '' 'a' 'a\n' 'a\0b\n' '\357\273\277{' '{' '\r' '\n\n'; do
		for hook in "${merges[@]}" newest-with-backup; do
			for known in no yes; do
				again
				version 1 "$content"
				version 2 "$content"
				version 3 "$content"
				[ $known = no ] || base 'other %s' "$content"
				settles "$hook"
				gives "$content"
			done
		done
	done
}

@test "all merges: a change on one side is that side, byte for byte" {
	for content in '' 'b' 'b\r\nc\n' 'a\0b\n' '\377\376' '{"a": 1' '\n\n'; do
		for hook in "${merges[@]}"; do
			again
			base 'a\n'
			version 1 'a\n'
			version 2 "$content"
			version 3 'a\n'
			settles "$hook"
			gives_version 2
			order 2 1 3
			settles "$hook"
			gives_version 1
		done
	done
}

@test "all merges: 64 versions, one of them changed" {
	for hook in "${merges[@]}"; do
		again
		base 'a\n'
		for n in {1..64}; do
			version "$n" 'a\n'
		done
		version 11 'b\n'
		settles "$hook"
		gives 'b\n'
	done
}

@test "all: names are never looked into" {
	local odd names

	names=('-rf' 'a b' "it's" 'a"b' $'a\nb\n' '$(touch gone)' '`touch gone`'
		'*' '~' '--' 'é' '\n' '%s' $'\t')
	for odd in "${names[@]}"; do
		for hook in "${merges[@]}" newest-with-backup; do
			again
			FILE="$odd/$odd"
			base 'a\n'
			version 1 'a\n'
			version 2 'b\n'
			touch -d 2026-01-01 versions/1-*
			settles "$hook"
			gives 'b\n'
		done
	done
	assert_equal "$(find "$T" -name gone)" ""
}

@test "all: a folder of strange name is as good as any" {
	local real=$T

	for hook in "${merges[@]}" newest-with-backup; do
		T="$real/\$(touch gone) 'a' \"b\""$'\n'"*[x]/-$hook"
		mkdir -p "$T"
		again
		base 'a\n'
		version 1 'a\n'
		version 2 'b\n'
		touch -d 2026-01-01 "$T/versions/1-label.1"
		settles "$hook"
		gives 'b\n'
	done
	T=$real
	assert_equal "$(find "$T" -name gone)" ""
}

@test "all: no versions at all, or an output that cannot be, are failures" {
	for hook in "${merges[@]}" newest-with-backup; do
		again
		fails "$hook" "no versions"
		version 1 'a\n'
		version 2 'a\n'
		mkdir "$T/dir"
		run -2 env -i PATH="$HOOK_PATH" KIN_PATH=x KIN_VOLUME=v \
			KIN_VARIANTS_DIR="$T/versions" KIN_OUTPUT="$T/dir" \
			"$HOOKS/$hook" x
		rmdir "$T/dir"
	done
}

@test "all: a program that is missing is a failure, not a decision" {
	base '{"a":1}\n'
	version 1 '{"a":2}\n'
	version 2 '{"a":1,"b":2}\n'
	only awk
	fails merge-json "there is no jq"
	fails merge-text "neither diff3 nor git"
	only
	fails union-lines "there is no awk"
	fails merge-pim "there is no awk"
}

# ---- merge-text

@test "text: changes of different lines are all there, in any order" {
	seq 200 | base
	for n in {1..64}; do
		seq 200 | sed "$((n * 3))s/\$/ by $n/" | version "$n"
	done
	settles merge-text
	seq 200 | awk '{ n = $1 / 3; print $1 (n == int(n) && n <= 64 ? \
		" by " n : "") }' >expected
	cmp expected out
	# shellcheck disable=SC2046
	order $(seq 64 -1 1)
	settles merge-text
	cmp expected out
	# shellcheck disable=SC2046
	order $(seq 1 7 64) $(for i in {2..7}; do seq "$i" 7 64; done)
	settles merge-text
	cmp expected out
}

@test "text: added, removed, and the same change of both" {
	base '1\n2\n3\n4\n5\n6\n7\n'
	version 1 '0\n1\n2\nsame\n4\n5\n6\n7\n'
	version 2 '1\n2\nsame\n4\n5\n7\n'
	settles merge-text
	gives '0\n1\n2\nsame\n4\n5\n7\n'
	order 2 1
	settles merge-text
	gives '0\n1\n2\nsame\n4\n5\n7\n'
}

@test "text: the newline at the end is a change like others" {
	base '1\n2\n3\n4'
	version 1 '0\n1\n2\n3\n4'
	version 2 '1\n2\n3\n4\n'
	settles merge-text
	gives '0\n1\n2\n3\n4\n'
	again
	base '1\n2\n3\n4\n'
	version 1 '1\n2\n3\n4'
	version 2 '0\n1\n2\n3\n4\n'
	settles merge-text
	gives '0\n1\n2\n3\n4'
	again
	base '1\n2\n3\n4'
	version 1 '0\n1\n2\n3\n4'
	version 2 '1\n2\n3\n4\n5'
	settles merge-text
	gives '0\n1\n2\n3\n4\n5'
}

@test "text: what does not apply is left, and nothing has markers" {
	base '1\n2\n3\n'
	version 1 '1\nb\n3\n'
	version 2 '1\nc\n3\n'
	leaves merge-text "version 2 changed"
	assert [ ! -e out ]
	# one beside the other
	version 2 '1\n2\nc\n'
	leaves merge-text
	# removed and changed
	version 2 '1\n3\n'
	leaves merge-text
	# both added at one place
	version 1 '1\n2\n3\n4\n'
	version 2 '1\n2\n3\n5\n'
	leaves merge-text
	# only the third does not apply
	version 2 '0\n1\n2\n3\n'
	version 3 '1\n2\n3\n5\n'
	leaves merge-text "version 3 changed"
	# emptied, and changed
	version 3 ''
	leaves merge-text
}

@test "text: lines that look like markers are lines" {
	base '<<<<<<< a\n2\n=======\n4\n>>>>>>> b\n'
	version 1 '<<<<<<< a\nx\n=======\n4\n>>>>>>> b\n'
	version 2 '<<<<<<< a\n2\n=======\n4\n>>>>>>> b\n||||||| c\n'
	settles merge-text
	gives '<<<<<<< a\nx\n=======\n4\n>>>>>>> b\n||||||| c\n'
}

@test "text: without a base it is left" {
	version 1 '1\n2\n'
	version 2 '1\n2\n3\n'
	leaves merge-text "ancestor is not known"
	base ''
	leaves merge-text "version 2 changed"
}

@test "text: CRLF is kept, and never mixed" {
	base '1\r\n2\r\n3\r\n4\r\n'
	version 1 '0\r\n1\r\n2\r\n3\r\n4\r\n'
	version 2 '1\r\n2\r\n3\r\n4\r\n5'
	settles merge-text
	gives '0\r\n1\r\n2\r\n3\r\n4\r\n5'
	version 1 '0\n1\n2\n3\n4\n'
	leaves merge-text "differ in their line ends"
	version 1 '0\r\n1\r\n2\n3\r\n4\r\n'
	leaves merge-text "version 1 ends its lines in more than one way"
	version 1 '0\r\n1\r\n2\r3\r\n4\r\n'
	leaves merge-text "version 1 ends its lines in more than one way"
	version 1 '0\r\n1\r\n2\r\n3\r\n4\r'
	leaves merge-text "version 1 ends its lines in more than one way"
	again
	base '1\n2\n'
	version 1 '1\n2\n\r'
	version 2 '0\n1\n2\n'
	leaves merge-text "version 1 ends its lines in more than one way"
}

@test "text: NUL, what is not UTF-8, and a byte order mark" {
	base '1\n2\n3\n'
	version 1 '0\n1\n2\n3\n'
	version 2 '1\n2\n3\n\0'
	leaves merge-text "version 2 is not text"
	version 2 '1\n2\n3\ncaf\351\n'
	leaves merge-text "version 2 is not UTF-8"
	version 2 '\357\273\2771\n2\n3\n'
	leaves merge-text "byte order mark"
	version 2 '1\n2\n3\ncaf\303\251\n'
	settles merge-text
	gives '0\n1\n2\n3\ncaf\303\251\n'
	base '\357\273\2771\n2\n3\n'
	version 1 '\357\273\2771\n2\n3\n4\n'
	version 2 '\357\273\277x\n2\n3\n'
	settles merge-text
	gives '\357\273\277x\n2\n3\n4\n'
}

@test "text: long lines, and no more than 1 MiB" {
	long=$(head -c 500000 /dev/zero | tr '\0' x)
	base '%s\n2\n3\n' "$long"
	version 1 '%s\n2\n3\n4\n' "$long"
	version 2 '%sy\n2\n3\n' "$long"
	settles merge-text
	gives '%sy\n2\n3\n4\n' "$long"
	head -c 1048576 /dev/zero | tr '\0' x | version 2
	leaves merge-text "version 2 changed"
	head -c 1048577 /dev/zero | tr '\0' x | version 2
	leaves merge-text "version 2 is larger than 1 MiB"
}

@test "text: git does it where there is no diff3" {
	need git
	only git
	base '1\n2\n3\n4\n5\n'
	version 1 'x\n2\n3\n4\n5\n'
	version 2 '1\n2\n3\n4\ny'
	version 3 '1\n2\nz\n4\n5\n'
	settles merge-text
	gives 'x\n2\nz\n4\ny'
	version 3 'z\n2\n3\n4\n5\n'
	leaves merge-text "version 3 changed"
}

# ---- union-lines

@test "union: what was appended here and there, in dot order" {
	base 'p\n'
	version 1 'p\na\nb\n'
	version 2 'p\nc\nd\n'
	version 3 'p\ne\n'
	settles union-lines
	gives 'p\na\nb\nc\nd\ne\n'
	rm base
	settles union-lines
	gives 'p\na\nb\nc\nd\ne\n'
	order 3 1 2
	settles union-lines
	gives 'p\ne\na\nb\nc\nd\n'
}

@test "union: a line that two wrote is there once, a repeated one is not lost" {
	base 'p\n'
	version 1 'p\nretry\nretry\na\n'
	version 2 'p\nretry\nretry\nretry\nb\n'
	settles union-lines
	gives 'p\nretry\nretry\na\nretry\nb\n'
	order 2 1
	settles union-lines
	gives 'p\nretry\nretry\nretry\nb\na\n'
}

@test "union: what is merged again does not grow" {
	base 'p\n\nq\n'
	version 1 'p\n\na\n\nq\n'
	version 2 'p\n\nb\n\nq\nr\n'
	settles union-lines
	cp out versions/3-label.3
	cp out once
	settles union-lines
	cmp once out
	order 3 2 1
	settles union-lines
	cmp once out
	order 2 3 1
	settles union-lines
	cmp <(sort once) <(sort out)
}

@test "union: what was taken off the list stays off, if it was on it before" {
	base 'a\nb\nc\nd\n'
	version 1 'a\nc\nd\n'
	version 2 'a\nb\nc\nd\ne\n'
	settles union-lines
	gives 'a\nc\nd\ne\n'
	rm base
	settles union-lines
	gives 'a\nb\nc\nd\ne\n'
	# one of the two times that it is there
	base 'x\ny\nx\n'
	version 1 'x\ny\n'
	version 2 'x\ny\nx\nz\n'
	settles union-lines
	gives 'x\ny\nz\n'
	# changed by both: both
	base 'a\nb\nc\n'
	version 1 'a\nb1\nc\n'
	version 2 'a\nb2\nc\n'
	settles union-lines
	gives 'a\nb1\nb2\nc\n'
	# a log that was emptied, and went on elsewhere
	base 'a\nb\n'
	version 1 ''
	version 2 'a\nb\nc\n'
	settles union-lines
	gives 'c\n'
}

@test "union: new lines stand where they were written" {
	base 'a\nm\nz\n'
	version 1 'a\nb\nm\nz\n'
	version 2 '0\na\nm\nn\nz\n'
	version 3 'a\nc\nm\nz\n'
	settles union-lines
	gives '0\na\nb\nc\nm\nn\nz\n'
	rm base
	settles union-lines
	gives '0\na\nb\nc\nm\nn\nz\n'
	# what stood after a line that is gone
	again
	base 'a\nb\nc\n'
	version 1 'a\nb\nnew\nc\n'
	version 2 'a\nc\n'
	settles union-lines
	gives 'a\nnew\nc\n'
	# in the place of a line, and after it
	version 2 'a\nB\nc\n'
	settles union-lines
	gives 'a\nB\nnew\nc\n'
}

@test "union: separators go with the entry above them" {
	base '# list\n\n- a\n\n'
	version 1 '# list\n\n- a\n\n- b\n\n'
	version 2 '# list\n\n- 0\n\n- a\n\n'
	version 3 '# list\n\n- a\n\n- c\n---\n'
	settles union-lines
	gives '# list\n\n- 0\n\n- a\n\n- b\n\n- c\n---\n'
	again
	base 'a\n\nb\n\nc\n'
	version 1 'a\n\nc\n'
	version 2 'a\n\nb\n\nc\nd\n'
	settles union-lines
	gives 'a\n\nc\nd\n'
}

@test "union: the newline at the end" {
	base 'a'
	version 1 'a\nb'
	version 2 'a\nc'
	settles union-lines
	gives 'a\nb\nc'
	version 2 'a\nc\n'
	settles union-lines
	gives 'a\nb\nc\n'
	base ''
	version 1 ''
	version 2 'a'
	version 3 'b\n'
	settles union-lines
	gives 'a\nb\n'
	again
	base 'a\n'
	version 1 ''
	version 2 'a'
	settles union-lines
	gives ''
	rm base
	version 1 '\n'
	version 2 '\n\n'
	settles union-lines
	gives '\n\n'
}

@test "union: the same lines in any order of the versions" {
	seq 100 | base
	for n in {1..64}; do
		{ seq 100 | sed "${n}d"; echo "by $n"; echo both; } |
			version "$n"
	done
	settles union-lines
	{ seq 65 100; seq 64 | sed 's/^/by /'; echo both; } | sort >expected
	cmp expected <(sort out)
	# shellcheck disable=SC2046
	order $(seq 64 -1 1)
	settles union-lines
	cmp expected <(sort out)
	assert_equal "$(grep -m 1 by out)" "by 64"
}

@test "union: line ends and byte order mark" {
	base 'a\r\n'
	version 1 'a\r\nb\r\n'
	version 2 'a\r\nc\r\n'
	settles union-lines
	gives 'a\r\nb\r\nc\r\n'
	version 2 'a\nc\n'
	leaves union-lines "line ends"
	# a log with both: CR is a byte of the line
	base 'a\r\nb\n'
	version 1 'a\r\nb\nc\r\n'
	version 2 'a\r\nb\nd\n'
	settles union-lines
	gives 'a\r\nb\nc\r\nd\n'
	base '\357\273\277a\n'
	version 1 '\357\273\277a\nb\n'
	version 2 '\357\273\277a\nc\n'
	settles union-lines
	gives '\357\273\277a\nb\nc\n'
	version 2 'a\nc\n'
	leaves union-lines "byte order mark"
}

@test "union: NUL is left, other bytes are bytes" {
	base 'a\n'
	version 1 'a\nb\0\n'
	version 2 'a\nc\n'
	leaves union-lines "version 1 has NUL bytes"
	version 1 'a\n\377\376\n\\n$(id)`id`%%s&\n'
	version 2 'a\n\034\ncaf\303\251\n'
	settles union-lines
	gives 'a\n\377\376\n\\n$(id)`id`%%s&\n\034\ncaf\303\251\n'
}

@test "union: long lines, and a limit of bytes and lines" {
	long=$(head -c 3000000 /dev/zero | tr '\0' x)
	base '%s\n' "$long"
	version 1 '%s\n1%s\n' "$long" "$long"
	version 2 '%s\n2%s\n' "$long" "$long"
	settles union-lines
	gives '%s\n1%s\n2%s\n' "$long" "$long" "$long"
	head -c 16777216 /dev/zero | tr '\0' x | version 2
	leaves union-lines "above 16 MiB"
	yes | head -n 1000001 | version 2
	leaves union-lines "million lines"
}

# ---- merge-json

@test "json: key by key, at any depth" {
	need jq
	base '{"a":1,"b":{"c":2,"d":{"e":3,"f":[1,2]}},"g":null}'
	version 1 '{"a":10,"b":{"c":2,"d":{"e":3,"f":[1,2]}},"g":null}'
	version 2 '{"a":1,"b":{"c":2,"d":{"e":3,"f":[1]},"n":{}},"g":null}'
	version 3 '{"a":1,"b":{"d":{"e":3,"f":[1,2]}},"g":false,"h":0}'
	settles merge-json
	gives '{"a":10,"b":{"d":{"e":3,"f":[1]},"n":{}},"g":false,"h":0}'
	jq -S . out >expected
	for all in "1 3 2" "2 1 3" "2 3 1" "3 1 2" "3 2 1"; do
		again
		base '{"a":1,"b":{"c":2,"d":{"e":3,"f":[1,2]}},"g":null}'
		version 1 '{"a":10,"b":{"c":2,"d":{"e":3,"f":[1,2]}},"g":null}'
		version 2 '{"a":1,"b":{"c":2,"d":{"e":3,"f":[1]},"n":{}},"g":null}'
		version 3 '{"a":1,"b":{"d":{"e":3,"f":[1,2]}},"g":false,"h":0}'
		# shellcheck disable=SC2086
		order $all
		settles merge-json
		jq -S . out | cmp expected -
	done
}

@test "json: 64 versions" {
	need jq
	jq -n '[range(64) | {("k\(.)"): {x: .}}] | add' | base
	for n in {1..64}; do
		sed "s/\"x\": $((n - 1))\$/\"x\": \"new\"/" base | version "$n"
	done
	settles merge-json
	sed 's/"x": .*/"x": "new"/' base | cmp - out
}

@test "json: two changes of one key are left" {
	need jq
	base '{"a":{"b":1},"c":[1]}'
	version 1 '{"a":{"b":2},"c":[1]}'
	version 2 '{"a":{"b":3},"c":[1]}'
	leaves merge-json '["a","b"]'
	version 2 '{"a":{},"c":[1]}'
	leaves merge-json '["a","b"]'
	version 2 '{"c":[1]}'
	leaves merge-json '["a"]'
	version 2 '{"a":7,"c":[1]}'
	leaves merge-json '["a"]'
	version 1 '{"a":{"b":1},"c":[1,2]}'
	version 2 '{"a":{"b":1},"c":[0,1]}'
	leaves merge-json '["c"]'
	# both added it
	version 1 '{"a":{"b":1},"c":[1],"n\\n\\u001b":1}'
	version 2 '{"a":{"b":1},"c":[1],"n\\n\\u001b":2}'
	leaves merge-json '["n\n\u001b"]'
	version 1 '{"a":{"b":1},"c":[1],"n":{"x":1}}'
	version 2 '{"a":{"b":1},"c":[1],"n":{"y":2}}'
	settles merge-json
	gives '{"a":{"b":1},"c":[1],"n":{"x":1,"y":2}}'
	version 1 '[1]'
	version 2 '[2]'
	leaves merge-json '[]'
}

@test "json: the same change of both, whatever its form" {
	need jq
	base '{"a":1,"b":1}'
	version 1 '{"a":1,"b":2}'
	version 2 '{ "a": 1,\n "b": 2 }\n'
	settles merge-json
	gives_version 1
	order 2 1
	settles merge-json
	gives_version 1
	# only formatted anew is no change
	version 1 '{ "a": 1,\n "b": 1 }\n'
	version 2 '{"a":1,   "b":3}'
	settles merge-json
	gives_version 2
	rm base
	leaves merge-json "ancestor is not known"
	version 2 '{"a":1,"b":1}'
	settles merge-json
	gives_version 1
}

@test "json: it looks as the first version does" {
	need jq
	for indent in 1 2 3 4 7; do
		again
		jq -n '{a: 1, b: {c: [1, {}, []]}}' | base
		jq --indent $indent '.a = 2' base | version 1
		jq -c '.d = "e"' base | version 2
		settles merge-json
		jq --indent $indent '.a = 2 | .d = "e"' base | cmp - out
	done
	jq --tab '.a = 2' base | version 1
	settles merge-json
	jq --tab '.a = 2 | .d = "e"' base | cmp - out
	jq '.a = 2' base | sed 's/$/\r/' | version 1
	settles merge-json
	jq '.a = 2 | .d = "e"' base | sed 's/$/\r/' | cmp - out
	version 1 '{\n  "a": 2,\n  "b": {"c": [1, {}, []]}\n}'
	settles merge-json
	jq '.a = 2 | .d = "e"' base | head -c -1 | cmp - out
	version 1 '{\r\n  "a": 2,\r\n  "b": {"c": [1, {}, []]}\r\n}'
	settles merge-json
	jq '.a = 2 | .d = "e"' base | sed 's/$/\r/' | head -c -2 | cmp - out
	# 12 spaces are more than jq has
	version 1 '{\n            "a": 2,\n"b": {"c": [1, {}, []]}\n}\n'
	settles merge-json
	jq --indent 7 '.a = 2 | .d = "e"' base | cmp - out
	base '{"a":"\\u00e9","b":1}\n'
	version 1 '{"a":"\\u00e9","b":2}\n'
	version 2 '{"a":"\\u00e9","b":1,"c":"\303\266"}\n'
	settles merge-json
	gives '{"a":"\\u00e9","b":2,"c":"\\u00f6"}\n'
	version 1 '{"a":"\303\251","b":2}\n'
	settles merge-json
	gives '{"a":"\303\251","b":2,"c":"\303\266"}\n'
}

@test "json: no number is rounded, no string mistaken" {
	need jq
	numbers='[12345678901234567890,1.0,1.10,1e2,1E+400,-0,-0.0,0.1e-7,3]'
	strings='["|12","12","|","a|","\\"|1|\\"","|1\\"","\\\\","\\\\\\"","",'
	strings+='"-1","|-1|","{\\"a\\":1}","\\u0000","a,\\"b\\":","\\ud83d\\ude00"]'
	base '{"n":%s,"s":%b,"x":1,"y":1}' "$numbers" "${strings//\\/\\\\}"
	printf '%s' "{\"n\":$numbers,\"s\":${strings//\\\\/\\},\"x\":1,\"y\":1}" |
		base
	sed 's/"x":1/"x":2.50/' base | version 1
	sed 's/"y":1/"|1":-1.0/' base | version 2
	settles merge-json
	printf '%s' "{\"n\":$numbers,\"s\":" >expected.n
	head -c "$(wc -c <expected.n)" out | cmp expected.n -
	jq .s base | cmp - <(jq .s out)
	[[ $(cat out) == *'"x":2.50,"|1":-1.0}' ]]
	# 1.0 and 1 are two values, and each is kept
	base '{"a":1,"b":1}'
	version 1 '{"a":1.0,"b":1}'
	version 2 '{"a":1,"b":1.00}'
	settles merge-json
	gives '{"a":1.0,"b":1.00}'
	version 2 '{"a":1e0,"b":1}'
	leaves merge-json '["a"]'
}

@test "json: what is not one valid value is left" {
	need jq
	base '{"a":1}'
	version 1 '{"a":2}'
	for text in '' ' ' '{' '{"a":1}}' '{"a":1} {"a":1}' '{a:1}' '{"a":01}' \
		'{"a":1.}' '{"a":.5}' '{"a":nan}' '{"a":NaN}' "{'a':1}" \
		'{"a":1,}' '{"a":"\\ud800"}' '{"a":"\377"}' '{"a\0":1}' \
		'\357\273\277{"a":3}' '{"a":1,"a":3}' '{"a":{"b":1,"b":{}}}' \
		'{"a":1-2}' '{"a":"x\ny}' '"a' '{"a":"b\n","c":"\n"' \
		'{"a":1 2}' '{1:2}' '{"\\ud800":1}' '[1,2' '// x\n{"a":4}' \
		'{"a":tru1e}' '{"a":true1}' '{"a":true false}' '{"a":-}' \
		'{"a":1\001}' '{"a":"\t"}' '{"a":5"b":6}' '{"a":"\\x"}'; do
		version 2 "$text"
		leaves merge-json
		[[ $stderr != *changed* ]] || fail "taken as valid: $text"
	done
	base '{"a":1'
	version 2 '{"a":1,"b":2}'
	leaves merge-json "the common ancestor is not valid JSON"
}

@test "json: large, deep and one long line; a limit" {
	need jq
	jq -n '{a: ([range(100000)]), s: ("x\"" * 300000), o: ([range(20000)
		| {("k\(.)"): {v: "w\(.)"}}] | add)}' -c | base
	jq -c '.o.k7.v = "seven"' base | version 1
	jq -c '.o.k9 = null | .n = 1' base | version 2
	settles merge-json
	jq -c '.o.k7.v = "seven" | .o.k9 = null | .n = 1' base | cmp - out
	jq -nc 'reduce range(100) as $i (1; {a: ., b: 1})' | base
	jq -c '.b = 2' base | version 1
	jq -c '.a.a.a.b = 2' base | version 2
	settles merge-json
	jq -c '.b = 2 | .a.a.a.b = 2' base | cmp - out
	{ echo '{"a":1}'; head -c 4194304 /dev/zero | tr '\0' ' '; } | version 2
	leaves merge-json "larger than 4 MiB"
}

# ---- merge-keepass

# A stand-in for keepassxc-cli: a database is lines, the first its password.
fake_keepass() {
	only awk sort
	cat >"$T/bin/keepassxc-cli" <<-'END'
	#!/bin/sh
	echo "$@" >>"$HOME/../calls"
	[ "$1 $2 $3" = "merge -q -s" ] || exit 9
	shift 3
	key=
	while case $1 in -*) ;; *) false ;; esac; do
		case $1 in
		--key-file) key=$(cat "$2"); shift ;;
		--key-file-from) [ "$(cat "$2")" = "$key" ]; shift ;;
		esac
		shift
	done
	read -r password
	for database in "$1" "$2"; do
		[ "$(head -n 1 "$database")" = "$password$key" ] || {
			echo "Invalid credentials" >&2
			exit 1
		}
	done
	{ echo "$password$key"; tail -n +2 -q "$1" "$2" | sort -u; } >"$1.new"
	mv "$1.new" "$1"
	END
	chmod +x "$T/bin/keepassxc-cli"
}

@test "keepass: without program or password it is left, and says so" {
	version 1 'pw\na\n'
	version 2 'pw\nb\n'
	only
	leaves merge-keepass "keepassxc-cli is not installed"
	fake_keepass
	leaves merge-keepass "no merge-keepass.conf beside the hook"
	printf 'database = other.kdbx\npassword-file = /x\n' \
		>hooks/merge-keepass.conf
	leaves merge-keepass "has no password for this file"
	printf 'database = *\n' >hooks/merge-keepass.conf
	leaves merge-keepass "names neither a password-file nor a key-file"
	printf 'database = *\npassword-file = %s/pw\n' "$T" \
		>hooks/merge-keepass.conf
	leaves merge-keepass "$T/pw: is not there"
	(umask 022; echo pw >pw)
	leaves merge-keepass "others can read it"
	chmod 600 pw
	printf 'password pw\n' >hooks/merge-keepass.conf
	leaves merge-keepass "not understood: password pw"
	printf 'database = *\npassword = pw\n' >hooks/merge-keepass.conf
	leaves merge-keepass "not understood"
	assert [ ! -e calls ]
}

@test "keepass: all versions go into the first, by the password for the path" {
	fake_keepass
	FILE='/My $(x)/a [1].kdbx'
	version 1 'two\na\n'
	version 2 'two\nb\n'
	version 3 'two\nc\n'
	(umask 077; printf 'one\n' >one; printf 'two' >'the  second one')
	cat >hooks/merge-keepass.conf <<-END
	# of mine
	database = other/*
	password-file = $T/one

	  database=My $(printf '$(x)')/*.kdbx  
	password-file =   $T/the  second one
	database = *
	password-file = $T/one
	END
	settles merge-keepass
	gives 'two\na\nb\nc\n'
	assert_equal "$(wc -l <calls)" 2
	FILE=other/x.kdbx
	leaves merge-keepass "versions 1 and 2 do not merge: Invalid credentials"
	FILE=x.kdbx
	leaves merge-keepass "Invalid credentials"
	# no word of a password in what is seen by others (the names of rooms
	# are drawn by chance)
	! sed 's/hook\.[A-Za-z0-9]*//g' calls | grep -e one -e two
}

@test "keepass: a key file, with a password or alone" {
	fake_keepass
	(umask 077; printf 'one\n' >one; printf 'key' >key)
	version 1 'onekey\na\n'
	version 2 'onekey\nb\n'
	printf 'database = *\npassword-file = %s/one\nkey-file = %s/key\n' \
		"$T" "$T" >hooks/merge-keepass.conf
	settles merge-keepass
	gives 'onekey\na\nb\n'
	version 1 'key\na\n'
	version 2 'key\nb\n'
	printf 'database = *\nkey-file = %s/key\n' "$T" >hooks/merge-keepass.conf
	settles merge-keepass
	gives 'key\na\nb\n'
	grep -q -e '--no-password --no-password-from' calls
}

@test "keepass: real databases" {
	need keepassxc-cli
	export HOME=$T
	kx() { printf 'secret\n' | keepassxc-cli "$@" -q; }
	printf 'secret\nsecret\n' | keepassxc-cli db-create -q -p base
	for n in 1 2 3; do
		cp base "versions/$n-label.$n"
		kx add "versions/$n-label.$n" "entry $n"
	done
	(umask 077; echo secret >pw)
	printf 'database = *.kdbx\npassword-file = %s/pw\n' "$T" \
		>hooks/merge-keepass.conf
	FILE=a.kdbx
	settles merge-keepass
	assert_equal "$(kx ls out | sort | tr '\n' ,)" "entry 1,entry 2,entry 3,"
	(umask 077; echo wrong >pw)
	leaves merge-keepass "do not merge"
	(umask 077; echo secret >pw)
	head -c 200 versions/2-label.2 >cut
	mv cut versions/2-label.2
	leaves merge-keepass "do not merge"
}

# ---- merge-pim

# calendar LINE...: around them a calendar, with CRLF
calendar() {
	printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 "PRODID:${PRODID:--//p}" \
		"$@" END:VCALENDAR
}

# event UID SUMMARY [LINE...]
event() {
	local uid=$1 summary=$2

	shift 2
	printf '%s\r\n' BEGIN:VEVENT "UID:$uid" "SUMMARY:$summary" "$@" \
		END:VEVENT | head -c -2
}

# card UID NAME [LINE...]
card() {
	local uid=$1 name=$2

	shift 2
	printf '%s\n' BEGIN:VCARD VERSION:4.0 ${uid:+"UID:$uid"} "FN:$name" \
		"$@" END:VCARD
}

@test "pim: events that were added, changed and removed" {
	calendar "$(event 1 one)" "$(event 2 two)" "$(event 3 three)" | base
	calendar "$(event 1 ONE)" "$(event 2 two)" "$(event 3 three)" | version 1
	calendar "$(event 1 one)" "$(event 2 two)" "$(event 4 four)" | version 2
	calendar "$(event 5 five)" "$(event 1 one)" "$(event 2 two)" \
		"$(event 3 three)" | version 3
	settles merge-pim
	calendar "$(event 1 ONE)" "$(event 2 two)" "$(event 4 four)" \
		"$(event 5 five)" | cmp - out
	order 3 2 1
	settles merge-pim
	calendar "$(event 5 five)" "$(event 1 ONE)" "$(event 2 two)" \
		"$(event 4 four)" | cmp - out
	# without a base nothing was removed
	again
	calendar "$(event 1 one)" "$(event 2 two)" | version 1
	calendar "$(event 3 three)" "$(event 2 two)" | version 2
	settles merge-pim
	calendar "$(event 1 one)" "$(event 2 two)" "$(event 3 three)" |
		cmp - out
	calendar "$(event 3 three)" "$(event 2 TWO)" | version 2
	leaves merge-pim "neither is the newer: VEVENT 2"
}

@test "pim: a change beats a removal" {
	calendar "$(event 1 one)" "$(event 2 two)" | base
	calendar "$(event 2 two)" | version 1
	calendar "$(event 1 ONE)" "$(event 2 two)" "$(event 3 x)" | version 2
	settles merge-pim
	calendar "$(event 2 two)" "$(event 1 ONE)" "$(event 3 x)" | cmp - out
}

@test "pim: of two changes the newer, if they tell which it is" {
	calendar "$(event 1 one)" "$(event 9 x)" | base
	changes() {
		calendar "$(event 1 a "${1}")" "$(event 9 x)" | version 1
		calendar "$(event 1 b "${2}")" "$(event 9 x)" | version 2
	}
	newer() {
		changes "$1" "$2"
		settles merge-pim
		gives_version 2
		order 2 1
		settles merge-pim
		gives_version 1
	}
	newer LAST-MODIFIED:20260101T000000Z LAST-MODIFIED:20260101T000001Z
	newer last-modified:20251231T235959Z 'Last-Modified;X=y:20260101T000000Z'
	newer SEQUENCE:9 SEQUENCE:10
	newer X-NONE:1 SEQUENCE:1
	newer $'LAST-MODIFIED:20260101T000000Z\r\nSEQUENCE:1' \
		$'LAST-MODIFIED:20260101T000000Z\r\nSEQUENCE:2'
	newer $'LAST-MODIFIED:20260101T000000Z\r\nSEQUENCE:1' \
		$'LAST-MODIFIED:20260102T000000Z\r\nSEQUENCE:1'
	for pair in "X-A:1 X-A:2" \
		"LAST-MODIFIED:20260101T000000Z LAST-MODIFIED:20260101T000000Z" \
		"LAST-MODIFIED:yesterday LAST-MODIFIED:20260101T000000Z" \
		"DTSTAMP:20260101T000000Z DTSTAMP:20260101T000001Z"; do
		changes "${pair% *}" "${pair#* }"
		leaves merge-pim "neither is the newer: VEVENT 1"
	done
	# the later one is the older revision
	changes $'LAST-MODIFIED:20260102T000000Z\r\nSEQUENCE:1' \
		$'LAST-MODIFIED:20260101T000000Z\r\nSEQUENCE:2'
	leaves merge-pim "neither is the newer"
	# of three
	calendar "$(event 1 a SEQUENCE:2)" "$(event 9 x)" | version 1
	calendar "$(event 1 b SEQUENCE:3)" "$(event 9 x)" | version 2
	calendar "$(event 1 c SEQUENCE:1)" "$(event 9 x)" | version 3
	settles merge-pim
	gives_version 2
	calendar "$(event 1 c SEQUENCE:3)" "$(event 9 x)" | version 3
	leaves merge-pim
}

@test "pim: an occurrence that was changed is an entry of its own" {
	master=$(event 1 daily RRULE:FREQ=DAILY)
	calendar "$master" | base
	calendar "$master" "$(event 1 monday 'RECURRENCE-ID:20260105T090000Z')" |
		version 1
	calendar "$master" "$(event 1 friday 'RECURRENCE-ID:20260109T090000Z')" |
		version 2
	settles merge-pim
	calendar "$master" "$(event 1 monday 'RECURRENCE-ID:20260105T090000Z')" \
		"$(event 1 friday 'RECURRENCE-ID:20260109T090000Z')" | cmp - out
	# an event and a task may have one UID
	calendar "$master" $'BEGIN:VTODO\r\nUID:1\r\nEND:VTODO' | version 2
	settles merge-pim
	calendar "$master" "$(event 1 monday 'RECURRENCE-ID:20260105T090000Z')" \
		$'BEGIN:VTODO\r\nUID:1\r\nEND:VTODO' | cmp - out
	# an alarm's UID is not the event's
	calendar "$(event 2 x BEGIN:VALARM UID:1 END:VALARM)" "$master" |
		version 2
	settles merge-pim
}

@test "pim: folds are kept, and are no change" {
	fold=$(event 1 one $'DESCRIPTION:a lon\r\n g text')
	calendar "$(event 1 one 'DESCRIPTION:a long text')" | base
	calendar "$fold" "$(event 2 two)" | version 1
	calendar "$(event 1 one 'DESCRIPTION:a long text')" "$(event 3 x)" |
		version 2
	settles merge-pim
	calendar "$fold" "$(event 2 two)" "$(event 3 x)" | cmp - out
	# a UID across lines, and a tab
	calendar "$(event 1 one 'DESCRIPTION:a long text')" \
		$'BEGIN:VEVENT\r\nUID\r\n :a\r\n\tb\r\nEND:VEVENT' | version 1
	calendar "$(event 1 one 'DESCRIPTION:a long text')" \
		"$(event ab x)" | version 2
	leaves merge-pim "VEVENT ab"
}

@test "pim: line ends are those of the first version" {
	calendar "$(event 1 one)" | base
	calendar "$(event 1 one)" "$(event 2 two)" | tr -d '\r' | version 1
	calendar "$(event 1 one)" "$(event 3 x)" | version 2
	settles merge-pim
	calendar "$(event 1 one)" "$(event 2 two)" "$(event 3 x)" |
		tr -d '\r' | cmp - out
	order 2 1
	settles merge-pim
	calendar "$(event 1 one)" "$(event 3 x)" "$(event 2 two)" | cmp - out
	{ printf '\357\273\277'; calendar "$(event 1 one)"; } | version 1
	{ printf '\357\273\277'; calendar "$(event 1 one)" "$(event 3 x)"; } |
		version 2
	settles merge-pim
	cmp versions/2-label.2 out
}

@test "pim: time zones come first and stay; the calendar's own properties" {
	zone=$'BEGIN:VTIMEZONE\r\nTZID:Z\r\nBEGIN:STANDARD\r\nEND:STANDARD\r\nEND:VTIMEZONE'
	calendar "$zone" "$(event 1 one)" | base
	PRODID=-//q calendar "$zone" "$(event 1 one)" "$(event 2 two)" |
		version 1
	PRODID=-//r calendar X-WR-CALNAME:name "$(event 1 one)" | version 2
	settles merge-pim
	PRODID=-//q calendar X-WR-CALNAME:name "$zone" "$(event 1 one)" \
		"$(event 2 two)" | cmp - out
	calendar X-WR-CALNAME:other "$zone" "$(event 1 one)" | version 1
	leaves merge-pim X-WR-CALNAME
	# of one that only another has
	calendar "$(event 1 one)" | base
	calendar "$(event 1 one)" "$(event 2 two)" | version 1
	calendar "$zone" "$(event 1 one)" "$(event 3 x)" | version 2
	settles merge-pim
	calendar "$zone" "$(event 1 one)" "$(event 2 two)" "$(event 3 x)" |
		cmp - out
}

@test "pim: cards" {
	{ card 1 Anna; card 2 Ben; } | base
	{ card 1 Anna TEL:1; card 2 Ben; card 3 Cai; } | version 1
	{ card 1 Anna; card 4 Dan; card 2 Ben item1.EMAIL:b@c; } | version 2
	settles merge-pim
	{ card 1 Anna TEL:1; card 2 Ben item1.EMAIL:b@c; card 3 Cai
		card 4 Dan; } | cmp - out
	card 1 Anna TEL:1 REV:20260101T000000Z | version 1
	card 1 Anna TEL:2 REV:2026-01-01T00:00:00.5Z | version 2
	leaves merge-pim "neither is the newer: VCARD 1"
	card 1 Anna TEL:2 REV:2026-01-01T00:00:01Z | version 2
	settles merge-pim
	card 1 Anna TEL:2 REV:2026-01-01T00:00:01Z | cmp - out
}

@test "pim: cards without a UID are known by what they say" {
	{ card '' Anna; card '' Ben; } | base
	{ card '' Anna; card '' Ben; card 3 Cai; } | version 1
	{ card '' Anna TEL:1; card '' Ben; } | version 2
	settles merge-pim
	{ card '' Ben; card 3 Cai; card '' Anna TEL:1; } | cmp - out
	{ card '' Anna TEL:2; card '' Ben; } | version 1
	leaves merge-pim "without a UID"
	{ card '' Anna; card '' Anna; card 3 C; } | version 1
	rm base
	leaves merge-pim "without a UID"
}

@test "pim: what is no calendar is left" {
	calendar "$(event 1 one)" | base
	calendar "$(event 1 one)" "$(event 2 x)" | version 1
	for text in '' '\n' 'text\n' 'BEGIN:VCARD\r\nUID:1\r\nEND:VCARD\r\n' \
		'BEGIN:VCALENDAR\r\n' 'END:VCALENDAR\r\n' \
		'BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n' \
		'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nx\r\n'; do
		version 2 "$text"
		leaves merge-pim "version 2"
	done
	{ calendar "$(event 1 one)"; calendar "$(event 2 two)"; } | version 2
	leaves merge-pim "more than one calendar"
	calendar "$(event 1 one)" "$(event 1 two)" | version 2
	leaves merge-pim "twice there: VEVENT 1"
	{ calendar "$(event 1 one)"; printf '\0'; } | version 2
	leaves merge-pim "version 2 has NUL bytes"
	calendar "$(event 1 one)" $'X-A:1\nX-B:2' X-C:3 | version 2
	leaves merge-pim "more than one way"
	calendar "$(event 1 one)" $'X-A:1\rX' | version 2
	leaves merge-pim "CR inside"
	calendar "$(event 1 one)" | base
	calendar $'BEGIN:VEVENT\r\nUID:\e[31m$(id)\r\nX:1\r\nEND:VEVENT' |
		version 1
	calendar $'BEGIN:VEVENT\r\nUID:\e[31m$(id)\r\nX:2\r\nEND:VEVENT' |
		version 2
	leaves merge-pim 'VEVENT ?[31m$(id)'
}

@test "pim: 64 versions, and a photograph" {
	photo=$(head -c 1000000 /dev/zero | base64 | sed '1!s/^/ /')
	events=()
	for n in {1..64}; do
		events+=("$(event "$n" "$n")")
	done
	calendar "${events[@]}" | base
	for n in {1..64}; do
		sed "s/SUMMARY:$n\r/SUMMARY:new $n\r/" base | version "$n"
	done
	settles merge-pim
	sed 's/SUMMARY:/SUMMARY:new /' base | cmp - out
	again
	card 1 Anna | base
	card 1 Anna "PHOTO;ENCODING=b:$photo" | version 1
	{ card 1 Anna; card 2 Ben; } | version 2
	settles merge-pim
	{ cat versions/1-label.1; card 2 Ben; } | cmp - out
}

# ---- newest-with-backup

# at N TIME TEXT...
at() {
	local n=$1 time=$2

	shift 2
	version "$n" "$@"
	touch -d "$time" "versions/$n-label.$n"
}

@test "newest: the one that was written last, of equal times the last one" {
	at 1 '2026-01-02 00:00:00.000000001' 'one\0'
	at 2 '2026-01-02 00:00:00.000000002' 'two\n'
	at 3 '2026-01-01' 'three'
	settles newest-with-backup
	gives 'two\n'
	assert_equal "$stderr" \
		"newest-with-backup: 2-label.2 holds; replaced: 1-label.1 3-label.3"
	at 1 '2026-01-02 00:00:00.000000002' 'one\0'
	settles newest-with-backup
	gives 'two\n'
	order 2 1 3
	settles newest-with-backup
	gives 'one\0'
	at 3 '2026-01-03' ''
	settles newest-with-backup
	gives ''
}

@test "newest: of 64, wherever it is" {
	for newest in 1 9 10 33 64; do
		again
		for n in {1..64}; do
			at "$n" 2026-01-01 '%s' "$n"
		done
		at $newest 2026-01-01T00:00:01 'newest'
		settles newest-with-backup
		gives 'newest'
	done
}

@test "newest: the others are kept where the configuration says" {
	printf '# here\n backup-dir = %s/kept  here \n' "$T" \
		>hooks/newest-with-backup.conf
	FILE=$'/-a b/$(id)\n'
	at 1 2026-01-01T00:00:00Z 'one\0'
	at 2 2026-01-03T00:00:00Z 'two'
	at 3 2026-01-02T00:00:00Z ''
	at 4 2026-01-02T00:00:00Z 'two'
	leaves newest-with-backup "kept  here: is not there"
	assert [ ! -e out ]
	mkdir 'kept  here'
	settles newest-with-backup
	gives 'two'
	kept="kept  here/0123456789abcdef$FILE"
	printf 'one\0' | cmp - "$kept/2026-01-01T00:00:00Z label.1"
	cmp /dev/null "$kept/2026-01-02T00:00:00Z label.3"
	assert_equal "$(find "$kept" -type f -printf x)" xx
	assert_equal "$(find "$kept" -newermt 2026-02-01 -type f)" ""
	# again: nothing twice; another content: nothing replaced
	settles newest-with-backup
	assert_equal "$(find "$kept" -type f -printf x)" xx
	at 1 2026-01-01T00:00:00Z 'ONE'
	settles newest-with-backup
	printf 'one\0' | cmp - "$kept/2026-01-01T00:00:00Z label.1"
	printf 'ONE' | cmp - "$kept/2026-01-01T00:00:00Z label.1 2"
	assert_equal "$(find "$kept" -type f -printf x)" xxx
}

@test "newest: nothing is replaced that could not be kept" {
	at 1 2026-01-01 'one'
	at 2 2026-01-02 'two'
	conf=hooks/newest-with-backup.conf
	echo "backup-dir = kept" >$conf
	leaves newest-with-backup "not an absolute path"
	echo "folder = $T" >$conf
	leaves newest-with-backup "not understood"
	echo >$conf
	leaves newest-with-backup "names no backup-dir"
	mkdir kept
	echo "backup-dir = $T/kept" >$conf
	echo in the way >kept/0123456789abcdef
	leaves newest-with-backup "cannot be made"
	rm kept/0123456789abcdef
	FILE=a/../../b
	leaves newest-with-backup "strange path"
	FILE=..
	leaves newest-with-backup "strange path"
	FILE=a..b/..c
	settles newest-with-backup
	assert [ -d kept/0123456789abcdef/a..b/..c ]
}
