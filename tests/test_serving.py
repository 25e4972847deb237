"""The socket that the service listens on."""

import asyncio
import socket

from app.serving import listen
from app.settings import Settings


def test_an_answer_does_not_wait_until_its_beginning_is_acknowledged() -> None:
    async def delay_is_off() -> bool:
        off = asyncio.get_running_loop().create_future()

        def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            off.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
            writer.close()

        with listen(Settings(deedbook_port=0)) as listener:
            port = listener.getsockname()[1]
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                found = bool(await off)
                writer.close()
                await writer.wait_closed()
        return found

    assert asyncio.run(delay_is_off())
