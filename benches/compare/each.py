"""Runs a graph of pipelines with the vendor's SDK: each live run is asked for once a beat."""

import asyncio

from work import ENDED, Work, arguments, workspace


async def main(args):
    work = Work(args.graph, args.at_once)
    clock = asyncio.get_running_loop()
    async with workspace(args.at_once) as client, asyncio.TaskGroup() as tasks:

        async def follow(node):
            started = await client.pipeline.create_pipeline_run(node)
            asked_at = clock.time()
            while True:
                # On the beat, however long the answers take; never twice for one beat.
                asked_at = max(asked_at + args.beat, clock.time())
                await asyncio.sleep(asked_at - clock.time())
                run = await client.pipeline_run.get_pipeline_run(started.run_id)
                if run.status in ENDED:
                    break
            work.end(node, run.status)
            start_ready()

        def start_ready():
            for node in work.take():
                tasks.create_task(follow(node))

        start_ready()


asyncio.run(main(arguments()))
