"""Against a real node: echo, served streams, and cuts in the middle of transfers."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from routy import Client, Identity, NotConnected, Settings, Stream, StreamReset
from routy.client.link import Link

from .fault_proxy import FaultProxy
from .node import Node, free_port
from .targets import RUDE_ANSWER, Target, echo, rude

MB = 1_000_000


async def transfer(stream: Stream, data: bytes) -> None:
    """Sends all and half-closes, while it reads the echo up to its end."""

    async def send() -> None:
        await stream.write(data)
        stream.end()

    sending = asyncio.create_task(send())
    digest, count = hashlib.sha256(), 0
    async for chunk in stream:
        digest.update(chunk)
        count += len(chunk)
    await sending
    await stream.wait_finished()
    assert count == len(data), f"{count} bytes of {len(data)} came back"
    assert digest.digest() == hashlib.sha256(data).digest(), "other bytes came back"


class Interop(unittest.IsolatedAsyncioTestCase):
    node: ClassVar[Node]
    forward: ClassVar[int]

    @classmethod
    def setUpClass(cls) -> None:
        services: dict[str, int] = {}
        for name, handler in (("echo", echo), ("rude", rude)):
            target = Target(handler)
            cls.addClassCleanup(target.stop)
            services[name] = target.port
        cls.forward = free_port()
        cls.node = Node(services, {cls.forward: "py/sums"})
        cls.addClassCleanup(cls.node.stop)

    def setUp(self) -> None:
        self.identity = Identity.load(self.node.papers)
        self.data = random.Random(1).randbytes(20 * MB)

    async def test_20_mb_come_back_through_a_half_close(self) -> None:
        async with Client(self.node.address, self.identity) as client:
            async with await client.open("echo", timeout=10) as stream:
                await asyncio.wait_for(transfer(stream, self.data), 60)
            self.assertEqual(str(client.peer), "gray/gray1")

    async def test_the_program_of_the_readme(self) -> None:
        text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
        [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        arguments = (self.node.address, str(self.node.papers))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *arguments, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await asyncio.wait_for(process.communicate(), 30)
        self.assertEqual((process.returncode, told), (0, b"hello, other side\n"))

    async def test_many_streams_at_once(self) -> None:
        async with Client(self.node.address, self.identity, lanes=2) as client:

            async def one(size: int) -> None:
                async with await client.open("echo", timeout=10) as stream:
                    await transfer(stream, self.data[:size])

            sizes = [0, 1, 100, 65_536, *range(1_000, 40_000, 1_000)]
            await asyncio.wait_for(asyncio.gather(*map(one, sizes)), 60)

    async def test_what_the_node_refuses_says_why(self) -> None:
        async with Client(self.node.address, self.identity) as client:
            with self.assertRaises(StreamReset) as caught:
                await client.open("nothing", timeout=10)
            self.assertEqual(caught.exception.code, "unknown-service")
            with self.assertRaises(StreamReset) as caught:
                await client.open("echo", protocol="chess", timeout=10)
            self.assertEqual(caught.exception.code, "unsupported-protocol")

    async def test_a_reset_of_the_target_comes_behind_its_bytes(self) -> None:
        async with Client(self.node.address, self.identity) as client:
            stream = await client.open("rude", timeout=10)
            await stream.write(b"query and more")
            received = b""
            with self.assertRaises(StreamReset) as caught:
                async with asyncio.timeout(20):
                    async for chunk in stream:
                        received += chunk
            self.assertEqual(caught.exception.code, "connection-reset")
            self.assertEqual(received, RUDE_ANSWER)

    async def test_other_settings_are_refused_with_both_values(self) -> None:
        other = Settings(heartbeat_interval_ms=3_000)
        async with Client(self.node.address, self.identity, settings=other) as client:
            with self.assertRaises(NotConnected) as caught:
                await client.open("echo", timeout=2)
        self.assertIn("heartbeat_interval: 3s here, 5s at gray/gray1", str(caught.exception))

    async def test_the_node_opens_what_is_served_here(self) -> None:
        async with Client(self.node.address, self.identity, services={"sums": sums}):
            one, many = b"a" * 1_000, self.data[: 3 * MB]
            answers = asyncio.gather(*(self._ask(data) for data in (one, many, b"")))
            for data, answer in zip((one, many, b""), await answers, strict=True):
                self.assertEqual(answer, _sum(data))

    async def test_a_transfer_goes_on_over_another_lane(self) -> None:
        async with (
            FaultProxy(self.node.port) as proxy,
            Client(proxy.address, self.identity) as client,
        ):
            stream = await client.open("echo", timeout=10)
            link = await client.connected()
            cutting = asyncio.create_task(self._cut(proxy, [None] * 6, 4 * MB))
            await asyncio.wait_for(transfer(stream, self.data), 60)
            self._assert_cut_and_resumed(client, link, await cutting, 6)

    async def test_transfers_on_two_lanes_go_on_when_one_is_cut_or_both(self) -> None:
        async with (
            FaultProxy(self.node.port) as proxy,
            Client(proxy.address, self.identity, lanes=2) as client,
        ):
            link = await client.connected()
            await _until(link, lambda: link.session.established_lanes == 2)
            streams = [await client.open("echo", timeout=10) for _ in range(4)]
            cutting = asyncio.create_task(self._cut(proxy, [1, 1, None, 1, None], 5 * MB))
            parts = [self.data[at * 5 * MB : (at + 1) * 5 * MB] for at in range(4)]
            transfers = (transfer(*each) for each in zip(streams, parts, strict=True))
            await asyncio.wait_for(asyncio.gather(*transfers), 60)
            self._assert_cut_and_resumed(client, link, await cutting, 5)

    async def test_a_served_stream_goes_on_over_another_lane(self) -> None:
        async with (
            FaultProxy(self.node.port) as proxy,
            Client(proxy.address, self.identity, lanes=2, services={"sums": sums}) as client,
        ):
            link = await client.connected()
            cutting = asyncio.create_task(self._cut(proxy, [None, 1, None], 4 * MB))
            answer = await asyncio.wait_for(self._ask(self.data), 60)
            self.assertEqual(answer, _sum(self.data))
            self._assert_cut_and_resumed(client, link, await cutting, 3)

    async def test_a_node_that_drains_is_waited_for(self) -> None:
        async with Client(self.node.address, self.identity) as client:
            stream = await client.open("echo", timeout=10)
            link = await client.connected()
            with self.assertRaises(AssertionError):
                # It says that a stream is open yet.
                await asyncio.to_thread(self.node.command, "drain")
            await _until(link, lambda: link.session.streams.peer_drains)
            waiting = asyncio.create_task(client.open("echo", timeout=20))
            await asyncio.wait_for(transfer(stream, self.data[:MB]), 20)
            self.assertFalse(waiting.done())
            await asyncio.to_thread(self.node.command, "undrain")
            async with await waiting as stream:
                await asyncio.wait_for(transfer(stream, self.data[:MB]), 20)
            self.assertIsNot(client.link, link)

    async def test_another_process_of_the_node_gets_another_session(self) -> None:
        async with Client(self.node.address, self.identity, lanes=2) as client:
            stream = await client.open("echo", timeout=10)
            link = await client.connected()
            await asyncio.to_thread(self.node.restart)
            with self.assertRaises(StreamReset):
                await asyncio.wait_for(stream.read(), 20)
            async with await client.open("echo", timeout=20) as stream:
                await asyncio.wait_for(transfer(stream, self.data[:MB]), 20)
            self.assertIsNot(client.link, link)

    async def _ask(self, data: bytes) -> bytes:
        """Connects to the node's forward, sends, half-closes, and reads all."""
        async with asyncio.timeout(50):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.forward)
                    break
                except ConnectionRefusedError:
                    # It listens once the node has heard what is offered here.
                    await asyncio.sleep(0.02)
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            return answer

    async def _cut(self, proxy: FaultProxy, cuts: list[int | None], every: int) -> int:
        """Cuts the oldest connection, or all (None), each time so many bytes have passed."""
        done = 0
        for count in cuts:
            await proxy.wait_passed(every)
            done += proxy.cut(count) > 0
        return done

    def _assert_cut_and_resumed(self, client: Client, link: Link, cuts: int, expected: int) -> None:
        self.assertEqual(cuts, expected)
        self.assertGreaterEqual(link.lanes_lost, expected)
        self.assertIs(client.link, link, "another session was begun")


async def _until(link: Link, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            link.changed.clear()
            await link.changed.wait()


async def sums(stream: Stream) -> None:
    """Answers with length and digest of what it reads, in a size that needs credit, too."""
    digest, count = hashlib.sha256(), 0
    async for chunk in stream:
        digest.update(chunk)
        count += len(chunk)
    await stream.write(f"{count} {digest.hexdigest()}".encode() * 10_000)


def _sum(data: bytes) -> bytes:
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode() * 10_000


if __name__ == "__main__":
    unittest.main()
