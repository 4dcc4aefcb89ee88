#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Invitations: good once, and refused clearly otherwise.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
}

teardown() {
	kin_cleanup
}

# refused PATTERN CODE: joining b fails, and leaves nothing behind
refused() {
	mkdir -p b
	run -1 --separate-stderr kin join --store "$T/b.store" \
		--listen 127.0.0.1:0 "$2" b
	assert_equal "${#stderr_lines[@]}" 1
	# shellcheck disable=SC2154
	[[ $stderr == *"$1"* ]] || {
		echo "not in: $stderr" >&2
		return 1
	}
	[ ! -e b.store ]
	[ -z "$(ls -A "$XDG_DATA_HOME/kinfs/.mounts" | grep -- '-b$' || true)" ]
	assert_equal "$(kin status --json a | jq '.peers | length')" "${3:-0}"
}

state_of() {
	kin invite --list --json a | jq -r '.invites[-1].state'
}

@test "a code is one line on standard output" {
	run -0 --separate-stderr kin invite a
	assert_equal "${#lines[@]}" 1
	[[ $output =~ ^[a-zA-Z2-7]+$ ]]
	[ -z "$stderr" ]
	run -0 kin invite --json a
	now=$(date +%s)
	expires=$(jq .expires <<<"$output")
	[ "$expires" -gt $((now + 86000)) ]
	[ "$expires" -le $((now + 86400 + 60)) ]
}

@test "used" {
	code=$(kin invite a)
	mkdir first
	kin join --store "$T/first.store" --name first --listen 127.0.0.1:0 \
		"$code" first
	assert_equal "$(state_of)" used
	refused "used" "$code" 1
}

@test "a code from standard input" {
	kin invite a >code
	mkdir b
	kin join --listen 127.0.0.1:0 - b <code
	kin_wait a
}

@test "revoked, all or one" {
	code=$(kin invite a)
	run -0 kin invite --revoke a
	assert_output --partial "1 invitation"
	assert_equal "$(state_of)" revoked
	refused "revoked" "$code"
	code=$(kin invite a)
	other=$(kin invite a)
	id=$(kin invite --list --json a |
		jq -r '[.invites[] | select(.state == "open")][0].id')
	kin invite --revoke "$id" a
	refused "revoked" "$code"
	run -1 kin invite --revoke 0123456789abcdef a
	mkdir c
	kin join --listen 127.0.0.1:0 "$other" c
}

@test "expired" {
	command -v faketime >/dev/null || skip "there is no faketime"
	kin unmount a
	# It is preloaded, which a sanitizer would not like.
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0 \
		faketime -f -25h "$KIN" mount a
	code=$(kin invite a)
	kin unmount a
	kin mount a
	refused "expired" "$code"
	assert_equal "$(state_of)" expired
}

@test "mistyped: told without asking anybody" {
	code=$(kin invite a)
	# One character changed, one missing, one too many, nonsense, empty.
	last=${code: -1}
	[ "$last" = a ] && wrong=b || wrong=a
	kin unmount a
	mkdir b
	middle=${code:40:1}
	[ "$middle" = q ] && typo=r || typo=q
	for bad in "${code%?}$wrong" "${code%?}" "${code}a" \
		"${code:0:40}$typo${code:41}" nonsense ""; do
		run -1 kin join --store "$T/b.store" "$bad" b
		assert_output --partial "mistyped"
		assert_equal "${#lines[@]}" 1
		[ ! -e b.store ]
	done
}

@test "upper case and stray white space are no mistake" {
	code=$(kin invite a)
	mkdir b
	kin join --listen 127.0.0.1:0 " ${code^^} " b
}

@test "foreign: the inviter answers, but does not know the code" {
	# A copy of the store from before the invitation does not.
	kin unmount a
	cp -a a.store copy
	kin mount a
	code=$(kin invite a)
	kin unmount a
	rm -rf a.store
	mv copy a.store
	kin mount a
	refused "know" "$code"
}

@test "nobody is there" {
	code=$(kin invite a)
	kin unmount a
	mkdir b
	run -1 kin join --store "$T/b.store" "$code" b
	assert_equal "${#lines[@]}" 1
	[ ! -e b.store ]
}

@test "another node answers there" {
	listen=$(kin status --json a | jq -r .listen)
	code=$(kin invite a)
	kin unmount a
	mkdir other
	kin mount --store "$T/other.store" --listen "$listen" other
	mkdir b
	run -1 kin join --store "$T/b.store" "$code" b
	assert_output --partial "key"
	[ ! -e b.store ]
}

@test "a joiner's mountpoint must be empty, and the code is not used up" {
	code=$(kin invite a)
	mkdir b
	touch b/file
	run -1 kin join --store "$T/b.store" "$code" b
	assert_output --partial "not empty"
	rm b/file
	kin join --store "$T/b.store" --listen 127.0.0.1:0 "$code" b
}

@test "the list tells what became of them, codes are in no file" {
	run -0 kin invite --list a
	assert_output "no invitations"
	code=$(kin invite a)
	run -0 kin invite --list a
	assert_line --regexp 'open'
	refute_output --partial "$code"
	run -1 grep -rqF "$code" a.store "$XDG_DATA_HOME"
}
