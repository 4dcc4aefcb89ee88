# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the tests of the kin command share. To be loaded in setup():
#
#	setup() { load helpers; kin_setup; }
#	teardown() { kin_cleanup; }
#
# A node NAME is mounted on $BATS_TEST_TMPDIR/NAME, with its store in
# NAME.store beside it. $KIN is the program. Nothing sleeps: what takes time
# is polled, with a deadline.

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

# Seconds; generous, since sanitizers and a loaded machine are slow.
DEADLINE=60

kin_setup() {
	KIN=${KIN:-$(cd "$BATS_TEST_DIRNAME/../../build" && pwd)/kin}
	T=$BATS_TEST_TMPDIR
	export HOME=$T/home XDG_DATA_HOME=$T/data XDG_RUNTIME_DIR=$T/run
	export XDG_CONFIG_HOME=$T/config LC_ALL=C TZ=UTC
	mkdir -m 700 "$HOME" "$XDG_RUNTIME_DIR"
	cd "$T" || return 1
}

need_fuse() {
	[ -c /dev/fuse ] || skip "there is no /dev/fuse"
	[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null ||
		skip "there is no fusermount3"
}

# FUSE over io_uring, which is switched off unless root wanted it.
need_io_uring() {
	grep -qs Y /sys/module/fuse/parameters/enable_uring ||
		skip "there is no io_uring for FUSE, or it is switched off"
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "only root can do that"
}

# A mount outlives a kill -9 of its daemon.
need_resend() {
	local have

	have=$(uname -r | cut -d. -f1,2)
	[ "$(printf '6.9\n%s\n' "$have" | sort -V | head -n 1)" = 6.9 ] ||
		skip "Linux $have loses what was asked of a killed daemon"
}

kin() {
	"$KIN" "$@"
}

# wait_until COMMAND...: until it succeeds
wait_until() {
	local end=$((SECONDS + DEADLINE))

	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "after $DEADLINE s still not: $*" >&2
			return 1
		fi
		read -r -t 0.05 <> <(:) || true
	done
}

# kin_mount NAME [OPTION...]
kin_mount() {
	local name=$1

	shift
	mkdir -p "$T/$name"
	kin mount --store "$T/$name.store" --name "$name" \
		--listen 127.0.0.1:0 "$@" "$T/$name"
}

# kin_remount NAME [OPTION...]: as it was, with the address it had
kin_remount() {
	local name=$1

	shift
	kin mount "$@" "$T/$name"
}

# kin_join FROM NAME [OPTION...]
kin_join() {
	local from=$1 name=$2 code

	shift 2
	mkdir -p "$T/$name"
	code=$(kin invite "$T/$from")
	kin join --store "$T/$name.store" --name "$name" \
		--listen 127.0.0.1:0 "$@" "$code" "$T/$name"
}

# two_nodes: a, and b, which joined it
two_nodes() {
	kin_mount a
	kin_join a b
	kin_wait a
}

# connect NODES EDGES: "a b c" "a:b b:c"; the first is the founder. All join
# at first by the founder, then each is restricted to its neighbours.
connect() {
	local nodes=($1) edges=$2 node edge peers

	kin_mount "${nodes[0]}"
	for node in "${nodes[@]:1}"; do
		kin_join "${nodes[0]}" "$node"
	done
	kin_wait "${nodes[0]}"
	for node in "${nodes[@]}"; do
		kin unmount "$T/$node"
	done
	for node in "${nodes[@]}"; do
		peers=()
		for edge in $edges; do
			[ "${edge%:*}" != "$node" ] ||
				peers+=(--peer "${edge#*:}")
			[ "${edge#*:}" != "$node" ] ||
				peers+=(--peer "${edge%:*}")
		done
		kin_remount "$node" "${peers[@]}"
	done
}

# kin_wait NAME [OPTION...]: until everybody has everything
kin_wait() {
	local name=$1

	shift
	kin wait --timeout $DEADLINE "$@" "$T/$name"
}

kin_pid() {
	kin status --json "$T/$1" | jq .pid
}

# ask_daemon NODE REQUEST: of its daemon's socket; the answer as it comes
ask_daemon() {
	python3 - "$(findmnt -rno SOURCE "$T/$1")" "$2" <<-'END'
	import os, socket, sys, urllib.parse
	path = urllib.parse.unquote(sys.argv[1].split("@", 1)[1])
	os.chdir(os.path.dirname(path))
	s = socket.socket(socket.AF_UNIX)
	s.settimeout(60)
	s.connect(os.path.basename(path))
	s.sendall(sys.argv[2].encode() + b"\n")
	print(s.makefile().readline(), end="")
	END
}

process_is_gone() {
	local state

	# A zombie is gone too: nobody may be there to reap it.
	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) ||
		return 0
	[ -z "$state" ] || [ "$state" = Z ] || [ "$state" = X ]
}

