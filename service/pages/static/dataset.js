/** A data set: rows of its arrays, as numbers or pictures. */

import { ApiError, call } from "./api.js";
import { confirmed, element, pageUrl, parameter, say, setParameters, t } from "./dom.js";

const ROWS = 20;
const MAX_CELLS = 200;

const section = document.getElementById("preview");
const array = document.getElementById("preview-array");
const rowsElement = document.getElementById("preview-rows");
const textElement = document.getElementById("preview-text");
const back = document.getElementById("preview-back");
const next = document.getElementById("preview-next");
const reference = section.dataset.dataset;
let first = Math.max(0, Number(parameter("first")) || 0);

async function show() {
  setParameters({ array: array.value, first: first || null });
  const query = new URLSearchParams({ array: array.value, first, rows: ROWS });
  try {
    draw(await call("GET", `/datasets/${encodeURIComponent(reference)}/preview?${query}`));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    rowsElement.replaceChildren();
    textElement.textContent = error.text;
    next.disabled = true;
  }
}

function draw(preview) {
  const last = preview.first + preview.rows.length;
  const total = preview.shape[0] ?? 0;
  const about = preview.rows.length ? t("datasets.rows", { first: preview.first + 1, last, total }) : t("datasets.no_rows");
  textElement.textContent = preview.truncated ? `${about} ${t("datasets.cut")}` : about;
  back.disabled = preview.first === 0;
  next.disabled = last >= total;
  next.dataset.first = String(last);
  const words = wordsOf(preview);
  rowsElement.replaceChildren(preview.looks_like === "image" ? pictures(preview) : table(preview, words));
}

/** Return a function that gives the text of the n-th value of all rows: a word where it is not finite. */
function wordsOf(preview) {
  const words = new Map();
  for (const [word, indexes] of Object.entries(preview.non_finite_values)) for (const index of indexes) words.set(index, word);
  return (value, index) => (value === null ? words.get(index) ?? "" : String(value));
}

function table(preview, words) {
  let index = 0;
  const rows = preview.rows.map((row, i) => {
    const values = [row].flat(Infinity);
    const cells = values.slice(0, MAX_CELLS).map((value, k) => element("td", {}, words(value, index + k)));
    index += values.length;
    if (values.length > MAX_CELLS) cells.push(element("td", {}, "…"));
    return element("tr", {}, element("th", { scope: "row" }, String(preview.first + i + 1)), ...cells);
  });
  return element("table", { class: "figures" }, element("tbody", {}, ...rows));
}

function pictures(preview) {
  const [low, high] = rangeOf(preview.rows);
  const figures = preview.rows.map((row, i) => {
    const number = preview.first + i + 1;
    return element("figure", {}, picture(row, low, high, number), element("figcaption", { class: "hint" }, String(number)));
  });
  return element("div", { class: "pictures" }, ...figures);
}

function rangeOf(rows) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of rows.flat(Infinity)) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high > low ? [low, high] : [low - 1, low];
}

/** Draw a picture of height × width, or with one, three or four channels. Values that are not finite are transparent. */
function picture(row, low, high, number) {
  const height = row.length;
  const width = row[0]?.length ?? 0;
  const canvas = element("canvas", { width, height, role: "img", "aria-label": t("datasets.picture", { number }) });
  const drawing = canvas.getContext("2d");
  const pixels = drawing.createImageData(Math.max(1, width), Math.max(1, height));
  const scaled = (value) => Math.round((255 * (value - low)) / (high - low));
  row.forEach((line, y) => line.forEach((cell, x) => {
    const channels = [cell].flat();
    const [red, green, blue] = channels.length >= 3 ? channels : [channels[0], channels[0], channels[0]];
    const alpha = channels.includes(null) ? 0 : channels.length === 4 ? scaled(channels[3]) : 255;
    pixels.data.set([scaled(red), scaled(green), scaled(blue), alpha], 4 * (y * width + x));
  }));
  drawing.putImageData(pixels, 0, 0);
  return canvas;
}

array.addEventListener("change", () => { first = 0; show(); });
back.addEventListener("click", () => { first = Math.max(0, first - ROWS); show(); });
next.addEventListener("click", () => { first = Number(next.dataset.first); show(); });

document.getElementById("delete-dataset")?.addEventListener("click", async () => {
  if (!(await confirmed(t("ask.delete_dataset"), t("action.delete")))) return;
  try {
    await call("DELETE", `/datasets/${encodeURIComponent(reference)}`);
    location.assign(pageUrl("/datasets"));
  } catch (error) {
    say(error.text ?? error.message, "error");
  }
});

if (array.options.length) {
  section.hidden = false;
  if (parameter("array")) array.value = parameter("array");
  if (array.selectedIndex < 0) array.selectedIndex = 0;
  show();
}
