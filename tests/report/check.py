"""Opens the reports of real flows in a browser, and holds their JUnit XML against its schema. See README.md."""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lxml import etree

from browser import Browser, binary
from flows import HOSTILE, Flows

HERE = Path(__file__).parent
WORK = Path("target/report")

# How long a page of so many steps may take until it can be used, in milliseconds, on a machine that does other things too.
READY_MS = {10: 4_000, 200: 6_000, 2_000: 15_000}


def check(is_so, told):
    if not is_so:
        raise SystemExit(f"FAILED: {told}")


def equal(got, want, what):
    check(got == want, f"{what}: {got!r}, expected {want!r}")


def clean(page, path):
    """Nothing but the file itself was asked for, and the console is empty."""
    equal(page.requests, [path.resolve().as_uri()], f"{path.name}: what was requested")
    equal(page.complaints, [], f"{path.name}: what the console says")


def marks(page, story, name):
    """Every step has its row, every one that ran its bars, the graph its boxes."""
    ran = [step for step in story["steps"] if step["attempts"] or step["waits"]]
    equal(page.ask("document.querySelectorAll('#table tbody tr[data-i]').length"), len(story["steps"]), f"{name}: rows of the table")
    equal(page.ask("document.querySelectorAll('.rows .row').length"), len(ran), f"{name}: rows of the timeline")
    bars = sum(len(step["attempts"]) for step in ran)
    equal(page.ask("document.querySelectorAll('.track .bar').length"), bars, f"{name}: bars of the timeline")
    for kind in ("place", "queue", "retry"):
        want = sum(wait["kind"] == kind for step in ran for wait in step["waits"])
        equal(page.ask(f"document.querySelectorAll('.track .wait.{kind}').length"), want, f"{name}: waits for {kind}")
    for step in ran[:200]:
        at = story["steps"].index(step)
        equal(page.ask(f"document.querySelectorAll('#table tr[data-i=\"{at}\"] .c-tries')[0].textContent"),
              str(len(step["attempts"]) or ""), f"{name}: attempts of {step['id']}")
        if at > 20:
            break


def boxes(page, story, name):
    """A box for each step, with those of groups' ends and of the barrier besides; or for each wave."""
    if len(story["steps"]) > 60:
        waves = len({step["wave"] for step in story["steps"]})
        equal(page.ask("document.querySelectorAll('.dag .box[data-filter]').length"), waves, f"{name}: boxes of waves")
        check("too many to draw" in page.ask("document.getElementById('graph').textContent"), f"{name}: does not say that it is folded")
        return
    drawn = sorted(page.ask("[...document.querySelectorAll('.dag .box[data-step]')].map(it => it.dataset.step)"))
    equal(drawn, sorted(step["id"] for step in story["steps"]), f"{name}: boxes of the graph")
    critical = page.ask("[...document.querySelectorAll('.dag .box.critical')].map(it => it.dataset.step)")
    equal(sorted(critical), sorted(leg["step"] for leg in story["critical_path"]), f"{name}: the critical path")


SHOWN = "[...document.querySelectorAll('#table tbody tr[data-i]')].filter(it => it.offsetParent)"


def filters(page, story, name):
    """The keys and the filter: `/`, words, an outcome, a wave, Escape."""
    page.press("/")
    equal(page.ask("document.activeElement.id"), "filter", f"{name}: `/` goes to the filter")
    word = story["steps"][3]["id"]
    page.type(word)
    want = sum(word in step["id"] for step in story["steps"])
    equal(page.ask(f"{SHOWN}.length"), want, f"{name}: steps with `{word}`")
    page.press("ArrowDown")
    equal(page.ask("document.activeElement.textContent"), word, f"{name}: the arrow goes to the first row")
    page.press("Enter")
    equal(page.ask("document.querySelectorAll('tr.detail').length"), 1, f"{name}: Enter opens a step")
    check(page.ask("document.activeElement.getAttribute('aria-expanded')") == "true", f"{name}: an open step says so")
    page.press("Enter")
    equal(page.ask("document.querySelectorAll('tr.detail').length"), 0, f"{name}: Enter closes it")
    page.press("Escape")
    check(page.ask("document.getElementById('shown').textContent").startswith(str(len(story["steps"]))), f"{name}: Escape shows all")
    failed = sum(step["outcome"] == "failed" for step in story["steps"])
    page.ask("document.querySelector('#chips [data-mark=failed]').click()")
    equal(page.ask(f"{SHOWN}.length"), failed, f"{name}: failed steps")
    equal(page.ask("document.querySelectorAll('.rows .row:not([hidden])').length"), failed, f"{name}: their rows in the timeline")
    page.press("Escape")
    page.ask("document.getElementById('filter').focus()")
    page.type("wave:2")
    want = sum(step["wave"] == 2 for step in story["steps"])
    equal(page.ask("document.getElementById('shown').textContent"), f"{want} of {len(story['steps'])} steps", f"{name}: a wave")
    page.press("Escape")


