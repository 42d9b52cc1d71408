"""Runs a graph of pipelines with the vendor's SDK: once a beat one list tells which runs have ended."""

import asyncio
import datetime

from azure.synapse.artifacts.models import RunFilterParameters, RunQueryFilter

from work import ENDED, Work, arguments, workspace

# A list reaches back this many beats before the newest end it has shown: records may be listed late.
OVERLAP_BEATS = 2


async def main(args):
    work = Work(args.graph, args.at_once)
    clock = asyncio.get_running_loop()
    nodes = {}  # By the ids of their runs, while they are live.
    early = {}  # Ends that were listed before the answer to the start had come.
    async with workspace(args.at_once) as client, asyncio.TaskGroup() as tasks:

        async def start(node):
            run = (await client.pipeline.create_pipeline_run(node)).run_id
            nodes[run] = node
            if run in early:
                settle(run, early.pop(run))

        def settle(run, status):
            work.end(nodes.pop(run), status)
            start_ready()

        def start_ready():
            for node in work.take():
                tasks.create_task(start(node))

        start_ready()
        newest = now() - datetime.timedelta(minutes=15)
        settled = set()
        asked_at = clock.time()
        while work.left:
            asked_at = max(asked_at + args.beat, clock.time())
            await asyncio.sleep(asked_at - clock.time())
            async for run in ended(client, newest - datetime.timedelta(seconds=OVERLAP_BEATS * args.beat)):
                newest = max(newest, run.last_updated)
                if run.run_id in settled:
                    continue
                settled.add(run.run_id)
                if run.run_id in nodes:
                    settle(run.run_id, run.status)
                else:
                    early[run.run_id] = run.status


async def ended(client, after):
    """Yields the runs of the workspace that have ended since then, page by page."""
    wanted = RunFilterParameters(
        last_updated_after=after,
        last_updated_before=now() + datetime.timedelta(days=1),
        filters=[RunQueryFilter(operand="Status", operator="In", values=list(ENDED))],
    )
    while True:
        page = await client.pipeline_run.query_pipeline_runs_by_workspace(wanted)
        for run in page.value:
            yield run
        if not page.continuation_token:
            return
        wanted.continuation_token = page.continuation_token


def now():
    return datetime.datetime.now(datetime.timezone.utc)


asyncio.run(main(arguments()))
