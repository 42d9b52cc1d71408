"""Flows of 10, 200 and 2,000 steps, made by the real binary against its emulated workspace: mixed ends, retries, iterations,
nested pipelines, and texts that would like to be markup."""

import json
import os
import subprocess
from pathlib import Path

# What a plan or the service may say, and no page may obey.
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \u202eevil\u202c \u001b[31m & <b>'\""

DEFINITIONS = {
    "pl_copy_orders": [
        {"name": "Look up tables", "type": "Wait", "typeProperties": {"waitTimeInSeconds": 1}},
        {"name": "Load customers", "type": "ExecutePipeline", "dependsOn": [{"activity": "Look up tables", "dependencyConditions": ["Succeeded"]}],
         "typeProperties": {"pipeline": {"referenceName": "pl_load_customers", "type": "PipelineReference"}, "waitOnCompletion": True}},
    ],
    "pl_load_customers": [
        {"name": "Copy_1", "type": "Copy", "typeProperties": {}},
        {"name": "Copy_2", "type": "Copy", "dependsOn": [{"activity": "Copy_1", "dependencyConditions": ["Succeeded"]}], "typeProperties": {}},
    ],
}

SMALL = """version: 1
name: nightly-sales
description: Loads the shop's day and publishes the model.
workspace: contoso-dw
inputs:
  day: { type: date, default: "2026-11-24" }
  regions: { type: array, default: [emea, apac, amer] }
environments:
  prod: { max_parallel: 3 }
max_parallel: 4
steps:
  fx_rates:
    pipeline: pl_load_fx
    allow_failure: true
    description: Older rates will do.
  orders:
    pipeline: pl_copy_orders
    parameters: { day: "{{inputs.day}}", apiKey: '{{secret "env:REPORT_TEST_KEY"}}', tables: [orders, lines] }
    retry: { max_attempts: 2, delay: 800ms }
  ingest:
    pipeline: pl_ingest_region
    for_each: "{{inputs.regions}}"
    parameters: { region: "{{each.value}}" }
    tags: [bronze]
  curate:
    pipeline: pl_curate_sales
    depends_on: [ingest, fx_rates]
    retry: { max_attempts: 3, delay: 600ms }
    outputs: { rows: "{{activities.Copy_Final.output.rowsCopied}}" }
  publish:
    pipeline: pl_publish_model
    depends_on: [curate]
    when: steps.curate.outputs.rows > 0
  mail:
    pipeline: pl_mail
    depends_on: [orders]
  quarantine:
    pipeline: pl_quarantine
    depends_on: [{ curate: [failed] }]
  pause_pool:
    pipeline: pl_pause_dedicated_pool
    finally: completed
"""


def small_script(message):
    return {
        "seed": 7,
        "defaults": {"queued": "300ms", "duration": "1500ms", "canceling": "200ms"},
        "pipelines": {
            "pl_load_fx": {"runs": [{"outcome": "failed", "error": {"code": "2108", "message": message}}]},
            "pl_copy_orders": {},
            "pl_load_customers": {
                "duration": "900ms",
                "runs": [{"outcome": "failed", "activities": {"Copy_2": {"error": {
                    "code": "UserErrorInvalidTable",
                    "message": "ErrorCode=UserErrorInvalidTable,'Type=Microsoft.DataTransfer.Common.Shared.HybridDeliveryException,"
                               "Message=Cannot find the table dbo.sales,Source=Microsoft.DataTransfer.ClientLibrary,'"}}}}],
            },
            "pl_ingest_region": {"duration": "1800ms"},
            "pl_curate_sales": {
                "duration": "1200ms",
                "activities": {"Read": {"duration": "400ms"}, "Copy_Final": {"duration": "800ms", "output": {"rowsCopied": 1200}}},
                "runs": [{"outcome": "failed", "error": {"code": "2200", "message": "A table is locked"}}, {}],
            },
            "pl_publish_model": {"duration": "1100ms"},
            "pl_mail": {},
            "pl_quarantine": {},
            "pl_pause_dedicated_pool": {"duration": "700ms"},
        },
    }


def wide(steps):
    """A plan of so many steps in eight waves, each waiting for two of the wave before; every 40th fails."""
    width = steps // 8
    lines = [f"version: 1\nname: wide-{steps}\nworkspace: contoso-dw\nmax_parallel: 150\nsteps:\n"]
    for at in range(steps):
        if at < width:
            after = ""
        else:
            first = at - width
            second = first + 1 if (first + 1) % width else first + 1 - width
            after = f"depends_on: [table_{first:04}, table_{second:04}], "
        pipeline = "pl_bad" if at % 40 == 7 and at < steps * 3 // 4 else "pl_flaky" if at % 40 == 11 else "pl_load"
        lines.append(f"  table_{at:04}: {{ {after}pipeline: {pipeline}, retry: {{ max_attempts: 2, delay: 100ms }}, tags: [t{at % 5}] }}\n")
    return "".join(lines)


WIDE_SCRIPT = {
    "seed": 7,
    "defaults": {"queued": "50ms", "duration": "400ms"},
    "pipelines": {
        "pl_load": {},
        "pl_bad": {"runs": [{"outcome": "failed", "error": {"code": "2200", "message": "Cannot find the table"}}]},
        "pl_flaky": {"runs": [{"outcome": "failed", "error": {"code": "2108", "message": "busy"}}, {}] * 60},
    },
}


class Flows:
    """A folder with a journal of its own."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary).resolve(), Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {"PATH": os.environ["PATH"], "SYNFLOW_STATE_DIR": str(self.folder / "state"), "NO_COLOR": "1",
                    "REPORT_TEST_KEY": "the-secret-key-of-the-test", "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1"}

    def run(self, *words, codes=(0,)):
        done = subprocess.run([self.binary, *map(str, words)], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode in codes, f"synflow {' '.join(map(str, words))} ended {done.returncode}\n{done.stderr}"
        return done

    def write(self, name, value):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    def small(self, message=HOSTILE, report="small.html"):
        """Makes the flow of ten steps, one of which fails with this message, and returns what stood on stderr."""
        for name, activities in DEFINITIONS.items():
            parameters = {"day": {"type": "string"}, "apiKey": {"type": "string"}, "tables": {"type": "array"}}
            definition = {"name": name, "properties": {"activities": activities, "parameters": parameters if name == "pl_copy_orders" else {}}}
            self.write(f"workspace/pipeline/{name}.json", definition)
        self.write("small.yaml", SMALL)
        self.write("small.script.yaml", small_script(message))
        return self.run("apply", "small.yaml", "--env", "prod", "--emulate", "--script", "small.script.yaml", "--artifacts", "workspace",
                        "--report", report, codes=(1,)).stderr

    def wide(self, steps):
        """Makes a flow of so many steps; its report is `wide-STEPS.html`."""
        self.write(f"wide-{steps}.yaml", wide(steps))
        self.write("wide.script.yaml", WIDE_SCRIPT)
        self.run("apply", f"wide-{steps}.yaml", "--emulate", "--script", "wide.script.yaml", "--beat", "100ms", "--progress", "lines", codes=(1,))
        self.run("report", f"wide-{steps}@latest", "-o", f"wide-{steps}.html")

    def report(self, flow, form):
        return self.run("report", flow, "--format", form, "-o", "-").stdout
