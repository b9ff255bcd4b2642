"use strict";

// Matrices as tables that one can walk through: shaded by sign and size, one cell in the order of
// Tab, arrow keys from there. Only the first rows and columns of a large one are in the data.

// A number as it is in the data, where what JSON lacks is a string such as "NaN".
function exact(value) {
  return String(Number(value)).replaceAll("-", "−");
}

// The same, short enough for a cell.
function short(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return exact(number);
  return exact(Number(number.toPrecision(3)));
}

function shade(cell, value, largest) {
  const part = largest > 0 ? Math.min(Math.abs(value) / largest, 1) : 0;
  if (!(part > 0)) return;
  cell.classList.add(value > 0 ? "positive" : "negative");
  cell.style.setProperty("--heat", `${Math.round(55 * part)}%`);
}

// A row or column number; "…" after those that are shown where there are more.
function headings(count, total) {
  const names = Array.from({ length: count }, (_, i) => String(i));
  return total > count ? [...names, "…"] : names;
}

// A figure of one matrix. `choose(row, column)` is called for the cell that is pointed at or has
// the focus, and `leave()` when there is none any more.
function matrixFigure(name, matrix, choose, leave) {
  const [rows, columns] = matrix.shape;
  const values = matrix.values;
  const table = element("table", { role: "grid" });
  table.setAttribute("aria-label", `${name}, ${rows} rows, ${columns} columns`);
  table.dataset.name = name;
  const shownColumns = values.length ? values[0].length : 0;
  const top = element("tr", {}, element("th", {}));
  for (const text of headings(shownColumns, columns)) {
    top.append(element("th", { scope: "col", textContent: text }));
  }
  table.append(element("thead", {}, top));
  const body = element("tbody", {});
  headings(values.length, rows).forEach((text, r) => {
    const line = element("tr", {}, element("th", { scope: "row", textContent: text }));
    (values[r] ?? []).forEach((value, c) => {
      const cell = element("td", { textContent: short(value), tabIndex: r + c === 0 ? 0 : -1 });
      cell.dataset.row = r;
      cell.dataset.column = c;
      shade(cell, Number(value), Number(matrix.largest));
      line.append(cell);
    });
    body.append(line);
  });
  table.append(body);
  listen(table, choose, leave);
  const caption = element("figcaption", {}, element("b", { textContent: name }));
  caption.append(` (${rows}, ${columns})`);
  return element("figure", {}, caption, element("div", { className: "scroll" }, table));
}

function listen(table, choose, leave) {
  const told = (event) => {
    const cell = event.target.closest("td");
    if (cell) choose(Number(cell.dataset.row), Number(cell.dataset.column));
  };
  table.addEventListener("pointerover", told);
  table.addEventListener("focusin", told);
  table.addEventListener("pointerleave", leave);
  table.addEventListener("focusout", leave);
  table.addEventListener("keydown", (event) => walk(event, table));
  table.addEventListener("click", (event) => focusCell(table, event.target.closest("td")));
}

const STEPS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

function walk(event, table) {
  const cell = event.target.closest("td");
  const step = STEPS[event.key];
  if (!cell || !step) return;
  event.preventDefault();
  const last = cell.parentElement.querySelectorAll("td").length - 1;
  const row = Number(cell.dataset.row) + step[0];
  const column = Math.max(0, Math.min(last, Number(cell.dataset.column) + step[1]));
  focusCell(table, table.querySelector(`td[data-row="${row}"][data-column="${column}"]`));
}

function focusCell(table, cell) {
  if (!cell) return;
  for (const other of table.querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
  cell.tabIndex = 0;
  cell.focus();
}

// Outline cells of a table: a row where column is null, a column where row is null, or one cell.
function mark(table, row, column) {
  for (const cell of table.querySelectorAll("td")) {
    const inRow = row === null || Number(cell.dataset.row) === row;
    const inColumn = column === null || Number(cell.dataset.column) === column;
    cell.classList.toggle("marked", inRow && inColumn);
  }
}

function unmark(table) {
  for (const cell of table.querySelectorAll(".marked")) cell.classList.remove("marked");
}
