# SPDX-License-Identifier: Apache-2.0
"""The codec of the simulated server against bytes that were written down from the protocol, not from the codec."""

import datetime as dt
import decimal
import random
import struct
import uuid

import pytest

from sqlsim.contract import Column, Columns, Done, Error, Info, Param, ReturnStatus, Row, SqlType
from sqlsim.tds import handshake, requests, temporal
from sqlsim.tds.collation import charset_of, collation_bytes
from sqlsim.tds.packets import packets_of
from sqlsim.tds.replies import Reply, ReplyReader
from sqlsim.tds.tokens import ReplyEncoder, attention_ack, column_metadata, envchange_token, message_token
from sqlsim.tds.typesin import read_type, read_value
from sqlsim.tds.typesout import codec_of, encode_plp
from sqlsim.tds.wire import TDS71, TDS72, TDS74, Buf, ProtocolError, WireEnv

pytestmark = pytest.mark.simulator("it is the simulator that is tested")

ENV = WireEnv()
D = decimal.Decimal


def encoded(sql_type, value, nullable=True, env=ENV):
    codec = codec_of(sql_type, nullable, env)
    return codec.info, codec.encode(value)


def there_and_back(sql_type, value, env=ENV):
    codec = codec_of(sql_type, True, env)
    buf = Buf(codec.info + codec.encode(value))
    wire = read_type(buf)
    got = read_value(buf, wire, True)
    assert buf.left() == 0
    return got


KNOWN = [
    (SqlType("int"), False, 1, "38", "01000000"),
    (SqlType("int"), True, -2, "2604", "04feffffff"),
    (SqlType("int"), True, None, "2604", "00"),
    (SqlType("tinyint"), True, 255, "2601", "01ff"),
    (SqlType("smallint"), False, -1, "34", "ffff"),
    (SqlType("bigint"), True, 2**62, "2608", "080000000000000040"),
    (SqlType("bit"), True, True, "6801", "0101"),
    (SqlType("bit"), False, False, "32", "00"),
    (SqlType("float"), True, 1.5, "6d08", "08000000000000f83f"),
    (SqlType("real"), True, 1.5, "6d04", "040000c03f"),
    (SqlType("numeric", 0, 25, 0), True, D(34000000006900179), "6c111900", "0d01d349c6e2d1ca780000000000"),
    (SqlType("decimal", 0, 5, 2), True, D("-1.25"), "6a110502", "05007d000000"),
    (SqlType("datetime"), True, dt.datetime(2024, 5, 6, 12, 34, 56, 123000), "6f08", "0868b100006559cf00"),
    (SqlType("datetime2", 0, 0, 7), True, dt.datetime(2024, 5, 6, 12, 34, 56, 123000), "2a07", "08b0dc977669c3460b"),
    (SqlType("date"), True, dt.date(1, 1, 1), "28", "03000000"),
    (
        SqlType("uniqueidentifier"),
        True,
        uuid.UUID("c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc"),
        "2410",
        "105141c4c62c8a6c4c9bf52e02090c8ebc",
    ),
    (SqlType("nvarchar", 128), True, "ab", "e700010904d00034", "040061006200"),
    (SqlType("nvarchar", 128), True, None, "e700010904d00034", "ffff"),
    (SqlType("nchar", 3), True, "a", "ef06000904d00034", "0600610020002000"),
    (SqlType("varchar", 10), True, "aé", "a70a000904d00034", "020061e9"),
    (SqlType("char", 2), True, "a", "af02000904d00034", "02006120"),
    (SqlType("varbinary", 4), True, b"\x01\x02", "a50400", "02000102"),
    (SqlType("binary", 3), True, b"\x01", "ad0300", "0300010000"),
    (SqlType("varbinary", -1), True, None, "a5ffff", "ffffffffffffffff"),
    (SqlType("nvarchar", -1), True, "a", "e7ffff0904d00034", "0200000000000000" "02000000" "6100" "00000000"),
    (SqlType("money"), True, D("1.5"), "6e08", "0800000000983a0000"),
    (SqlType("smallmoney"), True, D("-1"), "6e04", "04f0d8ffff"),
    (SqlType("time", 0, 0, 0), True, dt.time(0, 0, 1), "2900", "03010000"),
]


