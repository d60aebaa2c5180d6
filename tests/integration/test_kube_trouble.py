# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client against a server that misbehaves: refusals, silence, cut and endless streams, garbage."""

from __future__ import annotations

import json

import pytest

from fixtures.kube import ADDED, CONFIGMAP, STREAM, chunk, http

MAP = {"metadata": {"name": "a", "resourceVersion": "7"}}
GET = {"namespace": "lab", "name": "a"}
EVENT = json.dumps({"type": "ADDED", "object": MAP}).encode() + b"\n"


def start(misbehaving, probes, tmp_path, *scripts, options=(), **user):
    server = misbehaving(*scripts)
    return server, probes(server.kubeconfig(tmp_path / "config", **user), *options)


def test_transient_answers_are_tried_again(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [http(500)], [http(503, b"<html>")], [b""], [http(200, MAP)])
    got = probe.call("get", CONFIGMAP, **GET)
    assert got["class"] == "none" and got["object"] == MAP
    assert probe.exchanges() == [500, 503, 0, 200] and len(server.requests) == 4


def test_retry_after_is_honoured(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [http(429, Retry_After="2")], [http(200, MAP)])
    assert probe.call("create", CONFIGMAP, namespace="lab", body=MAP)["class"] == "none"
    assert server.requests[1][0] - server.requests[0][0] >= 2


