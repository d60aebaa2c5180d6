# SPDX-License-Identifier: Apache-2.0
"""The controller's fleet met by strangers: tokens that are not good, messages that are not, the service Fleet, many sessions."""

from __future__ import annotations

import contextlib
import queue
import time
from pathlib import Path
from typing import Any, Iterator, Optional

import grpc
import pytest

from fixtures.fleet import Controller, Issuer, messages
from fixtures.sidecar import wait_for

CONNECT = "/mssql.v1.Controller/Connect"
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


class Pretender:
    """A stream that may say anything."""

    def __init__(self, controller: Controller, token: Optional[str], credentials: Any = None) -> None:
        self.pb = messages()
        target = controller.listen
        self.channel = grpc.secure_channel(target, credentials, OPTIONS) if credentials else grpc.insecure_channel(target, OPTIONS)
        self.out: queue.Queue = queue.Queue()
        make = self.channel.stream_stream(CONNECT, request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(),
                                          response_deserializer=self.pb.controller.ControllerMessage.FromString)  # fmt: skip
        metadata = [("authorization", f"Bearer {token}")] if token is not None else []
        self.call = make(iter(self.out.get, None), metadata=metadata, timeout=60)

    def __enter__(self) -> "Pretender":
        return self

    def __exit__(self, *_: Any) -> None:
        self.out.put(None)
        self.call.cancel()
        self.channel.close()

    def say(self, **fields: Any) -> None:
        self.out.put(self.pb.controller.SidecarMessage(**fields))

    def hello(self, uid: str = "uid-0", **fields: Any) -> None:
        self.say(hello=self.pb.controller.Hello(**{"pod_uid": uid, "session_id": "s", "process_id": "p", **fields}))

    def hear(self, what: str) -> Any:
        for message in self.call:
            if message.WhichOneof("message") == what:
                return getattr(message, what)
        raise AssertionError(f"the stream ended without {what}")

    def end(self) -> grpc.StatusCode:
        with contextlib.suppress(grpc.RpcError):
            for _ in self.call:
                pass
        return self.call.code()


BAD_TOKENS = {
    "none": (None, "no service account token"),
    "empty": ("", "no service account token"),
    "garbage": ("abc", "three parts"),
    "forged": ({"forged": True}, "signature"),
    "expired": ({"seconds": -120}, "expired"),
    "not yet": ({"nbf": int(time.time()) + 3600}, "not valid before"),
    "audience": ({"aud": ["https://kubernetes.default.svc"]}, "audience"),
    "issuer": ({"iss": "https://elsewhere"}, "issuer"),
    "key": ({"kid": "unknown"}, "key"),
    "no pod": ({"pod": ""}, "not bound to a pod"),
    "gone": ({"uid": "uid-9"}, "no pod"),
}


@pytest.fixture
def known_pods(tmp_path: Path, controllers: Any) -> Controller:
    pods = tmp_path / "pods"
    pods.write_text("uid-0\nuid-1\n")
    return controllers("-p", str(pods), "-h", "60")


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_is_not_good(known_pods: Controller, issuer: Issuer, kind: str) -> None:
    what, says = BAD_TOKENS[kind]
    token = issuer.token(**what) if isinstance(what, dict) else what
    with Pretender(known_pods, token) as p:
        p.hello(uid="uid-9" if kind == "gone" else "uid-0")
        assert p.end() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED), p.call.details()
        assert says in p.call.details()
    line = next(line for line in known_pods.log().splitlines() if "refused" in line)
    assert says in line, line
    if token:
        assert token not in known_pods.log() and token.rsplit(".", 1)[-1] not in known_pods.log(), "the token is in the log"
    assert known_pods.stats()["known"] == 0


def test_a_good_token_of_another_pod(known_pods: Controller, issuer: Issuer) -> None:
    with Pretender(known_pods, issuer.token(uid="uid-1")) as p:
        p.hello(uid="uid-0")
        assert p.hear("refused").reason == "WrongPod"
        assert p.end() == grpc.StatusCode.PERMISSION_DENIED
    assert known_pods.stats()["known"] == 0


def test_keys_that_are_renewed(known_pods: Controller, issuer: Issuer) -> None:
    old = issuer.token()
    with Pretender(known_pods, old) as p:
        p.hello()
        assert len(p.hear("welcome").grant_key) == 32
        issuer.rotate()
        with Pretender(known_pods, issuer.token(uid="uid-1")) as q:
            q.hello("uid-1")
            q.hear("welcome")
        p.say(heartbeat=p.pb.controller.Heartbeat(now_at=1))  # an open session goes on
        p.hear("heartbeat_ack")
        p.say(heartbeat=p.pb.controller.Heartbeat(now_at=1, token=issuer.token()))
        p.hear("heartbeat_ack")
        p.say(heartbeat=p.pb.controller.Heartbeat(now_at=1, token=issuer.token(uid="uid-1")))
        assert p.hear("refused").reason == "WrongPod"
    with Pretender(known_pods, old) as p:
        assert p.end() == grpc.StatusCode.UNAUTHENTICATED


