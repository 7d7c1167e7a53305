# SPDX-License-Identifier: BSD-2-Clause
"""late_link.py PORT TO-PORT MS: takes TCP connections and goes on to another
port of this host; what comes from either side leaves so much later."""
import asyncio
import sys

PORT, TO_PORT, MS = (int(arg) for arg in sys.argv[1:])


async def give(queue, writer):
    while True:
        at, data = await queue.get()
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        if not data:
            break
        writer.write(data)
        await writer.drain()
    writer.close()


async def take(reader, queue):
    while True:
        try:
            data = await reader.read(1 << 20)
        except ConnectionError:
            data = b""
        at = asyncio.get_running_loop().time() + MS / 1000
        await queue.put((at, data))
        if not data:
            break


async def pass_on(reader, writer):
    reader2, writer2 = await asyncio.open_connection("127.0.0.1", TO_PORT)
    there, back = asyncio.Queue(), asyncio.Queue()
    await asyncio.gather(take(reader, there), give(there, writer2),
                         take(reader2, back), give(back, writer),
                         return_exceptions=True)


async def main():
    server = await asyncio.start_server(pass_on, "0.0.0.0", PORT)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
