#!/usr/bin/env python3
"""Checks from `cargo metadata` who depends on whom (ARCHITECTURE.md)."""

import json
import subprocess
import sys

ALLOWED = {
    "i3-core": set(),
    "i3-auth": {"i3-core"},
    "i3-broker": {"i3-core"},
    "i3-semantic": {"i3-core"},
    "i3-store-sql": {"i3-core"},
    "i3-store-sled": {"i3-core"},
    "i3-client": {"i3-core"},
}
# What must never reach the core: a runtime, a database, a server.
BANNED_IN_CORE = {"tokio", "sqlx", "axum", "hyper", "reqwest", "sled", "rumqttd"}
# Who is at the top: nothing depends on them.
TOP = {"i3-marketplace", "i3-embedding", "i3-benches"}

metadata = json.loads(
    subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"])
)
packages = {package["name"]: package for package in metadata["packages"]}
wrong = []

unknown = set(packages) - set(ALLOWED) - TOP
if unknown:
    wrong.append(f"packages nobody placed: {', '.join(sorted(unknown))}")

for name, package in packages.items():
    normal = {
        dependency["name"] for dependency in package["dependencies"] if dependency["kind"] in (None, "build")
    }
    own = (normal & set(packages)) - {name}
    if name in ALLOWED and own - ALLOWED[name]:
        wrong.append(f"{name} depends on {', '.join(sorted(own - ALLOWED[name]))}")
    if own & TOP:
        wrong.append(f"{name} depends on {', '.join(sorted(own & TOP))}")
    if name == "i3-core" and normal & BANNED_IN_CORE:
        wrong.append(f"i3-core depends on {', '.join(sorted(normal & BANNED_IN_CORE))}")

for line in wrong:
    print(f"crate graph: {line}", file=sys.stderr)
if not wrong:
    print(f"crate graph: {len(packages)} packages, all as ARCHITECTURE.md says")
sys.exit(1 if wrong else 0)
