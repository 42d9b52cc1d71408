"""Lets synflow and two Python scripts run the same graphs in turn, and prints what each of them took: see README.md."""

import argparse
import dataclasses
import datetime
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys

import dag
import play
import table


@dataclasses.dataclass(frozen=True)
class Case:
    """What is the same for all contenders of one table."""

    shape: str
    size: int
    beats: tuple
    beat: float
    at_once: int
    seed: int
    layers: int | None
    latency: float
    history: bool
    plan_lines: tuple
    apply_words: tuple
    requests_per_minute: int | None
    binary: str

    @property
    def beat_ms(self):
        return round(self.beat * 1000)

    @property
    def name(self):
        return f"{self.shape}-{self.size}-{number(self.beats[0])}-{number(self.beats[1])}"


def main():
    args = arguments()
    work = os.path.abspath(args.work)
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another comparison is at work here; two would disturb each other", file=sys.stderr)
            return 2
        return compare(args, work)


def compare(args, work):
    """Runs all cases. Returns the exit code."""
    about = machine(args.binary)
    print(about["line"], flush=True)
    # Whoever builds meanwhile must not change what is measured.
    binary = shutil.copy2(args.binary, os.path.join(work, "synflow"))
    tables = []
    for shape in args.shapes:
        for size in args.sizes:
            for beats in args.beats:
                case = Case(
                    shape,
                    size,
                    beats,
                    args.beat,
                    args.at_once,
                    args.seed,
                    args.layers,
                    args.latency,
                    args.history,
                    tuple(args.plan),
                    tuple(args.apply),
                    args.requests_per_minute,
                    binary,
                )
                tables.append(run(case, args, os.path.join(work, case.name)))
                if args.json:
                    # After every table: a long run that is broken off keeps what it has.
                    with open(args.json, "w", encoding="utf-8") as file:
                        json.dump({"machine": about, "cases": tables}, file, indent=1)
    return 1 if any(one["wrong"] for case in tables for rounds in case["rounds"].values() for one in rounds) else 0


def run(case, args, folder):
    """Runs all rounds of a case, prints its table and returns all numbers."""
    nodes = dag.make(case.shape, case.size, case.beats, case.beat_ms, case.seed, case.layers)
    bound = dag.bound(nodes, case.at_once, case.beat_ms)
    ideal, blind = (dag.ideal(nodes, case.at_once, case.beat_ms, known) for known in (True, False))
    print(
        f"\n## {case.shape} of {case.size:,}, {number(case.beats[0])} to {number(case.beats[1])} beats of {number(case.beat)} s, "
        f"{case.at_once} at once, {'durations known' if case.history else 'durations not known'}\n\n"
        f"bound {bound:.1f} beats, ideal {ideal} beats, blind {blind} beats, {args.rounds} rounds"
        + (f"; answers {number(case.latency)} s later" if case.latency else "")
        + (f"; synflow's plan also says: {'; '.join(case.plan_lines)}" if case.plan_lines else "")
        + (f"; synflow is also given: {' '.join(case.apply_words)}" if case.apply_words else ""),
        flush=True,
    )
    history = None
    if case.history:
        history = os.path.join(folder, "history")
        fresh(history)
        told(play.play(fresh(os.path.join(folder, "synflow")), "synflow", case, nodes, history), "synflow, for its history", case)
    rounds = {name: [] for name in args.contenders}
    for at in range(args.rounds):
        turn = at % len(args.contenders)
        for name in args.contenders[turn:] + args.contenders[:turn]:
            own = fresh(os.path.join(folder, name))
            state = os.path.join(own, "state")
            if history:
                shutil.copytree(history, state)
            rounds[name].append(told(play.play(own, name, case, nodes, state, args.keep), f"round {at + 1}, {name}", case))
    print("\n" + table.text(rounds), flush=True)
    found = {name: table.medians(own) for name, own in rounds.items()}
    first = found[args.contenders[0]]
    return {
        "case": case.name,
        **{key: value for key, value in dataclasses.asdict(case).items() if key != "binary"},
        "bound_beats": bound,
        "ideal_beats": ideal,
        "blind_beats": blind,
        "medians": found,
        "ratios": {name: table.ratios(found[name], first) for name in args.contenders[1:]},
        "rounds": rounds,
    }


