// The page: asks the scheduler once a second what is new, and shows it. Whatever comes from there is written as text,
// never as markup.
"use strict";

/** Between two questions, in milliseconds. */
const EVERY = 1000;
/** Rows of the lists of jobs. */
const ROWS = 14;
/** Rows of the table of hosts that are written in one frame. */
const HOSTS_A_FRAME = 50;
/** States in which a host works as it should. */
const FINE = new Set(["ready", "full", "unknown", "no-slots", "no-remote"]);
const BROKEN = new Set(["unreachable", "silent", "pausing", "no-sandbox"]);

const byId = (id) => document.getElementById(id);
/** Script time of the last frames, in milliseconds: what a frame and the answers before it took. */
const frameCosts = [];
let costBefore = 0;
/** Time of the scheduler less that of this page. */
let offset = NaN;
let seq = null;
let hostNames = new Map();
let history = [];
let historyMax = 600000;
let latest = [];
let failures = [];
let prunedAt = 0;

/** Writes a text if it changed. */
function write(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className ?? "";
  made.textContent = text ?? "";
  return made;
}

/** Makes a list have as many children as there are items, and fills each. */
function fill(list, items, make, update) {
  while (list.children.length > items.length) {
    list.lastElementChild.remove();
  }
  items.forEach((item, index) => update(list.children[index] ?? list.appendChild(make()), item));
}