@pytest.mark.parametrize("sql_type,nullable,value,info,data", KNOWN, ids=lambda v: str(v)[:40])
def test_value_has_the_bytes_of_the_protocol(sql_type, nullable, value, info, data):
    got_info, got = encoded(sql_type, value, nullable)
    assert got_info.hex() == info
    assert got.hex() == data


def test_datetimeoffset_travels_in_utc_with_its_offset():
    value = dt.datetime(2024, 5, 6, 2, 0, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30)))
    info, data = encoded(SqlType("datetimeoffset", 0, 0, 7), value)
    assert info.hex() == "2b07"
    utc = temporal.encode_datetime2(dt.datetime(2024, 5, 5, 20, 30), 7)
    assert data == bytes([10]) + utc + struct.pack("<h", 330)
    assert there_and_back(SqlType("datetimeoffset", 0, 0, 7), value) == value


ROUND = [
    (SqlType("int"), -(2**31)),
    (SqlType("bigint"), -(2**63)),
    (SqlType("tinyint"), 0),
    (SqlType("smallint"), -32768),
    (SqlType("float"), -1e300),
    (SqlType("real"), 0.25),
    (SqlType("bit"), True),
    (SqlType("numeric", 0, 38, 10), D("-1234567890123456789012345678.0123456789")),
    (SqlType("numeric", 0, 38, 0), D(10**38 - 1)),
    (SqlType("decimal", 0, 9, 9), D("0.123456789")),
    (SqlType("money"), D("-922337203685477.5808")),
    (SqlType("smallmoney"), D("214748.3647")),
    (SqlType("datetime"), dt.datetime(1753, 1, 1)),
    (SqlType("datetime"), dt.datetime(9999, 12, 31, 23, 59, 59, 997000)),
    (SqlType("smalldatetime"), dt.datetime(2079, 6, 6, 23, 59)),
    (SqlType("datetime2", 0, 0, 7), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    (SqlType("datetime2", 0, 0, 6), dt.datetime(1, 1, 1)),
    (SqlType("time", 0, 0, 7), dt.time(23, 59, 59, 999999)),
    (SqlType("time", 0, 0, 3), dt.time(1, 2, 3, 456000)),
    (SqlType("date"), dt.date(9999, 12, 31)),
    (SqlType("nvarchar", 4000), "é€\U0001f600" * 5),
    (SqlType("nvarchar", -1), "x€" * 50_000),
    (SqlType("nvarchar", -1), ""),
    (SqlType("varchar", -1), "a" * 100_000),
    (SqlType("varbinary", -1), bytes(range(256)) * 1000),
    (SqlType("varbinary", 8000), b""),
    (SqlType("uniqueidentifier"), uuid.UUID(int=5)),
    (SqlType("xml", -1), "<a>é</a>"),
]


@pytest.mark.parametrize("sql_type,value", ROUND, ids=lambda v: str(v)[:40])
def test_value_survives_the_wire(sql_type, value):
    assert there_and_back(sql_type, value) == value
    assert there_and_back(sql_type, None) is None


@pytest.mark.parametrize(
    "value",
    [
        5,
        -5,
        2**40,
        True,
        1.5,
        D("12.34"),
        "text é",
        b"\x01\x02",
        uuid.UUID(int=9),
        dt.date(2024, 1, 2),
        dt.datetime(2024, 1, 2, 3, 4, 5),
        None,
    ],
    ids=str,
)
def test_sql_variant_keeps_value_and_kind(value):
    got = there_and_back(SqlType("sql_variant"), value)
    assert got == value and type(got) is type(value)


def test_rounding_carries_into_the_next_day():
    late = dt.datetime(2024, 12, 31, 23, 59, 59, 999999)
    assert temporal.decode_datetime(temporal.encode_datetime(late)) == dt.datetime(2025, 1, 1)
    assert temporal.decode_datetime2(temporal.encode_datetime2(late, 3), 3) == dt.datetime(2025, 1, 1)
    assert temporal.decode_smalldatetime(temporal.encode_smalldatetime(late)) == dt.datetime(2025, 1, 1)
    top = dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert temporal.decode_datetime2(temporal.encode_datetime2(top, 0), 0) == dt.datetime(9999, 12, 31, 23, 59, 59)
    assert temporal.decode_time(temporal.encode_time(dt.time(23, 59, 59, 999999), 0), 0) == dt.time(23, 59, 59)


@pytest.mark.parametrize("millis,shown", [(0, 0), (1, 0), (2, 3), (4, 3), (5, 7), (8, 7), (9, 10), (995, 997), (999, 1000)])
def test_datetime_has_ticks_of_a_300th_of_a_second(millis, shown):
    start = dt.datetime(2024, 1, 1)
    got = temporal.decode_datetime(temporal.encode_datetime(start + dt.timedelta(milliseconds=millis)))
    assert got == start + dt.timedelta(milliseconds=shown)


def test_not_null_column_refuses_null():
    with pytest.raises(ValueError, match="NOT NULL"):
        encoded(SqlType("int"), None, nullable=False)


def test_plp_is_cut_into_chunks_that_add_up():
    data = encode_plp(b"x" * 20_000)
    assert struct.unpack_from("<Q", data)[0] == 20_000
    assert [struct.unpack_from("<I", data, at)[0] for at in (8, 8 + 8004, 8 + 16008)] == [8000, 8000, 4000]
    assert data[-4:] == b"\0\0\0\0" and len(data) == 8 + 3 * 4 + 20_000 + 4


def test_plp_of_unknown_length_and_wrong_sum():
    wire = read_type(Buf(bytes.fromhex("a5ffff")))
    unknown = struct.pack("<Q", 0xFFFFFFFFFFFFFFFE) + struct.pack("<I", 2) + b"ab" + b"\0\0\0\0"
    assert read_value(Buf(unknown), wire) == b"ab"
    with pytest.raises(ProtocolError):
        read_value(Buf(struct.pack("<Q", 9) + unknown[8:]), wire)


def test_prelogin_reply_is_the_documented_one():
    reply = packets_of(4, handshake.prelogin_reply({}, (16, 0, 4236, 2), handshake.ENCRYPT_OFF), 4096)
    assert reply.hex() == (
        "0401002b00000100" "00001a0006" "0100200001" "0200210001" "0300220000" "0400220001" "ff" "1000108c0000" "00" "00" "00"
    )  # fmt: skip


@pytest.mark.parametrize(
    "mode,asked,answer,follows",
    [
        ("off", 0, 0, "login"),
        ("off", 1, 1, "all"),
        ("off", 2, 2, "none"),
        ("off", 3, 1, "all"),
        ("on", 0, 3, "all"),
        ("on", 1, 1, "all"),
        ("on", 2, 3, "drop"),
        ("required", 0, 3, "all"),
        ("required", 1, 3, "all"),
        ("required", 2, 3, "drop"),
        ("not-supported", 0, 2, "none"),
        ("not-supported", 1, 2, "none"),
        ("not-supported", 2, 2, "none"),
        ("off", None, 2, "none"),
    ],
)
def test_encryption_is_agreed_as_the_table_says(mode, asked, answer, follows):
    assert handshake.choose_encryption(mode, asked) == (answer, follows)


def test_password_is_scrambled_as_documented():
    assert handshake.scramble("Abc".encode("utf-16-le")).hex() == "b1a583a593a5"
    assert handshake.unscramble(bytes.fromhex("b1a583a593a5")).decode("utf-16-le") == "Abc"


def test_login7_is_read_field_by_field():
    data = handshake.login7_bytes("user é", "pä$$", "db1", "app", "host", "srv", 8000, TDS74, b"\x0a\x01\x00\x00\x00\x01\xff")
    got = handshake.read_login7(data)
    assert (got.login.user, got.login.password, got.login.database) == ("user é", "pä$$", "db1")
    assert (got.login.app, got.login.host, got.packet_size, got.version) == ("app", "host", 8000, TDS74)
    assert got.features == {0x0A: b"\x01"}


def test_login7_that_points_outside_is_refused():
    data = bytearray(handshake.login7_bytes("u", "p"))
    for at in (36, 40, 44, 48, 60, 64, 68):
        bad = bytearray(data)
        struct.pack_into("<HH", bad, at, 60_000, 10)
        with pytest.raises(ProtocolError):
            handshake.read_login7(bytes(bad))
    with pytest.raises(ProtocolError):
        handshake.read_login7(bytes(data[:50]))


def test_login_tokens_are_the_documented_ones():
    assert (
        envchange_token(1, "master", "master").hex()
        == "e31b000106" + "master".encode("utf-16-le").hex() + "06" + "master".encode("utf-16-le").hex()
    )
    assert envchange_token(7, bytes.fromhex("0904d00034"), b"").hex() == "e3080007050904d0003400"
    assert envchange_token(2, "us_english", "").hex() == "e31700020a" + "us_english".encode("utf-16-le").hex() + "00"
    assert (
        envchange_token(4, "4096", "4096").hex()
        == "e313000404" + "4096".encode("utf-16-le").hex() + "04" + "4096".encode("utf-16-le").hex()
    )
    ack = handshake.login_ack(TDS74, (16, 0, 4236, 2))
    assert ack.hex() == "ad3200017400000414" + "Microsoft SQL Server".encode("utf-16-le").hex() + "1000108c"
    reply = handshake.login_reply(
        handshake.read_login7(handshake.login7_bytes("sa", "p", features=b"\x0a\x01\x00\x00\x00\x01\xff")),
        ENV,
        "s",
        (16, 0, 4236, 2),
        "db1",
        4096,
        "",
    )
    assert reply.endswith(bytes.fromhex("ae0a0100000001ff" + "fd" + "00" * 12))
    read = ReplyReader(ENV).read(reply, Reply())
    assert read.tokens == [0xE3, 0xAB, 0xE3, 0xE3, 0xAB, 0xAD, 0xE3, 0xAE, 0xFD]
    assert [(m.number, m.state, m.cls) for m in read.infos] == [(5701, 2, 0), (5703, 1, 0)]
    assert read.infos[0].text == "Changed database context to 'db1'."


def test_message_token():
    token = message_token(Info(5701, "x", 2, 0, 1), "s", TDS74)
    assert token.hex() == "ab" + "1200" + "45160000" + "02" + "00" + "0100" + "7800" + "01" + "7300" + "00" + "01000000"


def test_attention_acknowledgement_is_the_captured_one():
    assert attention_ack(TDS74).hex() == "fd2000fd00" + "00" * 8


def tokens_of(events, rpc=None, env=ENV, finish_rpc=None):
    encoder = ReplyEncoder(env, "s", rpc)
    for event in events:
        encoder.emit(event)
    if rpc:
        encoder.finish_rpc(finish_rpc or [])
    encoder.finish()
    return ReplyReader(env).read(bytes(encoder.buf), Reply())


def test_backup_pattern():
    events = []
    for number in (4035, 4035, 3014):
        events += [Info(number, f"message {number}"), Done(228)]
    assert [(d.token, d.status, d.curcmd) for d in tokens_of(events).dones] == [(0xFD, 1, 228), (0xFD, 1, 228), (0xFD, 0, 228)]
    under_rpc = tokens_of(events, "text").dones
    assert [(d.token, d.status) for d in under_rpc] == [(0xFF, 1), (0xFF, 1), (0xFF, 1), (0xFE, 0)]


def test_progress_of_a_backup_is_worth_sending_at_once():
    encoder = ReplyEncoder(ENV, "s")
    assert not encoder.emit(Info(3211, "10 percent processed."))
    assert encoder.emit(Done(228))
    assert bytes(encoder.buf[-13:]).hex() == "fd0100e400" + "00" * 8


def test_failed_backup_pattern():
    got = tokens_of([Error(3201, "a"), Error(3013, "b"), Done(228, error=True)])
    assert [d.status for d in got.dones] == [2] and [e.number for e in got.errors] == [3201, 3013]
    more = tokens_of([Error(3201, "a"), Error(3013, "b"), Done(228, error=True), Done(193, 0)])
    assert [d.status for d in more.dones] == [3, 0x10]


def test_headeronly_has_two_dones():
    events = [Columns([Column("a", SqlType("int"))]), Row([1]), Row([2]), Done(230, 2), Done(250)]
    assert [(d.status, d.curcmd, d.count) for d in tokens_of(events).dones] == [(0x11, 230, 2), (0, 250, 0)]


def test_select_by_rpc_ends_with_status_and_doneproc():
    events = [Columns([Column("a", SqlType("int"))]), Row([1]), Done(193, 1)]
    got = tokens_of(events, "text", finish_rpc=[(0, Param("@h", SqlType("int"), 7, True))])
    assert got.tokens == [0x81, 0xD1, 0xFF, 0x79, 0xAC, 0xFE]
    assert [d.status for d in got.dones] == [0x11, 0] and got.outputs == {"@h": 7} and got.return_status == 0


def test_exec_in_a_batch_gives_status_and_doneproc():
    got = tokens_of([Done(193, 1), ReturnStatus(5), Done(224), Done(193, 2)])
    assert [(d.token, d.status) for d in got.dones] == [(0xFD, 0x11), (0xFE, 1), (0xFD, 0x10)] and got.return_status == 5


def test_procedure_by_name_has_one_doneproc():
    got = tokens_of([Columns([Column("a", SqlType("int"))]), Row([1]), Done(193, 1), ReturnStatus(3), Done(224)], "proc")
    assert got.tokens == [0x81, 0xD1, 0xFF, 0x79, 0xFE] and got.return_status == 3


def test_reply_without_statements_still_ends():
    assert [(d.token, d.status) for d in tokens_of([]).dones] == [(0xFD, 0)]
    assert tokens_of([Done(195, 1), Info(0, "printed")]).dones[-1].status == 0


def test_row_of_wrong_width_is_an_error_of_ours():
    encoder = ReplyEncoder(ENV, "s")
    encoder.emit(Columns([Column("a", SqlType("int"))]))
    with pytest.raises(ValueError):
        encoder.emit(Row([1, 2]))


def test_clients_before_72_get_narrow_dones_and_old_types():
    old = WireEnv(TDS71)
    events = [
        Columns(
            [
                Column("t", SqlType("nvarchar", -1)),
                Column("b", SqlType("varbinary", -1)),
                Column("d", SqlType("datetime2", 0, 0, 3)),
            ]
        ),
        Row(["é" * 9000, b"\x01" * 9000, dt.datetime(2024, 5, 6, 7, 8, 9, 123000)]),
        Row([None, None, None]),
        Done(193, 2),
    ]
    got = tokens_of(events, env=old)
    assert got.rows == [("é" * 9000, b"\x01" * 9000, "2024-05-06 07:08:09.123"), (None, None, None)]
    assert [w.token for w in got.sets[0].wire] == [0x63, 0x22, 0xE7]
    newer = tokens_of(events, env=WireEnv(TDS72))
    assert [w.token for w in newer.sets[0].wire] == [0xE7, 0xA5, 0xE7]


def test_column_flags():
    data, _ = column_metadata([Column("id", SqlType("int"), False, True), Column("v", SqlType("int"), True)], ENV)
    assert data.hex() == "810200" + "00000000" + "1000" + "38" + "02" + "69006400" + "00000000" + "0100" + "2604" + "01" + "7600"


@pytest.mark.parametrize(
    "name,data,charset",
    [
        ("SQL_Latin1_General_CP1_CI_AS", "0904d00034", "cp1252"), ("Latin1_General_CI_AS", "0904d00000", "cp1252"),
        ("Latin1_General_100_CI_AS_SC_UTF8", "0904d02400", "utf-8"), ("Latin1_General_BIN2", "0904000200", "cp1252"),
        ("Cyrillic_General_CI_AS", "1904d00000", "cp1251"), ("Japanese_CI_AS_KS_WS", "1104100000", "cp932"),
    ],
)  # fmt: skip
def test_collations(name, data, charset):
    assert collation_bytes(name).hex() == data and charset_of(collation_bytes(name)) == charset


def test_char_data_follows_the_collation():
    for name, text in (
        ("Cyrillic_General_CI_AS", "Привет"),
        ("Latin1_General_100_CI_AS_SC_UTF8", "Привет €"),
        ("Japanese_CI_AS", "日本"),
    ):
        env = WireEnv(collation=collation_bytes(name))
        assert there_and_back(SqlType("varchar", 50), text, env) == text
    assert there_and_back(SqlType("varchar", 50), "Привет") == "??????"


HEADERS = bytes.fromhex("16000000" "12000000" "0200" "0000000000000000" "01000000")  # fmt: skip


def test_batch_is_read_behind_its_headers():
    assert requests.read_batch(HEADERS + "select 1".encode("utf-16-le"), ENV).sql == "select 1"
    assert requests.read_batch("select 1".encode("utf-16-le"), WireEnv(TDS71)).sql == "select 1"
    for bad in (HEADERS + b"a", b"\xff\xff\xff\xff" + HEADERS, b"\x00", HEADERS[:10], b"\x08\0\0\0\x03\0\0\0"):
        with pytest.raises(ProtocolError):
            requests.read_batch(bad, ENV)


def test_several_rpcs_in_one_message():
    int_param = b"\x02" + "@a".encode("utf-16-le") + b"\x01" + bytes.fromhex("2604" "0405000000")  # fmt: skip
    one = bytes.fromhex("ffff0a00" "0000") + int_param  # fmt: skip
    two = struct.pack("<H", 3) + "foo".encode("utf-16-le") + b"\x02\x00"
    calls = requests.read_rpcs(HEADERS + one + b"\xff" + two, ENV)
    assert [(c.proc, c.flags) for c in calls] == [("sp_executesql", 0), ("foo", 2)]
    assert calls[0].params == [Param("@a", SqlType("int"), 5, True)] and calls[1].params == []
    assert requests.read_rpcs(HEADERS + one + b"\xfe" + two, ENV)[0].no_exec
    for bad in (HEADERS, HEADERS + bytes.fromhex("ffff6300" "0000"), HEADERS + one[:-1], HEADERS + one[:-5] + b"\x99"):
        with pytest.raises(ProtocolError):
            requests.read_rpcs(bad, ENV)


def test_transaction_requests():
    begin = requests.read_transaction(HEADERS + bytes.fromhex("0500" "02" "01" "7400"), ENV)  # fmt: skip
    assert (begin.request, begin.name, begin.isolation) == ("begin", "t", 2)
    again = requests.read_transaction(HEADERS + bytes.fromhex("0700" "00" "01" "04" "00"), ENV)  # fmt: skip
    assert again.request == "commit" and again.begin_after.isolation == 4
    with pytest.raises(ProtocolError):
        requests.read_transaction(HEADERS + bytes.fromhex("0600"), ENV)


def test_declarations():
    text = "@a int, @b nvarchar(max) output, @c decimal(10, 2)=5,@d [sys].sysname, @e datetime2, @f varchar(30) OUT, @g float(24)"
    got = requests.parse_declarations(text)
    assert [(p.name, p.type, p.output) for p in got] == [
        ("@a", SqlType("int"), False),
        ("@b", SqlType("nvarchar", -1), True),
        ("@c", SqlType("decimal", 0, 10, 2), False),
        ("@d", SqlType("nvarchar", 128), False),
        ("@e", SqlType("datetime2", 0, 0, 7), False),
        ("@f", SqlType("varchar", 30), True),
        ("@g", SqlType("real"), False),
    ]
    assert requests.parse_declarations("") == []
    with pytest.raises(ProtocolError):
        requests.parse_declarations("a int")


def test_random_bytes_never_escape_as_another_exception():
    """Whatever is sent, reading ends with a value or a ProtocolError."""
    chance = random.Random(20240506)
    valid = HEADERS + bytes.fromhex("ffff0a00" "0000" "00" "00" "e7ffff0904d00034") + encode_plp("select 1".encode("utf-16-le"))
    login = handshake.login7_bytes("sa", "pw", "db", features=b"\x0a\x01\x00\x00\x00\x01\xff")
    readers = [
        (lambda d: requests.read_rpcs(d, ENV), valid),
        (lambda d: requests.read_batch(d, ENV), HEADERS + b"s\0"),
        (lambda d: requests.read_transaction(d, ENV), HEADERS + b"\x05\0\0\0"),
        (handshake.read_login7, login),
        (handshake.read_prelogin, bytes(30)),
    ]
    outcomes = set()
    for _ in range(4000):
        read, good = chance.choice(readers)
        data = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            data = data[: chance.randrange(len(data))]
        try:
            read(bytes(data))
            outcomes.add("read")
        except ProtocolError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
