#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Everyday programs work inside a mount, and what they wrote is still there,
# byte for byte, after the volume was unmounted and mounted again.

setup() {
	load helpers
	kin_setup
	need_fuse
	kin_mount a
	M=$T/a
}

teardown() {
	kin_cleanup
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

remount() {
	cd "$T" || return 1
	kin unmount "$M"
	kin_remount a
}

# make_tree DIR: a few hundred files of all shapes
make_tree() {
	local i

	mkdir -p "$1/deep/er/still" "$1/empty" "$1/with space"
	for i in {1..200}; do
		mkdir -p "$1/d$((i % 10))"
		seq "$i" $((i * 40)) >"$1/d$((i % 10))/file-$i.txt"
	done
	head -c 3000000 /dev/urandom >"$1/big"
	: >"$1/empty-file"
	ln -s ../big "$1/deep/link"
	ln -s /nowhere/at/all "$1/dangling"
	echo x >"$1/with space/ü – ñ"
	chmod 750 "$1/deep"
	chmod 400 "$1/d1/file-1.txt"
	chmod 755 "$1/d2/file-2.txt"
	touch -d '2001-02-03 04:05:06.789012345' "$1/d3/file-3.txt"
	# (rsync takes times of one second for equal)
	touch -h -d '2002-03-04 05:06:07.5' "$1/dangling" "$1/deep/link"
	find "$1" -type d -exec touch -d '2003-04-05 06:07:08.25' {} +
}

# What cp -a and the like have to keep.
facts() {
	(
		cd "$1" || exit 1
		find . -printf '%P|%y|%m|%U:%G|%l|%T@\n' | sort
		find . -type f -print0 | sort -z | xargs -0r sha256sum
	)
}

assert_copy() {
	diff <(facts "$1") <(facts "$2")
}

@test "cp -a keeps everything, in and out" {
	make_tree "$T/from"
	cp -a "$T/from" "$M/to"
	assert_copy "$T/from" "$M/to"
	cp -a "$M/to" "$T/back"
	assert_copy "$T/from" "$T/back"
	remount
	assert_copy "$T/from" "$M/to"
	rm -rf "$M/to"
	[ -z "$(ls -A "$M")" ]
}

@test "tar packs and unpacks" {
	make_tree "$T/from"
	tar cf "$T/all.tar" --format=posix -C "$T/from" .
	mkdir "$M/to"
	tar xpf "$T/all.tar" -C "$M/to"
	assert_copy "$T/from" "$M/to"
	tar cf "$M/again.tar" --format=posix -C "$M/to" .
	mkdir "$T/back"
	tar xpf "$M/again.tar" -C "$T/back"
	assert_copy "$T/from" "$T/back"
}

@test "rsync -a copies, and finds nothing to do the second time" {
	need rsync
	make_tree "$T/from"
	rsync -a "$T/from/" "$M/to/"
	assert_copy "$T/from" "$M/to"
	run -0 rsync -a --itemize-changes "$T/from/" "$M/to/"
	assert_output ""
	echo more >>"$T/from/d4/file-4.txt"
	rm -r "$T/from/d5"
	touch -d '2004-05-06 07:08:09' "$T/from"
	rsync -a --delete "$T/from/" "$M/to/"
	assert_copy "$T/from" "$M/to"
}

@test "git: init, add, commit, status, branch, clone, gc" {
	need git
	export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
	export GIT_COMMITTER_EMAIL=a@b
	mkdir "$M/work"
	make_tree "$M/work"
	cd "$M/work"
	git init -q -b main .
	git add -A
	git commit -q -m one
	run -0 git status --porcelain
	assert_output ""
	git checkout -q -b side
	echo changed >d1/file-11.txt
	rm d2/file-12.txt
	run -0 git status --porcelain
	assert_output " M d1/file-11.txt
 D d2/file-12.txt"
	git commit -q -a -m two
	git checkout -q main
	[ -e d2/file-12.txt ]
	git merge -q side
	[ ! -e d2/file-12.txt ]
	git gc -q
	git fsck --strict
	git clone -q "$M/work" "$M/clone"
	remount
	git -C "$M/work" fsck --strict
	run -0 git -C "$M/clone" status --porcelain
	assert_output ""
}

@test "make builds a program, and then has nothing to do" {
	need make
	need cc
	mkdir "$M/prog"
	cd "$M/prog"
	printf '%s\n\t%s\n' 'prog: main.o part.o' 'cc -o $@ main.o part.o' \
		'%.o: %.c part.h' 'cc -c -o $@ $<' >Makefile
	echo 'int part(void);' >part.h
	printf '#include "part.h"\nint part(void) { return 42; }\n' >part.c
	printf '#include "part.h"\nint main(void) { return part() - 42; }\n' \
		>main.c
	make
	./prog
	run -0 make
	assert_output --partial "is up to date"
	touch part.h
	run -0 make
	refute_output --partial "is up to date"
	./prog
}

@test "sqlite3, with a rollback journal and with a write-ahead log" {
	need sqlite3
	local mode

	for mode in delete wal; do
		sqlite3 "$M/$mode.db" "pragma journal_mode=$mode" \
			"create table t (a integer primary key, b text)"
		for i in {1..20}; do
			sqlite3 "$M/$mode.db" \
				"with recursive n(i) as (select 1 union all
				 select i + 1 from n where i < 200)
				 insert into t (b) select hex(randomblob(50))
				 from n"
		done
		sqlite3 "$M/$mode.db" "delete from t where a % 3 = 0" vacuum
		run -0 sqlite3 "$M/$mode.db" "pragma integrity_check" \
			"select count(*) from t"
		assert_output "ok
2667"
	done
	remount
	for mode in delete wal; do
		run -0 sqlite3 "$M/$mode.db" "pragma integrity_check"
		assert_output ok
	done
}

