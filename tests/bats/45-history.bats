#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin log, cat, restore, undelete: what was, as people see it.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# save TEXT FILE...: a version of each
save() {
	local text=$1 file

	shift
	for file; do
		echo "$text" >"$file"
		kin log "$file" >log
	done
}

# versions FILE: "STATE SIZE", newest first
versions() {
	kin log --json "$1" | jq -r '.versions[] | "\(.state) \(.size)"'
}

# id_of FILE SIZE: of the newest with so many bytes
id_of() {
	kin log --json "$1" |
		jq -r "[.versions[] | select(.size == $2)][0].id"
}

@test "log, cat and restore on one node" {
	kin_mount a
	save one a/f
	save three a/f
	save fifteen a/f
	assert_equal "$(versions a/f)" "current 8
replaced 6
replaced 4"
	run -0 kin log a/f
	assert_line --index 0 --regexp '^ID +WRITTEN +BYTES +BY +STATE$'
	assert_line --index 1 --regexp '^[0-9a-f]{10}  [-0-9]{10} [:0-9]{8} +8  a +current$'
	id=$(id_of a/f 4)
	assert_equal "$(kin cat "a/f@$id")" one
	assert_equal "$(kin cat "a/f@${id:0:6}")" one
	run -0 kin restore "a/f@$id"
	assert_output "restored: $T/a/f"
	assert_equal "$(cat a/f)" one
	assert_equal "$(versions a/f)" "current 4
replaced 8
replaced 6
replaced 4"
	# there already: no new version
	kin restore "a/f@$id"
	assert_equal "$(versions a/f | wc -l)" 4
	run -0 kin restore --json --to a/g "a/f@$(id_of a/f 6)"
	assert_equal "$(jq -r .path <<<"$output")" g
	assert_equal "$(cat a/g)" three
	assert_equal "$(cat a/f)" one
	run -1 kin restore --to a/g "a/f@$id"
	assert_output --partial "is there already"
	# the history is on the disk
	kin unmount a
	kin_remount a
	assert_equal "$(versions a/f | wc -l)" 4
	assert_equal "$(kin cat "a/f@$(id_of a/f 6)")" three
}

@test "by time and by age" {
	kin_mount a
	save one a/f
	save three a/f
	assert_equal "$(kin cat a/f@0s)" three
	assert_equal "$(kin cat "a/f@$(date -d '+1 hour' +%Y-%m-%dT%H:%M)")" three
	assert_equal "$(kin cat "a/f@$(date -d '+1 day' +%Y-%m-%d)")" three
	run -1 kin cat a/f@1h
	assert_output --partial "no such version"
	run -1 kin cat a/f@2001-01-01
	assert_output --partial "no such version"
	run -2 kin cat a/f
	assert_output --partial "which version?"
	run -2 kin cat a/f@yesterday
	assert_output --partial "no id, time or age"
	run -1 kin cat a/nothing@1h
	assert_output --partial "nothing of that name"
	run -1 kin log a
	assert_output --partial "is a directory"
}

@test "edits here and there, on both nodes" {
	two_nodes
	save one a/f
	kin_wait a
	save three b/f
	kin_wait b
	assert_equal "$(versions a/f)" "current 6
replaced elsewhere 4"
	assert_equal "$(versions b/f)" "current 6
replaced 4"
	assert_equal "$(id_of a/f 4)" "$(id_of b/f 4)"
	assert_equal "$(kin log --json a/f | jq -r '[.versions[].label] | join(" ")')" "b a"
	run -0 kin restore "b/f@$(id_of b/f 4)"
	kin_wait b
	assert_equal "$(cat a/f)" one
}

@test "a file in conflict, and what lost" {
	two_nodes
	save base a/f
	kin_wait a
	apart a b
	save "of a" a/f
	save "of b, longer" b/f
	meet a b
	wait_until test "$(versions a/f | wc -l)" = 3
	versions a/f | grep -q '^sibling'
	sibling=$(kin log --json a/f | jq -r '.versions[] |
		select(.state == "sibling").name')
	[ -f "a/$sibling" ]
	assert_equal "$(versions "a/$sibling")" "$(versions a/f)"
	# settled, and taken back from the history
	rm "a/$sibling"
	kin_wait a
	kin log a/f >log
	for size in 5 13; do
		kin cat "a/f@$(id_of a/f $size)" >out
		assert_equal "$(wc -c <out)" "$size"
	done
}

merged() {
	[ "$(tr '\n' ' ' <a/f)" = "one 2 3 4 five " ]
}

@test "what a policy made of two is taken back" {
	two_nodes
	printf '1\n2\n3\n4\n5\n' >a/f
	kin policy a/ merge >out
	kin_wait a
	apart a b
	sed -i s/1/one/ a/f
	kin token a >token
	sed -i s/5/five/ b/f
	meet a b
	wait_until merged
	kin_wait a
	kin log --json a/f | jq -e '.versions[0].automatic' >out
	kin restore "a/f@$(id_of a/f 12)" >out
	kin_wait a
	grep -q one b/f
	run -1 grep -q five b/f
}

@test "removed files, dead and purged" {
	two_nodes
	mkdir a/d
	save one a/d/f
	save three a/d/f
	kin_wait a
	rm a/d/f
	kin_wait a
	assert_equal "$(versions a/d/f)" "removed 6
replaced 4"
	run -0 kin undelete a/d
	assert_line --regexp '^[-0-9]{10} [:0-9]{8}  f \(6 bytes\)$'
	# all have acknowledged the removal: the row goes
	wait_until gone a
	wait_until gone b
	assert_equal "$(kin cat "a/d/f@$(id_of a/d/f 4)")" one
	assert_equal "$(kin undelete --json b/d |
		jq -r '.[] | "\(.name) \(.kind) \(.files) \(.size)"')" \
		"f file 1 6"
	run -0 kin undelete b/d f
	assert_output f
	kin_wait b
	assert_equal "$(cat a/d/f)" three
	rm a/d/f
	kin_wait a
	# back as it was before
	run -0 kin restore "a/d/f@$(id_of a/d/f 4)"
	assert_equal "$(cat a/d/f)" one
	run -1 kin undelete b/d other
	assert_output --partial "nothing of that name was removed there"
}

