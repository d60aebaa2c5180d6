# SPDX-License-Identifier: Apache-2.0
"""The backup files, read by code that shares nothing with the engine's reader."""

import os
import stat
import struct
import threading
import uuid

import pytest

from sqlsim.selftest.engine_kit import Kit, infos, raises

KINDS = (b"TAPE", b"SFMB", b"SSET", b"VOLB", b"MSCI", b"MSDA", b"MSTL", b"MSLS", b"ESET")


@pytest.fixture
def kit(tmp_path):
    kit = Kit(tmp_path)
    yield kit
    kit.server.stop()


def xor(block):
    value = 0
    for (word,) in struct.iter_unpack("<H", block[:50]):
        value ^= word
    return value


def descriptor_blocks(data):
    """(type, offset, fla, id) of every block whose checksum is right, at 512-byte steps as an independent reader scans."""
    at, found = 0, []
    while at + 52 <= len(data):
        if data[at:at + 4] in KINDS and xor(data[at:at + 52]) == struct.unpack_from("<H", data, at + 50)[0]:
            found.append((data[at:at + 4], at, struct.unpack_from("<Q", data, at + 20)[0], struct.unpack_from("<I", data, at + 36)[0]))
        at += 512
    return found


def config(data, offset):
    """The SCIN record of an MSCI or MSLS block."""
    at = offset + struct.unpack_from("<H", data, offset + 8)[0]
    while data[at:at + 4] != b"MQCI":
        at = (at + 22 + struct.unpack_from("<Q", data, at + 8)[0] + 3) & ~3
    length = struct.unpack_from("<Q", data, at + 8)[0]
    return data[at + 22:at + 22 + length]


def lsn(record, at):
    vlf, block, slot = struct.unpack_from("<IIH", record, at)
    return vlf * 10**15 + block * 10**5 + slot


def text(record, at):
    size, offset = struct.unpack_from("<HH", record, at)
    return record[offset:offset + size].decode("utf-16-le")


def guid(record, at):
    return uuid.UUID(bytes_le=record[at:at + 16])


def date(raw):
    v = int.from_bytes(raw, "big")
    return (v >> 26, v >> 22 & 15, v >> 17 & 31, v >> 12 & 31, v >> 6 & 63, v & 63)


def stripes(kit):
    kit.create()
    kit.put("db1", *range(200), text="y" * 90)
    kit.backup("full", "db1", "s1.bak", "s2.bak", "s3.bak", CHECKSUM=True, NAME="run-1")
    return ["s1.bak", "s2.bak", "s3.bak"]


