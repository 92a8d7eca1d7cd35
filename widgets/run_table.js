// The table of earlier runs. A row's button writes the row's key to the trait `chosen`.

const FIT = 5; // rows that are surely seen at once

function cell(row, tag, text) {
  const made = row.appendChild(document.createElement(tag));
  made.textContent = text;
  return made;
}

function render({ model, el }) {
  el.classList.add("labkit-runs");

  function draw() {
    const at = el.contains(document.activeElement) && document.activeElement.closest("tr")?.dataset.key;
    const [rows, locked, shown] = [model.get("rows"), model.get("locked"), model.get("shown")];
    if (!rows.length) {
      el.replaceChildren("No earlier runs in this store.");
      return;
    }
    const table = document.createElement("table");
    cell(table, "caption", "Earlier runs");
    const head = table.createTHead().insertRow();
    for (const name of ["Started", "State", "Done", "Parameters", "Open"]) cell(head, "th", name).scope = "col";
    head.lastChild.innerHTML = '<span class="labkit-unseen">Open</span>'; // the buttons show what it is
    const body = table.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      line.dataset.key = row.key;
      line.classList.toggle("labkit-shown", row.key === shown);
      cell(line, "td", row.started);
      cell(line, "td", row.state).classList.add("labkit-state", `labkit-state-${row.state}`);
      cell(line, "td", row.done);
      const what = cell(line, "td", row.parameters);
      what.classList.add("labkit-parameters");
      if (row.error) cell(what, "div", row.error).classList.add(row.state === "failed" ? "labkit-error" : "labkit-quiet");
      const open = cell(line, "td", "").appendChild(document.createElement("button"));
      open.textContent = "Open";
      open.disabled = locked;
      open.setAttribute("aria-label", `Open the run ${row.parameters}, started ${row.started}`);
      open.title = `Set the controls to these parameters: ${row.parameters}`;
      open.addEventListener("click", () => {
        model.set("chosen", row.key);
        model.save_changes();
      });
    }
    const scroll = document.createElement("div");
    scroll.className = "labkit-scroll";
    if (rows.length > FIT) {
      scroll.tabIndex = 0; // arrow keys scroll what has the focus
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", "Earlier runs");
    }
    scroll.append(table);
    el.replaceChildren(scroll);
    if (at) [...body.rows].find((line) => line.dataset.key === at)?.querySelector("button").focus(); // drawn anew
  }

  for (const trait of ["rows", "locked", "shown"]) model.on(`change:${trait}`, draw);
  draw();
  return () => {
    for (const trait of ["rows", "locked", "shown"]) model.off(`change:${trait}`, draw);
  };
}

export default { render };