# kin_crash PID: kill -9 of a daemon, and of its supervisor, which cannot do
# anything about it: as if the machine had run out of memory. The mount is dead.
kin_crash() {
	local supervisor

	supervisor=$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f2)
	if [ "$(tr '\0' '\n' <"/proc/$supervisor/cmdline" | head -n 1)" = \
		"$KIN" ]; then
		kill -STOP "$supervisor"
		kill -9 "$1" "$supervisor"
		wait_until process_is_gone "$supervisor"
	else
		kill -9 "$1"
	fi
	wait_until process_is_gone "$1"
}

# kin_kill NAME: the same by name; the dead mount is cleaned up
kin_kill() {
	local pid

	pid=$(kin_pid "$1")
	kin_crash "$pid"
	kin unmount "$T/$1"
}

# Names, types, modes, link targets, mtimes of files and links, and contents
# of what a node shows. Directories' mtimes are compared as well.
tree_of() {
	(
		cd "$T/$1" || exit 1
		find . -mindepth 1 -printf '%P|%y|%m|%l|%T@\n' | sort
		find . -type f -print0 | sort -z | xargs -0r sha256sum
	)
}

# assert_same_trees NAME NAME...
assert_same_trees() {
	local first=$1 other

	for other in "${@:2}"; do
		diff <(tree_of "$first") <(tree_of "$other")
	done
}

# The siblings of a file that a node shows: siblings NAME STEM
siblings() {
	find "$T/$1" -name "$2 (conflict *" -printf '%P\n' | sort
}

conflict_count() {
	kin conflicts --json "$T/$1" | jq length
}

# apart NAME...; together NAME...
apart() {
	local name

	for name; do
		kin pause "$T/$name"
	done
}

together() {
	local name

	for name; do
		kin resume "$T/$name"
	done
}

# all_alike NAME...: all have everything, and show the same
all_alike() {
	local name

	for name; do
		kin_wait "$name"
	done
	assert_same_trees "$@"
}

# meet NAME...: those who were apart hear each other again, and are alike
meet() {
	together "$@"
	all_alike "$@"
}

is_mounted() {
	mountpoint -q "$1"
}

is_not_mounted() {
	! mountpoint -q "$1"
}

mounts_of_test() {
	local at

	# %b takes \040, as mountinfo writes a space.
	while read -r at; do
		printf '%b\n' "$at"
	done < <(awk -v top="$T/" '/ - fuse/ && index($5, top) == 1 \
		{ gsub(/\\/, "\\0"); print $5 }' /proc/self/mountinfo)
}

daemons_of_test() {
	local cmdline

	for cmdline in /proc/[0-9]*/cmdline; do
		tr '\0' '\n' 2>/dev/null <"$cmdline" | grep -q "^$T/" ||
			continue
		tr '\0' '\n' 2>/dev/null <"$cmdline" | head -n 1 |
			grep -qxF "$KIN" || continue
		cmdline=${cmdline#/proc/}
		echo "${cmdline%/cmdline}"
	done
}

# In teardown: unmounts and ends all of this test, whatever it did, and
# fails if a daemon's log tells of a crash or of what a sanitizer found.
kin_cleanup() {
	local at pid log status=0

	[ -n "${T:-}" ] || return 0
	cd / || return 1
	while read -r at; do
		timeout 30 "$KIN" unmount "$at" || true
	done < <(mounts_of_test)
	for pid in $(daemons_of_test); do
		kill -STOP "$pid"
	done
	for pid in $(daemons_of_test); do
		kill -9 "$pid" 2>/dev/null || true
	done
	while read -r at; do
		umount -l "$at" 2>/dev/null || fusermount3 -uz "$at" || true
	done < <(mounts_of_test)
	for log in "$T"/*.store/kin.log "$T"/data/kinfs/*/kin.log; do
		[ -e "$log" ] || continue
		if grep -E 'kin: bug|Sanitizer|runtime error' "$log"; then
			echo "--- $log" >&2
			cat "$log" >&2
			status=1
		fi
	done
	# The logs of a failed test, for who reads its output.
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		tail -n 20 "$T"/*.store/kin.log 2>/dev/null >&2 || true
	fi
	return $status
}
