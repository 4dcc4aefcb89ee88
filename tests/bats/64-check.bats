#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin check: says nothing of sound stores, changes nothing where it only
# looks, names what is damaged by path, and mends it.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

# Flips bits of the first byte of a text in a file: damage FILE TEXT
damage() {
	python3 - "$1" "$2" <<-'END'
	import mmap, sys
	with open(sys.argv[1], "r+b") as f:
	    m = mmap.mmap(f.fileno(), 0)
	    what = sys.argv[2].encode()
	    at = m.find(what)
	    assert at >= 0
	    while at >= 0:
	        m[at] ^= 0x14
	        at = m.find(what, at + 1)
	    m.flush()
	END
}

# All segments of a node: damage_data NODE TEXT
damage_data() {
	local file

	for file in "$T/$1.store/seg"/*; do
		! grep -q "$2" "$file" || damage "$file" "$2"
	done
}

# A file of 300 KB without zeros, with a word in its middle
make_large() {
	{
		seq 100000 | head -c 150000
		printf '\n%s\n' "$2"
		seq 200000 -1 100000 | head -c 150000
	} >"$1"
}

fill() {
	mkdir -p a/dir/inner
	for i in $(seq 30); do echo "file $i" >"a/dir/f$i"; done
	ln a/dir/f1 a/dir/inner/link
	ln -s f2 a/dir/symlink
	make_large a/large needle-one
	make_large a/dir/other needle-two
	echo again >a/dir/f3
	rm a/dir/f4
}

@test "a sound store: mounted, after kill -9, unmounted; nothing is changed" {
	kin_mount a
	fill
	run -0 kin check a
	assert_output --partial "objects"
	run -0 kin check --data --json a
	assert_equal "$(jq .fault_count <<<"$output")" 0
	assert_equal "$(jq '.bytes > 300000' <<<"$output")" true
	run -5 kin check a.store
	assert_output --partial "is open in another process"
	kin_kill a
	sum="$(cd a.store && find . -type f -print0 | sort -z |
		xargs -0 sha256sum)"
	run -0 kin check --data a.store
	assert_equal "$(cd a.store && find . -type f -print0 | sort -z |
		xargs -0 sha256sum)" "$sum"
	kin_remount a
	kin unmount a
	run -0 kin check --data a.store
	# (a mount says what is wrong with its key)
	chmod 644 a.store/device.key
	run -0 kin check a.store
	run -4 kin check nowhere
	run -2 kin check
}

@test "damaged data: EIO there and only there, named, and no version of it" {
	kin_mount a
	fill
	kin unmount a
	damage_data a needle-one
	run -0 kin check a.store
	run -1 kin check --data a.store
	assert_output --partial "large@"
	assert_output --partial "1 chunk damaged"
	refute_output --partial "dir/other"
	kin_remount a
	run cat a/large
	assert_failure
	assert_output --partial "Input/output error"
	cat a/dir/other a/dir/f3 >/dev/null
	# What is before it can be read.
	assert_equal "$(dd if=a/large bs=6 count=1 status=none)" "$(seq 3)"
	run -1 kin check --data --json a
	assert_equal "$(jq -r '[.faults[] | select(.kind == "content")][0].path' \
		<<<"$output")" large
	assert_equal "$(jq -r '.faults | map(select(.kind == "content")) | length' \
		<<<"$output")" 1
	# A write beside the damage makes no version out of damaged bytes.
	before="$(kin log --json a/large | jq -r '.versions[0].id')"
	printf X | dd of=a/large bs=1 seek=150003 conv=notrunc status=none || true
	kin unmount a
	run -1 kin check --data a.store
	kin_remount a
	run cat a/large
	assert_failure
	after="$(kin log --json a/large | jq -r '.versions[0].id')"
	assert_equal "$after" "$before"
}

@test "two nodes: what is damaged in files is fetched again" {
	two_nodes
	fill
	kin_wait a
	kin unmount a
	damage_data a needle-one
	kin_remount a
	run cat a/large
	assert_failure
	run -0 kin check --data --repair a
	assert_output --partial "asked of other members"
	healed() { cmp -s a/large b/large; }
	wait_until healed
	kin_wait a
	run -0 kin check --data a
	run -0 kin verify --deep a
	ls a.store/lost/chunk-*
	assert_same_trees a b
}

@test "two nodes: an object that cannot be read comes back from the other" {
	two_nodes
	fill
	echo "inline text that is damaged" >a/dir/victim
	kin_wait a
	kin unmount a
	damage a.store/db "inline text that is damaged"
	run -1 kin check a.store
	assert_output --partial "dir/victim: cannot be read"
	run -1 kin check --json a.store
	assert_equal "$(jq -r '.faults[0].path' <<<"$output")" dir/victim
	kin_remount a
	run cat a/dir/victim
	assert_failure
	assert_equal "$(cat a/dir/f3)" again
	kin unmount a
	run -0 kin check --repair a.store
	assert_output --partial "put aside"
	ls a.store/lost/object-*
	run -0 kin check a.store
	kin_remount a
	back() {
		kin verify --timeout 2 a >/dev/null || true
		[ "$(cat a/dir/victim)" = "inline text that is damaged" ]
	}
	wait_until back
	kin_wait a
	run -0 kin check a
	assert_same_trees a b
}

@test "pages of the tables: named, and the daemon does not start on them" {
	kin_mount a
	fill
	kin unmount a
	# (the flags of each page)
	python3 - a.store/db <<-'END'
	import sys
	with open(sys.argv[1], "r+b") as f:
	    size = f.seek(0, 2)
	    for page in range(2, size // 4096):
	        f.seek(page * 4096 + 10)
	        b = f.read(1)[0]
	        f.seek(page * 4096 + 10)
	        f.write(bytes([b ^ 1]))
	END
	run -1 kin check a.store
	assert_output --partial "page "
	run -1 kin check --json a.store
	assert_equal "$(jq -r '.faults[0].kind' <<<"$output")" page
	run kin mount a
	assert_failure
	assert_output --partial "kin check"
}

# Past the store: no checksum fits. damage_meta STORE KEY
damage_meta() {
	python3 - "$1/db" "$2" <<-'END'
	import re, sys
	with open(sys.argv[1], "r+b") as f:
	    all = f.read()
	    key = sys.argv[2].encode()
	    def is_node(at):
	        page = all[at & ~4095:][:4096]
	        end = int.from_bytes(page[12:14], "little")
	        return (at & 4095).to_bytes(2, "little") in [
	            page[k:k + 2] for k in range(16, end, 2)]
	    # (a node of a leaf: length of the value, flags, of the key; what
	    # one of a page before left behind reaches into others)
	    found = 0
	    for m in re.finditer(re.escape(key), all):
	        at = m.start()
	        if at < 8 or int.from_bytes(all[at - 2:at], "little") != len(key):
	            continue
	        size = int.from_bytes(all[at - 8:at - 4], "little")
	        if not 4 <= size < 400 or not is_node(at - 8):
	            continue
	        f.seek(m.end() + size - 1)
	        f.write(bytes([all[m.end() + size - 1] ^ 1]))
	        found += 1
	    assert found
	END
}

@test "two nodes: whatever META has of the store's identity is damaged, and mended" {
	two_nodes
	fill
	kin_wait a
	for key in volume label origin know clock history cookie; do
		kin pause a
		echo "$key" >"a/unsent-$key"
		echo "$key" >"b/of-b-$key"
		kin unmount a
		damage_meta a.store "$key"
		run kin mount --store "$T/a.store" a
		assert_failure
		run -1 kin check a.store
		assert_output --partial "META '$key'"
		run -0 kin check --repair a.store
		run -0 kin check --data a.store
		kin_remount a
		kin resume a
		assert_equal "$(cat "a/unsent-$key")" "$key"
		kin_wait a
		assert_same_trees a b
		run -0 kin verify --deep a
	done
}

@test "what META has of the store itself is named, and mended" {
	kin_mount a
	fill
	kin unmount a
	for key in boot log format; do
		damage_meta a.store "$key"
		run kin mount a
		assert_failure
		assert_output --partial "META '$key' cannot be read"
		run -1 kin check a.store
		assert_output --partial "META '$key'"
		run -0 kin check --repair a.store
		run -0 kin check --data a.store
		kin_remount a
		assert_equal "$(cat a/dir/f3)" again
		kin unmount a
	done
}

@test "two nodes: the volume's secret is lost: the store becomes a volume of its own" {
	two_nodes
	fill
	kin_wait a
	kin pause a
	echo mine >a/unsent
	kin unmount a
	damage_meta a.store secret
	run kin mount a
	assert_failure
	run -0 kin check --repair a.store
	assert_output --partial "a volume of its own now"
	run -0 kin check --data a.store
	kin_remount a
	assert_equal "$(cat a/unsent)" mine
	assert_equal "$(cat a/dir/f3)" again
	assert_equal "$(kin member list --json a | jq '.members | length')" 1
	# As the message says: joined again beside it.
	kin_join b again
	run -0 kin member remove a b
	cp a/unsent again/
	kin_wait again
	assert_equal "$(cat b/unsent)" mine
	assert_same_trees again b
}
