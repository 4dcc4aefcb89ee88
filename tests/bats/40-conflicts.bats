#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What two nodes did without knowing of each other, and how it is settled:
# the same on both, nothing lost.

setup() {
	load helpers
	kin_setup
	need_fuse
	two_nodes
}

teardown() {
	kin_cleanup
}

settled() {
	all_alike a b
	assert_equal "$(conflict_count a)" 0
	assert_equal "$(conflict_count b)" 0
	assert_equal "$(siblings a "$1")" ""
}

# Both edit doc.txt: ends with two versions.
edit_edit() {
	echo base >a/doc.txt
	kin_wait a
	apart a b
	echo "of a" >a/doc.txt
	echo "of b, longer" >b/doc.txt
	meet a b
	assert_equal "$(sort a/doc*)" $'of a\nof b, longer'
	sibling=$(siblings a doc)
	[ -n "$sibling" ]
}

@test "edit/edit: two versions beside each other, listed alike" {
	edit_edit
	today=$(date -u +%F)
	[[ $sibling =~ ^doc\ \(conflict\ (a|b)\ ([0-9-]+)\ [a-z2-7]{4,}\)\.txt$ ]]
	label=${BASH_REMATCH[1]}
	[[ ${BASH_REMATCH[2]} == "$today" || -n $today ]]
	assert_equal "$(cut -c 4 "a/$sibling" | head -n 1)" "$label"
	list=$(kin conflicts --json a)
	assert_equal "$(kin conflicts --json b)" "$list"
	assert_equal "$(jq -r '.[0].path' <<<"$list")" doc.txt
	assert_equal "$(jq -r '.[0].kind' <<<"$list")" content
	assert_equal "$(jq '.[0].versions | length' <<<"$list")" 2
	assert_equal "$(jq -r '[.[0].versions[].label] | sort | join(",")' \
		<<<"$list")" a,b
	assert_equal "$(jq -r '[.[0].versions[] | select(.main)] | length' \
		<<<"$list")" 1
	assert_equal "$(jq -r '.[0].versions[] | select(.main | not) | .path' \
		<<<"$list")" "$sibling"
	assert_equal "$(kin status --json a | jq .conflicts)" 1
	run -0 kin conflicts a/doc.txt
	assert_output --partial "$sibling"
	run -0 kin conflicts --json "a/$sibling"
	assert_equal "$(jq length <<<"$output")" 1
}

@test "a conflict is listed below the path that is asked for only" {
	mkdir a/in a/out
	echo base >a/in/doc
	kin_wait a
	apart a b
	echo 1 >a/in/doc
	echo 2 >b/in/doc
	meet a b
	assert_equal "$(kin conflicts --json a/in | jq length)" 1
	assert_equal "$(kin conflicts --json a/out | jq length)" 0
	run -0 kin conflicts a/out
	assert_output "no conflicts"
}

@test "edit/edit with equal bytes is no conflict" {
	echo base >a/doc.txt
	kin_wait a
	apart a b
	echo same >a/doc.txt
	echo same >b/doc.txt
	together a b
	kin_wait a
	assert_equal "$(cat a/doc*)" same
	assert_equal "$(cat b/doc*)" same
	assert_equal "$(conflict_count a)" 0
	assert_same_trees a b
}

@test "create/create with different content" {
	apart a b
	echo "new of a" >a/new.txt
	echo "new of b" >b/new.txt
	meet a b
	assert_equal "$(sort a/new*)" $'new of a\nnew of b'
	assert_equal "$(ls a | wc -l)" 2
	assert_equal "$(kin conflicts --json a | jq -r '.[0].kind')" name
	other=$(siblings a new)
	rm "b/$other"
	settled new
}

@test "create/create with equal content is no conflict" {
	apart a b
	echo equal >a/new.txt
	echo equal >b/new.txt
	meet a b
	assert_equal "$(ls a)" new.txt
	assert_equal "$(conflict_count a)" 0
	# It is one file from now on: an edit is no conflict, a removal is one.
	echo edited >b/new.txt
	kin_wait b
	assert_equal "$(cat a/new.txt)" edited
	assert_equal "$(ls b)" new.txt
	rm a/new.txt
	kin_wait a
	assert_equal "$(ls b)" ""
}