# gone NODE: history has something that is no row any more
gone() {
	[ "$(kin status --json "$1" | jq .history.removed)" -ge 1 ]
}

all_purged() {
	[ "$(kin status --json "$1" | jq .space.removed.files)" = 0 ]
}

@test "rm -rf of a tree, and back" {
	two_nodes
	mkdir -p a/d/e/empty
	for i in $(seq 200); do
		echo "$i" >"a/d/e/$i"
	done
	head -c 300000 /dev/urandom >a/d/large
	touch a/d/nothing
	ln -s e/1 a/d/link
	chmod 750 a/d/e
	cp -a a/d before
	kin_wait a
	rm -rf b/d
	kin_wait b
	[ ! -e a/d ]
	wait_until gone a
	wait_until all_purged a
	run -0 kin undelete a
	assert_output --regexp "d/ \(203 files, .*\)$"
	run -0 kin undelete a d
	assert_output --regexp "^d/ \(203 files, .*\)$"
	diff -r --no-dereference before a/d
	assert_equal "$(stat -c %a a/d/e)" 750
	kin_wait a
	diff -r --no-dereference before b/d
	run -0 kin undelete a
	assert_output "nothing that is still known was removed here"
	assert_same_trees a b
}

@test "names that are taken, and since when" {
	kin_mount a
	echo one >a/f.txt
	rm a/f.txt
	echo two >a/f.txt
	run -0 kin undelete a f.txt
	assert_output "f.txt: as f (restored).txt"
	assert_equal "$(cat "a/f (restored).txt")" one
	rm a/f.txt
	run -0 kin undelete --since 1h --list --json a
	assert_equal "$(jq length <<<"$output")" 1
	run -0 kin undelete --since 2099-01-01 --list a
	assert_output "nothing that is still known was removed here"
	run -0 kin undelete --all a
	assert_output f.txt
	assert_equal "$(cat a/f.txt)" two
	run -0 kin undelete --all a
	assert_output "nothing to put back"
	run -1 kin undelete a/f.txt
	run -2 kin undelete --all a f.txt
	run -2 kin undelete --since never a
	run -2 kin undelete
}

@test "odd names" {
	kin_mount a
	local name

	for name in 'a b' '-dash' $'new\nline' "quo'te\"s" '$(x)' 'at@sign' \
		$'not utf\xff' '*'; do
		save one "a/$name"
		save three "a/$name"
		assert_equal "$(kin cat "a/$name@$(id_of "a/$name" 4)")" one
		kin restore "a/$name@$(id_of "a/$name" 4)" >out
		assert_equal "$(cat "a/$name")" one
		kin restore --to "a/$name.new" "a/$name@$(id_of "a/$name" 6)" >out
		assert_equal "$(cat "a/$name.new")" three
		rm "a/$name" "a/$name.new"
		kin undelete -- a "$name" "$name.new" >out
		assert_equal "$(cat "a/$name")" one
		assert_equal "$(cat "a/$name.new")" three
	done
	run -0 kin log --json "a/at@sign"
}

@test "large and binary contents, to a reader that stops" {
	kin_mount a
	head -c 5000000 /dev/urandom >large
	cp large a/f
	kin log a/f >log
	printf 'x' | dd of=a/f bs=1 seek=2500000 conv=notrunc status=none
	kin log a/f >log
	id=$(kin log --json a/f | jq -r '.versions[1].id')
	kin cat "a/f@$id" | cmp - large
	kin cat "a/f@$id" >out
	cmp out large
	# (head goes, and the daemon does not stay behind)
	for _ in $(seq 12); do
		kin cat "a/f@$id" | head -c 10 >out
	done
	cmp -n 10 out large
	run -1 bash -c "'$KIN' cat 'a/f@$id' >/dev/full"
	assert_output --partial "standard output"
	kin restore "a/f@$id"
	cmp a/f large
	# one that never reads holds nobody up
	mkfifo fifo
	exec 9<>fifo
	kin cat "a/f@$id" >fifo 3>&- 9>&- &
	cat=$!
	kin unmount a
	exec 9>&-
	wait "$cat" || true
}

@test "how much is kept" {
	kin_mount a --history-days 7 --history-size 20M
	assert_equal "$(kin status --json a |
		jq -r '.history | "\(.days_max) \(.bytes_max)"')" "7 20971520"
	save one a/f
	save three a/f
	assert_equal "$(kin status --json a | jq .history.contents)" 1
	kin unmount a
	# remembered
	kin_remount a
	assert_equal "$(kin status --json a |
		jq -r '.history | "\(.days_max) \(.bytes_max)"')" "7 20971520"
	kin unmount a
	# nothing from now on, and what was there goes
	kin_remount a --history-days 0
	wait_until nothing_kept
	save fifteen a/f
	assert_equal "$(versions a/f)" "current 8"
	run -2 kin mount --history-days x b
	run -2 kin mount --history-size 101% b
	run -2 kin mount --history-size 5X b
}

nothing_kept() {
	[ "$(kin status --json a | jq .history.contents)" = 0 ]
}
