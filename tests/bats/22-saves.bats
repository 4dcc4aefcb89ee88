#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How real programs save: however they do it, it is a write of the file that
# both nodes know. What shows it: a change made elsewhere meanwhile meets the
# save in the file itself, as its sibling, and follows no backup.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
	echo old >a/doc
	kin_wait a
	saves=0
}

teardown() {
	kin_cleanup
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# names_of DIR: what is in it, sorted, in one line
names_of() {
	find "$1" -mindepth 1 -printf '%f\n' | sort | tr '\n' ' '
}

# check_save COMMAND...: saves $text to a/doc while b writes it
check_save() {
	text="by a, $((++saves))"
	apart a b
	"$@"
	assert_equal "$(cat a/doc)" "$text"
	echo "by b, $saves" >b/doc
	together a b
	kin_wait a
	assert_equal "$(conflict_count a)" 1
	assert_equal "$(cat a/doc a/doc\ * | sort)" "$text
by b, $saves"
	assert_same_trees a b
	kin resolve a/doc --take main
	kin_wait a
}

by_vim() {
	vim -u NONE -es -N -c "set backupskip= $1" -c "%s/.*/$text/" -c wq a/doc </dev/null
}

@test "vim saves the file, with and without a backup" {
	need vim
	check_save by_vim 'nobackup writebackup backupcopy=no'
	check_save by_vim 'nobackup nowritebackup'
	check_save by_vim 'backupcopy=yes'
	assert_equal "$(names_of b)" "doc "
	check_save by_vim 'backup backupcopy=no'
	assert_equal "$(names_of b)" "doc doc~ "
}

by_sed() {
	sed -i "$@" "s/.*/$text/" a/doc
}

by_gio() {
	echo "$text" | gio save a/doc
}

by_gio_backup() {
	echo "$text" | gio save -b a/doc
}

by_rsync() {
	echo "$text" >source
	touch -d "+$saves minutes" source
	rsync source a/doc
	rm source
}

# Written, synced, renamed before the close: many libraries.
by_python() {
	python3 - <<-END
	import os
	with open("a/.doc.new", "w") as f:
	    f.write("$text\n")
	    f.flush()
	    os.fsync(f.fileno())
	    os.rename("a/.doc.new", "a/doc")
	    old = os.stat("a/doc").st_ino
	    assert old == os.fstat(f.fileno()).st_ino
	END
}

by_cp() {
	echo "$text" >source
	cp --backup=simple --remove-destination source a/doc
	rm source
}

# An office suite: a temporary, the file aside, the temporary in its place.
by_office() {
	echo "lock" >"a/~\$doc"
	echo "$text" >a/A1B2C3.tmp
	mv a/doc a/D4E5F6.tmp
	mv a/A1B2C3.tmp a/doc
	rm a/D4E5F6.tmp "a/~\$doc"
}

# emacs, at the first save of a session.
by_emacs() {
	mv a/doc a/doc~
	echo "$text" >a/doc
}

# The backup is another name of the old file, first: GLib, dpkg.
by_link() {
	echo "$text" >a/.doc.tmp
	ln -f a/doc a/doc~
	mv a/.doc.tmp a/doc
}

@test "sed, rsync and libraries save the file" {
	check_save by_sed
	check_save by_office
	check_save by_python
	if command -v rsync >/dev/null; then
		check_save by_rsync
	fi
	if command -v gio >/dev/null; then
		check_save by_gio
	fi
	assert_equal "$(names_of b)" "doc "
}

@test "a backup that is kept is the new file" {
	check_save by_sed --in-place=~
	assert_equal "$(names_of b)" "doc doc~ "
	check_save by_cp
	# Over the backup of the save before, too.
	check_save by_emacs
	check_save by_emacs
	assert_equal "$(names_of b)" "doc doc~ "
	check_save by_link
	was=$(cat a/doc)
	check_save by_link
	assert_equal "$(cat b/doc~)" "$was"
	if command -v gio >/dev/null; then
		check_save by_gio_backup
	fi
	assert_equal "$(names_of b)" "doc doc~ "
}

@test "a lock file warns on the other node; two are two files" {
	echo "alice, since 10:00" >"a/.~lock.doc#"
	kin_wait a
	assert_equal "$(cat "b/.~lock.doc#")" "alice, since 10:00"
	rm "a/.~lock.doc#"
	kin_wait a
	assert_equal "$(names_of b)" "doc "
	# Both open it while they are apart: each has its own.
	apart a b
	echo "alice, since 11:00" >"a/.~lock.doc#"
	echo "bob, since 11:30" >"b/.~lock.doc#"
	ln -s alice@host.1 "a/.#doc"
	ln -s bob@host.2 "b/.#doc"
	together a b
	kin_wait a
	assert_same_trees a b
	assert_equal "$(find a -name '.~lock*' | wc -l)" 2
	assert_equal "$(find a -name '.#doc*' | wc -l)" 2
	assert_equal "$(conflict_count a)" 2
	for node in a b; do
		rm "$node/.~lock.doc#" "$node/.#doc"
		kin_wait "$node"
	done
	assert_equal "$(names_of a)" "doc "
	assert_equal "$(conflict_count b)" 0
	assert_same_trees a b
}

@test "who has the old file open keeps it, as POSIX says" {
	text="by a"
	exec 7<a/doc 8>>a/doc
	by_python
	assert_equal "$(cat <&7)" "old"
	echo "more" >&8
	exec 8>&-
	assert_equal "$(cat a/doc)" "by a"
	exec 7<&-
	kin_wait a
	assert_equal "$(cat b/doc)" "by a"
	assert_equal "$(names_of b)" "doc "
}

@test "a reader goes on with what it opened when others save" {
	exec 7<b/doc
	read -r -n 1 -u 7 first
	text="by a"
	by_office
	kin_wait a
	assert_equal "$(cat b/doc)" "by a"
	assert_equal "$first$(cat <&7)" "old"
	exec 7<&-
	exec 7<b/doc
	rm a/doc
	kin_wait a
	[ ! -e b/doc ]
	assert_equal "$(cat <&7)" "by a"
	exec 7<&-
	assert_same_trees a b
}

@test "git works on its files as ever" {
	need git
	export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n
	export GIT_COMMITTER_EMAIL=e GIT_CONFIG_GLOBAL=/dev/null
	git -c init.defaultBranch=main init -q a/repo
	for i in {1..15}; do
		echo "$i" >"a/repo/f$((i % 4))"
		git -C a/repo add .
		git -C a/repo commit -qm "commit $i"
	done
	git -C a/repo gc -q
	git -C a/repo checkout -q -b other HEAD~3
	git -C a/repo -c advice.detachedHead=false checkout -q main
	kin_wait a
	assert_equal "$(git -C a/repo status --porcelain)" ""
	git -C b/repo fsck --strict
	assert_equal "$(git -C b/repo rev-parse main other)" \
		"$(git -C a/repo rev-parse main other)"
	assert_equal "$(git -C b/repo status --porcelain)" ""
	assert_equal "$(find b/repo -name '*.lock')" ""
	assert_equal "$(conflict_count b)" 0
	assert_same_trees a b
}

@test "a database with its journal" {
	need sqlite3
	for mode in delete truncate persist; do
		sqlite3 "a/$mode.db" "pragma journal_mode=$mode;
			create table t (n);" >/dev/null
		for i in {1..5}; do
			sqlite3 "a/$mode.db" \
				"insert into t values ($i);"
			sqlite3 "a/$mode.db" "begin; insert into t values (0);
				rollback;"
		done
	done
	kin_wait a
	for mode in delete truncate persist; do
		assert_equal "$(sqlite3 "b/$mode.db" \
			'pragma integrity_check; select sum(n) from t;')" "ok
15"
	done
	assert_same_trees a b
}
