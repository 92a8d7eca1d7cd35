// The table of earlier runs. A row's button writes the row's key to the trait `chosen`.

function cell(row, tag, text, title) {
  const made = row.appendChild(document.createElement(tag));
  made.textContent = text;
  if (title) made.title = title;
  return made;
}

function render({ model, el }) {
  el.classList.add("labkit-runs");

  function draw() {
    const [rows, locked, shown] = [model.get("rows"), model.get("locked"), model.get("shown")];
    if (!rows.length) {
      el.replaceChildren("No earlier runs in this store.");
      return;
    }
    const table = document.createElement("table");
    cell(table, "caption", "Earlier runs");
    const head = table.createTHead().insertRow();
    for (const name of ["Started", "State", "Done", "Parameters", ""]) cell(head, "th", name).scope = "col";
    const body = table.createTBody();
    for (const row of rows) {
      const line = body.insertRow();
      line.dataset.key = row.key;
      line.classList.toggle("labkit-shown", row.key === shown);
      cell(line, "td", row.started);
      cell(line, "td", row.state, row.error).classList.add("labkit-state", `labkit-state-${row.state}`);
      cell(line, "td", row.done);
      cell(line, "td", row.parameters).classList.add("labkit-parameters");
      const open = cell(line, "td", "").appendChild(document.createElement("button"));
      open.textContent = "Open";
      open.disabled = locked;
      open.title = `Set the controls to these parameters: ${row.parameters}`;
      open.addEventListener("click", () => {
        model.set("chosen", row.key);
        model.save_changes();
      });
    }
    const scroll = document.createElement("div");
    scroll.className = "labkit-scroll";
    scroll.append(table);
    el.replaceChildren(scroll);
  }

  for (const trait of ["rows", "locked", "shown"]) model.on(`change:${trait}`, draw);
  draw();
  return () => {
    for (const trait of ["rows", "locked", "shown"]) model.off(`change:${trait}`, draw);
  };
}

export default { render };
