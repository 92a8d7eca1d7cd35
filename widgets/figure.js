// A picture with its words, for who cannot see it.

function render({ model, el }) {
  const image = el.appendChild(document.createElement("img"));
  image.className = "labkit-figure";
  const draw = () => {
    URL.revokeObjectURL(image.src);
    const data = model.get("value");
    if (data.byteLength) image.src = URL.createObjectURL(new Blob([data], { type: "image/png" }));
    image.width = model.get("width");
    image.alt = model.get("words");
  };
  model.on("change", draw);
  draw();
  return () => {
    model.off("change", draw);
    URL.revokeObjectURL(image.src);
  };
}

export default { render };
