#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Users and groups travel as names. Two nodes with other users: each is in a
# namespace of mounts with an /etc/passwd and an /etc/group of its own.

setup() {
	load helpers
	kin_setup
	need_fuse
	need_root
	unshare -m true 2>/dev/null || skip "there may be no namespace"
	HOLDERS=()
	# bob is known to a only; 65513 is bob there, and carl at b.
	users a ann:65511 bob:65513
	users b ann:65521 carl:65513
	on a kin mount --store "$T/a.store" --name a --listen 127.0.0.1:0 \
		--allow-other "$T/a"
	code=$(on a kin invite "$T/a")
	on b kin join --store "$T/b.store" --name b --listen 127.0.0.1:0 \
		--allow-other "$code" "$T/b"
}

teardown() {
	local pid

	on a kin unmount "$T/a" || true
	on b kin unmount "$T/b" || true
	for pid in "${HOLDERS[@]}"; do
		kill -9 "$pid" || true
	done
	kin_cleanup
}

# users NODE NAME:NUMBER...: those, and root, of this node; groups as well
users() {
	local node=$1 user

	shift
	mkdir -p "$T/$node"
	echo "root:x:0:0::/:/bin/sh" >"passwd.$node"
	echo "root:x:0:" >"group.$node"
	for user; do
		echo "${user%:*}:x:${user#*:}:${user#*:}::/:/bin/sh" \
			>>"passwd.$node"
		echo "${user%:*}:x:${user#*:}:" >>"group.$node"
	done
	unshare -m bash -c '
		mount --bind "passwd.$1" /etc/passwd
		mount --bind "group.$1" /etc/group
		touch "ready.$1"
		exec sleep 600' - "$node" 3>&- &
	HOLDERS+=($!)
	declare -g "HOLDER_$node=$!"
	wait_until test -e "ready.$node"
}

# on NODE COMMAND...: where that node is
on() {
	local holder=HOLDER_$1

	shift
	[ "$1" != kin ] || set -- "$KIN" "${@:2}"
	nsenter -t "${!holder}" -m \
		bash -c 'cd "$1" && shift && exec "$@"' - "$T" "$@"
}

# owner NODE FILE: as the node shows it
owner() {
	on "$1" stat -c %u:%g "$1/$2"
}

# acl NODE FILE [ID PERM]: the first named user's entry, read or written
acl() {
	on "$1" python3 - "$1/$2" "${@:3}" <<-'END'
	import os, struct, sys
	name, none = "system.posix_acl_access", 0xffffffff
	if len(sys.argv) == 2:
	    raw = os.getxattr(sys.argv[1], name)
	    for at in range(4, len(raw), 8):
	        tag, perm, who = struct.unpack_from("<HHI", raw, at)
	        if tag == 2:
	            print(f"{who}:{perm}")
	else:
	    who, perm = map(int, sys.argv[2:])
	    entries = ((1, 6, none), (2, perm, who), (4, 4, none),
	               (16, 7, none), (32, 0, none))
	    raw = b"".join(struct.pack("<HHI", *e) for e in entries)
	    os.setxattr(sys.argv[1], name, struct.pack("<I", 2) + raw)
	END
}

settled() {
	on a kin wait --timeout $DEADLINE "$T/a"
	on b kin wait --timeout $DEADLINE "$T/b"
}

@test "a name unknown here is shown as the mount's owner, and stays what it is" {
	on a touch a/ann a/bob a/given
	on a chown ann:ann a/ann
	on a chown bob:bob a/bob a/given
	settled
	assert_equal "$(owner b ann)" 65521:65521
	# Never as a number that is somebody else here.
	assert_equal "$(owner b bob)" 0:0
	# What is changed beside it, or given to whom it is shown as, leaves it.
	on b chmod 640 b/bob
	on b chown 0:0 b/bob
	on b chown 0 b/bob
	on b touch b/bob
	settled
	assert_equal "$(owner a bob)" 65513:65513
	assert_equal "$(on a stat -c %a a/bob)" 640
	# Only a real change does, of what is changed.
	on b chown ann b/given
	settled
	assert_equal "$(owner b given)" 65521:0
	assert_equal "$(owner a given)" 65511:65513
	on b chown carl:carl b/given
	assert_equal "$(owner b given)" 65513:65513
	settled
	assert_equal "$(owner a given)" 0:0
}

@test "a user who is made later gets what was his" {
	on a touch a/bob
	on a chown bob:bob a/bob
	settled
	assert_equal "$(owner b bob)" 0:0
	on b kin unmount b
	on b bash -c 'echo "bob:x:65533:65533::/:/bin/sh" >>/etc/passwd
		echo "bob:x:65533:" >>/etc/group'
	on b kin mount --allow-other b
	assert_equal "$(owner b bob)" 65533:65533
}

@test "an ACL keeps a name that is unknown where it is edited" {
	on a touch a/f
	acl a f 65513 6
	assert_equal "$(acl a f)" 65513:6
	settled
	assert_equal "$(acl b f)" 0:6
	acl b f 0 4
	on b chmod 660 b/f
	settled
	assert_equal "$(acl a f)" 65513:4
	# Another number is another user.
	acl b f 65521 6
	settled
	assert_equal "$(acl a f)" 65511:6
}

@test "what is new in a directory with a group unknown here is that group's" {
	on a mkdir a/d
	on a chown bob:bob a/d
	on a chmod 2777 a/d
	settled
	on b touch b/d/f
	on b mkdir b/d/e
	assert_equal "$(owner b d/f)" 0:0
	settled
	assert_equal "$(owner a d/f)" 0:65513
	assert_equal "$(owner a d/e)" 0:65513
}