def told(numbers, who, case):
    """Tells on stderr that a run is over, and what was wrong with it."""
    seconds = numbers["makespan_beats"] * case.beat
    print(f"{who}: {seconds:.1f} s, {numbers['to_ideal']:.3f} of ideal", file=sys.stderr, flush=True)
    for one in numbers["wrong"][:5]:
        print(f"  WRONG: {one} ({numbers['log']})", file=sys.stderr, flush=True)
    return numbers


def fresh(folder):
    """Makes a folder that holds nothing, and returns its path."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def machine(binary):
    """Tells what this ran on: no name of a host or a person."""
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    # Only cargo's own folders tell how it was built.
    folder = os.path.basename(os.path.dirname(os.path.abspath(binary)))
    kind = f"{folder} build" if folder in ("debug", "release") else "nobody knows how it was built"
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    processor = model or platform.machine()
    line = (
        f"{date}; {platform.system()} {platform.release()}, {os.cpu_count()} cores of {processor}; "
        f"{version} ({kind}), Python {platform.python_version()}; load before: {os.getloadavg()[0]:.2f}"
    )
    return {
        "line": line,
        "date": date,
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "processor": processor,
        "synflow": version,
        "build": kind,
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def arguments():
    def several(read):
        return lambda text: [read(one.strip()) for one in text.split(",")]

    def one_of(words):
        def read(text):
            if text not in words:
                raise argparse.ArgumentTypeError(f"`{text}` is none of {', '.join(words)}")
            return text

        return read

    def span(text):
        low, _, high = text.partition("-")
        low, high = float(low), float(high or low)
        if not 0 < low <= high:
            raise argparse.ArgumentTypeError(f"`{text}` is no span of beats such as 1-4")
        return low, high

    parser = argparse.ArgumentParser(prog="benches/compare/run.sh", description=__doc__)
    parser.add_argument("--shapes", type=several(one_of(dag.SHAPES)), default=["layered"], help="chain, diamond, wide, layered")
    parser.add_argument("--sizes", type=several(int), default=[100], help="how many pipelines, such as 10,100,1000")
    parser.add_argument("--beats", type=several(span), default=[(1.0, 4.0)], help="durations in beats, such as 20-200,1-4")
    parser.add_argument("--beat", type=float, default=0.5, help="seconds")
    parser.add_argument("--at-once", type=int, default=200, help="the most runs that may be live")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, help="of a layered graph; by default few and wide")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that the service takes longer for every answer about runs")
    parser.add_argument("--contenders", type=several(one_of(play.CONTENDERS)), default=list(play.CONTENDERS))
    parser.add_argument("--history", action="store_true", help="synflow runs once before, and the scripts know all durations")
    parser.add_argument("--requests-per-minute", type=int, help="synflow's allowance [default: 600 at a beat of 5 s, and so on]")
    parser.add_argument("--plan", action="append", default=[], metavar="LINE", help="a line more for the top of synflow's plan")
    parser.add_argument("--apply", action="append", default=[], metavar="WORD", help="a word more for `synflow apply`: --apply=--strict")
    parser.add_argument("--keep", action="store_true", help="keep the last round's recordings below target/compare/, for look.py")
    parser.add_argument("--json", metavar="FILE", help="write all numbers of all rounds")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not 0.05 <= args.beat <= 60 or args.rounds < 1 or min(args.sizes) < 1 or args.at_once < 1:
        parser.error("a beat lies between 0.05 and 60 seconds; there is at least one round, one pipeline and one place")
    return args


def number(value):
    """Writes a number without a needless point."""
    return f"{value:g}"


if __name__ == "__main__":
    sys.exit(main())
