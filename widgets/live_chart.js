// A chart that grows while a training runs. `vegaEmbed` comes from the bundle that live_chart.py makes of
// this file, so nothing is fetched. A spec is embedded once; after that rows are patched into its data set "points",
// and the drawing stays the same element: no flicker, no lost zoom.

const SOURCE = "points";

function render({ model, el }) {
  let chart = null;
  let turn = 0;
  const begin = async () => {
    const mine = ++turn;
    chart?.close();
    chart = null;
    const drawn = await draw(model, el);
    if (mine !== turn) return drawn.close(); // another spec came meanwhile
    chart = drawn;
    model.send({ have: chart.size() }); // rows may have come between the model's making and this drawing
  };
  const receive = (message) => chart?.receive(message);
  const replace = () => {
    if (!chart) return; // a drawing in the making reads the rows itself
    chart.replace();
    model.send({ have: chart.size() }); // the model's rows lack those that came as messages
  };
  const tell = () => el.setAttribute("aria-label", model.get("words") || "Chart");
  el.setAttribute("role", "img"); // as a whole: a screen reader would read hundreds of points one by one
  tell();
  model.on("change:words", tell);
  model.on("change:spec", begin);
  model.on("change:replacements", replace);
  model.on("msg:custom", receive);
  begin();
  return () => {
    turn += 1;
    chart?.close();
    model.off("change:words", tell);
    model.off("change:spec", begin);
    model.off("change:replacements", replace);
    model.off("msg:custom", receive);
  };
}

async function draw(model, el) {
  el.classList.add("labkit-chart");
  const holder = document.createElement("div");
  holder.setAttribute("aria-hidden", "true"); // the element's own words stand for the drawing
  el.replaceChildren(holder);
  holder.style.display = "block"; // Vega-Embed would shrink it to its drawing, which then could not follow the page
  const spec = structuredClone(model.get("spec"));
  const fluid = spec.width === "container";
  if (fluid) Object.assign(spec, { width: holder.clientWidth || 600, autosize: { type: "fit-x", contains: "padding" } });
  spec.autosize = { ...spec.autosize, resize: true }; // a legend may come with the rows
  const { view, finalize } = await vegaEmbed(holder, spec, { renderer: "svg", actions: false });
  const watch = new ResizeObserver(() => holder.clientWidth && view.width(holder.clientWidth).runAsync());
  if (fluid) watch.observe(holder);

  let size = 0; // rows handed to the view so far
  let waiting = [];
  let clear = false;
  let busy = false;

  // One change at a time: a second change before the first has run would take its place, and rows would be lost.
  async function flush() {
    if (busy) return;
    busy = true;
    while (waiting.length || clear) {
      const change = view.changeset();
      if (clear) change.remove(() => true);
      change.insert(waiting);
      [waiting, clear] = [[], false];
      await view.change(SOURCE, change).runAsync();
      el.dataset.rows = size; // for whoever reads the page: how many points are drawn
    }
    busy = false;
  }

  function replace() {
    const rows = structuredClone(model.get("rows")); // Vega marks its rows; the model's stay as they are
    [waiting, clear, size] = [rows, true, rows.length];
    flush();
  }

  function receive({ at, rows }) {
    if (at > size) return model.send({ have: size }); // some are missing
    const fresh = rows.slice(size - at);
    waiting.push(...fresh);
    size += fresh.length;
    flush();
  }

  replace();
  return {
    receive,
    replace,
    size: () => size,
    close() {
      watch.disconnect();
      finalize();
    },
  };
}

export default { render };