@pytest.mark.parametrize("kind", ["full", "diff", "log"])
def test_independent_reader_agrees_with_headeronly(kit, kind):
    kit.create()
    kit.backup("full", "db1", "base.bak")
    kit.put("db1", 1, 2)
    kit.backup(kind, "db1", "x.bak", NAME="run-7", DESCRIPTION="what it is")
    data, head = (kit.stage / "x.bak").read_bytes(), kit.header("x.bak")[0]
    found = descriptor_blocks(data)
    order = [k for k, *_ in found]
    expected = [b"TAPE", b"SFMB", b"SSET", b"VOLB", b"MSCI", b"MSDA", b"MSTL", b"MSLS", b"SFMB", b"ESET", b"ESET", b"SFMB"]
    assert order == ([k for k in expected if k != b"MSDA"] if kind == "log" else expected)
    places = {k: at for k, at, *_ in reversed(found)}
    assert (places[b"TAPE"], places[b"SSET"], places[b"VOLB"], places[b"MSCI"]) == (0, 0x600, 0xA00, 0xE00)
    assert places[b"MSTL" if kind == "log" else b"MSDA"] == 0x1E00 and found[1][1] == 0x400
    for name, at, fla, _ in found[2:]:
        assert (at - 0x600) % 1024 == 0 and fla == (at - 0x600) // 1024, name
    assert [number for *_, number in found] == list(range(1, len(found) + 1))
    assert data[0x2200 - 24:0x2200 - 20] == (b"MQTL" if kind == "log" else b"MQDA")
    record = config(data, places[b"MSLS"])
    assert record[:4] == b"SCIN" and chr(record[0x57]) == {"full": "D", "diff": "I", "log": "L"}[kind]
    for at, column in ((0x20, "FirstLSN"), (0x2A, "LastLSN"), (0x34, "CheckpointLSN"), (0x3E, "DatabaseBackupLSN")):
        assert lsn(record, at) == head[column]
    for at, column in ((0x7C, "BindingID"), (0xE0, "FamilyGUID"), (0x9C, "RecoveryForkID")):
        assert guid(record, at) == head[column]
    if kind == "diff":
        assert lsn(record, 0x104) == head["DifferentialBaseLSN"] and guid(record, 0x110) == head["DifferentialBaseGUID"]
    assert text(record, 0x68) == "db1" and text(record, 0x6C) == "sim1" and struct.unpack_from("<H", record, 0x5E)[0] == 957
    assert struct.unpack_from("<Q", record, 0x60)[0] == head["BackupSize"]
    finish = head["BackupFinishDate"]
    assert date(record[0x52:0x57]) == finish.timetuple()[:6]
    assert config(data, places[b"MSCI"])[0x52:0x57] == bytes(5)
    sset = data[0x600:0xA00]
    assert guid(sset, 100) == head["BackupSetGUID"] and struct.unpack_from("<H", sset, 62)[0] == 1
    assert text(sset, 64) == "run-7" == head["BackupName"] and text(sset, 68) == "what it is"
    assert text(data[:1024], 80) == "Microsoft SQL Server" and struct.unpack_from("<H", data, 84)[0] == 1024


def test_mode_is_0660_whatever_the_umask(kit):
    kit.create()
    old = os.umask(0o077)
    try:
        kit.backup("full", "db1", "m.bak")
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(kit.stage / "m.bak").st_mode) == 0o660
    assert stat.S_IMODE(os.stat(kit.server.find("db1").path).st_mode) == 0o660


def test_written_progressively(kit):
    kit.create()
    kit.put("db1", *range(3000), text="z" * 100)
    kit.server.faults.slow_io(bytes_per_s=1_500_000)
    thread = threading.Thread(target=kit.backup, args=("full", "db1", "p.bak"))
    thread.start()
    sizes, percent = set(), set()
    while thread.is_alive():
        if (kit.stage / "p.bak").exists():
            sizes.add((kit.stage / "p.bak").stat().st_size)
        percent.update(r["percent_complete"] for r in kit.view("sys.dm_exec_requests") if r["command"] == "BACKUP DATABASE")
        thread.join(0.005)
    assert len(sizes) > 3 and len(percent) > 1 and max(percent) <= 100


def test_compressed_is_smaller_and_restores(kit):
    kit.create()
    kit.put("db1", *range(2000), text="same text " * 9)
    kit.backup("full", "db1", "plain.bak", CHECKSUM=True)
    kit.backup("full", "db1", "packed.bak", COMPRESSION=True, CHECKSUM=True)
    plain, packed = (kit.stage / "plain.bak").read_bytes(), (kit.stage / "packed.bak").read_bytes()
    assert packed[:8] == b"MSSQLBAK" and plain[:4] == b"TAPE" and len(packed) * 2 < len(plain)
    head = kit.header("packed.bak")[0]
    assert head["Compressed"] == 1 and head["CompressionAlgorithm"] == "MS_XPRESS" and head["CompressedBackupSize"] < head["BackupSize"]
    kit.full_to("a", "packed.bak", RECOVERY=True, NORECOVERY=False)
    assert len(kit.ids("a")) == 2000
    assert infos(kit.restore("VERIFYONLY", "", "packed.bak", CHECKSUM=True)) == [3262]


