// Fold long signatures on narrow screens.
document.addEventListener("DOMContentLoaded", () => {
  if (!window.matchMedia("(max-width: 600px)").matches) return;
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
