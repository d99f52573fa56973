"""Waiting and ending: a cancellation that something swallowed still ends a loop."""

from __future__ import annotations

import asyncio

import pytest

from shared.runtime.clock import heed_cancellation, wait_s


async def swallowing() -> None:
    """Lose a cancellation, as `asyncio.wait_for` does when its answer comes in the same moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


@pytest.mark.parametrize("is_paced", [True, False])
async def test_a_swallowed_cancellation_ends_the_loop_at_its_next_round(*, is_paced: bool) -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            if is_paced:
                await wait_s(0)
            else:
                heed_cancellation()
            await swallowing()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert rounds == 2
