"""JupyterLab on a loopback port and a Chromium in front of it, with the steps a person would take."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Lab:
    """A JupyterLab server with a folder, a store and settings of its own.

    Args:
        root: an empty folder that the server serves.
        store: the folder of the results ($LABKIT_STORE of the kernels).
        subshells: whether widget messages travel over kernel subshells.
        theme: "light" or "dark".
    """

    def __init__(self, root: Path, store: Path, *, subshells: bool = True, theme: str = "light") -> None:
        self.root, self.token = root, secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._write_settings(subshells, theme)
        private = {
            f"{name}_DIR": str(root / ".lab" / name.lower())
            for name in ("JUPYTER_CONFIG", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
        }
        self._log = (root / "lab.log").open("w")
        self._server = subprocess.Popen(
            [
                sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}",
                f"--IdentityProvider.token={self.token}", "--LabApp.news_url=None",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            ],
            cwd=root, env=os.environ | private | {"LABKIT_STORE": str(store)},
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._until(self._answers, "JupyterLab is up")

    def close(self) -> None:
        """End the server and its kernels."""
        self._server.terminate()
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
        self._log.close()

    def open(self, page: Page, notebook: str) -> None:
        """Show a notebook alone, without the saved layout."""
        page.goto(f"{self.url}/doc/tree/{notebook}?reset&token={self.token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Until the page's kernel is idle with the page's socket attached: before that, Run All is dropped without a
        word, and the page itself cannot tell."""
        self._until(self._kernels_idle, "the kernel is idle")

    def run_all(self, page: Page) -> None:
        """Run > Run All Cells, again if nothing came of it, until the last cell has run."""
        self.wait_for_kernel()
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
        dialog = page.locator(".jp-Dialog button.jp-mod-accept")
        for _ in range(6):
            if dialog.count():  # "Select Kernel": the preferred one
                dialog.click()
                self.wait_for_kernel()
            self.menu(page, "Run", "Run All Cells")
            with contextlib.suppress(AssertionError):
                expect(prompts.first).to_have_text(re.compile(r"\[(\*|\d+)\]"), timeout=3_000)
                break
        failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        done = prompts.last.filter(has_text=re.compile(r"\[\d+\]"))
        expect(failed.or_(done).first).to_be_visible(timeout=60_000)
        assert failed.all_inner_texts() == []

    def menu(self, page: Page, menu: str, item: str) -> None:
        """Choose an item of the menu bar."""
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{menu}$")).click()
        page.locator(".lm-Menu-itemLabel", has_text=re.compile(rf"^{item}")).first.click()

    def restart_kernel(self, page: Page) -> None:
        """Restart the page's kernel, as somebody does who wants a fresh start."""
        self.menu(page, "Kernel", "Restart Kernel…")
        page.locator(".jp-Dialog button.jp-mod-accept").click()
        page.wait_for_timeout(500)
        self.wait_for_kernel()

    def save(self, page: Page) -> None:
        """Write the notebook with what it shows."""
        self.menu(page, "File", "Save Notebook")
        expect(page.locator(".jp-mod-dirty")).to_have_count(0)

    def _answers(self) -> bool:
        assert self._server.poll() is None, "JupyterLab has ended"
        with contextlib.suppress(OSError):
            self._get("status")
            return True
        return False

    def _kernels_idle(self) -> bool:
        kernels = [session["kernel"] for session in self._get("sessions")]
        return bool(kernels) and all(k["connections"] and k["execution_state"] == "idle" for k in kernels)

    def _get(self, what: str) -> list[dict] | dict:
        with urllib.request.urlopen(f"{self.url}/api/{what}?token={self.token}", timeout=5) as answer:
            return json.load(answer)

    def _until(self, condition: object, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s until {what}"
            time.sleep(0.2)

    def _write_settings(self, subshells: bool, theme: str) -> None:
        settings = {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},  # covers a corner
            "apputils-extension/themes": {"theme": f"JupyterLab {theme.title()}"},
            "apputils-extension/kernels-settings": {"commsOverSubshells": "perCommTarget" if subshells else "disabled"},
            "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of view stay in the page
        }
        for name, value in settings.items():
            file = self.root / ".lab" / "jupyterlab_settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(value))


