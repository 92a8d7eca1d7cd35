"""What can be asked of a page about its panel: rules of axe-core, contrast, what is cut off, what overlaps."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PANEL = ".labkit-panel"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Relative luminance and contrast as WCAG 2 defines them. A colour with alpha is laid over what lies behind it.
CONTRASTS = r"""(selector) => {
  const parse = (text) => { const n = text.match(/[\d.]+(e-?\d+)?/g).map(Number);
    const k = text.startsWith("color(") ? 255 : 1; return [n[0] * k, n[1] * k, n[2] * k, n[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => {
    const v = c[i] / 255; return sum + w * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); }, 0);
  const ground = (e) => { const grounds = [];
    for (let at = e; at; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor);
      grounds.push(c); if (c[3] === 1) break; }
    return grounds.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
  const found = [];
  for (const e of document.querySelector(selector).querySelectorAll("*")) {
    const written = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const own = written || e.matches("input[type=text], select");
    const style = getComputedStyle(e);
    if (!own || e.matches("style, option, :disabled, :disabled *") || e.closest(".labkit-unseen")) continue;
    if (!e.getClientRects().length || style.visibility === "hidden") continue;
    const below = ground(e), ink = over(parse(e instanceof SVGElement ? style.fill : style.color), below);
    const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    const name = e.getAttribute("class") ?? e.tagName;
    found.push([(a + 0.05) / (b + 0.05), (e.value ?? e.textContent).trim().slice(0, 40), name]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""
# Pieces that hold a text or take a hand; a piece within another is no overlap, and a text may wrap but not be clipped.
LAYOUT = r"""(selector) => {
  const panel = document.querySelector(selector), said = [];
  const name = (e) => `${e.tagName}.${e.getAttribute("class") ?? ""} "${e.textContent.trim().slice(0, 30)}"`;
  const shown = (e) => e.getClientRects().length && getComputedStyle(e).visibility !== "hidden";
  const seen = (e) => shown(e) && !e.closest(".labkit-unseen, svg, style");
  const written = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const solid = (e) => e.matches("input, select, button, .noUi-handle, .labkit-chart, .progress");
  const pieces = [...panel.querySelectorAll("*")].filter((e) => seen(e) && (solid(e) || written(e)));
  const [edge, style] = [panel.getBoundingClientRect(), getComputedStyle(panel)];
  const left = edge.left + parseFloat(style.paddingLeft) - 1;
  const right = edge.right - parseFloat(style.paddingRight) + 1;
  const room = document.querySelector(".jp-WindowedPanel-outer").getBoundingClientRect();
  if (edge.right > room.right + 1 || edge.left < room.left) said.push(`outside the page: ${name(panel)}`);
  for (const e of [panel, ...panel.querySelectorAll("*")]) {
    const clips = getComputedStyle(e).overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1;
    if (clips && seen(e) && !e.matches("input")) said.push(`cut off: ${name(e)}`);
  }
  const box = (e) => { const range = document.createRange(); range.selectNodeContents(e);
    return (solid(e) ? e : range).getBoundingClientRect(); };
  const boxes = pieces.map((e) => [e, box(e)]);
  for (const [e, b] of boxes) if (b.right > right || b.left < left) said.push(`outside the panel: ${name(e)}`);
  boxes.forEach(([e, b], i) => boxes.slice(i + 1).forEach(([f, c]) => {
    const x = Math.min(b.right, c.right) - Math.max(b.left, c.left);
    const y = Math.min(b.bottom, c.bottom) - Math.max(b.top, c.top);
    if (x > 2 && y > 2 && !e.contains(f) && !f.contains(e)) said.push(`overlap: ${name(e)} and ${name(f)}`);
  }));
  return said;
}"""
FOCUS = """() => {
  const e = document.activeElement, style = getComputedStyle(e), row = e.closest(".labkit-field");
  const own = e.closest(".labkit-panel") ? "" : "outside ";
  const parameter = row ? [...row.classList].find((c) => c.startsWith("labkit-field-")).slice(13) : "";
  const what = e.getAttribute("role") ?? e.tagName.toLowerCase();
  const written = e.textContent.trim() || e.labels?.[0]?.textContent || what;
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [own + (parameter ? `${parameter} ${what}` : written), outlined, e.getAttribute("aria-label") ?? ""];
}"""


def rules(page: Page, *parts: str) -> tuple[dict[str, int], dict[str, list[str]]]:
    """What axe-core finds by the rules of WCAG 2.0 to 2.2, levels A and AA.

    Args:
        parts: selectors of what is looked at.

    Returns:
        for each rule that applies, on how many elements it was tried; and for each that is broken or that axe-core
        could not decide, the elements with what is wrong.
    """
    options = {"runOnly": {"type": "tag", "values": LEVELS}, "resultTypes": ["violations", "incomplete", "passes"]}
    found = Axe().run(page, context=[[part] for part in parts], options=options).response
    tried = {rule["id"]: 0 for kind in ("passes", "violations", "incomplete") for rule in found[kind]}
    wrong: dict[str, list[str]] = {}
    for kind in ("passes", "violations", "incomplete"):
        for rule in found[kind]:
            tried[rule["id"]] += len(rule["nodes"])
            if kind != "passes":
                wrong.setdefault(rule["id"], []).extend(
                    f"{node['target']}: {node['failureSummary']}" for node in rule["nodes"]
                )
    return tried, wrong


def faint(page: Page, least: float = 4.5) -> tuple[int, list[list]]:
    """How many texts of the panel are seen, and those whose contrast is below `least`: contrast, text, class."""
    found = page.evaluate(CONTRASTS, PANEL)
    return len(found), [entry for entry in found if entry[0] < least]


def misplaced(page: Page) -> list[str]:
    """What of the panel is cut off, lies outside it or over something else."""
    return page.evaluate(LAYOUT, PANEL)


def project(page: Page, width: int, height: int, zoom: float) -> None:
    """Lay the page out as for a projector of so many pixels at a zoom of the browser."""
    page.set_viewport_size({"width": round(width / zoom), "height": round(height / zoom)})
    page.evaluate("(selector) => document.querySelector(selector).scrollIntoView()", PANEL)
    page.wait_for_timeout(400)  # charts follow the width of the page


def focused(page: Page) -> tuple[str, bool, str]:
    """What has the focus, in words; whether an outline shows it; its label."""
    return tuple(page.evaluate(FOCUS))
