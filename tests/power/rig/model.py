# SPDX-License-Identifier: Apache-2.0
"""What a directory shows after operations, by the rules of POSIX alone: the
oracle's own idea of a file system. It shares no code with the store."""
import hashlib
import os
import random
import stat


# A time before it was set by a writer; later ones are those of a clock.
MTIME_NS_END = 10**18


def content(seed, length):
    """Bytes that only the operation with this seed writes."""
    return random.Random(seed).randbytes(length)


def digest(data):
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def shown_xattrs(xattrs):
    """[(name, value, or the digest of a long one)]"""
    return tuple(sorted((n, v if len(v) < 100 else digest(v.encode()))
                        for n, v in xattrs))


class File:
    def __init__(self, mode):
        self.kind, self.mode, self.data = "f", mode, b""
        self.xattrs, self.names = {}, set()
        self.sum, self.mtime = digest(b""), None

    def set_data(self, data):
        self.data, self.sum = data, digest(data)
        self.mtime = None   # (now, which nobody knows)

    def shown(self):
        return ("f", self.mode, len(self.data), self.sum,
                shown_xattrs(self.xattrs.items()), tuple(sorted(self.names)),
                self.mtime)


class Dir:
    def __init__(self, mode):
        self.kind, self.mode, self.xattrs = "d", mode, {}

    def shown(self):
        return ("d", self.mode, shown_xattrs(self.xattrs.items()))


class Symlink:
    def __init__(self, target):
        self.kind, self.target = "l", target

    def shown(self):
        return ("l", self.target)


class Model:
    """Paths are relative; "" is no entry. Each operation returns what it
    changed: {path: shown or None}."""

    def __init__(self):
        self.at = {}

    def apply(self, op):
        return getattr(self, "do_" + op[0].replace("-", "_"))(*op[1:])

    def under(self, path):
        return [p for p in self.at if p.startswith(path + "/")]

    def shown(self, *nodes):
        ret = {}
        for node in nodes:
            for name in node.names:
                ret[name] = node.shown()
        return ret

    def drop(self, path):
        node = self.at.pop(path)
        if node.kind != "f":
            return {path: None}
        node.names.discard(path)
        return {path: None, **self.shown(node)}

    def do_create(self, path, mode):
        f = self.at[path] = File(mode)
        f.names.add(path)
        return self.shown(f)

    def do_write(self, path, offset, length, seed, done=None):
        """done: bytes that were written, if not all."""
        f = self.at[path]
        data, new = f.data, content(seed, length)[:done]
        f.set_data(data[:offset] + bytes(max(0, offset - len(data))) + new +
                   data[offset + len(new):])
        return self.shown(f)

    def do_truncate(self, path, size):
        f = self.at[path]
        f.set_data(f.data[:size] + bytes(max(0, size - len(f.data))))
        return self.shown(f)

    def do_utime(self, path, mtime):
        self.at[path].mtime = mtime
        return self.shown(self.at[path])

    def do_unlink(self, path):
        return self.drop(path)

    def do_rmdir(self, path):
        return self.drop(path)

    def do_mkdir(self, path, mode):
        self.at[path] = Dir(mode)
        return {path: self.at[path].shown()}

    def do_symlink(self, target, path):
        self.at[path] = Symlink(target)
        return {path: self.at[path].shown()}

    def do_link(self, old, new):
        f = self.at[new] = self.at[old]
        f.names.add(new)
        return self.shown(f)

    def do_rename(self, old, new):
        node = self.at[old]
        if self.at.get(new) is node:
            return {}
        ret = self.drop(new) if new in self.at else {}
        moved = [(old, new)] + [(p, new + p[len(old):])
                                for p in self.under(old)]
        nodes = [self.at.pop(a) for a, _ in moved]
        files = []
        for (a, b), n in zip(moved, nodes):
            self.at[b] = n
            ret[a] = None
            if n.kind == "f":
                n.names.discard(a)
                n.names.add(b)
                files.append(n)
            else:
                ret[b] = n.shown()
        ret.update(self.shown(*files))
        return ret

    def do_chmod(self, path, mode):
        node = self.at[path]
        node.mode = mode
        return self.shown(node) if node.kind == "f" else \
            {path: node.shown()}

    def do_setxattr(self, path, name, value):
        node = self.at[path]
        node.xattrs[name] = value
        return self.shown(node) if node.kind == "f" else \
            {path: node.shown()}

    def do_removexattr(self, path, name):
        node = self.at[path]
        del node.xattrs[name]
        return self.shown(node) if node.kind == "f" else \
            {path: node.shown()}

    def do_sync(self, path, how):
        return {}


def xattrs_of(path):
    return shown_xattrs(
        (n, os.getxattr(path, n, follow_symlinks=False).decode())
        for n in os.listxattr(path, follow_symlinks=False)
        if n.startswith("user."))


def observe(top):
    """What a directory shows: {path: shown}, as the model says it."""
    ret, files = {}, {}

    def walk(at):
        with os.scandir(os.path.join(top, at)) as entries:
            names = sorted(e.name for e in entries)
        for name in names:
            path = os.path.join(at, name) if at else name
            full = os.path.join(top, path)
            st = os.lstat(full)
            mode = stat.S_IMODE(st.st_mode)
            if stat.S_ISDIR(st.st_mode):
                ret[path] = ("d", mode, xattrs_of(full))
                walk(path)
            elif stat.S_ISLNK(st.st_mode):
                ret[path] = ("l", os.readlink(full))
            else:
                with open(full, "rb") as f:
                    data = f.read()
                if len(data) != st.st_size:
                    raise OSError("%s has %d bytes, and says %d" %
                                  (path, len(data), st.st_size))
                files.setdefault(st.st_ino, []).append(path)
                ret[path] = ["f", mode, len(data), digest(data),
                             xattrs_of(full), st.st_ino,
                             st.st_mtime_ns if st.st_mtime_ns < MTIME_NS_END
                             else None]
    walk("")
    for names in files.values():
        for path in names:
            ret[path] = tuple(ret[path][:5]) + (tuple(sorted(names)),
                                                ret[path][6])
    return ret
