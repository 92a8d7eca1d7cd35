"""Whoever cannot see the button's new words hears them. The script runs on Playwright's own Node, in a page of paper:
no browser is started."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

SCRIPT = Path(__file__).parent.parent.parent / "widgets" / "command_line.js"
PAGE = """
const made = [];
globalThis.document = { createElement(tag) {
  const part = { tag, textContent: "", classes: [], attributes: {}, heard: {} };
  part.classList = { add: (name) => part.classes.push(name) };
  part.setAttribute = (name, value) => (part.attributes[name] = value);
  part.addEventListener = (name, call) => (part.heard[name] = call);
  part.appendChild = (child) => (made.push(child), child);
  return part;
} };
let later = () => {};
globalThis.setTimeout = (call) => (later = call);
globalThis.getSelection = () => ({ selectAllChildren() {} });
const copied = [];
const clipboard = { async writeText(text) { if (!ALLOWED) throw new Error("no https"); copied.push(text); } };
Object.defineProperty(globalThis, "navigator", { value: { clipboard }, configurable: true });
const values = { text: "99 steps=7", label: "Copy state" };
const { default: widget } = await import("data:text/javascript," + encodeURIComponent(SCRIPT));
widget.render({ model: { get: (name) => values[name], on() {}, off() {} }, el: document.createElement("div") });
const [line, button] = made;
const news = made.filter((part) => part.attributes.role === "status");
const state = () => ({ button: button.textContent, said: news.map((part) => part.textContent) });
const told = [state()];
await button.heard.click();
told.push(state());
later();
told.push(state());
console.log(JSON.stringify({ told, copied, unseen: news.map((part) => part.classes), line: line.textContent }));
"""


@pytest.mark.parametrize(("allowed", "word"), [(True, "Copied"), (False, "Press Ctrl+C")])
def test_what_became_of_the_copy_is_news(allowed, word):
    node, _ = compute_driver_executable()
    page = f"const ALLOWED = {json.dumps(allowed)}, SCRIPT = {json.dumps(SCRIPT.read_text())};{PAGE}"
    done = subprocess.run(
        [node, "--input-type=module", "-"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["told"] == [
        {"button": "Copy state", "said": [""]},  # a place that is there before it has news, or they are not read
        {"button": word, "said": [word]},
        {"button": "Copy state", "said": [""]},
    ]
    assert found["copied"] == (["99 steps=7"] if allowed else [])
    assert found["unseen"] == [["labkit-unseen"]]
    assert found["line"] == "99 steps=7"