const nameOf = (id) => hostNames.get(id) ?? (id === 0 ? "unknown" : `host ${id}`);
const grouped = new Intl.NumberFormat("en");
const number = (value) => (value === null || value === undefined ? "–" : grouped.format(value));
const seconds = (ms) => (ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`);

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (!answer.ok) {
    throw new Error(`${answer.status} ${answer.statusText}`);
  }
  const text = await answer.text();
  return measured(() => JSON.parse(text));
}

/** Counts the time of some work to the next frame. */
function measured(work) {
  const begin = performance.now();
  const result = work();
  costBefore += performance.now() - begin;
  return result;
}

async function poll() {
  try {
    if (!document.hidden) {
      const status = await ask("api/status");
      measured(() => showStatus(status));
      await nextFrame();
      await showHosts(status.hosts);
      let jobs;
      do {
        jobs = await ask(seq === null ? "api/jobs" : `api/jobs?since=${seq}`);
        measured(() => takeJobs(jobs));
        await nextFrame();
      } while (jobs.more);
      measured(showJobs);
      tell("live", false);
    }
  } catch (error) {
    tell(`no answer from the scheduler (${error.message}): trying again`, true);
  }
  setTimeout(poll, EVERY);
}

/** So that a frame has not all the work. */
const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));

function tell(text, isBroken) {
  write(byId("connection"), text);
  byId("connection").classList.toggle("broken", isBroken);
}

function keepTime(nowMs) {
  const measuredOffset = nowMs - performance.now();
  const change = measuredOffset - offset;
  offset = Math.abs(change) < 500 ? offset + change * 0.1 : measuredOffset;
}

function showStatus(status) {
  keepTime(status.now_ms);
  hostNames = new Map(status.hosts.map((host) => [host.id, host.name]));
  timeline.setHosts(status.hosts);
  write(byId("netname"), status.netname);
  write(byId("version"), `icecc-scheduler ${status.version}, up ${uptime(status.now_ms)}`);
  showFigures(status);
  showTroubles(status);
  const queue = status.waiting.slice(0, ROWS);
  showList("queue", queue, status.now.waiting, "nothing waits", (job) =>
    [job.file, nameOf(job.by), seconds(status.now_ms - job.asked_ms)]);
  history.push(status.now);
  history = history.filter((sample) => sample.at_ms > status.now_ms - historyMax);
  drawChart(status.now_ms);
}

function uptime(ms) {
  const minutes = Math.floor(ms / 60000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

function showFigures({ now, counts, hosts, jobs_per_second: [rate] }) {
  const lenders = hosts.filter((host) => host.slots > 0 && host.state !== "no-remote");
  const ready = lenders.filter((host) => host.state === "ready" || host.state === "full").length;
  write(byId("busy"), `${number(now.running + now.local)} / ${number(now.slots)}`);
  write(byId("ready"), `${ready} / ${lenders.length}`);
  byId("ready").className = ready < lenders.length ? "warn" : "";
  write(byId("waiting"), number(now.waiting));
  write(byId("rate"), rate < 10 ? rate.toFixed(1) : number(Math.round(rate)));
  write(byId("done"), number(counts.succeeded));
  write(byId("failed"), number(counts.failed));
  byId("failed").className = counts.failed > 0 ? "bad" : "";
  write(byId("local"), number(counts.local));
}

function stateClass(word) {
  return BROKEN.has(word) ? "state-bad" : FINE.has(word) ? "state-good" : "state-warn";
}

/** Why hosts take no jobs, each reason once, with what to do. */
function showTroubles({ hosts, states }) {
  const troubles = states.map((state) => ({
    ...state, hosts: hosts.filter((host) => host.state === state.word).map((host) => host.name),
  })).filter((state) => !FINE.has(state.word) && state.hosts.length > 0);
  byId("trouble").hidden = troubles.length === 0;
  fill(byId("troubles"), troubles, () => {
    const item = element("li");
    item.append(element("b"), element("span"), element("span", "remedy"));
    return item;
  }, (item, { word, sentence, remedy, hosts: named }) => {
    const shown = named.length > 8 ? `${named.slice(0, 8).join(", ")} and ${named.length - 8} more` : named.join(", ");
    item.className = BROKEN.has(word) ? "bad" : "";
    write(item.children[0], shown);
    write(item.children[1], ` ${word}: ${sentence}. `);
    write(item.children[2], remedy === "" ? "" : `What to do: ${remedy}.`);
  });
}

/** The table, some rows a frame. */
async function showHosts(hosts) {
  const body = byId("hosts");
  while (body.children.length > hosts.length) {
    body.lastElementChild.remove();
  }
  for (let first = 0; first < hosts.length; first += HOSTS_A_FRAME) {
    measured(() => hosts.slice(first, first + HOSTS_A_FRAME).forEach((host, index) =>
      showHost(body.children[first + index] ?? body.appendChild(makeHost()), host)));
    await nextFrame();
  }
}

function makeHost() {
  const row = document.createElement("tr");
  for (let column = 0; column < 10; column += 1) {
    row.append(element(column === 0 ? "th" : "td", [2, 4, 5, 6, 7].includes(column) ? "number" : ""));
  }
  row.children[0].scope = "row";
  const meter = document.createElement("meter");
  [meter.max, meter.high, meter.optimum] = [1000, 900, 0];
  row.children[3].append(meter);
  return row;
}

function showHost(row, host) {
  const cells = row.children;
  write(cells[0], host.name);
  write(cells[1], host.state ?? "–");
  cells[1].className = stateClass(host.state);
  write(cells[2], `${host.jobs} / ${host.slots}`);
  const meter = cells[3].firstElementChild;
  meter.hidden = host.load === null;
  if (meter.value !== host.load) {
    meter.value = host.load ?? 0;
    meter.title = `load ${Math.round((host.load ?? 0) / 10)} %`;
    meter.ariaLabel = meter.title;
  }
  write(cells[4], number(host.done));
  write(cells[5], number(host.failed));
  write(cells[6], number(host.submitted));
  write(cells[7], number(host.free_mem_mib));
  write(cells[8], host.platform);
  write(cells[9], host.address);
}

/** A list of jobs: file, where, time. */
function showList(id, items, count, empty, texts) {
  const list = byId(id);
  if (items.length === 0) {
    list.replaceChildren(element("li", "empty", empty));
    list.dataset.empty = "yes";
    return;
  }
  if (list.dataset.empty !== "no") {
    list.replaceChildren();
    list.dataset.empty = "no";
  }
  fill(list, items, () => {
    const item = element("li");
    // A path is cut at its beginning: `bdi` keeps its letters in order there.
    item.append(element("span", "file"), element("span", "where"), element("span", "time"));
    item.firstElementChild.append(element("bdi"));
    return item;
  }, (item, job) => {
    const [file, where, time] = texts(job);
    write(item.children[0].firstElementChild, file === "" ? "(no name)" : file);
    item.children[0].title = file;
    write(item.children[1], where);
    write(item.children[2], time);
  });
  list.title = count > items.length ? `${number(count)} in all` : "";
}

function takeJobs(jobs) {
  if (jobs.full) {
    timeline.forget();
    [latest, failures] = [[], []];
    history = jobs.history;
    historyMax = jobs.history_s * 1000;
  }
  seq = jobs.seq;
  jobs.ended.forEach(timeline.add);
  jobs.running.forEach(timeline.add);
  jobs.gone.forEach((id) => timeline.end(id, jobs.now_ms, false));
  const failed = jobs.ended.filter((job) => (job.status ?? 0) !== 0);
  latest = [...jobs.ended.slice(-ROWS).reverse(), ...latest].slice(0, ROWS);
  failures = [...failed.slice(-ROWS).reverse(), ...failures].slice(0, ROWS);
}

function showJobs() {
  const route = (job) => (job.local ? `${nameOf(job.by)}, local` : `${nameOf(job.by)} → ${nameOf(job.host)}`);
  showList("latest", latest, 0, "no job yet", (job) => [job.file, route(job), seconds(job.ended_ms - job.began_ms)]);
  showList("failures", failures, 0, "none", (job) => [job.file, route(job), `status ${job.status}`]);
  const now = offset + performance.now();
  if (now - prunedAt > 10000) {
    prunedAt = now;
    timeline.prune(now);
  }
  const shown = [...timeline.colours].filter(([id]) => hostNames.has(id)).slice(0, 24);
  const entries = [...shown.map(([id, colour]) => [nameOf(id), colour]), ["kept local", timeline.own()]];
  fill(byId("legend"), entries, () => {
    const entry = element("span");
    entry.append(element("i"), element("span"));
    return entry;
  }, (entry, [name, colour]) => {
    entry.firstElementChild.style.background = colour;
    write(entry.lastElementChild, name);
  });
}

/** Busy slots as an area below the line of all slots, and waiting jobs as a line. */
function drawChart(now) {
  const canvas = byId("chart");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  // What there is, but two minutes at least.
  const historySpan = Math.min(Math.max(now - (history[0]?.at_ms ?? now), 120000), historyMax);
  const top = Math.max(1, ...history.map((sample) => Math.max(sample.slots, sample.waiting, sample.running)));
  const x = (sample) => width - ((now - sample.at_ms) / historySpan) * width;
  const y = (value) => height - 1 - (value / top) * (height - 6);
  const path = (value) => {
    pen.beginPath();
    history.forEach((sample, index) => pen[index === 0 ? "moveTo" : "lineTo"](x(sample), y(value(sample))));
  };
  if (history.length > 0) {
    path((sample) => sample.running + sample.local);
    pen.lineTo(width, height);
    pen.lineTo(x(history[0]), height);
    pen.fillStyle = style.getPropertyValue("--accent");
    pen.globalAlpha = 0.75;
    pen.fill();
    pen.globalAlpha = 1;
  }
  line(pen, path, (sample) => sample.slots, style.getPropertyValue("--faint"), [3, 3]);
  line(pen, path, (sample) => sample.waiting, style.getPropertyValue("--wait"), []);
  const last = history.at(-1);
  write(byId("chart-text"), `last ${Math.round(historySpan / 60000)} minutes: busy slots (area), all slots (dashed, ${number(last?.slots)}), ` +
    `waiting jobs (line, ${number(last?.waiting)})`);
}

function line(pen, path, value, colour, dashes) {
  path(value);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.setLineDash(dashes);
  pen.stroke();
}

function showTip(event) {
  const found = timeline.barAt(event.offsetX, event.offsetY);
  if (found === null) {
    return;
  }
  const { host, bar } = found;
  const took = bar && (bar.to === Infinity ? offset + performance.now() : bar.to) - bar.from;
  const what = bar ? `${bar.file === "" ? "(no name)" : bar.file}, ${bar.local ? "kept local" : `of ${nameOf(bar.by)}`}, ` +
    `${seconds(Math.max(took, 0))}${bar.failed ? ", failed" : ""}` : "free";
  write(byId("tip"), `${host.name}: ${what}`);
}

function frame() {
  const begin = performance.now();
  timeline.frame(offset + begin);
  frameCosts.push(performance.now() - begin + costBefore);
  costBefore = 0;
  if (frameCosts.length > 6000) {
    frameCosts.splice(0, 3000);
  }
  requestAnimationFrame(frame);
}

byId("span").addEventListener("change", (event) => timeline.setSpan(Number(event.target.value) * 1000));
byId("paused").addEventListener("change", (event) => timeline.setPaused(event.target.checked));
byId("timeline").addEventListener("pointermove", showTip);
byId("timeline").addEventListener("pointerdown", showTip);
requestAnimationFrame(frame);
poll();
