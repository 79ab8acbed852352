"use strict";
// The page is complete without this: it adds sorting, opens the pair that a link points at, and unfolds for print.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...[...table.tHead.rows].at(-1).cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");  // first click: texts from A, numbers from the largest
      const rising = head.classList.contains("text") ? sorted !== "ascending" : sorted === "descending";
      const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");  // what is not known stays last
        const [n, m] = [Number(x), Number(y)];
        const by = Number.isNaN(n) || Number.isNaN(m) ? x.localeCompare(y) : n - m;
        return rising ? by : -by;
      };
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
}
const openTarget = () => {
  const target = /^#pair--?\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.closest("details").open = true;
  target.closest("details").scrollIntoView();
};
addEventListener("hashchange", openTarget);
openTarget();
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