def test_messages_out_of_order(known_pods: Controller, issuer: Issuer) -> None:
    pb = messages()
    part = pb.controller.StatusPart
    cases = [
        ([], {"heartbeat": pb.controller.Heartbeat()}, "BadHello"),
        (["hello"], {"hello": pb.controller.Hello(pod_uid="uid-0", session_id="s", process_id="p")}, "BadMessage"),
        (["hello"], {"status": part(sequence=2, first=True, head=pb.types.Status())}, "BadMessage"),
        (["hello"], {"status": part(sequence=1)}, "BadMessage"),
        (["hello"], {"result": pb.controller.CommandResult(id="../../etc")}, "BadMessage"),
    ]
    for before, message, reason in cases:
        with Pretender(known_pods, issuer.token()) as p:
            if before:
                p.hello()
                p.hear("welcome")
            p.say(**message)
            assert p.hear("refused").reason == reason, message
    with Pretender(known_pods, issuer.token()) as p:  # no protobuf at all
        p.out.put(b"\xff\xff\xff")
        assert p.end() == grpc.StatusCode.INVALID_ARGUMENT
    with Pretender(known_pods, issuer.token()) as p:  # too large
        p.hello(release="x" * 300_000)
        assert p.end() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with Pretender(known_pods, issuer.token()) as p:  # and it still serves
        p.hello()
        p.hear("welcome")


def test_a_newer_session_replaces_the_older(known_pods: Controller, issuer: Issuer) -> None:
    with Pretender(known_pods, issuer.token()) as old:
        old.hello()
        old.hear("welcome")
        with Pretender(known_pods, issuer.token()) as new:
            new.hello()
            new.hear("welcome")
            assert old.hear("refused").reason == "Replaced"
            stats = known_pods.stats()
            assert (stats["connected"], stats["known"], stats["replaced"], stats["lost"]) == (1, 1, 1, 0)


def test_a_session_that_says_nothing(controllers: Any, issuer: Issuer) -> None:
    controller = controllers("-h", "2")
    with Pretender(controller, issuer.token()) as p:
        p.hello()
        p.hear("welcome")
        assert p.hear("refused").reason == "Silent"
    controller.wait("session", "uid-0", "0")


def test_a_token_that_expires_in_a_session(known_pods: Controller, issuer: Issuer) -> None:
    with Pretender(known_pods, issuer.token(seconds=-50)) as p:  # within the minute of skew
        p.hello()
        p.hear("welcome")
        assert known_pods.stats()["connected"] == 1


def test_too_many_sessions(issuer: Issuer, controllers: Any) -> None:
    controller = controllers("-s", "3", "-h", "60")
    with contextlib.ExitStack() as stack:
        for i in range(3):
            p = stack.enter_context(Pretender(controller, issuer.token(uid=f"u{i}")))
            p.hello(f"u{i}")
            p.hear("welcome")
        with Pretender(controller, issuer.token(uid="u9")) as p:
            assert p.end() == grpc.StatusCode.RESOURCE_EXHAUSTED


# ---- the service Fleet ----


def fleet(controller: Controller, token: str) -> Any:
    @contextlib.contextmanager
    def open_channel() -> Iterator[Any]:
        pb = messages()
        with grpc.insecure_channel(controller.listen, OPTIONS) as channel:

            def call(method: str, request: Any, answer: Any, stream: bool = False) -> Any:
                make = (channel.unary_stream if stream else channel.unary_unary)(
                    f"/mssql.v1.Fleet/{method}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=answer.FromString
                )
                return make(request, metadata=[("authorization", f"Bearer {token}")], timeout=60)

            yield call, pb

    return open_channel()


def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        result = call()
        if not hasattr(result, "DESCRIPTOR"):
            list(result)
    return caught.value.code(), caught.value.details()


def test_fleet_is_for_listed_callers(controllers: Any, issuer: Issuer) -> None:
    off, on = controllers(), controllers("-a", "ops/mssql")
    with fleet(off, issuer.token(namespace="ops", pod="")) as (call, pb):
        code, _ = refused(lambda: call("ListInstances", pb.fleet.ListInstancesRequest(), pb.fleet.ListInstancesResponse))
        assert code == grpc.StatusCode.UNIMPLEMENTED
    with fleet(on, issuer.token(namespace="tests", pod="")) as (call, pb):
        code, text = refused(lambda: call("ListInstances", pb.fleet.ListInstancesRequest(), pb.fleet.ListInstancesResponse))
        assert code == grpc.StatusCode.PERMISSION_DENIED and "tests/mssql" in text
    with fleet(on, issuer.token(namespace="ops", pod="", forged=True)) as (call, pb):
        code, _ = refused(lambda: call("GetInstance", pb.fleet.GetInstanceRequest(), pb.fleet.Instance))
        assert code == grpc.StatusCode.UNAUTHENTICATED
    on.order("lead", "0", "192.0.2.7:8443")
    with fleet(on, issuer.token(namespace="ops", pod="")) as (call, pb):
        code, text = refused(lambda: call("WatchInstances", pb.fleet.WatchInstancesRequest(), pb.fleet.Instance, True))
        assert code == grpc.StatusCode.UNAVAILABLE and "192.0.2.7:8443" in text