def test_append_makes_positions(kit):
    kit.create()
    for number in range(3):
        kit.put("db1", number)
        kit.backup("full", "db1", "many.bak", NAME=f"set {number + 1}")
    heads = kit.header("many.bak")
    assert [(h["Position"], h["BackupName"]) for h in heads] == [(1, "set 1"), (2, "set 2"), (3, "set 3")]
    kit.full_to("a", "many.bak", FILE=2, RECOVERY=True, NORECOVERY=False)
    assert kit.ids("a") == [0, 1]
    with raises(3287, 3013):
        kit.restore("DATABASE", "b", "many.bak", FILE=4)
    kit.backup("full", "db1", "many.bak", INIT=True)
    assert len(kit.header("many.bak")) == 1
    kit.backup("log", "db1", "packed.trn", COMPRESSION=True)
    kit.backup("log", "db1", "packed.trn", COMPRESSION=True)
    assert [h["Position"] for h in kit.header("packed.trn")] == [1, 2]
    with raises(3098, 3013):
        kit.backup("log", "db1", "packed.trn")


def test_stripes(kit):
    files = stripes(kit)
    heads = [kit.header(f)[0] for f in files]
    assert len({h["BackupSetGUID"] for h in heads}) == 1
    labels = [kit.table(kit.restore("LABELONLY", "", f))[0] for f in files]
    assert [(x["FamilyCount"], x["FamilySequenceNumber"]) for x in labels] == [(3, 1), (3, 2), (3, 3)]
    assert len({x["MediaSetId"] for x in labels}) == 1 and len(labels[0]) == 13
    rows = kit.view("dbo.backupmediafamily", "msdb")
    assert [(r["family_sequence_number"], os.path.basename(r["physical_device_name"])) for r in rows] == list(enumerate(files, 1))
    with raises(3132, 3013):
        kit.restore("VERIFYONLY", "", *files[:2])
    with raises(3133, 3013):
        kit.restore("VERIFYONLY", "", files[0], files[1], files[1])
    kit.backup("full", "db1", "other.bak")
    with raises(3231, 3013):
        kit.restore("VERIFYONLY", "", files[0], files[1], "other.bak")
    kit.restore("DATABASE", "a", files[2], files[0], files[1], MOVE=kit.move("a"), CHECKSUM=True)
    assert len(kit.ids("a")) == 200


def test_mirror(kit):
    kit.create()
    kit.backup("full", "db1", "m1.bak", mirrors=[["m2.bak"]], FORMAT=True)
    assert (kit.stage / "m1.bak").read_bytes() == (kit.stage / "m2.bak").read_bytes()
    kit.server.faults.edition("Standard Edition (64-bit)")
    with raises(3218, 3013):
        kit.backup("full", "db1", "m1.bak", mirrors=[["m2.bak"]], FORMAT=True)


def test_not_a_backup(kit):
    kit.create()
    (kit.stage / "text.bak").write_bytes(b"hello world " * 100)
    (kit.stage / "empty.bak").touch()
    with raises(3241, 3013):
        kit.header("text.bak")
    with raises(3254, 3013):
        kit.header("empty.bak")
    with raises(3201, 3013) as caught:
        kit.header("absent.bak")
    assert caught[0].error.state == 2 and "2(The system cannot find the file specified.)" in caught[0].error.text
    with raises(3241, 3013):
        kit.backup("full", "db1", "text.bak", INIT=True)
    kit.backup("full", "db1", "text.bak", FORMAT=True)
    assert len(kit.header("text.bak")) == 1


