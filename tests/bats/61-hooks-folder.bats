#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kin hooks dir, kin hooks list: where hooks are, and which would be run.

setup() {
	load helpers
	kin_setup
	# (The folder has to be one that nobody else can exchange.)
	chmod go-w "$T"
}

teardown() {
	kin_cleanup
}

hook() {
	printf '#!/bin/sh\nexit 1\n' >"$folder/$1"
	chmod "$2" "$folder/$1"
}

@test "each node has a folder of its own, made when it is asked for" {
	need_fuse
	kin_mount a
	kin_join a b
	run -0 kin hooks list a
	assert_output "no hooks in $T/config/kinfs/hooks/$(systemd_name a)"
	[ ! -e config ]
	folder=$(kin hooks dir a)
	assert_equal "$folder" "$T/config/kinfs/hooks/$(systemd_name a)"
	[ -d "$folder" ]
	assert_equal "$(kin hooks dir a/.)" "$folder"
	assert_not_equal "$(kin hooks dir b)" "$folder"
	hook merge 755
	run -0 kin hooks list b
	assert_output --partial "no hooks in"
	run -0 kin hooks list a
	assert_line --index 0 --regexp '^merge +ready$'
	assert_equal "${#lines[@]}" 1
}

# systemd_name NAME: as systemd-escape --path writes it
systemd_name() {
	sed 's|^/||; s|-|\\x2d|g; s|/|-|g' <<<"$T/$1"
}

@test "what would not be run is listed with the reason" {
	need_fuse
	kin_mount a
	folder=$(kin hooks dir a)
	hook good 700
	hook plain 644
	hook shared 775
	hook open 757
	hook 'a b' 755
	hook .hidden 755
	ln -s good "$folder/link"
	mkdir "$folder/dir"
	run -0 kin hooks list a
	assert_line --regexp '^good +ready$'
	assert_line --regexp '^plain +refused: mode: .*chmod \+x'
	assert_line --regexp '^shared +refused: mode: .*its group.*chmod go-w'
	assert_line --regexp '^open +refused: mode: .*others.*chmod go-w'
	assert_line --regexp '^a b +refused: a hook is named by'
	assert_line --regexp '^link +refused: .*symbolic link'
	assert_line --regexp '^dir +refused: .*not a regular file'
	assert_equal "${#lines[@]}" 7
	run -0 kin hooks list --json a
	assert_equal "$(jq -r .folder <<<"$output")" "$folder"
	assert_equal "$(jq -r '.hooks[] | select(.refused == null).name' \
		<<<"$output")" good
	assert_equal "$(jq '.hooks | length' <<<"$output")" 7
	# The command that it names mends it.
	chmod go-w "$folder/shared"
	run -0 kin hooks list a
	assert_line --regexp '^shared +ready$'
}

@test "a folder that others can write is refused as a whole" {
	need_fuse
	kin_mount a
	folder=$(kin hooks dir a)
	hook good 755
	chmod g+w "$folder"
	run -1 kin hooks list a
	assert_output --partial "no hook is run: refused: mode: $folder"
	assert_equal "$(kin hooks list --json a | jq -c .hooks)" '[]'
	chmod g-w "$folder"
	# One above it too: there it could be exchanged.
	chmod o+w config/kinfs
	run -1 kin hooks list a
	assert_output --partial "refused: mode: $T/config/kinfs is writable"
	chmod o-w config/kinfs
	run -0 kin hooks list a
	assert_output --regexp '^good +ready$'
}

@test "a hook of somebody else is refused" {
	need_fuse
	need_root
	kin_mount a
	folder=$(kin hooks dir a)
	hook good 755
	chown 65534 "$folder/good"
	run -0 kin hooks list a
	assert_output --partial "refused: owner: $folder/good belongs to uid"
}

@test "names that are no text are told apart" {
	need_fuse
	kin_mount a
	folder=$(kin hooks dir a)
	hook $'\xff' 755
	hook $'new\nline' 755
	run -0 kin hooks list a
	assert_equal "${#lines[@]}" 2
	assert_equal "$(kin hooks list --json a | jq -r '.hooks[].name_hex' |
		grep -v null)" ff
}

@test "what uses each hook is listed, also of one that is not there" {
	need_fuse
	kin_mount a
	folder=$(kin hooks dir a)
	hook good 755
	hook unused 755
	mkdir -p 'a/d/e f' a/gone a/other
	kin policy 'a/d/e f' hook:good@b
	kin policy a hook:nowhere
	kin policy a/gone hook:good
	kin policy a/other merge
	kin policy a/d hook:good
	rmdir a/gone
	mv a/d a/moved
	kin policy a/moved --clear
	printf '# mine\nconflict "*.x y" good\n\nlag 60 absent\n' \
		>"$folder.conf"
	chmod 600 "$folder.conf"
	run -0 kin hooks list a
	assert_output - <<-EOF
		good                     ready
		    policy of /moved/e f, run by b alone
		    configuration, line 2: conflict *.x y
		unused                   ready
		nowhere                  not installed here
		    policy of /
		absent                   not installed here
		    configuration, line 4: lag 60
	EOF
	run -0 kin hooks list --json a
	assert_equal "$(jq -c '.hooks[0].uses' <<<"$output")" \
		'[{"policy":"moved/e f","node":"b"},{"line":2,"event":"conflict","pattern":"*.x y"}]'
	assert_equal "$(jq -c '[.missing[].name] | sort' <<<"$output")" \
		'["absent","nowhere"]'
	assert_equal "$(jq -c '.policies_cut' <<<"$output")" false
	# Policies of other nodes are this volume's as well.
	kin_join a b
	kin_wait a
	run -0 kin hooks list b
	assert_line --regexp '^good +not installed here$'
	assert_line '    policy of /moved/e f, run by b alone'
	refute_output --partial configuration
	kin policy 'b/moved/e f' keep
	run -0 kin hooks list b
	refute_output --partial good
}

@test "kin hooks: wrong usage" {
	run -2 kin hooks
	run -2 kin hooks remove
	assert_output --partial "say dir, list or test"
	run -2 kin hooks dir
	assert_output --partial "MOUNTPOINT"
	run -2 kin hooks dir --json "$T"
	run -4 kin hooks list "$T"
}

@test "a folder in a volume is refused: others write there" {
	need_fuse
	# As who shares his own configuration.
	XDG_CONFIG_HOME=$T/a/config
	kin_mount a
	XDG_CONFIG_HOME=$T/config
	kin_join a b
	folder=$(kin hooks dir a)
	assert_equal "${folder#"$T/a/"}" \
		"config/kinfs/hooks/$(systemd_name a)"
	kin_wait a
	# The other node puts an executable there, and names it.
	cat >"b/${folder#"$T/a/"}/evil" <<-EOF2
		#!/bin/sh
		touch '$T/it-ran'
		exit 1
	EOF2
	chmod 755 "b/${folder#"$T/a/"}/evil"
	mkdir b/doc
	kin policy b/doc hook:evil
	kin_wait b
	[ -x "$folder/evil" ]
	run -1 kin hooks list a
	assert_output --regexp 'refused: .*in a volume of kinfs'
	echo base >a/doc/x
	kin_wait a
	apart a b
	echo 'of a' >a/doc/x
	echo 'of b' >b/doc/x
	together a b
	wait_until eval '[ "$(kin conflicts --json a |
		jq -r ".[0].handler.state")" = failed ]'
	run -0 kin conflicts a
	assert_output --partial 'in a volume of kinfs'
	[ ! -e it-ran ]
}