@test "edit/delete: the edit stays" {
	echo base >a/doc
	kin_wait a
	apart a b
	echo edited >a/doc
	rm b/doc
	meet a b
	assert_equal "$(cat b/doc)" edited
	assert_equal "$(conflict_count a)" 0
}

@test "chmod/delete: it is deleted" {
	echo base >a/doc
	kin_wait a
	apart a b
	chmod 600 a/doc
	rm b/doc
	meet a b
	assert_equal "$(ls a)" ""
}

@test "rename/edit: both hold" {
	echo base >a/doc
	kin_wait a
	apart a b
	mv a/doc a/renamed
	echo edited >b/doc
	meet a b
	assert_equal "$(ls a)" renamed
	assert_equal "$(cat a/renamed)" edited
	assert_equal "$(conflict_count a)" 0
}

@test "rename/rename of one file: one name, the file once" {
	echo text >a/doc
	kin_wait a
	apart a b
	mv a/doc a/one
	mv b/doc b/two
	meet a b
	assert_equal "$(ls a | wc -l)" 1
	assert_equal "$(cat a/*)" text
}

@test "rename/delete: the renamed file lives" {
	echo text >a/doc
	kin_wait a
	apart a b
	mv a/doc a/renamed
	rm b/doc
	meet a b
	assert_equal "$(cat b/renamed)" text
}

@test "mkdir/mkdir: one directory with what is in both" {
	apart a b
	mkdir a/dir b/dir
	echo 1 >a/dir/of-a
	echo 2 >b/dir/of-b
	echo a >a/dir/both
	echo b >b/dir/both
	meet a b
	assert_equal "$(ls a)" dir
	assert_equal "$(cat a/dir/of-a a/dir/of-b | tr '\n' ' ')" "1 2 "
	assert_equal "$(sort a/dir/both*)" $'a\nb'
	mv b/dir b/moved
	kin_wait b
	assert_same_trees a b
	assert_equal "$(ls a)" moved
	rm -r a/moved
	kin_wait a
	assert_equal "$(ls b)" ""
}

@test "rmdir against a create inside: the directory comes back with it" {
	mkdir -p a/dir/sub
	echo old >a/dir/old
	kin_wait a
	apart a b
	rm -r a/dir
	echo new >b/dir/sub/new
	meet a b
	assert_equal "$(cat a/dir/sub/new)" new
	[ ! -e a/dir/old ]
}

@test "a directory and a file of one name: the directory keeps it" {
	apart a b
	mkdir a/thing
	echo file >b/thing
	meet a b
	[ -d b/thing ]
	assert_equal "$(cat "a/$(siblings a thing)")" file
}

@test "two directories moved into each other" {
	mkdir a/x a/y
	echo x >a/x/in-x
	echo y >a/y/in-y
	kin_wait a
	apart a b
	mv a/x a/y/
	mv b/y b/x/
	meet a b
	assert_equal "$(find a -type f | wc -l)" 2
}

@test "settled by rm of the sibling" {
	edit_edit
	main=$(cat a/doc.txt)
	rm "b/$sibling"
	settled doc
	assert_equal "$(cat a/doc.txt)" "$main"
}

@test "settled by mv of the sibling over the main name" {
	edit_edit
	other=$(cat "a/$sibling")
	mv "a/$sibling" a/doc.txt
	settled doc
	assert_equal "$(cat b/doc.txt)" "$other"
}

@test "settled by kin resolve: main" {
	edit_edit
	main=$(cat a/doc.txt)
	kin resolve a/doc.txt --take main
	settled doc
	assert_equal "$(cat b/doc.txt)" "$main"
}

@test "settled by kin resolve: a sibling's name" {
	edit_edit
	other=$(cat "a/$sibling")
	kin resolve b/doc.txt --take "$sibling"
	settled doc
	assert_equal "$(cat a/doc.txt)" "$other"
}

@test "settled by kin resolve: a node's label, by the sibling's path" {
	edit_edit
	kin resolve "a/$sibling" --take b
	settled doc
	assert_equal "$(cat a/doc.txt)" "of b, longer"
}

@test "create/create settled by kin resolve" {
	apart a b
	echo "new of a" >a/new.txt
	echo "new of b" >b/new.txt
	meet a b
	kin resolve a/new.txt --take b
	settled new
	assert_equal "$(cat b/new.txt)" "new of b"
}