def test_truncated_anywhere_never_restores(kit):
    stripes(kit)
    kit.backup("full", "db1", "whole.bak", CHECKSUM=True)
    data = (kit.stage / "whole.bak").read_bytes()
    seen = set()
    # What follows the second ESET is only the closing filemark.
    end = [at for kind, at, *_ in descriptor_blocks(data) if kind == b"ESET"][-1]
    for size in [1, 51, 100, 0x3FF, 0x600, 0x700, 0xE00, 0x1DFF, 0x1E00, 0x2200, 0x3000, len(data) // 2, end - 512, end + 100]:
        (kit.stage / "cut.bak").write_bytes(data[:size])
        try:
            kit.restore("VERIFYONLY", "", "cut.bak")
            raise AssertionError(f"cut at {size} of {len(data)} was accepted")
        except Exception as exc:
            assert hasattr(exc, "error"), (size, exc)
            assert exc.error.number != 3203 or "38(Reached the end of the file.)" in exc.error.text
            seen.add(exc.error.number)
        if size >= 0x600:
            assert all(h["BackupName"] == "*** INCOMPLETE ***" and h["FirstLSN"] is None for h in kit.header("cut.bak"))
    assert seen <= {3241, 3203, 3256, 3287} and {3241, 3203} <= seen


def test_flipped_bytes_are_found(kit):
    kit.create()
    kit.put("db1", *range(300), text="q" * 80)
    kit.backup("full", "db1", "good.bak", CHECKSUM=True)
    data = bytearray((kit.stage / "good.bak").read_bytes())
    at = data.index(b"qqqqqqqq", 0x2200)
    data[at] ^= 1
    (kit.stage / "bad.bak").write_bytes(data)
    with raises(3189, 3013):
        kit.restore("VERIFYONLY", "", "bad.bak", CHECKSUM=True)
    with raises(3183, 3013):
        kit.full_to("a", "bad.bak")
    kit.put("db1", 900, text="q" * 80)
    kit.backup("log", "db1", "good.trn", CHECKSUM=True)
    data = bytearray((kit.stage / "good.trn").read_bytes())
    data[data.index(b"qqqqqqqq", 0x2200)] ^= 1
    (kit.stage / "bad.trn").write_bytes(data)
    with raises(3189, 3013):
        kit.restore("VERIFYONLY", "", "bad.trn", CHECKSUM=True)


def test_checksum_asked_for_and_absent(kit):
    kit.create()
    kit.backup("full", "db1", "n.bak")
    with raises(3187, 3013):
        kit.restore("VERIFYONLY", "", "n.bak", CHECKSUM=True)
    assert not kit.header("n.bak")[0]["HasBackupChecksums"]


def test_big_backup_needs_little_memory(kit):
    import tracemalloc
    kit.create()
    for first in range(0, 30000, 3000):
        kit.put("db1", *range(first, first + 3000), text="w" * 1000)
    size = kit.server.find("db1").data_size()
    assert size > 25 << 20
    tracemalloc.start()
    kit.backup("full", "db1", "big.bak", COMPRESSION=True, CHECKSUM=True)
    kit.full_to("a", "big.bak", CHECKSUM=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size // 2, peak


@pytest.mark.parametrize("options", [{"CHECKSUM": True}, {"COMPRESSION": True}])
def test_random_damage_is_always_an_error_of_the_server(kit, options):
    """Whatever the bytes are: a result or an SQL error, and rows never come from a set whose payload was changed unseen."""
    import random
    from sqlsim.contract import SqlError
    kit.create()
    kit.put("db1", 1, 2, 3, text="r" * 50)
    kit.backup("full", "db1", "r.bak", **options)
    data = (kit.stage / "r.bak").read_bytes()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    failed = 0
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(dice.choice((1, 2, 20))):
            changed[dice.randrange(len(changed) if dice.random() < 0.4 else min(len(changed), 0x2300))] = dice.randrange(256)
        (kit.stage / "z.bak").write_bytes(changed[:dice.randrange(len(changed))] if dice.random() < 0.2 else changed)
        for what in ("HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY"):
            try:
                kit.restore(what, "", "z.bak")
            except SqlError:
                failed += 1
        try:
            kit.full_to("a", "z.bak", REPLACE=True, NORECOVERY=False)
            assert kit.ids("a") == [1, 2, 3]
        except SqlError:
            failed += 1
    assert failed > 20