def test_fleet_lists_watches_and_relays(controllers: Any, issuer: Issuer) -> None:
    controller = controllers("-a", "ops/mssql", "-h", "60")
    pb = messages()

    def introduce(stack: contextlib.ExitStack, i: int) -> Pretender:
        p = stack.enter_context(Pretender(controller, issuer.token(uid=f"u{i}", pod=f"sql-{i}", namespace=f"n{i % 2}")))
        p.hello(f"u{i}", identity=pb.types.Identity(namespace=f"n{i % 2}", instance=f"i{i}"))
        p.hear("welcome")
        databases = [pb.types.Database(name=n) for n in ("a1", "a2", "b1")]
        p.say(status=pb.controller.StatusPart(sequence=1, first=True, head=pb.types.Status(databases_total=3), databases=databases, complete=True))
        return p

    with contextlib.ExitStack() as stack:
        sidecars = [introduce(stack, i) for i in range(5)]
        wait_for("the statuses", lambda: controller.stats()["statuses"] == 5)
        call, _ = stack.enter_context(fleet(controller, issuer.token(namespace="ops", pod="")))
        found, token = [], ""
        while True:
            page = call("ListInstances", pb.fleet.ListInstancesRequest(page_size=2, page_token=token), pb.fleet.ListInstancesResponse)
            found += [(i.namespace, i.instance, i.status.databases_total, len(i.status.databases)) for i in page.instances]
            token = page.next_page_token
            if not token:
                break
        assert found == [("n0", "i0", 3, 0), ("n0", "i2", 3, 0), ("n0", "i4", 3, 0), ("n1", "i1", 3, 0), ("n1", "i3", 3, 0)]
        one = call("GetInstance", pb.fleet.GetInstanceRequest(namespace="n0", instance="i2", databases=["a*"]), pb.fleet.Instance)
        assert [d.name for d in one.status.databases] == ["a1", "a2"] and one.pod == "sql-2"
        code, _ = refused(lambda: call("GetInstance", pb.fleet.GetInstanceRequest(namespace="n1", instance="i2"), pb.fleet.Instance))
        assert code == grpc.StatusCode.NOT_FOUND

        watch = call("WatchInstances", pb.fleet.WatchInstancesRequest(namespace="n1"), pb.fleet.Instance, True)
        assert {next(watch).instance, next(watch).instance} == {"i1", "i3"}
        sidecars[3].say(status=pb.controller.StatusPart(sequence=2, head=pb.types.Status(databases_total=4), complete=True))
        changed = next(watch)
        assert (changed.instance, changed.status.databases_total) == ("i3", 4)
        watch.cancel()

        request = pb.fleet.RunCommandRequest(namespace="n1", instance="i3", command=pb.controller.Command(preflight=pb.sidecar.PreflightRequest()))
        events = call("RunCommand", request, pb.fleet.RunCommandEvent, True)
        given = sidecars[3].hear("command")
        assert given.id.startswith("fleet-") and given.WhichOneof("request") == "preflight"
        sidecars[3].say(ack=pb.controller.CommandAck(id=given.id))
        sidecars[3].say(progress=pb.controller.CommandProgress(id=given.id, backup=pb.sidecar.BackupProgress(database="a1", percent=5)))
        sidecars[3].say(result=pb.controller.CommandResult(id=given.id, preflight=pb.sidecar.PreflightResponse(passed=True)))
        kinds = [e.WhichOneof("event") for e in events]
        assert kinds[0] == "state" and kinds[-1] == "result" and "progress" in kinds, kinds
        del sidecars


def test_a_certificate_that_changes(tmp_path: Path, issuer: Issuer, controllers: Any) -> None:
    import subprocess

    def make(name: str) -> tuple[Path, Path]:
        cert, key = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=c",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        return cert, key

    cert, key = make("now")
    controller = controllers("-c", str(cert), "-k", str(key), "-h", "60")
    first = cert.read_bytes()
    with Pretender(controller, issuer.token(), grpc.ssl_channel_credentials(first)) as p:
        p.hello()
        p.hear("welcome")
    assert controller.stats()["cert"] == 1
    with Pretender(controller, issuer.token()) as p:  # plaintext
        assert p.end() == grpc.StatusCode.UNAVAILABLE
    other_cert, other_key = make("other")
    key.write_bytes(other_key.read_bytes())
    cert.write_bytes(other_cert.read_bytes())
    with Pretender(controller, issuer.token(), grpc.ssl_channel_credentials(cert.read_bytes())) as p:
        p.hello()
        p.hear("welcome")
    with Pretender(controller, issuer.token(), grpc.ssl_channel_credentials(first)) as p:
        assert p.end() == grpc.StatusCode.UNAVAILABLE