@test "vim saves, with its swap and backup files" {
	local vim

	vim=$(command -v vim || command -v vim.tiny) || skip "there is no vim"
	printf 'one\ntwo\nthree\n' >"$M/text"
	chmod 640 "$M/text"
	"$vim" -u NONE -es -c 'set backup backupskip=' -c '%s/two/2/' \
		-c 'wq' "$M/text" </dev/null
	run -0 cat "$M/text"
	assert_output "one
2
three"
	run -0 cat "$M/text~"
	assert_output "one
two
three"
	[ "$(stat -c %a "$M/text")" = 640 ]
	# In place, without a backup.
	"$vim" -u NONE -es -c 'set nobackup nowritebackup backupcopy=yes' \
		-c '1d' -c 'wq' "$M/text" </dev/null
	run -0 cat "$M/text"
	assert_output "2
three"
	run -0 find "$M" -name '.*.sw?'
	assert_output ""
}

@test "a file of more than 4 GiB, with holes" {
	printf start >"$M/sparse"
	printf end | dd of="$M/sparse" bs=1 seek=5000000000 conv=notrunc \
		status=none
	[ "$(stat -c %s "$M/sparse")" = 5000000003 ]
	remount
	[ "$(head -c 5 "$M/sparse")" = start ]
	[ "$(tail -c 3 "$M/sparse")" = end ]
	[ "$(tail -c 1000 "$M/sparse" | head -c 997 | tr -d '\0' | wc -c)" = 0 ]
	truncate -s 4294967297 "$M/sparse"
	[ "$(stat -c %s "$M/sparse")" = 4294967297 ]
	# Shrinking and growing again gives zeros.
	truncate -s 2 "$M/sparse"
	truncate -s 5 "$M/sparse"
	[ "$(od -An -c "$M/sparse" | tr -d ' ')" = 'st\0\0\0' ]
}

