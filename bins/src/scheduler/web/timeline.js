// The timeline: each slot of each host is a lane, each job a bar in the colour of its submitter, and time passes to the
// left. What is drawn is moved, and only what is new is drawn: 6400 lanes take a millisecond or two.
"use strict";

const timeline = (() => {
  /** Ends and beginnings are known this much later, in milliseconds: a poll a second, and its way. */
  const DELAY = 1600;
  /** No bar is kept longer than this. */
  const KEPT = 125000;
  /** More pixels than this are not drawn, whatever the screen could show. */
  const PIXELS_MAX = 8e6;
  const GAP = 12;
  const NAME = 14;
  const LANES_MAX = 128;
  /** Told apart by people with the usual weaknesses too, on light and on dark. */
  const PALETTE = ["#2f86d6", "#e0861a", "#2a9d73", "#c2579a", "#8a6fd1", "#b0a11f", "#1fa3b5", "#d2604a", "#6d8f2f",
    "#a9745b", "#5b7fa6", "#c48fb4"];

  const canvas = document.getElementById("timeline");
  const names = document.createElement("canvas");
  const pen = canvas.getContext("2d", { alpha: false });
  const order = new Intl.Collator("en", { numeric: true });
  const stillness = matchMedia("(prefers-reduced-motion: reduce)");
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  /** Hosts by number: their lanes, each a list of bars in the order of their beginnings. */
  const hosts = new Map();
  /** Bars that have no end yet, by the number of their job. */
  const open = new Map();
  const colours = new Map();
  let cells = [];
  let place = { scale: 1, width: 0, cell: 0, columns: 1, lane: 1, height: 0 };
  let span = 30000;
  let drawn = NaN;
  let paused = false;
  let dirty = true;
  let shades = {};

  function shade(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function takeShades() {
    shades = { card: shade("--card"), lane: shade("--lane"), text: shade("--text"), faint: shade("--faint"),
      bad: shade("--bad"), own: darkness.matches ? "#6c7683" : "#9aa3ad" };
    dirty = true;
  }

  /** The colour of a submitter: by the order in which they come. */
  function colour(by) {
    let found = colours.get(by);
    if (found === undefined) {
      found = PALETTE[colours.size % PALETTE.length];
      colours.set(by, found);
    }
    return found;
  }

  function lanesOf(id) {
    let host = hosts.get(id);
    if (host === undefined) {
      host = { id, name: `host ${id}`, slots: 0, lanes: [] };
      hosts.set(id, host);
      dirty = true;
    }
    return host;
  }

  /** Hosts as the scheduler has them now: `[{id, name, slots}]`. */
  function setHosts(list) {
    const there = new Set();
    for (const { id, name, slots } of list) {
      there.add(id);
      const host = lanesOf(id);
      if (host.name !== name || host.slots !== slots) {
        host.name = name;
        host.slots = slots;
        dirty = true;
      }
    }
    for (const id of hosts.keys()) {
      if (!there.has(id)) {
        hosts.delete(id);
        dirty = true;
      }
    }
  }

  /** A job of `/api/jobs`: it runs, or has ended. */
  function add(job) {
    let bar = open.get(job.id);
    if (bar === undefined) {
      const host = lanesOf(job.host);
      const seat = Math.min(job.seat ?? 0, LANES_MAX - 1);
      while (host.lanes.length <= seat) {
        host.lanes.push([]);
      }
      bar = { id: job.id, from: job.began_ms, to: Infinity, by: job.by, file: job.file, local: job.local === true,
        colour: job.local ? null : colour(job.by), failed: false };
      host.lanes[seat].push(bar);
      open.set(job.id, bar);
      if (seat >= host.shown) {
        dirty = true;
      }
    }
    if (job.ended_ms !== undefined) {
      end(job.id, job.ended_ms, (job.status ?? 0) !== 0);
    }
  }

  function end(id, at, failed) {
    const bar = open.get(id);
    if (bar !== undefined) {
      bar.to = at;
      bar.failed = failed;
      open.delete(id);
    }
  }

  function forget() {
    hosts.clear();
    open.clear();
    dirty = true;
  }

  /** Forgets bars that left the picture. */
  function prune(now) {
    for (const host of hosts.values()) {
      for (const lane of host.lanes) {
        let old = 0;
        while (old < lane.length && lane[old].to < now - KEPT) {
          old += 1;
        }
        if (old > 0) {
          lane.splice(0, old);
        }
      }
    }
  }

  /** Lays the hosts out in columns, with lanes as high as there is room for. */
  function layOut() {
    const width = Math.max(canvas.clientWidth, 100);
    const shown = [...hosts.values()].filter((host) => host.slots > 0 || host.lanes.length > 0)
      .sort((one, other) => order.compare(one.name, other.name));
    for (const host of shown) {
      host.shown = Math.min(Math.max(host.slots, host.lanes.length, 1), LANES_MAX);
    }
    const room = Math.max(innerHeight * 0.75, 300);
    const columnsMax = Math.max(1, Math.min(Math.floor(width / 170), shown.length));
    let best = null;
    for (const lane of [12, 9, 7, 5, 4, 3, 2, 1]) {
      for (let columns = 1; columns <= columnsMax; columns += 1) {
        const rows = heights(shown, columns, lane);
        const height = rows.reduce((sum, row) => sum + row, 0);
        best = { lane, columns, rows, height };
        if (height <= room) {
          return settle(shown, width, best);
        }
      }
    }
    settle(shown, width, best ?? { lane: 1, columns: 1, rows: [], height: 40 });
  }

  function heights(shown, columns, lane) {
    const rows = [];
    shown.forEach((host, index) => {
      const row = Math.floor(index / columns);
      rows[row] = Math.max(rows[row] ?? 0, host.shown * lane + NAME + 6);
    });
    return rows;
  }

  function settle(shown, width, { lane, columns, rows, height }) {
    const tall = Math.max(height, 40);
    const scale = Math.min(devicePixelRatio, Math.sqrt(PIXELS_MAX / (width * tall)));
    const cell = Math.floor((width * scale - GAP * scale * columns) / columns);
    place = { scale, width, columns, lane, height: tall, cell };
    let top = 0;
    cells = shown.map((host, index) => {
      const row = Math.floor(index / columns);
      if (index % columns === 0 && row > 0) {
        top += rows[row - 1];
      }
      const left = Math.round((index % columns) * (cell + GAP * scale));
      return { host, left, top: Math.round((top + NAME) * scale) };
    });
    for (const sheet of [canvas, names]) {
      sheet.width = Math.round(width * scale);
      sheet.height = Math.round(tall * scale);
      sheet.style.height = `${tall}px`;
    }
    writeNames();
  }

  function writeNames() {
    const text = names.getContext("2d");
    const { scale, cell, lane } = place;
    text.clearRect(0, 0, names.width, names.height);
    text.font = `${11 * scale}px system-ui, "DejaVu Sans", sans-serif`;
    text.textBaseline = "bottom";
    for (const { host, left, top } of cells) {
      text.fillStyle = shades.text;
      const slots = host.slots === 0 ? "submits" : `${host.slots}`;
      const room = cell - text.measureText(slots).width - 8 * scale;
      text.fillText(fitted(text, host.name, room), left, top - 1);
      text.fillStyle = shades.faint;
      text.fillText(slots, left + cell - text.measureText(slots).width, top - 1);
      if (lane >= 5) {
        text.fillStyle = shades.card;
        for (let line = 1; line < host.shown; line += 1) {
          text.fillRect(left, Math.round(top + line * lane * scale) - 1, cell, 1);
        }
      }
    }
  }

  function fitted(text, name, room) {
    let shown = name;
    while (shown.length > 1 && text.measureText(shown).width > room) {
      shown = `${shown.slice(0, -2)}…`;
    }
    return shown;
  }

  /** Draws what was between two times into the last `wide` pixels of all cells. */
  function draw(from, to, wide) {
    const { scale, cell, lane } = place;
    const perMs = cell / span;
    const first = cell - wide;
    const byColour = new Map();
    pen.fillStyle = shades.lane;
    for (const { host, left, top } of cells) {
      pen.fillRect(left + first, top, wide, Math.round(host.shown * lane * scale));
    }
    for (const { host, left, top } of cells) {
      for (let line = 0; line < host.lanes.length && line < host.shown; line += 1) {
        const bars = host.lanes[line];
        for (let at = bars.length - 1; at >= 0; at -= 1) {
          const bar = bars[at];
          if (bar.to < from) {
            break;
          }
          if (bar.from > to) {
            continue;
          }
          // A pixel before each bar tells it from the one before.
          const begin = Math.max(cell - (to - bar.from) * perMs + 1, first);
          const end = bar.to === Infinity ? cell : Math.min(cell - (to - bar.to) * perMs, cell);
          const long = Math.max(end - begin, bar.from >= from ? 1 : 0);
          if (long > 0) {
            const ended = bar.failed && bar.to <= to;
            collect(byColour, ended && long <= 4 ? shades.bad : bar.colour ?? shades.own, left + begin,
              top + line * lane * scale, long);
            if (ended && long > 4) {
              collect(byColour, shades.bad, left + begin + long - 4, top + line * lane * scale, 4);
            }
          }
        }
      }
    }
    const high = lane * scale;
    for (const [fill, rects] of byColour) {
      pen.fillStyle = fill;
      for (let at = 0; at < rects.length; at += 3) {
        pen.fillRect(rects[at], rects[at + 1], rects[at + 2], high);
      }
    }
  }

  function collect(byColour, fill, x, y, long) {
    let rects = byColour.get(fill);
    if (rects === undefined) {
      rects = [];
      byColour.set(fill, rects);
    }
    rects.push(x, y, long);
  }

  /** The picture at a time of the scheduler. */
  function frame(now) {
    if (paused || !(now > 0)) {
      return;
    }
    const to = now - DELAY;
    if (dirty) {
      dirty = false;
      prune(now);
      layOut();
      drawn = NaN;
    }
    const { cell, scale, width } = place;
    const step = (to - drawn) * (cell / span);
    if (step < 1 || stillness.matches && to - drawn < 1000) {
      return;
    }
    if (!(step <= GAP * scale)) {
      pen.fillStyle = shades.card;
      pen.fillRect(0, 0, canvas.width, canvas.height);
      draw(to - span, to, cell);
      drawn = to;
      return;
    }
    const wide = Math.floor(step);
    const until = drawn + wide * (span / cell);
    pen.drawImage(canvas, wide, 0, canvas.width - wide, canvas.height, 0, 0, canvas.width - wide, canvas.height);
    // What came from the next column.
    pen.fillStyle = shades.card;
    for (let column = 0; column < place.columns; column += 1) {
      const left = Math.round(column * (cell + GAP * scale));
      pen.fillRect(left + cell - wide, 0, GAP * scale + wide, canvas.height);
    }
    draw(drawn, until, wide);
    drawn = until;
  }

  /** The bar at a point of the canvas, with its host. */
  function barAt(x, y) {
    const { scale, cell, lane } = place;
    const [px, py] = [x * scale, y * scale];
    const hit = cells.find(({ host, left, top }) =>
      px >= left && px <= left + cell && py >= top && py < top + host.shown * lane * scale);
    if (hit === undefined) {
      return null;
    }
    const time = drawn - (hit.left + cell - px) * (span / cell);
    const slack = 2 * (span / cell);
    const bars = hit.host.lanes[Math.floor((py - hit.top) / (lane * scale))] ?? [];
    return { host: hit.host, bar: bars.findLast((bar) => bar.from <= time + slack && bar.to >= time - slack) };
  }

  names.className = "names";
  names.setAttribute("aria-hidden", "true");
  canvas.after(names);
  takeShades();
  darkness.addEventListener("change", takeShades);
  new ResizeObserver(() => {
    if (canvas.clientWidth !== place.width) {
      dirty = true;
    }
  }).observe(canvas);

  return {
    add, barAt, colours, end, forget, frame, prune, setHosts,
    setSpan(ms) { span = ms; dirty = true; },
    setPaused(is) { paused = is; dirty = dirty || !is; },
    own: () => shades.own,
  };
})();
