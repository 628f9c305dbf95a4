// On narrow screens, fold long signatures, and break the name of a class between its words.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.matchMedia("(max-width: 600px)").matches) return;
  const title = document.querySelector("article h1")?.firstChild;
  if (title && /^\w+$/.test(title.data)) {
    const words = title.data.split(/(?<=_)|(?<=[a-z])(?=[A-Z])/);
    const parts = words.flatMap((word) => [word, document.createElement("wbr")]);
    title.replaceWith(...parts);
  }
  for (const list of document.querySelectorAll("dt.sig > dl")) {
    const count = list.querySelectorAll(".sig-param").length;
    if (count < 4) continue;
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    details.className = "signature";
    summary.textContent = `${count} parameters`;
    list.replaceWith(details);
    details.append(summary, list);
  }
});
