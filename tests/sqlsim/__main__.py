# SPDX-License-Identifier: Apache-2.0
"""python3 -m sqlsim: starts one or many simulated SQL Servers. README.md describes the flags."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
from typing import Any, Optional

from sqlsim.control import ControlServer
from sqlsim.instance import ENCRYPTION_MODES, ConfigError, Instance, InstanceConfig, print_error, split_address

DATA_ROOT = "/var/opt/mssql"
EDITIONS = {
    "developer": "Developer Edition (64-bit)",
    "enterprisedeveloper": "Enterprise Developer Edition (64-bit)",
    "developerstandard": "Standard Developer Edition (64-bit)",
    "evaluation": "Enterprise Evaluation Edition (64-bit)",
    "express": "Express Edition (64-bit)",
    "web": "Web Edition (64-bit)",
    "standard": "Standard Edition (64-bit)",
    "enterprise": "Enterprise Edition (64-bit)",
    "enterprisecore": "Enterprise Edition: Core-based Licensing (64-bit)",
}


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sqlsim", description="A simulated SQL Server for tests.")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where clients connect; port 0 takes a free one")
    parser.add_argument("--data", metavar="DIR", help="data folder; without it the folders of SQL Server's container are used")
    parser.add_argument("--name", help="@@SERVERNAME; the host's name without it")
    parser.add_argument("--sa-password", metavar="TEXT")
    parser.add_argument("--version", help="14, 15, 16, 17 or four numbers")
    parser.add_argument("--edition", help="as SERVERPROPERTY('Edition') says it, or a value of MSSQL_PID")
    parser.add_argument("--encryption", choices=ENCRYPTION_MODES)
    parser.add_argument("--cert", metavar="FILE")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--timezone", metavar="ZONE")
    parser.add_argument("--collation")
    parser.add_argument("--backup-dir", metavar="DIR")
    parser.add_argument("--control", metavar="HOST:PORT", help="where faults are made; none without it")
    parser.add_argument("--port-file", metavar="FILE", help="gets the bound ports as JSON when everything is ready")
    parser.add_argument("--config", metavar="FILE", help='JSON: {"instances": [{...}], "control": "HOST:PORT"}')
    return parser.parse_args(argv)


def edition_name(text: str) -> str:
    known = EDITIONS.get(text.lower())
    if known is None and "edition" not in text.lower():
        raise ConfigError(f"edition {text!r} is not one of {', '.join(sorted(EDITIONS))}")
    return known or text


def strong_enough(password: str) -> bool:
    """SQL Server's rule: 8 to 128 characters of three of the four kinds."""
    kinds = ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]")
    return 8 <= len(password) <= 128 and sum(bool(re.search(k, password)) for k in kinds) >= 3


def container_values(env: dict[str, str]) -> dict[str, Any]:
    """What the environment of SQL Server's container says. Only used without --data."""
    if env.get("ACCEPT_EULA", "").upper() not in ("Y", "YES", "1", "TRUE"):
        raise ConfigError("give --data, or ACCEPT_EULA=Y and the other variables of SQL Server's container")
    data = env.get("MSSQL_DATA_DIR") or os.path.join(DATA_ROOT, "data")
    password = env.get("MSSQL_SA_PASSWORD") or env.get("SA_PASSWORD") or ""
    first = not os.path.exists(data) or not os.listdir(data)
    if first and not strong_enough(password):
        raise ConfigError(
            "Unable to set system administrator password: Password validation failed. "
            "MSSQL_SA_PASSWORD must be at least 8 characters long and contain characters of three of four kinds."
        )
    address = env.get("MSSQL_IP_ADDRESS") or "0.0.0.0"
    return {
        "data": data,
        "listen": f"{address}:{env.get('MSSQL_TCP_PORT') or '1433'}",
        "sa_password": password,
        "edition": edition_name(env.get("MSSQL_PID") or "Developer"),
        "backup_dir": env.get("MSSQL_BACKUP_DIR") or data,
        "collation": env.get("MSSQL_COLLATION") or "SQL_Latin1_General_CP1_CI_AS",
        "timezone": env.get("TZ", "").lstrip(":") or "UTC",
    }


def read_config(path: str) -> tuple[list[InstanceConfig], str]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: {err}") from err
    if isinstance(content, list):
        content = {"instances": content}
    if not isinstance(content, dict) or not isinstance(content.get("instances"), list) or not content["instances"]:
        raise ConfigError(f"{path}: a list of instances is missing")
    if unknown := sorted(set(content) - {"instances", "control"}):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}")
    configs = [InstanceConfig.from_dict(one) for one in content["instances"]]
    for number, config in enumerate(configs, 1):
        config.name = config.name or f"sql{number}"
        config.edition = edition_name(config.edition)
    names = [c.name for c in configs]
    if len(set(names)) != len(names) or len({os.path.realpath(c.data) for c in configs}) != len(configs):
        raise ConfigError(f"{path}: two instances have the same name or the same data folder")
    return configs, content.get("control", "")


def gather(args: argparse.Namespace, env: dict[str, str]) -> tuple[list[InstanceConfig], str]:
    if args.config:
        configs, control = read_config(args.config)
        return configs, args.control or control
    values: dict[str, Any] = {} if args.data else container_values(env)
    for key in (
        "listen",
        "data",
        "name",
        "sa_password",
        "version",
        "encryption",
        "cert",
        "key",
        "timezone",
        "collation",
        "backup_dir",
    ):
        given = getattr(args, key)
        if given is not None:
            values[key] = given
    if args.edition:
        values["edition"] = edition_name(args.edition)
    return [InstanceConfig.from_dict(values)], args.control or ""


def write_port_file(path: str, instances: list[Instance], control_port: int) -> None:
    content = {
        "pid": os.getpid(),
        "control": control_port,
        "instances": {
            i.config.name: {"port": i.port, "certificate": os.path.abspath(i.certificate) if i.certificate else ""}
            for i in instances
        },
    }
    if len(instances) == 1:
        content["port"] = instances[0].port
        content["certificate"] = content["instances"][instances[0].config.name]["certificate"]
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.write("\n")
    os.replace(path + ".new", path)


async def run(configs: list[InstanceConfig], control_address: str, port_file: Optional[str]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    instances = [Instance(config) for config in configs]
    control = ControlServer(instances, stopped.set)
    try:
        for instance in instances:
            await instance.start()
            if len(instances) == 1:
                instance.on_stopped = stopped.set
        if control_address:
            await control.open(*split_address(control_address))
        if port_file:
            write_port_file(port_file, instances, control.port)
        await stopped.wait()
    finally:
        await control.close()
        await asyncio.gather(*(instance.stop() for instance in instances))


def main(argv: Optional[list[str]] = None) -> int:
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        configs, control = gather(args, dict(os.environ))
        for config in configs:
            config.check()
        asyncio.run(run(configs, control, args.port_file))
    except (ConfigError, OSError) as err:
        print_error(str(err))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
