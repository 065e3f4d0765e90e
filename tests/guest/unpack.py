# SPDX-License-Identifier: GPL-2.0-only
"""Compressed images as those of CRIU 3.17.1, which knows no compression: decoded with liblz4, by what
the images themselves say, and with nothing of the tool under test."""

import ctypes
import pathlib
import shutil
import struct

PAGE = 4096
PE_PRESENT, PE_ALIGNED = 4, 8
# Fields of messages.
VADDR, NR_PAGES, FLAGS, BLOCKS = 1, 2, 4, 6
BLOCK_SIZES, TOTAL, PAGES_PER_BLOCK = 1, 2, 3
IMG_VERSION, COMPRESS, COMPRESS_BLOCK_SIZE = 1, 15, 16


class UnpackError(Exception):
    """An image that contradicts itself, in a sentence."""


def expect(condition, sentence):
    if not condition:
        raise UnpackError(sentence)


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def parse(data):
    """[(field, value)] of a protobuf message: numbers, and bytes of what has a length."""
    fields, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        elif key & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise UnpackError(f"wire type {key & 7} is not expected")
        fields.append((key >> 3, value))
    return fields


def _put_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def pack(fields):
    out = b""
    for field, value in fields:
        if isinstance(value, int):
            out += _put_varint(field << 3) + _put_varint(value)
        else:
            out += _put_varint(field << 3 | 2) + _put_varint(len(value)) + value
    return out


def read(path, magics=2):
    """The magic of an image, and its records."""
    data = path.read_bytes()
    head, at, records = data[:4 * magics], 4 * magics, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        records.append(parse(data[at + 4:at + 4 + size]))
        at += 4 + size
    return head, records


def write(path, head, records):
    with open(path, "wb") as f:
        f.write(head)
        for record in records:
            data = pack(record)
            f.write(struct.pack("<I", len(data)) + data)


def _numbers(data):
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


class Decoder:
    def __init__(self):
        self.lz4 = ctypes.CDLL("liblz4.so.1")

    def block(self, data, size):
        if not data:
            return bytes(size)
        if len(data) == size:
            return data
        out = ctypes.create_string_buffer(size)
        done = self.lz4.LZ4_decompress_safe(data, out, len(data), size)
        expect(done == size, f"a block of {len(data)} bytes makes {done}, not {size}")
        return out.raw


def _entry(decoder, entry, source, at):
    """(the entry without compression, its pages, where the next one's bytes begin)"""
    fields = dict(entry)
    size, flags = fields[NR_PAGES] * PAGE, fields.get(FLAGS, PE_PRESENT)
    if not flags & PE_PRESENT:
        expect(BLOCKS not in fields and not flags & PE_ALIGNED, "blocks of what is not there")
        return entry, b"", at
    if flags & PE_ALIGNED:
        at = (at + PAGE - 1) // PAGE * PAGE
    plain = [(f, v & ~PE_ALIGNED if f == FLAGS else v) for f, v in entry if f != BLOCKS]
    if BLOCKS not in fields:
        return plain, source[at:at + size], at + size
    blocks = dict(parse(fields[BLOCKS]))
    sizes, each = _numbers(blocks[BLOCK_SIZES]), blocks[PAGES_PER_BLOCK] * PAGE
    expect(sum(sizes) == blocks[TOTAL], "the sizes of blocks have another sum")
    expect(len(sizes) == (size + each - 1) // each, "there is another number of blocks")
    content = b""
    for i, length in enumerate(sizes):
        content += decoder.block(source[at:at + length], min(each, size - i * each))
        at += length
    return plain, content, at


def unpack(source, target):
    """Write what @source holds to @target, without compression; the parent must be none."""
    source, target = pathlib.Path(source), pathlib.Path(target)
    shutil.copytree(source, target, symlinks=True)
    decoder = Decoder()
    for path in sorted(source.glob("pagemap-*.img")):
        head, (first, *entries) = read(path)
        name = f"pages-{dict(first)[1]}.img"
        data, at, plain = (source / name).read_bytes(), 0, []
        with open(target / name, "wb") as out:
            for entry in entries:
                record, content, at = _entry(decoder, entry, data, at)
                plain.append(record)
                out.write(content)
        expect(at == len(data), f"{name} has {len(data)} bytes, of which {at} are said to be used")
        write(target / path.name, head, [first, *plain])
    head, [inventory] = read(source / "inventory.img", magics=1)
    fields = dict(inventory)
    expect(fields[IMG_VERSION] == 3 and fields[COMPRESS] == 1, "the inventory doesn't tell of it")
    write(target / "inventory.img", head,
          [[(f, 2 if f == IMG_VERSION else v) for f, v in inventory
            if f not in (COMPRESS, COMPRESS_BLOCK_SIZE)]])