def test_a_create_that_may_have_happened_is_not_repeated(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"], [http(201, MAP)])
    got = probe.call("create", CONFIGMAP, namespace="lab", body=MAP)
    assert got["class"] == "connect" and "cannot create configmaps in namespace lab" in got["error"]
    assert len(server.requests) == 1


def test_the_deadline_holds(misbehaving, probes, tmp_path):
    _, probe = start(misbehaving, probes, tmp_path, [60.0])
    got = probe.call("get", CONFIGMAP, timeout_ms=1500, **GET)
    assert got["class"] == "timeout" and "cannot get configmaps a in namespace lab" in got["error"]


def test_a_refused_token_is_read_again_once(misbehaving, probes, tmp_path):
    token = tmp_path / "token"
    token.write_text("first\n", encoding="utf-8")
    server, probe = start(misbehaving, probes, tmp_path, [http(401)], [http(200, MAP)], [http(401)], tokenFile=str(token))
    assert probe.call("get", CONFIGMAP, **GET)["class"] == "none"
    assert "Authorization: Bearer first" in server.requests[0][1]
    token.write_text("second\n", encoding="utf-8")
    got = probe.call("get", CONFIGMAP, **GET)
    assert got["class"] == "auth" and len(server.requests) == 4
    assert "Authorization: Bearer second" in server.requests[3][1]


@pytest.mark.parametrize(
    "body, kind, text",
    [
        (b"not json", "protocol", "not an object"),
        (b"[]", "protocol", "not an object"),
        (b'{"a":1,"a":2}', "protocol", "duplicate"),
        (b'{"a":"' + b"x" * (17 << 20) + b'"}', "limit", "longer than"),
    ],
    ids=["text", "list", "twice", "long"],
)
def test_answers_that_are_no_answers(misbehaving, probes, tmp_path, body, kind, text):
    _, probe = start(misbehaving, probes, tmp_path, [http(200, body)])
    got = probe.call("get", CONFIGMAP, **GET)
    assert got["class"] == kind and text in got["error"]


def test_forbidden_is_said_once_and_when_it_is_over(misbehaving, probes, tmp_path):
    refusal = {"kind": "Status", "reason": "Forbidden", "message": "configmaps is forbidden: no"}
    _, probe = start(misbehaving, probes, tmp_path, [http(403, refusal)], [http(403, refusal)], [http(200, MAP)])
    for _ in range(2):
        got = probe.call("get", CONFIGMAP, **GET)
        assert got["class"] == "permission" and got["reason"] == "Forbidden" and "is forbidden: no" in got["error"]
    assert probe.call("get", CONFIGMAP, **GET)["class"] == "none"
    said = [(line["forbidden"], line["resource"], line["namespace"], bool(line["error"])) for line in probe.lines if "forbidden" in line]
    assert said == [("get", "configmaps", "lab", True), ("get", "configmaps", "lab", False)]


@pytest.mark.parametrize(
    "steps, kind, text",
    [
        ([STREAM, chunk(EVENT), chunk(EVENT[:20]), chunk(b"")], "connect", "within a line"),
        ([STREAM, chunk(EVENT), chunk(EVENT[:20])], "connect", "API server"),
        ([STREAM, chunk(EVENT), chunk(b"garbage\n")], "protocol", "not JSON"),
        ([STREAM, chunk(EVENT), chunk(b"x" * 200000)], "limit", "longer than 100000"),
        ([STREAM, chunk(EVENT), 60.0], "timeout", "nothing came for too long"),
        ([STREAM, chunk(EVENT), b"0\r\n\r\n"], "none", ""),
    ],
)
def test_streams_that_end_badly(misbehaving, probes, tmp_path, steps, kind, text):
    _, probe = start(misbehaving, probes, tmp_path, steps, options=(0, 0, 1500))
    watch = probe.send(verb="watch", kind=CONFIGMAP)
    assert probe.event(watch, event=ADDED)["version"] == "7"
    got = probe.result(watch)
    assert got["class"] == kind and text in got["error"]


def test_a_watch_is_cancelled_and_its_connection_closed(misbehaving, probes, tmp_path):
    _, probe = start(misbehaving, probes, tmp_path, [STREAM, chunk(EVENT), 60.0])
    watch = probe.send(verb="watch", kind=CONFIGMAP)
    probe.event(watch, event=ADDED)
    probe.send(cancel=watch)
    again = probe.send(verb="watch", kind=CONFIGMAP, stop=True)
    assert probe.result(again)["class"] == "none"
    assert not [line for line in probe.lines if line.get("id") == watch and "class" in line]


def test_the_rate_limit(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [http(200, MAP)], options=(5, 2))
    for ident in [probe.send(verb="get", kind=CONFIGMAP, **GET) for _ in range(7)]:
        assert probe.result(ident)["class"] == "none"
    assert server.requests[-1][0] - server.requests[0][0] >= 0.9


def test_operations_that_make_no_sense(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [http(200, MAP)])
    for command in ({"verb": "get", "namespace": "lab"}, {"verb": "get", "name": "a"}, {"verb": "get", "namespace": "..", "name": "a"},
                    {"verb": "apply", "namespace": "lab", "name": "a"}, {"verb": "list", "name": "a", "namespace": "lab"}):
        assert probe.result(probe.send(kind=CONFIGMAP, **command))["class"] == "usage"
    assert not server.requests


def listed(version: int, *names: str, more: str = "") -> bytes:
    items = [{"metadata": {"name": name, "namespace": "lab", "resourceVersion": str(version), "uid": name}} for name in names]
    return http(200, {"metadata": {"resourceVersion": str(version), "continue": more}, "items": items})


def told(probe, ident: str, count: int) -> list[tuple[int, str]]:
    """The first `count` changes that the cache told."""
    have = lambda: [(line["changed"], line["name"]) for line in probe.lines if line.get("id") == ident and "changed" in line]  # noqa: E731
    probe.wait(lambda _: len(have()) >= count, f"{count} changes")
    return have()[:count]


def test_everything_is_read_anew_without_a_gap(misbehaving, probes, tmp_path):
    """A cut watch goes on where it was; 410 in the middle of pages and in a watch leads to a new list, and what vanished is told."""
    expired = http(410, {"kind": "Status", "reason": "Expired", "message": "too old"})
    event = lambda name, version: chunk(json.dumps({"type": "ADDED", "object": {"metadata": {  # noqa: E731
        "name": name, "namespace": "lab", "resourceVersion": str(version), "uid": name}}}).encode() + b"\n")
    gone = chunk(b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n') + b"0\r\n\r\n"
    server, probe = start(
        misbehaving, probes, tmp_path,
        [listed(5, "a", "b", more="p2")], [expired],
        [listed(6, "a", "c", more="p2")], [listed(6, "d")],
        [STREAM, event("e", 7), chunk(b"{")],
        [STREAM, event("f", 8), gone],
        [listed(9, "a", "f")], [STREAM, 60.0],
    )
    cache = probe.send(cache=True, kind=CONFIGMAP, plain=True, namespaces=["lab"], page=2)
    assert told(probe, cache, 6) == [(0, "a"), (0, "b"), (1, "a"), (0, "c"), (0, "d"), (2, "b")]
    seen = told(probe, cache, 13)[6:]
    assert seen[:2] == [(0, "e"), (0, "f")] and sorted(seen[2:]) == [(1, "a"), (1, "f"), (2, "c"), (2, "d"), (2, "e")]
    probe.send(keys=cache)
    kept = probe.wait(lambda line: line.get("id") == cache and "keys" in line, "keys")
    assert sorted(kept["keys"]) == ["a", "f"] and kept["ready"]
    paths = [request.split()[1] for _, request in server.requests]
    assert "continue=p2" in paths[1] and "continue" not in paths[2] and "continue=p2" in paths[3]
    assert "resourceVersion=6" in paths[4] and "resourceVersion=7" in paths[5] and "watch" not in paths[6]


def test_a_server_without_streaming_lists(misbehaving, probes, tmp_path):
    refusal = {"kind": "Status", "reason": "Invalid", "message": "sendInitialEvents is forbidden"}
    server, probe = start(misbehaving, probes, tmp_path, [http(422, refusal)], [listed(5, "a")], [STREAM, 60.0])
    cache = probe.send(cache=True, kind=CONFIGMAP)
    assert probe.wait(lambda line: line.get("id") == cache and "synced" in line, "sync")["synced"] == 1
    assert "sendInitialEvents=true" in server.requests[0][1] and "limit=500" in server.requests[1][1]


def test_too_many_objects(misbehaving, probes, tmp_path):
    _, probe = start(misbehaving, probes, tmp_path, [listed(5, "a", "b", "c")], [STREAM, 60.0])
    cache = probe.send(cache=True, kind=CONFIGMAP, plain=True, max=2)
    trouble = probe.wait(lambda line: line.get("id") == cache and "trouble" in line, "trouble")
    assert trouble["trouble"] == "limit" and "more than 2 configmaps" in trouble["error"]
    assert probe.wait(lambda line: line.get("id") == cache and "synced" in line, "sync")["synced"] == 2


def test_a_watch_that_ends_at_once_is_no_hot_loop(misbehaving, probes, tmp_path):
    server, probe = start(misbehaving, probes, tmp_path, [listed(5, "a")], [STREAM, b"0\r\n\r\n"])
    probe.send(cache=True, kind=CONFIGMAP, plain=True)
    probe.wait(lambda _: len(server.requests) >= 5, "five requests")
    assert server.requests[4][0] - server.requests[1][0] >= 0.25 + 0.5 + 1
