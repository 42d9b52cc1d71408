"""Medians over the rounds, and one table of them."""

import statistics

# What stands in a row: its name, the number, how it is written.
ROWS = (
    ("makespan, beats", "makespan_beats", "{:.1f}"),
    ("makespan / bound", "to_bound", "{:.3f}"),
    ("makespan / ideal", "to_ideal", "{:.3f}"),
    ("makespan / blind", "to_blind", "{:.3f}"),
    ("whole process, s", "whole_seconds", "{:.1f}"),
    ("before the first start, s", "before_first_start_seconds", "{:.2f}"),
    ("delay p50, beats", "delay_p50_beats", "{:.2f}"),
    ("delay p99, beats", "delay_p99_beats", "{:.2f}"),
    ("delay longest, beats", "delay_max_beats", "{:.2f}"),
    ("requests / pipeline", "requests_per_pipeline", "{:.2f}"),
    ("  start", "requests_start", "{:.0f}"),
    ("  GET run", "requests_get", "{:.0f}"),
    ("  list page", "requests_list", "{:.0f}"),
    ("  activities", "requests_activities", "{:.0f}"),
    ("  sign-in", "requests_sign_in", "{:.0f}"),
    ("  other", "requests_other", "{:.0f}"),
    ("  refused (of all)", "requests_refused", "{:.0f}"),
    ("most requests in 60 s", "most_in_60_seconds", "{:.0f}"),
    ("most requests in 12 beats", "most_in_12_beats", "{:.0f}"),
    ("most requests in 1 s", "most_in_1_second", "{:.0f}"),
    ("CPU, s", "cpu_seconds", "{:.2f}"),
    ("CPU, % of a core", "cpu_percent", "{:.1f}"),
    ("peak memory, MB", "memory_mb", "{:.1f}"),
    ("emulator's CPU, % of a core", "emulator_cpu_percent", "{:.1f}"),
)


def medians(rounds):
    """Returns the median of every number over the rounds of one contender; nothing where no round has it."""
    found = {}
    for _, key, _ in ROWS:
        values = [one[key] for one in rounds if one.get(key) is not None]
        found[key] = statistics.median(values) if values else None
    return found


def ratios(of, to):
    """Returns how many times the one contender's number the other's is, where that means anything."""
    return {key: of[key] / to[key] for _, key, _ in ROWS if of[key] is not None and to[key]}


def text(results):
    """Returns the table of one case. Every contender is compared with the first."""
    names = list(results)
    found = {name: medians(rounds) for name, rounds in results.items()}
    head = ["median", *names, *(f"{name}/{names[0]}" for name in names[1:])]
    rows = [head]
    for title, key, form in ROWS:
        numbers = [found[name][key] for name in names]
        times = [ratios(found[name], found[names[0]]).get(key) for name in names[1:]]
        if any(number is not None for number in numbers):
            written = [form.format(number) if number is not None else "-" for number in numbers]
            rows.append([title, *written, *(f"{time:.2f}" if time is not None else "-" for time in times)])
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if at == 0 else ":") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
