"""Calls of aioipfs at one address; prints one JSON line a call: what it returned, or which error it raised."""

import asyncio
import json
import os
import sys
import tempfile

import aioipfs


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


async def everything(generator):
    return [item async for item in generator]


async def main(address, small, folder, nowhere):
    client = aioipfs.AsyncIPFS(maddr=address)
    work = tempfile.mkdtemp()
    path = os.path.join(work, "file")
    with open(path, "w") as file:
        file.write("a file of Python")
    calls = [
        ("id", lambda: client.core.id()),
        ("version", lambda: client.core.version()),
        ("add_str", lambda: client.core.add_str("a text of Python")),
        ("add_bytes", lambda: client.core.add_bytes(b"bytes of Python")),
        ("add", lambda: everything(client.add(path))),
        ("add wrapped", lambda: everything(client.add(path, wrap=True, cid_version=1))),
        ("cat", lambda: client.core.cat(small)),
        ("ls", lambda: client.core.ls(folder)),
        ("refs", lambda: everything(client.core.refs(folder))),
        ("pin.add", lambda: everything(client.pin.add(small))),
        ("pin.ls", lambda: client.pin.ls(path=small)),
        ("pin.ls recursive", lambda: client.pin.ls(pintype="recursive")),
        ("pin.rm", lambda: client.pin.rm(small)),
        ("pin.rm again", lambda: client.pin.rm(small)),
        ("pin.ls of none", lambda: client.pin.ls(path=nowhere)),
        ("block.stat", lambda: client.block.stat(small)),
        ("block.get", lambda: client.block.get(small)),
        ("dag.get", lambda: client.dag.get(folder)),
        ("files.mkdir", lambda: client.files.mkdir("/python", parents=True)),
        ("files.ls", lambda: client.files.ls("/")),
        ("files.rm", lambda: client.files.rm("/python", recursive=True)),
        ("repo.stat", lambda: client.repo.stat()),
        ("repo.version", lambda: client.repo.version()),
        ("swarm.peers", lambda: client.swarm.peers()),
        ("config.show", lambda: client.config.show()),
        ("key.list", lambda: client.key.list()),
    ]
    for name, call in calls:
        try:
            result = {"returned": plain(await call())}
        except Exception as error:
            result = {"raised": type(error).__name__, "says": str(error)}
        print(json.dumps({"call": name, **result}, sort_keys=True, default=str), flush=True)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
