"""A listener on Python's `websockets`, with its default options: it offers permessage-deflate."""

import asyncio
import json
import math
import os
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL = os.environ["SLUICE_CLIENT_URL"]
TOKEN = os.environ["SLUICE_CLIENT_TOKEN"]
LEAVE_AFTER = int(os.environ["SLUICE_CLIENT_LEAVE_AFTER"])


def say(**line):
    print(json.dumps(line), flush=True)


def open_socket(query, token):
    headers = {"Authorization": f"Bearer {token}"}
    return connect(f"{URL}?{query}", additional_headers=headers, subprotocols=["sluice.v1"])


async def refused():
    try:
        async with open_socket("earliest", "wrong"):
            pass
    except InvalidStatus as error:
        say(refused=error.response.status_code)


async def listen(query, leave_after):
    cursor, left = None, leave_after
    async with open_socket(query, TOKEN) as socket:
        assert not socket.protocol.extensions, "an extension was agreed on"
        say(opened=socket.subprotocol)
        try:
            while left > 0:
                text = await socket.recv()
                assert isinstance(text, str), "a binary message"
                say(message=text)
                message = json.loads(text)
                if "data" in message:
                    cursor = message["cursor"]
                    left -= len(message["data"])
        except ConnectionClosed as closed:
            say(closed=closed.rcvd.code, reason=closed.rcvd.reason)
            return cursor
        await (await socket.ping("are you there?"))
        say(pong=True)
    say(left=socket.close_code)
    return cursor


async def main():
    await refused()
    cursor = await listen("earliest", LEAVE_AFTER)
    await listen(f"cursor={quote(cursor)}", math.inf)


asyncio.run(main())
