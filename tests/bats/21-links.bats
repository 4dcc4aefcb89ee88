#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hard links: programs that make them, other nodes that see them, and what is
# cached there.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
}

teardown() {
	kin_cleanup
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

links() {
	stat -c '%h' "$@" | sort -u
}

same_file() {
	assert_equal "$(stat -c %i "$1")" "$(stat -c %i "$2")"
}

@test "hard links arrive as such, and what is cached is told" {
	kin_join a b
	echo one >a/x
	kin_wait a
	assert_equal "$(links b/x)" 1
	ln a/x a/y
	mkdir a/dir
	ln a/y a/dir/z
	kin_wait a
	assert_equal "$(links b/x b/y b/dir/z)" 3
	same_file b/x b/dir/z
	echo two >b/dir/z
	kin_wait b
	assert_equal "$(cat a/x a/y)" "two
two"
	rm b/x
	mv b/y b/w
	kin_wait b
	[ ! -e a/x ]
	[ ! -e a/y ]
	assert_equal "$(links a/w a/dir/z)" 2
	same_file a/w a/dir/z
	run -1 ln a/dir a/other
	kin unmount a
	kin_remount a
	same_file a/w a/dir/z
}

@test "cp -al, tar and rsync -H keep links together" {
	mkdir -p a/from/d
	for i in {1..20}; do
		echo "$i" >"a/from/$i"
		ln "a/from/$i" "a/from/d/also-$i"
	done
	cp -al a/from a/snapshot
	assert_equal "$(links a/from/[0-9]* a/snapshot/d/*)" 4
	tar cf all.tar -C a/from .
	mkdir a/tar
	tar xf all.tar -C a/tar
	assert_equal "$(links a/tar/[0-9]* a/tar/d/*)" 2
	same_file a/tar/7 a/tar/d/also-7
	if command -v rsync >/dev/null; then
		rsync -aH a/from/ a/rsync/
		assert_equal "$(links a/rsync/[0-9]* a/rsync/d/*)" 2
		run -0 rsync -aH --itemize-changes a/from/ a/rsync/
		assert_output ""
	fi
	rm -rf a/from
	assert_equal "$(links a/snapshot/[0-9]*)" 2
	assert_equal "$(cat a/snapshot/d/also-9)" 9
}

@test "git clone makes hard links, and both repositories work" {
	need git
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
	export GIT_COMMITTER_EMAIL=a@b
	git init -q -b main a/one
	seq 1000 >a/one/file
	git -C a/one add .
	git -C a/one commit -q -m one
	git clone -q --local a/one a/two
	assert_equal "$(find a/two/.git/objects -type f -links 1 -path '*/??/*')" ""
	git -C a/one gc -q --prune=now
	git -C a/one fsck --strict
	git -C a/two fsck --strict
}

@test "a write on one node and an unlink of another name on the other" {
	kin_join a b
	echo base >a/x
	ln a/x a/y
	kin_wait a
	kin pause a
	echo edited >a/y
	rm b/y
	kin resume a
	kin_wait a
	kin_wait b
	assert_equal "$(ls a)" x
	assert_equal "$(cat a/x b/x)" "edited
edited"
	assert_equal "$(links a/x b/x)" 1
}