@test "kin resolve refuses what it cannot do, in one line" {
	echo text >a/calm
	kin_wait a
	run -1 kin resolve a/calm --take main
	assert_equal "${#lines[@]}" 1
	run -1 kin resolve a/none --take main
	assert_equal "${#lines[@]}" 1
	edit_edit
	run -1 kin resolve a/doc.txt --take nobody
	assert_equal "${#lines[@]}" 1
	assert_equal "$(conflict_count a)" 1
}

@test "an edit of main leaves the sibling, an edit of the sibling main" {
	edit_edit
	other=$(cat "a/$sibling")
	echo again >a/doc.txt
	kin_wait a
	assert_equal "$(siblings b doc)" "$sibling"
	assert_equal "$(cat b/doc.txt)" again
	assert_equal "$(cat "b/$sibling")" "$other"
	echo "sibling again" >"b/$sibling"
	kin_wait b
	assert_equal "$(siblings a doc)" "$sibling"
	assert_equal "$(cat a/doc.txt)" again
	assert_equal "$(cat "a/$sibling")" "sibling again"
	assert_same_trees a b
}

@test "rm of main leaves the sibling where it is; rm -rf works" {
	mkdir a/d
	echo base >a/d/doc.txt
	kin_wait a
	apart a b
	echo "of a" >a/d/doc.txt
	echo "of b" >b/d/doc.txt
	meet a b
	sibling=$(siblings a/d doc)
	rm a/d/doc.txt
	kin_wait a
	assert_equal "$(ls b/d)" "$sibling"
	rm -rf a/d
	kin_wait a
	assert_equal "$(ls b)" ""
}

@test "a sibling copied is an ordinary file" {
	edit_edit
	cp "a/$sibling" a/copy
	kin resolve a/doc.txt --take main
	kin_wait a
	assert_same_trees a b
	assert_equal "$(ls a)" $'copy\ndoc.txt'
}

@test "a program that has the file open keeps its version" {
	echo base >a/doc.txt
	kin_wait a
	exec 7<b/doc.txt
	echo newer >a/doc.txt
	kin_wait a
	assert_equal "$(cat b/doc.txt)" newer
	assert_equal "$(cat <&7)" base
	exec 7<&-
}

@test "a version written while settled elsewhere is a conflict again" {
	edit_edit
	taken=$(cat "a/$sibling")
	apart a b
	kin resolve a/doc.txt --take "$sibling"
	echo "third, of b" >b/doc.txt
	meet a b
	run -0 cat a/doc*
	assert_output --partial "third, of b"
	assert_output --partial "$taken"
}

@test "settled for main, while main is edited elsewhere: the edit goes on" {
	edit_edit
	apart a b
	kin resolve a/doc.txt --take main
	echo "third, of b" >b/doc.txt
	meet a b
	assert_equal "$(cat a/doc*)" "third, of b"
	settled doc
}

@test "names that only look alike are no conflict" {
	local odd=(README readme $'\xc3\xa9' $'e\xcc\x81' $'caf\xe9'
		$'caf\xc3\xa9' $'\xff' $'\xfe')
	local i node

	apart a b
	for i in "${!odd[@]}"; do
		node=$([ $((i % 2)) = 0 ] && echo a || echo b)
		echo "$i" >"$node/${odd[$i]}"
	done
	meet a b
	assert_equal "$(find a -type f | wc -l)" 8
	assert_equal "$(conflict_count a)" 0
	for i in "${!odd[@]}"; do
		assert_equal "$(cat "a/${odd[$i]}" "b/${odd[$i]}")" "$i
$i"
	done
}

@test "many names that are not UTF-8 are listed and settled" {
	name=$'b\xe4r'
	echo base >"a/$name"
	kin_wait a
	apart a b
	echo 1 >"a/$name"
	echo 2 >"b/$name"
	meet a b
	assert_equal "$(kin conflicts --json a | jq -r '.[0].path_hex')" 62e472
	kin resolve "a/$name" --take a
	kin_wait a
	assert_equal "$(conflict_count b)" 0
	assert_equal "$(cat "b/$name")" 1
}
