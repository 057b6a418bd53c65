#!/usr/bin/env python3
"""Makes a recording for icetop --replay: so many hosts with so many slots, busy for so many seconds.

    testdata/monitor/feed.py HOSTS SLOTS SECONDS >FILE
"""

import heapq
import json
import math
import random
import sys

STEP = 0.05
FILES = ["src/", "lib/core/", "tests/unit/", "drivers/net/ethernet/"]


def main():
    hosts, slots, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    random.seed(4)
    events = [(0, {"event": "connected", "scheduler": "10.0.0.1:8765", "protocol": 43})]
    events += [(0, host(number, slots)) for number in range(1, hosts + 1)]
    events += work(hosts, slots, seconds)
    for at, event in sorted(events, key=lambda pair: pair[0]):
        print(json.dumps({"at": round(at, 3), **event}))


def host(number, slots):
    text = {
        "Name": f"build{number:03}",
        "IP": f"10.0.{number // 250}.{number % 250 + 1}",
        "MaxJobs": slots,
        "NoRemote": str(takes_none(number)).lower(),
        "Platform": "x86_64",
        "Version": 43,
        "Speed": f"{random.uniform(80, 300):.6f}",
        "Load": random.randint(0, 1000),
        "FreeMem": random.randint(1000, 60000),
    }
    return {"event": "host", "host": number, "text": "".join(f"{key}:{value}\n" for key, value in text.items())}


def takes_none(number):
    return number % 37 == 0


def work(hosts, slots, seconds):
    """Jobs that come in waves, wait for a slot, and end."""
    submitters = [number for number in (1, 2, 3, 5, 8, 13, 21, 34) if number <= hosts]
    free = {number: slots for number in range(1, hosts + 1) if not takes_none(number)}
    queue, running, job, now = [], [], 0, 0.0
    while now < seconds:
        now += STEP
        wanted = int(hosts * slots * 0.012 * (1 + 0.8 * math.sin(now / 15))) + (random.random() < 0.4)
        for _ in range(wanted):
            job += 1
            file = f"{random.choice(FILES)}unit_{job % 977}.cc"
            queue.append(job)
            yield now, {"event": "asked", "job": job, "host": random.choice(submitters), "file": file, "language": 1}
        while running and running[0][0] <= now:
            _, ended, number = heapq.heappop(running)
            free[number] += 1
            sizes = {"bytes_in": random.randint(20_000, 400_000), "bytes_out": random.randint(2_000, 90_000)}
            status = int(random.random() < 0.004)
            yield now, {"event": "done", "job": ended, "status": status, "real_ms": 1500, **sizes}
        able = [number for number in free if free[number]]
        while queue and able:
            number = random.choice(able)
            free[number] -= 1
            if not free[number]:
                able.remove(number)
            begun = queue.pop(0)
            heapq.heappush(running, (now + random.lognormvariate(1.0, 0.8), begun, number))
            yield now, {"event": "begun", "job": begun, "host": number}
        if random.random() < 0.2:
            job += 1
            yield now, {"event": "local", "job": job, "host": random.choice(submitters), "file": "program"}
            yield now + 2, {"event": "local_done", "job": job}


main()
