# SPDX-License-Identifier: Apache-2.0
"""The images themselves, unpacked: what is in them and what is not, and that what programs need of a system works from inside."""
import gzip
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ARCHIVES = [Path(p) for p in os.environ.get("MSSQL_IMAGES", "").split()]
OURS = [p for p in ARCHIVES if not p.name.startswith("sqlsim-")]
SIZES = {"sidecar": 40e6, "controller": 40e6}  # bytes, not compressed
pytestmark = pytest.mark.skipif(not ARCHIVES, reason="MSSQL_IMAGES names no archives: ./dev e2e does")


class Image:
    def __init__(self, path, root):
        self.name, self.root = path.name.split("-")[0], root
        with tarfile.open(path) as archive:

            def blob(digest):
                return archive.extractfile("blobs/sha256/" + digest.split(":")[1]).read()

            manifest = json.loads(blob(json.load(archive.extractfile("index.json"))["manifests"][0]["digest"]))
            self.config = json.loads(blob(manifest["config"]["digest"]))["config"]
            data = [blob(layer["digest"]) for layer in manifest["layers"]]
        data = [gzip.decompress(d) if d[:2] == b"\x1f\x8b" else d for d in data]
        self.size, self.members = sum(map(len, data)), []
        for layer in data:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                self.members += tar.getmembers()
                tar.extractall(root, numeric_owner=True)

    def run(self, *command, **more):
        """In the image's own files, and nothing else."""
        return subprocess.run(["/usr/sbin/chroot", str(self.root), *command], capture_output=True, timeout=60, check=False, **more)


@pytest.fixture(scope="module", params=ARCHIVES or [None], ids=lambda p: p.name.split("-")[0] if p else "none")
def image(request, tmp_path_factory):
    return Image(request.param, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module", params=OURS or [None], ids=lambda p: p.name.split("-")[0] if p else "none")
def ours(request, tmp_path_factory):
    return Image(request.param, tmp_path_factory.mktemp("image"))


def test_what_every_image_has(image):
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"mssql-{image.name}" and labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.description"]
    assert image.config["User"].split(":")[0] == "10001"
    assert {m.mtime for m in image.members} == {0}, "a date in it would make every build another one"


def test_nothing_is_in_ours_that_nobody_needs(ours):
    programs = {"sidecar": ["mssql-sidecar", "mssqlctl"], "controller": ["mssql-controller"]}[ours.name]
    assert ours.size <= SIZES[ours.name], f"{ours.size / 1e6:.1f} MB"
    assert sorted(os.listdir(ours.root / "usr/bin")) == programs
    assert ours.config["Entrypoint"] == [f"/usr/bin/{programs[0]}"] and ours.config["User"] == "10001:10001"
    files = [m for m in ours.members if m.isreg()]
    executable = [m.name for m in files if m.mode & 0o111 and not m.name.endswith((".so",)) and ".so." not in m.name]
    assert sorted(executable) == [f"usr/bin/{p}" for p in programs]
    assert not [m.name for m in ours.members if m.mode & 0o6000], "setuid"
    assert [m.name.rstrip("/") for m in ours.members if m.mode & 0o002 and not m.issym()] == ["tmp"], "everybody may write"
    assert not [m.name for m in files if "libgrpc" in m.name or "libstdc++" in m.name], "C-core is in the programs"
    assert (ours.root / "usr/share/doc/mssql-sidecar/LICENSE").exists() and list(ours.root.glob("usr/share/doc/*/copyright"))
    for program in programs:
        assert b".debug_info" not in (ours.root / "usr/bin" / program).read_bytes(), "not stripped"


def test_ours_starts_and_has_the_current_core(ours):
    done = ours.run(ours.config["Entrypoint"][0], "--version", text=True)
    assert done.returncode == 0, done.stderr
    assert "gRPC core 58." in done.stdout or ours.name == "controller", done.stdout


def test_certificate_authorities(ours):
    context = ssl.create_default_context(cafile=str(ours.root / "etc/ssl/certs/ca-certificates.crt"))
    assert context.cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("zone, good", [("Europe/Berlin", True), ("America/St_Johns", True), ("Asia/Kathmandu", True), ("UTC", True), ("Mars/Base", False)])
def test_time_zones_from_inside(ours, zone, good):
    if ours.name != "sidecar":
        assert (ours.root / "usr/share/zoneinfo" / zone).exists() == good
        return
    (ours.root / "tmp" / "password").write_text("x")
    config = {"sql": {"user": "sa", "passwordFile": "/tmp/password"}, "identity": {"instance": "sql"}, "policy": {"timeZone": zone}}
    (ours.root / "tmp" / "config.yaml").write_text(yaml.safe_dump(config))
    done = ours.run("/usr/bin/mssql-sidecar", "--check-config", "--config", "/tmp/config.yaml", text=True)
    assert (done.returncode == 0) == good, done.stderr
    assert good or zone in done.stderr


# code pages of SQL Server's collations, in the names that FreeTDS uses: text in the script of each, and Python's name
TEXTS = {
    "CP437": ("Größe", "cp437"), "CP850": ("Größe", "cp850"), "CP874": ("ไทย", "cp874"), "CP932": ("注文カナ", "cp932"), "CP936": ("订单", "gbk"),
    "CP949": ("주문", "cp949"), "CP950": ("訂單", "cp950"), "CP1250": ("žluťoučký", "cp1250"), "CP1251": ("заказы", "cp1251"), "CP1252": ("Größe €", "cp1252"),
    "CP1253": ("παραγγελίες", "cp1253"), "CP1254": ("sipariş", "cp1254"), "CP1255": ("הזמנות", "cp1255"), "CP1256": ("طلبات", "cp1256"), "CP1257": ("užsakymai", "cp1257"),
    "ISO-8859-1": ("Größe", "latin-1"), "UTF-16LE": ("Größe 注文 😀", "utf-16-le"), "UCS-2LE": ("Größe 注文", "utf-16-le"), "GB18030": ("订单 😀", "gb18030"),
}  # fmt: skip


@pytest.mark.parametrize("charset", TEXTS)
def test_character_conversion_from_inside(ours, charset):
    """The C library's converter, with the modules and tables of the image; only the program that calls it is brought along."""
    text, codec = TEXTS[charset]
    shutil.copy("/usr/bin/iconv", ours.root / "tmp" / "iconv")
    to = ours.run("/tmp/iconv", "-f", "UTF-8", "-t", charset, input=text.encode())
    assert (to.returncode, to.stdout) == (0, text.encode(codec)), to.stderr
    back = ours.run("/tmp/iconv", "-f", charset, "-t", "UTF-8", input=text.encode(codec))
    assert (back.returncode, back.stdout.decode()) == (0, text), back.stderr


@pytest.mark.parametrize("image", [p for p in ARCHIVES if p.name.startswith("sqlsim-")] or [None], indirect=True)
def test_the_simulator_wants_what_sql_server_wants(image):
    refused = image.run(*image.config["Cmd"], env={"PATH": "/usr/bin", "PYTHONPATH": "/opt/mssql/lib"}, text=True)
    assert refused.returncode == 1 and "ACCEPT_EULA" in refused.stderr + refused.stdout
    weak = {"PATH": "/usr/bin", "PYTHONPATH": "/opt/mssql/lib", "ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": "short"}
    refused = image.run(*image.config["Cmd"], env=weak, text=True)
    assert refused.returncode == 1 and "Password validation failed" in refused.stderr + refused.stdout
