"use strict";
// The page's own script: makes the timeline, the details of steps, the filter and the order from the data in the page.
// Every text becomes a text node, never markup: it comes from a plan or from the service.
(() => {
  const story = JSON.parse(document.getElementById("story").textContent);
  const steps = story.steps;
  const byId = new Map(steps.map((step, at) => [step.id, at]));
  const marks = ["unknown", "failed", "timed_out", "cancelled", "blocked", "running", "waiting", "warned", "skipped", "not_needed",
    "succeeded"];
  const find = (id) => document.getElementById(id);
  const begun = Date.parse(story.flow.started_at);
  const made = Date.parse(story.made_at);

  const markOf = (step) => step.outcome || (step.state === "waiting" || step.state === "ready" ? "waiting" : "running");
  const spoken = (word) => word.replaceAll("_", " ");

  function make(tag, className, ...inside) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...inside.filter((it) => it !== null && it !== undefined && it !== ""));
    return element;
  }

  const marked = (word) => make("span", "mark " + word, spoken(word));

  // The same short form as on the command line: 4.2s, 1m05s, 2h03m.
  function short(ms) {
    const two = (number) => String(number).padStart(2, "0");
    const seconds = Math.floor(ms / 1000);
    if (seconds < 10) return seconds + "." + Math.floor((ms % 1000) / 100) + "s";
    if (seconds < 60) return seconds + "s";
    if (seconds < 3600) return Math.floor(seconds / 60) + "m" + two(seconds % 60) + "s";
    return Math.floor(seconds / 3600) + "h" + two(Math.floor(seconds / 60) % 60) + "m";
  }

  const clock = (time) => time.slice(0, 10) + " " + time.slice(11, 19) + " UTC";

  // The table: rows stand in the page; the script adds what moves.

  const table = find("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const opened = new Map();
  document.documentElement.classList.add("js-on");
  for (const element of document.querySelectorAll(".js")) element.hidden = false;

  // A row gets its button when it is first shown.
  function buttonOf(at) {
    const cell = rows[at].cells[1];
    if (cell.firstElementChild) return cell.firstElementChild;
    const button = make("button", "", ...cell.childNodes);
    button.type = "button";
    button.tabIndex = -1;
    button.setAttribute("aria-expanded", "false");
    cell.append(button);
    return button;
  }

  function toggle(at, wanted) {
    const row = rows[at];
    const is = opened.has(at);
    const open = wanted === undefined ? !is : wanted;
    if (open === is) return;
    buttonOf(at).setAttribute("aria-expanded", String(open));
    if (open) {
      const cell = make("td", "");
      cell.colSpan = row.cells.length;
      const detail = make("tr", "detail", cell);
      details(cell, steps[at]);
      row.after(detail);
      opened.set(at, detail);
    } else {
      opened.get(at).remove();
      opened.delete(at);
    }
  }

  function show(id) {
    const at = byId.get(id);
    if (at === undefined) return;
    if (rows[at].hidden) reset();
    while (rows[at].classList.contains("far")) more();
    toggle(at, true);
    rows[at].scrollIntoView({ block: "start" });
    activate(at);
    rows[at].classList.remove("flash");
    void rows[at].offsetWidth;
    rows[at].classList.add("flash");
  }

  let active = 0;
  function activate(at) {
    if (rows.length === 0) return;
    buttonOf(active).tabIndex = -1;
    active = at;
    buttonOf(at).tabIndex = 0;
    buttonOf(at).focus();
  }

  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-i]");
    if (!row || event.target.closest("a") || String(getSelection())) return;
    toggle(Number(row.dataset.i));
    activate(Number(row.dataset.i));
  });

  body.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-i]");
    if (!row || event.target.tagName !== "BUTTON") return;
    const at = fitting.indexOf(Number(row.dataset.i));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: fitting.length - 1 }[event.key];
    if (to !== undefined && to >= 0 && to < fitting.length) {
      event.preventDefault();
      while (to >= limit) more();
      activate(fitting[to]);
    }
    if (event.key === "ArrowRight") toggle(Number(row.dataset.i), true);
    if (event.key === "ArrowLeft") toggle(Number(row.dataset.i), false);
  });

  // The order of the table, which of its rows fit the filter, and how many of those are shown: more as one scrolls.

  const order = steps.map((_, at) => at);
  const page = 300;
  let fitting = order.slice();
  let limit = page;
  const rest = find("rest");

  function more() {
    const to = Math.min(limit + page, fitting.length);
    for (const at of fitting.slice(limit, to)) unfold(at);
    limit += page;
    left();
  }

  function unfold(at) {
    rows[at].classList.remove("far");
    buttonOf(at);
  }

  function left() {
    const count = Math.max(0, fitting.length - limit);
    rest.hidden = count === 0;
    rest.firstElementChild.textContent = "Show " + Math.min(count, page) + " more of " + count;
  }

  rest.firstElementChild.addEventListener("click", more);
  new IntersectionObserver((seen) => { if (seen.some((it) => it.isIntersecting)) more(); }, { rootMargin: "600px" }).observe(rest);
  addEventListener("beforeprint", () => { while (limit < fitting.length) more(); });

  const keys = {
    outcome: (step) => marks.indexOf(markOf(step)),
    id: (step) => step.id,
    pipeline: (step) => step.pipeline,
    start: (step) => (step.started_at ? Date.parse(step.started_at) : Infinity),
    took: (step) => (step.elapsed_ms === null ? -1 : step.elapsed_ms),
    tries: (step) => step.attempts.length,
    why: (step) => step.why || "\uffff",
  };
  for (const head of table.tHead.rows[0].cells) {
    const button = make("button", "", ...head.childNodes);
    button.type = "button";
    head.append(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = keys[head.dataset.key];
      const values = steps.map(key);
      const compare = (a, b) =>
        typeof values[a] === "string" ? values[a].localeCompare(values[b], "en", { numeric: true }) : values[a] - values[b] || 0;
      order.sort((a, b) => (falls ? -compare(a, b) : compare(a, b)) || a - b);
      const sorted = document.createDocumentFragment();
      for (const at of order) {
        sorted.append(rows[at]);
        if (opened.has(at)) sorted.append(opened.get(at));
      }
      body.append(sorted);
      filter();
    });
  }

  // The filter.

  const input = find("filter");
  const chosen = new Set();
  const words = steps.map((step) =>
    [step.id, step.pipeline, step.workspace, ...step.tags, spoken(markOf(step)), step.why, ...step.attempts.map((it) => it.run_id)]
      .filter(Boolean).join("\n").toLowerCase());
  const chips = find("chips");
  for (const mark of marks.filter((it) => story.flow.counts[it])) {
    const chip = make("button", "mark " + mark, story.flow.counts[mark] + " " + spoken(mark));
    chip.type = "button";
    chip.dataset.mark = mark;
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => {
      if (!chosen.delete(mark)) chosen.add(mark);
      chip.setAttribute("aria-pressed", String(chosen.has(mark)));
      filter();
    });
    chips.append(chip);
  }

  function fits(at, wanted) {
    const step = steps[at];
    if (chosen.size > 0 && !chosen.has(markOf(step))) return false;
    return wanted.every((word) => {
      const wave = /^wave:(\d+)(?:-(\d+))?$/.exec(word);
      if (wave) return step.wave >= Number(wave[1]) && step.wave <= Number(wave[2] || wave[1]);
      return words[at].includes(word);
    });
  }

  function filter() {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    fitting = [];
    limit = page;
    for (const at of order) {
      const is = fits(at, wanted);
      rows[at].hidden = !is;
      if (opened.has(at)) opened.get(at).hidden = !is;
      if (lanes[at]) lanes[at].hidden = !is;
      if (!is) continue;
      if (fitting.length < limit) unfold(at);
      else rows[at].classList.add("far");
      fitting.push(at);
    }
    // What is open stays in sight.
    for (const at of opened.keys()) rows[at].classList.remove("far");
    left();
    const count = fitting.length;
    const all = count === steps.length;
    find("shown").textContent = all ? steps.length + (steps.length === 1 ? " step" : " steps") : count + " of " + steps.length + " steps";
    find("none").hidden = count > 0;
    for (const box of document.querySelectorAll(".dag [data-step]")) {
      box.classList.toggle("faded", !all && rows[byId.get(box.dataset.step)].hidden);
    }
    if (count > 0) {
      buttonOf(active).tabIndex = -1;
      if (rows[active].hidden) active = fitting[0];
      buttonOf(active).tabIndex = 0;
    }
  }

  function reset() {
    input.value = "";
    chosen.clear();
    for (const chip of chips.children) chip.setAttribute("aria-pressed", "false");
    filter();
  }

  let due = 0;
  input.addEventListener("input", () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(filter);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "Enter") {
      if (fitting.length > 0) {
        event.preventDefault();
        activate(fitting[0]);
      }
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "/" && !typing) {
      event.preventDefault();
      input.focus();
      input.select();
    }
    if (event.key === "Escape") reset();
  });

  // The timeline.

  const lanes = [];
  function timeline() {
    const gantt = find("gantt");
    const ran = steps.map((step, at) => at).filter((at) => steps[at].attempts.length > 0 || steps[at].waits.length > 0);
    const hint = find("timeline-hint");
    const idle = steps.length - ran.length;
    if (ran.length === 0) {
      hint.textContent = "Nothing has run.";
      gantt.hidden = true;
      find("legend").hidden = true;
      return;
    }
    const from = (step) => Math.min(...step.waits.map((it) => Date.parse(it.from)), ...step.attempts.map((it) => Date.parse(it.intended_at)));
    const until = (attempt) => (attempt.ended_at ? Date.parse(attempt.ended_at) : made);
    ran.sort((a, b) => from(steps[a]) - from(steps[b]) || a - b);
    let last = story.flow.ended_at ? Date.parse(story.flow.ended_at) : begun;
    for (const at of ran) {
      for (const attempt of steps[at].attempts) last = Math.max(last, until(attempt));
      for (const wait of steps[at].waits) last = Math.max(last, Date.parse(wait.to));
    }
    const span = Math.max(last - begun, 1);
    const percent = (time) => Math.max(0, Math.min(100, ((time - begun) / span) * 100)) + "%";
    const place = (element, start, end) => {
      element.style.left = percent(start);
      element.style.width = Math.max(0, ((end - Math.max(start, begun)) / span) * 100) + "%";
      return element;
    };
    const used = new Set();
    const axis = make("div", "axis");
    const grid = make("div", "grid");
    gantt.append(axis);
    const room = Math.max(2, Math.min(7, Math.floor(axis.clientWidth / 70)));
    for (const tick of ticks(span, room)) {
      const label = make("span", "", tick === 0 ? story.flow.started_at.slice(11, 19) : "+" + tidy(tick));
      label.style.left = (tick / span) * 100 + "%";
      axis.append(label);
      const line = make("i", "");
      line.style.left = (tick / span) * 100 + "%";
      grid.append(line);
    }
    const deadline = story.flow.deadline ? Date.parse(story.flow.deadline.at) : 0;
    if (deadline > begun && deadline <= last) {
      const line = make("i", "due");
      line.style.left = percent(deadline);
      grid.append(line);
      used.add("due");
    }
    const list = make("ul", "");
    const all = document.createDocumentFragment();
    for (const at of ran) {
      const step = steps[at];
      const mark = markOf(step);
      const track = make("div", "track");
      for (const wait of step.waits.filter((it) => it.kind !== "queue")) track.append(waiting(wait));
      for (const attempt of step.attempts) {
        const how = attempt.outcome || (step.outcome ? mark : "running");
        used.add(how);
        const bar = place(make("i", "bar " + how), Date.parse(attempt.intended_at), until(attempt));
        bar.title = (step.attempts.length > 1 ? "attempt " + attempt.number + " " : "") + spoken(how) + ", " +
          short(until(attempt) - Date.parse(attempt.intended_at)) + ", from " + clock(attempt.intended_at);
        track.append(bar);
      }
      for (const wait of step.waits.filter((it) => it.kind === "queue")) track.append(waiting(wait));
      const label = make("bdi", "", step.id);
      const button = make("button", "mark " + mark, label);
      button.type = "button";
      button.title = step.id;
      // One stop for the tab key; the arrows move between rows.
      button.tabIndex = -1;
      const after = step.started_at ? ", started after " + short(Date.parse(step.started_at) - begun) : "";
      const took = step.elapsed_ms === null ? "" : ", took " + short(step.elapsed_ms);
      const tries = step.attempts.length > 1 ? ", " + step.attempts.length + " attempts" : "";
      button.setAttribute("aria-label", step.id + ": " + spoken(mark) + after + took + tries + (step.critical ? ", on the critical path" : ""));
      button.addEventListener("click", () => show(step.id));
      const lane = make("li", "row" + (step.critical ? " critical" : ""), button, track);
      lanes[at] = lane;
      all.append(lane);
      if (step.critical) used.add("critical");
    }
    function waiting(wait) {
      used.add(wait.kind);
      const bar = place(make("i", "wait " + wait.kind), Date.parse(wait.from), Date.parse(wait.to));
      bar.title = waits[wait.kind] + ", " + short(Date.parse(wait.to) - Date.parse(wait.from));
      return bar;
    }
    list.append(all);
    list.querySelector("button").tabIndex = 0;
    gantt.append(make("div", "rows", grid, list));
    gantt.classList.toggle("many", ran.length > 300);
    const told = [];
    if (idle > 0) told.push(idle === 1 ? "1 step made no run and has no row." : idle + " steps made no run and have no row.");
    if (ran.length > 300) told.push(ran.length + " rows are too many to print; the table below is printed.");
    hint.textContent = told.join(" ");
    const legend = find("legend");
    const entry = (sample, text) => legend.append(make("li", "", make("b", "", sample), text));
    for (const mark of marks.filter((it) => used.has(it))) entry(make("i", "bar " + mark), spoken(mark));
    for (const kind of Object.keys(waits).filter((it) => used.has(it))) entry(make("i", "wait " + kind), waits[kind]);
    if (used.has("critical")) entry(make("i", "thick"), "critical path");
    if (used.has("due")) legend.append(make("li", "", "orange line: deadline"));
    gantt.addEventListener("keydown", (event) => {
      const lane = event.target.closest("li");
      if (!lane || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
      let next = lane;
      do next = event.key === "ArrowDown" ? next.nextElementSibling : next.previousElementSibling;
      while (next && next.hidden);
      if (next) {
        event.preventDefault();
        lane.querySelector("button").tabIndex = -1;
        next.querySelector("button").tabIndex = 0;
        next.querySelector("button").focus();
      }
    });
  }

  const waits = { place: "waits for its turn", queue: "queued in Synapse", retry: "waits for its next attempt", resume: "until it was resumed" };

  // The times at which lines stand: no more than there is room for, at round numbers.
  function ticks(span, room) {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((it) => it * 1000);
    const each = steps.find((it) => span / it <= room) || Math.ceil(span / room / 86400000) * 86400000;
    const found = [];
    for (let at = 0; at <= span * 0.97 || at === 0; at += each) found.push(at);
    return found;
  }

  const tidy = (ms) => {
    const seconds = Math.round(ms / 1000);
    if (seconds < 60) return seconds + "s";
    if (seconds % 3600 === 0) return seconds / 3600 + "h";
    if (seconds < 3600) return seconds / 60 + (seconds % 60 ? "" : "m");
    return Math.floor(seconds / 3600) + "h" + String((seconds % 3600) / 60).padStart(2, "0") + "m";
  };

  // The details of a step, made when it is opened.

  const link = (id) => {
    const anchor = make("a", "", make("bdi", "", id));
    anchor.href = "#steps";
    anchor.dataset.step = id;
    return anchor;
  };

  function listed(items) {
    const out = [];
    items.forEach((item, at) => out.push(...(at ? [", ", item] : [item])));
    return out;
  }

  function details(cell, step) {
    if (step.description) cell.append(make("p", "", step.description));
    const facts = make("dl", "pairs");
    const fact = (name, ...value) => facts.append(make("dt", "", name), make("dd", "", ...value));
    if (step.because.length > 0) fact("because of", ...listed(step.because.map(link)));
    if (step.attempts.length === 0 && step.why) fact("why", step.why);
    if (step.depends_on.length > 0) fact("waits for", ...listed(step.depends_on.map((it) => make("bdi", "", it))));
    fact("pipeline", make("code", "", step.pipeline), " in ", make("code", "", step.workspace));
    if (step.tags.length > 0) fact("tags", step.tags.join(", "));
    if (step.usual_ms !== null) fact("usually", short(step.usual_ms) + " for one run, by earlier flows");
    for (const wait of step.waits) fact(waits[wait.kind], short(Date.parse(wait.to) - Date.parse(wait.from)) + " from " + clock(wait.from));
    cell.append(facts);
    for (const attempt of step.attempts) tell(cell, step, attempt);
    if (Object.keys(step.outputs).length > 0) {
      cell.append(make("h5", "", "Outputs"), pairs(step.outputs));
    }
    for (const [name, why] of Object.entries(step.absent_outputs)) cell.append(make("p", "quiet", "output " + name + " is absent: " + why));
  }

  function tell(cell, step, attempt) {
    const how = attempt.outcome || "running";
    const end = attempt.ended_at ? Date.parse(attempt.ended_at) : made;
    const head = make("h4", "", "Attempt " + attempt.number, marked(how),
      make("span", "quiet", short(end - Date.parse(attempt.intended_at)) + " from " + clock(attempt.intended_at)));
    cell.append(head);
    const facts = make("p", "quiet");
    if (attempt.run_id) {
      facts.append("run ", make("code", "run", attempt.run_id), attempt.started_at ? "" : ", if it exists");
      if (attempt.studio) {
        const anchor = make("a", "", "open in Studio");
        anchor.href = attempt.studio;
        anchor.rel = "noopener noreferrer";
        facts.append(" · ", anchor);
      }
    } else {
      facts.append("no run was started");
    }
    if (attempt.status) facts.append(" · Synapse says " + attempt.status);
    if (attempt.adopted) facts.append(" · found by looking for it, or started by others");
    if (attempt.sends > 1) facts.append(" · " + attempt.sends + " start requests");
    if (attempt.from_activity) facts.append(" · from activity ", make("code", "", attempt.from_activity));
    cell.append(facts);
    if (attempt.error) cell.append(...failure(step.id, attempt.error));
    if (attempt.activities.length > 0) cell.append(make("h5", "", "Activities"), activities(attempt.activities));
    if (attempt.activities_left_out > 0) cell.append(make("p", "quiet", attempt.activities_left_out + " more activities are not kept in the journal"));
    if (Object.keys(attempt.parameters).length > 0) cell.append(make("h5", "", "Parameters"), pairs(attempt.parameters));
  }

  function failure(start, error) {
    const way = [start, ...error.via, ...(error.activity ? [error.activity] : [])].filter(Boolean);
    const told = make("pre", "", error.code ? make("b", "", error.code) : "", error.code && error.message ? " " : "", error.message);
    if (way.length < 2) return [told];
    const line = make("p", "way");
    way.forEach((it, at) => line.append(at ? make("span", "", " › ") : "", make("bdi", "", it)));
    return [line, told];
  }

  function activities(list) {
    const out = make("ul", "acts");
    const known = { Succeeded: "succeeded", Failed: "failed", Cancelled: "cancelled", Skipped: "skipped", InProgress: "running", Queued: "waiting" };
    for (const activity of list) {
      const took = activity.start && activity.end ? short(Date.parse(activity.end) - Date.parse(activity.start)) : "";
      const word = known[activity.status];
      const line = make("div", "", make("span", word ? "mark " + word : "", make("bdi", "", activity.name)),
        make("span", "quiet", activity.kind), make("span", "quiet", activity.status + (took ? " " + took : "")),
        activity.round ? make("span", "quiet", "round " + activity.round) : "");
      const item = make("li", "", line);
      if (activity.error) item.append(...failure("", activity.error));
      if (activity.child) {
        const child = make("div", "quiet", "pipeline ", make("code", "", activity.child.pipeline), " run ", make("code", "run", activity.child.run_id));
        if (activity.child.studio) {
          const anchor = make("a", "", "open in Studio");
          anchor.href = activity.child.studio;
          anchor.rel = "noopener noreferrer";
          child.append(anchor);
        }
        item.append(child, activities(activity.child.activities));
      }
      out.append(item);
    }
    return out;
  }

  function pairs(values) {
    const out = make("dl", "pairs");
    for (const [name, value] of Object.entries(values)) {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      out.append(make("dt", "", make("bdi", "", name)), make("dd", "", make("code", "", text)));
    }
    return out;
  }

  // What leads to a step, wherever it stands.

  document.addEventListener("click", (event) => {
    const anchor = event.target.closest("[data-step]");
    if (anchor) {
      event.preventDefault();
      show(anchor.dataset.step);
      return;
    }
    const box = event.target.closest("[data-filter]");
    if (box) choose(box.dataset.filter);
  });
  function choose(text) {
    reset();
    input.value = text;
    filter();
    find("steps").scrollIntoView({ block: "start" });
  }
  for (const box of document.querySelectorAll(".dag [data-step], .dag [data-filter]")) {
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "button");
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (box.dataset.step) show(box.dataset.step);
      else choose(box.dataset.filter);
    });
  }

  const copy = find("copy");
  if (copy) {
    copy.addEventListener("click", () => {
      const done = () => { copy.textContent = "Copied"; };
      // Not every reader of files lets a page write the clipboard; then the text is chosen, for a person to copy.
      const choose = () => getSelection().selectAllChildren(find("next"));
      if (navigator.clipboard) navigator.clipboard.writeText(find("next").textContent).then(done, choose);
      else choose();
    });
  }

  timeline();
  filter();
  const wanted = /^#step=(.+)$/.exec(location.hash);
  if (wanted) {
    try {
      show(decodeURIComponent(wanted[1]));
    } catch {
      // An address with a broken escape leads nowhere.
    }
  }
})();
