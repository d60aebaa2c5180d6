# SPDX-License-Identifier: Apache-2.0
"""FetchBackup: the bytes of a backup for a restore elsewhere, whole, from an offset, as stored; damage, slow and unknown callers."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest

import storecheck
from fixtures.lab import Lab
from fixtures.sidecar import Sidecar, free_port
from fixtures.sidecar_rpc import SERVICE, Rpc


def fetch(rpc: Rpc, seconds: float = 60.0, **fields: Any) -> Iterator[Any]:
    make = rpc._channel.unary_stream(  # pylint: disable=protected-access
        SERVICE + "FetchBackup",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=rpc.pb.sidecar.FetchBackupEvent.FromString,
    )
    return make(rpc.pb.sidecar.FetchBackupRequest(**fields), timeout=seconds)


class Fetched:
    def __init__(self, events: Iterator[Any], offset: int = 0) -> None:
        self.begin: Any = None
        self.end: Any = None
        self.bytes = b""
        for event in events:
            what = event.WhichOneof("event")
            assert self.end is None, "something comes after the end"
            if what == "begin":
                assert self.begin is None and not self.bytes
                self.begin = event.begin
            elif what == "data":
                assert event.data.offset == offset + len(self.bytes)
                self.bytes += event.data.data
            else:
                self.end = event.end


def prepared(lab: Lab, **config: Any) -> tuple[Sidecar, dict[str, Any], Path]:
    """A sidecar with backups, the newest full's manifest, and where its object is."""
    sidecar = lab.protected(**config)
    lab.load.stop()
    full = [m for m in storecheck.manifests(sidecar.store) if m["kind"] == "full" and m["database"]["name"] == lab.database][-1]
    return sidecar, full, full["_folder"] / full["objects"][0]["name"]


def plain_of(path: Path) -> bytes:
    return subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout


def test_whole_and_from_offsets(lab: Lab) -> None:
    sidecar, full, path = prepared(lab)
    guid, plain, stored = full["set"]["guid"], plain_of(path), path.read_bytes()
    assert len(plain) > 300_000  # several chunks
    with sidecar.rpc() as rpc:
        whole = Fetched(fetch(rpc, database=lab.database, set_guid=guid))
        assert whole.bytes == plain and whole.end.verified and whole.end.total_bytes == len(plain)
        assert whole.begin.sha256 == hashlib.sha256(plain).hexdigest()
        assert json.loads(whole.begin.manifest)["set"]["guid"] == guid and whole.begin.name == full["objects"][0]["name"]
        for offset in (1, 131_072, len(plain) // 2, len(plain) - 1, len(plain)):
            rest = Fetched(fetch(rpc, set_guid=guid, offset=offset), offset)
            assert rest.bytes == plain[offset:] and rest.end.verified, offset
        raw = Fetched(fetch(rpc, set_guid=guid, as_stored=True))
        assert raw.bytes == stored and raw.end.verified and raw.begin.codec == "zstd"
        rest = Fetched(fetch(rpc, set_guid=guid, as_stored=True, offset=1000), 1000)
        assert rest.bytes == stored[1000:] and not rest.end.verified, "what was not read was not checked"
    assert sidecar.stop() == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"set_guid": "not-a-guid"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"set_guid": "27FF333C-DB84-4AFF-B8CB-684D06418EF6"}, grpc.StatusCode.NOT_FOUND),
        ({"database": "nobody_has_this"}, grpc.StatusCode.NOT_FOUND),
        ({"stripe": 2}, grpc.StatusCode.NOT_FOUND),
        ({"offset": 1 << 60}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_nonsense_is_refused(lab: Lab, fields: dict[str, Any], code: grpc.StatusCode) -> None:
    sidecar, full, _ = prepared(lab)
    with sidecar.rpc() as rpc, pytest.raises(grpc.RpcError) as refused:
        Fetched(fetch(rpc, **{"set_guid": full["set"]["guid"], **fields}))
    assert refused.value.code() == code
    assert sidecar.stop() == 0


def test_damage_ends_without_an_end(lab: Lab) -> None:
    sidecar, full, path = prepared(lab)
    guid, good = full["set"]["guid"], path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for bad in (bytes(flipped), good[: len(good) // 2], good + b"more"):
        path.write_bytes(bad)
        for as_stored in (False, True):
            with sidecar.rpc() as rpc, pytest.raises(grpc.RpcError) as damaged:
                Fetched(fetch(rpc, set_guid=guid, as_stored=as_stored))
            assert damaged.value.code() in (grpc.StatusCode.DATA_LOSS, grpc.StatusCode.NOT_FOUND), damaged.value
    path.unlink()
    with sidecar.rpc() as rpc, pytest.raises(grpc.RpcError) as gone:
        Fetched(fetch(rpc, set_guid=guid))
    assert gone.value.code() == grpc.StatusCode.NOT_FOUND
    path.write_bytes(good)
    with sidecar.rpc() as rpc:
        assert Fetched(fetch(rpc, set_guid=guid)).end.verified, "the sidecar goes on as before"
    assert sidecar.stop() == 0


def test_rate_and_going_away(lab: Lab) -> None:
    """A slow stream is slow, others are not; one whose client goes away frees its worker."""
    sidecar, full, path = prepared(lab)
    guid, plain = full["set"]["guid"], plain_of(path)
    with sidecar.rpc() as rpc:
        slow = [fetch(rpc, set_guid=guid, max_bytes_per_second=64 * 1024) for _ in range(2)]  # both workers
        for stream in slow:
            next(stream)
        for stream in slow:
            stream.cancel()
        assert Fetched(fetch(rpc, set_guid=guid)).bytes == plain
        limited = Fetched(fetch(rpc, set_guid=guid, max_bytes_per_second=4 * len(plain)))
        assert limited.bytes == plain
        left = fetch(rpc, set_guid=guid, max_bytes_per_second=64 * 1024)
        next(left)
    assert sidecar.stop() == 0, "a stream that is open does not keep it from stopping"


def test_unknown_callers_get_nothing(lab: Lab) -> None:
    """Plain TCP on loopback: anybody in the pod. They may look, and neither fetch nor restore."""
    port = free_port()
    sidecar = lab.sidecar(start=False, grpc={"listen": f"127.0.0.1:{port}"})
    lab.write()
    sidecar.start()
    sidecar.wait_full(lab.database)
    lab.load.stop()
    guid = [m for m in storecheck.manifests(sidecar.store) if m["kind"] == "full"][-1]["set"]["guid"]
    with Rpc(f"127.0.0.1:{port}") as rpc:
        pb = rpc.pb.sidecar
        assert rpc.call("GetStatus", pb.GetStatusRequest(), rpc.pb.types.Status).databases_protected == 1
        with pytest.raises(grpc.RpcError) as refused:
            Fetched(fetch(rpc, set_guid=guid))
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        for method, request, answer in (
            ("CancelRestore", pb.CancelRestoreRequest(id="x"), pb.CancelRestoreResponse),
            ("KeepRestore", pb.KeepRestoreRequest(id="x"), pb.KeepRestoreResponse),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                rpc.call(method, request, answer)
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, method
        make = rpc._channel.unary_stream(  # pylint: disable=protected-access
            SERVICE + "RunRestore", request_serializer=lambda m: m.SerializeToString(), response_deserializer=pb.RunRestoreEvent.FromString
        )
        with pytest.raises(grpc.RpcError) as refused:
            list(make(pb.RunRestoreRequest(spec=rpc.pb.types.RestoreSpec(to="latest")), timeout=30))
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert not sidecar.status().get("restores")
    assert sidecar.stop() == 0
