#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Extended attributes of users: programs that copy them, other nodes, and
# what is there after a restart.

setup() {
	load helpers
	kin_setup
	need_fuse
	command -v setfattr >/dev/null || skip "attr is not installed"
	kin_mount a
}

teardown() {
	kin_cleanup
}

attrs() {
	(cd "$1" && find . -exec getfattr -d -m - {} + 2>/dev/null)
}

make_tree() {
	mkdir -p "$1/d/e"
	for i in {1..10}; do
		echo "$i" >"$1/d/$i"
		setfattr -n user.number -v "$i" "$1/d/$i"
	done
	setfattr -n user.dir -v 'a directory' "$1/d/e"
	setfattr -n user.binary -v 0x0001ff00 "$1/d/3"
	head -c 50000 /dev/zero | tr '\0' x >"$1/d/big"
	setfattr -n user.big -v "$(head -c 60000 "$1/d/big")" "$1/d/1"
}

@test "attributes travel, and changes of them too" {
	kin_join a b
	make_tree a
	kin_wait a
	assert_equal "$(attrs a)" "$(attrs b)"
	setfattr -n user.number -v eleven b/d/1
	setfattr -x user.number b/d/2
	setfattr -n user.new -v from-b b/d/2
	kin_wait b
	assert_equal "$(attrs a)" "$(attrs b)"
	assert_equal "$(getfattr --only-values -n user.number a/d/1)" eleven
	run -1 getfattr -n user.number a/d/2
	assert_output --partial "No such attribute"
	kin unmount a
	kin_remount a
	assert_equal "$(attrs a)" "$(attrs b)"
}

@test "cp -a, rsync -X and tar --xattrs keep them" {
	make_tree a/from
	cp -a a/from a/to
	assert_equal "$(attrs a/from)" "$(attrs a/to)"
	if command -v rsync >/dev/null; then
		rsync -aX a/from/ a/rsync/
		assert_equal "$(attrs a/from)" "$(attrs a/rsync)"
		run -0 rsync -aX --itemize-changes a/from/ a/rsync/
		assert_output ""
	fi
	tar cf all.tar --xattrs -C a/from .
	mkdir a/tar
	tar xf all.tar --xattrs -C a/tar
	assert_equal "$(attrs a/from)" "$(attrs a/tar)"
}

@test "others are refused, and kinfs's own say what they are not" {
	echo x >a/f
	run -1 setfattr -n user.kin.no-such -v 1 a/f
	assert_output --partial "Invalid argument"
	run -1 setfattr -n system.x -v 1 a/f
	assert_output --partial "not supported"
	run -0 cp --preserve=all a/f a/g
	assert_output ""
}

# acl get|set FILE [TEXT]: "u::6 u:NAME:7 g::4 m::7 o::0"
acl() {
	python3 - "$@" <<-'END'
	import grp, os, pwd, struct, sys
	tags = {"u": (1, 2), "g": (4, 8), "m": (16, 16), "o": (32, 32)}
	letters = {1: "u", 2: "u", 4: "g", 8: "g", 16: "m", 32: "o"}
	name = "system.posix_acl_access"
	if sys.argv[1] == "set":
	    out = struct.pack("<I", 2)
	    for word in sys.argv[3].split():
	        kind, who, perm = word.split(":")
	        number = 0xffffffff
	        if who:
	            number = (pwd.getpwnam(who).pw_uid if kind == "u"
	                      else grp.getgrnam(who).gr_gid)
	        out += struct.pack("<HHI", tags[kind][who != ""], int(perm),
	                           number)
	    os.setxattr(sys.argv[2], name, out)
	else:
	    data = os.getxattr(sys.argv[2], name)
	    words = []
	    for at in range(4, len(data), 8):
	        tag, perm, number = struct.unpack_from("<HHI", data, at)
	        who = ("" if tag not in (2, 8) else
	               pwd.getpwuid(number).pw_name if tag == 2 else
	               grp.getgrgid(number).gr_name)
	        words.append(f"{letters[tag]}:{who}:{perm}")
	    print(" ".join(words))
	END
}

@test "ACLs travel; trusted and security attributes do not" {
	kin_join a b
	echo text >a/f
	acl set a/f "u::6 u:daemon:4 g::0 g:mail:6 m::6 o::0"
	[ "$(id -u)" != 0 ] || setfattr -n trusted.x -v here a/f
	kin_wait a
	assert_equal "$(acl get b/f)" "u::6 u:daemon:4 g::0 g:mail:6 m::6 o::0"
	# (so that the kernel knows it there)
	assert_equal "$(acl get a/f)" "$(acl get b/f)"
	chmod 640 b/f
	echo more >>b/f
	kin_wait b
	assert_equal "$(acl get a/f)" "u::6 u:daemon:4 g::0 g:mail:6 m::4 o::0"
	run -1 getfattr -n trusted.x b/f
	if [ "$(id -u)" = 0 ]; then
		kin unmount a
		kin_remount a
		run -0 getfattr --only-values -n trusted.x a/f
		assert_output here
	fi
	# A program that asks whether there is one gets the answer.
	[[ "$(ls -l a/f)" == -rw-r-----+* ]]
	cp -a a/f a/g
	assert_equal "$(acl get a/g)" "$(acl get a/f)"
}