@test "a file lives on while it is open, without a name" {
	exec 9<>"$M/gone"
	echo hello >&9
	rm "$M/gone"
	[ ! -e "$M/gone" ]
	[ "$(cat "/proc/self/fd/9")" = hello ]
	echo again >&9
	[ "$(stat -L -c %h /proc/self/fd/9)" = 0 ]
	[ "$(cat /proc/self/fd/9)" = "hello
again" ]
	# The name is free.
	echo other >"$M/gone"
	[ "$(head -n 1 /proc/self/fd/9)" = hello ]
	exec 9>&-
	[ "$(cat "$M/gone")" = other ]
}

@test "names: up to 255 bytes, any byte but / and NUL" {
	local name wide

	name=$(printf 'n%.0s' {1..255})
	echo long >"$M/$name"
	[ "$(cat "$M/$name")" = long ]
	run ! touch "$M/${name}n"
	run -1 mkdir "$M/${name}n"
	assert_output --partial "File name too long"
	# 255 bytes are 85 characters of three.
	wide=$(printf '€%.0s' {1..85})
	mkdir "$M/$wide"
	run -1 mkdir "$M/${wide}x"
	printf x >"$M/$wide/"$'new\nline, \xff\xfe and "quotes"'
	remount
	[ "$(cat "$M/$name")" = long ]
	[ "$(cat "$M/$wide/"$'new\nline, \xff\xfe and "quotes"')" = x ]
}

@test "modes, owners and times" {
	echo x >"$M/f"
	chmod 4751 "$M/f"
	touch -d '1969-12-31 23:59:58.123456789' "$M/f"
	[ "$(stat -c '%a %.9Y' "$M/f")" = "4751 -2.123456789" ] ||
		[ "$(stat -c '%a %.9Y' "$M/f")" = "4751 -1.876543211" ]
	touch -d '2038-01-20 00:00:00.000000001' "$M/f"
	[ "$(stat -c '%.9Y' "$M/f")" = 2147558400.000000001 ]
	if [ "$(id -u)" = 0 ]; then
		chown 1:2 "$M/f"
		[ "$(stat -c '%u:%g' "$M/f")" = 1:2 ]
		chown 3999999998:3999999999 "$M/f"
		[ "$(stat -c '%u:%g' "$M/f")" = 3999999998:3999999999 ]
	fi
	mkdir "$M/d"
	(
		umask 027
		mkdir "$M/d/e"
		echo x >"$M/d/e/f"
	)
	[ "$(stat -c %a "$M/d/e")" = 750 ]
	[ "$(stat -c %a "$M/d/e/f")" = 640 ]
	remount
	[ "$(stat -c '%.9Y' "$M/f")" = 2147558400.000000001 ]
}

@test "rename: over files and directories, not over what is full" {
	mkdir "$M/d" "$M/e" "$M/full"
	echo 1 >"$M/1"
	echo 2 >"$M/2"
	echo 3 >"$M/full/3"
	mv "$M/1" "$M/2"
	[ "$(cat "$M/2")" = 1 ]
	mv -T "$M/d" "$M/e"
	[ ! -e "$M/d" ]
	run -1 mv -T "$M/e" "$M/full"
	assert_output --partial "Directory not empty"
	mv "$M/full" "$M/e/"
	[ "$(cat "$M/e/full/3")" = 3 ]
	run -1 mv "$M/e" "$M/e/full/"
	run -1 mv -T "$M/2" "$M/e"
	run -1 rmdir "$M/e"
	remount
	[ "$(cat "$M/e/full/3")" = 3 ]
	[ "$(ls "$M")" = "2
e" ]
}

@test "FIFOs, sockets and device nodes, here and on another node" {
	kin_join a b
	mkfifo -m 640 "$M/pipe"
	python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' a/socket
	[ "$(id -u)" != 0 ] || mknod "$M/null" c 1 3
	[ "$(id -u)" != 0 ] || mknod "$M/disk" b 259 70000
	kin_wait a
	[ "$(cd a && stat -c '%n %F %a %t:%T %s' -- *)" = \
		"$(cd b && stat -c '%n %F %a %t:%T %s' -- *)" ]
	[ -p "$T/b/pipe" ] && [ -S "$T/b/socket" ]
	[ "$(id -u)" != 0 ] || [ "$(stat -c %t:%T b/disk)" = 103:11170 ]
	echo text >"$M/pipe" &
	[ "$(cat "$M/pipe")" = text ]
	# Each node has a pipe of its own, and no device does anything.
	[ "$(id -u)" != 0 ] || run -1 cat b/null
	[ "$(id -u)" != 0 ] || assert_output --partial "Permission denied"
	remount
	[ -p "$M/pipe" ]
	run -0 cp -a "$M/." "$T/copy"
	[ "$(cd a && stat -c '%n %F %t:%T' -- *)" = \
		"$(cd copy && stat -c '%n %F %t:%T' -- *)" ]
	rm "$M"/*
	kin_wait a
	[ -z "$(ls b)" ]
}

@test "statfs tells of the disk that holds the store" {
	local here store

	here=$(stat -f -c '%l' "$M")
	[ "$here" = 255 ]
	here=$(df -B1 --output=size "$M" | tail -n 1)
	store=$(df -B1 --output=size "$T/a.store" | tail -n 1)
	[ "$here" = "$store" ]
	[ "$(df --output=fstype "$M" | tail -n 1)" = fuse.kinfs ]
	# It is on this machine, as far as df can tell.
	df -l "$M"
}

@test "fsync, appends by several writers, a crowd of files" {
	local i

	dd if=/dev/zero of="$M/z" bs=4k count=100 conv=fsync status=none
	[ "$(stat -c %s "$M/z")" = 409600 ]
	for i in 1 2 3 4; do
		(
			for j in {1..200}; do
				echo "line $i $j" >>"$M/log"
			done
		) &
	done
	wait
	[ "$(sort -u "$M/log" | wc -l)" = 800 ]
	[ "$(wc -l <"$M/log")" = 800 ]
	mkdir "$M/crowd"
	(
		cd "$M/crowd"
		seq 3000 | xargs touch
		[ "$(find . -type f -printf x)" = "$(printf "x%.0s" {1..3000})" ]
		[ "$(find . -type f | wc -l)" = 3000 ]
	)
	rm -r "$M/crowd"
	[ ! -e "$M/crowd" ]
}

@test "kin sync: what was done before is durable" {
	echo text >a/file
	python3 - a/mapped <<-'EOF'
		import mmap, sys
		with open(sys.argv[1], "xb+") as f:
		    f.truncate(8192)
		    m = mmap.mmap(f.fileno(), 8192)
		    m[4096:4100] = b"page"
	EOF
	run -0 --separate-stderr kin sync a/file
	[ -z "$output" ]
	[ "$(kin sync --json a | jq .durable)" = true ]
	kin_kill a
	kin_remount a
	assert_equal "$(cat a/file)" text
	assert_equal "$(tail -c 4096 a/mapped | head -c 4)" page
	run -2 kin sync
	run -4 kin sync "$BATS_TEST_TMPDIR"
}
