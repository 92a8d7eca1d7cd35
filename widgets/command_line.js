// A line, such as a command, and a button that copies it.

function render({ model, el }) {
  el.classList.add("labkit-command");
  const line = el.appendChild(document.createElement("code"));
  const copy = el.appendChild(document.createElement("button"));
  copy.textContent = model.get("label");
  const news = el.appendChild(document.createElement("span")); // a button whose words change is not read out
  news.classList.add("labkit-unseen");
  news.setAttribute("role", "status");

  const draw = () => (line.textContent = model.get("text"));
  const say = (word) => {
    copy.textContent = news.textContent = word;
    setTimeout(() => {
      copy.textContent = model.get("label");
      news.textContent = ""; // so that the same word is news again
    }, 1500);
  };
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(model.get("text"));
      say("Copied");
    } catch {
      getSelection().selectAllChildren(line); // a page without https may not write the clipboard
      say("Press Ctrl+C");
    }
  });
  model.on("change:text", draw);
  draw();
  return () => model.off("change:text", draw);
}

export default { render };
