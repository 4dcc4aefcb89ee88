# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What is a hole costs nothing: not here, not on the way, not elsewhere.

setup() {
	load helpers
	kin_setup
	need_fuse
}

teardown() {
	kin_cleanup
}

TIB=$((1 << 40))
# Of the islands: at the start, unaligned in the middle, at the very end.
MIDDLE=$((TIB / 3))
END=$((TIB - 4096))

# KiB that the data of a store takes on the disk.
taken() { # NAME
	du -s --block-size=1K "$T/$1.store/seg" | cut -f1
}

island() { # NAME OFFSET: the 4 KiB there
	dd if="$T/$1/big" iflag=skip_bytes,count_bytes skip="$2" count=4096 \
		bs=4096 status=none
}

has_islands() { # NAME
	[ "$(stat -c %s "$T/$1/big")" = $TIB ] &&
		cmp <(island "$1" 0) one && cmp <(island "$1" $MIDDLE) two &&
		cmp <(island "$1" $END) three
}

@test "a file of 1 TiB with three islands of 4 KiB, on two nodes" {
	two_nodes
	for name in one two three; do
		head -c 4096 /dev/urandom >$name
	done
	SECONDS=0
	truncate -s $TIB a/big
	exec 7<>a/big
	dd if=one of=a/big conv=notrunc status=none
	dd if=two of=a/big oflag=seek_bytes seek=$MIDDLE conv=notrunc \
		status=none
	dd if=three of=a/big oflag=seek_bytes seek=$END conv=notrunc \
		status=none
	exec 7>&-
	kin_wait a
	has_islands a
	has_islands b
	# (an island is a chunk, with up to 256 KiB of what is around it)
	[ "$(taken a)" -lt 1024 ]
	[ "$(taken b)" -lt 1024 ]
	# (what is between them reads as zeros)
	cmp <(island b $((MIDDLE + 4096))) <(head -c 4096 /dev/zero)
	cmp <(island b $((MIDDLE - 4096))) <(head -c 4096 /dev/zero)
	cmp <(island b 123456789012) <(head -c 4096 /dev/zero)
	[ $SECONDS -lt 20 ]

	# One more is as cheap, and nothing of the file is cut anew for it.
	dd if=two of=b/big oflag=seek_bytes seek=$((TIB / 2)) conv=notrunc \
		status=none
	kin_wait b
	cmp <(island a $((TIB / 2))) two
	has_islands a
	[ "$(taken a)" -lt 1400 ]
	[ "$(taken b)" -lt 1400 ]
	[ $SECONDS -lt 30 ]

	# Nor do they grow by a restart, or by giving back space.
	kin unmount a
	kin_remount a
	has_islands a
	[ "$(taken a)" -lt 1400 ]
}
