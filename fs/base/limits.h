/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit that more than one layer must agree on, with its unit and its
 * reason. Limits of one file only stand in that file.
 */
#ifndef KINFS_BASE_LIMITS_H
#define KINFS_BASE_LIMITS_H

/* Bytes of one name: what Linux file systems allow. */
#define NAME_BYTES_MAX 255
/* Bytes of a symlink's target: PATH_MAX without the NUL. */
#define SYMLINK_BYTES_MAX 4095
/* Bytes of a node's label: it becomes part of sibling names. */
#define LABEL_BYTES_MAX 32
/* Content up to this many bytes lives in the object's row. */
#define INLINE_BYTES_MAX 4096
/* Bytes of a user or group name in OWNER: what useradd(8) allows, doubled. */
#define PRINCIPAL_BYTES_MAX 64
/* Earlier places remembered by a directory's LINK: where a cut cycle returns
 * to. */
#define LINK_PREV_MAX 3
/* Names of one file (EMLINK beyond): suites make a thousand. All stand in the
 * row, once or twice, and every change of the file writes and reads them all;
 * and what four nodes link at once, without knowing of each other, must not be
 * more than ROW_VERSIONS_MAX. */
#define LINKS_MAX 1024
/* ... and their bytes, each with LINK_BYTES beside its name: what five nodes
 * link at once must fit ROW_BYTES_MAX, too. */
#define LINKS_BYTES_MAX (192 * 1024)
#define LINK_BYTES 100
/* Bytes of one extended attribute's value: Linux allows no more. */
#define XATTR_BYTES_MAX (64 * 1024)
/* Names and values of all extended attributes of one object, those that lost
 * against another included. They stand in the row: several nodes that each
 * fill this without knowing of the others must still fit it. */
#define XATTRS_BYTES_MAX (128 * 1024)
/* Extended attributes of one object: a list of the longest names is what
 * listxattr(2) may return. */
#define XATTRS_MAX 255
/* Text of a policy: more than the longest that is understood has. */
#define POLICY_BYTES_MAX 1024
/* Ancestors remembered by a CONTENT version; by one that stands alone when
 * it is written: a row of at most 500 bytes. */
#define ANCESTORS_MAX 8
#define ANCESTORS_ALONE 4
/* ... and by one that was re-stamped, each time with one more, so that what
 * is shown is the same after it: repairs and long absences are rare. */
#define ANCESTORS_RESTAMPED_MAX 16
/* ... and behind these, with a gap: only to find what was a base. */
#define FAR_MAX 2
/* CONTENT versions named by `seen` of one version: the shown siblings cap. */
#define SEEN_MAX 64
/* Of a main that is asserted again, and stands alone: what it repeats, and
 * one more. And of what was removed beside it, to be named as seen. */
#define ANCESTORS_AGAIN 2
#define SEEN_BEHIND 1
/* Human versions named by `leaves` of an automatic version. */
#define LEAVES_MAX 64
/* Origins in one volume: bounds every knowledge vector. */
#define ORIGINS_MAX 4096
/* Versions in one row: rejects a hostile row, far above any honest one. */
#define ROW_VERSIONS_MAX 8192
/* Bytes of one encoded row: fits a frame with room for the envelope. */
#define ROW_BYTES_MAX (1024 * 1024 - 4096)
/* Siblings shown of one file; all are kept. */
#define SIBLINGS_SHOWN_MAX 64
/* Levels of directories. */
#define TREE_DEPTH_MAX 4096
/* Content-defined chunks, bytes. */
#define CHUNK_BYTES_MIN (16 * 1024)
#define CHUNK_BYTES_AVG (64 * 1024)
#define CHUNK_BYTES_MAX (256 * 1024)
/* Bytes of one block of a manifest, and levels of blocks. */
#define MANIFEST_BYTES_MAX (64 * 1024)
#define MANIFEST_DEPTH_MAX 5
/* Bytes of one frame on the wire, with its type, without its length. */
#define FRAME_BYTES_MAX (1024 * 1024)
/* Seconds since 1970 that a program may give a file as its time: 1901 to 2446,
 * what ext4 can hold, so that copies of a tree have the same times. */
#define TIME_SECONDS_MIN INT64_C(-2147483648)
#define TIME_SECONDS_MAX INT64_C(15032385535)
/* Largest file: what a signed 64-bit offset can name. */
#define FILE_BYTES_MAX INT64_MAX

#endif
