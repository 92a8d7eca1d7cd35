// The panel for hands without a mouse and for ears: what ipywidgets leaves unnamed is named, what only a mouse could
// open is opened by keys, and the status is spoken, seldom enough to be listened to. The element itself is the place
// where a screen reader finds what is new.

const GAP = 3000; // ms between two announcements
const PROGRESS = 15000; // ms between two that only say how far it is
const USED = ["style", "class", "disabled", "aria-valuenow", "aria-valuetext"]; // attributes that others change
let made = 0;

function render({ el }) {
  el.classList.add("labkit-news", "labkit-unseen");
  set(el, { role: "status", "aria-live": "polite", "aria-atomic": "true" });
  let [panel, leave, due] = [null, () => {}, 0];
  const find = () => {
    panel = el.closest(".labkit-panel");
    if (panel) leave = attend(panel, el);
    else due = setTimeout(find, 50); // it is put into the page after it is made
  };
  find();
  return () => {
    clearTimeout(due);
    leave();
  };
}

function attend(panel, news) {
  const [speak, focus] = [announcer(panel, news), follower(panel)];
  let due = 0;
  const tidy = () => {
    due = 0;
    panel.querySelectorAll(".labkit-field").forEach(nameField);
    panel.querySelectorAll(".jupyter-widget-Collapse-header").forEach(nameFold);
    nameBar(panel, ".labkit-bar", "progressbar", "how far the run is");
    nameBar(panel, ".labkit-spent", "meter", "share of epsilon that is spent");
    focus.keep();
    speak.consider();
  };
  const watch = new MutationObserver((changes) => {
    const drawing = (change) => news.contains(change.target) || change.target.closest?.(".labkit-chart");
    if (!due && !changes.every(drawing)) due = setTimeout(tidy, 30);
  });
  watch.observe(panel, { subtree: true, childList: true, characterData: true, attributeFilter: USED });
  // JupyterLab reads plain keys as commands to the notebook wherever the focus is: x on a button would cut the cell.
  const plain = (event) => !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== "Escape";
  const hush = (event) => {
    if (panel.contains(event.target)) event.target.toggleAttribute("data-lm-suppress-shortcuts", plain(event));
  };
  addEventListener("keydown", hush, true); // of the window, hence before JupyterLab's own, which is the document's
  document.addEventListener("focusin", focus.moved);
  tidy();
  return () => {
    clearTimeout(due);
    speak.stop();
    watch.disconnect();
    removeEventListener("keydown", hush, true);
    document.removeEventListener("focusin", focus.moved);
  };
}

// An entry is described by its help, its note and its complaint; the slider beside it has its name and its value.
function nameField(row) {
  const entry = row.querySelector(".labkit-entry :is(input, select)");
  const name = row.querySelector(".labkit-entry :is(.widget-label:not(.widget-label-basic), .widget-label-basic > span)");
  if (!entry || !name) return;
  const [help, note, complaint] = ["help", "note", "error"].map((part) => row.querySelector(`.labkit-${part}`));
  const words = [help, note, complaint].filter((part) => part?.textContent);
  set(name, { title: help?.textContent });
  set(entry, {
    "aria-describedby": words.map(named).join(" "),
    "aria-invalid": complaint?.textContent ? "true" : null,
  });
  const handle = row.querySelector(".noUi-handle");
  if (!handle) return;
  const off = entry.disabled;
  set(handle, {
    "aria-label": name.textContent,
    "aria-valuetext": row.querySelector(".widget-readout").textContent, // else the exponent, where the scale is a log
    "aria-describedby": words.map(named).join(" "),
    "aria-disabled": off ? "true" : null,
    tabindex: off ? "-1" : "0",
  });
}

// The heading that folds settings away is no button by itself.
function nameFold(head) {
  const body = head.nextElementSibling;
  if (!head.hasAttribute("role")) {
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      head.click();
    });
  }
  const open = !body.classList.contains("lm-mod-hidden");
  set(head, { role: "button", tabindex: "0", "aria-controls": named(body), "aria-expanded": String(open) });
}

function nameBar(panel, which, role, label) {
  const bar = panel.querySelector(`${which} .progress`);
  if (!bar) return;
  const now = Math.round(parseFloat(bar.firstElementChild.style.width) || 0);
  set(bar, { role, "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(now) });
  set(bar, { "aria-valuetext": `${now} per cent` });
}

// A button that was pressed may be switched off or hidden; the focus then goes to what may be pressed instead.
function follower(panel) {
  let last = null;
  const usable = (button) => !button.disabled && button.getClientRects().length > 0;
  return {
    moved: (event) => (last = event.target.closest?.(".labkit-buttons button") && panel.contains(event.target) ? event.target : null),
    keep() {
      if (!last || usable(last)) return;
      const next = [...panel.querySelectorAll(".labkit-buttons button")].find(usable);
      if (next && [last, document.body, null].includes(document.activeElement)) next.focus({ preventScroll: true });
    },
  };
}

function announcer(panel, news) {
  const text = (which) => [...panel.querySelectorAll(which)].map((one) => one.textContent).filter(Boolean);
  const look = () => {
    const state = panel.querySelector(".labkit-status")?.className ?? ""; // its classes say which state it tells of
    const rest = text(`.labkit-controls .labkit-error${state.includes("labkit-busy") ? "" : ", .labkit-verdict"}`);
    return { all: [...text(".labkit-status"), ...rest].join(" "), state: [state, ...rest].join() };
  };
  let [said, at, due] = [look(), -Infinity, 0]; // what is there at first is read, not announced
  function consider() {
    clearTimeout(due);
    const now = look();
    if (now.all === said.all) return;
    const wait = at + (now.state === said.state ? PROGRESS : GAP) - performance.now();
    if (wait > 0) return void (due = setTimeout(consider, wait));
    [said, at] = [now, performance.now()];
    news.textContent = now.all;
  }
  return { consider, stop: () => clearTimeout(due) };
}

function named(part) {
  return (part.id ||= `labkit-part-${(made += 1)}`);
}

// Only what differs is written: every write is a change that is looked at again.
function set(part, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === "") part.removeAttribute(name);
    else if (part.getAttribute(name) !== value) part.setAttribute(name, value);
  }
}

export default { render };