def sorts(page, story, name):
    """The order of the table, both ways."""
    took = sorted(-1 if step["elapsed_ms"] is None else step["elapsed_ms"] for step in story["steps"])
    for falls, values in ((False, took), (True, took[::-1])):
        page.ask("document.querySelector('th[data-key=took] button').click()")
        first = int(page.ask(f"{SHOWN}[0].dataset.i"))
        got = story["steps"][first]["elapsed_ms"]
        equal(-1 if got is None else got, values[0], f"{name}: the first by time")
        want = "descending" if falls else "ascending"
        equal(page.ask("document.querySelector('th[data-key=took]').getAttribute('aria-sort')"), want, f"{name}: says its order")
    page.ask("document.querySelector('th[data-key=outcome] button').click()")
    equal(page.ask(f"{SHOWN}[0].classList.contains('failed')"), True, f"{name}: what failed comes first")


def reaches(page, name):
    """The tab key comes to everything, and a reader sees where it is."""
    page.ask("document.activeElement.blur(); scrollTo(0, 0)")
    seen = []
    for _ in range(60):
        page.press("Tab")
        seen.append(page.ask("document.activeElement.id || document.activeElement.className || document.activeElement.tagName"))
        outline = page.ask("(() => { const it = document.activeElement; const of = getComputedStyle(it); "
                           "return it === document.body || it instanceof SVGElement || parseFloat(of.outlineWidth) >= 2 })()")
        check(outline, f"{name}: the focus is not seen on {seen[-1]}")
    for wanted in ("skip", "copy", "filter"):
        check(wanted in seen, f"{name}: Tab does not come to {wanted}: {seen}")


def tells(page, name):
    """The details of the failed step: the way down, the service's words, parameters with the secret's reference, activities."""
    page.ask("document.querySelector('#causes [data-step=orders]').click()")
    text = page.ask("document.querySelector('tr.detail').textContent")
    for wanted in ("pl_load_customers", "Copy_2", "UserErrorInvalidTable", "Cannot find the table", "REPORT_TEST_KEY", "Attempt 2", "Activities"):
        check(wanted in text, f"{name}: the details do not have `{wanted}`: {text[:900]}")
    equal(page.ask("document.title.startsWith('failed: nightly-sales')"), True, f"{name}: no text of others ran")
    equal(page.ask("document.querySelectorAll('img, iframe, object, embed, link, form').length"), 0, f"{name}: no text of others became markup")
    page.press("Escape")
    page.ask("[...document.querySelectorAll('tr.detail')].forEach(it => it.previousElementSibling.querySelector('button').click())")


def look(browser, flows, name, count, **kind):
    """Opens one report and looks at everything in it."""
    path = flows.folder / f"{name}.html"
    page = browser.page(**kind)
    ready = page.open(path)
    story = json.loads(page.ask("document.getElementById('story').textContent"))
    equal(len(story["steps"]), count, f"{name}: steps")
    clean(page, path)
    marks(page, story, name)
    boxes(page, story, name)
    if count == 10:
        tells(page, name)
        reaches(page, name)
    filters(page, story, name)
    sorts(page, story, name)
    clean(page, path)
    check(ready < READY_MS[count], f"{name}: {ready:.0f} ms until it can be used")
    page.close()
    print(f"{name}: {count} steps, {path.stat().st_size // 1024} KB, ready after {ready:.0f} ms")


def narrow(browser, flows, name, **kind):
    """On a phone nothing is wider than the page."""
    page = browser.page(width=390, height=844, **kind)
    page.open(flows.folder / f"{name}.html")
    wide = page.ask("document.documentElement.scrollWidth")
    check(wide <= 390, f"{name}: {wide} pixels wide on a phone of 390")
    page.close()


def plain(browser, flows, name):
    """Without scripts, as in the preview of a mail, what matters can be read."""
    page = browser.page(scripts=False)
    page.open(flows.folder / f"{name}.html")
    # Scripts of the page are off, questions of this check are not.
    text = page.ask("document.body.innerText")
    for wanted in ("nightly-sales", "failed", "after", "What went wrong", "UserErrorInvalidTable", "blocked mail", "pause_pool", "need JavaScript"):
        check(wanted in text, f"{name} without scripts: no `{wanted}`")
    equal(page.ask(f"{SHOWN}.length"), 10, f"{name} without scripts: rows")
    check("Filter" not in text, f"{name} without scripts: a filter that does nothing")
    page.close()