class Panel:
    """The panel's parts in the page, by their stable classes."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(".labkit-panel")
        self.status = page.locator(".labkit-status")
        self.chart = page.locator(".labkit-chart")
        self.rows = page.locator(".labkit-runs tbody tr")
        self.verdict = page.locator(".labkit-verdict")
        self.spent = page.locator(".labkit-spent-words")

    def button(self, name: str) -> Locator:
        return self.page.locator(f"button.labkit-{name}")

    def entry(self, field: str) -> Locator:
        return self.page.locator(f".labkit-field-{field} :is(input[type=text], select)")

    def says(self, text: str, seconds: float = 30) -> None:
        """Wait until the status holds these words."""
        expect(self.status).to_contain_text(text, timeout=1000 * seconds)

    def points(self) -> int:
        """Rows that the chart has drawn."""
        return int(self.chart.get_attribute("data-rows") or 0)

    def wait_for_points(self, count: int) -> None:
        """Until the chart has drawn at least so many rows."""
        self.page.wait_for_function(f"Number(document.querySelector('.labkit-chart').dataset.rows) >= {count}")

    def mark_drawing(self) -> None:
        """Remember the chart's element, and count from now on how often its data are patched."""
        self.chart.locator("svg").wait_for()
        self.page.evaluate("""() => {
            const chart = document.querySelector(".labkit-chart");
            window.drawing = chart.querySelector("svg");
            window.patches = 0;
            const watch = new MutationObserver((seen) => (window.patches += seen.length));
            watch.observe(chart, { attributes: true, attributeFilter: ["data-rows"] });
        }""")

    def redraws(self, seconds: float) -> int:
        """How often the chart is patched within so many seconds."""
        before = self.page.evaluate("window.patches")
        self.page.wait_for_timeout(1000 * seconds)
        return self.page.evaluate("window.patches") - before

    def same_drawing(self) -> bool:
        """Whether the chart is still the element that was remembered."""
        return self.page.evaluate("document.querySelector('.labkit-chart svg') === window.drawing")

    def watch_gauge(self) -> None:
        """Remember from now on every width of the gauge's bar, in per cent."""
        self.page.evaluate("""() => {
            const bar = document.querySelector(".labkit-spent .progress-bar");
            window.widths = [];
            const look = () => window.widths.push(parseFloat(bar.style.width));
            new MutationObserver(look).observe(bar, { attributes: true, attributeFilter: ["style"] });
        }""")

    def gauge_widths(self) -> list[float]:
        """The widths seen since the gauge is watched."""
        return self.page.evaluate("window.widths")

    def milliseconds_until(self, button: str, text: str) -> float:
        """Press a button, and measure in the page how long it takes until the status begins with a text."""
        return self.page.evaluate(
            """([button, text]) => new Promise((resolve) => {
                const status = document.querySelector(".labkit-status");
                const began = performance.now();
                const look = () =>
                    status.textContent.startsWith(text) ? resolve(performance.now() - began) : setTimeout(look, 5);
                document.querySelector(`button.labkit-${button}`).click();
                look();
            })""",
            [button, text],
        )

    def type(self, field: str, text: str) -> None:
        """Type into an entry and leave it with Enter."""
        self.entry(field).fill(text)
        self.entry(field).press("Enter")

    def drag(self, field: str, share: float) -> None:
        """Drag a slider's handle with the mouse to a share of its track."""
        row = self.page.locator(f".labkit-field-{field}")
        handle, track = row.locator(".noUi-handle"), row.locator(".noUi-base")
        handle.scroll_into_view_if_needed()
        box, base = handle.bounding_box(), track.bounding_box()
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] / 2, y)
        self.page.mouse.down()
        self.page.mouse.move(base["x"] + base["width"] * share, y, steps=12)
        self.page.mouse.up()
