"""Shows a recording list by list: `look.py recording.json`, one that `--keep` left. Where do the parts of a beat go?

One line for each list: when it was asked, the time to the next one, its pages and when the last was asked; then, of what came before the next
list, how many activities were read, GETs and starts were sent, and when the first and the last. Seconds since the first start, and after the list.
"""

import sys

import measure


def main(path):
    sent = []
    for exchange in measure.exchanges(path):
        body = exchange["request"].get("body")
        is_later_page = isinstance(body, dict) and bool(body.get("continuationToken"))
        sent.append((measure.seconds(exchange["recordedAt"]), measure.kind_of(exchange), is_later_page))
    began = min(at for at, kind, _ in sent if kind == "start")
    lists = [at for at, kind, is_later_page in sent if kind == "list" and not is_later_page]
    print("    asked    next  pages          activities           GETs                 starts")
    for at, after in zip(lists, [*lists[1:], float("inf")]):
        parts = {kind: [one - at for one, its, _ in sent if its == kind and at <= one < after] for kind in ("list", "activities", "get", "start")}
        gap = f"{after - at:7.3f}" if after < float("inf") else "      -"
        pages = f"{len(parts['list']):2} until {parts['list'][-1]:.3f}"
        print(f"{at - began:9.3f} {gap}  {pages}", *(span(parts[kind]) for kind in ("activities", "get", "start")), sep="  ")


def span(times):
    return f"{len(times):4} {min(times):.3f} - {max(times):.3f}" if times else "   -              "


if __name__ == "__main__":
    main(sys.argv[1])
