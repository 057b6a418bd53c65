#!/usr/bin/env python3
"""Opens the scheduler's page in a headless Chromium, takes pictures, and measures its script: browser.py URL FOLDER SECONDS

It speaks WebDriver with `chromedriver`. It fails if the console has an error, or a frame's script takes too long: median over
4 ms, or more than one in a hundred over 12 ms.
"""
import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

MEDIAN_MAX, P99_MAX = 4.0, 12.0


class Browser:
    """A session of chromedriver."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        port = None
        while port is None:
            line = self.driver.stdout.readline()
            if not line:
                raise SystemExit("chromedriver does not start")
            if "on port " in line and "successfully" in line:
                port = line.rsplit("on port ", 1)[1].strip(". \n")
        self.base = f"http://127.0.0.1:{port}/session"
        args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
                "--disable-component-update", "--no-first-run", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": args}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.base += "/" + self.call("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, path, body=None):
        request = urllib.request.Request(self.base + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def cdp(self, command, **params):
        return self.call("/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script):
        return self.call("/execute/sync", {"script": script, "args": []})

    def size(self, width, height, scale=1, mobile=False):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def dark(self, is_dark):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.call("/screenshot")))

    def errors(self):
        return [entry for entry in self.call("/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]

    def end(self):
        try:
            urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=30).close()
        finally:
            self.driver.terminate()
            self.driver.wait(30)


def figures(costs):
    costs = sorted(costs)
    at = lambda share: costs[min(len(costs) - 1, int(len(costs) * share))]
    return at(0.5), at(0.99), costs[-1]


def main():
    url, folder, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), float(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    browser = Browser(folder)
    try:
        failed = look(browser, url, folder, seconds)
    finally:
        browser.end()
    sys.exit(1 if failed else 0)


def look(browser, url, folder, seconds):
    browser.size(1600, 1000)
    browser.dark(False)
    browser.call("/url", {"url": url})
    time.sleep(5)
    browser.run("frameCosts.length = 0")
    time.sleep(seconds)
    costs = browser.run("return frameCosts")
    browser.picture(folder / "wide.png")
    working = [cost for cost in costs if cost >= 0.3]
    median, p99, worst = figures(costs)
    print(f"script time of {len(costs)} frames in {seconds:.0f} s: median {median:.2f} ms, p99 {p99:.2f} ms, worst {worst:.2f} ms")
    if working:
        print("of the {} that had something to do: median {:.2f} ms, p99 {:.2f} ms".format(len(working), *figures(working)[:2]))
    for name, (width, height, scale, dark) in {"wide-dark": (1600, 1000, 1, True), "wall": (3840, 2160, 1, True),
                                                "phone": (390, 844, 2, False), "phone-dark": (390, 844, 2, True)}.items():
        browser.dark(dark)
        browser.size(width, height, scale, name.startswith("phone"))
        time.sleep(4)
        browser.picture(folder / f"{name}.png")
        wide = browser.run("return document.documentElement.scrollWidth - innerWidth")
        print(f"{name}.png: {width} x {height}, {'fits' if wide <= 0 else f'{wide} pixels too wide'}")
    errors = browser.errors()
    for entry in errors:
        print("console:", entry["message"])
    shown = browser.run("return document.querySelectorAll('#hosts tr').length + ' hosts, ' + document.getElementById('busy').textContent + ' slots busy'")
    print(shown)
    slow = median > MEDIAN_MAX or p99 > P99_MAX
    if slow:
        print(f"FAILED: more than {MEDIAN_MAX} ms or {P99_MAX} ms")
    return bool(errors) or slow


main()
