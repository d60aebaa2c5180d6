# SPDX-License-Identifier: Apache-2.0
"""Turns a FileDescriptorSet into C tables for server reflection: files with their dependencies, and who defines which symbol.

Uses the standard library only, because it runs in every build.
"""
import sys


def varint(data, pos):
    value = shift = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, pos
        shift += 7


def fields(data):
    """(number, value) of one message; bytes for length-delimited fields."""
    pos = 0
    while pos < len(data):
        key, pos = varint(data, pos)
        wire = key & 7
        if wire == 0:
            value, pos = varint(data, pos)
        elif wire == 2:
            length, pos = varint(data, pos)
            value = data[pos:pos + length]
            pos += length
        elif wire == 1:
            value, pos = data[pos:pos + 8], pos + 8
        elif wire == 5:
            value, pos = data[pos:pos + 4], pos + 4
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, value


def texts(data, number):
    return [value.decode() for found, value in fields(data) if found == number]


def message_symbols(data, scope):
    """A message, its fields, its nested messages and enums (DescriptorProto)."""
    name = f"{scope}.{texts(data, 1)[0]}"
    yield name
    for number, value in fields(data):
        if number in (2, 8):  # field, oneof
            yield f"{name}.{texts(value, 1)[0]}"
        elif number == 3:
            yield from message_symbols(value, name)
        elif number == 4:
            yield from enum_symbols(value, name)


def enum_symbols(data, scope):
    yield f"{scope}.{texts(data, 1)[0]}"
    for value in (v for n, v in fields(data) if n == 2):
        yield f"{scope}.{texts(value, 1)[0]}"


def file_symbols(data):
    package = texts(data, 2)[0]
    for number, value in fields(data):
        if number == 4:
            yield from message_symbols(value, package)
        elif number == 5:
            yield from enum_symbols(value, package)
        elif number == 6:
            service = f"{package}.{texts(value, 1)[0]}"
            yield service
            for method in (v for n, v in fields(value) if n == 2):
                yield f"{service}.{texts(method, 1)[0]}"


def emit(files):
    yield "/* Generated from the .proto files by embed_descriptors.py. */"
    yield '#include "descriptors.h"'
    for index, data in enumerate(files):
        yield f"static const unsigned char file_{index}[] = {{"
        for start in range(0, len(data), 24):
            yield "".join(f"{byte}," for byte in data[start:start + 24])
        yield "};"
        deps = "".join(f'"{name}", ' for name in texts(data, 3))
        yield f"static const char *const deps_{index}[] = {{{deps}0}};"
    yield "const struct proto_file proto_files[] = {"
    for index, data in enumerate(files):
        yield f'    {{"{texts(data, 1)[0]}", file_{index}, sizeof(file_{index}), deps_{index}}},'
    yield "};"
    yield f"const unsigned proto_file_count = {len(files)};"
    symbols = sorted({name: index for index, data in enumerate(files) for name in file_symbols(data)}.items())
    yield "const struct proto_symbol proto_symbols[] = {"
    for name, index in symbols:
        yield f'    {{"{name}", {index}}},'
    yield "};"
    yield f"const unsigned proto_symbol_count = {len(symbols)};"


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        files = [value for number, value in fields(file.read()) if number == 1]
    with open(target, "w", encoding="ascii") as file:
        file.writelines(line + "\n" for line in emit(files))


main()
