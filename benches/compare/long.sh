#!/usr/bin/env bash
# How much memory and processor a long flow costs: 10,000 pipelines, 1,000 at once, 2 to 20 beats of 5 seconds, synflow alone, three
# times. Takes hours, for synflow keeps to its allowance of requests; arguments go to run.sh and beat these.
set -euo pipefail
exec "$(dirname "$0")/run.sh" --shapes layered --sizes 10000 --beats 2-20 --beat 5 --at-once 1000 --rounds 3 --contenders synflow "$@"