def contrast(browser, flows, name):
    """Every text stands out from its ground as WCAG 2.2 wants it at level AA, light and dark."""
    for dark in (False, True):
        page = browser.page(dark=dark)
        page.open(flows.folder / f"{name}.html")
        page.ask("document.querySelector('#causes [data-step=orders]').click()")
        page.frame()
        weak = page.ask(CONTRAST)
        equal(weak, [], f"{name}: texts that are hard to read ({'dark' if dark else 'light'})")
        page.close()


CONTRAST = """(() => {
  const part = (c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const read = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return text.startsWith('color(') ? n.slice(0, 3).map(it => it * 255).concat(n[3] ?? 1) : n; };
  const ground = (it) => { for (; it; it = it.parentElement) { const c = read(getComputedStyle(it).backgroundColor);
    if (c.length < 4 || c[3] > .99) return c; } return [255, 255, 255]; };
  const weak = new Set();
  for (const it of document.querySelectorAll('body *')) {
    const own = [...it.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || it instanceof SVGElement || !it.getClientRects().length || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(it.tagName)) continue;
    const of = getComputedStyle(it);
    const [a, b] = [light(read(of.color)), light(ground(it))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) weak.add(`${it.tagName}.${it.className}: ${ratio.toFixed(2)}`);
  }
  return [...weak];
})()"""


def junit(flows, names):
    """What CI reads is what its schema says; every step is a case."""
    schema = etree.XMLSchema(etree.parse(str(HERE / "junit-10.xsd")))
    for name in names:
        text = flows.report(f"{name}@latest", "junit")
        tree = etree.fromstring(text.encode())
        check(schema.validate(tree), f"{name}: {schema.error_log}")
        story = json.loads(flows.report(f"{name}@latest", "json"))
        equal(len(tree.findall(".//testcase")), len(story["steps"]), f"{name}: cases")
        bad = sum(step["outcome"] == "failed" and not step["allow_failure"] for step in story["steps"])
        equal(len(tree.findall(".//failure")), bad, f"{name}: failures")
        equal(tree.find("testsuite").get("failures"), str(bad), f"{name}: failures as counted")
    said = flows.run("test", Path("examples/rehearsed.yaml").resolve(), "--output", "junit")
    check(schema.validate(etree.fromstring(said.stdout.encode())), f"synflow test: {schema.error_log}")


def markdown(flows):
    text = flows.report("nightly-sales@latest", "markdown")
    check("<script" not in text and "<img" not in text, "markdown: a text of others is markup")
    check(HOSTILE[-6:] not in text, "markdown: a text of others stands as it came")


def secret(flows):
    for path in flows.folder.glob("*.html"):
        check(flows.env["REPORT_TEST_KEY"] not in path.read_text(encoding="utf-8"), f"{path.name} holds a secret")


def pictures(browser, flows):
    """Writes pictures for people to look at, and the one of the documentation."""
    for name in ("small", "wide-200", "wide-2000"):
        for kind, settings in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 844, "scale": 2})):
            page = browser.page(**settings)
            page.open(flows.folder / f"{name}.html")
            page.picture(WORK / f"{name}-{kind}.png", whole=name == "small")
            page.close()
    flows.small("The rates of today are not there yet", "shown.html")
    page = browser.page(width=1100, height=1500)
    page.open(flows.folder / "shown.html")
    Path("docs/pictures").mkdir(exist_ok=True)
    page.picture("docs/pictures/report.png")
    page.close()


def main(program, *words):
    shutil.rmtree(WORK / "flows", ignore_errors=True)
    flows = Flows(program, WORK / "flows")
    said = flows.small()
    check("\nreport: small.html\n" in said, f"apply does not name its report:\n{said}")
    with ThreadPoolExecutor() as pool:
        list(pool.map(flows.wide, (200, 2000)))
    with Browser(binary()) as browser:
        look(browser, flows, "small", 10)
        look(browser, flows, "wide-200", 200, dark=True)
        look(browser, flows, "wide-2000", 2000)
        narrow(browser, flows, "small")
        narrow(browser, flows, "wide-200", dark=True)
        plain(browser, flows, "small")
        contrast(browser, flows, "small")
        if "--pictures" in words:
            pictures(browser, flows)
    junit(flows, ["nightly-sales", "wide-200"])
    markdown(flows)
    secret(flows)
    print("reports: all is well")


if __name__ == "__main__":
    main(*sys.argv[1:])
