#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where things are kept, and that a mountpoint is never silently given a new
# volume.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

volume_of() {
	kin status --json "$1" | jq -r .volume
}

@test "the default store is in XDG_DATA_HOME, and found again" {
	mkdir "with space"
	kin mount --listen 127.0.0.1:0 "with space"
	volume=$(volume_of "with space")
	escaped=$(systemd-escape --path "$T/with space" 2>/dev/null ||
		printf '%s' "${T#/}/with space" |
		sed 's/-/\\x2d/g; s/ /\\x20/g; s/~/\\x7e/g; s,/,-,g')
	[ -d "$XDG_DATA_HOME/kinfs/$escaped" ]
	assert_equal "$(stat -c %a "$XDG_DATA_HOME/kinfs")" 700
	assert_equal "$(stat -c %a "$XDG_DATA_HOME/kinfs/$escaped")" 700
	echo hello >"with space/file"
	kin unmount "with space"
	run -1 cat "with space/file"
	kin mount "with space"
	assert_equal "$(volume_of "with space")" "$volume"
	assert_equal "$(cat "with space/file")" hello
}

@test "keys, sockets and logs are closed to others" {
	kin_mount a
	[ -n "$(find "$T/a.store" -name device.key -perm 600)" ]
	[ -n "$(find "$T/a.store" -name kin.log -perm 600)" ]
	[ -n "$(find "$XDG_RUNTIME_DIR/kinfs" -type s -perm 600)" ]
	[ -z "$(find "$T/a.store" -type f -perm /077)" ]
}

@test "without XDG_RUNTIME_DIR the socket is in the store" {
	if [ "$(id -u)" = 0 ]; then
		export XDG_RUNTIME_DIR=/no/such/directory
	else
		unset XDG_RUNTIME_DIR
	fi
	kin_mount a
	[ -S a.store/control.sock ]
	run -0 kin status a
}

@test "a socket path longer than an address can hold works" {
	export XDG_RUNTIME_DIR=/no/such/directory
	long=$T/$(printf 'x%.0s' {1..120})
	mkdir "$long" m
	kin mount --store "$long/store" --listen 127.0.0.1:0 m
	run -0 kin status m
	kin unmount m
}

@test "a store given once is found again without --store" {
	kin_mount a
	volume=$(volume_of a)
	kin unmount a
	kin mount a
	assert_equal "$(volume_of a)" "$volume"
}

@test "a mountpoint made anew, its store gone too, is another directory" {
	mkdir -p m
	run -0 kin mount --listen 127.0.0.1:0 --store "$PWD/s" m
	kin unmount m
	rm -r m s
	mkdir m
	run -0 kin mount --listen 127.0.0.1:0 --store "$PWD/s" m
	assert_output --partial "it is a new directory"
	kin unmount m
}

@test "a known mountpoint whose store is gone is refused" {
	kin_mount a
	kin unmount a
	mv a.store elsewhere
	run -1 kin mount a
	assert_output --partial "which is gone"
	assert_equal "${#lines[@]}" 1
	# A new store is refused as well; the moved one is welcome.
	run -1 kin mount --store "$T/new.store" a
	assert_output --partial "belongs to the volume"
	[ ! -e new.store ]
	kin mount --store "$T/elsewhere" a
	kin unmount a
	kin mount a
}

@test "a known mountpoint whose store was emptied is refused" {
	kin_mount a
	kin unmount a
	find a.store -mindepth 1 -delete
	run -1 kin mount a
	assert_output --partial "gone"
	assert_equal "$(ls a.store)" ""
}

@test "a known mountpoint is not joined into" {
	kin_mount a
	kin_mount b
	code=$(kin invite a)
	kin unmount b
	run -1 kin join --listen 127.0.0.1:0 "$code" b
	assert_output --partial "belongs to the volume"
	# The code was not used up by that.
	mkdir c
	kin join --listen 127.0.0.1:0 "$code" c
}

@test "a HOME of somebody else is refused with the reason" {
	need_root
	mkdir theirs m
	chown 65534 theirs
	unset XDG_DATA_HOME
	HOME=$T/theirs run -1 kin mount m
	assert_output --partial "belongs to uid 65534"
	[ -z "$(ls -A theirs)" ]
	XDG_DATA_HOME=$T/theirs run -1 kin mount m
	assert_output --partial "belongs to uid 65534"
	[ -z "$(ls -A theirs)" ]
}

@test "a store directory open to others is refused, unless it is empty" {
	mkdir m a.store
	chmod 755 a.store
	touch a.store/something
	run -1 kin mount --store "$T/a.store" m
	assert_output --partial "open to other users"
	rm a.store/something
	kin mount --store "$T/a.store" --listen 127.0.0.1:0 m
	assert_equal "$(stat -c %a a.store)" 700
}

@test "a symlink in place of the data directory is not followed" {
	mkdir -m 700 "$XDG_DATA_HOME" decoy
	mkdir m
	ln -s "$T/decoy" "$XDG_DATA_HOME/kinfs"
	run -1 kin mount m
	assert_equal "$(ls -A decoy)" ""
}

@test "store and mountpoint may not be inside each other" {
	mkdir -p m s/inner
	chmod 700 s
	run -1 kin mount --store "$T/m/store" m
	assert_output --partial "inside"
	[ ! -e m/store ]
	run -1 kin mount --store "$T/s" s/inner
	assert_output --partial "inside"
	kin_mount a
	run -1 kin mount --store "$T/a/store" m
	assert_output --partial "inside"
}

@test "any path inside the mount will do" {
	kin_mount a
	mkdir -p a/deep/er
	ln -s /etc a/deep/link
	volume=$(volume_of a)
	for path in a/ ./a a/deep a/deep/er/. a/deep/../deep "$T/a/no/such" \
		a/deep/link; do
		assert_equal "$(volume_of "$path")" "$volume"
	done
	ln -s "$T/a/deep" shortcut
	assert_equal "$(volume_of shortcut)" "$volume"
	cd a/deep
	assert_equal "$(kin status --json | jq -r .volume)" "$volume"
}

# In a mount namespace of its own, since other tests run at the same time.
@test "the only volume that is mounted need not be named" {
	need_root
	unshare -m true 2>/dev/null || skip "mount namespaces are not allowed"
	kin_mount a
	run -0 unshare -m bash -c '
		awk "/ - fuse.kinfs/ { print \$5 }" /proc/self/mountinfo |
			grep -vxF "$1" | xargs -r umount -l
		cd / && "$0" status --json' "$KIN" "$T/a"
	assert_equal "$(jq -r .mountpoint <<<"$output")" "$T/a"
}

@test "with several volumes one must be named" {
	kin_mount a
	kin_mount b
	run -2 kin status
	assert_output --partial "name one"
	cd a
	run -0 kin status
}
