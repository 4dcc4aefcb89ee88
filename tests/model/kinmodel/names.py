# SPDX-License-Identifier: Apache-2.0
"""Names that are pure view: of files that lost a contest, of siblings, and
of what was lost and found.

Random histories use tuples that cannot clash with a name that somebody
gave (Plain); recorded and replayed ones use the names that people see
(Literal), whose tags are cut short and may clash.
"""
import datetime
import hashlib

NAME_BYTES_MAX = 255
EXTENSION_BYTES_MAX = 32
TAG_MIN, TAG_MAX = 4, 52
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


class Plain:
    """free(taken): the first of the name's forms that is not taken."""

    def conflict(self, o, slot, link, taken):
        return self._free(("conflict", link.name, o, slot), taken)

    def sibling(self, o, slot, link, branch, taken):
        return self._free(("sibling", link.name, o, branch.tag), taken)

    @staticmethod
    def _free(name, taken):
        while taken(name):
            name += ("+",)
        return name

    @staticmethod
    def lost_dir(o):
        return ("lost", o)

    @staticmethod
    def lost_file(o, slot):
        return ("lost", o, slot)


def base32(data):
    bits = "".join("{:08b}".format(b) for b in data)
    bits += "0" * (-len(bits) % 5)
    return "".join(BASE32[int(bits[k:k + 5], 2)]
                   for k in range(0, len(bits), 5))


def split_extension(name):
    """(stem, extension): the last dot but for a leading or trailing one;
    ".tar" before it belongs to it; a long one is none."""
    dot = name.rfind(".", 1)
    if dot < 1 or dot == len(name) - 1 or \
            len(name) - dot > EXTENSION_BYTES_MAX:
        return name, ""
    if dot > 4 and name[dot - 4:dot] == ".tar":
        dot -= 4
    return name[:dot], name[dot:]


def cut_utf8(stem, most):
    """The longest prefix that ends no character early."""
    if len(stem) <= most:
        return stem
    n = most
    for _ in range(3):
        if n and ord(stem[n]) & 0xc0 == 0x80:
            n -= 1
    return stem[:most if ord(stem[n]) & 0xc0 == 0x80 else n]


class Literal:
    """Names as people see them. A name is a str of characters up to
    U+00FF: one for each byte."""

    def __init__(self, volume):
        self.volume = volume            # 16 bytes

    def conflict(self, o, slot, link, taken):
        return self._free(link.name, link.label, link.since[0],
                          self._tag("S", o, slot, 0), taken)

    def sibling(self, o, slot, link, branch, taken):
        return self._free(link.name, branch.label, branch.tag_hlc,
                          self._tag("B", o, *branch.tag), taken)

    def _tag(self, what, o, a, b):
        data = (self.volume + what.encode() + o.to_bytes(16, "big") +
                a.to_bytes(8, "little") + b.to_bytes(8, "little"))
        return base32(hashlib.sha256(data).digest())

    @staticmethod
    def _free(name, label, hlc, tag, taken):
        stem, ext = split_extension(name)
        seconds = (hlc >> 16) // 1000
        day = datetime.datetime(1970, 1, 1) + \
            datetime.timedelta(seconds=seconds)
        for n in range(TAG_MIN, TAG_MAX + 1):
            middle = " (conflict %s %s %s)" % (
                label or "node", day.strftime("%Y-%m-%d"), tag[:n])
            whole = cut_utf8(stem, NAME_BYTES_MAX - len(middle) - len(ext)) \
                + middle + ext
            if not taken(whole):
                break
        return whole

    @staticmethod
    def lost_dir(o):
        return "lost+found-%032x" % o

    @staticmethod
    def lost_file(o, slot):
        return "lost+found-%032x-%x" % (o, slot)
