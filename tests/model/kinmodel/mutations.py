# SPDX-License-Identifier: Apache-2.0
"""Planted mistakes. A harness that does not notice one of them is no proof.

Where a rule stands in the model, the code asks `mutations.active`; it is
None but in --selftest and --mutate. `features` is the profile of histories
that is meant for the mutation (None: all).
"""
from collections import namedtuple

Mutation = namedtuple("Mutation", "what features")


def _m(what, *features):
    return Mutation(what, ("base",) + features if features else None)


ALL = {
    # -- writing
    "no-keep": _m("a content write adds no weak LINK"),
    "no-tomb-on-unlink": _m("unlink writes no dotted version"),
    "pure-discard": _m("rm of a sibling only drops it", "void"),
    "rank-not-sticky": _m("every write takes a new rank", "void", "part"),
    "no-level": _m("a save over a sibling of main's rank keeps the rank",
                   "void", "part"),
    "one-level-up": _m("a save over one of two tied siblings goes one level "
                       "up, whatever is there", "void", "part"),
    "no-since": _m("names are ordered by the LINK's own key"),
    "no-seniority": _m("rename-over and exchange onto a contested name "
                       "take their own age", "over", "exchange"),
    "weak-not-asserted": _m("link and rename leave the other weak names "
                            "weak", "links", "void"),
    "group-canonical-only": _m("rmdir and rename act on the canonical "
                               "directory only"),
    "no-pin": _m("directories cut out of a cycle are not pinned"),
    "pin-anew": _m("a pinned directory has the time of the pin"),
    "pin-always": _m("every move of a directory pins"),
    "name-without-main": _m("rename and link of a file in conflict leave "
                            "main as it is", "void"),
    "repeat-is-edit": _m("a repeated content is taken for one that was "
                         "changed back", "void", "part"),
    "reopened-unmarked": _m("what is open again is settled again by itself",
                            "void", "auto", "reopen"),
    "reopened-beside": _m("what was beside it when it was opened again, and "
                          "is as it was, counts as written", "void", "auto",
                          "reopen"),
    "reopened-below": _m("main of a reopened conflict leads no more", "void",
                         "part", "clock", "reopen"),
    "reopened-blind": _m("what is open again has not seen what is beside it",
                         "void", "reopen"),
    "reopened-again": _m("a repeated main that is open again is still "
                         "none but a repetition", "void", "reopen"),
    "reopened-auto": _m("what was automatic is so when it is open again",
                        "void", "auto", "part", "reopen"),
    "reopened-untold": _m("a sibling that is open again is named by its new "
                          "dot, where that is its name", "void", "reopen"),
    "reopened-hidden": _m("what was hidden comes again, too", "void", "part",
                          "auto", "reopen"),
    "reopened-unrepeated": _m("what is open again has not seen what main "
                              "repeats", "void", "auto", "part", "reopen"),
    "reopened-main-first": _m("of what is open again main has the first dot",
                              "void", "part", "reopen"),
    "reopened-no-keep": _m("a reopened conflict does not survive a removal "
                           "that had not seen it", "void", "reopen"),
    # -- reading
    "cycle-cut-by-node": _m("which edge is cut depends on the node"),
    "tie-without-objid": _m("orders between objects end with the key",
                            "exchange", "over", "part"),
    "keep-revives-each": _m("weak slots are shown beside strong ones",
                            "links"),
    "hide-known": _m("a reverted branch is hidden although its writer saw "
                     "the other", "void", "part"),
    "void-holds-name": _m("a void main keeps its name", "void"),
    "void-named": _m("a removal takes the name of what was written beside "
                     "it", "void"),
    # -- merging
    "no-restamp": _m("a purged node takes only the unseen part of a row"),
    "restamp-only-live": _m("re-stamp only if the row arrives with a LINK"),
    "restamp-links": _m("names that were removed are re-stamped too"),
    "withhold-object": _m("a cut leaves out an object that its K covers"),
    "slice-without-staging-delete": _m("a crash merges a slice twice",
                                       "large"),
    "advance-K-early": _m("K is raised with the first slice", "large"),
    "no-revive": _m("a live object does not revive its directories"),
    # -- removing for good
    "one-phase-gc": _m("purge without K >= what all knew", "gc", "part"),
    "purge-weak": _m("an empty weak directory is purged without an event"),
    "g-not-inherited": _m("a full stream does not raise G"),
    "absence-keeps-no-parent": _m("the absence rule purges directories of "
                                  "what it keeps", "gc", "lapse"),
    "absence-only-unmentioned": _m(
        "the absence rule keeps the directories of what was not mentioned "
        "only", "gc", "lapse", "links"),
    "absence-winners-only": _m(
        "the absence rule keeps the directories of LINKs that win only",
        "gc", "lapse", "links"),
    "absence-by-links-only": _m(
        "the absence rule keeps no directory for what is dead and returns",
        "gc", "lapse", "tree"),
    "kept-if-whole": _m("the absence rule drops the names of directories "
                        "that have new attributes", "gc", "lapse"),
    "absence-unmarked": _m("what stays and is all news gets no dot of its "
                           "own", "gc", "lapse"),
    "halves-unmarked": _m("as before, where it comes to whom purged it",
                          "gc", "lapse"),
    "erase-committed": _m("a row that a backup may hold is erased without "
                          "a TOMB"),
    # -- forks
    "fork-keep-K": _m("a fork does not lower K", "fork", "gc"),
    "no-cookie": _m("a restored store that noticed it goes on with its "
                    "origin, and does not compare chains", "fork", "cookie"),
    # -- what sim.py left out
    "adopt-sent-erases": _m("adopting a temporary that was sent erases it",
                            "over", "temp"),
    "adopt-no-conflict": _m("a temporary over a file in conflict takes its "
                            "name as any file", "over", "temp", "void"),
    "adopt-main-only": _m("a temporary over a sibling takes its name as any "
                          "file, and ends the conflict", "over", "temp",
                          "void"),
    "adopt-settles": _m("a save by rename ends the conflict", "over", "temp",
                        "void"),
    "unsettled-left-out": _m("a temporary is left out of a cut instead of "
                             "choosing another instant", "temp"),
    "no-undelete": _m("rule 17: nobody revives what was removed in a "
                      "directory that was moved", "tree"),
    "undelete-by-all": _m("rule 17: every node revives, not only who "
                          "removed", "tree"),
    "twin-acts-on-one": _m("rm of twins removes the oldest only", "twins"),
    "names-not-folded": _m("two names of one file at one place are shown "
                           "as two", "links"),
    "twin-no-keep": _m("folding twins writes no KEEP on what stays",
                       "twins"),
    "times-revive": _m("TIMES of a directory bring it back", "gc"),
    "times-discard": _m("TIMES of a directory are dropped, not written"),
    "dirty-base-is-newest": _m("a handle's write replaces what is shown "
                               "now, not what it was based on", "handles"),
    "return-anywhere": _m("a name returns into a directory that was purged",
                          "handles", "gc"),
    "nameless-write-lost": _m("a write to a file that was removed elsewhere "
                              "does not return its name", "handles"),
}

# Not seen in as many random histories as a test can run: histories made by
# hand find them (regressions.py).
RARE = {"restamp-only-live", "restamp-links", "erase-committed",
        "twin-no-keep", "one-level-up", "absence-winners-only",
        "names-not-folded", "absence-unmarked", "halves-unmarked",
        "absence-by-links-only", "no-pin", "pin-anew", "pin-always",
        "name-without-main", "repeat-is-edit", "void-named",
        "reopened-unrepeated", "reopened-main-first", "reopened-auto"}

active = None


def activate(name):
    global active
    active = name
