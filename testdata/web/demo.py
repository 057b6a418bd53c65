#!/usr/bin/env python3
"""Serves the scheduler's page with a made-up cluster: python3 testdata/web/demo.py [PORT [HOSTS SLOTS]]

Each slot of each host has one job after the other, of a few submitters, two to six seconds long; some fail, some hosts are
in trouble. The answers have the form of the scheduler's (`bins/src/scheduler/web`). For looks and measurements alone.
"""
import http.server
import json
import pathlib
import random
import sys
import threading
import time
import urllib.parse

WEB = pathlib.Path(__file__).resolve().parents[2] / "bins/src/scheduler/web"
FILES = {"/": ("page.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
         "/timeline.js": ("timeline.js", "text/javascript"), "/page.css": ("page.css", "text/css")}
STATES = [
    ("ready", "it takes jobs", ""), ("full", "all its slots have jobs", ""),
    ("loaded", "its own work leaves no room: its load is at the limit, or it has not reported one yet",
     "look there what uses its processors, memory or disk"),
    ("unreachable", "its port for jobs cannot be reached from the scheduler",
     "open TCP port 10245 there (firewall, address translation), or start its iceccd with --no-remote"),
    ("silent", "it has stopped answering, so it gets no job until it speaks",
     "look whether the machine hangs, sleeps or lost its network; restart its iceccd"),
]
NAMES = ["ash", "beech", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "spruce", "willow"]
DIRS = ["core/render", "net/http", "ui/widgets", "base/strings", "media/codec", "third_party/zlib"]
SUBMITTERS = 10
# As much as the scheduler keeps.
CHANGES_MAX = 32768


class Cluster:
    """What the made-up scheduler knows."""

    def __init__(self, hosts, slots):
        self.rnd = random.Random(7)
        self.lock = threading.Lock()
        self.began = time.monotonic()
        self.hosts = [self.host(n + 1, slots) for n in range(hosts)]
        self.seq = 1000
        self.changes = []
        self.running = {}
        self.finished = []
        self.history = []
        self.counts = {"succeeded": 0, "failed": 0, "local": 0}
        self.next_job = 1
        self.due = []
        lenders = [host for host in self.hosts if host["state"] in ("ready", "full")]
        self.queue = [(self.rnd.uniform(0, 3000), host, seat) for host in lenders for seat in range(host["slots"])]
        self.ended_at = []

    def host(self, number, slots):
        state = {7: "silent", 19: "unreachable", 23: "loaded"}.get(number, "full")
        return {"id": number, "name": f"{NAMES[number % len(NAMES)]}-{number:03}", "address": f"10.1.{number // 250}.{number % 250}",
                "platform": "x86_64", "version": 44, "slots": slots if number > 2 else 0, "state": state if number > 2 else "no-slots",
                "load": self.rnd.randrange(700), "free_mem_mib": self.rnd.randrange(2000, 60000), "pace": 1.0, "jobs": 0,
                "submitted": 0, "done": 0, "failed": 0, "local": 0}

    def now(self):
        return int((time.monotonic() - self.began) * 1000)

    def change(self, kind, job):
        self.seq += 1
        self.changes.append((kind, job))
        del self.changes[:-CHANGES_MAX]

    def step(self):
        """Begins and ends what is due."""
        now = self.now()
        rest = []
        for at, host, seat in self.queue:
            if at > now:
                rest.append((at, host, seat))
                continue
            old = self.running.pop((host["id"], seat), None)
            if old:
                host["jobs"] -= 1
                old = dict(old, ended_ms=int(at))
                old["status"] = 1 if self.rnd.random() < 0.004 else 0
                host["done"] += 1
                host["failed"] += old["status"]
                self.counts["failed" if old["status"] else "succeeded"] += 1
                self.change("ended", old)
                self.finished = self.finished[-999:] + [old]
                self.ended_at.append(now)
                # Waves, as builds come and go.
                wave = 300 if self.rnd.random() < 0.75 + 0.25 * ((now // 20000) % 2) else 9000
                rest.append((at + self.rnd.uniform(20, wave), host, seat))
                continue
            by = 1 + self.rnd.randrange(SUBMITTERS)
            name = f"{self.rnd.choice(DIRS)}/unit_{self.rnd.randrange(9999)}.cc"
            job = {"id": self.next_job, "host": host["id"], "seat": seat, "by": by, "file": name, "began_ms": int(at)}
            self.next_job += 1
            host["jobs"] += 1
            self.hosts[by - 1]["submitted"] += 1
            self.running[(host["id"], seat)] = job
            self.change("began", job)
            rest.append((at + self.rnd.uniform(2000, 6000), host, seat))
        self.queue = rest

    def sample(self):
        slots = sum(host["slots"] for host in self.hosts)
        waiting = max(0, len(self.running) * 2 - slots)
        return {"at_ms": self.now(), "slots": slots, "running": len(self.running), "local": 3, "waiting": waiting, "finished": 0}

    def status(self):
        now = self.now()
        self.ended_at = [at for at in self.ended_at if at > now - 10000]
        sample = self.sample()
        waiting = [{"id": n, "by": 1 + n % SUBMITTERS, "file": f"{DIRS[n % 6]}/later_{n}.cc", "asked_ms": now - 90 * n}
                   for n in range(min(50, sample["waiting"]))]
        counts = dict(self.counts, requested=self.next_job, placed=self.next_job, cancelled=0, lost=0, source_bytes=0,
                      object_bytes=0, compile_ms=0)
        return {"version": "demo", "netname": "ICECREAM", "now_ms": now, "seq": self.seq, "now": sample,
                "jobs_per_second": [len(self.ended_at) / 10, len(self.ended_at) / 10], "counts": counts, "waiting": waiting,
                "hosts": self.hosts, "states": [dict(zip(("word", "sentence", "remedy"), state)) for state in STATES]}

    def jobs(self, since):
        count = self.seq - since if since is not None else CHANGES_MAX + 1
        answer = {"now_ms": self.now(), "seq": self.seq, "more": False, "gone": [], "history_s": 600}
        if 0 <= count <= len(self.changes):
            changes = self.changes[len(self.changes) - count:][:1024]
            answer.update(seq=since + len(changes), more=len(changes) < count)
            there = {job["id"] for job in self.running.values()}
            began = [job for kind, job in changes if kind == "began" and job["id"] in there]
            return dict(answer, full=False, running=began, ended=[job for kind, job in changes if kind == "ended"])
        return dict(answer, full=True, running=list(self.running.values()), ended=self.finished, history=self.history)

    def run(self):
        while True:
            time.sleep(0.1)
            with self.lock:
                self.step()
                if not self.history or self.now() - self.history[-1]["at_ms"] > 1000:
                    self.history = self.history[-599:] + [self.sample()]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the scheduler does."""

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        since = urllib.parse.parse_qs(url.query).get("since")
        if url.path in FILES:
            name, kind = FILES[url.path]
            return self.send(kind, (WEB / name).read_bytes())
        with CLUSTER.lock:
            if url.path == "/api/status":
                text = json.dumps(CLUSTER.status())
            elif url.path == "/api/jobs":
                text = json.dumps(CLUSTER.jobs(int(since[0]) if since else None))
            else:
                return self.send_error(404)
        self.send("application/json", text.encode())

    def send(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy",
                         "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
                         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port, hosts, slots = [int(word) for word in sys.argv[1:4]] + [8768, 200, 32][len(sys.argv) - 1:]
    CLUSTER = Cluster(hosts, slots)
    threading.Thread(target=CLUSTER.run, daemon=True).start()
    # A browser that leaves is no error.
    http.server.ThreadingHTTPServer.handle_error = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
