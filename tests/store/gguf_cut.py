"""Cuts a GGUF file in two, as llama.cpp's gguf-split does: the first part has the metadata, the last tensor goes to the
second."""
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, ALIGN = 8, 9, 32


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value[0]

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at]

    def skip(self, kind):
        if kind == STRING:
            self.text()
        elif kind == ARRAY:
            inner, n = self.take("I"), self.take("Q")
            for _ in range(n if inner in (STRING, ARRAY) else 0):
                self.skip(inner)
            self.at += 0 if inner in (STRING, ARRAY) else n * SIZES[inner]
        else:
            self.at += SIZES[kind]


def text(s):
    return struct.pack("<Q", len(s)) + s


def split_keys(number, tensors):
    return (text(b"split.no") + struct.pack("<IH", 2, number) + text(b"split.count") + struct.pack("<IH", 2, 2) +
            text(b"split.tensors.count") + struct.pack("<Ii", 5, tensors))


def in_two(path, first, second):
    with open(path, "rb") as f:
        r = Reader(f.read())
    r.at = 8
    tensors, keys = r.take("Q"), r.take("Q")
    from_keys = r.at
    for _ in range(keys):
        r.text()
        r.skip(r.take("I"))
    metadata = r.data[from_keys:r.at]
    infos = []
    for _ in range(tensors):
        name = r.text()
        dims = [r.take("Q") for _ in range(r.take("I"))]
        infos.append([name, dims, r.take("I"), r.take("Q")])
    start = (r.at + ALIGN - 1) // ALIGN * ALIGN
    cut = infos[-1][3]
    for number, out, own, data in ((0, first, infos[:-1], r.data[start:start + cut]), (1, second, infos[-1:], r.data[start + cut:])):
        head = b"GGUF" + struct.pack("<IQQ", 3, len(own), 3 + (0 if number else keys))
        head += (b"" if number else metadata) + split_keys(number, tensors)
        for name, dims, kind, offset in own:
            head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset - (cut if number else 0))
        head += bytes(-len(head) % ALIGN)
        with open(out, "wb") as f:
            f.write(head + data)
