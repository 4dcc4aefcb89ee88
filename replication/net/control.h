/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: how `kin` talks to the daemon. A Unix stream socket,
 * mode 0600, the peer's uid checked (the daemon's own, or root). One JSON
 * object a line each way; a request is {"cmd": NAME, ...}; the answers are
 * any number of {"event": ...} lines and one last line, either
 * {"ok": true, ...} or {"ok": false, "error": ERRNO NAME, "message": TEXT,
 * "exit": N}. The daemon closes after the last line.
 *
 *   status    -> volume, paused, pid, mountpoint, node{label,id},
 *                conflicts, peers[{label,id,connected,lapsed,removed,
 *                behind{changes,bytes},ahead{changes,bytes},stale_seconds,
 *                last_contact_seconds,clock_skew_ms,addresses}] (behind also
 *                has seconds; null is unknown), store, listen (null: its
 *                address cannot be had yet),
 *                changes{received,known,forwarded}, late_acks,
 *                history{contents,removed,bytes,days_max,bytes_max},
 *                counters
 *   wait      timeout (seconds, number), and one of peers
 *             ("all"|"connected"), token (text), fresh (number of nodes)
 *             -> ok; on failure exit 1 or 3, missing[{label,id,answered,
 *                changes}]
 *   token     -> token
 *   sync      -> durable: all that ended before the request is
 *   verify    timeout (seconds, number), deep (bool)
 *             -> peers[{label,id,state ("equal"|"differs"|"lags"|"silent"|
 *                "away"),behind,ahead (changes),knowledge,objects,sum,
 *                peer_sum,repaired or differing[{id,path}]}],
 *                deep{objects,bytes,pending,sums_right,fault_count,faults[{
 *                id,path,missing,damaged}]}; on failure exit 1 or 3, and the
 *                same fields. Events with deep: {event:"progress",objects,of,
 *                bytes}
 *   pause, resume
 *   invite    -> code, expires (seconds since 1970)
 *   invites   -> invites[{id,created,expires,state}]
 *   revoke    id or "all" -> revoked (count)
 *   members   -> members[{label,id,state,self,added,removed_at,last_change,
 *                last_change_kept}]; state: member, lapsed, removed
 *   remove    label -> member{as above}
 *   conflicts path ("" is the root) -> conflicts[{path,kind,token,
 *             base_known,main_removed,versions[{path,label,node,time,
 *             time_ms,size,main,automatic}]}]; token: of these versions, in
 *             these places
 *   resolve   path, take; token (of `conflicts`; without it: whatever is
 *             there)
 *   versions  path, and the descriptor of a directory -> token,
 *             base_known, base (its bytes are here), versions[{file,name,
 *             label,node,time,size,main,automatic}]; the directory has a
 *             copy of each as `file`, and of what they were made from as
 *             "base". Of one instant, which the token names
 *   settle    path, token, and the descriptor of a file: its bytes in place
 *             of these versions; ESTALE if they are others now
 *   log       path -> versions[{id,state,label,node,time,time_ms,ended,size,
 *             name (of a sibling),automatic,here}], removed, removed_at;
 *             state: current, sibling, hidden, removed, replaced, replaced
 *             elsewhere
 *   cat       path; version (how its id begins) or at_ms; and the descriptor
 *             of a pipe, that its bytes go to -> size
 *   restore   path; version or at_ms; to (path) -> path
 *   removed   path (a directory); name, since_ms -> removed[{name,kind,
 *             removed,files,size}]
 *   undelete  the same -> restored[{as above,restored (its name now),failed
 *             (what in it is not back),error}]
 *   decided   path -> decisions[{id,kind,path,directory,xattr,chosen,lost,
 *             why,can_undo}]; kind: rename, mode, owner, times, xattr, cycle,
 *             revived, reverted, policy; xattr: of an xattr only; chosen, lost:
 *             {value,label,node,time}, value null: removed
 *   undo      id, or path; dry_run (bool) -> decision{as above}
 *   swap      path -> path, where it is now
 *   policy    path; rule (text, to set it), or clear (bool) -> rule, from
 *             (path, null: nothing is set), own (bool), understood (bool)
 *   hooks     make (bool: the folder, if it is missing) -> folder, refused,
 *             hooks[{name,refused,uses}], missing[{name,uses}] (that are used
 *             and not there), configuration (null, or what is wrong with it),
 *             policies_cut (bool: there are more than were looked at);
 *             refused: null, or why neither the folder nor what is in it, or
 *             why this hook, would be run; uses[{policy (a directory's path),
 *             node (that runs it; null: all)} or {line,event,pattern,seconds}
 *             (of the configuration)]
 *   hook-test path, hook, time (s, or 0), keep (bool), made_up (number of
 *             files "1", "2", ... that are the versions, "base" of what they
 *             were made; 0: those of the conflict; ENODATA: there is none),
 *             and the descriptor of their directory -> made_up (bool),
 *             versions[{label,node,time,size,main,automatic}], base (bool),
 *             settles (its result would be taken), result ("settled", "left",
 *             "failed", "canceled"), status (null: none), reason, seconds,
 *             limits{seconds,memory,output}, output_bytes (null: no output),
 *             output, main (bool: files of that name are in the directory,
 *             with keep or if they are short), stdout, stdout_cut, stderr,
 *             stderr_cut, kept_in{processes,store_hidden,proc,counted},
 *             configuration (null, or what is wrong with it). Events:
 *             {event:"running",seconds}
 *   unmount   -> ok, and then the daemon ends
 *
 * A descriptor goes beside the first byte of the line (SCM_RIGHTS).
 * Paths are relative to the volume's root; a name that is not UTF-8 goes as
 * "path_hex"; so do "name", "folder", "refused", "take", "from", "rule", "hook",
 * "policy", "pattern", "configuration", "stdout", "stderr", "to" and "restored".
 * Numbers are integers but for timeout.
 */
#ifndef KINFS_NET_CONTROL_H
#define KINFS_NET_CONTROL_H

/* Bytes of one request line; requests are small, but for tokens. */
#define CONTROL_REQUEST_BYTES_MAX (128 * 1024)
/* Control connections at once. */
#define CONTROL_CLIENTS_MAX 64

#endif
