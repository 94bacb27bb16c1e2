// A table that sorts by the column whose heading is pressed; a second press turns the order round.
"use strict";

const table = document.getElementById("ledger");
const body = table.tBodies[0];
const headings = [...table.tHead.rows[0].cells];

function valueOf(row, column) {
  const text = row.cells[column].dataset.sort;
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  const sameKind = typeof a === typeof b;
  if (sameKind && typeof a === "number") return a - b;
  if (sameKind) return a.localeCompare(b);
  return typeof a === "number" ? -1 : 1; // numbers before words
}

function sortBy(column) {
  const falling = headings[column].getAttribute("aria-sort") === "ascending";
  const rows = [...body.rows];
  const filled = rows.filter((row) => row.cells[column].dataset.sort !== "");
  const empty = rows.filter((row) => row.cells[column].dataset.sort === "");
  filled.sort((a, b) => compare(valueOf(a, column), valueOf(b, column)) * (falling ? -1 : 1));
  body.append(...filled, ...empty); // what was not measured comes last, in both orders
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
}

headings.forEach((heading, column) => {
  heading.querySelector("button").addEventListener("click", () => sortBy(column));
});
